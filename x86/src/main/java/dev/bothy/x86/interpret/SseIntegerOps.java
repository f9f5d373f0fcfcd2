package dev.bothy.x86.interpret;

import dev.bothy.x86.decode.Instruction;
import dev.bothy.x86.decode.Op;
import dev.bothy.x86.simd.PackedInteger;

/**
 * SSE integer instructions on XMM registers whose 64-bit halves do not see each other, bitwise
 * floating-point instructions among them, and shifts (AMD64 APM volume 4).
 */
final class SseIntegerOps {
  private SseIntegerOps() {}

  static void execute(Cpu cpu, Instruction i) {
    cpu.requireSse();
    int d = i.register[0];
    long low;
    long high;
    if (i.kind[1] == Instruction.XMM) {
      low = cpu.xmm(i.register[1], 0);
      high = cpu.xmm(i.register[1], 1);
    } else {
      long at = SseOperand.aligned(cpu, i);
      low = cpu.load64(at);
      high = cpu.load64(at + 8);
    }
    cpu.setXmm(d, 0, half(i.op, cpu.xmm(d, 0), low));
    cpu.setXmm(d, 1, half(i.op, cpu.xmm(d, 1), high));
  }

  /** 64 bits of the result from the same 64 bits of both sources. */
  static long half(Op op, long a, long b) {
    return switch (op) {
      case PAND, ANDPS, ANDPD -> a & b;
      case PANDN, ANDNPS, ANDNPD -> ~a & b;
      case POR, ORPS, ORPD -> a | b;
      case PXOR, XORPS, XORPD -> a ^ b;
      case PADDB -> PackedInteger.paddb(a, b);
      case PADDW -> PackedInteger.paddw(a, b);
      case PADDD -> PackedInteger.paddd(a, b);
      case PADDQ -> a + b;
      case PSUBB -> PackedInteger.psubb(a, b);
      case PSUBW -> PackedInteger.psubw(a, b);
      case PSUBD -> PackedInteger.psubd(a, b);
      case PSUBQ -> a - b;
      case PCMPEQB -> PackedInteger.pcmpeqb(a, b);
      case PCMPEQW -> PackedInteger.pcmpeqw(a, b);
      case PCMPEQD -> PackedInteger.pcmpeqd(a, b);
      case PCMPEQQ -> PackedInteger.pcmpeqq(a, b);
      case PCMPGTB -> PackedInteger.pcmpgtb(a, b);
      case PCMPGTW -> PackedInteger.pcmpgtw(a, b);
      case PCMPGTD -> PackedInteger.pcmpgtd(a, b);
      case PCMPGTQ -> PackedInteger.pcmpgtq(a, b);
      case PMINUB -> PackedInteger.pminub(a, b);
      case PMAXUB -> PackedInteger.pmaxub(a, b);
      case PMINSW -> PackedInteger.pminsw(a, b);
      case PMAXSW -> PackedInteger.pmaxsw(a, b);
      case PMULLW -> PackedInteger.pmullw(a, b);
      case PMULHW -> PackedInteger.pmulhw(a, b);
      case PMULHUW -> PackedInteger.pmulhuw(a, b);
      case PMULUDQ -> PackedInteger.pmuludq(a, b);
      case PMADDWD -> PackedInteger.pmaddwd(a, b);
      case PSADBW -> PackedInteger.psadbw(a, b);
      default -> rareHalf(op, a, b);
    };
  }

  private static long rareHalf(Op op, long a, long b) {
    return switch (op) {
      case PADDSB -> PackedInteger.paddsb(a, b);
      case PADDSW -> PackedInteger.paddsw(a, b);
      case PADDUSB -> PackedInteger.paddusb(a, b);
      case PADDUSW -> PackedInteger.paddusw(a, b);
      case PSUBSB -> PackedInteger.psubsb(a, b);
      case PSUBSW -> PackedInteger.psubsw(a, b);
      case PSUBUSB -> PackedInteger.psubusb(a, b);
      case PSUBUSW -> PackedInteger.psubusw(a, b);
      case PMINSB -> PackedInteger.pminsb(a, b);
      case PMAXSB -> PackedInteger.pmaxsb(a, b);
      case PMINUW -> PackedInteger.pminuw(a, b);
      case PMAXUW -> PackedInteger.pmaxuw(a, b);
      case PMINSD -> PackedInteger.pminsd(a, b);
      case PMAXSD -> PackedInteger.pmaxsd(a, b);
      case PMINUD -> PackedInteger.pminud(a, b);
      case PMAXUD -> PackedInteger.pmaxud(a, b);
      case PAVGB -> PackedInteger.pavgb(a, b);
      case PAVGW -> PackedInteger.pavgw(a, b);
      case PABSB -> PackedInteger.pabsb(b);
      case PABSW -> PackedInteger.pabsw(b);
      case PABSD -> PackedInteger.pabsd(b);
      case PSIGNB -> PackedInteger.psignb(a, b);
      case PSIGNW -> PackedInteger.psignw(a, b);
      case PSIGND -> PackedInteger.psignd(a, b);
      case PMULHRSW -> PackedInteger.pmulhrsw(a, b);
      case PMULLD -> PackedInteger.pmulld(a, b);
      case PMULDQ -> PackedInteger.pmuldq(a, b);
      case PMADDUBSW -> PackedInteger.pmaddubsw(a, b);
      default -> throw new IllegalArgumentException(op.name());
    };
  }

  /** PSLLW to PSRLQ: the count is an immediate or the low 64 bits of the second operand. */
  static void executeShift(Cpu cpu, Instruction i) {
    cpu.requireSse();
    int d = i.register[0];
    long count =
        switch (i.kind[1]) {
          case Instruction.XMM -> cpu.xmm(i.register[1], 0);
          case Instruction.MEMORY -> {
            long at = SseOperand.aligned(cpu, i);
            long low = cpu.load64(at);
            cpu.load64(at + 8);
            yield low;
          }
          default -> i.immediate & 0xff;
        };
    cpu.setXmm(d, 0, shifted(i.op, cpu.xmm(d, 0), count));
    cpu.setXmm(d, 1, shifted(i.op, cpu.xmm(d, 1), count));
  }

  static long shifted(Op op, long a, long count) {
    return switch (op) {
      case PSLLW -> PackedInteger.psllw(a, count);
      case PSLLD -> PackedInteger.pslld(a, count);
      case PSLLQ -> PackedInteger.psllq(a, count);
      case PSRLW -> PackedInteger.psrlw(a, count);
      case PSRLD -> PackedInteger.psrld(a, count);
      case PSRLQ -> PackedInteger.psrlq(a, count);
      case PSRAW -> PackedInteger.psraw(a, count);
      case PSRAD -> PackedInteger.psrad(a, count);
      default -> throw new IllegalArgumentException(op.name());
    };
  }
}
