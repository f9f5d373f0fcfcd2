package dev.bothy.x86.translate;

import static dev.bothy.assemble.Assembler.NONE;
import static dev.bothy.host.RawMemory.getInt;
import static dev.bothy.host.RawMemory.getLong;
import static dev.bothy.host.RawMemory.putInt;
import static dev.bothy.host.RawMemory.putLong;

import dev.bothy.assemble.Assembler;
import dev.bothy.core.cpu.CpuState;
import dev.bothy.x86.decode.Instruction;
import dev.bothy.x86.interpret.EngineArea;

/**
 * The pointers to the last x87 instruction and its operand, which the host cannot keep for the
 * guest. While a block runs they are known from where it is, but for the operand's offset, of which
 * each instruction with one stores its own; they go to the state before a branch ({@link #flush}),
 * or when the block is left ({@link #apply}).
 *
 * <p>What is not in the state yet is an int of these fields; 0: nothing.
 */
public final class X87Pointers {
  // Bits 0 to 11: the instruction's offset in its page; 12 to 22: its opcode.
  private static final int OPCODE_SHIFT = 12;

  /** There was an instruction. */
  private static final int CODE = 1 << 23;

  /** All pointers were cleared; then there may have been an instruction, and an operand. */
  private static final int CLEARED = 1 << 24;

  /** There was an operand; in which of the two words its offset is; in which segment. */
  private static final int DATA = 1 << 25;

  private static final int WORD = 1 << 26;
  private static final int SEGMENT_SHIFT = 27;

  private static final int CODE_FIELDS = CODE | CODE - 1;
  private static final int DATA_FIELDS = -DATA;

  private int pending;

  /** A block starts. */
  void start() {
    pending = 0;
  }

  /** What is not in the state before the present instruction. */
  int pending() {
    return pending;
  }

  /**
   * Stores the offset of the present instruction's operand, from {@link Home#A}, where it does no
   * harm if the instruction is not executed after all.
   */
  void operand(BlockWriter w) {
    w.a.store(8, Home.BASE, Home.state(word(pending ^ WORD)), Home.A);
  }

  /** The present instruction has been executed; it has stored its operand, if it has one. */
  void executed(BlockWriter w, Instruction i, boolean operand) {
    int opcode = (i.opcode & 7) << 8 | i.modrm & 0xff;
    pending = pending & ~CODE_FIELDS | CODE | opcode << OPCODE_SHIFT | w.offset;
    if (operand) {
      int word = ~pending & WORD;
      pending = pending & ~DATA_FIELDS | DATA | word | i.segment << SEGMENT_SHIFT;
    }
  }

  /** The present instruction has cleared them all. */
  void cleared() {
    pending = CLEARED;
  }

  private static int word(int pending) {
    return (pending & WORD) == 0 ? EngineArea.X87_OPERAND : EngineArea.X87_OPERAND + 8;
  }

  /** Writes code that brings the state up to date. Clobbers {@link Home#A}, keeps flags. */
  void flush(BlockWriter w) {
    if (pending == 0) {
      return;
    }
    Assembler a = w.a;
    if ((pending & CODE) != 0) {
      a.load(8, Home.A, Home.BASE, Home.state(EngineArea.PAGE_BASE));
      int offset = pending & 0xfff;
      if (offset != 0) {
        a.lea(8, Home.A, Home.A, NONE, 0, offset);
      }
      a.store(8, Home.BASE, Home.state(CpuState.X87_IP), Home.A);
      selector(a, CpuState.CS, CpuState.X87_CS);
      a.storeImmediate(4, Home.BASE, Home.state(CpuState.X87_OPCODE), opcode(pending));
    } else if ((pending & CLEARED) != 0) {
      a.storeImmediate(8, Home.BASE, Home.state(CpuState.X87_IP), 0);
      a.storeImmediate(4, Home.BASE, Home.state(CpuState.X87_CS), 0);
      a.storeImmediate(4, Home.BASE, Home.state(CpuState.X87_OPCODE), 0);
    }
    if ((pending & DATA) != 0) {
      a.load(8, Home.A, Home.BASE, Home.state(word(pending)));
      a.store(8, Home.BASE, Home.state(CpuState.X87_DP), Home.A);
      selector(a, pending >>> SEGMENT_SHIFT, CpuState.X87_DS);
    } else if ((pending & CLEARED) != 0) {
      a.storeImmediate(8, Home.BASE, Home.state(CpuState.X87_DP), 0);
      a.storeImmediate(4, Home.BASE, Home.state(CpuState.X87_DS), 0);
    }
    pending = 0;
  }

  private static int opcode(int pending) {
    return pending >>> OPCODE_SHIFT & 0x7ff;
  }

  private static void selector(Assembler a, int segment, int to) {
    int from = CpuState.segment(segment, CpuState.SEGMENT_SELECTOR);
    a.memory(0, 4, 0x0fb7, Home.A, Home.BASE, NONE, 0, Home.state(from));
    a.store(4, Home.BASE, Home.state(to), Home.A);
  }

  /**
   * Brings the state at {@code state} up to date.
   *
   * @param pending as {@link TranslatedBlock#pointersAt} says of where the block was left
   * @param pageBase linear address of the block's page
   */
  public static void apply(long state, int pending, long pageBase) {
    if ((pending & CLEARED) != 0) {
      putLong(state + CpuState.X87_IP, 0);
      putInt(state + CpuState.X87_CS, 0);
      putInt(state + CpuState.X87_OPCODE, 0);
      putLong(state + CpuState.X87_DP, 0);
      putInt(state + CpuState.X87_DS, 0);
    }
    if ((pending & CODE) != 0) {
      putLong(state + CpuState.X87_IP, pageBase + (pending & 0xfff));
      putInt(state + CpuState.X87_CS, selector(state, CpuState.CS));
      putInt(state + CpuState.X87_OPCODE, opcode(pending));
    }
    if ((pending & DATA) != 0) {
      putLong(state + CpuState.X87_DP, getLong(state + word(pending)));
      putInt(state + CpuState.X87_DS, selector(state, pending >>> SEGMENT_SHIFT));
    }
  }

  private static int selector(long state, int segment) {
    return getInt(state + CpuState.segment(segment, CpuState.SEGMENT_SELECTOR)) & 0xffff;
  }
}
