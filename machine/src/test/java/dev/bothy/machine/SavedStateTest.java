package dev.bothy.machine;

import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assertions.fail;

import dev.bothy.core.state.StateException;
import dev.bothy.machine.boot.BootSource;
import dev.bothy.machine.boot.BootState;
import dev.bothy.machine.boot.KernelBoot;
import dev.bothy.x86.interpret.InterpreterEngine;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.Random;
import java.util.zip.CRC32;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/**
 * A machine saved at any moment and loaded into another goes on as if nothing had happened, and a
 * damaged state is refused. {@code bothy.test.kernel} names a Linux kernel to do it with; without,
 * the default guest's is taken if there is one in the user's cache.
 */
@Timeout(600)
class SavedStateTest {
  private static final long TEN_MILLION = 10_000_000;
  private static final long SEED = Long.getLong("bothy.test.seed", 7);

  /**
   * In long mode, with interrupts of the 8254 and of the local timer: x87 and SSE arithmetic on
   * RDRAND and RDTSC, an ADD whose immediate changes each time, loads and stores all over the
   * second MiB, a window at 1 GiB whose pages move, REP MOVS, FXSAVE in a handler, bytes to the
   * serial port, the RTC and the PM timer, and a HLT from time to time.
   */
  private static final String BUSY =
      """
      0f20e00d000600000f22e0bc00001f00488d0425d0011000bf00021800e8e6010000488d0425e9011000bf00041800e8
      d40100000f011c251f021000c704250010180003201800c7042508a0000003101800b011e620b020e621b004e621b001
      e621b0fee621b034e643b000e640b00ee640bb0000e0fec783f0000000ff010000c783e00300000b000000c783200300
      0040000200c78380030000d12f0100dbe3d9ebd9e831edfbffc5480fc7f04931c00f3148c1e2204809d04901c149c1c1
      074889042500001900df2c2500001900dec1d9fad8c1dd142508001900f7c53f0000007508d9fed9e1d9e8dec1f2480f
      2ac0f20f58c8f20f51d1660fefda660f3800d8660fd4e3f24c0f38f1d0880425170110004983c30189c781e7f8ff0f00
      4881c7000020004c890f4c338701100000f04c0fc15703f7c507000000753e89c181e1ff01000089ea81e2ff000000c1
      e20c81c203002000488914cd00201800c1e10c488db9000000400f013f4c014f10be00002000b925000000f3a431d289
      e983c90148f7f14901d4e832000000f7c5ff030000751866baf803b02eeeb000e670e4714901c566ba0806ed4901c5f7
      c5ff0f00000f85edfefffff4e9e7feffff415158480fc8f3480fb8c04901c6c3505248ff04251000190066baf803b074
      eeb020e6205a5848cf5048ff0425180019000fae042500021900b8b000e0fec700000000005848cf66890766c7470210
      0066c74704008ec1e81066894706c3ff0f0000180000000000
      """;

  private final ByteArrayOutputStream output = new ByteArrayOutputStream();

  private static BootSource busy() {
    return new MachineCode(BootState.Mode.LONG, BUSY);
  }

  private MachineOptions options() {
    return MachineOptions.of(4 << 20, InterpreterEngine::new, busy(), output::write)
        .withCountedClock(20);
  }

  private static byte[] saved(Machine machine) throws IOException {
    ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    machine.save(bytes);
    return bytes.toByteArray();
  }

  /** Fails with the names of the sections that differ. */
  private static void assertAlike(Machine machine, Machine copy, String what) throws IOException {
    if (machine.stateHash().equals(copy.stateHash())) {
      return;
    }
    byte[] one = saved(machine);
    byte[] other = saved(copy);
    StringBuilder differences = new StringBuilder(what).append(": not alike in");
    List<Section> sections = sections(one);
    List<Section> others = sections(other);
    for (int i = 0; i < Math.min(sections.size(), others.size()); i++) {
      Section a = sections.get(i);
      Section b = others.get(i);
      int at =
          Arrays.mismatch(
              one, a.start(), a.start() + a.length(), other, b.start(), b.start() + b.length());
      if (at >= 0) {
        differences.append(" %s at 0x%x".formatted(a.name(), at));
      }
    }
    fail(differences.toString());
  }

