package dev.bothy.image;

import java.nio.charset.StandardCharsets;
import java.util.Locale;
import java.util.Optional;

/** Formats of disk images. */
public enum ImageFormat {
  /** The disk's bytes, one to one. */
  RAW,
  /** QEMU's format, versions 2 and 3. */
  QCOW2;

  /** Bytes from the start of a file on that {@link #detect} looks at. */
  public static final int LOOKS_AT = 512;

  /** What a file looks like. */
  public record Look(Optional<ImageFormat> format, String name) {
    private static Look known(ImageFormat format) {
      return new Look(Optional.of(format), format.toString());
    }

    private static Look foreign(String name) {
      return new Look(Optional.empty(), name);
    }
  }

  /**
   * Of what format a file is that starts so. What starts like no format is raw: a guest that writes
   * another format's magic to its raw disk shall not make the next start read it as such, so what
   * is detected as something else is raw only for those who say so.
   */
  public static Look detect(byte[] start) {
    if (starts(start, 0, "QFI\u00fb")) {
      return Look.known(QCOW2);
    }
    if (starts(start, 0, "KDMV") || starts(start, 0, "COWD")) {
      return Look.foreign("vmdk");
    }
    if (starts(start, 0, "# Disk DescriptorFile")) {
      return Look.foreign("vmdk");
    }
    if (starts(start, 0x40, "\u007f\u0010\u00da\u00be")) {
      return Look.foreign("vdi");
    }
    if (starts(start, 0, "vhdxfile")) {
      return Look.foreign("vhdx");
    }
    if (starts(start, 0, "conectix")) {
      return Look.foreign("vpc");
    }
    if (starts(start, 0, "QED\0")) {
      return Look.foreign("qed");
    }
    if (starts(start, 0, "WithoutFreeSpace") || starts(start, 0, "WithouFreSpacExt")) {
      return Look.foreign("parallels");
    }
    if (starts(start, 0, "LUKS\u00ba\u00be")) {
      return Look.foreign("luks");
    }
    return Look.known(RAW);
  }

  private static boolean starts(byte[] bytes, int from, String magic) {
    byte[] wanted = magic.getBytes(StandardCharsets.ISO_8859_1);
    return bytes.length >= from + wanted.length
        && java.util.Arrays.equals(bytes, from, from + wanted.length, wanted, 0, wanted.length);
  }

  /**
   * The format of that name.
   *
   * @throws IllegalArgumentException if Bothy has none
   */
  public static ImageFormat named(String name) {
    return switch (name) {
      case "raw" -> RAW;
      case "qcow2" -> QCOW2;
      default ->
          throw new IllegalArgumentException(
              "\"" + name + "\" is no format of disk images: give raw or qcow2");
    };
  }

  /** The name as people write it. */
  @Override
  public String toString() {
    return name().toLowerCase(Locale.ROOT);
  }
}
