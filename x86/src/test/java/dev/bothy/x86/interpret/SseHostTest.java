package dev.bothy.x86.interpret;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeFalse;
import static org.junit.jupiter.api.Assumptions.assumeTrue;
import static org.junit.jupiter.api.DynamicTest.dynamicTest;

import dev.bothy.core.cpu.CpuState;
import dev.bothy.x86.decode.Decoder;
import dev.bothy.x86.decode.Instruction;
import dev.bothy.x86.decode.InstructionTable;
import dev.bothy.x86.decode.Op;
import dev.bothy.x86.decode.TableEntry;
import dev.bothy.x86.interpret.HostInstructions.Request;
import dev.bothy.x86.interpret.HostInstructions.State;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.EnumSet;
import java.util.HexFormat;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.SplittableRandom;
import java.util.stream.Stream;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestFactory;
import org.junit.jupiter.api.io.TempDir;

/**
 * Every SSE row of the instruction table against the host's processor: random and special operands,
 * every rounding mode, DAZ and FTZ, masked and unmasked exceptions, register and memory forms.
 * {@code -Dbothy.sse.cases} and {@code -Dbothy.sse.seed} ask for more than the few cases of the
 * test command.
 */
final class SseHostTest {
  private static final int CASES = Integer.getInteger("bothy.sse.cases", 300);
  private static final long SEED = Long.getLong("bothy.sse.seed", 42);
  private static final long BASE = 0x10000;

  @TempDir static Path folder;

  private static HostInstructions host;

  /** Register 1 is ModRM.reg, register 2 ModRM.rm, RDI the base of the memory operand. */
  private static byte[] encode(
      TableEntry entry, boolean memory, boolean wide, int immediate, int immediate2) {
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    int rex = wide ? 0x48 : 0;
    int reg = 1;
    List<Integer> opcode = new ArrayList<>();
    for (String token : entry.encoding().split(" ")) {
      switch (token) {
        case "NP", "NF", "/r", "reg", "mem", "W0" -> {}
        case "W1" -> rex = 0x48;
        default -> {
          if (token.startsWith("/")) {
            reg = token.charAt(1) - '0';
          } else {
            opcode.add(Integer.parseInt(token, 16));
          }
        }
      }
    }
    int first = opcode.getFirst();
    if (first != 0x0f) {
      out.write(opcode.removeFirst());
    }
    if (rex != 0) {
      out.write(rex);
    }
    opcode.forEach(out::write);
    out.write(memory ? reg << 3 | 7 : 0xc0 | reg << 3 | 2);
    if (entry.operands().contains("Ib")) {
      out.write(immediate);
    }
    if (entry.operands().contains("I2b")) {
      out.write(immediate2);
    }
    return out.toByteArray();
  }

  /** Between MMX and XMM registers. */
  private static boolean isMixed(TableEntry entry) {
    return switch (entry.op()) {
      case CVTPI2PS, CVTPI2PD, CVTPS2PI, CVTTPS2PI, CVTPD2PI, CVTTPD2PI -> true;
      default -> false;
    };
  }

  private static final byte[] MOVDQ2Q_MM2_XMM2 = HexFormat.of().parseHex("f20fd6d2");
  private static final byte[] MOVQ2DQ_XMM0_MM1 = HexFormat.of().parseHex("f30fd6c1");
  private static final byte[] EMMS = HexFormat.of().parseHex("0f77");

  private record Form(TableEntry entry, boolean memory, boolean wide) {
    byte[] bare(SplittableRandom random) {
      return encode(entry, memory, wide, random.nextInt(256), random.nextInt(256));
    }

    /**
     * The code to run: an instruction, wrapped in moves from and to MMX registers if it uses one.
     */
    byte[] code(SplittableRandom random) {
      byte[] bare = bare(random);
      if (!isMixed(entry)) {
        return bare;
      }
      ByteArrayOutputStream out = new ByteArrayOutputStream();
      out.writeBytes(MOVDQ2Q_MM2_XMM2);
      out.writeBytes(bare);
      if (entry.operands().getFirst().startsWith("P")) {
        out.writeBytes(MOVQ2DQ_XMM0_MM1);
      }
      out.writeBytes(EMMS);
      return out.toByteArray();
    }

    @Override
    public String toString() {
      return entry + (memory ? " memory" : " register") + (wide ? " W" : "");
    }
  }

