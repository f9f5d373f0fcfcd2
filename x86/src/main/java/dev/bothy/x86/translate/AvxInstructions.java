package dev.bothy.x86.translate;

import static dev.bothy.assemble.Assembler.NONE;

import dev.bothy.assemble.Assembler;
import dev.bothy.core.cpu.CpuFeature;
import dev.bothy.core.cpu.CpuState;
import dev.bothy.x86.decode.Instruction;
import dev.bothy.x86.decode.Op;

/**
 * AVX, AVX2, FMA and F16C: the host's own instructions on the guest's own registers, whose upper
 * halves are loaded when a block first needs them.
 */
final class AvxInstructions {
  private AvxInstructions() {}

  /** Writes {@code i}; false if it is the interpreter's. */
  static boolean write(BlockWriter w, Instruction i) {
    if (Mode.is(w.mode, Mode.NO_SSE)
        || Mode.is(w.mode, Mode.SSE_TRAPS) && Vectors.mayTrap(i)
        || !isOnHost(i.op)) {
      return false;
    }
    if (i.op.isGather()) {
      return gather(w, i);
    }
    switch (i.op) {
      case VLDMXCSR, VSTMXCSR -> {
        if (Mode.is(w.mode, Mode.SSE_TRAPS)) {
          return false;
        }
        load(w);
        return Vectors.control(w, i);
      }
      case VZEROUPPER, VZEROALL -> {
        if (!w.is64()) {
          return false; // of eight registers only
        }
        load(w);
        w.a.vexPlain(size(w, i), i.opcode);
        return true;
      }
      case VMASKMOVPS, VMASKMOVPD, VPMASKMOVD, VPMASKMOVQ -> {
        return masked(w, i);
      }
      case VMASKMOVDQU -> {
        load(w);
        return MmxInstructions.maskedStore(w, i, 16);
      }
      case VPCMPESTRI, VPCMPESTRM -> {
        load(w);
        return Vectors.compareStrings(w, i);
      }
      default -> {
        load(w);
        return rewrite(w, i);
      }
    }
  }

  /** True if the operand of {@code op} is translated by {@link Memory#place}. */
  static boolean rewrites(Op op) {
    return switch (op) {
      case VLDMXCSR,
          VSTMXCSR,
          VMASKMOVPS,
          VMASKMOVPD,
          VPMASKMOVD,
          VPMASKMOVQ,
          VMASKMOVDQU,
          VPCMPESTRI,
          VPCMPESTRM,
          VPCMPISTRI,
          VPCMPISTRM ->
          false;
      default -> !op.isGather();
    };
  }

  /** These need two features. */
  private static boolean isOnHost(Op op) {
    return switch (op) {
      case VAESENC, VAESENCLAST, VAESDEC, VAESDECLAST, VAESIMC, VAESKEYGENASSIST ->
          HostFeatures.has(CpuFeature.AES);
      case VPCLMULQDQ -> HostFeatures.has(CpuFeature.PCLMULQDQ);
      default -> true;
    };
  }

  /** YMM registers and MXCSR are the guest's from here on. */
  private static void load(BlockWriter w) {
    if ((w.loadedUnits & Units.UPPER) == 0) {
      w.observe();
      w.need(Units.UPPER);
    }
  }

  private static int size(BlockWriter w, Instruction i) {
    boolean wide = i.w;
    if (wide && !w.is64()) {
      // There, VEX.W does not make general registers wider.
      for (String operand : i.entry.operands()) {
        wide &= "EGR".indexOf(operand.charAt(0)) < 0;
      }
    }
    return (wide ? 8 : 4) | (i.vexL ? Assembler.VEX_256 : 0);
  }

  private static boolean isGeneral(Instruction i, int n) {
    return n >= 0 && i.kind[n] == Instruction.GPR;
  }

  private static boolean rewrite(BlockWriter w, Instruction i) {
    Assembler a = w.a;
    int reg = Rewriting.reg(i);
    int rm = Rewriting.rm(i);
    int regRegister = i.reg();
    if (isGeneral(i, reg)) {
      // Always the result.
      regRegister = homeOrScratch(i, reg);
    } else if (reg >= 0) {
      regRegister = i.register[reg];
    }
    int prefix = i.mandatoryPrefix;
    int size = size(w, i);
    int third = i.vexRegister;
    boolean memory = i.kind[rm] == Instruction.MEMORY;
    boolean result = isGeneral(i, rm) && rm == 0;
    if (memory) {
      if (!Memory.fits(w, i)) {
        return false;
      }
      int at = Memory.place(w, i, i.size[rm], rm == 0 && writes(i.op), alignment(i, rm));
      a.vexMemory(prefix, i.map, size, i.opcode, regRegister, third, Home.A, at);
    } else if (isGeneral(i, rm) && !result && Home.of(i.register[rm]) == Home.MEMORY) {
      int at = Home.displacement(i.register[rm]);
      a.vexMemory(prefix, i.map, size, i.opcode, regRegister, third, Home.BASE, at);
    } else {
      int rmRegister = isGeneral(i, rm) ? homeOrScratch(i, rm) : i.register[rm];
      a.vexRegisters(prefix, i.map, size, i.opcode, regRegister, third, rmRegister);
    }
    immediate(w, i);
    if (result) {
      w.result(i, rm);
    } else if (isGeneral(i, reg)) {
      w.result(i, reg);
    }
    if (memory) {
      w.keepSpan(false);
    }
    if (FlagUse.writes(i) != 0) {
      w.flagsWritten();
    }
    return true;
  }

