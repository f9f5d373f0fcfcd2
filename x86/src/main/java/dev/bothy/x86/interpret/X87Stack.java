package dev.bothy.x86.interpret;

import static dev.bothy.host.RawMemory.getInt;
import static dev.bothy.host.RawMemory.getLong;
import static dev.bothy.host.RawMemory.getShort;
import static dev.bothy.host.RawMemory.putInt;
import static dev.bothy.host.RawMemory.putLong;

import dev.bothy.core.cpu.CpuState;
import dev.bothy.x86.decode.Instruction;
import dev.bothy.x86.fpu.Extended;

/**
 * The x87 registers in a {@link CpuState}: stack, tags, status and the pointers to the last
 * instruction.
 */
final class X87Stack {
  /** Bits that FLDCW can change, and the one that reads as 1. */
  static final int CONTROL_WRITABLE = 0x1f3f;

  static final int CONTROL_FIXED = 0x40;

  private static final int CONDITIONS = Extended.C0 | Extended.C1 | Extended.C2 | Extended.C3;

  private X87Stack() {}

  static int control(Cpu cpu) {
    return getInt(cpu.state + CpuState.X87_CONTROL);
  }

  static int status(Cpu cpu) {
    return getInt(cpu.state + CpuState.X87_STATUS);
  }

  static void setStatus(Cpu cpu, int value) {
    putInt(cpu.state + CpuState.X87_STATUS, value);
  }

  /**
   * Sets control and status words as a load does: fixed bits fixed, ES and B as the exceptions and
   * masks say.
   */
  static void load(Cpu cpu, int control, int status) {
    putInt(cpu.state + CpuState.X87_CONTROL, control & CONTROL_WRITABLE | CONTROL_FIXED);
    boolean pending = (status & ~control & Extended.EXCEPTIONS) != 0;
    int summary = Extended.ES | Extended.BUSY;
    setStatus(cpu, status & 0xffff & ~summary | (pending ? summary : 0));
  }

  // Registers.

  /** Physical number of ST(i). */
  static int physical(Cpu cpu, int i) {
    return (status(cpu) >>> Extended.TOP_SHIFT) + i & 7;
  }

  /** Host address of physical register {@code r}. */
  static long address(Cpu cpu, int r) {
    return cpu.state + CpuState.X87_REGISTERS + 16L * r;
  }

  static long significand(Cpu cpu, int r) {
    return getLong(address(cpu, r));
  }

  static int exponent(Cpu cpu, int r) {
    return getShort(address(cpu, r) + 8) & 0xffff;
  }

  /** Sets the value alone. */
  static void set(Cpu cpu, int r, long significand, int exponent) {
    long at = address(cpu, r);
    putLong(at, significand);
    putLong(at + 8, exponent);
  }

  /** Sets the value and marks the register as used. */
  static void fill(Cpu cpu, int r, long significand, int exponent) {
    set(cpu, r, significand, exponent);
    long tags = cpu.state + CpuState.X87_TAGS;
    putInt(tags, getInt(tags) | 1 << r);
  }

  static boolean isEmpty(Cpu cpu, int r) {
    return (getInt(cpu.state + CpuState.X87_TAGS) >>> r & 1) == 0;
  }

  static void free(Cpu cpu, int r) {
    long tags = cpu.state + CpuState.X87_TAGS;
    putInt(tags, getInt(tags) & ~(1 << r));
  }

  static void moveTop(Cpu cpu, int by) {
    int status = status(cpu);
    int top = status + (by << Extended.TOP_SHIFT) & Extended.TOP;
    setStatus(cpu, status & ~Extended.TOP | top);
  }

  static void pop(Cpu cpu) {
    free(cpu, physical(cpu, 0));
    moveTop(cpu, 1);
  }

  // Exceptions.

  /**
   * Records what an operation raised, with C1, and clears C1 if it did not say otherwise.
   *
   * @param conditions those of C0, C2 and C3 that the operation sets or clears
   * @return true if the destination gets the result: no pre-computation exception is unmasked
   */
  static boolean commit(Cpu cpu, int flags, int conditions) {
    int status = status(cpu) & ~(Extended.C1 | conditions);
    if ((flags & ~(CONDITIONS | Extended.PE)) == 0) {
      // Nothing or an inexact result.
      if ((flags & ~control(cpu) & Extended.PE) != 0) {
        status |= Extended.ES | Extended.BUSY;
      }
      setStatus(cpu, status | flags);
      return true;
    }
    return commitExceptions(cpu, flags, status);
  }

  private static boolean commitExceptions(Cpu cpu, int flags, int status) {
    int unmasked = flags & ~control(cpu) & Extended.EXCEPTIONS;
    int raised = flags;
    boolean deliver = (unmasked & Extended.PRE_COMPUTATION) == 0;
    if (!deliver) {
      // Nothing was rounded; the answer of a comparison stays.
      int kept = (flags & Extended.SF) != 0 ? CONDITIONS : CONDITIONS & ~Extended.C1;
      raised &= Extended.PRE_COMPUTATION | Extended.SF | kept;
    }
    if (unmasked != 0) {
      raised |= Extended.ES | Extended.BUSY;
    }
    setStatus(cpu, status | raised);
    return deliver;
  }

  /** Reads an empty register. True if the masked response follows. */
  static boolean underflow(Cpu cpu) {
    return commit(cpu, Extended.IE | Extended.SF, 0);
  }

  /** Pushes onto a register in use. True if the masked response follows. */
  static boolean overflow(Cpu cpu) {
    return commit(cpu, Extended.IE | Extended.SF | Extended.C1, 0);
  }

  // Instruction and data pointers.

  /** Notes the running instruction as the last one that was not a control instruction. */
  static void record(Cpu cpu, Instruction i) {
    long state = cpu.state;
    putLong(state + CpuState.X87_IP, cpu.nextRip(i) - i.length);
    putInt(state + CpuState.X87_OPCODE, (i.opcode & 7) << 8 | i.modrm & 0xff);
    putInt(state + CpuState.X87_CS, selector(cpu, CpuState.CS));
  }

  /** As {@link #record}, with the memory operand. */
  static void recordMemory(Cpu cpu, Instruction i) {
    record(cpu, i);
    putLong(cpu.state + CpuState.X87_DP, cpu.offset(i));
    putInt(cpu.state + CpuState.X87_DS, selector(cpu, i.segment));
  }

  private static int selector(Cpu cpu, int segment) {
    return getInt(cpu.state + CpuState.segment(segment, CpuState.SEGMENT_SELECTOR)) & 0xffff;
  }
}
