package dev.bothy.x86.interpret;

import dev.bothy.x86.decode.Instruction;
import dev.bothy.x86.decode.Op;
import dev.bothy.x86.simd.BlockSearch;
import dev.bothy.x86.simd.PackedInteger;

/**
 * SSE instructions on XMM registers that move data between the halves: unpacking, packing,
 * shuffling, blending, horizontal sums (AMD64 APM volume 4).
 */
final class SseShuffleOps {
  private SseShuffleOps() {}

  static void execute(Cpu cpu, Instruction i) {
    cpu.requireSse();
    int d = i.register[0];
    long bLow = 0;
    long bHigh = 0;
    if (i.kind[1] == Instruction.XMM) {
      bLow = cpu.xmm(i.register[1], 0);
      bHigh = cpu.xmm(i.register[1], 1);
    } else if (i.kind[1] == Instruction.MEMORY) {
      long at = SseOperand.aligned(cpu, i);
      bLow = cpu.load64(at);
      bHigh = cpu.load64(at + 8);
    }
    long[] result = cpu.vector;
    int control = (int) i.immediate & 0xff;
    boolean known =
        i.op == Op.PBLENDVB || i.op == Op.BLENDVPS || i.op == Op.BLENDVPD
            ? blend(
                i.op,
                cpu.xmm(d, 0),
                cpu.xmm(d, 1),
                bLow,
                bHigh,
                cpu.xmm(0, 0),
                cpu.xmm(0, 1),
                result)
            : lane(i.op, cpu.xmm(d, 0), cpu.xmm(d, 1), bLow, bHigh, control, result);
    if (!known) {
      throw cpu.raise(GuestFault.UD);
    }
    cpu.setXmm(d, 0, result[0]);
    cpu.setXmm(d, 1, result[1]);
  }

  /**
   * Computes 128 bits of what is neither PBLENDVB nor its kin: {@code b} is the last operand,
   * {@code a} the one before. False if the instruction is none of these.
   */
  static boolean lane(
      Op op, long aLow, long aHigh, long bLow, long bHigh, int control, long[] result) {
    long low;
    long high;
    switch (op) {
      case PUNPCKLBW -> {
        low = PackedInteger.punpcklbw(aLow, bLow);
        high = PackedInteger.punpckhbw(aLow, bLow);
      }
      case PUNPCKLWD -> {
        low = PackedInteger.punpcklwd(aLow, bLow);
        high = PackedInteger.punpckhwd(aLow, bLow);
      }
      case PUNPCKLDQ, UNPCKLPS -> {
        low = PackedInteger.punpckldq(aLow, bLow);
        high = PackedInteger.punpckhdq(aLow, bLow);
      }
      case PUNPCKLQDQ, UNPCKLPD -> {
        low = aLow;
        high = bLow;
      }
      case PUNPCKHBW -> {
        low = PackedInteger.punpcklbw(aHigh, bHigh);
        high = PackedInteger.punpckhbw(aHigh, bHigh);
      }
      case PUNPCKHWD -> {
        low = PackedInteger.punpcklwd(aHigh, bHigh);
        high = PackedInteger.punpckhwd(aHigh, bHigh);
      }
      case PUNPCKHDQ, UNPCKHPS -> {
        low = PackedInteger.punpckldq(aHigh, bHigh);
        high = PackedInteger.punpckhdq(aHigh, bHigh);
      }
      case PUNPCKHQDQ, UNPCKHPD -> {
        low = aHigh;
        high = bHigh;
      }
      case PACKSSWB -> {
        low = PackedInteger.packsswb(aLow, aHigh);
        high = PackedInteger.packsswb(bLow, bHigh);
      }
      case PACKUSWB -> {
        low = PackedInteger.packuswb(aLow, aHigh);
        high = PackedInteger.packuswb(bLow, bHigh);
      }
      case PACKSSDW -> {
        low = PackedInteger.packssdw(aLow, aHigh);
        high = PackedInteger.packssdw(bLow, bHigh);
      }
      case PACKUSDW -> {
        low = PackedInteger.packusdw(aLow, aHigh);
        high = PackedInteger.packusdw(bLow, bHigh);
      }
      case PSHUFB -> {
        low = PackedInteger.pshufb(aLow, aHigh, bLow);
        high = PackedInteger.pshufb(aLow, aHigh, bHigh);
      }
      case PSRLDQ -> {
        low = bytes(aLow, aHigh, 0, 0, control);
        high = bytes(aHigh, 0, 0, 0, control);
      }
      case PSLLDQ -> {
        int left = Math.min(control, 16);
        low = bytes(0, 0, aLow, aHigh, 16 - left);
        high = bytes(0, aLow, aHigh, 0, 16 - left);
      }
      case PALIGNR -> {
        low = bytes(bLow, bHigh, aLow, aHigh, control);
        high = bytes(bHigh, aLow, aHigh, 0, control);
      }
      default -> {
        return rareLane(op, aLow, aHigh, bLow, bHigh, control, result);
      }
    }
    result[0] = low;
    result[1] = high;
    return true;
  }

