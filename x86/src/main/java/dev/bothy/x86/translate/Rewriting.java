package dev.bothy.x86.translate;

import static dev.bothy.assemble.Assembler.NONE;

import dev.bothy.assemble.Assembler;
import dev.bothy.x86.decode.Instruction;
import dev.bothy.x86.decode.InstructionTable;
import dev.bothy.x86.decode.Op;
import dev.bothy.x86.decode.TableEntry;
import dev.bothy.x86.interpret.EngineArea;

/**
 * Instructions that stay what they are: the same opcode, with the guest's registers replaced by
 * their homes and the memory operand by a host address.
 */
final class Rewriting {
  /** For each row: which operand is in ModRM's reg field, and which in its rm field; or -1. */
  private static final byte[] REG = new byte[InstructionTable.entries().size()];

  private static final byte[] RM = new byte[InstructionTable.entries().size()];

  static {
    for (TableEntry entry : InstructionTable.entries()) {
      REG[entry.index()] = -1;
      RM[entry.index()] = -1;
      for (int n = 0; n < entry.operands().size(); n++) {
        String operand = entry.operands().get(n);
        switch (operand.charAt(0)) {
          case 'G', 'V', 'P' -> REG[entry.index()] = (byte) n;
          case 'E', 'W', 'Q', 'R', 'U', 'N' -> RM[entry.index()] = (byte) n;
          case 'M' -> {
            if (!operand.equals("MX")) {
              RM[entry.index()] = (byte) n;
            }
          }
          default -> {}
        }
      }
    }
  }

  private Rewriting() {}

  /** Operand in ModRM's reg field, or -1. */
  static int reg(Instruction i) {
    return REG[i.entry.index()];
  }

  /** Operand in ModRM's rm field, or -1. */
  static int rm(Instruction i) {
    return RM[i.entry.index()];
  }

  static int opcode(Instruction i) {
    return switch (i.map) {
      // 82 is 80 under another name, in 32-bit code only.
      case 0 -> i.opcode == 0x82 ? 0x80 : i.opcode;
      case 1 -> 0x0f00 | i.opcode;
      case 2 -> 0x0f3800 | i.opcode;
      default -> 0x0f3a00 | i.opcode;
    };
  }

  private static boolean isGeneral(int kind) {
    return kind == Instruction.GPR || kind == Instruction.GPR_HIGH;
  }

  /** True if the instruction changes operand {@code n}. */
  static boolean writes(Instruction i, int n) {
    return switch (i.op) {
      case CMP, TEST, BT, PTEST, UCOMISS, UCOMISD, COMISS, COMISD, PUSH -> false;
      case XCHG, XADD -> n < 2;
      default -> n == 0;
    };
  }

