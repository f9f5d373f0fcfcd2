package dev.bothy.x86.interpret;

import static dev.bothy.host.RawMemory.getLong;
import static dev.bothy.host.RawMemory.putLong;

import dev.bothy.x86.decode.Instruction;
import dev.bothy.x86.decode.Op;

/**
 * Two-operand arithmetic with a 32- or 64-bit register as destination: a class for each operation,
 * so that C2 compiles each by itself and a block's loop calls straight into it. The source is a
 * register plus an immediate, one of them zero, or memory.
 */
final class AluNodes {
  private AluNodes() {}

  /** A node for {@code i} = {@code op} register, register or immediate; null if there is none. */
  static Node register(Op op, int size, long target, long source, long immediate) {
    return size == 8
        ? switch (op) {
          case ADD -> new Add64(target, source, immediate);
          case SUB -> new Sub64(target, source, immediate);
          case CMP -> new Cmp64(target, source, immediate);
          case AND -> new And64(target, source, immediate);
          case OR -> new Or64(target, source, immediate);
          case XOR -> new Xor64(target, source, immediate);
          case TEST -> new Test64(target, source, immediate);
          case ADC -> new Adc64(target, source, immediate);
          case SBB -> new Sbb64(target, source, immediate);
          default -> null;
        }
        : switch (op) {
          case ADD -> new Add32(target, source, immediate);
          case SUB -> new Sub32(target, source, immediate);
          case CMP -> new Cmp32(target, source, immediate);
          case AND -> new And32(target, source, immediate);
          case OR -> new Or32(target, source, immediate);
          case XOR -> new Xor32(target, source, immediate);
          case TEST -> new Test32(target, source, immediate);
          case ADC -> new Adc32(target, source, immediate);
          case SBB -> new Sbb32(target, source, immediate);
          default -> null;
        };
  }

  /** A node for {@code i} = {@code op} register, memory. */
  static Node memory(Processor cpu, Instruction i, int offset, long target) {
    return i.size[0] == 8
        ? switch (i.op) {
          case ADD -> new AddMemory64(cpu, i, offset, target);
          case SUB -> new SubMemory64(cpu, i, offset, target);
          case CMP -> new CmpMemory64(cpu, i, offset, target);
          case AND -> new AndMemory64(cpu, i, offset, target);
          case OR -> new OrMemory64(cpu, i, offset, target);
          case XOR -> new XorMemory64(cpu, i, offset, target);
          case TEST -> new TestMemory64(cpu, i, offset, target);
          case ADC -> new AdcMemory64(cpu, i, offset, target);
          case SBB -> new SbbMemory64(cpu, i, offset, target);
          default -> null;
        }
        : switch (i.op) {
          case ADD -> new AddMemory32(cpu, i, offset, target);
          case SUB -> new SubMemory32(cpu, i, offset, target);
          case CMP -> new CmpMemory32(cpu, i, offset, target);
          case AND -> new AndMemory32(cpu, i, offset, target);
          case OR -> new OrMemory32(cpu, i, offset, target);
          case XOR -> new XorMemory32(cpu, i, offset, target);
          case TEST -> new TestMemory32(cpu, i, offset, target);
          case ADC -> new AdcMemory32(cpu, i, offset, target);
          case SBB -> new SbbMemory32(cpu, i, offset, target);
          default -> null;
        };
  }

  private abstract static class Register extends Node {
    final long target;
    final long source;
    final long immediate;

    Register(long target, long source, long immediate) {
      this.target = target;
      this.source = source;
      this.immediate = immediate;
    }
  }

  private abstract static class Memory extends MemoryNode {
    final long target;

    Memory(Processor cpu, Instruction i, int offset, long target) {
      super(cpu, i, offset);
      this.target = target;
    }
  }

  private static final class Add64 extends Register {
    Add64(long target, long source, long immediate) {
      super(target, source, immediate);
    }

