package dev.bothy.x86.translate;

import static dev.bothy.assemble.Assembler.NONE;

import dev.bothy.assemble.Assembler;
import dev.bothy.core.cpu.CpuState;
import dev.bothy.x86.decode.Instruction;
import dev.bothy.x86.decode.Op;

/** Near branches, and the stack. 64-bit and 32-bit code with operands of its own size. */
final class Branches {
  private Branches() {}

  private static int wide(BlockWriter w) {
    return w.is64() ? 8 : 4;
  }

  /** Writes a push, pop or the like; false if it is none of ours. */
  static boolean stack(BlockWriter w, Instruction i) {
    Assembler a = w.a;
    int size = wide(w);
    if (i.operandSize != size) {
      return false;
    }
    switch (i.op) {
      case PUSH -> {
        return push(w, i, size);
      }
      case POP -> {
        if (i.kind[0] != Instruction.GPR) {
          return popToMemory(w, i, size);
        }
        int at = Memory.stack(w, size, 0, false);
        int home = Home.of(i.register[0]);
        if (home == Home.MEMORY || home == Home.STACK) {
          a.load(size, Home.V, Home.A, at);
          moveStack(w, size);
          w.put(i.register[0], Home.V);
        } else {
          a.load(size, home, Home.A, at);
          moveStack(w, size);
        }
        w.keepSpan(true);
        return true;
      }
      case LEAVE -> {
        a.mov(size, Home.A, Home.of(CpuState.RBP));
        Memory.probe(w, size, false);
        a.load(size, Home.V, Home.A, 0);
        a.lea(size, Home.STACK, Home.of(CpuState.RBP), NONE, 0, size);
        a.mov(8, Home.of(CpuState.RBP), Home.V);
        return true;
      }
      default -> {
        return false;
      }
    }
  }

  private static boolean push(BlockWriter w, Instruction i, int size) {
    Assembler a = w.a;
    switch (i.kind[0]) {
      case Instruction.GPR -> {
        int at = Memory.stack(w, size, -size, true);
        a.store(size, Home.A, at, w.source(i, 0));
      }
      case Instruction.IMMEDIATE -> {
        int at = Memory.stack(w, size, -size, true);
        a.storeImmediate(size, Home.A, at, (int) i.immediate);
      }
      case Instruction.MEMORY -> {
        if (!Memory.fits(w, i)) {
          return false;
        }
        Memory.operand(w, i, w.offset + i.length, size, false, 1);
        a.load(size, Home.V, Home.A, 0);
        a.store(8, Home.BASE, Rewriting.SCRATCH, Home.V);
        int at = Memory.stack(w, size, -size, true);
        a.load(8, Home.V, Home.BASE, Rewriting.SCRATCH);
        a.store(size, Home.A, at, Home.V);
      }
      default -> {
        return false;
      }
    }
    moveStack(w, -size);
    w.keepSpan(true);
    return true;
  }

  private static boolean popToMemory(BlockWriter w, Instruction i, int size) {
    // An address by the stack pointer is what it will be then.
    if (i.kind[0] != Instruction.MEMORY || i.base == CpuState.RSP || !Memory.fits(w, i)) {
      return false;
    }
    Assembler a = w.a;
    int at = Memory.stack(w, size, 0, false);
    a.load(size, Home.V, Home.A, at);
    a.store(8, Home.BASE, Rewriting.SCRATCH, Home.V);
    Memory.operand(w, i, w.offset + i.length, size, true, 1);
    a.load(8, Home.V, Home.BASE, Rewriting.SCRATCH);
    a.store(size, Home.A, 0, Home.V);
    moveStack(w, size);
    return true;
  }

  private static void moveStack(BlockWriter w, int by) {
    w.a.lea(wide(w), Home.STACK, Home.STACK, NONE, 0, by);
  }

