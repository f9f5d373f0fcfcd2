package dev.bothy.x86.decode;

/** Placeholder signature: replaced by the decoder proper. */
public final class Decoder {
  /** Decoded. */
  public static final int OK = 0;
  /** No such instruction: #UD. {@code length} is as far as decoding went. */
  public static final int INVALID = 1;
  /** The bytes end before the instruction does. */
  public static final int TRUNCATED = 2;
  /** Longer than 15 bytes: #GP(0). */
  public static final int TOO_LONG = 3;

  private Decoder() {}

  /** Decodes the bytes {@code code[offset..limit)} as {@code mode}-bit code (16, 32 or 64) into {@code out}. */
  public static int decode(byte[] code, int offset, int limit, int mode, Instruction out) {
    return INVALID;
  }
}
