package dev.bothy.machine;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.bothy.core.StopPoints;
import dev.bothy.core.cpu.CpuFeature;
import dev.bothy.core.cpu.CpuModel;
import dev.bothy.core.cpu.CpuState;
import dev.bothy.core.cpu.CpuidLeaf;
import dev.bothy.x86.interpret.CpuidLeaves;
import dev.bothy.x86.interpret.InterpreterEngine;
import dev.bothy.x86.translate.TranslatorEngine;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@Timeout(600)
class EngineChangeTest {
  private static final long MEMORY = 8 << 20;
  private static final long ENTRY = MachineCode.ENTRY;
  private static final long COUNTER = 0x9000;

  /** A command for a local APIC. */
  private static final int NMI = 0x4400;

  /** inc dword [COUNTER]; jmp to it: 32-bit code. */
  private static final String COUNTING = "ff0500900000ebf8";

  /** sti; hlt; inc dword [COUNTER]; jmp to it; and a handler for vector 32 that answers the PIC. */
  private static final String TICKING =
      """
      b880001000bf0001300066890766c74702100066c74704008ec1e81066894706bfa000300066c707ff07c74702000030000f011f
      b011e620b020e621b004e621b001e621b0fee621b0ffe6a1b034e643b09ce640b00ee640\
      fbf4ff0500900000ebf7\
      """;

  private static MachineOptions options(EngineFactory engine) {
    return MachineOptions.of(MEMORY, engine, MachineCode.of(COUNTING), value -> {});
  }

  private static void awaitCounting(Machine machine) throws InterruptedException {
    int before = machine.memory().readInt(COUNTER);
    while (machine.memory().readInt(COUNTER) == before && machine.running()) {
      Thread.sleep(1);
    }
    assertTrue(machine.running());
  }

  @Test
  void aMachineIsChangedOffRunningAndPaused() throws Exception {
    try (Machine machine = new Machine(options(InterpreterEngine::new))) {
      assertFalse(machine.changeEngine(TranslatorEngine::new, false));
      assertEquals("translator", machine.engine());
      machine.start();
      awaitCounting(machine);
      machine.changeEngine(InterpreterEngine::new, false);
      final int interpretedFrom = machine.memory().readInt(COUNTER);
      awaitCounting(machine);
      machine.pause();
      int stands = machine.memory().readInt(COUNTER);
      final long time = machine.guestNanos();
      machine.changeEngine(TranslatorEngine::new, false);
      assertEquals(stands, machine.memory().readInt(COUNTER));
      assertEquals(time, machine.guestNanos());
      machine.resume();
      awaitCounting(machine);
      MachineStatistics statistics = machine.statistics();
      assertEquals("translator", statistics.engine());
      assertEquals(3, statistics.exits().get("engineChanges"));
      // What the interpreter has executed still counts; generated code is not counted.
      assertTrue(statistics.instructions() >= stands - interpretedFrom);
      machine.reset();
      awaitCounting(machine);
    }
  }

  @Test
  void anEndedMachineStays() throws Exception {
    try (Machine machine = new Machine(options(InterpreterEngine::new))) {
      machine.start();
      machine.stop();
      machine.awaitExit();
      EngineChangeException e =
          assertThrows(
              EngineChangeException.class, () -> machine.changeEngine(TranslatorEngine::new, true));
      assertEquals("the machine has ended", e.getMessage());
      assertFalse(e.forcible());
    }
  }

  /** Processors that do nothing until they are kicked. */
  private static ScriptedEngine idle(dev.bothy.core.Engine.Environment environment) {
    return new ScriptedEngine(environment, (processor, _) -> processor.spin());
  }

  @Test
  void theOldEngineGoesOnWhenTheNewOneCannotBeMade() throws Exception {
    assertGoesOnWithout(
        environment -> {
          throw new UnsupportedOperationException("no such thing");
        },
        "no such thing");
  }

  /** A running machine of two processors keeps its engine, for a reason. */
  private static void assertGoesOnWithout(EngineFactory other, String reason) throws Exception {
    try (Machine machine = new Machine(options(InterpreterEngine::new).withCpus(2))) {
      machine.start();
      awaitCounting(machine);
      EngineChangeException e =
          assertThrows(EngineChangeException.class, () -> machine.changeEngine(other, true));
      assertEquals(reason, e.getMessage());
      assertEquals("interpreter", machine.engine());
      awaitCounting(machine);
    }
  }

  @Test
  void theOldEngineGoesOnWhenTheNewOneRefusesTheState() throws Exception {
    List<ScriptedEngine> made = new ArrayList<>();
    assertGoesOnWithout(
        environment -> {
          made.add(idle(environment));
          made.getFirst().unsettled = 1;
          return made.getFirst();
        },
        "it does not take the processors' state: processor 1");
    // Nothing is left of the other.
    assertTrue(made.getFirst().closed);
    assertTrue(made.getFirst().processors.stream().allMatch(processor -> processor.closed));
  }

  @Test
  void theEngineThatWasLeftIsClosedAndHearsNoMore() throws Exception {
    List<ScriptedEngine> made = new ArrayList<>();
    EngineFactory scripted =
        environment -> {
          made.add(idle(environment));
          return made.getLast();
        };
    try (Machine machine = new Machine(options(scripted))) {
      machine.start();
      assertFalse(made.getFirst().closed);
      machine.changeEngine(scripted, false);
      assertTrue(made.getFirst().closed);
      assertTrue(made.getFirst().processors.getFirst().closed);
      machine.localApic(0).sendCommand(NMI, 0);
      assertEquals(0, made.getFirst().processors.getFirst().nmis);
      assertEquals(1, made.getLast().processors.getFirst().nmis);
      assertSame(made.getLast().processors.getFirst(), machine.vcpu(0));
      assertEquals(ENTRY, machine.vcpu(0).state().get(CpuState.RIP));
    }
  }

