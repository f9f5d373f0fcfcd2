package dev.bothy.x86.interpret;

import static dev.bothy.host.RawMemory.getByte;
import static dev.bothy.host.RawMemory.getLong;
import static dev.bothy.host.RawMemory.getShort;
import static dev.bothy.host.RawMemory.putByte;
import static dev.bothy.host.RawMemory.putLong;
import static dev.bothy.host.RawMemory.putShort;

import dev.bothy.core.cpu.CpuState;
import dev.bothy.x86.decode.Instruction;
import dev.bothy.x86.decode.Op;

/**
 * Nodes for one- and two-operand instructions on 32- and 64-bit registers that are hot enough to
 * have their own.
 */
final class RegisterNodes {
  private static final long LOW = 0xffff_ffffL;

  private RegisterNodes() {}

  /** A node for {@code i}, or null to use the general form. */
  static Node of(Processor cpu, Instruction i, int offset, boolean simple) {
    long target = cpu.state + CpuState.GPR + 8L * i.register[0];
    int size = i.size[0];
    if (i.op == Op.SETCC) {
      return i.kind[0] == Instruction.GPR ? new Set(target, i.opcode & 15) : null;
    }
    if (size < 4 || i.kind[0] != Instruction.GPR && i.op != Op.MUL) {
      return null;
    }
    boolean wide = size == 8;
    return switch (i.op) {
      case INC -> wide ? new Inc64(target) : new Inc32(target);
      case DEC -> wide ? new Dec64(target) : new Dec32(target);
      case NOT -> new Not(target, wide ? -1 : LOW);
      case NEG -> new Neg(target, wide ? 0 : 32);
      case SHL, SHR, SAR, ROL, ROR -> shift(cpu, i, target, wide);
      case IMUL -> multiply(cpu, i, offset, simple, target, wide);
      case MUL -> i.kind[0] == Instruction.GPR && wide ? new Mul64(cpu, target) : null;
      default -> {
        if (i.kind[1] != Instruction.GPR) {
          yield null;
        }
        yield new Move(
            target, cpu.state + CpuState.GPR + 8L * i.register[1], i.opcode & 15, wide ? -1 : LOW);
      }
    };
  }

  private static Node shift(Processor cpu, Instruction i, long target, boolean wide) {
    if (i.kind[1] != Instruction.IMMEDIATE) {
      long count = cpu.state + CpuState.GPR + 8L * CpuState.RCX;
      return new VariableShift(i.op, target, count, wide);
    }
    int count = (int) i.immediate & (wide ? 63 : 31);
    if (count == 0) {
      return null;
    }
    return switch (i.op) {
      case SHL -> new Shl(target, count, wide);
      case SHR -> new Shr(target, count, wide);
      case SAR -> new Sar(target, count, wide);
      case ROL -> new Rotate(target, count, wide, true);
      default -> new Rotate(target, count, wide, false);
    };
  }

  private static Node multiply(
      Processor cpu, Instruction i, int offset, boolean simple, long target, boolean wide) {
    if (i.operands == 1) {
      return null;
    }
    long immediate = i.operands == 3 ? i.immediate : 0;
    boolean three = i.operands == 3;
    if (i.kind[1] == Instruction.MEMORY) {
      return simple ? new ImulMemory(cpu, i, offset, target, immediate, three, wide) : null;
    }
    long source = cpu.state + CpuState.GPR + 8L * i.register[1];
    return new Imul(target, source, immediate, three, wide);
  }

  static Node small(Op op, long target, long source, long immediate) {
    return new Small(op, target, source, immediate);
  }

  static Node small16(Op op, long target, long source, long immediate) {
    return new Small16(op, target, source, immediate);
  }

  /** 8-bit arithmetic between registers and immediates. */
  private static final class Small extends Node {
    private final Op op;
    private final long target;
    private final long source;
    private final long immediate;

    Small(Op op, long target, long source, long immediate) {
      this.op = op;
      this.target = target;
      this.source = source;
      this.immediate = immediate;
    }

