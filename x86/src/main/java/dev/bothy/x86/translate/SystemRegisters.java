package dev.bothy.x86.translate;

import static dev.bothy.assemble.Assembler.NONE;

import dev.bothy.assemble.Assembler;
import dev.bothy.core.cpu.CpuState;
import dev.bothy.x86.decode.Instruction;
import dev.bothy.x86.decode.Op;
import dev.bothy.x86.interpret.EngineArea;

/** Reading of selectors and control registers, bases of FS and GS, PKRU, the time, PAUSE. */
final class SystemRegisters {
  private SystemRegisters() {}

  /** Writes {@code i}; false if it is none of ours. */
  static boolean write(BlockWriter w, Instruction i) {
    return switch (i.op) {
      case MOV -> move(w, i);
      case SWAPGS -> swap(w);
      case RDFSBASE, RDGSBASE, WRFSBASE, WRGSBASE -> base(w, i);
      case XGETBV -> extended(w);
      case RDPKRU, WRPKRU -> keys(w, i.op == Op.WRPKRU);
      case PAUSE -> pause(w);
      case RDTSC, RDTSCP -> timeStamp(w, i);
      default -> false;
    };
  }

  /** True if {@code i} is a MOV with another register than a general one. */
  static boolean moves(Instruction i) {
    return i.op == Op.MOV && (special(i.kind[0]) || special(i.kind[1]));
  }

  private static boolean special(int kind) {
    return kind == Instruction.SEGMENT_REGISTER
        || kind == Instruction.CONTROL_REGISTER
        || kind == Instruction.DEBUG_REGISTER;
  }

  private static boolean move(BlockWriter w, Instruction i) {
    Assembler a = w.a;
    if (i.kind[1] == Instruction.SEGMENT_REGISTER) {
      return i.register[1] <= CpuState.GS && fromSegment(w, i);
    }
    if (Mode.is(w.mode, Mode.USER)) {
      return false;
    }
    if (i.kind[1] == Instruction.CONTROL_REGISTER) {
      int from = control(i.register[1]);
      if (from < 0) {
        return false;
      }
      a.load(w.is64() ? 8 : 4, Home.V, Home.BASE, Home.state(from));
      w.put(i.register[0], Home.V);
      return true;
    }
    if (AddressSpaces.changes(i)) {
      return AddressSpaces.write(w, i);
    }
    if (i.kind[0] == Instruction.CONTROL_REGISTER && i.register[0] == 2) {
      w.get(Home.V, i.register[1]);
      if (!w.is64()) {
        a.mov(4, Home.V, Home.V);
      }
      a.store(8, Home.BASE, Home.state(CpuState.CR2), Home.V);
      return true;
    }
    return false;
  }

  private static int control(int register) {
    return switch (register) {
      case 0 -> CpuState.CR0;
      case 2 -> CpuState.CR2;
      case 3 -> CpuState.CR3;
      case 4 -> CpuState.CR4;
      default -> -1;
    };
  }

  private static boolean fromSegment(BlockWriter w, Instruction i) {
    Assembler a = w.a;
    int selector = Home.state(CpuState.segment(i.register[1], CpuState.SEGMENT_SELECTOR));
    if (i.kind[0] == Instruction.MEMORY) {
      if (!Memory.fits(w, i)) {
        return false;
      }
      Memory.operand(w, i, w.offset + i.length, 2, true, 1);
      a.load(4, Home.V, Home.BASE, selector);
      a.store(2, Home.A, 0, Home.V);
      return true;
    }
    a.memory(0, 4, 0x0fb7, Home.V, Home.BASE, NONE, 0, selector);
    if (i.size[0] != 2) {
      w.put(i.register[0], Home.V);
    } else if (Home.of(i.register[0]) == Home.MEMORY) {
      a.store(2, Home.BASE, Home.displacement(i.register[0]), Home.V);
    } else {
      a.mov(2, Home.of(i.register[0]), Home.V);
    }
    return true;
  }

  private static boolean swap(BlockWriter w) {
    if (!w.is64() || Mode.is(w.mode, Mode.USER)) {
      return false;
    }
    Assembler a = w.a;
    int base = Home.state(CpuState.segment(CpuState.GS, CpuState.SEGMENT_BASE));
    int other = Home.state(CpuState.KERNEL_GS_BASE);
    a.load(8, Home.A, Home.BASE, base);
    a.load(8, Home.V, Home.BASE, other);
    a.store(8, Home.BASE, base, Home.V);
    a.store(8, Home.BASE, other, Home.A);
    return true;
  }

