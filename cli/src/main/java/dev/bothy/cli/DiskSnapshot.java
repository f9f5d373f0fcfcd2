package dev.bothy.cli;

import com.fasterxml.jackson.core.JsonGenerator;
import dev.bothy.image.Images;
import dev.bothy.image.Snapshot;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;

/** {@code bothy disk snapshot}. */
final class DiskSnapshot extends DiskAction {
  private final Option json = syntax.flag("--json", "Write the list as JSON.");

  DiskSnapshot() {
    super("snapshot", "Lists, makes, applies or deletes the snapshots inside a qcow2 image.");
    syntax.operands("FILE [list | create NAME | apply NAME | delete NAME]", 1, 3);
    syntax.text(
        """

        'create' keeps the disk as it is, 'apply' makes it what it was then, 'delete'
        forgets a snapshot. NAME may also be the number of a snapshot that there is.
        """);
  }

  @Override
  int act(List<String> operands) throws IOException {
    Path path = path(operands.getFirst());
    String action = operands.size() > 1 ? operands.get(1) : "list";
    boolean list = action.equals("list");
    if (!List.of("list", "create", "apply", "delete").contains(action)) {
      throw new WrongUsage("\"" + action + "\" is none of list, create, apply, delete");
    }
    if (operands.size() != (list ? Math.min(2, operands.size()) : 3)) {
      throw new WrongUsage(list ? "'list' wants no name" : "'" + action + "' wants a name");
    }
    Images.How how =
        list ? new Images.How(Images.How.READING.format(), true, false, false) : Images.How.WRITING;
    return use(
        path,
        how,
        image -> {
          switch (action) {
            case "create" -> image.createSnapshot(operands.get(2));
            case "apply" -> image.applySnapshot(operands.get(2));
            case "delete" -> image.deleteSnapshot(operands.get(2));
            default -> print(image.snapshots());
          }
          return ExitStatus.OK;
        });
  }

  private void print(List<Snapshot> snapshots) throws IOException {
    if (json.given()) {
      DiskJson.write(out -> write(out, snapshots));
      return;
    }
    for (Snapshot snapshot : snapshots) {
      System.out.printf("%-4s %s%n", DiskInfo.printable(snapshot.id()), line(snapshot));
    }
  }

  /** A snapshot without its number, for people. */
  static String line(Snapshot snapshot) {
    return "%-20s %s  %s"
        .formatted(
            DiskInfo.printable(snapshot.name()), snapshot.created(), size(snapshot.diskSize()));
  }

  static void write(JsonGenerator out, List<Snapshot> snapshots) throws IOException {
    out.writeArrayFieldStart("snapshots");
    for (Snapshot snapshot : snapshots) {
      out.writeStartObject();
      out.writeStringField("id", snapshot.id());
      out.writeStringField("name", snapshot.name());
      out.writeStringField("created", snapshot.created().toString());
      out.writeNumberField("size", snapshot.diskSize());
      out.writeNumberField("stateSize", snapshot.stateSize());
      out.writeEndObject();
    }
    out.writeEndArray();
  }
}
