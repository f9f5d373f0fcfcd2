package dev.bothy.x86.oracle;

import java.io.ByteArrayOutputStream;
import java.util.HexFormat;

/** Machine code being put together. */
final class CodeBuffer {
  private final long origin;
  private final ByteArrayOutputStream bytes = new ByteArrayOutputStream();

  CodeBuffer(long origin) {
    this.origin = origin;
  }

  /** Address of the next byte. */
  long here() {
    return origin + bytes.size();
  }

  CodeBuffer hex(String code) {
    bytes.writeBytes(HexFormat.of().parseHex(code.replace(" ", "")));
    return this;
  }

  CodeBuffer int32(long value) {
    for (int i = 0; i < 4; i++) {
      bytes.write((int) (value >> (8 * i)));
    }
    return this;
  }

  /** Opcode bytes (ending in ModRM and SIB of an absolute address), then that address. */
  CodeBuffer at(String code, long address) {
    return hex(code).int32(address);
  }

  /** An instruction whose last four bytes are relative to its end. */
  CodeBuffer jump(String code, long target) {
    hex(code);
    return int32(target - here() - 4);
  }

  void align(int alignment) {
    while (here() % alignment != 0) {
      bytes.write(0xcc);
    }
  }

  byte[] bytes() {
    return bytes.toByteArray();
  }
}
