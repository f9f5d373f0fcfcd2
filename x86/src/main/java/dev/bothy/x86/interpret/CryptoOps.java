package dev.bothy.x86.interpret;

import dev.bothy.x86.decode.Instruction;
import dev.bothy.x86.decode.Op;
import dev.bothy.x86.simd.AesRound;
import dev.bothy.x86.simd.BinaryPolynomial;
import dev.bothy.x86.simd.ShaRound;

/** AES, PCLMULQDQ and SHA on XMM registers (AMD64 APM volume 4). */
final class CryptoOps {
  private CryptoOps() {}

  static void execute(Cpu cpu, Instruction i) {
    cpu.requireSse();
    int d = i.register[0];
    long bLow;
    long bHigh;
    if (i.kind[1] == Instruction.XMM) {
      bLow = cpu.xmm(i.register[1], 0);
      bHigh = cpu.xmm(i.register[1], 1);
    } else {
      // AMD's processors want the operand of AES and PCLMULQDQ aligned, but not that of SHA.
      long at = isSha(i) ? cpu.linear(i, 16) : SseOperand.aligned(cpu, i);
      bLow = cpu.load64(at);
      bHigh = cpu.load64(at + 8);
    }
    long aLow = cpu.xmm(d, 0);
    long aHigh = cpu.xmm(d, 1);
    int control = (int) i.immediate & 0xff;
    if (lane(i.op, aLow, aHigh, bLow, bHigh, control, cpu.vector)) {
      setFromScratch(cpu, d);
      return;
    }
    switch (i.op) {
      case SHA1MSG1 -> {
        cpu.setXmm(d, 0, aLow ^ bHigh);
        cpu.setXmm(d, 1, aHigh ^ aLow);
      }
      case SHA1NEXTE -> {
        cpu.setXmm(d, 0, bLow);
        cpu.setXmm(d, 1, ShaRound.sha1NextE(aHigh, bHigh));
      }
      case SHA1MSG2 -> {
        ShaRound.sha1Message2(aLow, aHigh, bLow, bHigh, cpu.vector);
        setFromScratch(cpu, d);
      }
      case SHA1RNDS4 -> {
        ShaRound.sha1Rounds4(aLow, aHigh, bLow, bHigh, control & 3, cpu.vector);
        setFromScratch(cpu, d);
      }
      case SHA256RNDS2 -> {
        ShaRound.sha256Rounds2(aLow, aHigh, bLow, bHigh, cpu.xmm(0, 0), cpu.vector);
        setFromScratch(cpu, d);
      }
      case SHA256MSG1 -> {
        cpu.setXmm(d, 0, ShaRound.sha256Message1(aLow, (int) aHigh));
        cpu.setXmm(d, 1, ShaRound.sha256Message1(aHigh, (int) bLow));
      }
      case SHA256MSG2 -> {
        ShaRound.sha256Message2(aLow, aHigh, bHigh, cpu.vector);
        setFromScratch(cpu, d);
      }
      default -> throw cpu.raise(GuestFault.UD);
    }
  }

  /**
   * Computes 128 bits of AES and PCLMULQDQ: {@code b} is the last operand, {@code a} the one
   * before. False if the instruction is none of these.
   */
  static boolean lane(
      Op op, long aLow, long aHigh, long bLow, long bHigh, int control, long[] result) {
    switch (op) {
      case AESENC -> {
        result[0] = AesRound.encrypt(aLow, aHigh) ^ bLow;
        result[1] = AesRound.encrypt(aHigh, aLow) ^ bHigh;
      }
      case AESENCLAST -> {
        result[0] = AesRound.encryptLast(aLow, aHigh) ^ bLow;
        result[1] = AesRound.encryptLast(aHigh, aLow) ^ bHigh;
      }
      case AESDEC -> {
        result[0] = AesRound.decrypt(aLow, aHigh) ^ bLow;
        result[1] = AesRound.decrypt(aHigh, aLow) ^ bHigh;
      }
      case AESDECLAST -> {
        result[0] = AesRound.decryptLast(aLow, aHigh) ^ bLow;
        result[1] = AesRound.decryptLast(aHigh, aLow) ^ bHigh;
      }
      case AESIMC -> {
        result[0] = AesRound.inverseMixColumns(bLow);
        result[1] = AesRound.inverseMixColumns(bHigh);
      }
      case AESKEYGENASSIST -> {
        result[0] = AesRound.keyAssist(bLow, control);
        result[1] = AesRound.keyAssist(bHigh, control);
      }
      case PCLMULQDQ -> {
        long x = (control & 1) != 0 ? aHigh : aLow;
        long y = (control & 16) != 0 ? bHigh : bLow;
        result[0] = BinaryPolynomial.multiplyLow(x, y);
        result[1] = BinaryPolynomial.multiplyHigh(x, y);
      }
      default -> {
        return false;
      }
    }
    return true;
  }

  private static boolean isSha(Instruction i) {
    return switch (i.op) {
      case SHA1MSG1, SHA1NEXTE, SHA1MSG2, SHA1RNDS4, SHA256RNDS2, SHA256MSG1, SHA256MSG2 -> true;
      default -> false;
    };
  }

  private static void setFromScratch(Cpu cpu, int register) {
    cpu.setXmm(register, 0, cpu.vector[0]);
    cpu.setXmm(register, 1, cpu.vector[1]);
  }
}
