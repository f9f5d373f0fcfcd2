package dev.bothy.x86.interpret;

import dev.bothy.x86.decode.Instruction;
import dev.bothy.x86.decode.Op;

/** Nodes that hand their instruction to the general form of its group. */
final class GeneralNodes {
  private GeneralNodes() {}

  /** Groups besides those of SSE. */
  enum Group {
    INTEGER,
    STRING,
    SYSTEM,
    X87,
    MMX,
    XSAVE
  }

  static Node of(Group group, Instruction i, int offset) {
    return switch (group) {
      case INTEGER -> new IntegerNode(i, offset);
      case STRING -> new StringNode(i, offset);
      case SYSTEM -> new SystemNode(i, offset);
      case X87 -> new X87Node(i, offset);
      case MMX -> new MmxNode(i, offset);
      case XSAVE -> new XsaveNode(i, offset);
    };
  }

  static boolean isSystem(Instruction i) {
    return switch (i.op) {
      case MOV ->
          i.kind[0] == Instruction.CONTROL_REGISTER
              || i.kind[0] == Instruction.DEBUG_REGISTER
              || i.kind[0] == Instruction.SEGMENT_REGISTER
              || i.kind[1] == Instruction.CONTROL_REGISTER
              || i.kind[1] == Instruction.DEBUG_REGISTER
              || i.kind[1] == Instruction.SEGMENT_REGISTER;
      case HLT,
          CLI,
          STI,
          PUSHF,
          POPF,
          CLAC,
          STAC,
          IN,
          OUT,
          INS,
          OUTS,
          WRMSR,
          RDMSR,
          RDTSC,
          RDTSCP,
          RDPMC,
          RDPID,
          XGETBV,
          XSETBV,
          CPUID,
          LGDT,
          LIDT,
          SGDT,
          SIDT,
          LLDT,
          LTR,
          SLDT,
          STR,
          SMSW,
          LMSW,
          CLTS,
          LES,
          LDS,
          LSS,
          LFS,
          LGS,
          LAR,
          LSL,
          VERR,
          VERW,
          ARPL,
          SWAPGS,
          RDFSBASE,
          RDGSBASE,
          WRFSBASE,
          WRGSBASE,
          INVLPG,
          INVPCID,
          WBINVD,
          INVD,
          MONITOR,
          MWAIT,
          VMMCALL,
          VMCALL,
          VMRUN,
          VMLOAD,
          VMSAVE,
          STGI,
          CLGI,
          INVLPGA,
          RDRAND,
          RDSEED,
          RDPKRU,
          WRPKRU,
          XBEGIN,
          XEND,
          XABORT,
          XTEST,
          RDSSP,
          INCSSP,
          RSTORSSP,
          SAVEPREVSSP,
          WRSS,
          WRUSS,
          SETSSBSY,
          CLRSSBSY,
          XSAVES,
          XRSTORS,
          RSM ->
          true;
      default -> false;
    };
  }

  /**
   * Instructions that end a block though they are no branches: they may change mode, shadow, TLB,
   * or need attention soon.
   */
  static boolean endsBlock(Instruction i) {
    return switch (i.op) {
      case MOV -> isSystem(i);
      case POP -> i.kind[0] == Instruction.SEGMENT_REGISTER;
      case HLT,
          CLI,
          STI,
          POPF,
          IN,
          OUT,
          INS,
          OUTS,
          WRMSR,
          XSETBV,
          CPUID,
          LGDT,
          LIDT,
          LLDT,
          LTR,
          LMSW,
          CLTS,
          LES,
          LDS,
          LSS,
          LFS,
          LGS,
          INVLPG,
          INVPCID,
          WBINVD,
          INVD,
          MONITOR,
          MWAIT,
          VMMCALL,
          VMCALL,
          VMRUN,
          VMLOAD,
          VMSAVE,
          STGI,
          CLGI,
          INVLPGA,
          WRPKRU,
          XBEGIN,
          XEND,
          XABORT,
          XRSTORS,
          RSM ->
          true;
      default -> false;
    };
  }

