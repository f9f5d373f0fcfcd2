package dev.bothy.x86.translate;

import java.io.BufferedReader;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.Map;
import java.util.NavigableMap;
import java.util.OptionalLong;
import java.util.TreeMap;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * Names of a guest kernel's functions, from its System.map or from what its /proc/kallsyms said.
 * Immutable.
 */
public final class GuestSymbols {
  /** No names. */
  public static final GuestSymbols NONE = new GuestSymbols();

  /** Address, type, name, and for kallsyms a module. */
  private static final Pattern LINE =
      Pattern.compile("([0-9a-fA-F]{1,16}) ([A-Za-z?]) (\\S+)(?:\\s+\\[\\S+\\])?\\s*");

  /** Farther behind a symbol lies something else. */
  private static final long FARTHEST = 1 << 20;

  /** Ordered as unsigned numbers. */
  private final NavigableMap<Long, String> names = new TreeMap<>(Long::compareUnsigned);

  private final Map<String, Long> addresses = new HashMap<>();

  private GuestSymbols() {}

  /**
   * Reads a System.map.
   *
   * @throws IOException if it cannot be read, or names no function; the message says why
   */
  public static GuestSymbols read(Path file) throws IOException {
    GuestSymbols symbols = new GuestSymbols();
    try (BufferedReader lines = Files.newBufferedReader(file, StandardCharsets.ISO_8859_1)) {
      for (String line = lines.readLine(); line != null; line = lines.readLine()) {
        Matcher m = LINE.matcher(line);
        if (m.matches() && "tTwW".contains(m.group(2))) {
          long address = Long.parseUnsignedLong(m.group(1), 16);
          symbols.names.putIfAbsent(address, m.group(3));
          symbols.addresses.putIfAbsent(m.group(3), address);
        }
      }
    }
    // Without privilege, /proc/kallsyms has zeros only.
    if (symbols.names.isEmpty() || symbols.names.lastKey() == 0) {
      throw new IOException(
          file + " has no line with the address of a function, as a System.map has them");
    }
    return symbols;
  }

  /** The nearest function before {@code linear} and the distance, as "name+0x1f"; else null. */
  public String nearest(long linear) {
    Map.Entry<Long, String> entry = names.floorEntry(linear);
    if (entry == null || linear - entry.getKey() >= FARTHEST || entry.getKey() == 0) {
      return null;
    }
    long by = linear - entry.getKey();
    return by == 0 ? entry.getValue() : entry.getValue() + "+0x" + Long.toHexString(by);
  }

  /** Where a function begins. */
  public OptionalLong address(String name) {
    Long address = addresses.get(name);
    return address == null ? OptionalLong.empty() : OptionalLong.of(address);
  }

  /** The nearest function, or the address alone. */
  String name(long linear) {
    String nearest = nearest(linear);
    return nearest == null ? "0x" + Long.toHexString(linear) : nearest;
  }
}