  private static boolean rareLane(
      Op op, long aLow, long aHigh, long bLow, long bHigh, int control, long[] result) {
    long low;
    long high;
    switch (op) {
      case PSHUFD -> {
        low = pair(bLow, bHigh, control);
        high = pair(bLow, bHigh, control >> 4);
      }
      case PSHUFLW -> {
        low = PackedInteger.pshufw(bLow, control);
        high = bHigh;
      }
      case PSHUFHW -> {
        low = bLow;
        high = PackedInteger.pshufw(bHigh, control);
      }
      case SHUFPS -> {
        low = pair(aLow, aHigh, control);
        high = pair(bLow, bHigh, control >> 4);
      }
      case SHUFPD -> {
        low = (control & 1) != 0 ? aHigh : aLow;
        high = (control & 2) != 0 ? bHigh : bLow;
      }
      case MOVSLDUP -> {
        low = pair(bLow, bHigh, 0b0000);
        high = pair(bLow, bHigh, 0b1010);
      }
      case MOVSHDUP -> {
        low = pair(bLow, bHigh, 0b0101);
        high = pair(bLow, bHigh, 0b1111);
      }
      case PHADDW -> {
        low = PackedInteger.phaddw(aLow, aHigh);
        high = PackedInteger.phaddw(bLow, bHigh);
      }
      case PHADDD -> {
        low = PackedInteger.phaddd(aLow, aHigh);
        high = PackedInteger.phaddd(bLow, bHigh);
      }
      case PHADDSW -> {
        low = PackedInteger.phaddsw(aLow, aHigh);
        high = PackedInteger.phaddsw(bLow, bHigh);
      }
      case PHSUBW -> {
        low = PackedInteger.phsubw(aLow, aHigh);
        high = PackedInteger.phsubw(bLow, bHigh);
      }
      case PHSUBD -> {
        low = PackedInteger.phsubd(aLow, aHigh);
        high = PackedInteger.phsubd(bLow, bHigh);
      }
      case PHSUBSW -> {
        low = PackedInteger.phsubsw(aLow, aHigh);
        high = PackedInteger.phsubsw(bLow, bHigh);
      }
      case MPSADBW -> {
        low = BlockSearch.sums(aLow, aHigh, bLow, bHigh, control, 0);
        high = BlockSearch.sums(aLow, aHigh, bLow, bHigh, control, 1);
      }
      case PHMINPOSUW -> {
        low = BlockSearch.minimumPosition(bLow, bHigh);
        high = 0;
      }
      case PBLENDW -> {
        low = blend(aLow, bLow, wordMask(control));
        high = blend(aHigh, bHigh, wordMask(control >> 4));
      }
      case BLENDPS -> {
        low = blend(aLow, bLow, singleMask(control));
        high = blend(aHigh, bHigh, singleMask(control >> 2));
      }
      case BLENDPD -> {
        low = (control & 1) != 0 ? bLow : aLow;
        high = (control & 2) != 0 ? bHigh : aHigh;
      }
      default -> {
        return false;
      }
    }
    result[0] = low;
    result[1] = high;
    return true;
  }

  /** PBLENDVB, BLENDVPS and BLENDVPD on 128 bits: sign bits of the mask choose {@code b}. */
  static boolean blend(
      Op op,
      long aLow,
      long aHigh,
      long bLow,
      long bHigh,
      long maskLow,
      long maskHigh,
      long[] result) {
    switch (op) {
      case PBLENDVB -> {
        result[0] = PackedInteger.blendBytes(aLow, bLow, maskLow);
        result[1] = PackedInteger.blendBytes(aHigh, bHigh, maskHigh);
      }
      case BLENDVPS -> {
        result[0] = blend(aLow, bLow, PackedInteger.psrad(maskLow, 31));
        result[1] = blend(aHigh, bHigh, PackedInteger.psrad(maskHigh, 31));
      }
      case BLENDVPD -> {
        result[0] = maskLow < 0 ? bLow : aLow;
        result[1] = maskHigh < 0 ? bHigh : aHigh;
      }
      default -> {
        return false;
      }
    }
    return true;
  }

  /**
   * Eight bytes from byte {@code offset} (0 or more) of the four longs w0 to w3, zeros behind them.
   */
  private static long bytes(long w0, long w1, long w2, long w3, int offset) {
    long here;
    long next;
    switch (offset >> 3) {
      case 0 -> {
        here = w0;
        next = w1;
      }
      case 1 -> {
        here = w1;
        next = w2;
      }
      case 2 -> {
        here = w2;
        next = w3;
      }
      case 3 -> {
        here = w3;
        next = 0;
      }
      default -> {
        return 0;
      }
    }
    int shift = (offset & 7) << 3;
    return shift == 0 ? here : here >>> shift | next << 64 - shift;
  }

  /** Two of four elements of 32 bits, as the low four bits of {@code order} say. */
  static long pair(long low, long high, int order) {
    long first = ((order & 2) != 0 ? high : low) >>> ((order & 1) << 5) & 0xffff_ffffL;
    long second = ((order & 8) != 0 ? high : low) >>> ((order & 4) << 3);
    return first | second << 32;
  }

  private static long blend(long a, long b, long mask) {
    return a & ~mask | b & mask;
  }

  private static long wordMask(int control) {
    long mask = 0;
    for (int i = 0; i < 4; i++) {
      if ((control >> i & 1) != 0) {
        mask |= 0xffffL << 16 * i;
      }
    }
    return mask;
  }

  private static long singleMask(int control) {
    return ((control & 1) != 0 ? 0xffff_ffffL : 0) | ((control & 2) != 0 ? -1L << 32 : 0);
  }
}