  @Test
  void aMachineSavedAtARandomMomentGoesOnLikeTheOriginal() throws Exception {
    Random random = new Random(SEED);
    for (int round = 0; round < Integer.getInteger("bothy.test.rounds", 1); round++) {
      output.reset();
      try (Machine machine = new Machine(options());
          Machine copy = new Machine(options())) {
        machine.pause();
        machine.start();
        machine.runFor(random.nextInt(3_000_000));
        byte[] state = saved(machine);
        machine.runFor(TEN_MILLION);
        assertTrue(output.size() > 100, "it sends what its timers tell it to");
        copy.load(new ByteArrayInputStream(state));
        copy.runFor(TEN_MILLION);
        assertAlike(machine, copy, "seed " + SEED + ", round " + round);
      }
    }
  }

  @Test
  void aMachineGoesOnAlikeFromEachOfManyMomentsInARow() throws Exception {
    Random random = new Random(SEED);
    try (Machine machine = new Machine(options());
        Machine copy = new Machine(options())) {
      machine.pause();
      machine.start();
      machine.runFor(random.nextInt(100_000));
      for (int round = 0; round < 40; round++) {
        copy.load(new ByteArrayInputStream(saved(machine)));
        int more = random.nextInt(20_000);
        machine.runFor(more);
        copy.runFor(more);
        assertAlike(machine, copy, "seed " + SEED + ", round " + round);
      }
    }
  }

  static Optional<Path> kernel() throws IOException {
    String named = System.getProperty("bothy.test.kernel");
    if (named != null) {
      return Optional.of(Path.of(named));
    }
    Path cache = Path.of(System.getProperty("user.home"), ".cache", "bothy");
    if (!Files.isDirectory(cache)) {
      return Optional.empty();
    }
    try (var entries = Files.list(cache)) {
      return entries
          .filter(entry -> entry.getFileName().toString().startsWith("guest-"))
          .map(entry -> entry.resolve("vmlinuz"))
          .filter(Files::isRegularFile)
          .findFirst();
    }
  }

  @Test
  void aLinuxKernelSavedWhileItBootsGoesOnLikeTheOriginal(@TempDir Path folder) throws Exception {
    Optional<Path> kernel = kernel();
    Assumptions.assumeTrue(
        kernel.isPresent(),
        "no kernel here: -Dbothy.test.kernel=FILE, or run the default guest once");
    long limit = Long.getLong("bothy.test.instructions", 120_000_000);
    MachineOptions options =
        MachineOptions.of(
                256 << 20,
                InterpreterEngine::new,
                new KernelBoot(kernel.get(), Optional.empty(), "console=ttyS0 earlyprintk=ttyS0"),
                output::write)
            .withCountedClock(20);
    Random random = new Random(SEED);
    long[] moments = random.longs(3, 1_000_000, limit).sorted().toArray();
    Path file = folder.resolve("state");
    try (Machine machine = new Machine(options)) {
      machine.pause();
      machine.start();
      for (long moment : moments) {
        machine.pause();
        machine.runFor(Math.max(0, moment - machine.vcpu(0).instructions()));
        try (OutputStream out = Files.newOutputStream(file)) {
          machine.save(out);
        }
        machine.runFor(TEN_MILLION);
        try (Machine copy = new Machine(options);
            InputStream in = Files.newInputStream(file)) {
          copy.load(in);
          copy.runFor(TEN_MILLION);
          assertAlike(machine, copy, "seed " + SEED + ", moment " + moment);
        }
      }
    }
    String text = output.toString(StandardCharsets.US_ASCII);
    assertTrue(text.contains("Linux version"), text);
  }

