package dev.bothy.x86.interpret;

import dev.bothy.x86.decode.Instruction;

/**
 * Masked moves and gathers: each element has an access of its own, or none (AMD64 APM volume 4,
 * VMASKMOVPS, VPMASKMOVD, VGATHERDPS and kin).
 */
final class AvxMemoryOps {
  private AvxMemoryOps() {}

  /** True if the sign of element {@code n} of {@code size} bytes is set. */
  private static boolean isSet(long[] mask, int n, int size) {
    int bit = 8 * size * n + 8 * size - 1;
    return (mask[bit >> 6] >>> (bit & 63) & 1) != 0;
  }

  private static void put(long[] to, int n, int size, long value) {
    if (size == 8) {
      to[n] = value;
    } else {
      int shift = 32 * (n & 1);
      to[n >> 1] = to[n >> 1] & ~(0xffff_ffffL << shift) | (value & 0xffff_ffffL) << shift;
    }
  }

  private static long load(Cpu cpu, long at, int size) {
    return size == 8 ? cpu.load64(at) : cpu.load32(at);
  }

  /** VMASKMOVPS and kin: what the mask leaves out is not accessed, nor does it fault. */
  static void masked(Cpu cpu, Instruction i) {
    int size =
        switch (i.op) {
          case VMASKMOVPD, VPMASKMOVQ -> 8;
          default -> 4;
        };
    long[] mask = cpu.vectorA;
    AvxOperand.register(cpu, i.register[1], mask);
    int count = 8 * AvxOperand.width(i) / size;
    if (i.isMemory(0)) {
      store(cpu, i, mask, size, count);
      return;
    }
    long[] result = cpu.vectorResult;
    for (int n = 0; n < count; n++) {
      long value = isSet(mask, n, size) ? load(cpu, element(cpu, i, n, size, false), size) : 0;
      put(result, n, size, value);
    }
    AvxOperand.write(cpu, i.register[0], result, AvxOperand.width(i));
  }

  /** Linear address of an element of the memory operand: offsets wrap around in each. */
  private static long element(Cpu cpu, Instruction i, int n, int size, boolean write) {
    long offset = cpu.offset(i) + (long) n * size;
    return cpu.linear(i.segment, wrapped(i, offset), size, write);
  }

  private static long wrapped(Instruction i, long offset) {
    return switch (i.addressSize) {
      case 2 -> offset & 0xffff;
      case 4 -> offset & 0xffff_ffffL;
      default -> offset;
    };
  }

  /** All elements or, on a fault, none. */
  private static void store(Cpu cpu, Instruction i, long[] mask, int size, int count) {
    int register = i.register[2];
    for (int n = 0; n < count; n++) {
      if (isSet(mask, n, size)) {
        cpu.probeStore(element(cpu, i, n, size, true), size);
      }
    }
    for (int n = 0; n < count; n++) {
      if (!isSet(mask, n, size)) {
        continue;
      }
      long to = element(cpu, i, n, size, true);
      if (size == 8) {
        cpu.store64(to, cpu.xmm(register, n));
      } else {
        cpu.store32(to, (int) (cpu.xmm(register, n >> 1) >>> 32 * (n & 1)));
      }
    }
  }

  /**
   * Gathers: elements come one after the other, the lowest first; what has come stays when a later
   * one faults, with its mask cleared. Nothing else changes then (AMD's processors).
   */
  static void gather(Cpu cpu, Instruction i) {
    int d = i.register[0];
    int m = i.register[2];
    if (d == m || d == i.index || m == i.index || i.addressSize == 2) {
      throw cpu.raise(GuestFault.UD);
    }
    boolean quads;
    boolean quadIndices;
    switch (i.op) {
      case VPGATHERDD, VGATHERDPS -> {
        quads = false;
        quadIndices = false;
      }
      case VPGATHERDQ, VGATHERDPD -> {
        quads = true;
        quadIndices = false;
      }
      case VPGATHERQD, VGATHERQPS -> {
        quads = false;
        quadIndices = true;
      }
      default -> {
        quads = true;
        quadIndices = true;
      }
    }
    int size = quads ? 8 : 4;
    int count = (quads || quadIndices ? 1 : 2) * AvxOperand.width(i);
    // What is above the elements becomes zero: with four singles, a register's upper half.
    int longs = Math.max(2, count * size / 8);
    long[] mask = cpu.vectorA;
    long[] result = cpu.vectorResult;
    AvxOperand.register(cpu, m, mask);
    AvxOperand.register(cpu, d, result);
    for (int n = 0; n < count; n++) {
      if (!isSet(mask, n, size)) {
        put(mask, n, size, 0);
        continue;
      }
      long value;
      try {
        long index =
            quadIndices ? cpu.xmm(i.index, n) : (int) (cpu.xmm(i.index, n >> 1) >>> 32 * (n & 1));
        value = load(cpu, address(cpu, i, index, size), size);
      } catch (GuestFault | VirtualExit fault) {
        if (n > 0) {
          AvxOperand.write(cpu, d, result, mask.length);
          AvxOperand.write(cpu, m, mask, mask.length);
        }
        throw fault;
      }
      put(result, n, size, value);
      put(mask, n, size, 0);
    }
    if (count * size == 8) {
      result[1] = 0;
    }
    AvxOperand.write(cpu, d, result, longs);
    AvxOperand.write(cpu, m, mask, 0);
  }

  private static long address(Cpu cpu, Instruction i, long index, int size) {
    long offset = i.displacement + (index << i.scale);
    if (i.base >= 0) {
      offset += cpu.gpr(i.base);
    }
    return cpu.linear(i.segment, wrapped(i, offset), size, false);
  }
}