  private static Instruction decoded(byte[] code, int offset) {
    Instruction i = new Instruction();
    assertEquals(Decoder.OK, Decoder.decode(code, offset, code.length, 64, i), () -> hex(code));
    return i;
  }

  private static String hex(byte[] code) {
    return HexFormat.of().formatHex(code);
  }

  private static List<Form> forms() {
    List<Form> forms = new ArrayList<>();
    SplittableRandom random = new SplittableRandom(1);
    for (TableEntry entry : InstructionTable.entries()) {
      if (entry.absent() != null || entry.encoding().contains("VEX")) {
        continue;
      }
      boolean vector =
          entry.operands().stream().anyMatch(o -> o.matches("[VWUP].*|Md") && !o.equals("Pq"))
              && (entry.operands().stream().noneMatch(o -> o.matches("[PQN][qd]"))
                  || isMixed(entry));
      if (!vector || entry.encoding().contains("VEX")) {
        continue;
      }
      for (boolean memory : new boolean[] {false, true}) {
        if (entry.encoding().contains(memory ? " reg" : " mem")) {
          continue;
        }
        for (boolean wide : new boolean[] {false, true}) {
          boolean sized =
              entry.operands().stream().anyMatch(o -> o.endsWith("y"))
                  || entry.op().name().startsWith("PCMPESTR");
          if (wide && !sized) {
            continue;
          }
          Form form = new Form(entry, memory, wide);
          Instruction i = new Instruction();
          byte[] code = form.bare(random);
          if (Decoder.decode(code, 0, code.length, 64, i) == Decoder.OK
              && i.entry == entry
              && SseGroups.groupOf(i) != SseGroups.NONE) {
            forms.add(form);
          }
        }
      }
    }
    return forms;
  }

  /** Approximate by architecture: exact only on processors of the family whose tables we have. */
  private static final Set<Op> APPROXIMATE = EnumSet.of(Op.RCPPS, Op.RCPSS, Op.RSQRTPS, Op.RSQRTSS);

  private static boolean approximationsMatch() throws IOException {
    Path info = Path.of("/proc/cpuinfo");
    if (!Files.isReadable(info)) {
      return false;
    }
    String text = Files.readString(info);
    return text.contains("AuthenticAMD") && text.matches("(?s).*cpu family\\s*: 25\\n.*");
  }

  @TestFactory
  Stream<DynamicTest> agreesWithTheHost() throws IOException, InterruptedException {
    Optional<HostInstructions> built = HostInstructions.build(folder);
    assumeTrue(built.isPresent(), "needs an x86-64 Linux host with gcc");
    host = built.get();
    boolean exact = approximationsMatch();
    return forms().stream()
        .filter(f -> exact || !APPROXIMATE.contains(f.entry.op()))
        .map(f -> dynamicTest(f.toString(), () -> compare(f)));
  }

  @Test
  void everySseRowHasAnExecutor() {
    Set<Op> covered = EnumSet.noneOf(Op.class);
    forms().forEach(f -> covered.add(f.entry.op()));
    assertTrue(covered.size() > 250, () -> covered.size() + " instructions: " + covered);
  }

  @Test
  void unmaskedExceptionIsUndefinedOpcodeUntilTheSystemEnablesIt() {
    byte[] divss = HexFormat.of().parseHex("f30f5eca");
    try (BareCpu cpu = BareCpu.create(BASE, HostInstructions.MEMORY_SIZE)) {
      cpu.setXmm(1, 0, Float.floatToRawIntBits(1));
      cpu.setXmm(2, 0, 0);
      cpu.setMxcsr(0x1f80 & ~(1 << 9));
      cpu.simdExceptions = false;
      GuestFault fault =
          assertThrows(GuestFault.class, () -> SseFloatOps.execute(cpu, decoded(divss, 0)));
      assertEquals(GuestFault.UD, fault.vector);
      assertEquals(0x1f80 & ~(1 << 9) | 4, cpu.mxcsr());
      assertEquals(Float.floatToRawIntBits(1), cpu.xmm(1, 0));
    }
  }

