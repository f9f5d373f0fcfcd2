package dev.bothy.x86.interpret;

import dev.bothy.x86.decode.Instruction;
import dev.bothy.x86.decode.Op;

/**
 * Whether an instruction writes its memory operand: legacy modes check the segment's type for it.
 */
final class MemoryWriters {
  private MemoryWriters() {}

  static boolean writes(Instruction i) {
    if (i.kind[0] != Instruction.MEMORY) {
      return i.op == Op.MASKMOVQ || i.op == Op.MASKMOVDQU || i.op == Op.VMASKMOVDQU;
    }
    return switch (i.op) {
      case CMP,
          TEST,
          BT,
          PUSH,
          MUL,
          IMUL,
          DIV,
          IDIV,
          CALL,
          JMP,
          CALL_FAR,
          JMP_FAR,
          NOP,
          INVLPG,
          LGDT,
          LIDT,
          LLDT,
          LTR,
          VERR,
          VERW,
          LMSW,
          CLFLUSH,
          CLFLUSHOPT,
          CLWB,
          PREFETCH,
          PREFETCHW,
          PREFETCHNTA,
          PREFETCHT0,
          PREFETCHT1,
          PREFETCHT2,
          FLD,
          FILD,
          FBLD,
          FADD,
          FSUB,
          FSUBR,
          FMUL,
          FDIV,
          FDIVR,
          FCOM,
          FCOMP,
          FIADD,
          FISUB,
          FISUBR,
          FIMUL,
          FIDIV,
          FIDIVR,
          FICOM,
          FICOMP,
          FLDCW,
          FLDENV,
          FRSTOR,
          FXRSTOR,
          XRSTOR,
          LDMXCSR,
          VLDMXCSR ->
          false;
      default -> true;
    };
  }
}
