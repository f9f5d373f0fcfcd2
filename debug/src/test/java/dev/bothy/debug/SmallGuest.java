package dev.bothy.debug;

import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.bothy.core.cpu.CpuModel;
import dev.bothy.debug.monitor.Monitor;
import dev.bothy.machine.EngineFactory;
import dev.bothy.machine.Machine;
import dev.bothy.machine.MachineOptions;
import dev.bothy.machine.boot.KernelBoot;
import java.io.IOException;
import java.util.List;
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

  final Machine machine;
  final GdbServer server;
  private final CountDownLatch warm = new CountDownLatch(1);

  /**
   * @param waits the guest does not start before gdb lets it
   */
  SmallGuest(EngineFactory engine, int cpus, boolean waits) throws Exception {
    this(engine, CpuModel.V2, cpus, waits);
  }

  SmallGuest(EngineFactory engine, CpuModel model, int cpus, boolean waits) throws Exception {
    machine =
        new Machine(
            MachineOptions.of(
                    MEMORY,
                    engine,
                    new KernelBoot(GuestFile.path(), Optional.empty(), ""),
                    value -> warm.countDown())
                .withCpus(cpus)
                .withModel(model)
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
    return machine.memory().readLong(GuestFile.address("rounds"));
  }

  void awaitMoreRounds(long than) throws IOException, InterruptedException {
    awaitMore("rounds", than);
  }

  private void awaitMore(String counter, long than) throws IOException, InterruptedException {
    long address = GuestFile.address(counter);
    long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(PATIENCE);
    while (machine.memory().readLong(address) <= than) {
      assertTrue(System.nanoTime() < deadline, "the guest does not go on");
      Thread.sleep(1);
    }
  }

  @Override
  public void close() {
    server.close();
    machine.close();
  }
}
