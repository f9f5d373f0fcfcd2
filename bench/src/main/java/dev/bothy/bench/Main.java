package dev.bothy.bench;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;

/**
 * Runs a benchmark: {@code CHECKOUT
 * boot|change|compare|conformance|disks|exits|fuzz|io|memory|nested|nested-start|network|programs|shares|soak|system|verify
 * [option]...}; the launchers in {@code bench/} call it.
 */
public final class Main {
  private Main() {}

  public static void main(String[] arguments) throws Exception {
    Path home = Path.of(arguments[0]);
    String[] options = Arrays.copyOfRange(arguments, 2, arguments.length);
    Path folder = Files.createDirectories(home.resolve("target/bench"));
    try {
      switch (arguments[1]) {
        case "boot" -> Boot.run(home, folder, options);
        case "change" -> Change.run(home, folder, options);
        case "compare" -> Compare.run(home, folder, options);
        case "conformance" -> Conformance.run(home, folder, options);
        case "disks" -> Disks.run(home, folder, options);
        case "exits" -> Exits.run(home, folder, options);
        case "io" -> Io.run(home, folder, options);
        case "fuzz" -> Fuzz.run(folder, options);
        case "nested" -> Nested.run(folder, options);
        case "nested-start" -> NestedStart.run(home, folder, options);
        case "memory" -> Memory.run(home, folder, options);
        case "network" -> NetworkStack.run(home, folder, options);
        case "shares" -> Shares.run(home, folder, options);
        case "soak" -> Soak.run(home, folder, options);
        case "system" -> SystemCheck.run(home, folder, options);
        case "verify" -> Verify.run(home, folder, options);
        default -> Programs.run(home, folder, options);
      }
    } catch (IOException | IllegalArgumentException e) {
      System.err.println("bench: " + e.getMessage());
      System.exit(1);
    }
  }
}
