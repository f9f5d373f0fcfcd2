package dev.bothy.machine.boot;

/**
 * One entry of the memory map that firmware hands to an operating system (INT 15h, E820h).
 *
 * @param start first guest-physical address
 * @param length bytes, above 0
 */
public record MemoryRange(long start, long length, Kind kind) {
  /** What the range may be used for; {@link #code} is the number in E820 and Multiboot maps. */
  public enum Kind {
    RAM(1),
    RESERVED(2),
    ACPI_TABLES(3);

    private final int code;

    Kind(int code) {
      this.code = code;
    }

    public int code() {
      return code;
    }
  }

  /** First address behind the range. */
  public long end() {
    return start + length;
  }
}
