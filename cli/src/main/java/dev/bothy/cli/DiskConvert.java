package dev.bothy.cli;

import dev.bothy.image.Conversion;
import dev.bothy.image.DiskImage;
import dev.bothy.image.ImageException;
import dev.bothy.image.ImageFormat;
import dev.bothy.image.Images;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;

/** {@code bothy disk convert}. */
final class DiskConvert extends DiskAction {
  private final Option from = formatOption("--from");

  private final Option format =
      syntax.option(
          "--format",
          "FORMAT",
          "Format of the new image: raw or qcow2 (default: raw if TARGET ends with .raw or .img,"
              + " or else qcow2).");

  private final Option compress =
      syntax.flag("--compress", "Compress the clusters of the new image; only qcow2.");

  private final Qcow2Options qcow2 = new Qcow2Options(syntax);

  DiskConvert() {
    super("convert", "Copies a disk, with what its backing files have, to a new image.");
    syntax.operands("SOURCE TARGET", 2, 2);
  }

  @Override
  int act(List<String> operands) throws IOException {
    Path source = path(operands.get(0));
    Path target = path(operands.get(1));
    ImageFormat kind = newFormat(format, target);
    if (kind == ImageFormat.RAW && (compress.given() || qcow2.given())) {
      throw new WrongUsage("raw images have no such options: they are qcow2's");
    }
    try (DiskImage image = Images.open(source, Images.How.READING.as(format(from)))) {
      copy(image, source, target, kind);
    }
    return ExitStatus.OK;
  }

  private void copy(DiskImage image, Path source, Path target, ImageFormat kind)
      throws IOException {
    try (UnfinishedFile file = new UnfinishedFile(target)) {
      DiskImage copy =
          file.make(() -> Images.createForCopy(target, kind, image.size(), qcow2.layout()));
      try (DiskProgress progress = progress("converting")) {
        try (copy) {
          if (compress.given()) {
            Conversion.compressed(image, copy, progress);
          } else {
            Conversion.plain(image, copy, progress);
          }
        }
        file.finished();
      } catch (ImageException e) {
        // Errors of files name them; what is left is about what the source contains.
        throw Images.names(target, e) ? e : Images.named(source, e);
      }
    }
  }
}
