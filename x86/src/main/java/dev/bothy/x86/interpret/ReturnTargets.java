package dev.bothy.x86.interpret;

import static dev.bothy.host.RawMemory.getLong;
import static dev.bothy.host.RawMemory.putLong;

import dev.bothy.core.cpu.CpuState;

/**
 * The segments that IRET has last gone to in 64-bit code, for generated code to go there again as
 * long as their descriptors are the same: {@link EngineArea#RETURN_KERNEL} and {@link
 * EngineArea#RETURN_USER}.
 */
final class ReturnTargets {
  private ReturnTargets() {}

  static void forget(long state) {
    for (int known : new int[] {EngineArea.RETURN_KERNEL, EngineArea.RETURN_USER}) {
      putLong(state + known + EngineArea.RETURN_SELECTOR, -1);
      putLong(state + known + EngineArea.RETURN_STACK + EngineArea.RETURN_SELECTOR, -1);
    }
  }

  /** IRET has gone to 64-bit code by these selectors and descriptors, SS's 0 for a null one. */
  static void remember(
      Processor cpu, int level, int selector, long descriptor, int stack, long stackDescriptor) {
    if (((selector | stack) & 4) == 0 && (level == 0 || level == 3)) {
      int known = level == 0 ? EngineArea.RETURN_KERNEL : EngineArea.RETURN_USER;
      remember(cpu.state, known, selector, descriptor, CpuState.CS);
      if (stackDescriptor != 0) {
        remember(cpu.state, known + EngineArea.RETURN_STACK, stack, stackDescriptor, CpuState.SS);
      }
    }
  }

  private static void remember(long state, int known, int selector, long descriptor, int segment) {
    long at = state + known;
    putLong(at + EngineArea.RETURN_SELECTOR, selector);
    putLong(at + EngineArea.RETURN_LAST_BYTE, selector | 7);
    putLong(at + EngineArea.RETURN_OFFSET, selector & ~7);
    putLong(at + EngineArea.RETURN_DESCRIPTOR, descriptor | Descriptor.ACCESSED_IN_TABLE);
    for (int i = 0; i < CpuState.SEGMENT_SIZE; i += 8) {
      putLong(
          at + EngineArea.RETURN_SEGMENT + i, getLong(state + CpuState.segment(segment, 0) + i));
    }
  }
}
