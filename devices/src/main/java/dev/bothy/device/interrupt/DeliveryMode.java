package dev.bothy.device.interrupt;

/** Delivery modes in the order of their three-bit code (Intel SDM volume 3, 11.5.1 and 11.6.1). */
enum DeliveryMode {
  FIXED,
  LOWEST_PRIORITY,
  SMI,
  RESERVED,
  NMI,
  INIT,
  STARTUP,
  EXTERNAL;

  private static final DeliveryMode[] BY_CODE = values();

  /** From bits 8 to 10 of an ICR, LVT, redirection or MSI data word. */
  static DeliveryMode ofWord(int word) {
    return BY_CODE[word >>> 8 & 7];
  }

  /** The opposite of {@link #ofWord}. */
  int word() {
    return ordinal() << 8;
  }
}
