package dev.bothy.x86.translate;

import static dev.bothy.assemble.Assembler.NONE;

import dev.bothy.assemble.Assembler;
import dev.bothy.core.cpu.CpuState;
import dev.bothy.x86.decode.Instruction;
import dev.bothy.x86.decode.Op;
import dev.bothy.x86.decode.TableEntry;
import dev.bothy.x86.interpret.EngineArea;

/** Integer instructions that cannot just be rewritten: implicit operands, other encodings. */
final class Integers {
  private static final int RAX = Assembler.RAX;

  private Integers() {}

  /** Writes {@code i}; false if it is none of ours. */
  static boolean write(BlockWriter w, Instruction i) {
    switch (i.op) {
      case MOV -> {
        return move(w, i);
      }
      case LEA -> {
        return lea(w, i);
      }
      case ADD, OR, ADC, SBB, AND, SUB, XOR, CMP, TEST -> {
        return i.modrm < 0 ? accumulator(w, i) : Rewriting.write(w, i, lockAlignment(i));
      }
      case CBW, CWD -> {
        return widen(w, i);
      }
      case MUL -> {
        return multiply(w, i);
      }
      case IMUL -> {
        return i.operands == 1 ? multiply(w, i) : Rewriting.write(w, i, 1);
      }
      case DIV, IDIV -> {
        return divide(w, i);
      }
      case BSWAP -> {
        if (i.size[0] == 2) {
          return false;
        }
        int register = w.source(i, 0);
        byteSwap(w.a, i.size[0], register);
        w.result(i, 0);
        return true;
      }
      case XCHG -> {
        if (i.modrm < 0) {
          return exchangeAccumulator(w, i);
        }
        return Rewriting.write(w, i, i.size[0]);
      }
      case CMPXCHG -> {
        return compareExchange(w, i);
      }
      case BT, BTS, BTR, BTC -> {
        if (i.kind[0] == Instruction.MEMORY && i.kind[1] == Instruction.GPR) {
          return bitString(w, i);
        }
        return Rewriting.write(w, i, lockAlignment(i));
      }
      case INC, DEC, NEG, NOT, XADD -> {
        if (i.modrm < 0) {
          // The one-byte forms of 32-bit code.
          return oneByteStep(w, i);
        }
        return Rewriting.write(w, i, lockAlignment(i));
      }
      case MOVZX,
          MOVSX,
          MOVSXD,
          MOVBE,
          MOVNTI,
          ROL,
          ROR,
          RCL,
          RCR,
          SHL,
          SHR,
          SAR,
          SHLD,
          SHRD,
          TZCNT,
          BSF,
          LZCNT,
          BSR,
          POPCNT,
          CMOVCC,
          SETCC,
          CRC32 -> {
        return Rewriting.write(w, i, 1);
      }
      case ADCX, ADOX -> {
        return addWithOneFlag(w, i);
      }
      case CLC -> {
        return flag(w, 0xf8);
      }
      case STC -> {
        return flag(w, 0xf9);
      }
      case CMC -> {
        return flag(w, 0xf5);
      }
      case CLD, STD -> {
        // DF never reaches the host's flags.
        w.observe();
        w.clobberFlags();
        w.a.aluStoreImmediate(
            i.op == Op.STD ? Assembler.OR : Assembler.AND,
            4,
            Home.BASE,
            Home.state(EngineArea.SYSTEM_FLAGS),
            i.op == Op.STD ? 0x400 : ~0x400);
        return true;
      }
      case LAHF -> {
        w.observe();
        w.get(Home.A, CpuState.RAX);
        w.a.store(8, Home.BASE, Rewriting.SCRATCH, Home.A);
        w.a.memory(
            0,
            4 | Assembler.BYTE_RM,
            0x0fb6,
            Home.A,
            Home.BASE,
            NONE,
            0,
            Home.state(EngineArea.FLAGS) + 1);
        w.a.store(1, Home.BASE, Rewriting.SCRATCH + 1, Home.A);
        w.a.load(8, Home.A, Home.BASE, Rewriting.SCRATCH);
        w.put(CpuState.RAX, Home.A);
        return true;
      }
      case MFENCE -> {
        w.a.int8(0x0f);
        w.a.int8(0xae);
        w.a.int8(0xf0);
        return true;
      }
      default -> {
        return false;
      }
    }
  }

