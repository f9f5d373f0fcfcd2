package dev.bothy.bench;

import java.util.List;
import java.util.regex.Pattern;

/** What a healthy guest does not say: Linux's and systemd's words of trouble. */
final class KernelLog {
  private static final Pattern TROUBLE =
      Pattern.compile(
          String.join(
              "|",
              "\\bBUG\\b",
              "\\bOops\\b",
              "\\bWARNING:",
              "\\bCall Trace:",
              "Kernel panic",
              "general protection fault",
              "Unable to handle",
              "unable to handle",
              "\\btraps: ",
              "\\bsegfault at\\b",
              "double fault",
              "\\[#\\d+\\]",
              "stack guard page was hit",
              "bad (page|rss-counter)",
              "\\brcu\\w*:? .*(stall|starved)",
              "(soft|hard) ?(lockup|LOCKUP)",
              "blocked for more than \\d+ seconds",
              "clocksource.* unstable",
              "Marking (clocksource|TSC)",
              "nobody cared",
              "Out of memory",
              "not responding",
              "smpboot: .*failed",
              "\\bStack canary\\b|stack-protector:",
              "dumped core|core dumped",
              "^\\[(\\x1b\\[[0-9;]*m)*(FAILED|DEPEND)",
              "Timed out waiting|start operation timed out"));

  private KernelLog() {}

  /** The lines that tell of trouble, at most a few. */
  static List<String> troubles(String log) {
    return log.lines()
        .map(String::strip)
        .filter(line -> TROUBLE.matcher(line).find())
        .limit(5)
        .toList();
  }
}