    @Override
    void run(Processor cpu) {
      long a = getByte(target);
      long b = getByte(source) + immediate;
      if (op == Op.CMP) {
        Alu.sub(cpu, a, b, 56);
      } else if (op == Op.TEST) {
        Alu.logic(cpu, a & b, 56);
      } else {
        putByte(target, (byte) UpdateNodes.apply(cpu, op, a, b, 56));
      }
    }
  }

  /** 16-bit arithmetic between registers and immediates. */
  private static final class Small16 extends Node {
    private final Op op;
    private final long target;
    private final long source;
    private final long immediate;

    Small16(Op op, long target, long source, long immediate) {
      this.op = op;
      this.target = target;
      this.source = source;
      this.immediate = immediate;
    }

    @Override
    void run(Processor cpu) {
      long a = getShort(target);
      long b = getShort(source) + immediate;
      if (op == Op.CMP) {
        Alu.sub(cpu, a, b, 48);
      } else if (op == Op.TEST) {
        Alu.logic(cpu, a & b, 48);
      } else {
        putShort(target, (short) UpdateNodes.apply(cpu, op, a, b, 48));
      }
    }
  }

  private static final class Inc64 extends Node {
    private final long target;

    Inc64(long target) {
      this.target = target;
    }

    @Override
    void run(Processor cpu) {
      putLong(target, Alu.inc(cpu, getLong(target), 0));
    }
  }

  private static final class Inc32 extends Node {
    private final long target;

    Inc32(long target) {
      this.target = target;
    }

    @Override
    void run(Processor cpu) {
      putLong(target, Alu.inc(cpu, getLong(target), 32) & LOW);
    }
  }

  private static final class Dec64 extends Node {
    private final long target;

    Dec64(long target) {
      this.target = target;
    }

    @Override
    void run(Processor cpu) {
      putLong(target, Alu.dec(cpu, getLong(target), 0));
    }
  }

  private static final class Dec32 extends Node {
    private final long target;

    Dec32(long target) {
      this.target = target;
    }

    @Override
    void run(Processor cpu) {
      putLong(target, Alu.dec(cpu, getLong(target), 32) & LOW);
    }
  }

  private static final class Not extends Node {
    private final long target;
    private final long mask;

    Not(long target, long mask) {
      this.target = target;
      this.mask = mask;
    }

    @Override
    void run(Processor cpu) {
      putLong(target, ~getLong(target) & mask);
    }
  }

  private static final class Neg extends Node {
    private final long target;
    private final int shift;

    Neg(long target, int shift) {
      this.target = target;
      this.shift = shift;
    }

    @Override
    void run(Processor cpu) {
      putLong(target, Alu.sub(cpu, 0, getLong(target), shift) << shift >>> shift);
    }
  }

  private abstract static class Shift extends Node {
    final long target;
    final int count;

    /** 64 less the operand's bits. */
    final int shift;

    Shift(long target, int count, boolean wide) {
      this.target = target;
      this.count = count;
      shift = wide ? 0 : 32;
    }
  }

  private static final class Shl extends Shift {
    Shl(long target, int count, boolean wide) {
      super(target, count, wide);
    }

    @Override
    void run(Processor cpu) {
      putLong(target, Alu.shl(cpu, getLong(target), count, shift) << shift >>> shift);
    }
  }

  private static final class Shr extends Shift {
    Shr(long target, int count, boolean wide) {
      super(target, count, wide);
    }

    @Override
    void run(Processor cpu) {
      putLong(target, Alu.shr(cpu, getLong(target), count, shift) << shift >>> shift);
    }
  }

  private static final class Sar extends Shift {
    Sar(long target, int count, boolean wide) {
      super(target, count, wide);
    }

    @Override
    void run(Processor cpu) {
      putLong(target, Alu.sar(cpu, getLong(target), count, shift) << shift >>> shift);
    }
  }

  private static final class Rotate extends Shift {
    private final boolean left;

    Rotate(long target, int count, boolean wide, boolean left) {
      super(target, count, wide);
      this.left = left;
    }

