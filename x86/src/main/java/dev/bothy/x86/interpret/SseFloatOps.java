package dev.bothy.x86.interpret;

import dev.bothy.x86.decode.Instruction;
import dev.bothy.x86.simd.Float32;
import dev.bothy.x86.simd.Float64;
import dev.bothy.x86.simd.FloatEnvironment;
import dev.bothy.x86.simd.PackedFloat;

/**
 * SSE floating-point arithmetic and comparison (AMD64 APM volume 4). Two groups: {@link #execute}
 * has what works element by element with one function, {@link #executeRare} comparisons, rounding,
 * and what combines neighbours.
 */
final class SseFloatOps {
  private SseFloatOps() {}

  static void execute(Cpu cpu, Instruction i) {
    cpu.requireSse();
    switch (i.op) {
      case ADDPS -> packedSingle(cpu, i, PackedFloat.ADD);
      case SUBPS -> packedSingle(cpu, i, PackedFloat.SUB);
      case MULPS -> packedSingle(cpu, i, PackedFloat.MUL);
      case DIVPS -> packedSingle(cpu, i, PackedFloat.DIV);
      case MINPS -> packedSingle(cpu, i, PackedFloat.MIN);
      case MAXPS -> packedSingle(cpu, i, PackedFloat.MAX);
      case SQRTPS -> packedSingle(cpu, i, PackedFloat.SQRT);
      case RCPPS -> packedSingle(cpu, i, PackedFloat.RCP);
      case RSQRTPS -> packedSingle(cpu, i, PackedFloat.RSQRT);
      case ADDSS -> scalarSingle(cpu, i, PackedFloat.ADD);
      case SUBSS -> scalarSingle(cpu, i, PackedFloat.SUB);
      case MULSS -> scalarSingle(cpu, i, PackedFloat.MUL);
      case DIVSS -> scalarSingle(cpu, i, PackedFloat.DIV);
      case MINSS -> scalarSingle(cpu, i, PackedFloat.MIN);
      case MAXSS -> scalarSingle(cpu, i, PackedFloat.MAX);
      case SQRTSS -> scalarSingle(cpu, i, PackedFloat.SQRT);
      case RCPSS -> scalarSingle(cpu, i, PackedFloat.RCP);
      case RSQRTSS -> scalarSingle(cpu, i, PackedFloat.RSQRT);
      case ADDPD -> packedDouble(cpu, i, PackedFloat.ADD);
      case SUBPD -> packedDouble(cpu, i, PackedFloat.SUB);
      case MULPD -> packedDouble(cpu, i, PackedFloat.MUL);
      case DIVPD -> packedDouble(cpu, i, PackedFloat.DIV);
      case MINPD -> packedDouble(cpu, i, PackedFloat.MIN);
      case MAXPD -> packedDouble(cpu, i, PackedFloat.MAX);
      case SQRTPD -> packedDouble(cpu, i, PackedFloat.SQRT);
      case ADDSD -> scalarDouble(cpu, i, PackedFloat.ADD);
      case SUBSD -> scalarDouble(cpu, i, PackedFloat.SUB);
      case MULSD -> scalarDouble(cpu, i, PackedFloat.MUL);
      case DIVSD -> scalarDouble(cpu, i, PackedFloat.DIV);
      case MINSD -> scalarDouble(cpu, i, PackedFloat.MIN);
      case MAXSD -> scalarDouble(cpu, i, PackedFloat.MAX);
      case SQRTSD -> scalarDouble(cpu, i, PackedFloat.SQRT);
      default -> throw cpu.raise(GuestFault.UD);
    }
  }

  private static void packedSingle(Cpu cpu, Instruction i, int function) {
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
    FloatEnvironment e = SseOperand.begin(cpu);
    low = PackedFloat.singles(function, cpu.xmm(d, 0), low, e);
    high = PackedFloat.singles(function, cpu.xmm(d, 1), high, e);
    SseOperand.commit(cpu, e);
    cpu.setXmm(d, 0, low);
    cpu.setXmm(d, 1, high);
  }

  private static void packedDouble(Cpu cpu, Instruction i, int function) {
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
    FloatEnvironment e = SseOperand.begin(cpu);
    low = PackedFloat.doubles(function, cpu.xmm(d, 0), low, e);
    high = PackedFloat.doubles(function, cpu.xmm(d, 1), high, e);
    SseOperand.commit(cpu, e);
    cpu.setXmm(d, 0, low);
    cpu.setXmm(d, 1, high);
  }

  private static void scalarSingle(Cpu cpu, Instruction i, int function) {
    int d = i.register[0];
    int source = SseOperand.read32(cpu, i, 1);
    FloatEnvironment e = SseOperand.begin(cpu);
    int result = PackedFloat.single(function, (int) cpu.xmm(d, 0), source, e);
    SseOperand.commit(cpu, e);
    SseOperand.setLow32(cpu, d, result);
  }

  private static void scalarDouble(Cpu cpu, Instruction i, int function) {
    int d = i.register[0];
    long source = SseOperand.read64(cpu, i, 1);
    FloatEnvironment e = SseOperand.begin(cpu);
    long result = PackedFloat.doubles(function, cpu.xmm(d, 0), source, e);
    SseOperand.commit(cpu, e);
    cpu.setXmm(d, 0, result);
  }

