package dev.bothy.x86.oracle;

import static dev.bothy.core.cpu.CpuState.RAX;
import static dev.bothy.core.cpu.CpuState.RBP;
import static dev.bothy.core.cpu.CpuState.RBX;
import static dev.bothy.core.cpu.CpuState.RCX;
import static dev.bothy.core.cpu.CpuState.RDI;
import static dev.bothy.core.cpu.CpuState.RDX;
import static dev.bothy.core.cpu.CpuState.RSI;
import static dev.bothy.core.cpu.CpuState.RSP;
import static dev.bothy.x86.decode.TableEntry.CF;
import static dev.bothy.x86.decode.TableEntry.OF;
import static dev.bothy.x86.decode.TableEntry.PF;
import static dev.bothy.x86.decode.TableEntry.SF;
import static dev.bothy.x86.decode.TableEntry.ZF;

import dev.bothy.x86.decode.Instruction;
import dev.bothy.x86.decode.Op;

/**
 * What an instruction may do to registers and flags, as far as sequences must know it in advance.
 * Every case of a single instruction checks {@link #written} against the host.
 */
final class Effects {
  /** What a condition of the opcode's low bits looks at, in pairs. */
  private static final int[] CONDITIONS = {OF, CF, ZF, CF | ZF, SF, PF, SF | OF, ZF | SF | OF};

  private Effects() {}

  /** General registers it may write, a bit each. */
  static int written(Instruction in) {
    int mask = explicit(in);
    if (in.repeat != 0 && strings(in)) {
      mask |= 1 << RCX;
    }
    return mask
        | switch (in.op) {
          case XCHG, XADD, MULX -> explicit(in, 1);
          case CMPXCHG, CBW, XLAT, LAHF, AAA, AAS, AAD, AAM, DAA, DAS, IN, SALC -> 1 << RAX;
          case CMPXCHG8B, CMPXCHG16B, MUL, DIV, IDIV, RDTSC, RDMSR, RDPMC, XGETBV ->
              1 << RAX | 1 << RDX;
          case IMUL -> in.operands == 1 ? 1 << RAX | 1 << RDX : 0;
          case CWD -> 1 << RDX;
          case MOVS, CMPS -> 1 << RSI | 1 << RDI;
          case STOS, SCAS, INS -> 1 << RDI;
          case LODS -> 1 << RAX | 1 << RSI;
          case OUTS -> 1 << RSI;
          case PUSH, POP, PUSHF, POPF, PUSHA, CALL, RET -> 1 << RSP;
          case ENTER, LEAVE -> 1 << RSP | 1 << RBP;
          case POPA -> 0xff;
          case LOOP, LOOPE, LOOPNE, PCMPESTRI, PCMPISTRI, VPCMPESTRI, VPCMPISTRI -> 1 << RCX;
          case CPUID -> 1 << RAX | 1 << RBX | 1 << RCX | 1 << RDX;
          default -> 0;
        };
  }

  /** The destination, unless the instruction is known to read it only. */
  private static int explicit(Instruction in) {
    return switch (in.op) {
      case CMP, TEST, BT, PUSH, NOP, JMP, CALL, BOUND, OUT, MUL, DIV, IDIV, WRFSBASE, WRGSBASE -> 0;
      case IMUL -> in.operands == 1 ? 0 : explicit(in, 0);
      default -> explicit(in, 0);
    };
  }

  private static int explicit(Instruction in, int n) {
    if (n >= in.operands) {
      return 0;
    }
    return switch (in.kind[n]) {
      case Instruction.GPR, Instruction.GPR_HIGH -> 1 << in.register[n];
      default -> 0;
    };
  }

  /** True for the instructions that a repeat prefix repeats. */
  static boolean strings(Instruction in) {
    return switch (in.op) {
      case MOVS, CMPS, STOS, SCAS, LODS, INS, OUTS -> true;
      default -> false;
    };
  }

  /** Flags that its result depends on, those that merely survive left out. */
  static int flagsRead(Instruction in) {
    if (in.entry.conditional()) {
      return CONDITIONS[in.opcode >> 1 & 7];
    }
    return switch (in.op) {
      case ROL, ROR, SHL, SHR, SAR, SHLD, SHRD -> 0;
      case RCL, RCR -> CF;
      default -> in.entry.flagsRead();
    };
  }

  /** Flags that are defined behind it whatever they were before. */
  static int flagsSettled(Instruction in) {
    if (in.repeat != 0 && strings(in)) {
      return 0; // a count of zero changes none
    }
    int survive =
        switch (in.op) {
          case ROL, ROR, SHL, SHR, SAR, SHLD, SHRD, RCL, RCR -> in.entry.flagsRead();
          default -> 0;
        };
    return in.entry.flagsWritten() & ~in.entry.flagsUndefined() & ~survive;
  }

  /** True if {@link Tolerance} allows two results: nothing may come of them. */
  static boolean tolerated(Op op) {
    return Tolerance.transcendental(op) || Tolerance.reciprocal(op);
  }
}
