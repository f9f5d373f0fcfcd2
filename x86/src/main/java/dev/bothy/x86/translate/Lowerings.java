package dev.bothy.x86.translate;

import dev.bothy.x86.decode.Instruction;
import dev.bothy.x86.decode.Lowering;
import dev.bothy.x86.decode.Op;

/** Which instruction is whose. */
final class Lowerings {
  private Lowerings() {}

  /** Writes {@code i}; false if it is the interpreter's. */
  static boolean write(BlockWriter w, Instruction i) {
    if (!HostFeatures.has(i.entry.feature())) {
      return false;
    }
    if (Mode.is(w.mode, Mode.GUEST) && !GuestIntercepts.write(w, i)) {
      return false;
    }
    if (Mode.is(w.mode, Mode.ENFORCED) && EnforcedBranches.has(w.mode, i)) {
      return EnforcedBranches.write(w, i);
    }
    if (i.vex != 0) {
      return i.entry.lowering() == Lowering.AVX
          ? AvxInstructions.write(w, i)
          : ThreeOperands.write(w, i);
    }
    switch (i.op) {
      case CLI, STI, PUSHF, POPF, STAC, CLAC, SAHF -> {
        return FlagInstructions.write(w, i);
      }
      case SYSCALL, SYSRET, IRET -> {
        return SystemCalls.write(w, i);
      }
      case SWAPGS, RDFSBASE, RDGSBASE, WRFSBASE, WRGSBASE, PAUSE -> {
        return SystemRegisters.write(w, i);
      }
      case XGETBV, RDPKRU, WRPKRU, RDTSC, RDTSCP -> {
        return SystemRegisters.write(w, i);
      }
      case INVLPG -> {
        return AddressSpaces.write(w, i);
      }
      case CPUID -> {
        w.clobberFlags();
        w.a.call(w.stubs.cpuid);
        w.interpretIf(dev.bothy.assemble.Assembler.B);
        return true;
      }
      case XSAVE, XSAVEOPT, XSAVEC, XRSTOR -> {
        return StateAreas.write(w, i);
      }
      case MOV -> {
        if (SystemRegisters.moves(i)) {
          return SystemRegisters.write(w, i);
        }
      }
      case CMPXCHG8B, CMPXCHG16B -> {
        return Integers.compareExchangePair(w, i);
      }
      default -> {}
    }
    return switch (i.entry.lowering()) {
      case PLAIN, FLAGS -> Integers.write(w, i);
      case STACK -> Branches.stack(w, i);
      case CONTROL -> Branches.branch(w, i);
      // Without an effect on the guest's state.
      case NOP -> true;
      case STRING -> Strings.write(w, i);
      case SSE -> Vectors.write(w, i);
      case X87 -> FloatingPoint.write(w, i);
      case MMX -> MmxInstructions.write(w, i);
      default -> false;
    };
  }

  /** True for results that the architecture leaves to the processor within bounds. */
  static boolean approximates(Op op) {
    return switch (op) {
      case F2XM1, FYL2X, FYL2XP1, FPTAN, FPATAN, FSIN, FCOS, FSINCOS -> true;
      case RCPPS, RCPSS, RSQRTPS, RSQRTSS -> true;
      case VRCPPS, VRCPSS, VRSQRTPS, VRSQRTSS -> true;
      default -> false;
    };
  }

  /** True if nothing follows {@code i} in its block. */
  static boolean ends(Instruction i, int mode) {
    return Mode.is(mode, Mode.WAITING)
        || Branches.ends(i)
        || SystemCalls.ends(i)
        || FlagInstructions.ends(i, mode)
        || AddressSpaces.changes(i);
  }
}
