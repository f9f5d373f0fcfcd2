package dev.bothy.x86.interpret;

import static dev.bothy.host.RawMemory.getLong;
import static dev.bothy.host.RawMemory.putLong;

import dev.bothy.core.cpu.CpuState;
import dev.bothy.x86.decode.Instruction;
import dev.bothy.x86.decode.Op;

/** Unconditional ends of blocks. */
final class BranchEnds {
  private BranchEnds() {}

  /**
   * Goes {@code by} bytes from the block's start, in any mode; remembers the block there while it
   * is on the page.
   */
  static class Direct extends End {
    final long by;
    private final boolean near;
    private Block next;

    Direct(long by, boolean near) {
      this.by = by;
      this.near = near;
    }

    @Override
    Block run(Processor cpu) {
      putLong(cpu.ripAt, cpu.wrapRip(getLong(cpu.ripAt) + by));
      return next(cpu);
    }

    final Block next(Processor cpu) {
      Block known = next;
      if (known != null && known.valid) {
        return known;
      }
      return near ? cpu.wantLink(this) : null;
    }

    @Override
    final void link(Block target) {
      if (target.secondPage < 0) {
        next = target;
      }
    }
  }

  /** CALL rel32 in 64-bit code. */
  static final class Call extends Direct {
    private final long returnBy;
    private final long rspAt;

    Call(Processor cpu, long by, boolean near, long returnBy) {
      super(by, near);
      this.returnBy = returnBy;
      rspAt = cpu.state + CpuState.GPR + 8L * CpuState.RSP;
    }

    @Override
    Block run(Processor cpu) {
      long rip = getLong(cpu.ripAt);
      long target = rip + by;
      if (!cpu.canonical(target)) {
        throw cpu.gp();
      }
      long sp = getLong(rspAt) - 8;
      cpu.store64(sp, rip + returnBy);
      putLong(rspAt, sp);
      putLong(cpu.ripAt, target);
      return next(cpu);
    }
  }

  /** RET in 64-bit code. */
  static final class Return extends End {
    private final long release;
    private final long rspAt;

    Return(Processor cpu, long release) {
      this.release = release;
      rspAt = cpu.state + CpuState.GPR + 8L * CpuState.RSP;
    }

    @Override
    Block run(Processor cpu) {
      long sp = getLong(rspAt);
      long target = cpu.load64(sp);
      if (!cpu.canonical(target)) {
        throw cpu.gp();
      }
      putLong(rspAt, sp + 8 + release);
      putLong(cpu.ripAt, target);
      return null;
    }
  }

  /** JMP and CALL to a 64-bit register or memory operand in 64-bit code. */
  static final class Indirect extends End {
    private final boolean call;
    private final long registerAt;
    private final MemoryNode operand;
    private final long returnBy;
    private final long rspAt;
    private final General general;

    /**
     * @param registerAt the register's place in the state, 0 for a memory operand
     */
    Indirect(Processor cpu, Instruction i, int offset, long registerAt) {
      call = i.op == Op.CALL;
      this.registerAt = registerAt;
      operand = registerAt == 0 ? new Operand(cpu, i, offset) : null;
      returnBy = offset + i.length;
      rspAt = cpu.state + CpuState.GPR + 8L * CpuState.RSP;
      general = new General(i, offset, true);
    }

    @Override
    Block run(Processor cpu) {
      long target = operand == null ? getLong(registerAt) : cpu.load64(operand.address());
      if (!cpu.canonical(target)) {
        return general.run(cpu);
      }
      if (call) {
        long sp = getLong(rspAt) - 8;
        cpu.store64(sp, getLong(cpu.ripAt) + returnBy);
        putLong(rspAt, sp);
      }
      putLong(cpu.ripAt, target);
      return null;
    }
  }

  /** Only the address of a memory operand. */
  private static final class Operand extends MemoryNode {
    Operand(Processor cpu, Instruction i, int offset) {
      super(cpu, i, offset);
    }

    @Override
    void run(Processor cpu) {
      throw new IllegalStateException("no instruction");
    }
  }

  /** Any instruction that ends a block: {@code branchTo} is where it leads. */
  static final class General extends End {
    private final Instruction instruction;
    private final int offset;
    private final boolean control;

    General(Instruction i, int offset, boolean control) {
      instruction = i.copy();
      this.offset = offset;
      this.control = control;
    }

    @Override
    Block run(Processor cpu) {
      cpu.at = offset;
      cpu.branchTo = cpu.nextRip(instruction);
      SystemOps.checkRights(cpu, instruction);
      if (control) {
        ControlOps.execute(cpu, instruction);
      } else if (GeneralNodes.isSystem(instruction)) {
        SystemOps.execute(cpu, instruction);
      } else {
        IntegerOps.execute(cpu, instruction);
      }
      putLong(cpu.ripAt, cpu.wrapRip(cpu.branchTo));
      return null;
    }
  }
}