  private static void compare(Form form) throws IOException, InterruptedException {
    SplittableRandom random = new SplittableRandom(SEED ^ form.toString().hashCode());
    List<Request> requests = new ArrayList<>();
    byte[] code = form.code(random);
    for (int n = 0; n < CASES; n++) {
      if (n % 4 == 0) {
        code = form.code(random);
      }
      // Mostly where 16 bytes are aligned and fit.
      int offset =
          random.nextInt(8) == 0 && form.entry.op() != Op.LDMXCSR
              ? random.nextInt(48)
              : random.nextInt(4) * 16;
      requests.add(new Request(code, offset, randomState(random, form.entry.op())));
    }
    List<State> answers = host.run(requests);
    assumeFalse(
        answers.getFirst().signal == HostInstructions.SIGILL, "the host lacks this instruction");
    try (BareCpu cpu = BareCpu.create(BASE, HostInstructions.MEMORY_SIZE)) {
      for (int n = 0; n < requests.size(); n++) {
        Request r = requests.get(n);
        State actual = interpret(cpu, r);
        State expected = answers.get(n);
        if (!same(expected, actual, form.entry.op())) {
          assertEquals(
              describe(expected),
              describe(actual),
              form + " " + hex(r.code()) + " offset " + r.offset() + " in\n" + describe(r.state()));
        }
      }
    }
  }

  private static State interpret(BareCpu cpu, Request r) {
    State s = r.state();
    cpu.setMxcsr(s.mxcsr);
    cpu.setGpr(CpuState.RAX, s.gpr[0]);
    cpu.setGpr(CpuState.RCX, s.gpr[1]);
    cpu.setGpr(CpuState.RDX, s.gpr[2]);
    cpu.setGpr(CpuState.RDI, BASE + r.offset());
    cpu.setArithmeticFlags((int) s.flags);
    for (int i = 0; i < 6; i++) {
      cpu.setXmm(i >> 1, i & 1, s.xmm[i]);
    }
    System.arraycopy(s.memory, 0, cpu.memory, 0, s.memory.length);
    State out = new State();
    try {
      for (int at = 0; at < r.code().length; ) {
        Instruction i = decoded(r.code(), at);
        if (i.op != Op.EMMS) {
          SseGroups.execute(SseGroups.groupOf(i), cpu, i);
        }
        at += i.length;
      }
    } catch (GuestFault fault) {
      out.signal =
          switch (fault.vector) {
            case GuestFault.XM -> HostInstructions.SIGFPE;
            case GuestFault.GP -> HostInstructions.SIGSEGV;
            case GuestFault.UD -> HostInstructions.SIGILL;
            default -> -fault.vector;
          };
    }
    out.mxcsr = cpu.mxcsr();
    out.gpr[0] = cpu.gpr(CpuState.RAX);
    out.gpr[1] = cpu.gpr(CpuState.RCX);
    out.gpr[2] = cpu.gpr(CpuState.RDX);
    out.flags = cpu.arithmeticFlags();
    for (int n = 0; n < 6; n++) {
      out.xmm[n] = cpu.xmm(n >> 1, n & 1);
    }
    System.arraycopy(cpu.memory, 0, out.memory, 0, out.memory.length);
    return out;
  }

  private static final int ARITHMETIC_FLAGS = 0x8d5;

  /** Equal but for what {@code op} leaves undefined. */
  private static boolean same(State a, State b, Op op) {
    // SSE4A leaves the upper half of its destination undefined.
    boolean halves = op == Op.EXTRQ || op == Op.INSERTQ;
    for (int i = 0; i < 6; i++) {
      if (a.xmm[i] != b.xmm[i] && !(halves && (i == 3 || i == 5))) {
        return false;
      }
    }
    return a.signal == b.signal
        && a.mxcsr == b.mxcsr
        && ((a.flags ^ b.flags) & ARITHMETIC_FLAGS) == 0
        && Arrays.equals(a.gpr, b.gpr)
        && Arrays.equals(a.memory, b.memory);
  }

  private static String describe(State s) {
    StringBuilder b = new StringBuilder();
    b.append(
        String.format(
            "signal %d mxcsr %04x flags %03x%n", s.signal, s.mxcsr, s.flags & ARITHMETIC_FLAGS));
    b.append(String.format("rax %016x rcx %016x rdx %016x%n", s.gpr[0], s.gpr[1], s.gpr[2]));
    for (int i = 0; i < 3; i++) {
      b.append(String.format("xmm%d %016x_%016x%n", i, s.xmm[2 * i + 1], s.xmm[2 * i]));
    }
    return b.append(hex(s.memory)).toString();
  }

  // Operands.

