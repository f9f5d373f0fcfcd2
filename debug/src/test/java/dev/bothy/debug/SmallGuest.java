package dev.bothy.debug;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.bothy.debug.monitor.Monitor;
import dev.bothy.machine.EngineFactory;
import dev.bothy.machine.Machine;
import dev.bothy.machine.MachineOptions;
import dev.bothy.machine.boot.KernelBoot;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;

/**
 * A machine with the guest in {@code guest.c}, compiled with debug information, and a server for
 * gdb.
 */
final class SmallGuest implements AutoCloseable {
  /** For anything, in seconds: the host may have other work. */
  static final int PATIENCE = 240;

  private static final long MEMORY = 16 << 20;
  private static final Map<String, Long> ADDRESSES = new HashMap<>();
  private static Path built;

  final Machine machine;
  final GdbServer server;
  private final CountDownLatch warm = new CountDownLatch(1);

  /**
   * @param waits the guest does not start before gdb lets it
   */
  SmallGuest(EngineFactory engine, int cpus, boolean waits) throws Exception {
    machine =
        new Machine(
            MachineOptions.of(
                    MEMORY,
                    engine,
                    new KernelBoot(elf(), Optional.empty(), ""),
                    value -> warm.countDown())
                .withCpus(cpus)
                .withDebugExit(true));
    server =
        GdbServer.atPort(
            machine,
            new Monitor(machine, List::of, List::of, new TestEngines(machine)),
            0,
            Optional.empty());
    if (waits) {
      server.holdMachine();
    }
    machine.start();
    server.start();
  }

  /** The guest's file. */
  static synchronized Path elf() throws IOException, InterruptedException {
    if (built == null) {
      Path folder = Files.createTempDirectory("bothy-gdb-guest");
      folder.toFile().deleteOnExit();
      List<String> command =
          new ArrayList<>(
              List.of("gcc", "-g", "-O0", "-ffreestanding", "-fno-pic", "-no-pie", "-static"));
      command.addAll(
          List.of("-nostdlib", "-mno-red-zone", "-fno-stack-protector", "-fcf-protection=none"));
      command.addAll(
          List.of("-z", "noexecstack", "-Wl,--build-id=none", "-Wl,-Ttext=0x200000", "-w"));
      Path elf = folder.resolve("guest.elf");
      command.addAll(List.of("-Wl,-e,start32", "-o", elf.toString()));
      for (String name : List.of("start.S", "guest.c")) {
        Path source = folder.resolve(name);
        try (InputStream in = SmallGuest.class.getResourceAsStream(name)) {
          Files.copy(in, source);
        }
        source.toFile().deleteOnExit();
        command.add(source.toString());
      }
      elf.toFile().deleteOnExit();
      Process gcc = new ProcessBuilder(command).redirectErrorStream(true).start();
      String said = new String(gcc.getInputStream().readAllBytes());
      assertEquals(0, gcc.waitFor(), said);
      built = elf;
    }
    return built;
  }

  /**
   * Waits until the guest has been through its loop so often that an engine knows it well, and its
   * other processor, if there is one, through its own.
   */
  void awaitWarm() throws IOException, InterruptedException {
    assertTrue(warm.await(PATIENCE, TimeUnit.SECONDS));
    if (machine.options().cpus() > 1) {
      awaitMore("other_rounds", 0);
    }
  }

  /** How often it has been through its loop. */
  long rounds() throws IOException, InterruptedException {
    return machine.memory().readLong(address("rounds"));
  }

  void awaitMoreRounds(long than) throws IOException, InterruptedException {
    awaitMore("rounds", than);
  }

  private void awaitMore(String counter, long than) throws IOException, InterruptedException {
    long address = address(counter);
    long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(PATIENCE);
    while (machine.memory().readLong(address) <= than) {
      assertTrue(System.nanoTime() < deadline, "the guest does not go on");
      Thread.sleep(1);
    }
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
    Process nm = new ProcessBuilder("nm", elf().toString()).start();
    String said = new String(nm.getInputStream().readAllBytes());
    nm.waitFor();
    return said.lines()
        .filter(line -> line.endsWith(" " + symbol))
        .mapToLong(line -> Long.parseLong(line.substring(0, 16), 16))
        .findFirst()
        .orElseThrow();
  }

  @Override
  public void close() {
    server.close();
    machine.close();
  }
}
