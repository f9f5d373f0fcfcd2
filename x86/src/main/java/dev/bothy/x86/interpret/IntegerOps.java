package dev.bothy.x86.interpret;

import dev.bothy.core.cpu.CpuState;
import dev.bothy.x86.decode.Instruction;
import dev.bothy.x86.decode.Op;

/**
 * General-purpose instructions in their general form: any operand size, registers or memory, with
 * LOCK. What is hot has nodes of its own besides; both must agree. AMD64 APM volume 3.
 */
final class IntegerOps {
  private IntegerOps() {}

  static void execute(Processor cpu, Instruction i) {
    switch (i.op) {
      case ADD, OR, ADC, SBB, AND, SUB, XOR -> binary(cpu, i);
      case CMP -> Alu.sub(cpu, Operands.read(cpu, i, 0), Operands.read(cpu, i, 1), shift(i));
      case TEST -> Alu.logic(cpu, Operands.read(cpu, i, 0) & Operands.read(cpu, i, 1), shift(i));
      case INC, DEC, NOT, NEG -> unary(cpu, i);
      case ROL, ROR, RCL, RCR, SHL, SHR, SAR -> shiftOrRotate(cpu, i);
      case SHLD, SHRD -> doubleShift(cpu, i);
      case BT, BTS, BTR, BTC -> bitTest(cpu, i);
      case MOV, MOVNTI -> Operands.write(cpu, i, 0, Operands.read(cpu, i, 1));
      case MOVZX -> Operands.write(cpu, i, 0, Operands.read(cpu, i, 1));
      case MOVSX, MOVSXD ->
          Operands.write(cpu, i, 0, signExtend(Operands.read(cpu, i, 1), i.size[1]));
      case LEA -> Operands.write(cpu, i, 0, cpu.offset(i));
      case XCHG, XADD, CMPXCHG, CMPXCHG8B, CMPXCHG16B -> ExchangeOps.execute(cpu, i);
      case MUL, IMUL, DIV, IDIV, MULX -> MultiplyOps.execute(cpu, i);
      case CMOVCC -> {
        long value = Operands.read(cpu, i, 1);
        Operands.write(cpu, i, 0, cpu.condition(i.opcode & 15) ? value : Operands.read(cpu, i, 0));
      }
      case SETCC -> Operands.write(cpu, i, 0, cpu.condition(i.opcode & 15) ? 1 : 0);
      case PUSH, POP, PUSHA, POPA, ENTER, LEAVE -> StackOps.execute(cpu, i);
      case CBW -> convert(cpu, i);
      case CWD -> doubleConvert(cpu, i);
      default -> BitOps.execute(cpu, i);
    }
  }

  static int shift(Instruction i) {
    return 64 - 8 * i.size[0];
  }

  static long signExtend(long value, int size) {
    int shift = 64 - 8 * size;
    return value << shift >> shift;
  }

  private static void binary(Processor cpu, Instruction i) {
    int shift = shift(i);
    long b = Operands.read(cpu, i, 1);
    long carry = cpu.cf() ? 1 : 0;
    long a;
    long r;
    do {
      a = Operands.load(cpu, i);
      r =
          switch (i.op) {
            case ADD -> a + b;
            case OR -> a | b;
            case ADC -> a + b + carry;
            case SBB -> a - b - carry;
            case AND -> a & b;
            case SUB -> a - b;
            default -> a ^ b;
          };
    } while (!Operands.store(cpu, i, a, r));
    switch (i.op) {
      case ADD -> Alu.add(cpu, a, b, shift);
      case ADC -> Alu.adc(cpu, a, b, carry, shift);
      case SBB -> Alu.sbb(cpu, a, b, carry, shift);
      case SUB -> Alu.sub(cpu, a, b, shift);
      default -> Alu.logic(cpu, r, shift);
    }
  }

  private static void unary(Processor cpu, Instruction i) {
    int shift = shift(i);
    long a;
    long r;
    do {
      a = Operands.load(cpu, i);
      r =
          switch (i.op) {
            case INC -> a + 1;
            case DEC -> a - 1;
            case NOT -> ~a;
            default -> -a;
          };
    } while (!Operands.store(cpu, i, a, r));
    switch (i.op) {
      case INC -> Alu.inc(cpu, a, shift);
      case DEC -> Alu.dec(cpu, a, shift);
      case NEG -> Alu.sub(cpu, 0, a, shift);
      default -> {}
    }
  }

