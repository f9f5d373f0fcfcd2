package dev.bothy.x86.interpret;

import dev.bothy.x86.decode.Instruction;
import dev.bothy.x86.decode.Op;
import dev.bothy.x86.fpu.Extended;
import dev.bothy.x86.fpu.ExtendedArithmetic;
import dev.bothy.x86.fpu.ExtendedConstant;
import dev.bothy.x86.fpu.ExtendedConversion;
import dev.bothy.x86.fpu.ExtendedTranscendental;

/**
 * The rarer x87 instructions that compute: constants, square root, remainders, transcendental
 * functions, decimals.
 */
final class X87Functions {
  private static final int QUOTIENT = Extended.C3 | Extended.C2 | Extended.C0;

  private X87Functions() {}

  static void execute(Cpu cpu, Instruction i) {
    cpu.requireX87();
    switch (i.op) {
      case FBLD -> {
        loadDecimal(cpu, i);
        return;
      }
      case FBSTP -> {
        storeDecimal(cpu, i);
        return;
      }
      default -> X87Stack.record(cpu, i);
    }
    switch (i.op) {
      case FCHS -> changeSign(cpu, Extended.SIGN, Extended.SIGN);
      case FABS -> changeSign(cpu, 0, Extended.SIGN);
      case FXAM -> examine(cpu);
      case FLD1 -> constant(cpu, ExtendedConstant.ONE);
      case FLDZ -> constant(cpu, ExtendedConstant.ZERO);
      case FLDPI -> constant(cpu, ExtendedConstant.PI);
      case FLDL2T -> constant(cpu, ExtendedConstant.LOG2_10);
      case FLDL2E -> constant(cpu, ExtendedConstant.LOG2_E);
      case FLDLG2 -> constant(cpu, ExtendedConstant.LOG10_2);
      case FLDLN2 -> constant(cpu, ExtendedConstant.LN_2);
      case FSQRT, FRNDINT, F2XM1 -> unary(cpu, i);
      case FSIN, FCOS, FPTAN, FSINCOS -> trigonometric(cpu, i);
      case FSCALE, FPREM, FPREM1 -> binary(cpu, i);
      case FYL2X, FYL2XP1, FPATAN -> binaryAndPop(cpu, i);
      case FXTRACT -> extract(cpu);
      case FSTPNCE -> storeUnchecked(cpu, i);
      default -> throw new AssertionError(i.op);
    }
  }

  /** FCHS and FABS: exponent word to {@code (e & ~and) | (e ^ xor) & and}. */
  private static void changeSign(Cpu cpu, int xor, int and) {
    int r = X87Stack.physical(cpu, 0);
    if (X87Stack.isEmpty(cpu, r)) {
      underflow(cpu, r);
      return;
    }
    X87Stack.commit(cpu, 0, 0);
    int e = X87Stack.exponent(cpu, r);
    int sign = xor == 0 ? 0 : (e ^ xor) & and;
    X87Stack.set(cpu, r, X87Stack.significand(cpu, r), e & ~and | sign);
  }

  private static void underflow(Cpu cpu, int destination) {
    if (X87Stack.underflow(cpu)) {
      X87Stack.fill(cpu, destination, Extended.INDEFINITE, 0xffff);
    }
  }

  private static void examine(Cpu cpu) {
    int r = X87Stack.physical(cpu, 0);
    int classOfValue =
        ExtendedArithmetic.examine(
            X87Stack.significand(cpu, r), X87Stack.exponent(cpu, r), X87Stack.isEmpty(cpu, r));
    int conditions = Extended.C0 | Extended.C1 | Extended.C2 | Extended.C3;
    X87Stack.setStatus(cpu, X87Stack.status(cpu) & ~conditions | classOfValue);
  }

  private static void constant(Cpu cpu, ExtendedConstant constant) {
    Extended r = cpu.x87;
    r.flags = 0;
    constant.load(r, X87Stack.control(cpu));
    X87Ops.push(cpu, r);
  }

