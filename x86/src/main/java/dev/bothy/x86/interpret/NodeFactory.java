package dev.bothy.x86.interpret;

import dev.bothy.core.cpu.CpuState;
import dev.bothy.x86.decode.Instruction;
import dev.bothy.x86.decode.Op;

/**
 * Picks the node or end for a decoded instruction: one of its own for what is hot in 64-bit code,
 * else its group's general one.
 */
final class NodeFactory {
  private final Processor cpu;
  private final long zero;
  private final long rspAt;

  NodeFactory(Processor cpu) {
    this.cpu = cpu;
    zero = cpu.state + CpuState.ZERO;
    rspAt = gpr(CpuState.RSP);
  }

  private long gpr(int register) {
    return cpu.state + CpuState.GPR + 8L * register;
  }

  /** Address in the state of register operand {@code n}; of its second byte for AH to BH. */
  private long at(Instruction i, int n) {
    return gpr(i.register[n]) + (i.kind[n] == Instruction.GPR_HIGH ? 1 : 0);
  }

  private static boolean isGpr(Instruction i, int n) {
    return i.kind[n] == Instruction.GPR || i.kind[n] == Instruction.GPR_HIGH;
  }

  // Ends.

  End fallThrough(int at, int startInPage) {
    return new BranchEnds.Direct(at, startInPage + at < 4096);
  }

  /** The end that {@code i} makes, or null if the block goes on behind it. */
  End end(Instruction i, int offset, int startInPage, int mode) {
    boolean is64 = i.mode == 64;
    long next = offset + i.length;
    if (enforced(i, mode)) {
      return new BranchEnds.General(i, offset, true);
    }
    switch (i.op) {
      case JCC -> {
        if (is64 && i.operandSize == 8) {
          long taken = next + i.immediate;
          return ConditionalEnd.of(
              i.opcode & 15, taken, next, near(startInPage, taken), near(startInPage, next));
        }
        return new BranchEnds.General(i, offset, true);
      }
      case JMP -> {
        if (is64 && i.operandSize == 8 && i.kind[0] == Instruction.RELATIVE) {
          long by = next + i.immediate;
          return new BranchEnds.Direct(by, near(startInPage, by));
        }
        if (is64 && i.operandSize == 8 && (isGpr(i, 0) || MemoryNode.fits(i))) {
          return new BranchEnds.Indirect(cpu, i, offset, isGpr(i, 0) ? at(i, 0) : 0);
        }
        return new BranchEnds.General(i, offset, true);
      }
      case CALL -> {
        if (is64 && i.operandSize == 8 && i.kind[0] == Instruction.RELATIVE) {
          long by = next + i.immediate;
          return new BranchEnds.Call(cpu, by, near(startInPage, by), next);
        }
        if (is64 && i.operandSize == 8 && (isGpr(i, 0) || MemoryNode.fits(i))) {
          return new BranchEnds.Indirect(cpu, i, offset, isGpr(i, 0) ? at(i, 0) : 0);
        }
        return new BranchEnds.General(i, offset, true);
      }
      case RET -> {
        if (is64 && i.operandSize == 8) {
          return new BranchEnds.Return(cpu, i.operands > 0 ? i.immediate & 0xffff : 0);
        }
        return new BranchEnds.General(i, offset, true);
      }
      case LOOP,
          LOOPE,
          LOOPNE,
          JRCXZ,
          JMP_FAR,
          CALL_FAR,
          RET_FAR,
          IRET,
          SYSCALL,
          SYSRET,
          SYSENTER,
          SYSEXIT,
          INT3,
          INT,
          INTO,
          INT1,
          UD0,
          UD1,
          UD2 -> {
        return new BranchEnds.General(i, offset, true);
      }
      default -> {
        return GeneralNodes.endsBlock(i) ? new BranchEnds.General(i, offset, false) : null;
      }
    }
  }