    @Override
    void run(Processor cpu) {
      putLong(target, Alu.add(cpu, getLong(target), getLong(source) + immediate, 0));
    }
  }

  private static final class AddMemory64 extends Memory {
    AddMemory64(Processor cpu, Instruction i, int offset, long target) {
      super(cpu, i, offset, target);
    }

    @Override
    void run(Processor cpu) {
      long b = cpu.load64(address());
      putLong(target, Alu.add(cpu, getLong(target), b, 0));
    }
  }

  private static final class Add32 extends Register {
    Add32(long target, long source, long immediate) {
      super(target, source, immediate);
    }

    @Override
    void run(Processor cpu) {
      putLong(
          target, Alu.add(cpu, getLong(target), getLong(source) + immediate, 32) & 0xffff_ffffL);
    }
  }

  private static final class AddMemory32 extends Memory {
    AddMemory32(Processor cpu, Instruction i, int offset, long target) {
      super(cpu, i, offset, target);
    }

    @Override
    void run(Processor cpu) {
      long b = cpu.load32(address());
      putLong(target, Alu.add(cpu, getLong(target), b, 32) & 0xffff_ffffL);
    }
  }

  private static final class Sub64 extends Register {
    Sub64(long target, long source, long immediate) {
      super(target, source, immediate);
    }

    @Override
    void run(Processor cpu) {
      putLong(target, Alu.sub(cpu, getLong(target), getLong(source) + immediate, 0));
    }
  }

  private static final class SubMemory64 extends Memory {
    SubMemory64(Processor cpu, Instruction i, int offset, long target) {
      super(cpu, i, offset, target);
    }

    @Override
    void run(Processor cpu) {
      long b = cpu.load64(address());
      putLong(target, Alu.sub(cpu, getLong(target), b, 0));
    }
  }

  private static final class Sub32 extends Register {
    Sub32(long target, long source, long immediate) {
      super(target, source, immediate);
    }

    @Override
    void run(Processor cpu) {
      putLong(
          target, Alu.sub(cpu, getLong(target), getLong(source) + immediate, 32) & 0xffff_ffffL);
    }
  }

  private static final class SubMemory32 extends Memory {
    SubMemory32(Processor cpu, Instruction i, int offset, long target) {
      super(cpu, i, offset, target);
    }

    @Override
    void run(Processor cpu) {
      long b = cpu.load32(address());
      putLong(target, Alu.sub(cpu, getLong(target), b, 32) & 0xffff_ffffL);
    }
  }

  private static final class Cmp64 extends Register {
    Cmp64(long target, long source, long immediate) {
      super(target, source, immediate);
    }

    @Override
    void run(Processor cpu) {
      Alu.sub(cpu, getLong(target), getLong(source) + immediate, 0);
    }
  }

  private static final class CmpMemory64 extends Memory {
    CmpMemory64(Processor cpu, Instruction i, int offset, long target) {
      super(cpu, i, offset, target);
    }

    @Override
    void run(Processor cpu) {
      long b = cpu.load64(address());
      Alu.sub(cpu, getLong(target), b, 0);
    }
  }

  private static final class Cmp32 extends Register {
    Cmp32(long target, long source, long immediate) {
      super(target, source, immediate);
    }

    @Override
    void run(Processor cpu) {
      Alu.sub(cpu, getLong(target), getLong(source) + immediate, 32);
    }
  }

  private static final class CmpMemory32 extends Memory {
    CmpMemory32(Processor cpu, Instruction i, int offset, long target) {
      super(cpu, i, offset, target);
    }

    @Override
    void run(Processor cpu) {
      long b = cpu.load32(address());
      Alu.sub(cpu, getLong(target), b, 32);
    }
  }

  private static final class And64 extends Register {
    And64(long target, long source, long immediate) {
      super(target, source, immediate);
    }

    @Override
    void run(Processor cpu) {
      putLong(target, Alu.logic(cpu, getLong(target) & (getLong(source) + immediate), 0));
    }
  }

