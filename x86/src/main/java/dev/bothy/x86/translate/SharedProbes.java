package dev.bothy.x86.translate;

import dev.bothy.core.cpu.CpuState;
import dev.bothy.x86.decode.Instruction;
import dev.bothy.x86.decode.Op;

/**
 * Which accesses of a block are likely to fall on the page of an earlier one, because they start
 * from the same register: those keep the TLB entry they found in a word, and look there first. A
 * wrong guess costs time, nothing else.
 */
final class SharedProbes {
  /** Words for entries. */
  static final int WORDS = 8;

  /** No word: a look-up of its own. */
  static final int NONE = -1;

  /** Index standing for a register that is no general one: the instruction pointer, none. */
  private static final int REGISTERS = 18;

  private final int[] word = new int[BlockWriter.MOST];

  /** How often a register got a new value so far. */
  private final int[] version = new int[REGISTERS];

  private final long[] key = new long[BlockWriter.MOST];

  /** What the memory operand of instruction {@code k} does: {@link #NONE} or a word. */
  int wordOf(int k) {
    return word[k];
  }

  /** Plans for the block of the first {@code count} instructions. */
  void plan(Instruction[] instructions, int[] offsets, int count) {
    java.util.Arrays.fill(version, 0);
    for (int k = 0; k < count; k++) {
      Instruction i = instructions[k];
      word[k] = NONE;
      key[k] = keyOf(i, offsets[k]);
      update(i);
    }
    int words = 0;
    for (int k = 0; k < count; k++) {
      if (key[k] == 0 || word[k] != NONE || words == WORDS) {
        continue;
      }
      boolean shared = false;
      for (int later = k + 1; later < count; later++) {
        if (key[later] == key[k]) {
          word[later] = words;
          shared = true;
        }
      }
      if (shared) {
        word[k] = words++;
      }
    }
  }

  private static boolean hasMemory(Instruction i) {
    if (i.op == Op.LEA || i.op == Op.NOP) {
      return false;
    }
    for (int n = 0; n < i.operands; n++) {
      if (i.kind[n] == Instruction.MEMORY) {
        return true;
      }
    }
    return false;
  }

  /** Equal for accesses that start from the same place; 0 for those that share with nobody. */
  private long keyOf(Instruction i, int offset) {
    if (!hasMemory(i) || i.base == CpuState.RSP && i.index < 0) {
      return 0;
    }
    if (i.base < 0 && i.index < 0 || i.base == Instruction.RIP_BASE) {
      // The page counts.
      long target = i.displacement + (i.base < 0 ? 0 : offset + i.length);
      return target >> 12 << 8 | 0x80 | (i.base < 0 ? 0 : 0x40) | i.segment;
    }
    int base = i.base < 0 ? 17 : i.base;
    int index = i.index < 0 ? 17 : i.index;
    return 1L << 62
        | (long) version[base] << 40
        | (long) version[index] << 20
        | base << 12
        | index << 4
        | i.segment;
  }

  /** Registers that {@code i} sends somewhere else: not by a small step. */
  private void update(Instruction i) {
    switch (i.op) {
      case CMP, TEST, BT, PUSH, JCC, JMP, CALL, RET, INC, DEC -> {}
      case ADD, SUB -> {
        if (i.kind[1] != Instruction.IMMEDIATE || Math.abs(i.immediate) > 2048) {
          written(i, 0);
        }
      }
      case LEA -> {
        if (i.base != i.register[0] || i.index >= 0 || Math.abs(i.displacement) > 2048) {
          written(i, 0);
        }
      }
      case XCHG, XADD -> {
        written(i, 0);
        written(i, 1);
      }
      case MUL, DIV, IDIV, CMPXCHG, CBW, CWD -> {
        version[CpuState.RAX]++;
        version[CpuState.RDX]++;
        if (i.operands > 0) {
          written(i, 0);
        }
      }
      case LEAVE -> version[CpuState.RBP]++;
      default -> {
        if (i.operands > 0) {
          written(i, 0);
        }
      }
    }
  }

  private void written(Instruction i, int n) {
    if (i.kind[n] == Instruction.GPR || i.kind[n] == Instruction.GPR_HIGH) {
      version[i.register[n]]++;
    }
  }
}
