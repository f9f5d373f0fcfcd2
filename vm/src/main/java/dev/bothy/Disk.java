package dev.bothy;

import dev.bothy.device.virtio.VirtioBlock;
import dev.bothy.image.ImageFormat;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Objects;
import java.util.Optional;

/**
 * A disk that a machine is to have: an image file and how to use it.
 *
 * @param format empty: what the file looks like
 * @param cache when what the guest writes must be on stable storage
 * @param serial the disk's serial number, of which the guest sees 20 bytes
 * @param writeErrors what happens when the host cannot write, its own disk being full for example
 */
public record Disk(
    Path file,
    Optional<ImageFormat> format,
    boolean readOnly,
    VirtioBlock.Cache cache,
    String serial,
    VirtioBlock.WriteErrors writeErrors) {

  /** How {@link #parse} wants it. */
  public static final String FORM =
      "FILE[,format=raw|qcow2][,readonly][,cache=writeback|writethrough|unsafe][,serial=TEXT]"
          + "[,werror=report|pause]";

  public Disk {
    Objects.requireNonNull(file);
    Objects.requireNonNull(format);
    Objects.requireNonNull(cache);
    Objects.requireNonNull(serial);
    Objects.requireNonNull(writeErrors);
  }

  /** A disk for reading and writing, in the format that it looks like. */
  public static Disk of(Path file) {
    return new Disk(
        file,
        Optional.empty(),
        false,
        VirtioBlock.Cache.WRITEBACK,
        "",
        VirtioBlock.WriteErrors.REPORT);
  }

  /**
   * Reads {@link #FORM}; a comma in a value is written twice.
   *
   * @throws IllegalArgumentException in one line, if it is something else
   */
  public static Disk parse(String text) {
    List<String> words = CommaWords.of(text);
    if (words.getFirst().isEmpty()) {
      throw new IllegalArgumentException("a disk wants a file: " + FORM);
    }
    Disk disk;
    try {
      disk = of(Path.of(words.getFirst()));
    } catch (InvalidPathException e) {
      throw new IllegalArgumentException("\"" + words.getFirst() + "\" is no file's name", e);
    }
    for (String word : words.subList(1, words.size())) {
      int equals = word.indexOf('=');
      String key = equals < 0 ? word : word.substring(0, equals);
      disk = disk.with(key, equals < 0 ? "" : word.substring(equals + 1));
    }
    return disk;
  }

  private Disk with(String key, String value) {
    return switch (key) {
      case "format" ->
          new Disk(
              file, Optional.of(ImageFormat.named(value)), readOnly, cache, serial, writeErrors);
      case "readonly" -> new Disk(file, format, isOn(value), cache, serial, writeErrors);
      case "cache" ->
          new Disk(
              file,
              format,
              readOnly,
              choice(VirtioBlock.Cache.class, key, value),
              serial,
              writeErrors);
      case "serial" -> new Disk(file, format, readOnly, cache, value, writeErrors);
      case "werror" ->
          new Disk(
              file,
              format,
              readOnly,
              cache,
              serial,
              choice(VirtioBlock.WriteErrors.class, key, value));
      default -> throw new IllegalArgumentException("a disk knows no \"" + key + "\": " + FORM);
    };
  }

  private static boolean isOn(String value) {
    return switch (value) {
      case "", "on" -> true;
      case "off" -> false;
      default -> throw new IllegalArgumentException("readonly is on or off, not " + value);
    };
  }

  private static <E extends Enum<E>> E choice(Class<E> type, String key, String value) {
    List<String> names = new ArrayList<>();
    for (E constant : type.getEnumConstants()) {
      String name = constant.name().toLowerCase(Locale.ROOT);
      if (name.equals(value)) {
        return constant;
      }
      names.add(name);
    }
    throw new IllegalArgumentException(
        "\"" + value + "\" is no " + key + ": give one of " + String.join(", ", names));
  }
}