  private static int homeOrScratch(Instruction i, int n) {
    int home = Home.of(i.register[n]);
    return home == Home.MEMORY ? Home.V : home;
  }

  /** The immediate byte, which may name a register. */
  private static void immediate(BlockWriter w, Instruction i) {
    int last = i.operands - 1;
    char form = last < 0 ? ' ' : i.entry.operands().get(last).charAt(0);
    if (form == 'I') {
      w.a.int8((int) i.immediate);
    } else if (form == 'L') {
      w.a.int8(i.register[last] << 4);
    }
  }

  private static boolean writes(Op op) {
    return switch (op) {
      case VPTEST, VTESTPS, VTESTPD, VUCOMISS, VUCOMISD, VCOMISS, VCOMISD -> false;
      default -> true;
    };
  }

  private static int alignment(Instruction i, int rm) {
    return switch (i.op) {
      case VMOVAPS, VMOVAPD, VMOVDQA, VMOVNTDQ, VMOVNTDQA, VMOVNTPS, VMOVNTPD -> i.size[rm];
      default -> 1;
    };
  }

  /** What the mask leaves out need not be there: what is not in the TLB is the interpreter's. */
  private static boolean masked(BlockWriter w, Instruction i) {
    if (!Memory.fits(w, i)) {
      return false;
    }
    load(w);
    boolean store = i.kind[0] == Instruction.MEMORY;
    int memory = store ? 0 : 2;
    int register = i.register[store ? 2 : 0];
    Memory.linear(w, i, w.offset + i.length);
    Memory.probeOrInterpret(w, i.size[memory], store);
    w.a.vexMemory(
        i.mandatoryPrefix, i.map, size(w, i), i.opcode, register, i.vexRegister, Home.A, 0);
    return true;
  }

  /**
   * A gather: element by element in the registers' places in the state, which nobody else uses
   * while they are loaded. If one is not in the TLB, all of it is the interpreter's, and the
   * registers are as they were.
   */
  private static boolean gather(BlockWriter w, Instruction i) {
    int result = i.register[0];
    int mask = i.register[2];
    boolean distinct = result != mask && result != i.index && mask != i.index;
    if (!distinct || i.segment >= CpuState.FS || !Memory.fits(w, i)) {
      return false;
    }
    load(w);
    w.clobberFlags();
    Assembler a = w.a;
    for (int register : new int[] {result, mask, i.index}) {
      moveUnaligned(a, Assembler.VEX_256, true, register);
    }
    int size = i.w ? 8 : 4;
    boolean quadIndices = (i.opcode & 1) != 0;
    int count = (i.vexL ? 32 : 16) / (i.w || quadIndices ? 8 : 4);
    for (int n = 0; n < count; n++) {
      a.testStoreImmediate(1, Home.BASE, place(mask) + (n + 1) * size - 1, 0x80);
      int skip = a.jumpForward(Assembler.E);
      if (quadIndices) {
        a.load(8, Home.A, Home.BASE, place(i.index) + 8 * n);
      } else {
        a.memory(0, 8, 0x63, Home.A, Home.BASE, NONE, 0, place(i.index) + 4 * n); // MOVSXD
      }
      int base = i.base < 0 ? NONE : Home.of(i.base);
      if (i.base >= 0 && base == Home.MEMORY) {
        a.load(8, Home.V, Home.BASE, Home.displacement(i.base));
        base = Home.V;
      }
      a.lea(i.addressSize, Home.A, base, Home.A, i.scale, (int) i.displacement);
      Memory.probeOrInterpret(w, size, false);
      a.load(size, Home.V, Home.A, 0);
      a.store(size, Home.BASE, place(result) + n * size, Home.V);
      a.bind(skip);
    }
    if (count * size == 8) {
      a.storeImmediate(8, Home.BASE, place(result) + 8, 0);
    }
    moveUnaligned(a, count * size == 32 ? Assembler.VEX_256 : 0, false, result);
    a.vexRegisters(Assembler.P66, 1, 4, 0xef, mask, mask, mask); // VPXOR
    w.scratch.forget();
    return true;
  }

  private static int place(int register) {
    return Home.state(CpuState.VECTORS + CpuState.VECTOR_SIZE * register);
  }

  /** VMOVUPS to or from the register's place in the state. */
  private static void moveUnaligned(Assembler a, int length, boolean store, int register) {
    a.vexMemory(0, 1, 4 | length, store ? 0x11 : 0x10, register, 0, Home.BASE, place(register));
  }
}