  private static final class AndMemory64 extends Memory {
    AndMemory64(Processor cpu, Instruction i, int offset, long target) {
      super(cpu, i, offset, target);
    }

    @Override
    void run(Processor cpu) {
      long b = cpu.load64(address());
      putLong(target, Alu.logic(cpu, getLong(target) & b, 0));
    }
  }

  private static final class And32 extends Register {
    And32(long target, long source, long immediate) {
      super(target, source, immediate);
    }

    @Override
    void run(Processor cpu) {
      putLong(
          target,
          Alu.logic(cpu, getLong(target) & (getLong(source) + immediate), 32) & 0xffff_ffffL);
    }
  }

  private static final class AndMemory32 extends Memory {
    AndMemory32(Processor cpu, Instruction i, int offset, long target) {
      super(cpu, i, offset, target);
    }

    @Override
    void run(Processor cpu) {
      long b = cpu.load32(address());
      putLong(target, Alu.logic(cpu, getLong(target) & b, 32) & 0xffff_ffffL);
    }
  }

  private static final class Or64 extends Register {
    Or64(long target, long source, long immediate) {
      super(target, source, immediate);
    }

    @Override
    void run(Processor cpu) {
      putLong(target, Alu.logic(cpu, getLong(target) | (getLong(source) + immediate), 0));
    }
  }

  private static final class OrMemory64 extends Memory {
    OrMemory64(Processor cpu, Instruction i, int offset, long target) {
      super(cpu, i, offset, target);
    }

    @Override
    void run(Processor cpu) {
      long b = cpu.load64(address());
      putLong(target, Alu.logic(cpu, getLong(target) | b, 0));
    }
  }

  private static final class Or32 extends Register {
    Or32(long target, long source, long immediate) {
      super(target, source, immediate);
    }

    @Override
    void run(Processor cpu) {
      putLong(
          target,
          Alu.logic(cpu, getLong(target) | (getLong(source) + immediate), 32) & 0xffff_ffffL);
    }
  }

  private static final class OrMemory32 extends Memory {
    OrMemory32(Processor cpu, Instruction i, int offset, long target) {
      super(cpu, i, offset, target);
    }

    @Override
    void run(Processor cpu) {
      long b = cpu.load32(address());
      putLong(target, Alu.logic(cpu, getLong(target) | b, 32) & 0xffff_ffffL);
    }
  }

  private static final class Xor64 extends Register {
    Xor64(long target, long source, long immediate) {
      super(target, source, immediate);
    }

    @Override
    void run(Processor cpu) {
      putLong(target, Alu.logic(cpu, getLong(target) ^ (getLong(source) + immediate), 0));
    }
  }

  private static final class XorMemory64 extends Memory {
    XorMemory64(Processor cpu, Instruction i, int offset, long target) {
      super(cpu, i, offset, target);
    }

    @Override
    void run(Processor cpu) {
      long b = cpu.load64(address());
      putLong(target, Alu.logic(cpu, getLong(target) ^ b, 0));
    }
  }

  private static final class Xor32 extends Register {
    Xor32(long target, long source, long immediate) {
      super(target, source, immediate);
    }

    @Override
    void run(Processor cpu) {
      putLong(
          target,
          Alu.logic(cpu, getLong(target) ^ (getLong(source) + immediate), 32) & 0xffff_ffffL);
    }
  }

  private static final class XorMemory32 extends Memory {
    XorMemory32(Processor cpu, Instruction i, int offset, long target) {
      super(cpu, i, offset, target);
    }

    @Override
    void run(Processor cpu) {
      long b = cpu.load32(address());
      putLong(target, Alu.logic(cpu, getLong(target) ^ b, 32) & 0xffff_ffffL);
    }
  }

  private static final class Test64 extends Register {
    Test64(long target, long source, long immediate) {
      super(target, source, immediate);
    }

    @Override
    void run(Processor cpu) {
      Alu.logic(cpu, getLong(target) & (getLong(source) + immediate), 0);
    }
  }

