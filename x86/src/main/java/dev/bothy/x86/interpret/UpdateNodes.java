package dev.bothy.x86.interpret;

import static dev.bothy.host.RawMemory.getInt;
import static dev.bothy.host.RawMemory.getLong;
import static dev.bothy.host.RawMemory.putInt;
import static dev.bothy.host.RawMemory.putLong;

import dev.bothy.x86.decode.Instruction;
import dev.bothy.x86.decode.Op;

/**
 * ADD, OR, ADC, SBB, AND, SUB, XOR, and the comparisons CMP and TEST, with memory as destination;
 * 32 and 64 bits, no LOCK.
 */
final class UpdateNodes {
  private UpdateNodes() {}

  static Node update(Processor cpu, Instruction i, int offset, long source, long immediate) {
    return i.size[0] == 8
        ? new Update64(cpu, i, offset, source, immediate)
        : new Update32(cpu, i, offset, source, immediate);
  }

  static Node compare(Processor cpu, Instruction i, int offset, long source, long immediate) {
    boolean test = i.op == Op.TEST;
    return switch (i.size[0]) {
      case 1 -> new Compare8(cpu, i, offset, source, immediate, test);
      case 4 -> new Compare32(cpu, i, offset, source, immediate, test);
      default -> new Compare64(cpu, i, offset, source, immediate, test);
    };
  }

  static long apply(Processor cpu, Op op, long a, long b, int shift) {
    return switch (op) {
      case ADD -> Alu.add(cpu, a, b, shift);
      case OR -> Alu.logic(cpu, a | b, shift);
      case ADC -> Alu.adc(cpu, a, b, cpu.flagAux >>> 63, shift);
      case SBB -> Alu.sbb(cpu, a, b, cpu.flagAux >>> 63, shift);
      case AND -> Alu.logic(cpu, a & b, shift);
      case SUB -> Alu.sub(cpu, a, b, shift);
      default -> Alu.logic(cpu, a ^ b, shift);
    };
  }

  private abstract static class Source extends MemoryNode {
    final long source;
    final long immediate;

    Source(Processor cpu, Instruction i, int offset, long source, long immediate) {
      super(cpu, i, offset);
      this.source = source;
      this.immediate = immediate;
    }
  }

  private static final class Update64 extends Source {
    private final Op op;

    Update64(Processor cpu, Instruction i, int offset, long source, long immediate) {
      super(cpu, i, offset, source, immediate);
      op = i.op;
    }

    @Override
    void run(Processor cpu) {
      long at = address();
      long host = cpu.updateAddress(at, 8);
      long b = getLong(source) + immediate;
      if (host != 0) {
        putLong(host, apply(cpu, op, getLong(host), b, 0));
      } else {
        long a = cpu.loadForUpdate(at, 8);
        cpu.storeSlow(at, 8, apply(cpu, op, a, b, 0));
      }
    }
  }

  private static final class Update32 extends Source {
    private final Op op;

    Update32(Processor cpu, Instruction i, int offset, long source, long immediate) {
      super(cpu, i, offset, source, immediate);
      op = i.op;
    }

    @Override
    void run(Processor cpu) {
      long at = address();
      long host = cpu.updateAddress(at, 4);
      long b = getLong(source) + immediate;
      if (host != 0) {
        putInt(host, (int) apply(cpu, op, getInt(host), b, 32));
      } else {
        long a = cpu.loadForUpdate(at, 4);
        cpu.storeSlow(at, 4, apply(cpu, op, a, b, 32));
      }
    }
  }

  private abstract static class Compare extends Source {
    final boolean test;

    Compare(Processor cpu, Instruction i, int offset, long source, long immediate, boolean test) {
      super(cpu, i, offset, source, immediate);
      this.test = test;
    }
  }

  private static final class Compare8 extends Compare {
    Compare8(Processor cpu, Instruction i, int offset, long source, long immediate, boolean test) {
      super(cpu, i, offset, source, immediate, test);
    }

    @Override
    void run(Processor cpu) {
      long a = cpu.load8(address());
      long b = getLong(source) + immediate;
      if (test) {
        Alu.logic(cpu, a & b, 56);
      } else {
        Alu.sub(cpu, a, b, 56);
      }
    }
  }

  private static final class Compare32 extends Compare {
    Compare32(Processor cpu, Instruction i, int offset, long source, long immediate, boolean test) {
      super(cpu, i, offset, source, immediate, test);
    }

    @Override
    void run(Processor cpu) {
      long a = cpu.load32(address());
      long b = getLong(source) + immediate;
      if (test) {
        Alu.logic(cpu, a & b, 32);
      } else {
        Alu.sub(cpu, a, b, 32);
      }
    }
  }

  private static final class Compare64 extends Compare {
    Compare64(Processor cpu, Instruction i, int offset, long source, long immediate, boolean test) {
      super(cpu, i, offset, source, immediate, test);
    }

    @Override
    void run(Processor cpu) {
      long a = cpu.load64(address());
      long b = getLong(source) + immediate;
      if (test) {
        Alu.logic(cpu, a & b, 0);
      } else {
        Alu.sub(cpu, a, b, 0);
      }
    }
  }
}
