package dev.bothy.x86.decode;

import java.util.List;

/** The instruction table, read once from {@code instructions.table}. Immutable. */
public final class InstructionTable {
  private InstructionTable() {}

  /** Every row, in the order of the table. */
  public static List<TableEntry> entries() {
    return List.of();
  }
}
