package dev.bothy.cli;

import com.fasterxml.jackson.core.JsonGenerator;
import dev.bothy.image.CheckReport;
import dev.bothy.image.Images;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;

/** {@code bothy disk check}. */
final class DiskCheck extends DiskAction {
  private static final int DAMAGED = 3;
  private static final int LEAKS = 4;

  private final Option format = formatOption("--format");
  private final Option repair = syntax.flag("--repair", "Mend what can be.");
  private final Option json = syntax.flag("--json", "Write JSON.");

  DiskCheck() {
    super("check", "Looks for what contradicts itself in a qcow2 image.");
    syntax.operands("FILE", 1, 1);
    syntax.text(
        """

        Exit status:
            0   the image is sound, or is now
            1   it cannot be checked
            2   wrong usage
            3   it is damaged
            4   parts of the file are of no use, and that is all
        """);
  }

  @Override
  int act(List<String> operands) throws IOException {
    Path path = path(operands.getFirst());
    Images.How how = new Images.How(format(format), !repair.given(), false, repair.given());
    return use(
        path,
        how,
        image -> {
          CheckReport report;
          try (DiskProgress progress = progress("checking")) {
            report = image.check(repair.given(), progress);
          }
          if (json.given()) {
            DiskJson.write(out -> write(out, path, report));
          } else {
            print(report);
          }
          return status(report);
        });
  }

  private static int status(CheckReport report) {
    if (report.sound()) {
      return ExitStatus.OK;
    }
    return report.corruptions() > 0 ? DAMAGED : LEAKS;
  }

  private static void print(CheckReport report) {
    report.findings().forEach(System.out::println);
    long more = report.corruptions() + report.leaks() - report.findings().size();
    if (more > 0) {
      System.out.println("and " + more + " more");
    }
    if (report.corruptions() + report.leaks() == 0) {
      System.out.println("nothing wrong");
    } else {
      System.out.printf(
          "%d errors, %d leaks, %d of them mended%n",
          report.corruptions(), report.leaks(), report.repaired());
    }
    System.out.printf(
        "%d of %d clusters in use, %d of them compressed%n",
        report.allocated(), report.total(), report.compressed());
  }

  private static void write(JsonGenerator out, Path path, CheckReport report) throws IOException {
    out.writeStringField("file", path.toString());
    out.writeNumberField("corruptions", report.corruptions());
    out.writeNumberField("leaks", report.leaks());
    out.writeNumberField("repaired", report.repaired());
    out.writeNumberField("totalClusters", report.total());
    out.writeNumberField("allocatedClusters", report.allocated());
    out.writeNumberField("compressedClusters", report.compressed());
    out.writeNumberField("imageEnd", report.fileEnd());
    out.writeArrayFieldStart("findings");
    for (String finding : report.findings()) {
      out.writeString(finding);
    }
    out.writeEndArray();
  }
}
