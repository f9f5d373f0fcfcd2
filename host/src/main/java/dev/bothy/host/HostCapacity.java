package dev.bothy.host;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;

/** How much memory this host could ever give, as far as it says. */
final class HostCapacity {
  private HostCapacity() {}

  /** Physical memory and swap, or the control group's limit if that is lower; in bytes. */
  static long bytes() {
    try {
      long total = 0;
      for (String line : Files.readAllLines(Path.of("/proc/meminfo"))) {
        if (line.startsWith("MemTotal:") || line.startsWith("SwapTotal:")) {
          total += Long.parseLong(line.replaceAll("[^0-9]", "")) * 1024;
        }
      }
      return total == 0 ? Long.MAX_VALUE : Math.min(total, controlGroupLimit());
    } catch (IOException | NumberFormatException e) {
      // No such file: another kind of host, which says no by itself.
      return Long.MAX_VALUE;
    }
  }

  private static long controlGroupLimit() {
    for (String file :
        new String[] {"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"}) {
      try {
        return Long.parseLong(Files.readString(Path.of(file)).strip());
      } catch (IOException | NumberFormatException e) {
        // Not this kind of control group, or "max".
      }
    }
    return Long.MAX_VALUE;
  }
}
