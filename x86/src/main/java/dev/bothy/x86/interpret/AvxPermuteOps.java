package dev.bothy.x86.interpret;

import dev.bothy.x86.decode.Instruction;

/** What AVX and AVX2 add to move data between elements and lanes (AMD64 APM volume 4). */
final class AvxPermuteOps {
  private AvxPermuteOps() {}

  static void execute(Cpu cpu, Instruction i) {
    int control = (int) i.immediate & 0xff;
    switch (i.op) {
      case VPERMILPS -> permuteSingles(cpu, i, control);
      case VPERMILPD -> permuteDoubles(cpu, i, control);
      case VPERM2F128, VPERM2I128 -> {
        AvxOperand.read(cpu, i, 2, cpu.vectorB);
        AvxOperand.register(cpu, i.register[1], cpu.vectorA);
        for (int lane = 0; lane < 2; lane++) {
          int chosen = control >> 4 * lane;
          long[] from = (chosen & 2) != 0 ? cpu.vectorB : cpu.vectorA;
          for (int n = 0; n < 2; n++) {
            cpu.vectorResult[2 * lane + n] = (chosen & 8) != 0 ? 0 : from[2 * (chosen & 1) + n];
          }
        }
        finish(cpu, i);
      }
      case VPERMPS, VPERMD -> {
        AvxOperand.read(cpu, i, 2, cpu.vectorB);
        AvxOperand.register(cpu, i.register[1], cpu.vectorA);
        for (int n = 0; n < 4; n++) {
          long chosen = cpu.vectorA[n];
          cpu.vectorResult[n] =
              single(cpu.vectorB, (int) chosen & 7)
                  | single(cpu.vectorB, (int) (chosen >>> 32) & 7) << 32;
        }
        finish(cpu, i);
      }
      case VPERMQ, VPERMPD -> {
        AvxOperand.read(cpu, i, 1, cpu.vectorB);
        for (int n = 0; n < 4; n++) {
          cpu.vectorResult[n] = cpu.vectorB[control >> 2 * n & 3];
        }
        finish(cpu, i);
      }
      case VINSERTF128, VINSERTI128 -> {
        AvxOperand.read(cpu, i, 2, cpu.vectorB);
        AvxOperand.register(cpu, i.register[1], cpu.vectorResult);
        int at = 2 * (control & 1);
        cpu.vectorResult[at] = cpu.vectorB[0];
        cpu.vectorResult[at + 1] = cpu.vectorB[1];
        finish(cpu, i);
      }
      case VEXTRACTF128, VEXTRACTI128 -> {
        long low = cpu.xmm(i.register[1], 2 * (control & 1));
        long high = cpu.xmm(i.register[1], 2 * (control & 1) + 1);
        if (i.isMemory(0)) {
          cpu.store128(cpu.linear(i, 16), low, high);
        } else {
          AvxOperand.write(cpu, i.register[0], low, high);
        }
      }
      case VPBLENDD -> {
        AvxOperand.read(cpu, i, 2, cpu.vectorB);
        AvxOperand.register(cpu, i.register[1], cpu.vectorA);
        for (int n = 0; n < AvxOperand.width(i); n++) {
          int chosen = control >> 2 * n;
          long mask = ((chosen & 1) != 0 ? 0xffff_ffffL : 0) | ((chosen & 2) != 0 ? -1L << 32 : 0);
          cpu.vectorResult[n] = cpu.vectorB[n] & mask | cpu.vectorA[n] & ~mask;
        }
        finish(cpu, i);
      }
      default -> throw cpu.raise(GuestFault.UD);
    }
  }

  private static void finish(Cpu cpu, Instruction i) {
    AvxOperand.write(cpu, i.register[0], cpu.vectorResult, AvxOperand.width(i));
  }

  /** Element {@code n} of 32 bits. */
  private static long single(long[] from, int n) {
    return from[n >> 1] >>> 32 * (n & 1) & 0xffff_ffffL;
  }

  /** What is permuted within lanes; vectorB has the control if it is not {@code immediate}. */
  private static long[] permuted(Cpu cpu, Instruction i, boolean immediate) {
    AvxOperand.read(cpu, i, immediate ? 1 : 2, cpu.vectorB);
    if (immediate) {
      return cpu.vectorB;
    }
    AvxOperand.register(cpu, i.register[1], cpu.vectorA);
    return cpu.vectorA;
  }

  /** Elements of the same lane, by an immediate or by as many elements of another register. */
  private static void permuteSingles(Cpu cpu, Instruction i, int control) {
    boolean immediate = i.kind[2] == Instruction.IMMEDIATE;
    long[] from = permuted(cpu, i, immediate);
    for (int n = 0; n < AvxOperand.width(i); n++) {
      int lane = n >> 1 << 2;
      int first = immediate ? control >> 4 * (n & 1) : (int) cpu.vectorB[n];
      int second = immediate ? control >> 4 * (n & 1) + 2 : (int) (cpu.vectorB[n] >>> 32);
      cpu.vectorResult[n] =
          single(from, lane + (first & 3)) | single(from, lane + (second & 3)) << 32;
    }
    finish(cpu, i);
  }

  private static void permuteDoubles(Cpu cpu, Instruction i, int control) {
    boolean immediate = i.kind[2] == Instruction.IMMEDIATE;
    long[] from = permuted(cpu, i, immediate);
    for (int n = 0; n < AvxOperand.width(i); n++) {
      int chosen = immediate ? control >> n & 1 : (int) (cpu.vectorB[n] >> 1) & 1;
      cpu.vectorResult[n] = from[(n & 2) + chosen];
    }
    finish(cpu, i);
  }

  static void broadcast(Cpu cpu, Instruction i) {
    long[] b = cpu.vectorB;
    AvxOperand.read(cpu, i, 1, b);
    long low = b[0];
    long high = low;
    switch (i.op) {
      case VPBROADCASTB -> {
        low = (low & 0xff) * 0x0101_0101_0101_0101L;
        high = low;
      }
      case VPBROADCASTW -> {
        low = (low & 0xffff) * 0x0001_0001_0001_0001L;
        high = low;
      }
      case VPBROADCASTD, VBROADCASTSS -> {
        low = low & 0xffff_ffffL | low << 32;
        high = low;
      }
      case VBROADCASTF128, VBROADCASTI128 -> high = b[1];
      default -> {}
    }
    for (int n = 0; n < 4; n += 2) {
      cpu.vectorResult[n] = low;
      cpu.vectorResult[n + 1] = high;
    }
    finish(cpu, i);
  }
}