  @Test
  void everyDamageIsRefused() throws Exception {
    Random random = new Random(SEED);
    try (Machine machine = new Machine(options())) {
      machine.pause();
      machine.start();
      machine.runFor(200_000);
      byte[] state = saved(machine);
      for (int round = 0; round < 3000; round++) {
        byte[] damaged = damage(state, random);
        if (!Arrays.equals(damaged, state)) {
          String what = "seed " + SEED + ", round " + round;
          assertThrows(
              StateException.class, () -> machine.load(new ByteArrayInputStream(damaged)), what);
        }
      }
      machine.load(new ByteArrayInputStream(state));
    }
  }

  /** Flipped, missing, doubled and swapped bytes. */
  private static byte[] damage(byte[] state, Random random) {
    int at = random.nextInt(state.length);
    return switch (random.nextInt(5)) {
      case 0 -> Arrays.copyOf(state, at);
      case 1 -> {
        byte[] result = Arrays.copyOf(state, state.length - 1);
        System.arraycopy(state, at + 1, result, at, state.length - 1 - at);
        yield result;
      }
      case 2 -> {
        byte[] result = state.clone();
        int length = Math.min(1 + random.nextInt(64), state.length - at);
        System.arraycopy(state, random.nextInt(state.length - length), result, at, length);
        yield result;
      }
      case 3 -> {
        // In the first sections' headers, where a length or a version is.
        byte[] result = state.clone();
        result[random.nextInt(64)] ^= (byte) (1 + random.nextInt(255));
        yield result;
      }
      default -> {
        byte[] result = state.clone();
        result[at] ^= (byte) (1 << random.nextInt(8));
        yield result;
      }
    };
  }

  /** One section of a saved state: where its bytes are. */
  private record Section(String name, int start, int length) {}

  private static List<Section> sections(byte[] state) {
    List<Section> sections = new ArrayList<>();
    ByteBuffer in = ByteBuffer.wrap(state);
    in.position(8);
    while (in.hasRemaining()) {
      byte[] name = new byte[in.getShort()];
      in.get(name);
      in.getInt();
      int length = in.getInt();
      sections.add(new Section(new String(name, StandardCharsets.UTF_8), in.position(), length));
      in.position(in.position() + length + 4);
    }
    return sections;
  }

  @Test
  void aForgedStateIsRefusedOrRunsLikeAnyGuest() throws Exception {
    Random random = new Random(SEED);
    byte[] state;
    try (Machine machine = new Machine(options())) {
      machine.pause();
      machine.start();
      machine.runFor(200_000);
      state = saved(machine);
    }
    List<Section> sections =
        sections(state).stream().filter(s -> s.length() > 0 && !s.name().equals("ram")).toList();
    int refused = 0;
    int ran = 0;
    for (int round = 0; round < 120; round++) {
      Section section = sections.get(random.nextInt(sections.size()));
      byte[] forged = state.clone();
      for (int i = random.nextInt(4); i >= 0; i--) {
        // The processor's state is mostly zeros behind its registers.
        int length = section.name().equals("cpu0") ? 0x480 : section.length();
        forged[section.start() + random.nextInt(length)] = (byte) random.nextInt(256);
      }
      CRC32 sum = new CRC32();
      sum.update(forged, section.start(), section.length());
      ByteBuffer.wrap(forged).putInt(section.start() + section.length(), (int) sum.getValue());
      Machine machine = new Machine(options().withReboot(false));
      try {
        machine.load(new ByteArrayInputStream(forged));
        ran++;
        String what = "seed " + SEED + ", round " + round + ", " + section.name();
        HostileRun.runTo(what, machine, 20_000, Duration.ofMillis(500));
        HostileRun.finish(what, machine, _ -> {});
      } catch (StateException e) {
        refused++;
      } finally {
        machine.close();
      }
    }
    assertTrue(refused > 0 && ran > 0, refused + " refused, " + ran + " ran");
  }
}
