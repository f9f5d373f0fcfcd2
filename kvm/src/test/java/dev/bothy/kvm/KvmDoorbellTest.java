package dev.bothy.kvm;

import static dev.bothy.kvm.KvmHeader.*;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.bothy.core.Exit;
import dev.bothy.core.Vcpu;
import dev.bothy.core.cpu.CpuState;
import dev.bothy.host.DeviceCalls;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** Writes to doorbells on the host's KVM, which are no exits. */
@Timeout(300)
class KvmDoorbellTest {
  private static final long BELL = TinyMachine.CHIME + 4;
  private static final long ELSEWHERE = 0xd300_0000L;
  private static final int ENOSPC = -28;

  @BeforeAll
  static void require() {
    TinyMachine.require();
    try (KvmDevice device = KvmDevice.open()) {
      assumeTrue(device.extension(KVM_CAP_IOEVENTFD) != 0, "this KVM has no doorbells");
    }
  }

  /** Has the guest write two bytes to each address in turn, and waits for what that does. */
  private static void write(TinyMachine machine, long... addresses) {
    ByteBuffer code = ByteBuffer.allocate(256).order(ByteOrder.LITTLE_ENDIAN);
    for (long address : addresses) {
      code.put((byte) 0x66).put((byte) 0xa3).putInt((int) address); // mov [address], ax
    }
    code.put((byte) 0xf4);
    machine.memory.write(TinyMachine.CODE, code.array());
    CpuState state = machine.protectedMode();
    state.setInt32(CpuState.ACTIVITY, CpuState.ACTIVITY_RUNNING);
    assertInstanceOf(Exit.Halted.class, machine.cpu.run(Vcpu.UNLIMITED));
    machine.engine.ringDoorbells();
  }

  /**
   * @param doorbells writes that have been no exits
   * @param exits writes that have been
   */
  private static void assertHeard(TinyMachine machine, int doorbells, int exits) {
    assertEquals(doorbells, machine.cpu.counters().get("doorbells"));
    assertEquals(exits, machine.cpu.counters().get("kvmMmioExits"));
    assertTrue(machine.chime.rung.get() <= doorbells);
  }

  @Test
  void writesAfterTheFirstRingWithoutAnExitAndCountAsTheDevices() {
    try (TinyMachine machine = new TinyMachine()) {
      write(machine, BELL, BELL, BELL, BELL);
      assertHeard(machine, 3, 1);
      int rung = machine.chime.rung.get();
      assertTrue(rung > 0);
      assertEquals(1, machine.chime.written.get());
      assertEquals(4, machine.chimeRange.writes());
      machine.engine.ringDoorbells();
      assertEquals(rung, machine.chime.rung.get());
    }
  }

  @Test
  void aDoorbellIsHeardWhereItIs() {
    try (TinyMachine machine = new TinyMachine()) {
      write(machine, BELL, BELL, ELSEWHERE + 4);
      assertHeard(machine, 1, 2);
      machine.chimeRange.moveTo(ELSEWHERE);
      write(machine, BELL, ELSEWHERE + 4, ELSEWHERE + 4);
      assertHeard(machine, 2, 4);
      machine.chimeRange.unmap();
      write(machine, BELL, ELSEWHERE + 4);
      assertHeard(machine, 2, 6);
      assertEquals(4, machine.mmio.unclaimedWrites());
      machine.chimeRange.moveTo(TinyMachine.CHIME);
      write(machine, BELL, BELL);
      assertHeard(machine, 3, 7);
      assertEquals(3, machine.chime.written.get());
    }
  }

  @Test
  void aDoorbellStaysHeardWhileOthersMove() {
    try (TinyMachine machine = new TinyMachine()) {
      write(machine, BELL);
      machine.mmio.map("other", ELSEWHERE, 16, new TinyMachine.Chime(1)).unmap();
      write(machine, BELL);
      assertHeard(machine, 1, 1);
    }
  }