  /**
   * Writes {@code i} with its ModRM operands moved; false if this is none of ours.
   *
   * @param alignment what the memory operand's address must be a multiple of
   */
  static boolean write(BlockWriter w, Instruction i, int alignment) {
    Assembler a = w.a;
    int reg = reg(i);
    int rm = rm(i);
    if (rm < 0 || i.vex != 0) {
      return false;
    }
    boolean regGeneral = reg >= 0 && isGeneral(i.kind[reg]);
    boolean rmGeneral = isGeneral(i.kind[rm]);
    boolean memory = i.kind[rm] == Instruction.MEMORY;
    if (regGeneral && i.kind[reg] == Instruction.GPR_HIGH
        || rmGeneral && i.kind[rm] == Instruction.GPR_HIGH) {
      return HighBytes.write(w, i, reg, rm);
    }
    int read = FlagUse.reads(i);
    boolean writesFlags = FlagUse.writes(i) != 0;
    // Flags that the instruction leaves alone and somebody still wants.
    int kept = writesFlags ? w.liveAfter & ~FlagUse.kills(i) : 0;
    boolean wantsCarryOnly = (read | kept) == TableEntry.CF;
    boolean allFlags = (read | kept) != 0 && !wantsCarryOnly;
    int prefix = i.mandatoryPrefix | (i.lock ? Assembler.LOCK : 0);
    int size = encodedSize(i, reg, rm);
    if (!memory) {
      if (allFlags) {
        w.needFlags();
      } else if (wantsCarryOnly) {
        w.needCarry();
      }
      registers(w, i, reg, rm, prefix, size);
    } else {
      if (!Memory.fits(w, i)) {
        return false;
      }
      int bytes = i.size[rm];
      boolean write = writes(i, rm);
      int ahead = Memory.place(w, i, bytes, write, alignment);
      int address = Home.A;
      if (allFlags) {
        if (!write && regGeneral && Home.of(i.register[reg]) != Home.MEMORY && i.op == Op.CMOVCC) {
          // The value first: the flags come through A.
          a.load(bytes, Home.V, Home.A, ahead);
          w.needFlags();
          a.registers(prefix, size, opcode(i), Home.of(i.register[reg]), Home.V);
          return true;
        }
        if (regGeneral && Home.of(i.register[reg]) == Home.MEMORY) {
          if (i.op != Op.CMOVCC || write) {
            return false;
          }
          a.load(bytes, Home.V, Home.A, ahead);
          rare(w, i, reg, prefix, size);
          return true;
        }
        a.mov(8, Home.V, Home.A);
        address = Home.V;
        w.needFlags();
      } else if (wantsCarryOnly) {
        w.needCarry();
      }
      if (reg < 0) {
        a.memoryExtended(prefix, size, opcode(i), i.reg(), address, NONE, 0, ahead);
        immediate(w, i);
      } else if (regGeneral) {
        int register = destination(w, i, reg);
        a.memory(prefix, size, opcode(i), register, address, NONE, 0, ahead);
        immediate(w, i);
        if (writes(i, reg)) {
          w.result(i, reg);
        }
      } else {
        a.memory(prefix, size, opcode(i), i.register[reg], address, NONE, 0, ahead);
        immediate(w, i);
      }
      if (address == Home.A) {
        w.keepSpan(false);
      }
    }
    if (!memory) {
      immediate(w, i);
      if (rmGeneral && writes(i, rm)) {
        w.result(i, rm);
      } else if (regGeneral && writes(i, reg)) {
        w.result(i, reg);
      }
    }
    if (writesFlags) {
      w.flagsWritten();
    }
    return true;
  }

  /** A CMOVcc of the value in V into a register without a home. */
  private static void rare(BlockWriter w, Instruction i, int reg, int prefix, int size) {
    Assembler a = w.a;
    int home = Home.displacement(i.register[reg]);
    w.needFlags();
    a.load(8, Home.A, Home.BASE, home);
    a.registers(prefix, size, opcode(i), Home.A, Home.V);
    a.store(8, Home.BASE, home, Home.A);
  }

  /**
   * True if nothing of the general register in operand 0 survives, so that it need not be loaded.
   */
  private static boolean replaces(Instruction i) {
    return switch (i.op) {
      case MOV, MOVZX, MOVSX, MOVSXD, POPCNT, MOVBE -> i.size[0] >= 4;
      case IMUL -> i.operands == 3 && i.size[0] >= 4;
      default -> false;
    };
  }

  /** A register for operand {@code n}, loaded unless it is about to be replaced. */
  private static int destination(BlockWriter w, Instruction i, int n) {
    if (n == 0 && replaces(i) && Home.of(i.register[0]) == Home.MEMORY) {
      return Home.V;
    }
    return w.source(i, n);
  }

