package dev.bothy.bench;

import java.io.IOException;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * One section of kvm-unit-tests' {@code x86/unittests.cfg}: a flat binary and what it asks of a
 * machine.
 *
 * @param name of the section
 * @param file the flat binary's name
 * @param cpus processors
 * @param arguments what stands behind {@code -append}, as for a shell; may be empty
 * @param parameters QEMU's other options, as for a shell; may be empty
 * @param architecture i386 or x86_64, or empty for both
 * @param groups words
 * @param seconds the time limit
 */
record ConformanceCase(
    String name,
    String file,
    int cpus,
    String arguments,
    String parameters,
    String architecture,
    List<String> groups,
    int seconds) {
  /** Of a test that names none, as the suite's own runner has it. */
  private static final int DEFAULT_SECONDS = 90;

  private static final Pattern SECTION = Pattern.compile("\\[(.*)]");
  private static final Pattern SETTING = Pattern.compile("(\\w+)\\s*=\\s*(.*)");
  private static final int SHELL_SECONDS = 10;

  /** All sections of a file, in its order. */
  static List<ConformanceCase> parse(List<String> lines) {
    List<ConformanceCase> cases = new ArrayList<>();
    String name = "";
    Map<String, String> settings = new HashMap<>();
    for (String line : lines) {
      Matcher section = SECTION.matcher(line);
      Matcher setting = SETTING.matcher(line);
      if (section.matches()) {
        add(cases, name, settings);
        name = section.group(1);
        settings.clear();
      } else if (setting.matches()) {
        settings.put(setting.group(1), setting.group(2).strip());
      }
    }
    add(cases, name, settings);
    return cases;
  }

  private static void add(List<ConformanceCase> cases, String name, Map<String, String> settings) {
    if (name.isEmpty()) {
      return;
    }
    String parameters =
        settings.getOrDefault("qemu_params", settings.getOrDefault("extra_params", ""));
    String groups = settings.getOrDefault("groups", "");
    cases.add(
        new ConformanceCase(
            name,
            settings.getOrDefault("file", ""),
            Integer.parseInt(settings.getOrDefault("smp", "1")),
            settings.getOrDefault("test_args", ""),
            parameters,
            settings.getOrDefault("arch", ""),
            groups.isEmpty() ? List.of() : List.of(groups.split("\\s+")),
            seconds(settings.get("timeout"))));
  }

  private static int seconds(String timeout) {
    return timeout == null ? DEFAULT_SECONDS : Integer.parseInt(timeout.replaceAll("s$", ""));
  }

  /** True if it is not run unless asked for by name. */
  boolean manual() {
    return groups.contains("nodefault");
  }

  /** The guest's command line. */
  String commandLine() throws IOException, InterruptedException {
    return String.join(" ", words(arguments));
  }

  /** QEMU's options one by one. */
  List<String> options() throws IOException, InterruptedException {
    return words(parameters);
  }

  /** What a shell makes of {@code text}: the suite's own runner leaves it to one. */
  private static List<String> words(String text) throws IOException, InterruptedException {
    if (text.isEmpty()) {
      return List.of();
    }
    Process shell = new ProcessBuilder("sh", "-c", "printf '%s\\n' " + text).start();
    shell.getOutputStream().close();
    List<String> words;
    try (var reader = shell.inputReader()) {
      words = reader.lines().toList();
    }
    if (!shell.waitFor(SHELL_SECONDS, TimeUnit.SECONDS) || shell.exitValue() != 0) {
      throw new IOException("a shell does not understand " + text);
    }
    return words;
  }
}