    @Override
    void run(Processor cpu) {
      long a = getLong(target);
      long r = left ? Alu.rol(cpu, a, count, shift) : Alu.ror(cpu, a, count, shift);
      putLong(target, r << shift >>> shift);
    }
  }

  /** Shifts and rotates by CL. */
  private static final class VariableShift extends Node {
    private final Op op;
    private final long target;
    private final long countAt;
    private final int shift;

    VariableShift(Op op, long target, long countAt, boolean wide) {
      this.op = op;
      this.target = target;
      this.countAt = countAt;
      shift = wide ? 0 : 32;
    }

    @Override
    void run(Processor cpu) {
      int count = getByte(countAt) & 63 - shift;
      long a = getLong(target);
      if (count != 0) {
        a =
            switch (op) {
              case SHL -> Alu.shl(cpu, a, count, shift);
              case SHR -> Alu.shr(cpu, a, count, shift);
              case SAR -> Alu.sar(cpu, a, count, shift);
              case ROL -> Alu.rol(cpu, a, count, shift);
              default -> Alu.ror(cpu, a, count, shift);
            };
      }
      putLong(target, a << shift >>> shift);
    }
  }

  private static final class Imul extends Node {
    private final long target;
    private final long source;
    private final long immediate;
    private final boolean three;
    private final boolean wide;

    Imul(long target, long source, long immediate, boolean three, boolean wide) {
      this.target = target;
      this.source = source;
      this.immediate = immediate;
      this.three = three;
      this.wide = wide;
    }

    @Override
    void run(Processor cpu) {
      putLong(target, product(cpu, getLong(source), three ? immediate : getLong(target), wide));
    }
  }

  private static final class ImulMemory extends MemoryNode {
    private final long target;
    private final long immediate;
    private final boolean three;
    private final boolean wide;

    ImulMemory(
        Processor cpu,
        Instruction i,
        int offset,
        long target,
        long immediate,
        boolean three,
        boolean wide) {
      super(cpu, i, offset);
      this.target = target;
      this.immediate = immediate;
      this.three = three;
      this.wide = wide;
    }

    @Override
    void run(Processor cpu) {
      long b = wide ? cpu.load64(address()) : cpu.load32(address());
      putLong(target, product(cpu, b, three ? immediate : getLong(target), wide));
    }
  }

  private static long product(Processor cpu, long a, long b, boolean wide) {
    if (wide) {
      long low = a * b;
      Alu.multiplyFlags(cpu, low, Math.multiplyHigh(a, b) != low >> 63);
      return low;
    }
    long full = (long) (int) a * (int) b;
    Alu.multiplyFlags(cpu, (int) full, (int) full != full);
    return full & LOW;
  }

  private static final class Mul64 extends Node {
    private final long source;
    private final long raxAt;
    private final long rdxAt;

    Mul64(Processor cpu, long source) {
      this.source = source;
      raxAt = cpu.state + CpuState.GPR;
      rdxAt = cpu.state + CpuState.GPR + 8L * CpuState.RDX;
    }

    @Override
    void run(Processor cpu) {
      long a = getLong(raxAt);
      long b = getLong(source);
      long high = Math.unsignedMultiplyHigh(a, b);
      putLong(raxAt, a * b);
      putLong(rdxAt, high);
      Alu.multiplyFlags(cpu, a * b, high != 0);
    }
  }

  private static final class Set extends Node {
    private final long target;
    private final int condition;

    Set(long target, int condition) {
      this.target = target;
      this.condition = condition;
    }

    @Override
    void run(Processor cpu) {
      putByte(target, (byte) (cpu.condition(condition) ? 1 : 0));
    }
  }

  private static final class Move extends Node {
    private final long target;
    private final long source;
    private final int condition;
    private final long mask;

    Move(long target, long source, int condition, long mask) {
      this.target = target;
      this.source = source;
      this.condition = condition;
      this.mask = mask;
    }

    @Override
    void run(Processor cpu) {
      putLong(target, getLong(cpu.condition(condition) ? source : target) & mask);
    }
  }
}
