package dev.bothy.x86.decode;

import dev.bothy.core.cpu.CpuFeature;
import java.util.List;
import java.util.Optional;

/**
 * One row of the instruction table: an encoding and what it means. Immutable; the header of {@code
 * instructions.table} explains the columns.
 *
 * @param index the row's place in {@link InstructionTable#entries}, from 0: dense, good for
 *     dispatch arrays
 * @param op what it does
 * @param encoding the encoding column
 * @param operands the operands column, one string an operand
 * @param flagsRead RFLAGS bits that the result may depend on, or that may survive
 * @param flagsWritten RFLAGS bits that it may write
 * @param flagsUndefined RFLAGS bits that it may leave undefined
 * @param feature the CPUID feature without which it is #UD; null if every model has it
 * @param absent a feature that no model has and that this row belongs to, or null; the decoder
 *     answers INVALID
 * @param lowering class of lowering for a translator
 * @param attributes bits, the constants of this class
 * @param test {@code user} if a random test may run it in a host process, else why not
 * @param fallback what it is on a processor without {@link #feature} (LZCNT is BSR then); null: #UD
 */
public record TableEntry(
    int index,
    Op op,
    String encoding,
    List<String> operands,
    int flagsRead,
    int flagsWritten,
    int flagsUndefined,
    CpuFeature feature,
    String absent,
    Lowering lowering,
    int attributes,
    String test,
    TableEntry fallback) {

  // Attributes; the names are those of the table.
  public static final int LOCK = 1;
  public static final int CR8LOCK = 1 << 1;

  /** #GP(0) unless CPL is 0. */
  public static final int CPL0 = 1 << 2;

  public static final int IOPL = 1 << 3;
  public static final int UMIP = 1 << 4;

  /** #UD in real and virtual-8086 mode. */
  public static final int PROTECTED = 1 << 5;

  public static final int I64 = 1 << 6;
  public static final int O64 = 1 << 7;
  public static final int D64 = 1 << 8;
  public static final int F64 = 1 << 9;
  public static final int Z32 = 1 << 10;
  public static final int REP = 1 << 11;
  public static final int REPE = 1 << 12;

  /** BT and its family with a register offset: the bit offset moves the address. */
  public static final int BITSTRING = 1 << 13;

  public static final int ANYMOD = 1 << 14;
  public static final int LOADSEGMENT = 1 << 15;
  public static final int RDI = 1 << 16;
  public static final int XLAT = 1 << 17;

  /** The index of the memory operand is a vector register. */
  public static final int VSIB = 1 << 18;

  static final List<String> ATTRIBUTES =
      List.of(
          "lock",
          "cr8lock",
          "cpl0",
          "iopl",
          "umip",
          "protected",
          "i64",
          "o64",
          "d64",
          "f64",
          "z32",
          "rep",
          "repe",
          "bitstring",
          "anymod",
          "loadsegment",
          "rdi",
          "xlat",
          "vsib");

  // RFLAGS bits as the flags columns have them.
  public static final int CF = 1;
  public static final int PF = 1 << 2;
  public static final int AF = 1 << 4;
  public static final int ZF = 1 << 6;
  public static final int SF = 1 << 7;
  public static final int TF = 1 << 8;
  public static final int IF = 1 << 9;
  public static final int DF = 1 << 10;
  public static final int OF = 1 << 11;
  public static final int IOPL_FLAGS = 3 << 12;
  public static final int NT = 1 << 14;
  public static final int RF = 1 << 16;
  public static final int VM = 1 << 17;
  public static final int AC = 1 << 18;

  /** CF PF AF ZF SF OF. */
  public static final int ARITHMETIC = CF | PF | AF | ZF | SF | OF;

  /** Every flag, '*' in the table. */
  public static final int ALL_FLAGS = 0x3f_7fd5;

  /** True if the row has every bit of {@code attribute}. */
  public boolean has(int attribute) {
    return (attributes & attribute) == attribute;
  }

  /** The feature without which it is #UD, if some model lacks it. */
  public Optional<CpuFeature> requires() {
    return Optional.ofNullable(feature);
  }

  /** True if {@link #flagsRead} depends on the condition in the opcode: JCC, SETCC, CMOVCC. */
  public boolean conditional() {
    return op == Op.JCC || op == Op.SETCC || op == Op.CMOVCC;
  }

  TableEntry withFallback(TableEntry other) {
    return new TableEntry(
        index,
        op,
        encoding,
        operands,
        flagsRead,
        flagsWritten,
        flagsUndefined,
        feature,
        absent,
        lowering,
        attributes,
        test,
        other);
  }

  @Override
  public String toString() {
    return op + " (" + encoding + ")";
  }
}
