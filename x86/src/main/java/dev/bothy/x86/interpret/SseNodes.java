package dev.bothy.x86.interpret;

import static dev.bothy.host.RawMemory.getInt;
import static dev.bothy.host.RawMemory.getLong;
import static dev.bothy.host.RawMemory.putLong;

import dev.bothy.core.cpu.CpuState;
import dev.bothy.x86.decode.Instruction;
import dev.bothy.x86.decode.Op;

/**
 * SSE moves and bitwise operations in 64-bit code: what compilers make of copies and of scalar
 * floating point. Whatever is unusual about an access goes to the general form.
 */
final class SseNodes {
  private static final long LOW = 0xffff_ffffL;

  private SseNodes() {}

  private static long xmm(Processor cpu, int register) {
    return cpu.state + CpuState.VECTORS + (long) register * CpuState.VECTOR_SIZE;
  }

  /**
   * A node for {@code i} of {@link SseGroups} group {@code group}, or null to use the general form.
   */
  static Node of(Processor cpu, int group, Instruction i, int offset) {
    if (group == SseGroups.COPY) {
      return new Copy(xmm(cpu, i.register[0]), xmm(cpu, i.register[1]));
    }
    boolean fromMemory = i.kind[1] == Instruction.MEMORY;
    boolean toMemory = i.kind[0] == Instruction.MEMORY;
    boolean bitwise = group == SseGroups.INTEGER && bitwise(i.op) != 0;
    if (bitwise && !fromMemory) {
      return new Bitwise(bitwise(i.op), xmm(cpu, i.register[0]), xmm(cpu, i.register[1]));
    }
    if (!MemoryNode.fits(i)) {
      return null;
    }
    return switch (group) {
      case SseGroups.LOAD -> new Load128(cpu, i, offset);
      case SseGroups.STORE -> new Store128(cpu, i, offset);
      case SseGroups.MOVE -> {
        if (fromMemory && i.kind[0] == Instruction.XMM) {
          yield switch (i.op) {
            case MOVSD -> new Load64(cpu, i, offset);
            case MOVSS -> new Load32(cpu, i, offset);
            case MOVQ, MOVD ->
                i.size[1] == 8 ? new Load64(cpu, i, offset) : new Load32(cpu, i, offset);
            default -> null;
          };
        }
        if (toMemory && i.kind[1] == Instruction.XMM) {
          yield switch (i.op) {
            case MOVSD, MOVLPS, MOVLPD -> new Store64(cpu, i, offset);
            case MOVSS -> new Store32(cpu, i, offset);
            case MOVQ, MOVD ->
                i.size[0] == 8 ? new Store64(cpu, i, offset) : new Store32(cpu, i, offset);
            default -> null;
          };
        }
        yield null;
      }
      default -> null;
    };
  }

  private static final int AND = 1;
  private static final int AND_NOT = 2;
  private static final int OR = 3;
  private static final int XOR = 4;

  private static int bitwise(Op op) {
    return switch (op) {
      case PAND, ANDPS, ANDPD -> AND;
      case PANDN, ANDNPS, ANDNPD -> AND_NOT;
      case POR, ORPS, ORPD -> OR;
      case PXOR, XORPS, XORPD -> XOR;
      default -> 0;
    };
  }

  private static final class Copy extends Node {
    private final long target;
    private final long source;

    Copy(long target, long source) {
      this.target = target;
      this.source = source;
    }

    @Override
    void run(Processor cpu) {
      cpu.requireSse();
      putLong(target, getLong(source));
      putLong(target + 8, getLong(source + 8));
    }
  }

  private static final class Bitwise extends Node {
    private final int operation;
    private final long target;
    private final long source;

    Bitwise(int operation, long target, long source) {
      this.operation = operation;
      this.target = target;
      this.source = source;
    }

    @Override
    void run(Processor cpu) {
      cpu.requireSse();
      long low = apply(getLong(target), getLong(source));
      long high = apply(getLong(target + 8), getLong(source + 8));
      putLong(target, low);
      putLong(target + 8, high);
    }

    private long apply(long a, long b) {
      return switch (operation) {
        case AND -> a & b;
        case AND_NOT -> ~a & b;
        case OR -> a | b;
        default -> a ^ b;
      };
    }
  }

  private abstract static class Memory extends MemoryNode {
    private final Instruction instruction;
    private final int offset;

    /** The XMM register. */
    final long register;

    Memory(Processor cpu, Instruction i, int offset) {
      super(cpu, i, offset);
      instruction = i.copy();
      this.offset = offset;
      register = xmm(cpu, i.register[i.kind[0] == Instruction.XMM ? 0 : 1]);
    }

    final void general(Processor cpu) {
      cpu.at = offset;
      SseGroups.execute(SseGroups.groupOf(instruction), cpu, instruction);
    }
  }

  private static final class Load128 extends Memory {
    private final long misaligned;

    Load128(Processor cpu, Instruction i, int offset) {
      super(cpu, i, offset);
      misaligned = SseMoveOps.isUnaligned(i.op) ? 0 : 15;
    }

    @Override
    void run(Processor cpu) {
      long at = address();
      if ((at & misaligned) != 0) {
        general(cpu);
        return;
      }
      cpu.requireSse();
      long low = cpu.load64(at);
      long high = cpu.load64(at + 8);
      putLong(register, low);
      putLong(register + 8, high);
    }
  }

  private static final class Store128 extends Memory {
    private final long misaligned;

    Store128(Processor cpu, Instruction i, int offset) {
      super(cpu, i, offset);
      misaligned = SseMoveOps.isUnaligned(i.op) ? 0 : 15;
    }

    @Override
    void run(Processor cpu) {
      long at = address();
      if ((at & misaligned) != 0) {
        general(cpu);
        return;
      }
      cpu.requireSse();
      long host = cpu.updateAddress(at, 16);
      if (host == 0) {
        general(cpu);
        return;
      }
      putLong(host, getLong(register));
      putLong(host + 8, getLong(register + 8));
    }
  }

  /** Clears what is above. */
  private static final class Load64 extends Memory {
    Load64(Processor cpu, Instruction i, int offset) {
      super(cpu, i, offset);
    }

    @Override
    void run(Processor cpu) {
      cpu.requireSse();
      putLong(register, cpu.load64(address()));
      putLong(register + 8, 0);
    }
  }

  /** Clears what is above. */
  private static final class Load32 extends Memory {
    Load32(Processor cpu, Instruction i, int offset) {
      super(cpu, i, offset);
    }

    @Override
    void run(Processor cpu) {
      cpu.requireSse();
      putLong(register, cpu.load32(address()) & LOW);
      putLong(register + 8, 0);
    }
  }

  private static final class Store64 extends Memory {
    Store64(Processor cpu, Instruction i, int offset) {
      super(cpu, i, offset);
    }

    @Override
    void run(Processor cpu) {
      cpu.requireSse();
      cpu.store64(address(), getLong(register));
    }
  }

  private static final class Store32 extends Memory {
    Store32(Processor cpu, Instruction i, int offset) {
      super(cpu, i, offset);
    }

    @Override
    void run(Processor cpu) {
      cpu.requireSse();
      cpu.store32(address(), getInt(register));
    }
  }
}
