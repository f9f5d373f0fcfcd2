package dev.bothy.kvm;

import static dev.bothy.kvm.KvmHeader.*;
import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;
import static org.junit.jupiter.api.Assertions.assertEquals;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.HexFormat;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/**
 * Ends that KVM tells of in the page it shares: each a line. What a processor refuses to enter is
 * seen here alone: a guest cannot get there, as its processor refuses such states before, and KVM
 * takes most of them from nobody else; three thousand random states brought no KVM in software to
 * it.
 */
class ExitReportTest {
  private final Arena arena = Arena.ofConfined();
  private final MemorySegment run = arena.allocate(4096, 4096);

  @BeforeEach
  void nothingThere() {
    run.fill((byte) 0xff);
  }

  @AfterEach
  void close() {
    arena.close();
  }

  private String reason(int exit) {
    run.set(JAVA_INT, KvmRun.EXIT_REASON, exit);
    return ExitReport.reason(run.address());
  }

  @Test
  void anEntryThatTheProcessorRefuses() {
    run.set(JAVA_LONG, KvmRun.FailEntry.HARDWARE_ENTRY_FAILURE_REASON, 0x8000_0021L);
    run.set(JAVA_INT, KvmRun.FailEntry.CPU, 3);
    assertEquals(
        "the processor refused to enter the guest: hardware reason 0x80000021 on processor 3",
        reason(KVM_EXIT_FAIL_ENTRY));
  }

  private void internal(int error, long... data) {
    run.set(JAVA_INT, KvmRun.Internal.SUBERROR, error);
    run.set(JAVA_INT, KvmRun.Internal.NDATA, data.length);
    for (int i = 0; i < data.length; i++) {
      run.set(JAVA_LONG, KvmRun.Internal.DATA + 8L * i, data[i]);
    }
  }

  @Test
  void anInstructionThatKvmDoesNotEmulate() {
    internal(KVM_INTERNAL_ERROR_EMULATION, 1, 0, 0);
    run.set(
        JAVA_LONG,
        KvmRun.EmulationFailure.FLAGS,
        KVM_INTERNAL_ERROR_EMULATION_FLAG_INSTRUCTION_BYTES);
    byte[] code = HexFormat.of().parseHex("660f6f06");
    run.set(JAVA_BYTE, KvmRun.EmulationFailure.INSN_SIZE, (byte) code.length);
    for (int i = 0; i < code.length; i++) {
      run.set(JAVA_BYTE, KvmRun.EmulationFailure.INSN_BYTES + i, code[i]);
    }
    assertEquals(
        "KVM gave up: it does not emulate an instruction, whose bytes begin with 66 0f 6f 06",
        reason(KVM_EXIT_INTERNAL_ERROR));
  }

  @Test
  void anEmulationFailureOfAKernelThatTellsNoBytes() {
    internal(KVM_INTERNAL_ERROR_EMULATION);
    assertEquals(
        "KVM gave up: it does not emulate an instruction", reason(KVM_EXIT_INTERNAL_ERROR));
  }

  @Test
  void anExitWhileAnEventWasDelivered() {
    internal(KVM_INTERNAL_ERROR_DELIVERY_EV, 0x8000_0306L, 0x31);
    assertEquals(
        "KVM gave up: an exit while an event was delivered; data 80000306 31",
        reason(KVM_EXIT_INTERNAL_ERROR));
  }

  @Test
  void sizesThatMakeNoSenseAreBounded() {
    internal(77, 5);
    run.set(JAVA_INT, KvmRun.Internal.NDATA, -1);
    assertEquals("KVM gave up: internal error 77", reason(KVM_EXIT_INTERNAL_ERROR));
    run.set(JAVA_INT, KvmRun.Internal.NDATA, Integer.MAX_VALUE);
    assertEquals(16, reason(KVM_EXIT_INTERNAL_ERROR).split("data ")[1].split(" ").length);
  }

  @Test
  void exitsThatNobodyKnows() {
    run.set(JAVA_LONG, KvmRun.Hw.HARDWARE_EXIT_REASON, 0x1234);
    assertEquals(
        "an exit that KVM does not know: hardware reason 0x1234", reason(KVM_EXIT_UNKNOWN));
    assertEquals("an exit that nobody asked KVM for: number 99", reason(99));
  }
}
