package dev.bothy.x86.interpret;

import dev.bothy.x86.decode.Instruction;
import dev.bothy.x86.decode.Op;
import dev.bothy.x86.simd.PackedInteger;

/**
 * VEX forms of the SSE moves, insertions, extractions and widenings (AMD64 APM volume 4), and
 * VZEROALL and VZEROUPPER. {@code base} is the SSE instruction of the same name.
 */
final class AvxMoveOps {
  private AvxMoveOps() {}

  private static long address(Cpu cpu, Instruction i, Op base, int size) {
    return SseMoveOps.isUnaligned(base) ? cpu.linear(i, size) : AvxOperand.aligned(cpu, i, size);
  }

  /** 16 or 32 bytes from memory. */
  static void load(Cpu cpu, Instruction i, Op base) {
    int size = i.size[1];
    AvxOperand.load(cpu, address(cpu, i, base, size), size, cpu.vectorResult);
    AvxOperand.write(cpu, i.register[0], cpu.vectorResult, AvxOperand.width(i));
  }

  /** 16 or 32 bytes to memory. */
  static void store(Cpu cpu, Instruction i, Op base) {
    int size = i.size[0];
    AvxOperand.register(cpu, i.register[1], cpu.vectorResult);
    AvxOperand.store(cpu, address(cpu, i, base, size), size, cpu.vectorResult);
  }

  /** 16 or 32 bytes from register to register. */
  static void copy(Cpu cpu, Instruction i) {
    AvxOperand.register(cpu, i.register[1], cpu.vectorResult);
    AvxOperand.write(cpu, i.register[0], cpu.vectorResult, AvxOperand.width(i));
  }

  static void clear(Cpu cpu, Instruction i) {
    int count = i.mode == 64 ? 16 : 8;
    for (int n = 0; n < count; n++) {
      if (i.op == Op.VZEROALL) {
        AvxOperand.write(cpu, n, 0, 0);
      } else {
        AvxOperand.clearUpper(cpu, n);
      }
    }
  }

  static void execute(Cpu cpu, Instruction i, Op base) {
    switch (base) {
      case MOVSS, MOVSD -> scalar(cpu, i, base == Op.MOVSD);
      case MOVLPS, MOVLPD -> {
        if (i.isMemory(0)) {
          cpu.store64(cpu.linear(i, 8), cpu.xmm(i.register[1], 0));
        } else {
          long low = cpu.load64(cpu.linear(i, 8));
          AvxOperand.write(cpu, i.register[0], low, cpu.xmm(i.register[1], 1));
        }
      }
      case MOVHPS, MOVHPD -> {
        if (i.isMemory(0)) {
          cpu.store64(cpu.linear(i, 8), cpu.xmm(i.register[1], 1));
        } else {
          long high = cpu.load64(cpu.linear(i, 8));
          AvxOperand.write(cpu, i.register[0], cpu.xmm(i.register[1], 0), high);
        }
      }
      case MOVHLPS ->
          AvxOperand.write(
              cpu, i.register[0], cpu.xmm(i.register[2], 1), cpu.xmm(i.register[1], 1));
      case MOVLHPS ->
          AvxOperand.write(
              cpu, i.register[0], cpu.xmm(i.register[1], 0), cpu.xmm(i.register[2], 0));
      case MOVDDUP -> {
        long[] b = cpu.vectorB;
        AvxOperand.read(cpu, i, 1, b);
        b[1] = b[0];
        b[3] = b[2];
        AvxOperand.write(cpu, i.register[0], b, AvxOperand.width(i));
      }
      case MOVD, MOVQ -> {
        SseMoveOps.general(cpu, i);
        if (i.kind[0] == Instruction.XMM) {
          AvxOperand.clearUpper(cpu, i.register[0]);
        }
      }
      default -> throw cpu.raise(GuestFault.UD);
    }
  }

  /** VMOVSS and VMOVSD. */
  private static void scalar(Cpu cpu, Instruction i, boolean wide) {
    if (i.isMemory(0)) {
      long value = cpu.xmm(i.register[1], 0);
      if (wide) {
        cpu.store64(cpu.linear(i, 8), value);
      } else {
        cpu.store32(cpu.linear(i, 4), (int) value);
      }
    } else if (i.isMemory(1)) {
      long value =
          wide ? cpu.load64(cpu.linear(i, 8)) : cpu.load32(cpu.linear(i, 4)) & 0xffff_ffffL;
      AvxOperand.write(cpu, i.register[0], value, 0);
    } else {
      long low = cpu.xmm(i.register[2], 0);
      long kept = cpu.xmm(i.register[1], 0);
      long high = cpu.xmm(i.register[1], 1);
      long mask = wide ? -1L : 0xffff_ffffL;
      AvxOperand.write(cpu, i.register[0], low & mask | kept & ~mask, high);
    }
  }

