package dev.bothy;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.bothy.guest.DefaultGuest;
import java.io.IOException;
import java.io.StringWriter;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import javax.tools.JavaCompiler;
import javax.tools.ToolProvider;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.api.parallel.Execution;
import org.junit.jupiter.api.parallel.ExecutionMode;

/** The first Java of README.md works as it stands there. */
@Timeout(900)
@Execution(ExecutionMode.CONCURRENT)
class ReadmeTest {
  private static final Pattern JAVA =
      Pattern.compile("^```java\\R(.*?)^```$", Pattern.MULTILINE | Pattern.DOTALL);

  @TempDir Path folder;

  @Test
  void snippetCompilesAndRuns() throws Exception {
    Path source = Files.writeString(folder.resolve("Snippet.java"), program(snippet()));
    compile(source);
    GuestShell.guest(DefaultGuest.CLOUD_KERNEL);
    Path errors = folder.resolve("errors");
    Process process =
        new ProcessBuilder(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "--enable-native-access=ALL-UNNAMED",
                "--sun-misc-unsafe-memory-access=allow",
                "-cp",
                folder + java.io.File.pathSeparator + System.getProperty("java.class.path"),
                "Snippet")
            .redirectError(errors.toFile())
            .start();
    process.getOutputStream().close();
    String output = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
    assertEquals(0, process.waitFor(), () -> output + read(errors));
    assertTrue(
        Pattern.compile("^Linux .* x86_64\\r?$", Pattern.MULTILINE).matcher(output).find(), output);
    assertTrue(output.contains("done=42"), output);
    assertTrue(output.contains("PoweredOff"), output);
  }

  private static String read(Path file) {
    try {
      return Files.readString(file);
    } catch (IOException e) {
      return e.toString();
    }
  }

  private static String snippet() throws IOException {
    Path root = Path.of("").toAbsolutePath();
    while (root != null && !Files.exists(root.resolve("README.md"))) {
      root = root.getParent();
    }
    assertNotNull(root, "README.md is in none of the folders above this one");
    Matcher block = JAVA.matcher(Files.readString(root.resolve("README.md")));
    assertTrue(block.find(), "README.md has no Java");
    return block.group(1);
  }

  /** A whole program, also of mere statements. */
  private static String program(String snippet) {
    if (Pattern.compile("^(public )?(final )?class ", Pattern.MULTILINE).matcher(snippet).find()) {
      return snippet.replaceFirst("class \\w+", "class Snippet");
    }
    String imports =
        snippet
            .lines()
            .filter(line -> line.startsWith("import "))
            .collect(Collectors.joining("\n"));
    String rest =
        snippet
            .lines()
            .filter(line -> !line.startsWith("import "))
            .collect(Collectors.joining("\n"));
    String body =
        rest.contains("void main(")
            ? rest
            : "public static void main(String[] arguments) throws Exception {\n" + rest + "\n}";
    return """
    %s
    import dev.bothy.*;
    import java.time.Duration;
    public class Snippet {
    %s
    }
    """
        .formatted(imports, body);
  }

  private void compile(Path source) throws IOException {
    JavaCompiler compiler = ToolProvider.getSystemJavaCompiler();
    assumeTrue(compiler != null, "this Java has no compiler");
    StringWriter messages = new StringWriter();
    try (var files = compiler.getStandardFileManager(null, null, null)) {
      boolean compiled =
          compiler
              .getTask(
                  messages,
                  files,
                  null,
                  List.of("-d", folder.toString(), "-cp", System.getProperty("java.class.path")),
                  null,
                  files.getJavaFileObjects(source))
              .call();
      assertTrue(compiled, () -> messages + "\n" + read(source));
    }
  }
}
