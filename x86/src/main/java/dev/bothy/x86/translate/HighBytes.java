package dev.bothy.x86.translate;

import static dev.bothy.assemble.Assembler.NONE;

import dev.bothy.assemble.Assembler;
import dev.bothy.x86.decode.Instruction;
import dev.bothy.x86.decode.Op;

/**
 * Instructions on AH, CH, DH and BH. Beside registers that need REX they have no names, so the one
 * in the rm field goes through memory, where it is a byte like any other, and the one in the reg
 * field through V.
 */
final class HighBytes {
  private HighBytes() {}

  static boolean write(BlockWriter w, Instruction i, int reg, int rm) {
    Assembler a = w.a;
    boolean rmHigh = i.kind[rm] == Instruction.GPR_HIGH;
    boolean regHigh = reg >= 0 && i.kind[reg] == Instruction.GPR_HIGH;
    boolean memory = i.kind[rm] == Instruction.MEMORY;
    boolean writesFlags = FlagUse.writes(i) != 0;
    boolean flags = FlagUse.reads(i) != 0 || writesFlags && (w.liveAfter & ~FlagUse.kills(i)) != 0;
    if (i.op == Op.XCHG
        || i.op == Op.XADD
        || i.op == Op.CMPXCHG
        || i.op == Op.CRC32
        || memory && flags) {
      return false;
    }
    if (i.op == Op.MOVZX || i.op == Op.MOVSX) {
      if (i.size[0] != 4) {
        return false;
      }
      w.get(Home.A, i.register[rm]);
      a.registers(0, 4, i.op == Op.MOVSX ? 0x0fbe : 0x0fb6, Home.A, Assembler.AH);
      w.put(i.register[0], Home.A);
      return true;
    }
    int size = i.op == Op.SETCC ? 4 | Assembler.BYTE_RM : 1;
    int opcode = Rewriting.opcode(i);
    int written = Rewriting.writes(i, 0) ? 0 : -1;
    if (memory) {
      if (!Memory.fits(w, i)) {
        return false;
      }
      Memory.operand(w, i, w.offset + i.length, 1, rm == written, 1);
      w.get(Home.V, i.register[reg]);
      a.shift(Assembler.SHR, 8, Home.V, 8);
      a.memory(0, 1, opcode, Home.V, Home.A, NONE, 0, 0);
    } else {
      if (flags) {
        w.needFlags();
      }
      if (regHigh) {
        secondByteToV(w, i.register[reg]);
      }
      int register = reg < 0 ? 0 : regHigh ? Home.V : 0;
      if (rmHigh) {
        w.get(Home.A, i.register[rm]);
        a.store(8, Home.BASE, Rewriting.SCRATCH, Home.A);
        if (reg >= 0 && !regHigh) {
          register = w.source(i, reg);
        }
        if (reg < 0) {
          a.memoryExtended(0, size, opcode, i.reg(), Home.BASE, NONE, 0, Rewriting.SCRATCH + 1);
        } else {
          a.memory(0, size, opcode, register, Home.BASE, NONE, 0, Rewriting.SCRATCH + 1);
        }
        Rewriting.immediate(w, i);
        if (rm == written) {
          a.load(8, Home.A, Home.BASE, Rewriting.SCRATCH);
          w.put(i.register[rm], Home.A);
        } else if (reg >= 0 && reg == written && !regHigh) {
          w.result(i, reg);
        }
      } else {
        w.get(Home.A, i.register[rm]);
        a.registers(0, size, opcode, register, Home.A);
        if (rm == written) {
          w.put(i.register[rm], Home.A);
        }
      }
    }
    if (writesFlags) {
      w.flagsWritten();
    }
    if (regHigh && reg == written) {
      // The result is V's low byte.
      w.get(Home.A, i.register[reg]);
      a.store(8, Home.BASE, Rewriting.SCRATCH, Home.A);
      a.store(1, Home.BASE, Rewriting.SCRATCH + 1, Home.V);
      a.load(8, Home.A, Home.BASE, Rewriting.SCRATCH);
      w.put(i.register[reg], Home.A);
    }
    return true;
  }

  private static void secondByteToV(BlockWriter w, int gpr) {
    w.get(Home.A, gpr);
    w.a.registers(0, 4, 0x0fb6, Home.A, Assembler.AH);
    w.a.mov(8, Home.V, Home.A);
  }
}
