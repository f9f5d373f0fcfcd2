package dev.bothy.x86.interpret;

import dev.bothy.x86.decode.Instruction;
import dev.bothy.x86.fpu.Extended;
import dev.bothy.x86.fpu.ExtendedArithmetic;
import dev.bothy.x86.fpu.ExtendedConversion;

/**
 * The x87 instructions: loads, stores, arithmetic and comparisons here, the rest in {@link
 * X87Control} and {@link X87Functions}. AMD64 APM volume 5, part 2, and volume 1, chapter 6.
 */
final class X87Ops {
  private static final int ADD = 0;
  private static final int SUBTRACT = 1;
  private static final int SUBTRACT_REVERSED = 2;
  private static final int MULTIPLY = 3;
  private static final int DIVIDE = 4;
  private static final int DIVIDE_REVERSED = 5;

  private static final int UNORDERED = Extended.C3 | Extended.C2 | Extended.C0;
  private static final int CF_PF_ZF = 0x45;

  private X87Ops() {}

  static void execute(Cpu cpu, Instruction i) {
    switch (i.op) {
      case FLD -> load(cpu, i);
      case FST -> store(cpu, i, 0);
      case FSTP -> store(cpu, i, 1);
      case FILD -> loadInteger(cpu, i);
      case FIST -> storeInteger(cpu, i, X87Stack.control(cpu), 0);
      case FISTP -> storeInteger(cpu, i, X87Stack.control(cpu), 1);
      case FISTTP -> storeInteger(cpu, i, X87Stack.control(cpu) | Extended.ROUND_TO_ZERO, 1);
      case FADD -> arithmetic(cpu, i, ADD, 0);
      case FSUB -> arithmetic(cpu, i, SUBTRACT, 0);
      case FSUBR -> arithmetic(cpu, i, SUBTRACT_REVERSED, 0);
      case FMUL -> arithmetic(cpu, i, MULTIPLY, 0);
      case FDIV -> arithmetic(cpu, i, DIVIDE, 0);
      case FDIVR -> arithmetic(cpu, i, DIVIDE_REVERSED, 0);
      case FADDP -> arithmetic(cpu, i, ADD, 1);
      case FSUBP -> arithmetic(cpu, i, SUBTRACT, 1);
      case FSUBRP -> arithmetic(cpu, i, SUBTRACT_REVERSED, 1);
      case FMULP -> arithmetic(cpu, i, MULTIPLY, 1);
      case FDIVP -> arithmetic(cpu, i, DIVIDE, 1);
      case FDIVRP -> arithmetic(cpu, i, DIVIDE_REVERSED, 1);
      case FIADD -> integerArithmetic(cpu, i, ADD);
      case FISUB -> integerArithmetic(cpu, i, SUBTRACT);
      case FISUBR -> integerArithmetic(cpu, i, SUBTRACT_REVERSED);
      case FIMUL -> integerArithmetic(cpu, i, MULTIPLY);
      case FIDIV -> integerArithmetic(cpu, i, DIVIDE);
      case FIDIVR -> integerArithmetic(cpu, i, DIVIDE_REVERSED);
      case FXCH -> exchange(cpu, i);
      case FCOM -> compare(cpu, i, false, 0);
      case FCOMP -> compare(cpu, i, false, 1);
      case FCOMPP -> compare(cpu, i, false, 2);
      case FUCOM -> compare(cpu, i, true, 0);
      case FUCOMP -> compare(cpu, i, true, 1);
      case FUCOMPP -> compare(cpu, i, true, 2);
      case FICOM -> compareInteger(cpu, i, 0);
      case FICOMP -> compareInteger(cpu, i, 1);
      case FCOMI -> compareToFlags(cpu, i, false, 0);
      case FCOMIP -> compareToFlags(cpu, i, false, 1);
      case FUCOMI -> compareToFlags(cpu, i, true, 0);
      case FUCOMIP -> compareToFlags(cpu, i, true, 1);
      case FTST -> test(cpu, i);
      case FCMOVB -> moveIf(cpu, i, (cpu.arithmeticFlags() & 0x01) != 0);
      case FCMOVNB -> moveIf(cpu, i, (cpu.arithmeticFlags() & 0x01) == 0);
      case FCMOVE -> moveIf(cpu, i, (cpu.arithmeticFlags() & 0x40) != 0);
      case FCMOVNE -> moveIf(cpu, i, (cpu.arithmeticFlags() & 0x40) == 0);
      case FCMOVBE -> moveIf(cpu, i, (cpu.arithmeticFlags() & 0x41) != 0);
      case FCMOVNBE -> moveIf(cpu, i, (cpu.arithmeticFlags() & 0x41) == 0);
      case FCMOVU -> moveIf(cpu, i, (cpu.arithmeticFlags() & 0x04) != 0);
      case FCMOVNU -> moveIf(cpu, i, (cpu.arithmeticFlags() & 0x04) == 0);
      case FCHS,
          FABS,
          FXAM,
          FLD1,
          FLDZ,
          FLDPI,
          FLDL2T,
          FLDL2E,
          FLDLG2,
          FLDLN2,
          FSQRT,
          FSCALE,
          FPREM,
          FPREM1,
          FRNDINT,
          FXTRACT,
          F2XM1,
          FYL2X,
          FYL2XP1,
          FPTAN,
          FPATAN,
          FSIN,
          FCOS,
          FSINCOS,
          FBLD,
          FBSTP,
          FSTPNCE ->
          X87Functions.execute(cpu, i);
      default -> X87Control.execute(cpu, i);
    }
  }

