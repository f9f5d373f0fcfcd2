package dev.bothy.debug;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/** The guest in {@code guest.c}, compiled with debug information. */
final class GuestFile {
  /** It, where there is no compiler: a system property. */
  private static final String MADE = "bothy.test.guest";

  private static final List<String> SOURCES = List.of("start.S", "guest.c");
  private static final Map<String, Long> ADDRESSES = new HashMap<>();
  private static Path built;

  private GuestFile() {}

  /** Makes it in the folder that is named, beside its sources, for where there is no compiler. */
  public static void main(String[] arguments) throws IOException, InterruptedException {
    System.out.println(compile(Path.of(arguments[0])));
  }

  /** The file. */
  static synchronized Path path() throws IOException, InterruptedException {
    String made = System.getProperty(MADE);
    if (made != null) {
      return Path.of(made);
    }
    if (built == null) {
      Path folder = Files.createTempDirectory("bothy-gdb-guest");
      folder.toFile().deleteOnExit();
      built = compile(folder);
      built.toFile().deleteOnExit();
      SOURCES.forEach(name -> folder.resolve(name).toFile().deleteOnExit());
    }
    return built;
  }

  private static Path compile(Path folder) throws IOException, InterruptedException {
    List<String> command =
        new ArrayList<>(
            List.of("gcc", "-g", "-O0", "-ffreestanding", "-fno-pic", "-no-pie", "-static"));
    command.addAll(
        List.of("-nostdlib", "-mno-red-zone", "-fno-stack-protector", "-fcf-protection=none"));
    command.addAll(
        List.of("-z", "noexecstack", "-Wl,--build-id=none", "-Wl,-Ttext=0x200000", "-w"));
    Path elf = folder.resolve("guest.elf");
    command.addAll(List.of("-Wl,-e,start32", "-o", elf.toString()));
    for (String name : SOURCES) {
      Path source = folder.resolve(name);
      try (InputStream in = SmallGuest.class.getResourceAsStream(name)) {
        Files.copy(in, source);
      }
      command.add(source.toString());
    }
    Process gcc = new ProcessBuilder(command).redirectErrorStream(true).start();
    String said = new String(gcc.getInputStream().readAllBytes());
    assertEquals(0, gcc.waitFor(), said);
    return elf;
  }

  /** Where a symbol of the guest's is, linear and physical. */
  static synchronized long address(String symbol) throws IOException, InterruptedException {
    Long known = ADDRESSES.get(symbol);
    if (known == null) {
      known = look(symbol);
      ADDRESSES.put(symbol, known);
    }
    return known;
  }

  private static long look(String symbol) throws IOException, InterruptedException {
    Process nm = new ProcessBuilder("nm", path().toString()).start();
    String said = new String(nm.getInputStream().readAllBytes());
    nm.waitFor();
    return said.lines()
        .filter(line -> line.endsWith(" " + symbol))
        .mapToLong(line -> Long.parseLong(line.substring(0, 16), 16))
        .findFirst()
        .orElseThrow();
  }
}