  private static int lockAlignment(Instruction i) {
    return i.lock ? i.size[0] : 1;
  }

  private static void byteSwap(Assembler a, int size, int register) {
    int rex = (size == 8 ? 8 : 0) | register >> 3;
    if (rex != 0) {
      a.int8(0x40 | rex);
    }
    a.int8(0x0f);
    a.int8(0xc8 | register & 7);
  }

  private static boolean flag(BlockWriter w, int opcode) {
    // The other flags stay.
    if (opcode == 0xf5 || w.liveAfter != 0) {
      w.needFlags();
    }
    w.a.int8(opcode);
    w.flagsWritten();
    return true;
  }

  private static boolean move(BlockWriter w, Instruction i) {
    Assembler a = w.a;
    if (i.modrm >= 0) {
      return Rewriting.write(w, i, 1);
    }
    int size = i.size[0];
    if (i.kind[1] == Instruction.IMMEDIATE) {
      if (i.kind[0] == Instruction.GPR_HIGH) {
        w.get(RAX, i.register[0]);
        a.int8(0xb0 | 4);
        a.int8((int) i.immediate);
        w.put(i.register[0], RAX);
        return true;
      }
      int home = Home.of(i.register[0]);
      if (home == Home.MEMORY && size < 8) {
        if (size == 4) {
          a.constant(Home.V, i.immediate & 0xffff_ffffL);
          a.store(8, Home.BASE, Home.displacement(i.register[0]), Home.V);
        } else {
          a.storeImmediate(size, Home.BASE, Home.displacement(i.register[0]), (int) i.immediate);
        }
      } else if (home == Home.MEMORY) {
        a.constant(Home.V, i.immediate);
        a.store(8, Home.BASE, Home.displacement(i.register[0]), Home.V);
      } else if (size >= 4) {
        a.constant(home, size == 4 ? i.immediate & 0xffff_ffffL : i.immediate);
      } else {
        a.extended(0, size, size == 1 ? 0xc6 : 0xc7, 0, home);
        if (size == 1) {
          a.int8((int) i.immediate);
        } else {
          a.int16((int) i.immediate);
        }
      }
      return true;
    }
    // Absolute address and accumulator.
    if (!Memory.fits(w, i)) {
      return false;
    }
    boolean store = i.kind[0] == Instruction.MEMORY;
    Memory.operand(w, i, w.offset + i.length, size, store, 1);
    int home = Home.of(CpuState.RAX);
    if (store) {
      a.store(size, Home.A, 0, home);
    } else {
      a.load(size, home, Home.A, 0);
    }
    return true;
  }

  private static boolean lea(BlockWriter w, Instruction i) {
    if (i.addressSize == 2) {
      return false;
    }
    Assembler a = w.a;
    int home = Home.of(i.register[0]);
    int size = i.size[0];
    boolean simple =
        i.base != Instruction.RIP_BASE
            && (i.base >= 0 || i.index >= 0)
            && (i.base < 0 || Home.of(i.base) != Home.MEMORY)
            && (i.index < 0 || Home.of(i.index) != Home.MEMORY)
            && i.displacement == (int) i.displacement;
    if (simple && home != Home.MEMORY && i.addressSize >= size && size >= 4) {
      a.lea(
          size,
          home,
          i.base < 0 ? NONE : Home.of(i.base),
          i.index < 0 ? NONE : Home.of(i.index),
          i.scale,
          (int) i.displacement);
      return true;
    }
    Memory.offset(w, i, w.offset + i.length);
    if (size == 2) {
      w.get(Home.V, i.register[0]);
      a.mov(2, Home.V, Home.A);
      w.put(i.register[0], Home.V);
    } else if (size == 4) {
      a.mov(4, Home.A, Home.A);
      w.put(i.register[0], Home.A);
    } else {
      w.put(i.register[0], Home.A);
    }
    return true;
  }