  // Operands.

  /**
   * Loads the real memory operand into {@link Cpu#x87Operand}; DE in its flags if it is a denormal
   * of 4 or 8 bytes.
   */
  static void readReal(Cpu cpu, Instruction i, int size) {
    Extended operand = cpu.x87Operand;
    long at = cpu.linear(i, size);
    operand.flags = 0;
    if (size == 8) {
      ExtendedConversion.fromDouble(operand, cpu.load64(at));
    } else if (size == 4) {
      ExtendedConversion.fromSingle(operand, cpu.load32(at));
    } else {
      long significand = cpu.load64(at);
      operand.set(significand, cpu.load16(at + 8) & 0xffff);
    }
  }

  private static long readInteger(Cpu cpu, Instruction i, int size) {
    long at = cpu.linear(i, size);
    return switch (size) {
      case 2 -> (short) cpu.load16(at);
      case 4 -> cpu.load32(at);
      default -> cpu.load64(at);
    };
  }

  /** The ST register of operand {@code n}, physically. */
  private static int register(Cpu cpu, Instruction i, int n) {
    return X87Stack.physical(cpu, i.register[n]);
  }

  static void pop(Cpu cpu, int count) {
    for (int n = 0; n < count; n++) {
      X87Stack.pop(cpu);
    }
  }

  // Loads.

  private static void load(Cpu cpu, Instruction i) {
    cpu.requireX87();
    Extended value = cpu.x87Operand;
    if (i.isMemory(0)) {
      readReal(cpu, i, i.size[0]);
      if (i.size[0] != 10) {
        ExtendedConversion.quiet(value);
      }
      X87Stack.recordMemory(cpu, i);
    } else {
      int source = register(cpu, i, 0);
      X87Stack.record(cpu, i);
      if (X87Stack.isEmpty(cpu, source)) {
        // That the stack is full as well does not count.
        if (X87Stack.underflow(cpu)) {
          pushIndefinite(cpu);
        }
        return;
      }
      value.flags = 0;
      value.set(X87Stack.significand(cpu, source), X87Stack.exponent(cpu, source));
    }
    push(cpu, value);
  }

  /** Pushes {@code value} with its exceptions. */
  static void push(Cpu cpu, Extended value) {
    int r = X87Stack.physical(cpu, 7);
    if (!X87Stack.isEmpty(cpu, r)) {
      pushOver(cpu);
    } else if (X87Stack.commit(cpu, value.flags, 0) || (value.flags & Extended.IE) == 0) {
      // A denormal is loaded even if that is not masked.
      X87Stack.moveTop(cpu, -1);
      X87Stack.fill(cpu, r, value.significand, value.exponent);
    }
  }

  private static void pushOver(Cpu cpu) {
    if (X87Stack.overflow(cpu)) {
      pushIndefinite(cpu);
    }
  }

  private static void pushIndefinite(Cpu cpu) {
    X87Stack.moveTop(cpu, -1);
    X87Stack.fill(cpu, X87Stack.physical(cpu, 0), Extended.INDEFINITE, 0xffff);
  }

