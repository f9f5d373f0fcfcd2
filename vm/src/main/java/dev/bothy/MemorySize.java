package dev.bothy;

import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** Sizes of memory as people write them. */
public final class MemorySize {
  private static final Pattern SYNTAX =
      Pattern.compile("([0-9]{1,18})([KMGT]?)(?:i?B)?", Pattern.CASE_INSENSITIVE);

  private MemorySize() {}

  /**
   * Bytes of "1073741824", "1048576K", "1024M", "1G" or "1T": powers of two.
   *
   * @throws IllegalArgumentException if it is no such size, or beyond all bounds
   */
  public static long parse(String text) {
    Matcher matcher = SYNTAX.matcher(text.strip());
    if (!matcher.matches()) {
      throw new IllegalArgumentException(
          "\"" + text + "\" is not a size: give a number with K, M or G, for example 512M");
    }
    int shift =
        switch (matcher.group(2)) {
          case "k", "K" -> 10;
          case "m", "M" -> 20;
          case "g", "G" -> 30;
          case "t", "T" -> 40;
          default -> 0;
        };
    long number = Long.parseLong(matcher.group(1));
    if (number > Long.MAX_VALUE >> shift) {
      throw new IllegalArgumentException("\"" + text + "\" is more memory than a machine can have");
    }
    return number << shift;
  }

  /** "512 MiB" of a number of bytes. */
  public static String format(long bytes) {
    String[] units = {"bytes", "KiB", "MiB", "GiB", "TiB"};
    int unit = 0;
    long number = bytes;
    while (unit < units.length - 1 && number != 0 && number % 1024 == 0) {
      number /= 1024;
      unit++;
    }
    return number + " " + (number == 1 && unit == 0 ? "byte" : units[unit]);
  }
}
