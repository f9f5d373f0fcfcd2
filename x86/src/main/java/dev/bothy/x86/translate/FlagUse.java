package dev.bothy.x86.translate;

import dev.bothy.x86.decode.Instruction;
import dev.bothy.x86.decode.Op;
import dev.bothy.x86.decode.TableEntry;

/** What an instruction does to the arithmetic flags, by the table, with shift counts looked at. */
final class FlagUse {
  private static final int ALL = TableEntry.ARITHMETIC;

  private FlagUse() {}

  private static boolean shiftsByConstant(Instruction i) {
    return switch (i.op) {
      case ROL, ROR, RCL, RCR, SHL, SHR, SAR -> i.kind[1] == Instruction.IMMEDIATE;
      case SHLD, SHRD -> i.kind[2] == Instruction.IMMEDIATE;
      default -> false;
    };
  }

  private static boolean shiftsByNothing(Instruction i) {
    return ((int) i.immediate & (i.size[0] == 8 ? 63 : 31)) == 0;
  }

  /** Flags whose value the result depends on. */
  static int reads(Instruction i) {
    if (i.entry.conditional()) {
      return condition(i.opcode & 15);
    }
    if (shiftsByConstant(i)) {
      return (i.op == Op.RCL || i.op == Op.RCR) && !shiftsByNothing(i) ? TableEntry.CF : 0;
    }
    return i.entry.flagsRead() & ALL;
  }

  /** Flags of condition code {@code code}, 0 to 15. */
  static int condition(int code) {
    return switch (code >> 1) {
      case 0 -> TableEntry.OF;
      case 1 -> TableEntry.CF;
      case 2 -> TableEntry.ZF;
      case 3 -> TableEntry.CF | TableEntry.ZF;
      case 4 -> TableEntry.SF;
      case 5 -> TableEntry.PF;
      case 6 -> TableEntry.SF | TableEntry.OF;
      default -> TableEntry.SF | TableEntry.OF | TableEntry.ZF;
    };
  }

  /** Flags that it may change. */
  static int writes(Instruction i) {
    if (shiftsByConstant(i) && shiftsByNothing(i)) {
      return 0;
    }
    return (i.entry.flagsWritten() | i.entry.flagsUndefined()) & ALL;
  }

  /** Flags that it certainly replaces, whatever they were. */
  static int kills(Instruction i) {
    if (shiftsByConstant(i)) {
      // Rotates leave OF undefined or written, and the others alone.
      return writes(i);
    }
    return writes(i) & ~i.entry.flagsRead();
  }
}