  private static void loadInteger(Cpu cpu, Instruction i) {
    cpu.requireX87();
    long value = readInteger(cpu, i, i.size[0]);
    X87Stack.recordMemory(cpu, i);
    cpu.x87Operand.flags = 0;
    ExtendedConversion.fromLong(cpu.x87Operand, value);
    push(cpu, cpu.x87Operand);
  }

  // Stores.

  private static void store(Cpu cpu, Instruction i, int pops) {
    cpu.requireX87();
    int source = X87Stack.physical(cpu, 0);
    if (!i.isMemory(0)) {
      X87Stack.record(cpu, i);
      int destination = register(cpu, i, 0);
      if (!X87Stack.isEmpty(cpu, source)) {
        X87Stack.commit(cpu, 0, 0);
        X87Stack.fill(
            cpu, destination, X87Stack.significand(cpu, source), X87Stack.exponent(cpu, source));
        pop(cpu, pops);
      } else if (X87Stack.underflow(cpu)) {
        X87Stack.fill(cpu, destination, Extended.INDEFINITE, 0xffff);
        pop(cpu, pops);
      }
      return;
    }
    Extended r = cpu.x87;
    r.flags = 0;
    long significand;
    int exponent;
    if (X87Stack.isEmpty(cpu, source)) {
      r.flags = Extended.IE | Extended.SF;
      significand = Extended.INDEFINITE;
      exponent = 0xffff;
    } else {
      significand = X87Stack.significand(cpu, source);
      exponent = X87Stack.exponent(cpu, source);
    }
    int size = i.size[0];
    int control = X87Stack.control(cpu);
    int unstored = Extended.IE | Extended.OE | Extended.UE;
    if (size == 8) {
      long bits = ExtendedConversion.toDouble(r, control, significand, exponent);
      long at = cpu.linear(i, 8);
      if ((r.flags & ~control & unstored) == 0) {
        cpu.store64(at, bits);
      } else {
        cpu.probeStore(at, 8);
      }
    } else if (size == 4) {
      int bits = ExtendedConversion.toSingle(r, control, significand, exponent);
      long at = cpu.linear(i, 4);
      if ((r.flags & ~control & unstored) == 0) {
        cpu.store32(at, bits);
      } else {
        cpu.probeStore(at, 4);
      }
    } else {
      long at = cpu.linear(i, 10);
      cpu.probeStore(at, 10);
      if ((r.flags & ~control & unstored) == 0) {
        cpu.store64(at, significand);
        cpu.store16(at + 8, exponent);
      }
    }
    X87Stack.recordMemory(cpu, i);
    X87Stack.commit(cpu, r.flags, 0);
    if ((r.flags & ~control & unstored) == 0) {
      pop(cpu, pops);
    }
  }

  private static void storeInteger(Cpu cpu, Instruction i, int control, int pops) {
    cpu.requireX87();
    int source = X87Stack.physical(cpu, 0);
    Extended r = cpu.x87;
    r.flags = 0;
    int size = i.size[0];
    long value;
    if (X87Stack.isEmpty(cpu, source)) {
      r.flags = Extended.IE | Extended.SF;
      value = -1L << 8 * size - 1;
    } else {
      value =
          ExtendedConversion.toInteger(
              r,
              control,
              8 * size,
              X87Stack.significand(cpu, source),
              X87Stack.exponent(cpu, source));
    }
    boolean stored = (r.flags & ~control & Extended.IE) == 0;
    long at = cpu.linear(i, size);
    if (!stored) {
      cpu.probeStore(at, size);
    } else if (size == 4) {
      cpu.store32(at, (int) value);
    } else if (size == 8) {
      cpu.store64(at, value);
    } else {
      cpu.store16(at, (int) value & 0xffff);
    }
    X87Stack.recordMemory(cpu, i);
    X87Stack.commit(cpu, r.flags, 0);
    if (stored) {
      pop(cpu, pops);
    }
  }

  // Arithmetic.