  @Test
  void whatLiesOverADoorbellGetsItsWrites() {
    try (TinyMachine machine = new TinyMachine()) {
      write(machine, BELL);
      TinyMachine.Chime cover = new TinyMachine.Chime(0);
      machine.mmio.map("cover", TinyMachine.CHIME, 16, cover);
      write(machine, BELL, BELL);
      assertHeard(machine, 0, 3);
      assertEquals(2, cover.written.get());
    }
  }

  @Test
  void moreDoorbellsThanThereIsRoomForAreRegistersAsOthers() throws IOException {
    try (TinyMachine machine = new TinyMachine()) {
      long before = counters();
      int many = KvmDoorbells.MOST + 6;
      TinyMachine.Chime chimes = new TinyMachine.Chime(many);
      machine.mmio.map("chimes", ELSEWHERE, TinyMachine.Chime.LENGTH, chimes);
      assertEquals(before, counters(), "what has not been used takes none");
      for (int round = 0; round < 2; round++) {
        for (int i = 1; i <= many; i++) {
          write(machine, ELSEWHERE + 4 * i);
        }
      }
      // One more ends the thread that listens.
      assertEquals(KvmDoorbells.MOST + 1, counters() - before);
      assertHeard(machine, KvmDoorbells.MOST, many + 6);
      assertEquals(KvmDoorbells.MOST, chimes.rung.get());
      assertEquals(many + 6, chimes.written.get());
      assertEquals(6, machine.cpu.counters().get("doorbellsRefused"));
    }
  }

  private static long counters() throws IOException {
    try (Stream<Path> all = Files.list(Path.of("/proc/self/fd"))) {
      return all.filter(KvmDoorbellTest::isCounter).count();
    }
  }

  private static boolean isCounter(Path descriptor) {
    try {
      return Files.readSymbolicLink(descriptor).toString().contains("[eventfd]");
    } catch (IOException e) {
      return false;
    }
  }

  @Test
  void aKernelThatHearsNoneDoesAsEver() {
    try (TinyMachine machine = machine((request, argument) -> request == KVM_IOEVENTFD, ENOSPC)) {
      write(machine, BELL, BELL);
      assertEquals(2, machine.chime.written.get());
      assertEquals(0, machine.cpu.counters().get("doorbells"));
      assertEquals(1, machine.cpu.counters().get("doorbellsRefused"));
    }
    try (TinyMachine machine =
        machine(
            (request, argument) -> request == KVM_CHECK_EXTENSION && argument == KVM_CAP_IOEVENTFD,
            0)) {
      write(machine, BELL, BELL);
      assertEquals(2, machine.chime.written.get());
      assertFalse(machine.cpu.counters().containsKey("doorbells"));
    }
  }

  private interface Which {
    boolean is(long request, long argument);
  }

  /** On a kernel that answers some requests with {@code answer}. */
  private static TinyMachine machine(Which which, int answer) {
    return new TinyMachine(
        KvmTestCpuid.LEAVES,
        KvmEngine.LocalApics.MACHINE,
        KvmDevice.open(
            KvmDevice.PATH,
            (descriptor, request, argument) ->
                which.is(request, argument)
                    ? answer
                    : DeviceCalls.ioctl(descriptor, request, argument)));
  }

  @Test
  void aKernelThatMustKnowTheSizeHearsThat() {
    try (TinyMachine machine =
        machine(
            (request, argument) ->
                request == KVM_CHECK_EXTENSION && argument == KVM_CAP_IOEVENTFD_ANY_LENGTH,
            0)) {
      write(machine, BELL, BELL);
      assertHeard(machine, 1, 1);
    }
  }

  @Test
  void aClosedEngineRingsNoMore() {
    TinyMachine machine = new TinyMachine();
    write(machine, BELL, BELL);
    int rung = machine.chime.rung.get();
    machine.close();
    machine.engine.ringDoorbells();
    machine.chimeRange.moveTo(ELSEWHERE);
    assertEquals(rung, machine.chime.rung.get());
  }
}