  private static void registers(
      BlockWriter w, Instruction i, int reg, int rm, int prefix, int size) {
    Assembler a = w.a;
    boolean regGeneral = reg >= 0 && isGeneral(i.kind[reg]);
    boolean rmGeneral = isGeneral(i.kind[rm]);
    int opcode = opcode(i);
    boolean regInMemory = regGeneral && Home.of(i.register[reg]) == Home.MEMORY;
    boolean rmInMemory = rmGeneral && Home.of(i.register[rm]) == Home.MEMORY;
    if (rmInMemory && regInMemory) {
      if (writes(i, rm) && writes(i, reg)) {
        // XCHG, XADD of two registers that both lie in memory. Flags are kept by moves.
        w.scratch.load(i.register[rm]);
        a.load(8, Home.A, Home.BASE, Home.displacement(i.register[reg]));
        a.registers(prefix, size, opcode, Home.A, Home.V);
        a.store(8, Home.BASE, Home.displacement(i.register[reg]), Home.A);
        a.store(8, Home.BASE, Home.displacement(i.register[rm]), Home.V);
        return;
      }
      int written = writes(i, rm) ? rm : reg;
      int other = written == rm ? reg : rm;
      if (i.op == Op.MOV && i.size[0] >= 4) {
        a.load(i.size[0], Home.V, Home.BASE, Home.displacement(i.register[other]));
        return;
      }
      w.scratch.load(i.register[written]);
      a.load(8, Home.A, Home.BASE, Home.displacement(i.register[other]));
      if (written == rm) {
        a.registers(prefix, size, opcode, Home.A, Home.V);
      } else {
        a.registers(prefix, size, opcode, Home.V, Home.A);
      }
      return;
    }
    // BT of memory would be another thing.
    if (rmInMemory
        && reg >= 0
        && !writes(i, rm)
        && i.size[rm] >= 4
        && i.op != Op.BT
        && !w.scratch.holds(i.register[rm])) {
      int register = regGeneral ? destination(w, i, reg) : i.register[reg];
      a.memory(
          prefix, size, opcode, register, Home.BASE, NONE, 0, Home.displacement(i.register[rm]));
      return;
    }
    if (regInMemory && rmGeneral && i.size[rm] >= 4 && !w.scratch.holds(i.register[reg])) {
      int turned = turned(i);
      if (turned >= 0) {
        int home = Home.displacement(i.register[reg]);
        a.memory(prefix, size, turned, Home.of(i.register[rm]), Home.BASE, NONE, 0, home);
        return;
      }
    }
    int rmRegister = rmGeneral ? destination(w, i, rm) : i.register[rm];
    if (reg < 0) {
      a.extended(prefix, size, opcode, i.reg(), rmRegister);
      return;
    }
    int regRegister = regGeneral ? destination(w, i, reg) : i.register[reg];
    a.registers(prefix, size, opcode, regRegister, rmRegister);
    if (regInMemory && writes(i, reg) && writes(i, rm)) {
      w.result(i, reg);
    }
  }

  /** The opcode that does the same to ModRM's reg operand, from its rm operand; or -1. */
  private static int turned(Instruction i) {
    if (i.map != 0) {
      return -1;
    }
    // 01 to 39: ADD to CMP; 89: MOV; 85: TEST.
    if ((i.opcode & 0xc7) == 0x01 || i.opcode == 0x89) {
      return i.opcode | 2;
    }
    return i.opcode == 0x85 ? i.opcode : -1;
  }

  /** The size that makes the encoding right: of the general registers, or of REX.W's meaning. */
  private static int encodedSize(Instruction i, int reg, int rm) {
    boolean integer = i.mandatoryPrefix == 0 && i.map < 2;
    switch (i.op) {
      case MOVZX, MOVSX -> {
        int from = i.size[1];
        return i.size[0] | (from == 1 ? Assembler.BYTE_RM : 0);
      }
      case MOVSXD -> {
        return i.size[0];
      }
      case SETCC -> {
        return 4 | Assembler.BYTE_RM;
      }
      case CRC32 -> {
        return i.size[1] == 1 ? (i.w ? 8 : 4) | Assembler.BYTE_RM : i.size[1];
      }
      case TZCNT, BSF, LZCNT, BSR, POPCNT -> {
        return i.size[0];
      }
      default -> {}
    }
    if (integer && isIntegerForm(i, reg, rm)) {
      return i.size[rm] == 0 ? i.size[reg] : i.size[rm];
    }
    return i.w ? 8 : 4;
  }

  private static boolean isIntegerForm(Instruction i, int reg, int rm) {
    boolean vector =
        reg >= 0 && (i.kind[reg] == Instruction.XMM || i.kind[reg] == Instruction.MMX)
            || i.kind[rm] == Instruction.XMM
            || i.kind[rm] == Instruction.MMX;
    return !vector;
  }

  /** The immediate bytes, as the opcode has them. */
  static void immediate(BlockWriter w, Instruction i) {
    for (int n = 0; n < i.operands; n++) {
      if (i.kind[n] == Instruction.IMMEDIATE) {
        String form = i.entry.operands().get(n);
        switch (form) {
          case "1" -> {}
          case "Iz" -> {
            if (i.operandSize == 2) {
              w.a.int16((int) i.immediate);
            } else {
              w.a.int32((int) i.immediate);
            }
          }
          default -> w.a.int8((int) i.immediate);
        }
      } else if (i.kind[n] == Instruction.IMMEDIATE2) {
        w.a.int8((int) i.immediate2);
      }
    }
  }

  /** Displacement of the engine's scratch word. */
  static final int SCRATCH = Home.state(EngineArea.SCRATCH);
}