  private static final class TestMemory64 extends Memory {
    TestMemory64(Processor cpu, Instruction i, int offset, long target) {
      super(cpu, i, offset, target);
    }

    @Override
    void run(Processor cpu) {
      long b = cpu.load64(address());
      Alu.logic(cpu, getLong(target) & b, 0);
    }
  }

  private static final class Test32 extends Register {
    Test32(long target, long source, long immediate) {
      super(target, source, immediate);
    }

    @Override
    void run(Processor cpu) {
      Alu.logic(cpu, getLong(target) & (getLong(source) + immediate), 32);
    }
  }

  private static final class TestMemory32 extends Memory {
    TestMemory32(Processor cpu, Instruction i, int offset, long target) {
      super(cpu, i, offset, target);
    }

    @Override
    void run(Processor cpu) {
      long b = cpu.load32(address());
      Alu.logic(cpu, getLong(target) & b, 32);
    }
  }

  private static final class Adc64 extends Register {
    Adc64(long target, long source, long immediate) {
      super(target, source, immediate);
    }

    @Override
    void run(Processor cpu) {
      putLong(
          target,
          Alu.adc(cpu, getLong(target), getLong(source) + immediate, cpu.flagAux >>> 63, 0));
    }
  }

  private static final class AdcMemory64 extends Memory {
    AdcMemory64(Processor cpu, Instruction i, int offset, long target) {
      super(cpu, i, offset, target);
    }

    @Override
    void run(Processor cpu) {
      long b = cpu.load64(address());
      putLong(target, Alu.adc(cpu, getLong(target), b, cpu.flagAux >>> 63, 0));
    }
  }

  private static final class Adc32 extends Register {
    Adc32(long target, long source, long immediate) {
      super(target, source, immediate);
    }

    @Override
    void run(Processor cpu) {
      putLong(
          target,
          Alu.adc(cpu, getLong(target), getLong(source) + immediate, cpu.flagAux >>> 63, 32)
              & 0xffff_ffffL);
    }
  }

  private static final class AdcMemory32 extends Memory {
    AdcMemory32(Processor cpu, Instruction i, int offset, long target) {
      super(cpu, i, offset, target);
    }

    @Override
    void run(Processor cpu) {
      long b = cpu.load32(address());
      putLong(target, Alu.adc(cpu, getLong(target), b, cpu.flagAux >>> 63, 32) & 0xffff_ffffL);
    }
  }

  private static final class Sbb64 extends Register {
    Sbb64(long target, long source, long immediate) {
      super(target, source, immediate);
    }

    @Override
    void run(Processor cpu) {
      putLong(
          target,
          Alu.sbb(cpu, getLong(target), getLong(source) + immediate, cpu.flagAux >>> 63, 0));
    }
  }

  private static final class SbbMemory64 extends Memory {
    SbbMemory64(Processor cpu, Instruction i, int offset, long target) {
      super(cpu, i, offset, target);
    }

    @Override
    void run(Processor cpu) {
      long b = cpu.load64(address());
      putLong(target, Alu.sbb(cpu, getLong(target), b, cpu.flagAux >>> 63, 0));
    }
  }

  private static final class Sbb32 extends Register {
    Sbb32(long target, long source, long immediate) {
      super(target, source, immediate);
    }

    @Override
    void run(Processor cpu) {
      putLong(
          target,
          Alu.sbb(cpu, getLong(target), getLong(source) + immediate, cpu.flagAux >>> 63, 32)
              & 0xffff_ffffL);
    }
  }

  private static final class SbbMemory32 extends Memory {
    SbbMemory32(Processor cpu, Instruction i, int offset, long target) {
      super(cpu, i, offset, target);
    }

    @Override
    void run(Processor cpu) {
      long b = cpu.load32(address());
      putLong(target, Alu.sbb(cpu, getLong(target), b, cpu.flagAux >>> 63, 32) & 0xffff_ffffL);
    }
  }
}
