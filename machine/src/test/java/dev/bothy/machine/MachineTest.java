package dev.bothy.machine;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.bothy.core.Engine;
import dev.bothy.core.Exit;
import dev.bothy.core.cpu.CpuModel;
import dev.bothy.core.cpu.CpuState;
import dev.bothy.core.state.StateException;
import dev.bothy.machine.boot.BootException;
import dev.bothy.machine.boot.BootSource;
import dev.bothy.machine.boot.BootState;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.time.Duration;
import java.util.Random;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicReference;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@Timeout(300)
class MachineTest {
  private static final long ENTRY = 0x10_0000;
  private static final int MEMORY = 4 << 20;

  private final AtomicReference<ScriptedEngine> engine = new AtomicReference<>();
  private final AtomicInteger loads = new AtomicInteger();

  private BootSource boot() {
    return environment -> {
      loads.incrementAndGet();
      environment.memory().writeInt(ENTRY, 0x1234_5678);
      return new BootState(BootState.Mode.PROTECTED, ENTRY, 1, 2, 3, 4);
    };
  }

  private MachineOptions options(ScriptedEngine.Script script) {
    return MachineOptions.of(
        MEMORY,
        environment -> {
          ScriptedEngine made = new ScriptedEngine(environment, script);
          engine.set(made);
          return made;
        },
        boot(),
        value -> {});
  }

  private static void out(ScriptedEngine.Processor processor, int port, int value) {
    Engine.Environment environment = processor.environment();
    environment.ports().write(port, 1, value);
  }

  @Test
  void startsTheBootProcessorAsTheBootSourceSays() throws Exception {
    AtomicReference<String> seen = new AtomicReference<>();
    try (Machine machine =
        new Machine(
            options(
                (cpu, _) -> {
                  seen.set(cpu.state().get(CpuState.RIP) + " " + cpu.state().gpr(CpuState.RBX));
                  return new Exit.Shutdown("the end");
                }))) {
      machine.start();
      assertEquals(new MachineExit.TripleFault("the end"), machine.awaitExit());
      assertEquals(ENTRY + " 2", seen.get());
    }
  }

  @Test
  void memoryTypeRangesAreAsWideAsTheModelsAddresses() throws Exception {
    AtomicReference<String> mask = new AtomicReference<>();
    MachineOptions options =
        options(
            (cpu, _) -> {
              mask.set(Long.toHexString(cpu.state().get(CpuState.MTRR_VARIABLE + 8)));
              return new Exit.Shutdown("the end");
            });
    try (Machine machine = new Machine(options.withModel(CpuModel.parse("v2,phys-bits=36")))) {
      machine.start();
      machine.awaitExit();
    }
    assertEquals("fc0000800", mask.get());
  }

  @Test
  void endsWithTheFirstReason() throws Exception {
    try (Machine machine = new Machine(options((_, _) -> new Exit.Failed("no such thing")))) {
      machine.start();
      assertEquals(new MachineExit.EngineFailed("no such thing"), machine.awaitExit());
      machine.stop();
      assertEquals(new MachineExit.EngineFailed("no such thing"), machine.awaitExit());
    }
  }

  @Test
  void turnsAnExceptionOutOfTheEngineIntoAnExit() throws Exception {
    try (Machine machine =
        new Machine(
            options(
                (_, _) -> {
                  throw new IllegalStateException("oops");
                }))) {
      machine.start();
      assertInstanceOf(MachineExit.HostError.class, machine.awaitExit());
    }
  }

  @Test
  void doesNotStartWhenThereIsNothingToBoot() {
    MachineOptions options =
        MachineOptions.of(
            MEMORY,
            environment -> new ScriptedEngine(environment, (_, _) -> new Exit.Halted()),
            _ -> {
              throw new BootException("nothing");
            },
            value -> {});
    try (Machine machine = new Machine(options)) {
      assertThrows(BootException.class, machine::start);
      assertFalse(machine.running());
    }
  }

  @Test
  void parksAHaltedProcessorUntilItHasWork() throws Exception {
    CountDownLatch halted = new CountDownLatch(1);
    try (Machine machine =
        new Machine(
            options(
                (cpu, _) -> {
                  // The reset of the interrupt controllers may have been taken for work before.
                  if (cpu.interrupted.getAndSet(false) && halted.getCount() == 0) {
                    return new Exit.Shutdown("woken");
                  }
                  halted.countDown();
                  return new Exit.Halted();
                }))) {
      machine.start();
      halted.await();
      assertTrue(machine.awaitExit(Duration.ofMillis(50)).isEmpty());
      assertEquals(1, engine.get().processors.getFirst().runs, "it must not be polled");
      engine.get().processors.getFirst().interruptChanged();
      assertEquals(new MachineExit.TripleFault("woken"), machine.awaitExit());
    }
  }

  @Test
  void losesNoWakeUp() throws Exception {
    AtomicInteger seen = new AtomicInteger();
    try (Machine machine =
        new Machine(
            options(
                (cpu, _) -> {
                  if (cpu.interrupted.getAndSet(false)) {
                    seen.incrementAndGet();
                  }
                  return new Exit.Halted();
                }))) {
      machine.start();
      for (int i = 1; i <= 2000; i++) {
        engine.get().processors.getFirst().interruptChanged();
        while (seen.get() < i) {
          Thread.onSpinWait();
        }
      }
    }
  }

