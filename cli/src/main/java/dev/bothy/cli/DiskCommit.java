package dev.bothy.cli;

import dev.bothy.image.Images;
import java.io.IOException;
import java.util.List;

/** {@code bothy disk commit}. */
final class DiskCommit extends DiskAction {
  DiskCommit() {
    super(
        "commit",
        "Writes what a qcow2 image has into its backing file, and empties the image. Other images"
            + " on top of that backing file are worth nothing afterwards.");
    syntax.operands("FILE", 1, 1);
  }

  @Override
  int act(List<String> operands) throws IOException {
    return use(
        path(operands.getFirst()),
        Images.How.WRITING,
        image -> {
          try (DiskProgress progress = progress("committing")) {
            image.commit(progress);
          }
          return ExitStatus.OK;
        });
  }
}