  @Test
  void ticksGoOnThroughChanges() throws Exception {
    try (Machine machine =
        new Machine(
            MachineOptions.of(
                MEMORY, InterpreterEngine::new, MachineCode.of(TICKING + HANDLER), v -> {}))) {
      machine.start();
      for (int i = 0; i < 20; i++) {
        awaitCounting(machine);
        machine.changeEngine(i % 2 == 0 ? TranslatorEngine::new : InterpreterEngine::new, false);
      }
      awaitCounting(machine);
    }
  }

  /** Up to offset 0x80 of the code, where the handler is: EOI; iretd. */
  private static final String HANDLER = "90".repeat(0x80 - TICKING.length() / 2) + "50b020e62058cf";

  @Test
  void changesFromSeveralThreadsAndLooksTakeTurns() throws Exception {
    AtomicInteger changes = new AtomicInteger();
    AtomicBoolean failed = new AtomicBoolean();
    try (Machine machine = new Machine(options(InterpreterEngine::new).withCpus(2))) {
      machine.start();
      List<Thread> threads = new ArrayList<>();
      for (int t = 0; t < 3; t++) {
        int number = t;
        threads.add(
            Thread.ofPlatform()
                .start(
                    () -> {
                      try {
                        for (int i = 0; i < 10; i++) {
                          if (number == 2) {
                            machine.whileStanding(() -> machine.vcpu(1).state().get(CpuState.CR0));
                            machine.pause();
                            machine.statistics();
                            machine.resume();
                          } else {
                            machine.changeEngine(
                                number == 0 ? TranslatorEngine::new : InterpreterEngine::new,
                                false);
                            changes.incrementAndGet();
                          }
                        }
                      } catch (Exception | Error e) {
                        failed.set(true);
                      }
                    }));
      }
      for (Thread thread : threads) {
        thread.join();
      }
      assertFalse(failed.get());
      assertEquals(20, changes.get());
      awaitCounting(machine);
    }
  }

  @Test
  void aDebuggersBreakpointsHoldOnTheNextEngine() throws Exception {
    AtomicInteger stops = new AtomicInteger();
    try (Machine machine = new Machine(options(InterpreterEngine::new))) {
      machine.start();
      MachineDebugger debugger = machine.debugger().orElseThrow();
      assertTrue(debugger.attach((_, _) -> stops.incrementAndGet()));
      debugger.stop();
      debugger.stopAt(new StopPoints(Set.of(ENTRY + 6), List.of()));
      machine.changeEngine(TranslatorEngine::new, false);
      debugger.run(-1, 0);
      while (stops.get() == 0) {
        Thread.sleep(1);
      }
      assertEquals(ENTRY + 6, machine.vcpu(0).state().get(CpuState.RIP));
      // Nobody could stop there.
      EngineChangeException e =
          assertThrows(
              EngineChangeException.class,
              () -> machine.changeEngine(EngineChangeTest::idle, true));
      assertTrue(e.getMessage().contains("detach"), e.getMessage());
      debugger.detach();
      awaitCounting(machine);
      machine.changeEngine(EngineChangeTest::idle, true);
      assertTrue(machine.debugger().isEmpty());
      assertFalse(debugger.attach((_, _) -> {}));
    }
  }

  @Test
  void whatTheGuestHasBeenShownIsMissedByName() {
    List<CpuidLeaf> all = CpuidLeaves.all(CpuModel.V2, 1, 0);
    ShownProcessor shown = new ShownProcessor(CpuModel.V2, all);
    assertTrue(shown.missing(all).isEmpty());
    assertFalse(shown.believesTooMuch(all));
    assertSame(CpuModel.V2, shown.modelShown());
    List<CpuidLeaf> less = CpuidLeaves.all(CpuModel.parse("v2,-pcid,-xsavec,-fsrm"), 1, 0);
    String missing = shown.missing(less).orElseThrow();
    assertTrue(missing.contains("no pcid, fsrm, xsavec"), missing);
    assertTrue(missing.contains("--cpu v2,-pcid,-fsrm,-xsavec"), missing);
    // The other way round, they stay hidden.
    CpuModel hidden = new ShownProcessor(CpuModel.V2, less).modelShown();
    assertEquals(CpuModel.parse("v2,-pcid,-xsavec,-fsrm").features(), hidden.features());
    // Nor do addresses become longer.
    String narrow = "v2,phys-bits=36";
    CpuModel kept =
        new ShownProcessor(
                CpuModel.parse(narrow), CpuidLeaves.all(CpuModel.parse(narrow + ",-pcid"), 1, 0))
            .modelShown();
    assertEquals(36, kept.physicalBits());
    assertFalse(kept.has(CpuFeature.PCID));
    List<CpuidLeaf> others =
        all.stream()
            .map(
                leaf ->
                    switch (leaf.leaf()) {
                      case 0x4000_0010 -> leaf.with(2_600_000, leaf.ebx(), 0, 0);
                      case 0x8000_0021 -> leaf.with(0, 0, 0, 0);
                      default -> leaf;
                    })
            .toList();
    missing = shown.missing(others).orElseThrow();
    assertEquals("its time-stamp counter goes at 2600.000 MHz, the guest's at 1000.000", missing);
    assertTrue(shown.believesTooMuch(others));
  }
}