  /** AL or rAX with an immediate. */
  private static boolean accumulator(BlockWriter w, Instruction i) {
    Assembler a = w.a;
    int size = i.size[0];
    int home = Home.of(CpuState.RAX);
    if (i.op == Op.TEST) {
      a.testImmediate(size, home, (int) i.immediate);
    } else {
      if (i.op == Op.ADC || i.op == Op.SBB) {
        w.needCarry();
      }
      a.aluImmediate(i.opcode >> 3 & 7, size, home, (int) i.immediate);
    }
    w.flagsWritten();
    return true;
  }

  private static boolean oneByteStep(BlockWriter w, Instruction i) {
    if (w.liveAfter != 0) {
      w.needCarry();
    }
    int register = w.source(i, 0);
    w.a.extended(0, i.size[0], 0xff, i.op == Op.INC ? 0 : 1, register);
    w.result(i, 0);
    w.flagsWritten();
    return true;
  }

  /** CBW, CWDE, CDQE; CWD, CDQ, CQO. */
  private static boolean widen(BlockWriter w, Instruction i) {
    Assembler a = w.a;
    int size = i.operandSize;
    int home = Home.of(CpuState.RAX);
    if (i.op == Op.CBW) {
      switch (size) {
        case 8 -> a.registers(0, 8, 0x63, home, home);
        case 4 -> a.registers(0, 4, 0x0fbf, home, home);
        default -> a.registers(0, 2 | Assembler.BYTE_RM, 0x0fbe, home, home);
      }
      return true;
    }
    a.mov(8, RAX, home);
    if (size == 2) {
      a.int8(0x66);
    } else if (size == 8) {
      a.int8(0x48);
    }
    a.int8(0x99);
    return true;
  }

  /** ADCX and ADOX: all flags but one are as they were. */
  private static boolean addWithOneFlag(BlockWriter w, Instruction i) {
    Assembler a = w.a;
    int size = i.size[0];
    int opcode = Rewriting.opcode(i);
    int prefix = i.mandatoryPrefix;
    boolean memory = i.kind[1] == Instruction.MEMORY;
    if (memory) {
      if (!Memory.fits(w, i)) {
        return false;
      }
      int ahead = Memory.place(w, i, size, false, 1);
      a.load(size, Home.V, Home.A, ahead);
    }
    if ((FlagUse.reads(i) | w.liveAfter) == TableEntry.CF) {
      w.needCarry();
    } else {
      w.needFlags();
    }
    int to = Home.of(i.register[0]);
    if (memory && to == Home.MEMORY) {
      int home = Home.displacement(i.register[0]);
      a.load(8, Home.A, Home.BASE, home);
      a.registers(prefix, size, opcode, Home.A, Home.V);
      a.store(8, Home.BASE, home, Home.A);
    } else if (memory) {
      a.registers(prefix, size, opcode, to, Home.V);
    } else {
      to = w.source(i, 0);
      int from = Home.of(i.register[1]);
      if (from == Home.MEMORY) {
        int home = Home.displacement(i.register[1]);
        a.memory(prefix, size, opcode, to, Home.BASE, NONE, 0, home);
      } else {
        a.registers(prefix, size, opcode, to, from);
      }
      w.result(i, 0);
    }
    w.flagsWritten();
    return true;
  }

  private static boolean multiply(BlockWriter w, Instruction i) {
    Assembler a = w.a;
    int size = i.size[0];
    if (!valueToV(w, i, size)) {
      return false;
    }
    a.mov(8, RAX, Home.of(CpuState.RAX));
    a.extended(0, size, size == 1 ? 0xf6 : 0xf7, i.op == Op.MUL ? 4 : 5, Home.V);
    a.mov(8, Home.of(CpuState.RAX), RAX);
    w.flagsWritten();
    return true;
  }