  /** True if {@code i} is one of the branches that what is enforced in {@code mode} looks at. */
  private static boolean enforced(Instruction i, int mode) {
    return switch (i.op) {
      case CALL -> (mode & (ControlFlow.MODE_SHADOW | ControlFlow.MODE_TRACKED)) != 0;
      case RET -> (mode & ControlFlow.MODE_SHADOW) != 0;
      case JMP -> (mode & ControlFlow.MODE_TRACKED) != 0 && i.kind[0] != Instruction.RELATIVE;
      default -> false;
    };
  }

  /**
   * True if {@code by} bytes from a block that starts {@code startInPage} bytes into its page is
   * the same page.
   */
  private static boolean near(int startInPage, long by) {
    long at = startInPage + by;
    return at >= 0 && at < 4096;
  }

  // Nodes.

  Node node(Instruction i, int offset) {
    if (GeneralNodes.isNop(i)) {
      return GeneralNodes.NOP;
    }
    if (i.mode == 64) {
      Node hot = hot(i, offset);
      if (hot != null) {
        return hot;
      }
    }
    return general(i, offset);
  }

  private Node general(Instruction i, int offset) {
    if (GeneralNodes.isSystem(i)) {
      return GeneralNodes.of(GeneralNodes.Group.SYSTEM, i, offset);
    }
    if (GeneralNodes.isString(i.op)) {
      return GeneralNodes.of(GeneralNodes.Group.STRING, i, offset);
    }
    switch (i.op) {
      case FXSAVE, FXRSTOR, XSAVE, XRSTOR, XSAVEC, XSAVEOPT -> {
        return GeneralNodes.of(GeneralNodes.Group.XSAVE, i, offset);
      }
      case BOUND -> {
        return new BoundNode(i, offset);
      }
      default -> {}
    }
    int sse = SseGroups.groupOf(i);
    if (sse >= 0) {
      Node hot = i.mode == 64 ? SseNodes.of(cpu, sse, i, offset) : null;
      if (hot != null) {
        return hot;
      }
      return GeneralNodes.sse(sse, i, offset);
    }
    return switch (i.entry.lowering()) {
      case X87 -> GeneralNodes.of(GeneralNodes.Group.X87, i, offset);
      case MMX -> GeneralNodes.of(GeneralNodes.Group.MMX, i, offset);
      case SSE ->
          GeneralNodes.of(
              mmxOperand(i) ? GeneralNodes.Group.MMX : GeneralNodes.Group.INTEGER, i, offset);
      case AVX -> GeneralNodes.avx(i, offset);
      default ->
          i.vex != 0 && i.mode != 64
              ? GeneralNodes.vex(i, offset)
              : GeneralNodes.of(GeneralNodes.Group.INTEGER, i, offset);
    };
  }

  private static boolean mmxOperand(Instruction i) {
    for (int n = 0; n < i.operands; n++) {
      if (i.kind[n] == Instruction.MMX) {
        return true;
      }
    }
    return false;
  }

  private static final class BoundNode extends Node {
    private final Instruction instruction;
    private final int offset;

    BoundNode(Instruction i, int offset) {
      instruction = i.copy();
      this.offset = offset;
    }

    @Override
    void run(Processor cpu) {
      cpu.at = offset;
      ControlOps.execute(cpu, instruction);
    }
  }

  private Node hot(Instruction i, int offset) {
    boolean simple = MemoryNode.fits(i);
    return switch (i.op) {
      case MOV -> move(i, offset, simple);
      case ADD, OR, ADC, SBB, AND, SUB, XOR, CMP, TEST -> arithmetic(i, offset, simple);
      case LEA -> {
        if (!simple || i.size[0] < 4) {
          yield null;
        }
        // LEA has no segment.
        i.segment = CpuState.DS;
        yield MoveNodes.lea(cpu, i, offset, i.size[0], at(i, 0));
      }
      case MOVZX, MOVSX, MOVSXD -> extend(i, offset, simple);
      case PUSH -> {
        if (i.operandSize != 8) {
          yield null;
        }
        if (i.kind[0] == Instruction.GPR) {
          yield MoveNodes.push(rspAt, at(i, 0), 0);
        }
        yield i.kind[0] == Instruction.IMMEDIATE ? MoveNodes.push(rspAt, zero, i.immediate) : null;
      }
      case POP ->
          i.operandSize == 8 && i.kind[0] == Instruction.GPR
              ? MoveNodes.pop(rspAt, at(i, 0))
              : null;
      case INC, DEC, SHL, SHR, SAR, ROL, ROR, IMUL, MUL, CMOVCC, SETCC, NOT, NEG ->
          RegisterNodes.of(cpu, i, offset, simple);
      default -> null;
    };
  }

