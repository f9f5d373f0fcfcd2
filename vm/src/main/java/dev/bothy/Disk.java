package dev.bothy;

import dev.bothy.device.virtio.VirtioBlock;
import dev.bothy.image.ImageFormat;
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
    CommaWords words = new CommaWords(text);
    String file = words.first();
    if (file.isEmpty()) {
      throw new IllegalArgumentException("a disk wants a file: " + FORM);
    }
    Disk disk =
        new Disk(
            CommaWords.path(file),
            words.one("format").map(ImageFormat::named),
            words.isOn("readonly"),
            choice(words, "cache", VirtioBlock.Cache.WRITEBACK),
            words.one("serial").orElse(""),
            choice(words, "werror", VirtioBlock.WriteErrors.REPORT));
    words.finish("a disk", FORM);
    return disk;
  }

  private static <E extends Enum<E>> E choice(CommaWords words, String key, E otherwise) {
    Optional<String> given = words.one(key);
    if (given.isEmpty()) {
      return otherwise;
    }
    List<String> names = new ArrayList<>();
    for (E constant : otherwise.getDeclaringClass().getEnumConstants()) {
      String name = constant.name().toLowerCase(Locale.ROOT);
      if (name.equals(given.get())) {
        return constant;
      }
      names.add(name);
    }
    throw new IllegalArgumentException(
        "\"" + given.get() + "\" is no " + key + ": give one of " + String.join(", ", names));
  }
}
