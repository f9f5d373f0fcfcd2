package dev.bothy;

import dev.bothy.device.virtio.VirtioFs;
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
    CommaWords words = new CommaWords(text);
    String place = words.first();
    boolean readOnly = words.isOn("readonly");
    words.finish("a share", FORM);
    List<String> parts = CommaWords.of(place, ':');
    if (parts.getFirst().isEmpty()) {
      throw new IllegalArgumentException("a share wants a folder: " + FORM);
    }
    if (parts.size() > 2) {
      throw new IllegalArgumentException(
          "\"" + place + "\" is no " + FORM + ": write a colon in a name twice");
    }
    if (parts.size() == 2 && parts.getLast().isEmpty()) {
      throw new IllegalArgumentException("a tag is missing behind the colon: " + FORM);
    }
    return new Share(
        CommaWords.path(parts.getFirst()), parts.size() == 2 ? parts.getLast() : "", readOnly);
  }

  Share withTag(String value) {
    return new Share(folder, value, readOnly);
  }
}
