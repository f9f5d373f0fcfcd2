package dev.bothy.x86.interpret;

import static dev.bothy.host.RawMemory.compareAndExchangeInt;
import static dev.bothy.host.RawMemory.compareAndExchangeLong;
import static dev.bothy.host.RawMemory.getInt;
import static dev.bothy.host.RawMemory.putByte;
import static dev.bothy.host.RawMemory.putShort;

import dev.bothy.core.cpu.CpuState;
import dev.bothy.host.AtomicStubs;
import dev.bothy.x86.decode.Instruction;

/**
 * Reading and writing an instruction's operands in general, and read-modify-write with or without
 * LOCK.
 */
final class Operands {
  private Operands() {}

  static long mask(long value, int size) {
    return size == 8 ? value : value & (1L << 8 * size) - 1;
  }

  /** Operand {@code n}; registers and memory zero-extended, immediates as decoded. */
  static long read(Processor cpu, Instruction i, int n) {
    int size = i.size[n];
    return switch (i.kind[n]) {
      case Instruction.GPR -> mask(cpu.gpr(i.register[n]), size);
      case Instruction.GPR_HIGH -> cpu.gpr(i.register[n]) >>> 8 & 0xff;
      case Instruction.MEMORY -> cpu.loadSized(cpu.linear(i, size), size);
      case Instruction.IMMEDIATE, Instruction.RELATIVE -> i.immediate;
      case Instruction.IMMEDIATE2 -> i.immediate2;
      case Instruction.SEGMENT_REGISTER -> cpu.segmentSelector(i.register[n]);
      default -> throw new IllegalStateException("operand " + n + " of " + i.op);
    };
  }

  /** Writes {@code size} bytes of a general register as x86 does: 4 bytes clear the upper half. */
  static void setGpr(Processor cpu, int register, int size, long value) {
    long at = cpu.state + CpuState.GPR + 8L * register;
    switch (size) {
      case 1 -> putByte(at, (byte) value);
      case 2 -> putShort(at, (short) value);
      case 4 -> cpu.setGpr32(register, (int) value);
      default -> cpu.setGpr(register, value);
    }
  }

  /** Writes operand {@code n}: register, or memory without reading it first. */
  static void write(Processor cpu, Instruction i, int n, long value) {
    switch (i.kind[n]) {
      case Instruction.GPR -> setGpr(cpu, i.register[n], i.size[n], value);
      case Instruction.GPR_HIGH ->
          putByte(cpu.state + CpuState.GPR + 8L * i.register[n] + 1, (byte) value);
      case Instruction.MEMORY ->
          cpu.storeSized(cpu.linear(i.segment, cpu.offset(i), i.size[n], true), i.size[n], value);
      default -> throw new IllegalStateException("operand " + n + " of " + i.op);
    }
  }

  /** The destination's value before a read-modify-write; raises what writing it would. */
  static long load(Processor cpu, Instruction i) {
    if (i.kind[0] != Instruction.MEMORY) {
      return read(cpu, i, 0);
    }
    cpu.updateAt = cpu.linear(i.segment, cpu.offset(i), i.size[0], true);
    return cpu.loadForUpdate(cpu.updateAt, i.size[0]);
  }

  /** Ends what {@link #load} began; false if a locked update has to start again. */
  static boolean store(Processor cpu, Instruction i, long old, long value) {
    if (i.kind[0] != Instruction.MEMORY) {
      write(cpu, i, 0, value);
      return true;
    }
    if (!i.lock || cpu.alone) {
      cpu.storeSized(cpu.updateAt, i.size[0], value);
      return true;
    }
    return exchange(cpu, cpu.updateAt, i.size[0], old, value);
  }

  /**
   * Atomic compare-and-exchange of {@code size} bytes at a linear address already probed for
   * writing.
   */
  static boolean exchange(Processor cpu, long linear, int size, long old, long value) {
    long host = cpu.updateAddress(linear, size);
    if (host == 0) {
      return exclusively(cpu, linear, size, old, value);
    }
    if ((host & size - 1) == 0) {
      return switch (size) {
        case 8 -> compareAndExchangeLong(host, old, value) == old;
        case 4 -> compareAndExchangeInt(host, (int) old, (int) value) == (int) old;
        default -> exchangeInWord(host, size, old, value);
      };
    }
    long word = host & ~7L;
    if (host + size <= word + 8) {
      int shift = (int) (host & 7) * 8;
      long mask = mask(-1, size) << shift;
      long whole = dev.bothy.host.RawMemory.getLong(word);
      long expected = whole & ~mask | mask(old, size) << shift;
      long wanted = whole & ~mask | mask(value, size) << shift;
      return whole == expected && compareAndExchangeLong(word, expected, wanted) == expected;
    }
    if (AtomicStubs.available()) {
      return size == 8
          ? AtomicStubs.compareAndExchange(host, old, value) == old
          : size == 4
              ? AtomicStubs.compareAndExchange(host, (int) old, (int) value) == (int) old
              : exclusively(cpu, linear, size, old, value);
    }
    return exclusively(cpu, linear, size, old, value);
  }

  private static boolean exchangeInWord(long host, int size, long old, long value) {
    long word = host & ~3L;
    int shift = (int) (host & 3) * 8;
    int mask = (int) mask(-1, size) << shift;
    int whole = getInt(word);
    int expected = whole & ~mask | (int) mask(old, size) << shift;
    int wanted = whole & ~mask | (int) mask(value, size) << shift;
    return whole == expected && compareAndExchangeInt(word, expected, wanted) == expected;
  }

  private static boolean exclusively(Processor cpu, long linear, int size, long old, long value) {
    boolean[] done = new boolean[1];
    cpu.engine.exclusive.run(
        () -> {
          if (mask(cpu.loadForUpdate(linear, size), size) == mask(old, size)) {
            cpu.storeSlow(linear, size, value);
            done[0] = true;
          }
        });
    return done[0];
  }
}
