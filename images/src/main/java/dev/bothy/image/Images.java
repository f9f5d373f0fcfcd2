package dev.bothy.image;

import dev.bothy.image.ImageException.Trouble;
import dev.bothy.image.qcow2.Backing;
import dev.bothy.image.qcow2.Qcow2Image;
import dev.bothy.image.qcow2.Qcow2Layout;
import dev.bothy.image.storage.FileStorage;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/**
 * Opens and makes disk images. An image that is open for writing is locked against every other use,
 * in this process and by others that lock, QEMU among them; one that is open for reading, as
 * backing files are, against writers.
 *
 * <p>Errors are {@link ImageException}s whose message names the file. Nothing half-made is left.
 */
public final class Images {
  /** Backing files behind one another, at most. */
  public static final int MOST_BACKING_FILES = 64;

  private Images() {}

  /**
   * How to open an image.
   *
   * @param format empty: whatever the file looks like, see {@link ImageFormat#detect}
   * @param readOnly open for reading only
   * @param backing open backing files too; without, what comes from them reads as zeros
   * @param evenCorrupt open for writing what is damaged, for a check that repairs
   */
  public record How(
      Optional<ImageFormat> format, boolean readOnly, boolean backing, boolean evenCorrupt) {
    public static final How READING = new How(Optional.empty(), true, true, false);
    public static final How WRITING = new How(Optional.empty(), false, true, false);

    /** The same, for a format; empty: to be detected. */
    public How as(Optional<ImageFormat> wanted) {
      return new How(wanted, readOnly, backing, evenCorrupt);
    }
  }

  /**
   * Opens an image and the backing files behind it.
   *
   * @throws ImageException if it is not there, not permitted, in use, damaged or not supported
   */
  public static DiskImage open(Path path, How how) throws IOException {
    return open(path, how, new ArrayList<>());
  }

  private static DiskImage open(Path path, How how, List<Object> chain) throws IOException {
    FileStorage storage = FileStorage.open(path, how.readOnly());
    try {
      checkChain(path, chain);
      return switch (format(storage, how.format())) {
        case RAW -> RawImage.of(storage);
        case QCOW2 ->
            Qcow2Image.open(
                storage,
                how.backing() ? (name, format) -> backing(path, name, format, chain) : null,
                how.evenCorrupt());
      };
    } catch (ImageException e) {
      storage.close();
      throw named(path, e);
    } catch (IOException | RuntimeException e) {
      storage.close();
      throw e;
    }
  }

  /** True if an error's message says that it is about this file. */
  public static boolean names(Path path, ImageException e) {
    String message = e.getMessage();
    return message.startsWith(path + " ")
        || message.startsWith(path + ": ")
        || message.endsWith(" " + path);
  }

  /** The same error, with the file's name in front if the message does not say it. */
  public static ImageException named(Path path, ImageException e) {
    return names(path, e) ? e : new ImageException(e.trouble(), path + ": " + e.getMessage(), e);
  }

  private static void checkChain(Path path, List<Object> chain) throws IOException {
    Path real = path.toRealPath();
    if (chain.contains(real)) {
      throw new ImageException(Trouble.CORRUPT, path + " is a backing file of itself");
    }
    chain.add(real);
    if (chain.size() > MOST_BACKING_FILES + 1) {
      throw new ImageException(
          Trouble.UNSUPPORTED, "more than %d backing files".formatted(MOST_BACKING_FILES));
    }
  }

  private static ImageFormat format(FileStorage storage, Optional<ImageFormat> wanted)
      throws IOException {
    byte[] start = new byte[ImageFormat.LOOKS_AT];
    storage.read(0, MemorySegment.ofArray(start));
    if (wanted.isPresent()) {
      return wanted.get();
    }
    ImageFormat.Look look = ImageFormat.detect(start);
    return look.format()
        .orElseThrow(
            () ->
                new ImageException(
                    Trouble.UNSUPPORTED,
                    "it looks like %s, which Bothy does not know; if it is raw, say so"
                        .formatted(look.name())));
  }

  private static Backing backing(Path image, String name, String format, List<Object> chain)
      throws IOException {
    Path path = resolve(image, name);
    Optional<ImageFormat> wanted;
    try {
      wanted = format.isEmpty() ? Optional.empty() : Optional.of(ImageFormat.named(format));
    } catch (IllegalArgumentException e) {
      throw new ImageException(
          Trouble.UNSUPPORTED, "the format of its backing file, " + e.getMessage(), e);
    }
    try {
      return new Backing(
          readOnly -> open(path, new How(wanted, readOnly, true, false), new ArrayList<>(chain)));
    } catch (ImageException e) {
      throw new ImageException(e.trouble(), "its backing file: " + e.getMessage(), e);
    }
  }

  /** Relative names are relative to the folder of the image that has them. */
  private static Path resolve(Path image, String name) throws ImageException {
    String plain = name.startsWith("file:") ? name.substring(5) : name;
    if (plain.matches("(?s)[a-zA-Z][a-zA-Z0-9+.-]*:.*")) {
      throw new ImageException(Trouble.UNSUPPORTED, "its backing file is no file but " + plain);
    }
    try {
      return image.resolveSibling(plain);
    } catch (InvalidPathException e) {
      throw new ImageException(Trouble.CORRUPT, "its backing file cannot be called " + plain, e);
    }
  }

  /**
   * Makes an image of zeros, or of what its backing file has, and opens it for writing.
   *
   * @param layout what only qcow2 has; the backing file's name in it is as it shall stand there
   * @throws ImageException if there is such a file already, or it cannot be made
   */
  public static DiskImage create(Path path, ImageFormat format, long size, Qcow2Layout layout)
      throws IOException {
    return create(path, format, size, layout, true);
  }

  /**
   * As {@link #create}, for an image that is worth nothing until it is complete: its barriers are
   * off from the start, see {@link DiskImage#setBarriers}.
   */
  public static DiskImage createForCopy(
      Path path, ImageFormat format, long size, Qcow2Layout layout) throws IOException {
    DiskImage image = create(path, format, size, layout, false);
    image.setBarriers(false);
    return image;
  }

  private static DiskImage create(
      Path path, ImageFormat format, long size, Qcow2Layout layout, boolean barriers)
      throws IOException {
    if (size < 0) {
      throw new ImageException(Trouble.REFUSED, "a disk cannot have " + size + " bytes");
    }
    if (format == ImageFormat.RAW) {
      return RawImage.create(path, size);
    }
    FileStorage storage = FileStorage.create(path);
    try {
      layout.write(storage, size, barriers);
      return Qcow2Image.open(
          storage, (name, as) -> backing(path, name, as, new ArrayList<>()), false);
    } catch (IOException | RuntimeException e) {
      storage.close();
      Files.deleteIfExists(path);
      if (e instanceof ImageException image) {
        throw named(path, image);
      }
      throw e;
    }
  }
}
