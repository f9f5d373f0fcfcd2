package dev.bothy.machine.boot;

import io.airlift.compress.zstd.ZstdCompressor;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.zip.GZIPOutputStream;
import org.tukaani.xz.LZMA2Options;
import org.tukaani.xz.XZOutputStream;

/** Kernel files small enough to look through, with everything that the loaders look at. */
final class MadeUpKernel {
  static final long ADDRESS = 0x100_0000;
  static final int CODE_OFFSET = 0x1000;
  static final byte[] CODE =
      "the kernel's code, the kernel's code".getBytes(StandardCharsets.US_ASCII);
  static final int MEMORY_SIZE = 0x3000;
  static final int SYSTEM_OFFSET = 5 * 512;
  static final int PAYLOAD_OFFSET = 0x400;

  private MadeUpKernel() {}

  static ByteBuffer little(byte[] bytes) {
    return ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN);
  }

  /**
   * An ELF64 executable of one segment, entered 4 bytes behind its start at a virtual address; with
   * a PVH note.
   */
  static byte[] elf64() {
    byte[] file = new byte[CODE_OFFSET + CODE.length];
    ByteBuffer b = little(file);
    b.putInt(0, 0x464c457f).put(4, (byte) 2).put(5, (byte) 1).put(6, (byte) 1);
    b.putShort(16, (short) 2).putShort(18, (short) 62).putInt(20, 1);
    b.putLong(24, 0xffff_ffff_8100_0004L).putLong(32, 64);
    b.putShort(52, (short) 64).putShort(54, (short) 56).putShort(56, (short) 2);
    b.putInt(64, 1).putInt(68, 5).putLong(72, CODE_OFFSET);
    b.putLong(80, 0xffff_ffff_8100_0000L).putLong(88, ADDRESS);
    b.putLong(96, CODE.length).putLong(104, MEMORY_SIZE).putLong(112, 0x1000);
    b.putInt(120, 4).putInt(124, 4).putLong(128, 0x200).putLong(152, 20).putLong(160, 20);
    b.putInt(0x200, 4).putInt(0x204, 4).putInt(0x208, 18);
    b.put(0x20c, "Xen\0".getBytes(StandardCharsets.US_ASCII)).putInt(0x210, (int) ADDRESS + 8);
    b.put(CODE_OFFSET, CODE);
    return file;
  }

  /** An ELF32 executable of one segment with a Multiboot header behind its program header. */
  static byte[] multiboot(int flags) {
    byte[] file = new byte[CODE_OFFSET + CODE.length];
    ByteBuffer b = little(file);
    b.putInt(0, 0x464c457f).put(4, (byte) 1).put(5, (byte) 1).put(6, (byte) 1);
    b.putShort(16, (short) 2).putShort(18, (short) 3).putInt(20, 1);
    b.putInt(24, (int) ADDRESS + 4).putInt(28, 52);
    b.putShort(40, (short) 52).putShort(42, (short) 32).putShort(44, (short) 1);
    b.putInt(52, 1).putInt(56, CODE_OFFSET).putInt(60, (int) ADDRESS).putInt(64, (int) ADDRESS);
    b.putInt(68, CODE.length).putInt(72, MEMORY_SIZE);
    b.putInt(0x100, 0x1badb002).putInt(0x104, flags).putInt(0x108, -(0x1badb002 + flags));
    // The address fields, for flag 16: header, load, load end, bss end, entry.
    b.putInt(0x10c, (int) ADDRESS + 0x100).putInt(0x110, (int) ADDRESS);
    b.putInt(0x114, 0).putInt(0x118, (int) ADDRESS + MEMORY_SIZE).putInt(0x11c, (int) ADDRESS + 16);
    b.put(CODE_OFFSET, CODE);
    return file;
  }

  /** A bzImage around {@code payload}. */
  static byte[] bzImage(byte[] payload) {
    byte[] file = new byte[SYSTEM_OFFSET + PAYLOAD_OFFSET + payload.length + 64];
    ByteBuffer b = little(file);
    b.put(0x1f1, (byte) 4).putShort(0x1fe, (short) 0xaa55);
    b.putShort(0x200, (short) 0x6aeb).putInt(0x202, 0x53726448).putShort(0x206, (short) 0x20f);
    b.put(0x211, (byte) 1).putInt(0x214, 0x10_0000).putInt(0x22c, 0x7fff_ffff);
    b.putInt(0x230, 0x20_0000).put(0x234, (byte) 1).putShort(0x236, (short) 0x7f);
    b.putInt(0x238, 2047).putInt(0x248, PAYLOAD_OFFSET).putInt(0x24c, payload.length);
    b.putLong(0x258, ADDRESS).putInt(0x260, 0x10_0000);
    b.position(SYSTEM_OFFSET + PAYLOAD_OFFSET).put(payload);
    return file;
  }

  static byte[] gzip(byte[] plain) throws IOException {
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    try (OutputStream packer = new GZIPOutputStream(out)) {
      packer.write(plain);
    }
    return out.toByteArray();
  }

  static byte[] xz(byte[] plain) throws IOException {
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    LZMA2Options options = new LZMA2Options(1);
    options.setDictSize(1 << 16);
    try (OutputStream packer = new XZOutputStream(out, options)) {
      packer.write(plain);
    }
    return withLength(out, plain.length);
  }

  /** Only literals: a frame need not be small to be right. */
  static byte[] lz4(byte[] plain) throws IOException {
    ByteArrayOutputStream block = new ByteArrayOutputStream();
    block.write(0xf0);
    int rest = plain.length - 15;
    for (; rest >= 255; rest -= 255) {
      block.write(255);
    }
    block.write(rest);
    block.write(plain);
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    out.write(word(Lz4LegacyStream.MAGIC));
    out.write(word(block.size()));
    out.write(block.toByteArray());
    return withLength(out, plain.length);
  }

  static byte[] zstd(byte[] plain) throws IOException {
    ZstdCompressor compressor = new ZstdCompressor();
    byte[] packed = new byte[compressor.maxCompressedLength(plain.length)];
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    out.write(packed, 0, compressor.compress(plain, 0, plain.length, packed, 0, packed.length));
    return withLength(out, plain.length);
  }

  private static byte[] withLength(ByteArrayOutputStream out, int length) throws IOException {
    out.write(word(length));
    return out.toByteArray();
  }

  private static byte[] word(int value) {
    byte[] bytes = new byte[4];
    little(bytes).putInt(value);
    return bytes;
  }
}
