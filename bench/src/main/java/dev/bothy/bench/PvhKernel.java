package dev.bothy.bench;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;

/** An ELF executable with the note of Xen's PVH boot protocol around code for 32-bit mode. */
final class PvhKernel {
  private static final int HEADERS = 0x1000;
  private static final int NOTE = 0x200;
  private static final int NOTE_BYTES = 20;

  /** XEN_ELFNOTE_PHYS32_ENTRY. */
  private static final int ENTRY_NOTE = 18;

  private PvhKernel() {}

  /**
   * One segment that lies at {@code address}.
   *
   * @param entry offset of its first instruction
   */
  static byte[] around(byte[] code, int address, int entry) {
    ByteBuffer b = ByteBuffer.allocate(HEADERS + code.length).order(ByteOrder.LITTLE_ENDIAN);
    // A 64-bit executable for x86-64 with two program headers.
    b.putInt(0, 0x464c457f).put(4, (byte) 2).put(5, (byte) 1).put(6, (byte) 1);
    b.putShort(16, (short) 2).putShort(18, (short) 62).putInt(20, 1);
    b.putLong(24, address + entry).putLong(32, 64);
    b.putShort(52, (short) 64).putShort(54, (short) 56).putShort(56, (short) 2);
    b.putInt(64, 1).putInt(68, 7).putLong(72, HEADERS).putLong(80, address).putLong(88, address);
    b.putLong(96, code.length).putLong(104, code.length).putLong(112, 0x1000);
    b.putInt(120, 4).putInt(124, 4).putLong(128, NOTE);
    b.putLong(152, NOTE_BYTES).putLong(160, NOTE_BYTES);
    b.putInt(NOTE, 4).putInt(NOTE + 4, 4).putInt(NOTE + 8, ENTRY_NOTE);
    b.put(NOTE + 12, "Xen\0".getBytes(StandardCharsets.US_ASCII))
        .putInt(NOTE + 16, address + entry);
    b.put(HEADERS, code);
    return b.array();
  }
}
