package dev.bothy.x86.interpret;

import dev.bothy.core.cpu.CpuState;
import dev.bothy.x86.decode.Instruction;

/**
 * What the AVX executors share: operands of up to 32 bytes as four longs, the lowest first. Only
 * moves that say so want memory aligned (AMD64 APM volume 1, section 4.13.3).
 */
final class AvxOperand {
  private static final int MOST = 4;

  private AvxOperand() {}

  /** Longs that the instruction works on: 2, or 4 with VEX.L. */
  static int width(Instruction i) {
    return i.vexL ? MOST : MOST / 2;
  }

  /** All of a register. */
  static void register(Cpu cpu, int register, long[] to) {
    for (int n = 0; n < MOST; n++) {
      to[n] = cpu.xmm(register, n);
    }
  }

  /** Operand {@code n}: a register, or as much memory as it has, zeros above it. */
  static void read(Cpu cpu, Instruction i, int n, long[] to) {
    if (i.kind[n] == Instruction.XMM) {
      register(cpu, i.register[n], to);
    } else {
      load(cpu, cpu.linear(i, i.size[n]), i.size[n], to);
    }
  }

  /** {@code size} bytes (1 to 32) at {@code at}, zeros above them. */
  static void load(Cpu cpu, long at, int size, long[] to) {
    int whole = size >> 3;
    for (int n = 0; n < whole; n++) {
      to[n] = cpu.load64(at + 8L * n);
    }
    for (int n = whole; n < MOST; n++) {
      to[n] = 0;
    }
    switch (size) {
      case 1 -> to[0] = cpu.load8(at) & 0xff;
      case 2 -> to[0] = cpu.load16(at) & 0xffff;
      case 4 -> to[0] = cpu.load32(at) & 0xffff_ffffL;
      default -> {}
    }
  }

  /** Stores 8, 16 or 32 bytes, all or (on a fault) none. */
  static void store(Cpu cpu, long at, int size, long[] from) {
    cpu.probeStore(at, size);
    for (int n = 0; n < size >> 3; n++) {
      cpu.store64(at + 8L * n, from[n]);
    }
  }

  /** Replaces a register by the first {@code longs} of {@code from}, zeros above them. */
  static void write(Cpu cpu, int register, long[] from, int longs) {
    for (int n = 0; n < MOST; n++) {
      cpu.setXmm(register, n, n < longs ? from[n] : 0);
    }
  }

  /** Replaces a register by 16 bytes, zeros above them. */
  static void write(Cpu cpu, int register, long low, long high) {
    cpu.setXmm(register, 0, low);
    cpu.setXmm(register, 1, high);
    clearUpper(cpu, register);
  }

  static void clearUpper(Cpu cpu, int register) {
    cpu.setXmm(register, 2, 0);
    cpu.setXmm(register, 3, 0);
  }

  /**
   * Linear address of the memory operand of {@code size} bytes, which must be a multiple of that:
   * see {@link SseOperand#aligned}.
   */
  static long aligned(Cpu cpu, Instruction i, int size) {
    boolean flatStack = i.mode == 64 && i.segment == CpuState.SS;
    if (flatStack && (cpu.offset(i) & size - 1) != 0) {
      throw cpu.raise(GuestFault.GP, 0);
    }
    long at = cpu.linear(i, size);
    if ((at & size - 1) != 0) {
      throw cpu.raise(GuestFault.GP, 0);
    }
    return at;
  }
}
