package dev.bothy.x86.interpret;

/**
 * The XSAVE area: which state components there are, how large and where, as CPUID leaf 0xD reports
 * and the XSAVE instructions follow (AMD64 APM volume 2, section 11.5). Masks are those of XCR0.
 */
public final class XsaveLayout {
  /** Component bits. */
  public static final int X87 = 1;

  public static final int SSE = 2;
  public static final int AVX = 4;

  /** User pages' protection keys, PKRU. */
  public static final int KEYS = 0x200;

  /** U_CET with PL3_SSP; PL0_SSP to PL2_SSP: the supervisor's, in XSS. */
  public static final int USER_FLOW = 0x800;

  public static final int FLOW = 0x1000;

  /** Components that Bothy knows, of XCR0. */
  public static final int ALL = X87 | SSE | AVX | KEYS;

  /** The FXSAVE area, which holds x87 and SSE. */
  public static final int LEGACY_SIZE = 512;

  public static final int HEADER_SIZE = 64;

  /** Legacy area and header. */
  public static final int FIXED_SIZE = LEGACY_SIZE + HEADER_SIZE;

  /** Upper halves of the YMM registers, in the standard format. */
  public static final int AVX_OFFSET = FIXED_SIZE;

  public static final int AVX_SIZE = 256;

  /** PKRU, in the standard format. */
  public static final int KEYS_OFFSET = AVX_OFFSET + AVX_SIZE;

  public static final int KEYS_SIZE = 8;

  /** Of {@link #USER_FLOW} and {@link #FLOW}. */
  public static final int USER_FLOW_SIZE = 16;

  public static final int FLOW_SIZE = 24;

  /** MXCSR after reset, and as XRSTOR initializes it. */
  static final int MXCSR_INITIAL = 0x1f80;

  /** MXCSR bits that can be set: what FXSAVE reports as MXCSR_MASK. */
  static final int MXCSR_MASK = 0xffff;

  /** Bit of XCOMP_BV that says "compacted format". */
  static final long COMPACTED = 1L << 63;

  private XsaveLayout() {}

  /** Bytes of an area in the standard format that can hold {@code components}. */
  public static int standardSize(long components) {
    if ((components & KEYS) != 0) {
      return KEYS_OFFSET + KEYS_SIZE;
    }
    return (components & AVX) != 0 ? AVX_OFFSET + AVX_SIZE : FIXED_SIZE;
  }

  /** Bytes of an area in the compacted format with {@code components}. */
  public static int compactedSize(long components) {
    return compactedFlow(components) + ((components & FLOW) != 0 ? FLOW_SIZE : 0);
  }

  /** Where {@link #USER_FLOW} is in the compacted format with {@code components}. */
  static int compactedUserFlow(long components) {
    return compactedKeys(components) + ((components & KEYS) != 0 ? KEYS_SIZE : 0);
  }

  /** Where {@link #FLOW} is. */
  static int compactedFlow(long components) {
    return compactedUserFlow(components) + ((components & USER_FLOW) != 0 ? USER_FLOW_SIZE : 0);
  }

  /** Where PKRU is in the compacted format with {@code components}. */
  static int compactedKeys(long components) {
    return (components & AVX) != 0 ? FIXED_SIZE + AVX_SIZE : FIXED_SIZE;
  }
}
