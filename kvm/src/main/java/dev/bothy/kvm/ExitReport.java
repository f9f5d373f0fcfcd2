package dev.bothy.kvm;

import static dev.bothy.host.RawMemory.getByte;
import static dev.bothy.host.RawMemory.getInt;
import static dev.bothy.host.RawMemory.getLong;
import static dev.bothy.kvm.KvmHeader.*;

import dev.bothy.core.GuestMemory;
import dev.bothy.core.cpu.CpuState;
import dev.bothy.core.cpu.RegisterText;
import dev.bothy.host.DeviceCalls;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;

/** Why KVM cannot go on, as text for people. */
final class ExitReport {
  private static final int CODE = 16;
  private static final long CODE_LONG = 1 << 13;
  private static final int MOST_DATA = 16;

  private ExitReport() {}

  /** What the page {@code run} says of an exit that nothing can be done about: one line. */
  static String reason(long run) {
    int reason = getInt(run + KvmRun.EXIT_REASON);
    return switch (reason) {
      case KVM_EXIT_FAIL_ENTRY ->
          String.format(
              "the processor refused to enter the guest: hardware reason 0x%x on processor %d",
              getLong(run + KvmRun.FailEntry.HARDWARE_ENTRY_FAILURE_REASON),
              getInt(run + KvmRun.FailEntry.CPU));
      case KVM_EXIT_INTERNAL_ERROR -> internalError(run);
      case KVM_EXIT_SYSTEM_EVENT ->
          "system event " + getInt(run + KvmRun.SystemEvent.TYPE) + " of KVM";
      case KVM_EXIT_UNKNOWN ->
          String.format(
              "an exit that KVM does not know: hardware reason 0x%x",
              getLong(run + KvmRun.Hw.HARDWARE_EXIT_REASON));
      default -> "an exit that nobody asked KVM for: number " + reason;
    };
  }

  private static String internalError(long run) {
    int error = getInt(run + KvmRun.Internal.SUBERROR);
    int words = Math.clamp(getInt(run + KvmRun.Internal.NDATA), 0, MOST_DATA);
    StringBuilder out = new StringBuilder("KVM gave up: ");
    out.append(
        switch (error) {
          case KVM_INTERNAL_ERROR_EMULATION -> "it does not emulate an instruction";
          case KVM_INTERNAL_ERROR_SIMUL_EX -> "two exceptions at once";
          case KVM_INTERNAL_ERROR_DELIVERY_EV -> "an exit while an event was delivered";
          case KVM_INTERNAL_ERROR_UNEXPECTED_EXIT_REASON -> "an exit that it did not expect";
          default -> "internal error " + error;
        });
    boolean bytes =
        error == KVM_INTERNAL_ERROR_EMULATION
            && words >= 3
            && (getLong(run + KvmRun.EmulationFailure.FLAGS)
                    & KVM_INTERNAL_ERROR_EMULATION_FLAG_INSTRUCTION_BYTES)
                != 0;
    if (bytes) {
      int length = Math.clamp(getByte(run + KvmRun.EmulationFailure.INSN_SIZE), 0, 15);
      for (int i = 0; i < length; i++) {
        out.append(i == 0 ? ", whose bytes begin with" : "");
        out.append(String.format(" %02x", getByte(run + KvmRun.EmulationFailure.INSN_BYTES + i)));
      }
    } else {
      for (int i = 0; i < words; i++) {
        out.append(i == 0 ? "; data" : "");
        out.append(String.format(" %x", getLong(run + KvmRun.Internal.DATA + 8L * i)));
      }
    }
    return out.toString();
  }

  /**
   * A line and the registers of a vCPU that does not run.
   *
   * @param state current
   */
  static String of(String line, int vcpu, int index, CpuState state, GuestMemory memory) {
    return line + "\n" + RegisterText.of(state.address(), index, code(vcpu, state, memory));
  }

  /** The bytes at RIP, as far as they are mapped. */
  private static byte[] code(int vcpu, CpuState state, GuestMemory memory) {
    int attributes = state.getInt32(CpuState.segment(CpuState.CS, CpuState.SEGMENT_ATTRIBUTES));
    long rip = state.get(CpuState.RIP);
    long linear =
        (attributes & CODE_LONG) != 0
            ? rip
            : state.get(CpuState.segment(CpuState.CS, CpuState.SEGMENT_BASE)) + rip & 0xffff_ffffL;
    byte[] bytes = new byte[CODE];
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment translation = arena.allocate(KvmTranslation.SIZE, 8);
      for (int i = 0; i < CODE; i++) {
        translation.set(ValueLayout.JAVA_LONG, KvmTranslation.LINEAR_ADDRESS, linear + i);
        int result = DeviceCalls.ioctl(vcpu, KVM_TRANSLATE, translation.address());
        long physical = translation.get(ValueLayout.JAVA_LONG, KvmTranslation.PHYSICAL_ADDRESS);
        if (result < 0
            || translation.get(ValueLayout.JAVA_BYTE, KvmTranslation.VALID) == 0
            || !memory.contains(physical, 1)) {
          return Arrays.copyOf(bytes, i);
        }
        bytes[i] = (byte) memory.readByte(physical);
      }
    }
    return bytes;
  }
}