  /** The value of the operand in ModRM's rm field into V. */
  private static boolean valueToV(BlockWriter w, Instruction i, int size) {
    Assembler a = w.a;
    switch (i.kind[0]) {
      case Instruction.MEMORY -> {
        if (!Memory.fits(w, i)) {
          return false;
        }
        Memory.operand(w, i, w.offset + i.length, size, false, 1);
        if (size < 4) {
          a.memory(
              0,
              4 | (size == 1 ? Assembler.BYTE_RM : 0),
              size == 1 ? 0x0fb6 : 0x0fb7,
              Home.V,
              Home.A,
              NONE,
              0,
              0);
        } else {
          a.load(size, Home.V, Home.A, 0);
        }
      }
      case Instruction.GPR -> w.get(Home.V, i.register[0]);
      default -> {
        // AH to BH.
        w.get(RAX, i.register[0]);
        a.registers(0, 4, 0x0fb6, RAX, Assembler.AH);
        a.mov(8, Home.V, RAX);
      }
    }
    return true;
  }

  /** Divisions that would fault, or might, go to the interpreter. */
  private static boolean divide(BlockWriter w, Instruction i) {
    Assembler a = w.a;
    int size = i.size[0];
    w.observe();
    if (!valueToV(w, i, size)) {
      return false;
    }
    w.clobberFlags();
    int home = Home.of(CpuState.RAX);
    if (i.op == Op.DIV) {
      // The quotient fits if the upper half is less than the divisor; so the divisor is not 0.
      if (size == 1) {
        a.mov(4, RAX, home);
        a.shift(Assembler.SHR, 4, RAX, 8);
      }
      a.alu(Assembler.CMP, size, size == 1 ? RAX : Assembler.RDX, Home.V);
      w.interpretIf(Assembler.AE);
    } else {
      // Safe are dividends that are no longer than half, by other divisors than 0 and -1.
      if (size == 1) {
        a.registers(0, 4 | Assembler.BYTE_RM, 0x0fbe, RAX, home);
        a.alu(Assembler.CMP, 2, RAX, home);
      } else {
        a.mov(size, RAX, home);
        a.shift(Assembler.SAR, size, RAX, size * 8 - 1);
        a.alu(Assembler.CMP, size, RAX, Assembler.RDX);
      }
      w.interpretIf(Assembler.NE);
      a.lea(Math.max(size, 4), RAX, Home.V, NONE, 0, 1);
      a.aluImmediate(Assembler.CMP, size, RAX, 1);
      w.interpretIf(Assembler.BE);
    }
    a.mov(8, RAX, home);
    a.extended(0, size, size == 1 ? 0xf6 : 0xf7, i.op == Op.DIV ? 6 : 7, Home.V);
    a.mov(8, home, RAX);
    w.flagsWritten();
    return true;
  }

  private static boolean exchangeAccumulator(BlockWriter w, Instruction i) {
    Assembler a = w.a;
    int size = i.size[0];
    int register = w.source(i, 0);
    a.registers(0, size, 0x87, Home.of(CpuState.RAX), register);
    w.result(i, 0);
    return true;
  }

  private static boolean compareExchange(BlockWriter w, Instruction i) {
    Assembler a = w.a;
    if (i.kind[0] == Instruction.GPR_HIGH || i.kind[1] == Instruction.GPR_HIGH) {
      return false;
    }
    int size = i.size[0];
    int opcode = size == 1 ? 0x0fb0 : 0x0fb1;
    boolean memory = i.kind[0] == Instruction.MEMORY;
    boolean borrow = Home.of(i.register[1]) == Home.MEMORY;
    if (memory) {
      if (!Memory.fits(w, i)) {
        return false;
      }
      Memory.operand(w, i, w.offset + i.length, size, true, i.lock ? size : 1);
      a.mov(8, Home.V, RAX);
    } else if (Home.of(i.register[0]) == Home.MEMORY) {
      a.load(8, Home.V, Home.BASE, Home.displacement(i.register[0]));
    }
    int source = Home.of(i.register[1]);
    if (borrow) {
      source = Assembler.RBX;
      a.store(8, Home.BASE, Rewriting.SCRATCH, source);
      a.load(8, source, Home.BASE, Home.displacement(i.register[1]));
    }
    a.mov(8, RAX, Home.of(CpuState.RAX));
    if (memory) {
      a.memory(i.lock ? Assembler.LOCK : 0, size, opcode, source, Home.V, NONE, 0, 0);
    } else {
      int target = Home.of(i.register[0]) == Home.MEMORY ? Home.V : Home.of(i.register[0]);
      if (borrow && target == Assembler.RBX) {
        // The borrowed register is the destination: compare in V.
        a.load(8, Home.V, Home.BASE, Rewriting.SCRATCH);
        a.registers(0, size, opcode, source, Home.V);
        a.store(8, Home.BASE, Rewriting.SCRATCH, Home.V);
      } else if (i.register[0] == CpuState.RAX) {
        // The destination is the accumulator itself: it always compares equal.
        a.registers(0, size, opcode, source, RAX);
        a.mov(8, Home.of(CpuState.RAX), RAX);
      } else {
        a.registers(0, size, opcode, source, target);
        if (target == Home.V) {
          a.store(8, Home.BASE, Home.displacement(i.register[0]), Home.V);
        }
      }
    }
    if (borrow) {
      a.load(8, source, Home.BASE, Rewriting.SCRATCH);
    }
    if (memory || i.register[0] != CpuState.RAX) {
      a.mov(8, Home.of(CpuState.RAX), RAX);
    }
    w.flagsWritten();
    return true;
  }

