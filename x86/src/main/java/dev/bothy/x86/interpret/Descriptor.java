package dev.bothy.x86.interpret;

/**
 * Fields of 8-byte segment descriptors and bits of a segment's attributes; AMD64 APM volume 2,
 * section 4.7.
 */
final class Descriptor {
  static final int ACCESSED = 1;

  /** Writable data or readable code. */
  static final int WRITABLE = 2;

  static final int EXPAND_DOWN = 4;
  static final int CONFORMING = 4;
  static final int CODE = 8;

  /** S: code or data, not a system descriptor. */
  static final int CODE_DATA = 0x10;

  static final int PRESENT = 0x80;
  static final int LONG = 0x2000;
  static final int BIG = 0x4000;
  static final int GRANULAR = 0x8000;

  static final long ACCESSED_IN_TABLE = 1L << 40;

  // System types.
  static final int TSS16_AVAILABLE = 1;
  static final int LDT = 2;
  static final int TSS16_BUSY = 3;
  static final int CALL_GATE16 = 4;
  static final int TASK_GATE = 5;
  static final int INTERRUPT_GATE16 = 6;
  static final int TRAP_GATE16 = 7;
  static final int TSS_AVAILABLE = 9;
  static final int TSS_BUSY = 11;
  static final int CALL_GATE = 12;
  static final int INTERRUPT_GATE = 14;
  static final int TRAP_GATE = 15;

  private Descriptor() {}

  static long base(long descriptor) {
    return descriptor >>> 16 & 0xff_ffff | descriptor >>> 32 & 0xff00_0000L;
  }

  /** In bytes, granularity applied. */
  static int limit(long descriptor) {
    int limit = (int) (descriptor & 0xffff | descriptor >>> 32 & 0xf_0000);
    return (descriptor & 1L << 55) != 0 ? limit << 12 | 0xfff : limit;
  }

  static int attributes(long descriptor) {
    return (int) (descriptor >>> 40) & 0xf0ff;
  }

  static boolean isCode(int attributes) {
    return (attributes & (CODE_DATA | CODE)) == (CODE_DATA | CODE);
  }

  static int dpl(int attributes) {
    return attributes >>> 5 & 3;
  }

  static int type(int attributes) {
    return attributes & 15;
  }
}