  static void executeRare(Cpu cpu, Instruction i) {
    cpu.requireSse();
    switch (i.op) {
      case UCOMISS -> orderSingle(cpu, i, false);
      case COMISS -> orderSingle(cpu, i, true);
      case UCOMISD -> orderDouble(cpu, i, false);
      case COMISD -> orderDouble(cpu, i, true);
      case CMPSS -> {
        int d = i.register[0];
        int source = SseOperand.read32(cpu, i, 1);
        FloatEnvironment e = SseOperand.begin(cpu);
        int result =
            PackedFloat.compareSingle((int) cpu.xmm(d, 0), source, (int) i.immediate & 7, e);
        SseOperand.commit(cpu, e);
        SseOperand.setLow32(cpu, d, result);
      }
      case CMPSD -> {
        int d = i.register[0];
        long source = SseOperand.read64(cpu, i, 1);
        FloatEnvironment e = SseOperand.begin(cpu);
        long result = PackedFloat.compareDouble(cpu.xmm(d, 0), source, (int) i.immediate & 7, e);
        SseOperand.commit(cpu, e);
        cpu.setXmm(d, 0, result);
      }
      case ROUNDSS -> {
        int source = SseOperand.read32(cpu, i, 1);
        FloatEnvironment e = SseOperand.begin(cpu);
        int result = Float32.toIntegral(source, (int) i.immediate & 15, e);
        SseOperand.commit(cpu, e);
        SseOperand.setLow32(cpu, i.register[0], result);
      }
      case ROUNDSD -> {
        long source = SseOperand.read64(cpu, i, 1);
        FloatEnvironment e = SseOperand.begin(cpu);
        long result = Float64.toIntegral(source, (int) i.immediate & 15, e);
        SseOperand.commit(cpu, e);
        cpu.setXmm(i.register[0], 0, result);
      }
      default -> packedRare(cpu, i);
    }
  }

  private static void packedRare(Cpu cpu, Instruction i) {
    int d = i.register[0];
    long bLow;
    long bHigh;
    if (i.kind[1] == Instruction.XMM) {
      bLow = cpu.xmm(i.register[1], 0);
      bHigh = cpu.xmm(i.register[1], 1);
    } else {
      long at = SseOperand.aligned(cpu, i);
      bLow = cpu.load64(at);
      bHigh = cpu.load64(at + 8);
    }
    FloatEnvironment e = SseOperand.begin(cpu);
    long aLow = cpu.xmm(d, 0);
    long aHigh = cpu.xmm(d, 1);
    int control = (int) i.immediate & 0xff;
    long low;
    long high;
    switch (i.op) {
      case CMPPS -> {
        low = PackedFloat.compareSingles(aLow, bLow, control & 7, e);
        high = PackedFloat.compareSingles(aHigh, bHigh, control & 7, e);
      }
      case CMPPD -> {
        low = PackedFloat.compareDouble(aLow, bLow, control & 7, e);
        high = PackedFloat.compareDouble(aHigh, bHigh, control & 7, e);
      }
      case ROUNDPS -> {
        low = PackedFloat.roundSingles(bLow, control & 15, e);
        high = PackedFloat.roundSingles(bHigh, control & 15, e);
      }
      case ROUNDPD -> {
        low = Float64.toIntegral(bLow, control & 15, e);
        high = Float64.toIntegral(bHigh, control & 15, e);
      }
      case HADDPS -> {
        low = PackedFloat.addNeighbours(aLow, aHigh, e);
        high = PackedFloat.addNeighbours(bLow, bHigh, e);
      }
      case HADDPD -> {
        low = Float64.add(aLow, aHigh, e);
        high = Float64.add(bLow, bHigh, e);
      }
      case HSUBPS -> {
        low = PackedFloat.subtractNeighbours(aLow, aHigh, e);
        high = PackedFloat.subtractNeighbours(bLow, bHigh, e);
      }
      case HSUBPD -> {
        low = Float64.subtract(aLow, aHigh, e);
        high = Float64.subtract(bLow, bHigh, e);
      }
      case ADDSUBPS -> {
        low = PackedFloat.subtractAdd(aLow, bLow, e);
        high = PackedFloat.subtractAdd(aHigh, bHigh, e);
      }
      case ADDSUBPD -> {
        low = Float64.subtract(aLow, bLow, e);
        high = Float64.add(aHigh, bHigh, e);
      }
      case DPPS -> {
        long sum = PackedFloat.dotSingles(aLow, aHigh, bLow, bHigh, control, e) & 0xffff_ffffL;
        low = sum * (control & 1) | (sum * (control >> 1 & 1)) << 32;
        high = sum * (control >> 2 & 1) | (sum * (control >> 3 & 1)) << 32;
      }
      case DPPD -> {
        long sum = PackedFloat.dotDoubles(aLow, aHigh, bLow, bHigh, control, e);
        low = (control & 1) != 0 ? sum : 0;
        high = (control & 2) != 0 ? sum : 0;
      }
      default -> throw cpu.raise(GuestFault.UD);
    }
    SseOperand.commit(cpu, e);
    cpu.setXmm(d, 0, low);
    cpu.setXmm(d, 1, high);
  }

  private static void orderSingle(Cpu cpu, Instruction i, boolean signalling) {
    int source = SseOperand.read32(cpu, i, 1);
    FloatEnvironment e = SseOperand.begin(cpu);
    int order = Float32.compare((int) cpu.xmm(i.register[0], 0), source, signalling, e);
    SseOperand.commit(cpu, e);
    cpu.setArithmeticFlags(PackedFloat.orderFlags(order));
  }

  private static void orderDouble(Cpu cpu, Instruction i, boolean signalling) {
    long source = SseOperand.read64(cpu, i, 1);
    FloatEnvironment e = SseOperand.begin(cpu);
    int order = Float64.compare(cpu.xmm(i.register[0], 0), source, signalling, e);
    SseOperand.commit(cpu, e);
    cpu.setArithmeticFlags(PackedFloat.orderFlags(order));
  }
}
