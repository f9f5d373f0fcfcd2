package dev.bothy.x86.interpret;

import dev.bothy.core.cpu.CpuState;

/**
 * Going to an inner stack in legacy protected mode: SS:ESP from the TSS; AMD64 APM volume 2,
 * section 4.5 and 8.7.
 */
final class StackSwitch {
  private StackSwitch() {}

  /** A checked inner stack. */
  record Stack(int selector, long descriptor, long pointer) {
    /** Room for {@code words} of {@code size} bytes, probed; {@code cpl} is the new one. */
    Frame frame(Processor cpu, int words, int size, int cpl, int ext) {
      return new Frame(cpu, this, words, size, cpl, ext);
    }
  }

  /**
   * Reads SS:ESP for {@code level} from the TSS of either size and checks the segment: #TS or #SS.
   */
  static Stack read(Processor cpu, int level, int ext) {
    int tr = cpu.segmentAttributes(CpuState.TR);
    boolean tss32 = (tr & 8) != 0;
    long limit = cpu.segmentLimit(CpuState.TR) & 0xffff_ffffL;
    int offset = tss32 ? 4 + level * 8 : 2 + level * 4;
    int trSelector = cpu.segmentSelector(CpuState.TR) & 0xfffc;
    if (offset + (tss32 ? 5 : 3) > limit) {
      throw cpu.raise(GuestFault.TS, trSelector | ext);
    }
    long base = cpu.segmentBase(CpuState.TR);
    long pointer = cpu.loadSystem(base + offset & 0xffff_ffffL, tss32 ? 4 : 2);
    int selector = (int) cpu.loadSystem(base + offset + (tss32 ? 4 : 2) & 0xffff_ffffL, 2);
    if ((selector & 0xfffc) == 0) {
      throw cpu.raise(GuestFault.TS, ext);
    }
    long descriptor = SegmentChecks.stack(cpu, selector, level, GuestFault.TS, ext);
    return new Stack(selector, descriptor, pointer);
  }

  /** What is pushed on the new stack; nothing of the old state changes until {@link #install}. */
  static final class Frame {
    private final Processor cpu;
    private final Stack stack;
    private final int size;
    private final int cpl;
    private final long mask;
    private long pointer;

    private Frame(Processor cpu, Stack stack, int words, int size, int cpl, int ext) {
      this.cpu = cpu;
      this.stack = stack;
      this.size = size;
      this.cpl = cpl;
      int attributes = Descriptor.attributes(stack.descriptor);
      mask = (attributes & Descriptor.BIG) != 0 ? 0xffff_ffffL : 0xffff;
      pointer = stack.pointer & mask;
      long limit = Descriptor.limit(stack.descriptor) & 0xffff_ffffL;
      int bytes = words * size;
      long low = pointer - bytes & mask;
      long high = low + bytes - 1;
      boolean down = (attributes & Descriptor.EXPAND_DOWN) != 0;
      if (down ? low <= limit || high > mask : high > limit) {
        throw cpu.raise(GuestFault.SS, stack.selector & 0xfffc | ext);
      }
      withRights(() -> cpu.probeStore(linear(low), bytes));
      cpu.setAccessed(stack.selector, stack.descriptor);
    }

    private long linear(long offset) {
      return Descriptor.base(stack.descriptor) + (offset & mask) & 0xffff_ffffL;
    }

    private void withRights(Runnable action) {
      int old = cpu.cpl;
      cpu.cpl = cpl;
      cpu.selectTable();
      try {
        action.run();
      } finally {
        cpu.cpl = old;
        cpu.selectTable();
      }
    }

    void push(long value) {
      pointer = pointer - size & mask;
      withRights(() -> cpu.storeSized(linear(pointer), size, value));
    }

    /** Makes the new stack the current one. */
    void install(Processor cpu) {
      cpu.loadFromDescriptor(CpuState.SS, stack.selector, stack.descriptor);
      long rsp = cpu.rsp();
      cpu.setGpr(CpuState.RSP, mask == 0xffff ? rsp & ~0xffffL | pointer : pointer);
    }
  }
}
