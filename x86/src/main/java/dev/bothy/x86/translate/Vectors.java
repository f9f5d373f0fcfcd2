package dev.bothy.x86.translate;

import static dev.bothy.assemble.Assembler.NONE;

import dev.bothy.assemble.Assembler;
import dev.bothy.core.cpu.CpuState;
import dev.bothy.x86.decode.Instruction;
import dev.bothy.x86.decode.Op;
import java.util.Set;

/**
 * SSE to SSE4.2, SSE4A, AES, CLMUL and SHA: the host's own instructions on the guest's own
 * registers.
 */
final class Vectors {
  private Vectors() {}

  /** Writes {@code i}; false if it is none of ours. */
  static boolean write(BlockWriter w, Instruction i) {
    if (Mode.is(w.mode, Mode.NO_SSE)) {
      return false;
    }
    if (Mode.is(w.mode, Mode.SSE_TRAPS) && mayTrap(i)) {
      return false;
    }
    return switch (i.op) {
      case LDMXCSR, STMXCSR -> control(w, i);
      case PCMPESTRI, PCMPESTRM -> compareStrings(w, i);
      case MASKMOVDQU -> {
        load(w);
        yield MmxInstructions.maskedStore(w, i, 16);
      }
      default -> {
        load(w);
        yield Rewriting.write(w, i, alignment(i));
      }
    };
  }

  /** XMM registers and MXCSR are the guest's from here on. */
  static void load(BlockWriter w) {
    if ((w.loadedUnits & Units.VECTORS) == 0) {
      w.observe();
      w.need(Units.VECTORS);
    }
  }

  /** The host's MXCSR is the guest's as long as all exceptions are masked. */
  static boolean control(BlockWriter w, Instruction i) {
    if (Mode.is(w.mode, Mode.SSE_TRAPS) || !Memory.fits(w, i)) {
      return false;
    }
    load(w);
    Assembler a = w.a;
    boolean store = i.op == Op.STMXCSR || i.op == Op.VSTMXCSR;
    Memory.operand(w, i, w.offset + i.length, 4, store, 1);
    if (store) {
      a.memoryExtended(0, 4, 0x0fae, 3, Home.A, NONE, 0, 0);
      return true;
    }
    // A copy: what is checked is what is loaded.
    a.load(4, Home.V, Home.A, 0);
    a.store(4, Home.BASE, Rewriting.SCRATCH, Home.V);
    a.aluImmediate(Assembler.AND, 4, Home.V, ~0xe07f);
    a.aluImmediate(Assembler.CMP, 4, Home.V, 0x1f80);
    w.interpretIf(Assembler.NE);
    a.memoryExtended(0, 4, 0x0fae, 2, Home.BASE, NONE, 0, Rewriting.SCRATCH);
    return true;
  }

  /** Lengths are in RAX and RDX, the index comes in RCX. */
  static boolean compareStrings(BlockWriter w, Instruction i) {
    Assembler a = w.a;
    boolean memory = i.kind[1] == Instruction.MEMORY;
    if (memory && !Memory.fits(w, i)) {
      return false;
    }
    load(w);
    int size = i.w && w.is64() ? 8 : 4;
    if (memory) {
      Memory.operand(w, i, w.offset + i.length, 16, false, 1);
      a.mov(8, Home.V, Home.A);
    }
    w.get(Assembler.RAX, CpuState.RAX);
    if (i.vex != 0 && memory) {
      a.vexMemory(Assembler.P66, i.map, size, i.opcode, i.register[0], 0, Home.V, 0);
    } else if (i.vex != 0) {
      a.vexRegisters(Assembler.P66, i.map, size, i.opcode, i.register[0], 0, i.register[1]);
    } else if (memory) {
      a.memory(Assembler.P66, size, Rewriting.opcode(i), i.register[0], Home.V, NONE, 0, 0);
    } else {
      a.registers(Assembler.P66, size, Rewriting.opcode(i), i.register[0], i.register[1]);
    }
    a.int8((int) i.immediate);
    w.flagsWritten();
    return true;
  }

  private static int alignment(Instruction i) {
    return switch (i.op) {
      case MOVUPS, MOVUPD, MOVDQU, LDDQU, PCMPISTRI, PCMPISTRM -> 1;
      default -> {
        int rm = Rewriting.rm(i);
        yield rm >= 0 && i.kind[rm] == Instruction.MEMORY && i.size[rm] == 16 ? 16 : 1;
      }
    };
  }

  private static final Set<String> ARITHMETIC =
      Set.of("ADD", "SUB", "MUL", "DIV", "SQRT", "MIN", "MAX", "CMP");

  private static final Set<String> ELEMENTS = Set.of("PS", "PD", "SS", "SD");

  /** True if the instruction can raise a SIMD floating-point exception. */
  static boolean mayTrap(Instruction i) {
    String name = i.op.name();
    if (i.vex != 0) {
      if (name.startsWith("VFM") || name.startsWith("VFNM")) {
        return true;
      }
      name = name.substring(1);
    }
    return name.startsWith("CVT")
        || name.startsWith("COMIS")
        || name.startsWith("UCOMIS")
        || name.startsWith("ROUND")
        || name.startsWith("DPP")
        || name.startsWith("ADDSUB")
        || name.startsWith("HADDP")
        || name.startsWith("HSUBP")
        || isArithmetic(name);
  }

  private static boolean isArithmetic(String name) {
    int end = name.length() - 2;
    return end > 0
        && ARITHMETIC.contains(name.substring(0, end))
        && ELEMENTS.contains(name.substring(end));
  }
}
