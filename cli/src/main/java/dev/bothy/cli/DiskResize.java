package dev.bothy.cli;

import dev.bothy.image.Images;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;

/** {@code bothy disk resize}. */
final class DiskResize extends DiskAction {
  private final Option format = formatOption("--format");

  private final Option shrink =
      syntax.flag("--shrink", "A smaller size is meant: what is behind it is lost.");

  DiskResize() {
    super("resize", "Gives a disk another size; what is new reads as zeros.");
    syntax.operands("FILE SIZE", 2, 2);
    syntax.text(
        """

        SIZE is in bytes, or a number with K, M, G or T; with a + in front, that much
        more than now.
        """);
  }

  @Override
  int act(List<String> operands) throws IOException {
    Path path = path(operands.getFirst());
    String word = operands.get(1);
    boolean more = word.startsWith("+");
    long size = size(more ? word.substring(1) : word);
    return use(
        path,
        Images.How.WRITING.as(format(format)),
        image -> {
          if (more && size > Long.MAX_VALUE - image.size()) {
            throw new WrongUsage("no disk can have that size");
          }
          long wanted = more ? image.size() + size : size;
          if (wanted < image.size() && !shrink.given()) {
            throw new WrongUsage(
                "the disk has "
                    + size(image.size())
                    + "; give --shrink if what is behind its new end may be lost");
          }
          image.resize(wanted);
          System.out.println(path + ": " + size(image.size()));
          return ExitStatus.OK;
        });
  }
}