  private static boolean base(BlockWriter w, Instruction i) {
    if (!w.is64()) {
      return false;
    }
    Assembler a = w.a;
    w.clobberFlags();
    // CR4.FSGSBASE.
    a.testStoreImmediate(1, Home.BASE, Home.state(CpuState.CR4 + 2), 1);
    w.interpretIf(Assembler.E);
    boolean fs = i.op == Op.RDFSBASE || i.op == Op.WRFSBASE;
    int at = Home.state(CpuState.segment(fs ? CpuState.FS : CpuState.GS, CpuState.SEGMENT_BASE));
    int size = i.size[0];
    if (i.op == Op.RDFSBASE || i.op == Op.RDGSBASE) {
      a.load(size, Home.V, Home.BASE, at);
      w.put(i.register[0], Home.V);
      return true;
    }
    w.get(Home.V, i.register[0]);
    if (size == 8) {
      Branches.refuseBeyond(w, Mode.is(w.mode, Mode.FIVE_LEVELS) ? 57 : 48);
    } else {
      a.mov(4, Home.V, Home.V);
    }
    a.store(8, Home.BASE, at, Home.V);
    return true;
  }

  private static boolean extended(BlockWriter w) {
    Assembler a = w.a;
    w.clobberFlags();
    // CR4.OSXSAVE.
    a.testStoreImmediate(1, Home.BASE, Home.state(CpuState.CR4 + 2), 4);
    w.interpretIf(Assembler.E);
    a.test(4, Assembler.RCX, Assembler.RCX);
    w.interpretIf(Assembler.NE);
    a.load(4, Home.A, Home.BASE, Home.state(CpuState.XCR0));
    w.put(CpuState.RAX, Home.A);
    a.load(4, Home.A, Home.BASE, Home.state(CpuState.XCR0 + 4));
    w.put(CpuState.RDX, Home.A);
    return true;
  }

  /** PKRU; whatever may change what a page in the TLB allows is the interpreter's. */
  private static boolean keys(BlockWriter w, boolean write) {
    Assembler a = w.a;
    w.clobberFlags();
    // CR4.PKE.
    a.testStoreImmediate(1, Home.BASE, Home.state(CpuState.CR4 + 2), 0x40);
    w.interpretIf(Assembler.E);
    a.test(4, Assembler.RCX, Assembler.RCX);
    w.interpretIf(Assembler.NE);
    if (!write) {
      a.load(4, Home.A, Home.BASE, Home.state(CpuState.PKRU));
      w.put(CpuState.RAX, Home.A);
      a.constant(Home.A, 0);
      w.put(CpuState.RDX, Home.A);
      return true;
    }
    w.get(Home.A, CpuState.RDX);
    a.test(4, Home.A, Home.A);
    w.interpretIf(Assembler.NE);
    w.get(Home.V, CpuState.RAX);
    a.mov(4, Home.A, Home.V);
    a.aluLoad(Assembler.XOR, 4, Home.A, Home.BASE, NONE, Home.state(CpuState.PKRU));
    a.aluLoad(Assembler.AND, 4, Home.A, Home.BASE, NONE, Home.state(EngineArea.PAGE_KEYS));
    w.interpretIf(Assembler.NE);
    a.store(4, Home.BASE, Home.state(CpuState.PKRU), Home.V);
    return true;
  }

  private static boolean timeStamp(BlockWriter w, Instruction i) {
    Assembler a = w.a;
    w.clobberFlags();
    if (Mode.is(w.mode, Mode.USER)) {
      // CR4.TSD.
      a.testStoreImmediate(1, Home.BASE, Home.state(CpuState.CR4), 4);
      w.interpretIf(Assembler.NE);
    }
    a.aluStoreImmediate(Assembler.CMP, 4, Home.BASE, Home.state(EngineArea.CLOCK_KNOWN), 0);
    w.interpretIf(Assembler.E);
    a.call(w.stubs.readClock);
    a.aluLoad(Assembler.ADD, 8, Home.A, Home.BASE, NONE, Home.state(EngineArea.CLOCK_OFFSET));
    a.aluLoad(Assembler.ADD, 8, Home.A, Home.BASE, NONE, Home.state(CpuState.TSC_OFFSET));
    a.mov(4, Home.V, Home.A);
    w.put(CpuState.RAX, Home.V);
    a.shift(Assembler.SHR, 8, Home.A, 32);
    w.put(CpuState.RDX, Home.A);
    if (i.op == Op.RDTSCP) {
      a.load(4, Home.V, Home.BASE, Home.state(CpuState.TSC_AUX));
      w.put(CpuState.RCX, Home.V);
    }
    return true;
  }

  /** Every now and then Java lets others run: whom the guest waits for may need this processor. */
  private static boolean pause(BlockWriter w) {
    Assembler a = w.a;
    w.clobberFlags();
    a.aluStoreImmediate(Assembler.SUB, 4, Home.BASE, Home.state(EngineArea.PAUSES), 1);
    w.interpretIf(Assembler.S);
    a.int8(0xf3);
    a.int8(0x90);
    return true;
  }
}