  private static void unary(Cpu cpu, Instruction i) {
    int a = X87Stack.physical(cpu, 0);
    if (X87Stack.isEmpty(cpu, a)) {
      underflow(cpu, a);
      return;
    }
    Extended r = cpu.x87;
    r.flags = 0;
    int control = X87Stack.control(cpu);
    long s = X87Stack.significand(cpu, a);
    int e = X87Stack.exponent(cpu, a);
    switch (i.op) {
      case FSQRT -> ExtendedArithmetic.squareRoot(r, control, s, e);
      case FRNDINT -> ExtendedArithmetic.roundToInteger(r, control, s, e);
      default -> ExtendedTranscendental.exp2Minus1(r, control, s, e);
    }
    if (X87Stack.commit(cpu, r.flags, 0)) {
      X87Stack.set(cpu, a, r.significand, r.exponent);
    }
  }

  private static void binary(Cpu cpu, Instruction i) {
    int a = X87Stack.physical(cpu, 0);
    int b = X87Stack.physical(cpu, 1);
    boolean remainder = i.op != Op.FSCALE;
    if (X87Stack.isEmpty(cpu, a) || X87Stack.isEmpty(cpu, b)) {
      if (remainder) {
        X87Stack.setStatus(cpu, X87Stack.status(cpu) & ~Extended.C2);
      }
      underflow(cpu, a);
      return;
    }
    Extended r = cpu.x87;
    r.flags = 0;
    long sa = X87Stack.significand(cpu, a);
    int ea = X87Stack.exponent(cpu, a);
    long sb = X87Stack.significand(cpu, b);
    int eb = X87Stack.exponent(cpu, b);
    switch (i.op) {
      case FSCALE -> ExtendedArithmetic.scale(r, X87Stack.control(cpu), sa, ea, sb, eb);
      case FPREM -> ExtendedArithmetic.remainder(r, X87Stack.control(cpu), false, sa, ea, sb, eb);
      default -> ExtendedArithmetic.remainder(r, X87Stack.control(cpu), true, sa, ea, sb, eb);
    }
    // Without a quotient its bits stay.
    int conditions = 0;
    if (remainder) {
      boolean denormalTrap = (r.flags & ~X87Stack.control(cpu) & Extended.DE) != 0;
      boolean number = (r.exponent & Extended.EXPONENT) != Extended.EXPONENT && !denormalTrap;
      conditions = number ? QUOTIENT : Extended.C2;
      if (denormalTrap) {
        r.flags = Extended.DE;
      }
    }
    if (X87Stack.commit(cpu, r.flags, conditions)) {
      X87Stack.set(cpu, a, r.significand, r.exponent);
    }
  }

  private static void binaryAndPop(Cpu cpu, Instruction i) {
    int a = X87Stack.physical(cpu, 0);
    int b = X87Stack.physical(cpu, 1);
    Extended r = cpu.x87;
    r.flags = 0;
    if (X87Stack.isEmpty(cpu, a) || X87Stack.isEmpty(cpu, b)) {
      r.flags = Extended.IE | Extended.SF;
      r.set(Extended.INDEFINITE, 0xffff);
    } else {
      int control = X87Stack.control(cpu);
      long sx = X87Stack.significand(cpu, a);
      int ex = X87Stack.exponent(cpu, a);
      long sy = X87Stack.significand(cpu, b);
      int ey = X87Stack.exponent(cpu, b);
      switch (i.op) {
        case FYL2X -> ExtendedTranscendental.yLog2(r, control, sx, ex, sy, ey);
        case FYL2XP1 -> ExtendedTranscendental.yLog2Plus1(r, control, sx, ex, sy, ey);
        default -> ExtendedTranscendental.arctangent(r, control, sy, ey, sx, ex);
      }
    }
    if (X87Stack.commit(cpu, r.flags, 0)) {
      X87Stack.fill(cpu, b, r.significand, r.exponent);
      X87Stack.pop(cpu);
    }
  }

