package dev.bothy.x86.oracle;

import static dev.bothy.host.RawMemory.getLong;
import static dev.bothy.host.RawMemory.putByte;
import static dev.bothy.host.RawMemory.putInt;
import static dev.bothy.host.RawMemory.putLong;
import static dev.bothy.host.RawMemory.putShort;
import static dev.bothy.x86.oracle.Layout.*;

import dev.bothy.host.RawMemory;
import dev.bothy.x86.decode.Instruction;
import dev.bothy.x86.decode.Lowering;
import dev.bothy.x86.decode.Op;
import java.lang.foreign.MemorySegment;

/** Random contents of the data pages, the floating-point registers and single operands. */
final class RandomState {
  private static final int POOL_SIZE = 1 << 16;

  private final Dice dice;
  private final MemorySegment pool;

  RandomState(Dice dice) {
    this.dice = dice;
    Dice fill = new Dice(1);
    byte[] bytes = new byte[POOL_SIZE];
    pool = MemorySegment.ofArray(bytes);
    long scratch = CONTROL + 0x380;
    for (int at = 0; at < POOL_SIZE; at += 16) {
      Values.vector(fill, scratch);
      MemorySegment.copy(RawMemory.segment(scratch, 16), 0, pool, at, 16);
    }
  }

  /** Fills {@link Layout#DATA}. */
  void data() {
    int from = dice.below((POOL_SIZE - DATA_SIZE) / 16) * 16;
    MemorySegment.copy(pool, from, RawMemory.segment(DATA, DATA_SIZE), 0, DATA_SIZE);
  }

  /** Fills x87, MXCSR and vectors of {@link Layout#INPUT}; {@code masked}: how often, of 100. */
  void floating(int masked) {
    int control = dice.chance(40) ? 0x37f : (int) dice.next() & 0x1f3f | 0x40;
    if (dice.chance(masked)) {
      control |= 0x3f;
    }
    int status = (int) dice.next() & 0x7f00 | (dice.chance(80) ? 0 : (int) dice.next() & 0x7f);
    if ((status & ~control & 0x3f) != 0) {
      status |= 0x8080;
    }
    putShort(INPUT + FX, (short) control);
    putShort(INPUT + FX + 2, (short) status);
    putByte(INPUT + FX + 4, (byte) (dice.chance(60) ? 0xff : dice.next()));
    int mxcsr = dice.chance(50) ? 0x1f80 : (int) dice.next() & 0xffff;
    putInt(INPUT + FX_MXCSR, dice.chance(masked + 5) ? mxcsr | 0x1f80 : mxcsr);
    for (int i = 0; i < 8; i++) {
      Values.extendedFloat(dice, INPUT + FX_ST + 16 * i);
    }
    for (int i = 0; i < 16; i++) {
      Values.vector(dice, INPUT + FX_XMM + 16 * i);
    }
    boolean clean = dice.chance(10);
    for (int i = 0; i < 16; i++) {
      long upper = INPUT + YMM_UPPER + 16 * i;
      if (clean) {
        putLong(upper, 0);
        putLong(upper + 8, 0);
      } else {
        Values.vector(dice, upper);
      }
    }
  }

  /** Puts a value of the instruction's kind at the address of its memory operand. */
  void operand(Instruction instruction, int size, long operand) {
    if (operand < DATA || operand > DATA + DATA_SIZE - 16) {
      return;
    }
    if (instruction.op == Op.FBLD) {
      Values.decimal(dice, operand);
    } else if (instruction.entry.lowering() == Lowering.X87 && size == 10) {
      long kept = getLong(operand + 8);
      Values.extendedFloat(dice, operand);
      putLong(operand + 8, kept & ~0xffffL | getLong(operand + 8) & 0xffff);
    } else if (size == 4 || size == 2 || size == 8) {
      number(instruction, size, operand);
    } else if (size == 16 || size == 32) {
      for (int at = 0; at < size && operand + at <= DATA + DATA_SIZE - 16; at += 16) {
        Values.vector(dice, operand + at);
      }
    }
  }

  private void number(Instruction instruction, int size, long operand) {
    boolean floating =
        switch (instruction.entry.lowering()) {
          case X87, SSE, AVX -> dice.chance(70);
          default -> false;
        };
    if (instruction.op == Op.LDMXCSR || instruction.op == Op.VLDMXCSR) {
      putInt(operand, (int) dice.next() & (dice.chance(95) ? 0xffff : -1));
    } else if (size == 2) {
      putShort(operand, (short) Values.integer(dice));
    } else if (size == 4) {
      putInt(operand, floating ? Values.singleFloat(dice) : (int) Values.integer(dice));
    } else {
      putLong(operand, floating ? Values.doubleFloat(dice) : Values.integer(dice));
    }
  }
}
