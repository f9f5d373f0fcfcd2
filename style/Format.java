import com.google.googlejavaformat.java.Formatter;
import com.google.googlejavaformat.java.JavaFormatterOptions;
import com.google.googlejavaformat.java.RemoveUnusedImports;
import java.io.IOException;
import java.nio.file.FileVisitResult;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.SimpleFileVisitor;
import java.nio.file.attribute.BasicFileAttributes;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.ConcurrentLinkedQueue;

/**
 * Formats every Java file below a folder with google-java-format, or checks that it is formatted.
 * Run by the build on the toolchain's own Java, one process for all rooms: {@code java
 * style/Format.java check|apply FOLDER}.
 */
final class Format {
  public static void main(String[] args) throws IOException {
    boolean apply = args[0].equals("apply");
    Path root = Path.of(args[1]).toAbsolutePath().normalize();
    List<Path> files = sources(root);
    var wrong = new ConcurrentLinkedQueue<String>();
    files.parallelStream()
        .forEach(
            file -> {
              try {
                String text = Files.readString(file);
                String formatted = format(text);
                if (!formatted.equals(text)) {
                  if (apply) {
                    Files.writeString(file, formatted);
                  }
                  wrong.add(root.relativize(file).toString());
                }
              } catch (Exception e) {
                wrong.add(root.relativize(file) + ": " + e.getMessage());
              }
            });
    wrong.stream()
        .sorted()
        .forEach(name -> System.err.println((apply ? "formatted " : "not formatted: ") + name));
    if (!apply && !wrong.isEmpty()) {
      System.err.println("Run this, then look at what it changed: mvn -q -N -Pformat validate");
      System.exit(1);
    }
  }

  private static String format(String text) throws Exception {
    var formatter =
        new Formatter(
            JavaFormatterOptions.builder().style(JavaFormatterOptions.Style.GOOGLE).build());
    return formatter.formatSourceAndFixImports(RemoveUnusedImports.removeUnusedImports(text));
  }

  private static List<Path> sources(Path root) throws IOException {
    List<Path> files = new ArrayList<>();
    Files.walkFileTree(
        root,
        new SimpleFileVisitor<>() {
          @Override
          public FileVisitResult preVisitDirectory(Path folder, BasicFileAttributes attributes) {
            String name = folder.getFileName().toString();
            boolean skip = !folder.equals(root) && (name.equals("target") || name.startsWith("."));
            return skip ? FileVisitResult.SKIP_SUBTREE : FileVisitResult.CONTINUE;
          }

          @Override
          public FileVisitResult visitFile(Path file, BasicFileAttributes attributes) {
            if (file.toString().endsWith(".java")) {
              files.add(file);
            }
            return FileVisitResult.CONTINUE;
          }
        });
    return files;
  }
}