  private static void trigonometric(Cpu cpu, Instruction i) {
    int a = X87Stack.physical(cpu, 0);
    int above = X87Stack.physical(cpu, 7);
    boolean pushes =
        switch (i.op) {
          case FPTAN, FSINCOS -> true;
          default -> false;
        };
    Extended r = cpu.x87;
    Extended second = cpu.x87Operand;
    r.flags = 0;
    second.flags = 0;
    if (X87Stack.isEmpty(cpu, a)) {
      r.flags = Extended.IE | Extended.SF;
    } else if (pushes && !X87Stack.isEmpty(cpu, above)) {
      r.flags = Extended.IE | Extended.SF | Extended.C1;
    }
    if (r.flags != 0) {
      r.set(Extended.INDEFINITE, 0xffff);
      second.set(Extended.INDEFINITE, 0xffff);
    } else {
      int control = X87Stack.control(cpu);
      long s = X87Stack.significand(cpu, a);
      int e = X87Stack.exponent(cpu, a);
      switch (i.op) {
        case FSIN -> ExtendedTranscendental.sine(r, control, s, e);
        case FCOS -> ExtendedTranscendental.cosine(r, control, s, e);
        case FPTAN -> ExtendedTranscendental.tangent(r, second, control, s, e);
        default -> ExtendedTranscendental.sineAndCosine(r, second, control, s, e);
      }
    }
    int flags = r.flags;
    if (!X87Stack.commit(cpu, flags, Extended.C2) || (flags & Extended.C2) != 0) {
      return;
    }
    X87Stack.fill(cpu, a, r.significand, r.exponent);
    if (pushes) {
      X87Stack.moveTop(cpu, -1);
      X87Stack.fill(cpu, above, second.significand, second.exponent);
    }
  }

  private static void extract(Cpu cpu) {
    int a = X87Stack.physical(cpu, 0);
    int above = X87Stack.physical(cpu, 7);
    Extended r = cpu.x87;
    Extended exponent = cpu.x87Operand;
    r.flags = 0;
    if (X87Stack.isEmpty(cpu, a)) {
      r.flags = Extended.IE | Extended.SF;
    } else if (!X87Stack.isEmpty(cpu, above)) {
      r.flags = Extended.IE | Extended.SF | Extended.C1;
    }
    if (r.flags != 0) {
      r.set(Extended.INDEFINITE, 0xffff);
      exponent.set(Extended.INDEFINITE, 0xffff);
    } else {
      ExtendedArithmetic.extract(
          r, exponent, X87Stack.significand(cpu, a), X87Stack.exponent(cpu, a));
    }
    if (X87Stack.commit(cpu, r.flags, 0)) {
      X87Stack.fill(cpu, a, exponent.significand, exponent.exponent);
      X87Stack.moveTop(cpu, -1);
      X87Stack.fill(cpu, above, r.significand, r.exponent);
    }
  }

  /** FSTPNCE: FSTP that only pops if the register is empty. */
  private static void storeUnchecked(Cpu cpu, Instruction i) {
    int a = X87Stack.physical(cpu, 0);
    int b = X87Stack.physical(cpu, i.register[0]);
    X87Stack.commit(cpu, 0, 0);
    if (!X87Stack.isEmpty(cpu, a)) {
      X87Stack.fill(cpu, b, X87Stack.significand(cpu, a), X87Stack.exponent(cpu, a));
    }
    X87Stack.pop(cpu);
  }

  // Packed decimals.

  private static void loadDecimal(Cpu cpu, Instruction i) {
    long at = cpu.linear(i, 10);
    long low = cpu.load64(at);
    int high = cpu.load16(at + 8) & 0xffff;
    X87Stack.recordMemory(cpu, i);
    Extended r = cpu.x87;
    r.flags = 0;
    ExtendedConversion.fromDecimal(r, low, high);
    X87Ops.push(cpu, r);
  }

  private static void storeDecimal(Cpu cpu, Instruction i) {
    int a = X87Stack.physical(cpu, 0);
    Extended r = cpu.x87;
    r.flags = 0;
    int control = X87Stack.control(cpu);
    if (X87Stack.isEmpty(cpu, a)) {
      r.flags = Extended.IE | Extended.SF;
      r.set(Extended.INDEFINITE, 0xffff);
    } else {
      ExtendedConversion.toDecimal(
          r, control, X87Stack.significand(cpu, a), X87Stack.exponent(cpu, a));
    }
    long at = cpu.linear(i, 10);
    cpu.probeStore(at, 10);
    boolean stored = (r.flags & ~control & Extended.IE) == 0;
    if (stored) {
      cpu.store64(at, r.significand);
      cpu.store16(at + 8, r.exponent);
    }
    X87Stack.recordMemory(cpu, i);
    X87Stack.commit(cpu, r.flags, 0);
    if (stored) {
      X87Stack.pop(cpu);
    }
  }
}