  private Node move(Instruction i, int offset, boolean simple) {
    int size = i.size[0];
    if (isGpr(i, 0)) {
      if (isGpr(i, 1)) {
        return MoveNodes.register(size, at(i, 0), at(i, 1));
      }
      if (i.kind[1] == Instruction.IMMEDIATE) {
        return size == 8
            ? MoveNodes.constant(at(i, 0), i.immediate)
            : size == 4 ? MoveNodes.constant(at(i, 0), i.immediate & 0xffff_ffffL) : null;
      }
      return simple && i.kind[1] == Instruction.MEMORY
          ? MoveNodes.load(cpu, i, offset, size, at(i, 0))
          : null;
    }
    if (!simple || i.kind[0] != Instruction.MEMORY) {
      return null;
    }
    if (isGpr(i, 1)) {
      return MoveNodes.store(cpu, i, offset, size, at(i, 1), 0);
    }
    return i.kind[1] == Instruction.IMMEDIATE
        ? MoveNodes.store(cpu, i, offset, size, zero, i.immediate)
        : null;
  }

  private Node extend(Instruction i, int offset, boolean simple) {
    int to = i.size[0];
    int from = i.size[1];
    if (to < 4) {
      return null;
    }
    boolean sign = i.op != Op.MOVZX;
    if (isGpr(i, 1)) {
      return from == 4 && to == 4
          ? MoveNodes.register(4, at(i, 0), at(i, 1))
          : MoveNodes.extend(from, to, sign, at(i, 0), at(i, 1));
    }
    return simple ? MoveNodes.extendLoad(cpu, i, offset, from, to, sign, at(i, 0)) : null;
  }

  private Node arithmetic(Instruction i, int offset, boolean simple) {
    int size = i.size[0];
    boolean compare = i.op == Op.CMP || i.op == Op.TEST;
    if (size < 4) {
      if (size == 1 && isGpr(i, 0) && (isGpr(i, 1) || i.kind[1] == Instruction.IMMEDIATE)) {
        return RegisterNodes.small(
            i.op, at(i, 0), isGpr(i, 1) ? at(i, 1) : zero, isGpr(i, 1) ? 0 : i.immediate);
      }
      if (size == 2 && isGpr(i, 0) && (isGpr(i, 1) || i.kind[1] == Instruction.IMMEDIATE)) {
        return RegisterNodes.small16(
            i.op, at(i, 0), isGpr(i, 1) ? at(i, 1) : zero, isGpr(i, 1) ? 0 : i.immediate);
      }
      if (compare
          && size == 1
          && simple
          && i.kind[0] == Instruction.MEMORY
          && i.kind[1] == Instruction.IMMEDIATE) {
        return UpdateNodes.compare(cpu, i, offset, zero, i.immediate);
      }
      return null;
    }
    if (isGpr(i, 0)) {
      if (i.kind[1] == Instruction.MEMORY) {
        return simple ? AluNodes.memory(cpu, i, offset, at(i, 0)) : null;
      }
      return isGpr(i, 1)
          ? AluNodes.register(i.op, size, at(i, 0), at(i, 1), 0)
          : AluNodes.register(i.op, size, at(i, 0), zero, i.immediate);
    }
    if (!simple || i.lock && !cpu.alone) {
      return null;
    }
    long source = isGpr(i, 1) ? at(i, 1) : zero;
    long immediate = isGpr(i, 1) ? 0 : i.immediate;
    return compare
        ? UpdateNodes.compare(cpu, i, offset, source, immediate)
        : UpdateNodes.update(cpu, i, offset, source, immediate);
  }
}
