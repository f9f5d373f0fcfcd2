package dev.bothy.x86.oracle;

import static dev.bothy.host.RawMemory.getByte;
import static dev.bothy.host.RawMemory.getInt;
import static dev.bothy.host.RawMemory.getLong;
import static dev.bothy.host.RawMemory.getShort;
import static dev.bothy.x86.oracle.Layout.*;

import dev.bothy.host.RawMemory;
import dev.bothy.x86.decode.Instruction;
import java.lang.foreign.MemorySegment;

/**
 * Compares what the host and the guest made of a case. Undefined flags count for nothing, {@link
 * Tolerance} is the rest.
 */
final class Comparison {
  private static final String[] REGISTERS = {
    "rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13",
    "r14", "r15", "rip"
  };
  private static final String[] SELECTOR_NAMES = {"cs", "ss", "ds", "es", "fs", "gs"};

  /** The flags user code sees: arithmetic, TF, IF, DF, IOPL, NT, AC, ID. */
  private static final int FLAGS = 0x24_7fd5;

  private static final long EXPONENT = 0xffff;

  private final StringBuilder text = new StringBuilder();
  private boolean quiet;
  private boolean equal;

  /**
   * True if the records and the data agree.
   *
   * @param instruction the one that both ended with
   * @param undefined flags that do not count
   */
  boolean agree(Instruction instruction, int undefined, MemorySegment guestData) {
    quiet = true;
    compare(instruction, undefined, guestData);
    return equal || Tolerance.foreignMode();
  }

  /** What differs, line by line: before, host, guest. */
  String report(
      Instruction instruction, int undefined, MemorySegment guestData, byte[] dataBefore) {
    quiet = false;
    text.setLength(0);
    for (int i = 0; i < 16; i++) {
      text.append(
          String.format(
              "%s%-3s %016x", i % 4 == 0 ? "  " : " ", REGISTERS[i], getLong(INPUT + 8 * i)));
      text.append(i % 4 == 3 ? "\n" : "");
    }
    compare(instruction, undefined, guestData);
    MemorySegment data = RawMemory.segment(DATA, DATA_SIZE);
    long at = data.mismatch(guestData);
    if (at >= 0) {
      for (int i = 0; i < 32 && at + i < DATA_SIZE; i += 8) {
        long offset = at + i & ~7L;
        line(
            "data+" + Long.toHexString(offset),
            MemorySegment.ofArray(dataBefore)
                .get(java.lang.foreign.ValueLayout.JAVA_LONG_UNALIGNED, offset),
            getLong(DATA + offset),
            getLong(guestData.address() + offset));
      }
    }
    return text.toString();
  }

  private void compare(Instruction instruction, int undefined, MemorySegment guestData) {
    equal = true;
    field("vector", VECTOR);
    field("error", ERROR_CODE);
    field("cr2", CR2);
    for (int i = 0; i <= 16; i++) {
      field(REGISTERS[i], 8 * i);
    }
    field("gs base", GS_BASE);
    int defined = FLAGS & ~undefined;
    long flags = (getLong(NATIVE + RFLAGS) ^ getLong(GUEST + RFLAGS)) & defined;
    check(flags == 0, "flags", RFLAGS);
    boolean faulted = getLong(NATIVE + VECTOR) >= 0;
    // 32-bit code leaves through a far jump, so that its CS is not seen any more.
    for (int i = faulted || instruction.mode == 32 ? 1 : 0; i < 6; i++) {
      int at = SELECTORS + 2 * i;
      check(getShort(NATIVE + at) == getShort(GUEST + at), SELECTOR_NAMES[i], at);
    }
    check(getInt(NATIVE + FX_MXCSR) == getInt(GUEST + FX_MXCSR), "mxcsr", FX_MXCSR);
    compareX87(instruction);
    for (int i = 0; i < 16; i++) {
      int at = FX_XMM + 16 * i;
      boolean same =
          getLong(NATIVE + at) == getLong(GUEST + at)
              && getLong(NATIVE + at + 8) == getLong(GUEST + at + 8);
      if (!same && !Tolerance.vector(instruction, NATIVE + at, GUEST + at)) {
        field("xmm" + i, at);
        field("  high", at + 8);
      }
      int upper = YMM_UPPER + 16 * i;
      same =
          getLong(NATIVE + upper) == getLong(GUEST + upper)
              && getLong(NATIVE + upper + 8) == getLong(GUEST + upper + 8);
      if (!same && !Tolerance.vector(instruction, NATIVE + upper, GUEST + upper)) {
        field("ymm" + i, upper);
        field("  high", upper + 8);
      }
    }
    if (RawMemory.segment(DATA, DATA_SIZE).mismatch(guestData) >= 0) {
      equal = false;
    }
  }

  private void compareX87(Instruction instruction) {
    check(getShort(NATIVE + FX) == getShort(GUEST + FX), "x87 control", FX);
    int status = (getShort(NATIVE + FX + 2) ^ getShort(GUEST + FX + 2)) & 0xffff;
    check((status & ~Tolerance.status(instruction)) == 0, "x87 status", FX + 2);
    check(getByte(NATIVE + FX + 4) == getByte(GUEST + FX + 4), "x87 tags", FX + 4);
    for (int i = 0; i < 8; i++) {
      int at = FX_ST + 16 * i;
      long high = (getLong(NATIVE + at + 8) ^ getLong(GUEST + at + 8)) & EXPONENT;
      boolean same = high == 0 && getLong(NATIVE + at) == getLong(GUEST + at);
      if (!same && !Tolerance.extended(instruction, NATIVE + at, GUEST + at)) {
        field("st" + i, at);
        check(high == 0, "  sign, exponent", at + 8);
      }
    }
  }

  private void field(String name, int offset) {
    check(getLong(NATIVE + offset) == getLong(GUEST + offset), name, offset);
  }

  private void check(boolean same, String name, int offset) {
    if (!same) {
      equal = false;
      if (!quiet) {
        line(name, getLong(INPUT + offset), getLong(NATIVE + offset), getLong(GUEST + offset));
      }
    }
  }

  private void line(String name, long before, long host, long guest) {
    text.append(
        String.format("  %-16s %016x  host %016x  guest %016x%n", name, before, host, guest));
  }
}