  private static void arithmetic(Cpu cpu, Instruction i, int operation, int pops) {
    cpu.requireX87();
    if (i.isMemory(0)) {
      readReal(cpu, i, i.size[0]);
      X87Stack.recordMemory(cpu, i);
      arithmeticWithOperand(cpu, operation);
      return;
    }
    X87Stack.record(cpu, i);
    int a = register(cpu, i, 0);
    int b = register(cpu, i, 1);
    if (X87Stack.isEmpty(cpu, a) || X87Stack.isEmpty(cpu, b)) {
      if (X87Stack.underflow(cpu)) {
        X87Stack.fill(cpu, a, Extended.INDEFINITE, 0xffff);
        pop(cpu, pops);
      }
      return;
    }
    Extended r = cpu.x87;
    r.flags = 0;
    compute(
        r,
        X87Stack.control(cpu),
        operation,
        X87Stack.significand(cpu, a),
        X87Stack.exponent(cpu, a),
        X87Stack.significand(cpu, b),
        X87Stack.exponent(cpu, b));
    if (X87Stack.commit(cpu, r.flags, 0)) {
      X87Stack.set(cpu, a, r.significand, r.exponent);
      pop(cpu, pops);
    }
  }

  private static void integerArithmetic(Cpu cpu, Instruction i, int operation) {
    cpu.requireX87();
    long value = readInteger(cpu, i, i.size[0]);
    X87Stack.recordMemory(cpu, i);
    cpu.x87Operand.flags = 0;
    ExtendedConversion.fromLong(cpu.x87Operand, value);
    arithmeticWithOperand(cpu, operation);
  }

  /** ST(0) op= {@link Cpu#x87Operand}. */
  private static void arithmeticWithOperand(Cpu cpu, int operation) {
    int a = X87Stack.physical(cpu, 0);
    if (X87Stack.isEmpty(cpu, a)) {
      if (X87Stack.underflow(cpu)) {
        X87Stack.fill(cpu, a, Extended.INDEFINITE, 0xffff);
      }
      return;
    }
    Extended b = cpu.x87Operand;
    Extended r = cpu.x87;
    r.flags = b.flags;
    compute(
        r,
        X87Stack.control(cpu),
        operation,
        X87Stack.significand(cpu, a),
        X87Stack.exponent(cpu, a),
        b.significand,
        b.exponent);
    if (X87Stack.commit(cpu, r.flags, 0)) {
      X87Stack.set(cpu, a, r.significand, r.exponent);
    }
  }

  private static void compute(
      Extended r, int control, int operation, long sa, int ea, long sb, int eb) {
    switch (operation) {
      case ADD -> ExtendedArithmetic.add(r, control, sa, ea, sb, eb);
      case SUBTRACT -> ExtendedArithmetic.subtract(r, control, sa, ea, sb, eb);
      case SUBTRACT_REVERSED -> ExtendedArithmetic.subtract(r, control, sb, eb, sa, ea);
      case MULTIPLY -> ExtendedArithmetic.multiply(r, control, sa, ea, sb, eb);
      case DIVIDE -> ExtendedArithmetic.divide(r, control, sa, ea, sb, eb);
      default -> ExtendedArithmetic.divide(r, control, sb, eb, sa, ea);
    }
  }

  // Moves.

  private static void exchange(Cpu cpu, Instruction i) {
    cpu.requireX87();
    X87Stack.record(cpu, i);
    int a = X87Stack.physical(cpu, 0);
    int b = register(cpu, i, 0);
    boolean emptyA = X87Stack.isEmpty(cpu, a);
    boolean emptyB = X87Stack.isEmpty(cpu, b);
    if (emptyA || emptyB) {
      if (!X87Stack.underflow(cpu)) {
        return;
      }
      if (emptyA) {
        X87Stack.fill(cpu, a, Extended.INDEFINITE, 0xffff);
      }
      if (emptyB) {
        X87Stack.fill(cpu, b, Extended.INDEFINITE, 0xffff);
      }
    } else {
      X87Stack.commit(cpu, 0, 0);
    }
    long significand = X87Stack.significand(cpu, a);
    int exponent = X87Stack.exponent(cpu, a);
    X87Stack.set(cpu, a, X87Stack.significand(cpu, b), X87Stack.exponent(cpu, b));
    X87Stack.set(cpu, b, significand, exponent);
  }

