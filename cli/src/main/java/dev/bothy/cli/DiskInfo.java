package dev.bothy.cli;

import com.fasterxml.jackson.core.JsonGenerator;
import dev.bothy.image.ImageInfo;
import dev.bothy.image.Images;
import dev.bothy.image.Snapshot;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;

/** {@code bothy disk info}. */
final class DiskInfo extends DiskAction {
  private final Option format = formatOption("--format");
  private final Option json = syntax.flag("--json", "Write JSON.");

  DiskInfo() {
    super("info", "Says what an image is.");
    syntax.operands("FILE", 1, 1);
  }

  @Override
  int act(List<String> operands) throws IOException {
    Path path = path(operands.getFirst());
    // Without backing files: those that are missing shall not keep it from being looked at.
    Images.How how = new Images.How(format(format), true, false, false);
    return use(
        path,
        how,
        image -> {
          if (json.given()) {
            DiskJson.write(out -> write(out, path, image.info()));
          } else {
            print(path, image.info());
          }
          return ExitStatus.OK;
        });
  }

  private static void print(Path path, ImageInfo info) {
    row("file", path.toString());
    row("format", info.format().toString());
    row("disk size", size(info.size()));
    row("file size", size(info.fileSize()));
    if (info.allocated() >= 0) {
      row("on the host", size(info.allocated()));
    }
    if (!info.backing().isEmpty()) {
      String kind = info.backingFormat().isEmpty() ? "" : " (" + info.backingFormat() + ")";
      row("backing file", printable(info.backing() + kind));
    }
    info.details().forEach((name, value) -> row(words(name), value.toString()));
    for (Snapshot snapshot : info.snapshots()) {
      row("snapshot " + printable(snapshot.id()), DiskSnapshot.line(snapshot));
    }
  }

  private static void row(String name, String value) {
    System.out.printf("%-16s %s%n", name, value);
  }

  /** What is in an image shall not control the terminal. */
  static String printable(String text) {
    return text.replaceAll("\\p{Cntrl}", "?");
  }

  /** "cluster size" of "clusterSize". */
  private static String words(String name) {
    return name.replaceAll("(?<=[a-z])([A-Z])", " $1").toLowerCase(java.util.Locale.ROOT);
  }

  private static void write(JsonGenerator out, Path path, ImageInfo info) throws IOException {
    out.writeStringField("file", path.toString());
    out.writeStringField("format", info.format().toString());
    out.writeNumberField("size", info.size());
    out.writeNumberField("fileSize", info.fileSize());
    if (info.allocated() >= 0) {
      out.writeNumberField("allocated", info.allocated());
    }
    if (!info.backing().isEmpty()) {
      out.writeStringField("backing", info.backing());
      out.writeStringField("backingFormat", info.backingFormat());
    }
    for (Map.Entry<String, Object> detail : info.details().entrySet()) {
      out.writeObjectField(detail.getKey(), detail.getValue());
    }
    DiskSnapshot.write(out, info.snapshots());
  }
}