  static void executePart(Cpu cpu, Instruction i, Op base) {
    int d = i.register[0];
    int control = (int) i.immediate & 0xff;
    switch (base) {
      case MOVMSKPS, MOVMSKPD, PMOVMSKB -> cpu.setGpr32(d, signs(cpu, i, base));
      case PINSRB -> insert(cpu, i, 1, control & 15);
      case PINSRW -> insert(cpu, i, 2, control & 7);
      case PINSRD -> insert(cpu, i, 4, control & 3);
      case PINSRQ -> insert(cpu, i, 8, control & 1);
      case PEXTRB, PEXTRW, PEXTRD, EXTRACTPS, PEXTRQ -> SseMoveOps.extract(cpu, i, base);
      case INSERTPS -> insertSingle(cpu, i, control);
      case PTEST -> test(cpu, i);
      case MASKMOVDQU -> SseMoveOps.maskedStore(cpu, i);
      case LDMXCSR -> SseMoveOps.loadMxcsr(cpu, i);
      case STMXCSR -> cpu.store32(cpu.linear(i, 4), cpu.mxcsr());
      default -> widen(cpu, i, base);
    }
  }

  private static int signs(Cpu cpu, Instruction i, Op base) {
    int s = i.register[1];
    int mask = 0;
    for (int n = 0; n < AvxOperand.width(i); n++) {
      long value = cpu.xmm(s, n);
      mask |=
          switch (base) {
            case MOVMSKPS -> SseMoveOps.signs(value) << 2 * n;
            case MOVMSKPD -> (int) (value >>> 63) << n;
            default -> PackedInteger.pmovmskb(value) << 8 * n;
          };
    }
    return mask;
  }

  private static void insert(Cpu cpu, Instruction i, int size, int position) {
    long value = SseMoveOps.element(cpu, i, 2, size);
    AvxOperand.write(cpu, i.register[0], cpu.xmm(i.register[1], 0), cpu.xmm(i.register[1], 1));
    SseMoveOps.insert(cpu, i.register[0], value, size, position);
  }

  private static void insertSingle(Cpu cpu, Instruction i, int control) {
    long value =
        i.isMemory(2)
            ? cpu.load32(cpu.linear(i, 4)) & 0xffff_ffffL
            : SseMoveOps.extracted(cpu, i.register[2], 4, control >> 6);
    int d = i.register[0];
    AvxOperand.write(cpu, d, cpu.xmm(i.register[1], 0), cpu.xmm(i.register[1], 1));
    SseMoveOps.insert(cpu, d, value, 4, control >> 4 & 3);
    for (int n = 0; n < 4; n++) {
      if ((control >> n & 1) != 0) {
        SseMoveOps.insert(cpu, d, 0, 4, n);
      }
    }
  }

  private static void test(Cpu cpu, Instruction i) {
    long[] a = cpu.vectorA;
    long[] b = cpu.vectorB;
    AvxOperand.read(cpu, i, 1, b);
    AvxOperand.register(cpu, i.register[0], a);
    long common = 0;
    long missing = 0;
    for (int n = 0; n < AvxOperand.width(i); n++) {
      common |= a[n] & b[n];
      missing |= ~a[n] & b[n];
    }
    cpu.setArithmeticFlags((common == 0 ? 0x40 : 0) | (missing == 0 ? 0x01 : 0));
  }

  /** VPMOVSX and VPMOVZX. */
  private static void widen(Cpu cpu, Instruction i, Op base) {
    int form = SseMoveOps.widening(base);
    if (form == 0) {
      throw cpu.raise(GuestFault.UD);
    }
    long[] b = cpu.vectorB;
    AvxOperand.read(cpu, i, 1, b);
    int bytes = SseMoveOps.sourceBytes(form);
    for (int n = 0; n < AvxOperand.width(i); n++) {
      int at = n * bytes;
      cpu.vectorResult[n] = SseMoveOps.widened(b[at >> 3] >>> 8 * (at & 7), form);
    }
    AvxOperand.write(cpu, i.register[0], cpu.vectorResult, AvxOperand.width(i));
  }

  static void compareStrings(Cpu cpu, Instruction i, Op base) {
    StringCompareOps.execute(cpu, i, base);
    if (base == Op.PCMPESTRM || base == Op.PCMPISTRM) {
      AvxOperand.clearUpper(cpu, 0);
    }
  }
}