  private static void moveIf(Cpu cpu, Instruction i, boolean condition) {
    cpu.requireX87();
    X87Stack.record(cpu, i);
    int a = X87Stack.physical(cpu, 0);
    int b = register(cpu, i, 1);
    if (X87Stack.isEmpty(cpu, a) || X87Stack.isEmpty(cpu, b)) {
      if (X87Stack.underflow(cpu)) {
        X87Stack.fill(cpu, a, Extended.INDEFINITE, 0xffff);
      }
    } else if (condition) {
      X87Stack.set(cpu, a, X87Stack.significand(cpu, b), X87Stack.exponent(cpu, b));
    }
  }

  // Comparisons.

  private static void compare(Cpu cpu, Instruction i, boolean quiet, int pops) {
    cpu.requireX87();
    int a = X87Stack.physical(cpu, 0);
    Extended operand = cpu.x87Operand;
    boolean empty = X87Stack.isEmpty(cpu, a);
    if (i.operands > 0 && i.isMemory(0)) {
      readReal(cpu, i, i.size[0]);
      X87Stack.recordMemory(cpu, i);
    } else {
      int b = i.operands == 0 ? X87Stack.physical(cpu, 1) : register(cpu, i, i.operands - 1);
      X87Stack.record(cpu, i);
      empty |= X87Stack.isEmpty(cpu, b);
      operand.flags = 0;
      operand.set(X87Stack.significand(cpu, b), X87Stack.exponent(cpu, b));
    }
    compareWithOperand(cpu, empty, quiet, pops);
  }

  private static void compareInteger(Cpu cpu, Instruction i, int pops) {
    cpu.requireX87();
    long value = readInteger(cpu, i, i.size[0]);
    X87Stack.recordMemory(cpu, i);
    cpu.x87Operand.flags = 0;
    ExtendedConversion.fromLong(cpu.x87Operand, value);
    compareWithOperand(cpu, X87Stack.isEmpty(cpu, X87Stack.physical(cpu, 0)), false, pops);
  }

  private static void test(Cpu cpu, Instruction i) {
    cpu.requireX87();
    X87Stack.record(cpu, i);
    cpu.x87Operand.flags = 0;
    cpu.x87Operand.set(0, 0);
    compareWithOperand(cpu, X87Stack.isEmpty(cpu, X87Stack.physical(cpu, 0)), false, 0);
  }

  /**
   * Compares ST(0) with {@link Cpu#x87Operand}; {@code empty}: one of them is an empty register.
   */
  private static void compareWithOperand(Cpu cpu, boolean empty, boolean quiet, int pops) {
    if (X87Stack.commit(cpu, order(cpu, empty, quiet), UNORDERED)) {
      pop(cpu, pops);
    }
  }

  private static int order(Cpu cpu, boolean empty, boolean quiet) {
    if (empty) {
      return Extended.IE | Extended.SF | UNORDERED;
    }
    int a = X87Stack.physical(cpu, 0);
    Extended b = cpu.x87Operand;
    Extended r = cpu.x87;
    r.flags = b.flags;
    ExtendedArithmetic.compare(
        r,
        quiet,
        X87Stack.significand(cpu, a),
        X87Stack.exponent(cpu, a),
        b.significand,
        b.exponent);
    return r.flags;
  }

  private static void compareToFlags(Cpu cpu, Instruction i, boolean quiet, int pops) {
    cpu.requireX87();
    int a = X87Stack.physical(cpu, 0);
    int b = register(cpu, i, 1);
    X87Stack.record(cpu, i);
    cpu.x87Operand.flags = 0;
    cpu.x87Operand.set(X87Stack.significand(cpu, b), X87Stack.exponent(cpu, b));
    int flags = order(cpu, X87Stack.isEmpty(cpu, a) || X87Stack.isEmpty(cpu, b), quiet);
    // C0, C2 and C3 stand in the status word as CF, PF and ZF do in RFLAGS, eight bits higher.
    cpu.setArithmeticFlags(flags >>> 8 & CF_PF_ZF);
    // C1 stays unless the stack faults.
    int c1 = (flags & Extended.SF) != 0 ? 0 : X87Stack.status(cpu) & Extended.C1;
    boolean deliver = X87Stack.commit(cpu, flags & ~UNORDERED, 0);
    X87Stack.setStatus(cpu, X87Stack.status(cpu) | c1);
    if (deliver) {
      pop(cpu, pops);
    }
  }
}