  @Test
  void reloadsOnResetAndRunsOn() throws Exception {
    AtomicInteger starts = new AtomicInteger();
    try (Machine machine =
        new Machine(
            options(
                    (cpu, _) -> {
                      if (cpu.index == 0 && starts.incrementAndGet() == 3) {
                        return new Exit.Shutdown("done");
                      }
                      if (cpu.index == 0) {
                        out(cpu, 0xcf9, 0x06);
                        cpu.environment().memory().writeInt(ENTRY, 0);
                        engine.get().processors.get(1).interruptChanged();
                      }
                      return cpu.spin();
                    })
                .withCpus(2))) {
      machine.start();
      // Without the device behind port 0xCF9 the button does the same.
      while (starts.get() < 3) {
        machine.reset();
        Thread.sleep(1);
      }
      machine.awaitExit();
      assertTrue(loads.get() >= 3);
      assertEquals(loads.get(), engine.get().processors.get(1).resets);
    }
  }

  @Test
  void endsOnResetWhenItIsNotToRestart() throws Exception {
    try (Machine machine =
        new Machine(options((cpu, _) -> cpu.spin()).withReboot(false).withCpus(2))) {
      machine.start();
      machine.reset();
      assertEquals(new MachineExit.Reset(), machine.awaitExit());
      assertEquals(1, loads.get());
    }
  }

  @Test
  void standsStillWhilePaused() throws Exception {
    try (Machine machine = new Machine(options((cpu, _) -> cpu.spin()).withCpus(3))) {
      machine.start();
      for (int i = 0; i < 20; i++) {
        machine.pause();
        long then = machine.guestNanos();
        int runs = engine.get().processors.get(2).runs;
        Thread.sleep(1);
        assertEquals(then, machine.guestNanos());
        assertEquals(runs, engine.get().processors.get(2).runs);
        machine.resume();
      }
      machine.stop();
      assertEquals(new MachineExit.Stopped(), machine.awaitExit());
    }
  }

  @Test
  void closesWhatItMadeAfterItsThreadsHaveEnded() throws Exception {
    Machine machine = new Machine(options((cpu, _) -> cpu.spin()).withCpus(2));
    machine.start();
    machine.close();
    assertTrue(engine.get().closed);
    assertTrue(engine.get().processors.stream().allMatch(p -> p.closed));
    machine.close();
  }

  @Test
  void leavesClosedProcessorsAlone() throws Exception {
    Machine machine = new Machine(options((cpu, _) -> cpu.spin()).withCpus(2));
    machine.start();
    machine.close();
    engine.get().processors.forEach(p -> p.kicked.set(false));
    machine.pause();
    machine.reset();
    machine.stop();
    assertTrue(engine.get().processors.stream().noneMatch(p -> p.kicked.get()));
  }

  @Test
  void loadsWhatItSaved() throws Exception {
    MachineOptions options = options((cpu, _) -> cpu.spin()).withCpus(2);
    ByteArrayOutputStream saved = new ByteArrayOutputStream();
    String hash;
    try (Machine machine = new Machine(options)) {
      machine.start();
      machine.pause();
      machine.memory().writeLong(MEMORY - 8, 0x0102_0304_0506_0708L);
      machine.vcpu(1).state().setGpr(CpuState.RSI, 99);
      machine.save(saved);
      hash = machine.stateHash();
      machine.memory().writeByte(MEMORY - 1, 0);
      assertNotEquals(hash, machine.stateHash());
    }
    try (Machine machine = new Machine(options)) {
      machine.load(new ByteArrayInputStream(saved.toByteArray()));
      assertEquals(hash, machine.stateHash());
      assertEquals(99, machine.vcpu(1).state().gpr(CpuState.RSI));
      assertEquals(0x0102_0304_0506_0708L, machine.memory().readLong(MEMORY - 8));
      machine.resume();
      machine.stop();
      assertEquals(new MachineExit.Stopped(), machine.awaitExit());
    }
  }

  @Test
  void refusesDamagedState() throws Exception {
    MachineOptions options = options((cpu, _) -> cpu.spin());
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    try (Machine machine = new Machine(options)) {
      machine.start();
      machine.pause();
      machine.save(out);
      byte[] saved = out.toByteArray();
      Random random = new Random(3);
      for (int round = 0; round < 60; round++) {
        byte[] damaged = saved.clone();
        damaged[random.nextInt(damaged.length)] ^= (byte) (1 << random.nextInt(8));
        assertThrows(StateException.class, () -> machine.load(new ByteArrayInputStream(damaged)));
        byte[] cut = java.util.Arrays.copyOf(saved, random.nextInt(saved.length));
        assertThrows(StateException.class, () -> machine.load(new ByteArrayInputStream(cut)));
      }
      machine.load(new ByteArrayInputStream(saved));
    }
    try (Machine other = new Machine(options.withCpus(2))) {
      assertThrows(
          StateException.class, () -> other.load(new ByteArrayInputStream(out.toByteArray())));
    }
  }

  @Test
  void countsInstructionsUnderTheTestClock() throws Exception {
    try (Machine machine =
        new Machine(
            options(
                    (cpu, budget) -> {
                      cpu.instructions += budget;
                      return new Exit.BudgetSpent();
                    })
                .withCountedClock(10))) {
      machine.start();
      machine.pause();
      long before = engine.get().processors.getFirst().instructions;
      machine.runFor(12_345);
      assertEquals(before + 12_345, engine.get().processors.getFirst().instructions);
      machine.runFor(1);
      assertEquals(before + 12_346, engine.get().processors.getFirst().instructions);
      assertEquals((before + 12_346) / 512 * 5120, machine.guestNanos());
    }
  }

  @Test
  void tellsWhatItHasDone() throws Exception {
    try (Machine machine = new Machine(options((_, _) -> new Exit.Shutdown("")))) {
      machine.start();
      machine.awaitExit();
      MachineStatistics statistics = machine.statistics();
      assertEquals("scripted", statistics.engine());
      assertEquals(1, statistics.exits().get("shutdown"));
      assertTrue(statistics.wallNanos() > 0);
      assertTrue(statistics.firstSerialNanos().isEmpty());
    }
  }
}
