package dev.bothy;

import dev.bothy.device.virtio.VirtioFs;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.util.List;
import java.util.Objects;

/**
 * A folder of the host that a machine is to have as a file system, and that its guest cannot get
 * out of. Linux mounts it with {@code mount -t virtiofs TAG PLACE}; the default guest does so at
 * {@code /mnt/TAG}.
 *
 * @param tag by which the guest mounts it: letters, digits, {@code .}, {@code _} and {@code -};
 *     empty for {@code share}, or {@code share1} and so on where there are several
 * @param readOnly true if the guest may change nothing
 */
public record Share(Path folder, String tag, boolean readOnly) {
  /** How {@link #parse} wants it. */
  public static final String FORM = "HOSTDIR[:TAG][,readonly]";

  /** The tag of the first share that is given none. */
  static final String DEFAULT_TAG = "share";

  public Share {
    Objects.requireNonNull(folder);
    if (tag.length() > VirtioFs.TAG_LENGTH) {
      throw new IllegalArgumentException(
          "the tag \""
              + tag
              + "\" is too long: give at most "
              + VirtioFs.TAG_LENGTH
              + " characters");
    }
    // It is also a word of the default guest's command line, and a folder's name there.
    if (!tag.matches("[A-Za-z0-9._-]*") || tag.matches("\\.\\.?")) {
      throw new IllegalArgumentException(
          "\"" + tag + "\" is no tag: give letters, digits, '.', '_' and '-'");
    }
  }

  /**
   * Reads {@link #FORM}; a comma or a colon in the folder's name is written twice.
   *
   * @throws IllegalArgumentException in one line, if it is something else
   */
  public static Share parse(String text) {
    List<String> words = CommaWords.of(text);
    boolean readOnly = false;
    for (String word : words.subList(1, words.size())) {
      readOnly =
          switch (word) {
            case "readonly", "readonly=on" -> true;
            case "readonly=off" -> false;
            default ->
                throw new IllegalArgumentException(
                    "a share knows no \"" + word + "\": " + FORM + ", commas in names twice");
          };
    }
    List<String> parts = CommaWords.of(words.getFirst(), ':');
    if (parts.getFirst().isEmpty()) {
      throw new IllegalArgumentException("a share wants a folder: " + FORM);
    }
    if (parts.size() > 2) {
      throw new IllegalArgumentException(
          "\"" + words.getFirst() + "\" is no " + FORM + ": write a colon in a name twice");
    }
    if (parts.size() == 2 && parts.getLast().isEmpty()) {
      throw new IllegalArgumentException("a tag is missing behind the colon: " + FORM);
    }
    try {
      return new Share(
          Path.of(parts.getFirst()), parts.size() == 2 ? parts.getLast() : "", readOnly);
    } catch (InvalidPathException e) {
      throw new IllegalArgumentException("\"" + parts.getFirst() + "\" is no folder's name", e);
    }
  }

  Share withTag(String value) {
    return new Share(folder, value, readOnly);
  }
}
