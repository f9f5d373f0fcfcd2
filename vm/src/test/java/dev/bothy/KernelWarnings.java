package dev.bothy;

import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.regex.Pattern;

/** The warnings in a kernel's log, and those that are known: kernel-warnings.txt. */
final class KernelWarnings {
  /** Level 0 (emergency) to 4 (warning), or words of alarm, in the output of {@code dmesg -r}. */
  private static final Pattern WARNING =
      Pattern.compile("<[0-4]>.*|<\\d+>.*([Ww]arn|WARN|[Ee]rror|ERROR|[Ff]ail|FAIL|BUG|[Oo]ops).*");

  private static final Pattern PREFIX = Pattern.compile("<\\d+>(\\[ *\\d+\\.\\d+] )?");

  private KernelWarnings() {}

  /** The warnings that are not known, each number as 0. */
  static List<String> unknown(String rawLog) throws IOException {
    Set<String> known = new HashSet<>();
    for (String kind : List.of("qemu", "slow", "ours")) {
      known.addAll(listed(kind));
    }
    return rawLog
        .lines()
        .map(String::strip)
        .filter(line -> WARNING.matcher(line).matches())
        .map(line -> PREFIX.matcher(line).replaceFirst("").replaceAll("\\d+", "0").strip())
        .filter(line -> !line.isEmpty() && !known.contains(line))
        .distinct()
        .toList();
  }

  /** Of one kind: "release", "qemu", "slow" or "ours". */
  static List<String> listed(String kind) throws IOException {
    try (InputStream in = KernelWarnings.class.getResourceAsStream("kernel-warnings.txt")) {
      String prefix = kind + ": ";
      return new String(in.readAllBytes(), StandardCharsets.UTF_8)
          .lines()
          .filter(line -> line.startsWith(prefix))
          .map(line -> line.substring(prefix.length()).strip())
          .toList();
    }
  }
}
