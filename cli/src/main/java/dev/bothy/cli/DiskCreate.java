package dev.bothy.cli;

import dev.bothy.image.DiskImage;
import dev.bothy.image.ImageFormat;
import dev.bothy.image.Images;
import dev.bothy.image.qcow2.Qcow2Layout;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;

/** {@code bothy disk create}. */
final class DiskCreate extends DiskAction {
  private final Option format =
      syntax.option(
          "--format",
          "FORMAT",
          "raw or qcow2 (default: raw if FILE ends with .raw or .img, or else qcow2).");

  private final Option backing =
      syntax.option(
          "--backing",
          "FILE",
          "What the disk contains until it is written; FILE is not changed, and must not be by"
              + " others. SIZE may be left out then. Only qcow2.");

  private final Option backingFormat =
      syntax.option(
          "--backing-format", "FORMAT", "Format of that file (default: what it looks like).");

  private final Qcow2Options qcow2 = new Qcow2Options(syntax);

  DiskCreate() {
    super("create", "Makes a disk image of zeros, or on top of another image.");
    syntax.operands("FILE [SIZE]", 1, 2);
    syntax.text(
        """

        SIZE is in bytes, or a number with K, M, G or T, powers of two.

        Examples:
          bothy disk create root.qcow2 20G
          bothy disk create --backing root.qcow2 try.qcow2
        """);
  }

  @Override
  int act(List<String> operands) throws IOException {
    Path path = path(operands.getFirst());
    ImageFormat kind = newFormat(format, path);
    Qcow2Layout layout = qcow2.layout();
    long size = operands.size() > 1 ? size(operands.get(1)) : -1;
    if (size < 0 && !backing.given()) {
      throw new WrongUsage("how large? Give a size, or --backing");
    }
    if (kind == ImageFormat.RAW && (backing.given() || qcow2.given())) {
      throw new WrongUsage("raw images have no such options: they are qcow2's");
    }
    if (backing.given()) {
      Path file = path(backing.value().orElseThrow());
      try (DiskImage base = Images.open(file, Images.How.READING.as(format(backingFormat)))) {
        layout = layout.withBacking(nameFrom(path, file), base.format().toString());
        size = size < 0 ? base.size() : size;
      }
    }
    Images.create(path, kind, size, layout).close();
    System.out.println(path + ": " + kind + ", " + size(size));
    return ExitStatus.OK;
  }

  /** Names in images are relative to the image's folder. */
  private static String nameFrom(Path image, Path backing) {
    if (backing.isAbsolute()) {
      return backing.toString();
    }
    Path folder = image.toAbsolutePath().normalize().getParent();
    return folder.relativize(backing.toAbsolutePath().normalize()).toString();
  }
}