  private abstract static class General extends Node {
    final Instruction instruction;
    private final int offset;

    General(Instruction i, int offset) {
      instruction = i.copy();
      this.offset = offset;
    }

    final Instruction begin(Processor cpu) {
      cpu.at = offset;
      return instruction;
    }
  }

  private static final class IntegerNode extends General {
    IntegerNode(Instruction i, int offset) {
      super(i, offset);
    }

    @Override
    void run(Processor cpu) {
      IntegerOps.execute(cpu, begin(cpu));
    }
  }

  private static final class StringNode extends General {
    StringNode(Instruction i, int offset) {
      super(i, offset);
    }

    @Override
    void run(Processor cpu) {
      StringOps.execute(cpu, begin(cpu));
    }
  }

  private static final class SystemNode extends General {
    SystemNode(Instruction i, int offset) {
      super(i, offset);
    }

    @Override
    void run(Processor cpu) {
      Instruction i = begin(cpu);
      SystemOps.checkRights(cpu, i);
      SystemOps.execute(cpu, i);
    }
  }

  private static final class X87Node extends General {
    X87Node(Instruction i, int offset) {
      super(i, offset);
    }

    @Override
    void run(Processor cpu) {
      X87Ops.execute(cpu, begin(cpu));
    }
  }

  private static final class MmxNode extends General {
    MmxNode(Instruction i, int offset) {
      super(i, offset);
    }

    @Override
    void run(Processor cpu) {
      MmxOps.execute(cpu, begin(cpu));
    }
  }

  private static final class XsaveNode extends General {
    XsaveNode(Instruction i, int offset) {
      super(i, offset);
    }

    @Override
    void run(Processor cpu) {
      cpu.refuseInTransaction();
      XsaveOps.execute(cpu, begin(cpu));
    }
  }

  /** An SSE instruction of group {@code group}. */
  static Node sse(int group, Instruction i, int offset) {
    return new SseNode(group, i, offset);
  }

  private static final class SseNode extends General {
    private final int group;

    SseNode(int group, Instruction i, int offset) {
      super(i, offset);
      this.group = group;
    }

    @Override
    void run(Processor cpu) {
      SseGroups.execute(group, cpu, begin(cpu));
    }
  }

  static Node avx(Instruction i, int offset) {
    return new AvxNode(i, offset);
  }

  private static final class AvxNode extends General {
    private final int group;

    AvxNode(Instruction i, int offset) {
      super(i, offset);
      group = AvxGroups.groupOf(i);
    }

    @Override
    void run(Processor cpu) {
      AvxGroups.execute(group, cpu, begin(cpu));
    }
  }

  /** A general-purpose instruction with a VEX prefix: #UD in real and virtual-8086 mode. */
  static Node vex(Instruction i, int offset) {
    return new VexNode(i, offset);
  }

  private static final class VexNode extends General {
    VexNode(Instruction i, int offset) {
      super(i, offset);
    }

    @Override
    void run(Processor cpu) {
      Instruction i = begin(cpu);
      if (!cpu.usesDescriptors()) {
        throw cpu.ud();
      }
      IntegerOps.execute(cpu, i);
    }
  }

  static boolean isNop(Instruction i) {
    return switch (i.op) {
      case NOP,
          ENDBR32,
          ENDBR64,
          PREFETCH,
          PREFETCHNTA,
          PREFETCHT0,
          PREFETCHT1,
          PREFETCHT2,
          PREFETCHW ->
          true;
      default -> false;
    };
  }

  static final Node NOP =
      new Node() {
        @Override
        void run(Processor cpu) {}
      };

  static boolean isString(Op op) {
    return switch (op) {
      case MOVS, CMPS, STOS, LODS, SCAS -> true;
      default -> false;
    };
  }
}