  /**
   * Writes a branch, after which the block goes on only if that was conditional; false if not ours.
   */
  static boolean branch(BlockWriter w, Instruction i) {
    if (i.operandSize != wide(w)) {
      return false;
    }
    Assembler a = w.a;
    int next = w.offset + i.length;
    switch (i.op) {
      case JCC -> {
        int target = next + (int) i.immediate;
        w.needFlags();
        conditional(w, i.opcode & 15, target);
        return true;
      }
      case JMP -> {
        if (i.kind[0] == Instruction.RELATIVE) {
          w.jumpTo(next + (int) i.immediate);
          return true;
        }
        return indirect(w, i, false, next);
      }
      case CALL -> {
        if (i.kind[0] == Instruction.RELATIVE) {
          pushReturn(w, next);
          w.jumpTo(next + (int) i.immediate);
          return true;
        }
        return indirect(w, i, true, next);
      }
      case RET -> {
        int size = wide(w);
        int release = i.operands > 0 ? (int) i.immediate & 0xffff : 0;
        int at = Memory.stack(w, size, 0, false);
        a.load(size, Home.V, Home.A, at);
        w.jumpIndirectlyToV(size + release);
        return true;
      }
      case JRCXZ -> {
        if (i.addressSize == 2) {
          return false;
        }
        w.observe();
        w.clobberFlags();
        a.test(i.addressSize == 8 ? 8 : 4, Assembler.RCX, Assembler.RCX);
        conditional(w, Assembler.E, next + (int) i.immediate);
        return true;
      }
      case LOOP -> {
        if (i.addressSize == 2) {
          return false;
        }
        w.observe();
        w.clobberFlags();
        a.lea(i.addressSize, Assembler.RCX, Assembler.RCX, NONE, 0, -1);
        a.test(i.addressSize, Assembler.RCX, Assembler.RCX);
        conditional(w, Assembler.NE, next + (int) i.immediate);
        return true;
      }
      default -> {
        return false;
      }
    }
  }

  /** A jump on the host's flags, taken to an offset of this page or beyond it. */
  private static void conditional(BlockWriter w, int condition, int target) {
    if (target >= 0 && target < 4096) {
      w.chainIf(condition, target);
    } else {
      w.farIf(condition, target);
    }
  }

  /** Pushes the address of that offset in the page; V is lost. */
  static void pushReturn(BlockWriter w, int next) {
    int size = wide(w);
    w.observe();
    int at = Memory.stack(w, size, -size, true);
    w.addressToV(next);
    w.a.store(size, Home.A, at, Home.V);
    moveStack(w, -size);
  }

  /**
   * A branch to a non-canonical address in V faults before anything has happened, and one beyond 48
   * bits leads where no generated code is: the interpreter's. A is lost.
   */
  static void refuseFar(BlockWriter w) {
    refuseBeyond(w, 48);
  }

  /** Leaves to the interpreter if V has more than so many bits, the sign's included. A is lost. */
  static void refuseBeyond(BlockWriter w, int bits) {
    w.a.mov(8, Home.A, Home.V);
    w.a.shift(Assembler.SAR, 8, Home.A, bits - 1);
    w.a.aluImmediate(Assembler.ADD, 4, Home.A, 1);
    w.a.aluImmediate(Assembler.CMP, 4, Home.A, 1);
    w.interpretIf(Assembler.A);
  }

  private static boolean indirect(BlockWriter w, Instruction i, boolean call, int next) {
    if (!indirectTarget(w, i, next)) {
      return false;
    }
    if (call) {
      w.callIndirectlyToV(() -> pushReturn(w, next));
    } else {
      w.jumpIndirectlyToV(0);
    }
    return true;
  }

  /** The address that an indirect branch leads to into V; false if it is not ours. */
  static boolean indirectTarget(BlockWriter w, Instruction i, int next) {
    Assembler a = w.a;
    int size = wide(w);
    if (i.operandSize != size) {
      return false;
    }
    w.observe();
    if (i.kind[0] == Instruction.MEMORY) {
      if (!Memory.fits(w, i)) {
        return false;
      }
      Memory.operand(w, i, next, size, false, 1);
      a.load(size, Home.V, Home.A, 0);
    } else {
      w.get(Home.V, i.register[0]);
      if (size == 4) {
        a.mov(4, Home.V, Home.V);
      }
    }
    w.clobberFlags();
    return true;
  }

  /** True if nothing follows {@code i} in its block. */
  static boolean ends(Instruction i) {
    return i.op == Op.JMP || i.op == Op.CALL || i.op == Op.RET;
  }
}