  private static State randomState(SplittableRandom random, Op op) {
    State s = new State();
    int masks = random.nextInt(3) == 0 ? random.nextInt(64) : 63;
    int flags = random.nextInt(4) == 0 ? random.nextInt(64) : random.nextInt(2) * 32;
    int flush = random.nextInt(3) == 0 ? random.nextInt(4) : 0;
    int rounding = random.nextInt(2) * random.nextInt(4);
    s.mxcsr = masks << 7 | flags | (flush & 1) << 6 | (flush & 2) << 14 | rounding << 13;
    int kind = random.nextInt(4);
    for (int i = 0; i < 3; i++) {
      s.gpr[i] =
          switch (random.nextInt(4)) {
            case 0 -> random.nextLong();
            case 1 -> random.nextInt() & 0xffff_ffffL;
            case 2 -> random.nextLong() >> random.nextInt(64);
            default -> random.nextInt(41) - 20;
          };
    }
    s.flags = 0x202 | random.nextInt() & 0x8d5;
    for (int i = 0; i < 6; i++) {
      s.xmm[i] = operand(random, kind);
    }
    if (random.nextInt(8) == 0) {
      int from = random.nextInt(3);
      int to = random.nextInt(3);
      s.xmm[2 * to] = s.xmm[2 * from];
      s.xmm[2 * to + 1] = s.xmm[2 * from + 1];
    }
    for (int i = 0; i < s.memory.length; i += 8) {
      long value = operand(random, kind);
      if (op == Op.LDMXCSR) {
        // Bit 17 is AMD's misaligned mode, which no model offers.
        value &= random.nextBoolean() ? 0x0000_ffff_0000_ffffL : 0xfffd_ffff_fffd_ffffL;
      }
      for (int k = 0; k < 8; k++) {
        s.memory[i + k] = (byte) (value >>> 8 * k);
      }
    }
    return s;
  }

  /** Kind 0: doubles, 1: singles, 2: integers with small elements, 3: anything. */
  private static long operand(SplittableRandom random, int kind) {
    return switch (kind) {
      case 0 -> floating(random, 52, 11);
      case 1 -> floating(random, 23, 8) & 0xffff_ffffL | floating(random, 23, 8) << 32;
      case 2 -> small(random);
      default ->
          switch (random.nextInt(4)) {
            case 0 -> floating(random, 52, 11);
            case 1 -> floating(random, 23, 8) & 0xffff_ffffL | floating(random, 23, 8) << 32;
            default -> random.nextLong();
          };
    };
  }

  private static long small(SplittableRandom random) {
    long value = 0;
    int range = random.nextInt(3) == 0 ? 256 : 6;
    for (int i = 0; i < 8; i++) {
      int element = random.nextInt(range) - (range == 256 ? 0 : 1);
      if (random.nextInt(8) == 0) {
        element = new int[] {0x7f, 0x80, 0x81, 0xff}[random.nextInt(4)];
      }
      value = value << 8 | element & 0xff;
    }
    return random.nextInt(16) == 0 ? 0 : value;
  }

  /**
   * A bit pattern with the rare cases frequent: zeros, denormals, extremes, NaNs, round numbers,
   * integers.
   */
  private static long floating(SplittableRandom random, int fractionBits, int exponentBits) {
    int most = (1 << exponentBits) - 1;
    int bias = most >> 1;
    long fractionMask = (1L << fractionBits) - 1;
    long fraction =
        switch (random.nextInt(6)) {
          case 0 -> 0;
          case 1 -> random.nextLong() & fractionMask & -1L << random.nextInt(fractionBits);
          case 2 -> fractionMask - random.nextInt(4);
          case 3 -> random.nextInt(4);
          default -> random.nextLong() & fractionMask;
        };
    int exponent =
        switch (random.nextInt(10)) {
          case 0 -> 0;
          case 1 -> most;
          case 2 -> 1 + random.nextInt(3);
          case 3 -> most - 1 - random.nextInt(3);
          case 4 -> random.nextInt(most + 1);
          case 5 -> bias + random.nextInt(66);
          case 6 -> Math.floorMod(bias / 2 + random.nextInt(60) - 30, most);
          case 7 -> Math.floorMod(bias + bias / 2 + random.nextInt(60) - 30, most);
          default -> bias + random.nextInt(5) - 2;
        };
    return random.nextLong() >>> 63 << (fractionBits + exponentBits)
        | (long) exponent << fractionBits
        | fraction;
  }
}