  /** CMPXCHG8B, CMPXCHG16B. */
  static boolean compareExchangePair(BlockWriter w, Instruction i) {
    if (!Memory.fits(w, i)) {
      return false;
    }
    Assembler a = w.a;
    int size = i.size[0];
    Memory.operand(w, i, w.offset + i.length, size, true, size == 16 || i.lock ? size : 1);
    a.mov(8, Home.V, RAX);
    if ((w.liveAfter & ~TableEntry.ZF) != 0) {
      w.needFlags();
    }
    a.mov(8, RAX, Home.of(CpuState.RAX));
    a.memoryExtended(
        i.lock ? Assembler.LOCK : 0, size == 16 ? 8 : 4, 0x0fc7, 1, Home.V, NONE, 0, 0);
    a.mov(8, Home.of(CpuState.RAX), RAX);
    w.flagsWritten();
    return true;
  }

  /** Bit strings in memory: the bit's number moves the address. */
  private static boolean bitString(BlockWriter w, Instruction i) {
    if (!Memory.fits(w, i) || !w.is64() || i.addressSize != 8 || Memory.addsToRegisters(i)) {
      return false;
    }
    Assembler a = w.a;
    int size = i.size[0];
    boolean write = i.op != Op.BT;
    w.clobberFlags();
    Memory.linear(w, i, w.offset + i.length);
    w.get(Home.V, i.register[1]);
    if (size == 4) {
      a.registers(0, 8, 0x63, Home.V, Home.V);
    } else if (size == 2) {
      a.registers(0, 8, 0x0fbf, Home.V, Home.V);
    }
    // The address of the unit that holds the bit.
    a.shift(Assembler.SAR, 8, Home.V, size == 8 ? 6 : size == 4 ? 5 : 4);
    a.lea(8, Home.A, Home.A, Home.V, size == 8 ? 3 : size == 4 ? 2 : 1, 0);
    if (i.lock) {
      a.testImmediate(1, Home.A, size - 1);
      w.interpretIf(Assembler.NE);
    }
    Memory.probe(w, size, write);
    w.get(Home.V, i.register[1]);
    a.aluImmediate(Assembler.AND, 4, Home.V, size * 8 - 1);
    // With a register, the host would move the address once more: not with the bit's place in it.
    a.memory(i.lock ? Assembler.LOCK : 0, size, Rewriting.opcode(i), Home.V, Home.A, NONE, 0, 0);
    if ((w.liveAfter & ~FlagUse.kills(i)) == 0) {
      w.flagsWritten();
      return true;
    }
    // CF alone changes; the others lie in memory, where it joins them: bit 0 of the byte from LAHF.
    int flags = Home.state(EngineArea.FLAGS);
    a.setcc(Assembler.B, Home.V);
    a.shift(Assembler.SHL, 4, Home.V, 8);
    a.aluStoreImmediate(Assembler.AND, 2, Home.BASE, flags, ~0x100);
    a.memory(0, 2, Assembler.OR << 3 | 1, Home.V, Home.BASE, NONE, 0, flags);
    return true;
  }
}