  private static void shiftOrRotate(Processor cpu, Instruction i) {
    int size = i.size[0];
    int shift = 64 - 8 * size;
    int count = (int) Operands.read(cpu, i, 1) & (size == 8 ? 63 : 31);
    long a = Operands.load(cpu, i);
    if (count == 0) {
      // A 32-bit register is still written: its upper half goes.
      if (i.kind[0] == Instruction.GPR && size == 4) {
        Operands.write(cpu, i, 0, a);
      }
      return;
    }
    // The store may fault, and flags change after it.
    long result = cpu.flagResult;
    long aux = cpu.flagAux;
    long r =
        switch (i.op) {
          case ROL -> Alu.rol(cpu, a, count, shift);
          case ROR -> Alu.ror(cpu, a, count, shift);
          case RCL -> Alu.rcl(cpu, a, count, shift);
          case RCR -> Alu.rcr(cpu, a, count, shift);
          case SHL -> Alu.shl(cpu, a, count, shift);
          case SHR -> Alu.shr(cpu, a, count, shift);
          default -> Alu.sar(cpu, a, count, shift);
        };
    try {
      Operands.store(cpu, i, a, r);
    } catch (GuestFault | VirtualExit f) {
      cpu.flagResult = result;
      cpu.flagAux = aux;
      throw f;
    }
  }

  private static void doubleShift(Processor cpu, Instruction i) {
    int size = i.size[0];
    int count = (int) Operands.read(cpu, i, 2) & (size == 8 ? 63 : 31);
    long b = Operands.read(cpu, i, 1);
    long a = Operands.load(cpu, i);
    if (count == 0) {
      if (i.kind[0] == Instruction.GPR && size == 4) {
        Operands.write(cpu, i, 0, a);
      }
      return;
    }
    int shift = 64 - 8 * size;
    long r =
        i.op == Op.SHLD ? Alu.shld(cpu, a, b, count, shift) : Alu.shrd(cpu, a, b, count, shift);
    Operands.store(cpu, i, a, r);
  }

  private static void bitTest(Processor cpu, Instruction i) {
    int size = i.size[0];
    long bit = Operands.read(cpu, i, 1);
    boolean memory = i.kind[0] == Instruction.MEMORY;
    long at = 0;
    if (memory) {
      long offset = cpu.offset(i);
      if (i.kind[1] == Instruction.GPR) {
        // The memory operand is a bit string: the register's upper bits move the address.
        offset += (signExtend(bit, size) >> (size == 8 ? 6 : size == 4 ? 5 : 4)) * size;
        offset = i.addressSize == 8 ? offset : Operands.mask(offset, i.addressSize);
      }
      at = cpu.linear(i.segment, offset, size, i.op != Op.BT);
    }
    int n = (int) bit & 8 * size - 1;
    long mask = 1L << n;
    long a;
    boolean done;
    do {
      a =
          !memory
              ? Operands.read(cpu, i, 0)
              : i.op == Op.BT ? cpu.loadSized(at, size) : cpu.loadForUpdate(at, size);
      long r =
          switch (i.op) {
            case BTS -> a | mask;
            case BTR -> a & ~mask;
            case BTC -> a ^ mask;
            default -> a;
          };
      done = true;
      if (i.op != Op.BT) {
        if (!memory) {
          Operands.write(cpu, i, 0, r);
        } else if (i.lock && !cpu.alone) {
          done = Operands.exchange(cpu, at, size, a, r);
        } else {
          cpu.storeSized(at, size, r);
        }
      }
    } while (!done);
    cpu.setCarry((a & mask) != 0);
  }

  private static void convert(Processor cpu, Instruction i) {
    long a = cpu.gpr(CpuState.RAX);
    long r =
        switch (i.operandSize) {
          case 2 -> (byte) a;
          case 4 -> (short) a;
          default -> (int) a;
        };
    Operands.setGpr(cpu, CpuState.RAX, i.operandSize, r);
  }

  private static void doubleConvert(Processor cpu, Instruction i) {
    long sign = signExtend(cpu.gpr(CpuState.RAX), i.operandSize) >> 63;
    Operands.setGpr(cpu, CpuState.RDX, i.operandSize, sign);
  }
}
