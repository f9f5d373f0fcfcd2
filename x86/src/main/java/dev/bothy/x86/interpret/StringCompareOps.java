package dev.bothy.x86.interpret;

import dev.bothy.core.cpu.CpuState;
import dev.bothy.x86.decode.Instruction;
import dev.bothy.x86.decode.Op;
import dev.bothy.x86.simd.StringCompare;

/**
 * PCMPESTRI, PCMPESTRM, PCMPISTRI, PCMPISTRM (AMD64 APM volume 4). Their memory operand needs no
 * alignment.
 */
final class StringCompareOps {
  private StringCompareOps() {}

  static void execute(Cpu cpu, Instruction i) {
    cpu.requireSse();
    execute(cpu, i, i.op);
  }

  /** The same for the VEX form of {@code op}, where SSE need not be enabled. */
  static void execute(Cpu cpu, Instruction i, Op op) {
    long bLow;
    long bHigh;
    if (i.kind[1] == Instruction.XMM) {
      bLow = cpu.xmm(i.register[1], 0);
      bHigh = cpu.xmm(i.register[1], 1);
    } else {
      long at = cpu.linear(i, 16);
      bLow = cpu.load64(at);
      bHigh = cpu.load64(at + 8);
    }
    long aLow = cpu.xmm(i.register[0], 0);
    long aHigh = cpu.xmm(i.register[0], 1);
    int control = (int) i.immediate & 0xff;
    int aLength;
    int bLength;
    switch (op) {
      case PCMPESTRI, PCMPESTRM -> {
        long a = cpu.gpr(CpuState.RAX);
        long b = cpu.gpr(CpuState.RDX);
        boolean wide = i.mode == 64 && i.w;
        aLength = StringCompare.explicitLength(wide ? a : (int) a, control);
        bLength = StringCompare.explicitLength(wide ? b : (int) b, control);
      }
      case PCMPISTRI, PCMPISTRM -> {
        aLength = StringCompare.implicitLength(aLow, aHigh, control);
        bLength = StringCompare.implicitLength(bLow, bHigh, control);
      }
      default -> throw cpu.raise(GuestFault.UD);
    }
    int result = StringCompare.compare(aLow, aHigh, aLength, bLow, bHigh, bLength, control);
    switch (op) {
      case PCMPESTRI, PCMPISTRI -> cpu.setGpr32(CpuState.RCX, StringCompare.index(result, control));
      default -> {
        cpu.setXmm(0, 0, StringCompare.mask(result, 0, control));
        cpu.setXmm(0, 1, StringCompare.mask(result, 1, control));
      }
    }
    cpu.setArithmeticFlags(StringCompare.flags(result, aLength, bLength, control));
  }
}
