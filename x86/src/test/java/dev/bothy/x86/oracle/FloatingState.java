package dev.bothy.x86.oracle;

import static dev.bothy.host.RawMemory.getByte;
import static dev.bothy.host.RawMemory.getInt;
import static dev.bothy.host.RawMemory.getLong;
import static dev.bothy.host.RawMemory.getShort;
import static dev.bothy.host.RawMemory.putByte;
import static dev.bothy.host.RawMemory.putInt;
import static dev.bothy.host.RawMemory.putLong;
import static dev.bothy.host.RawMemory.putShort;

import dev.bothy.core.cpu.CpuState;

/**
 * Between an FXSAVE64 image (AMD64 APM volume 2, section 11.4.4), with the upper halves of the YMM
 * registers behind it, and {@link CpuState}.
 */
final class FloatingState {
  /** Where the upper halves are in an image. */
  private static final int UPPER = Layout.YMM_UPPER - Layout.FX;

  private FloatingState() {}

  /** FXRSTOR64 of the image at {@code image} into the processor state at {@code state}. */
  static void load(long image, long state) {
    int control = getShort(image) & 0xffff;
    int status = getShort(image + 2) & 0xffff;
    putInt(state + CpuState.X87_CONTROL, control);
    putInt(state + CpuState.X87_STATUS, status);
    putInt(state + CpuState.X87_TAGS, getByte(image + 4) & 0xff);
    putInt(state + CpuState.X87_OPCODE, 0);
    putLong(state + CpuState.X87_IP, 0);
    putLong(state + CpuState.X87_DP, 0);
    putInt(state + CpuState.X87_CS, 0);
    putInt(state + CpuState.X87_DS, 0);
    putInt(state + CpuState.MXCSR, getInt(image + 24));
    int top = status >> 11 & 7;
    for (int i = 0; i < 8; i++) {
      long from = image + 32 + 16 * i;
      long to = state + CpuState.X87_REGISTERS + 16L * (top + i & 7);
      putLong(to, getLong(from));
      putLong(to + 8, getShort(from + 8) & 0xffff);
    }
    for (int i = 0; i < 16; i++) {
      long from = image + 160 + 16 * i;
      long to = state + CpuState.VECTORS + (long) CpuState.VECTOR_SIZE * i;
      copy(from, to);
      copy(image + UPPER + 16 * i, to + 16);
    }
  }

  private static void copy(long from, long to) {
    putLong(to, getLong(from));
    putLong(to + 8, getLong(from + 8));
  }

  /**
   * FXSAVE64 of the processor state at {@code state}, without the x87's instruction and data
   * pointers.
   */
  static void save(long state, long image) {
    int status = getInt(state + CpuState.X87_STATUS);
    putShort(image, (short) getInt(state + CpuState.X87_CONTROL));
    putShort(image + 2, (short) status);
    putByte(image + 4, (byte) getInt(state + CpuState.X87_TAGS));
    putInt(image + 24, getInt(state + CpuState.MXCSR));
    int top = status >> 11 & 7;
    for (int i = 0; i < 8; i++) {
      long from = state + CpuState.X87_REGISTERS + 16L * (top + i & 7);
      long to = image + 32 + 16 * i;
      putLong(to, getLong(from));
      putLong(to + 8, getShort(from + 8) & 0xffff);
    }
    for (int i = 0; i < 16; i++) {
      long from = state + CpuState.VECTORS + (long) CpuState.VECTOR_SIZE * i;
      copy(from, image + 160 + 16 * i);
      copy(from + 16, image + UPPER + 16 * i);
    }
  }
}
