package dev.bothy.host;

import java.io.File;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/**
 * The threads on which the JVM compiles Java to its best machine code. They work hardest while a
 * machine boots, and have no deadline: a vCPU that shares a processor with them had better come
 * first.
 */
final class CompilerThreads {
  /** As the JVM names them to the host, which cuts names. */
  private static final String NAME = "C2 Compiler";

  /** setpriority(2): of one thread. */
  private static final int PRIO_PROCESS = 0;

  /** A third of the weight of other threads; less would leave them nothing on a busy host. */
  private static final int NICE = 5;

  private CompilerThreads() {}

  /** Lets other threads come first, of other processes too, if the host has such an order. */
  static void giveWay() {
    LibraryFunction setPriority = new LibraryFunction("setpriority");
    for (Path thread : all()) {
      setPriority.call(PRIO_PROCESS, Integer.parseInt(thread.getFileName().toString()), NICE);
    }
  }

  /** Where the host tells of each. */
  static List<Path> all() {
    String[] threads = new File("/proc/self/task").list();
    List<Path> found = new ArrayList<>();
    for (String thread : threads == null ? new String[0] : threads) {
      Path folder = Path.of("/proc/self/task", thread);
      try {
        if (Files.readString(folder.resolve("comm")).startsWith(NAME)) {
          found.add(folder);
        }
      } catch (IOException e) {
        // It has ended.
      }
    }
    return found;
  }
}
