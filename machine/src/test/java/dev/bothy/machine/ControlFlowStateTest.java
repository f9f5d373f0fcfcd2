package dev.bothy.machine;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.bothy.core.cpu.CpuModel;
import dev.bothy.core.cpu.CpuState;
import dev.bothy.x86.interpret.InterpreterEngine;
import dev.bothy.x86.translate.TranslatorEngine;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.util.HashSet;
import java.util.Set;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/**
 * A shadow stack and a tracker of indirect branches are part of what is saved and of what another
 * engine takes over. The guest's only way on is that they are right: it has no handlers.
 */
@Timeout(600)
class ControlFlowStateTest {
  private static final long COUNTER = 0x9000;
  private static final long TOKEN = 0xaff8;
  private static final long WAITING = 1 << 11;

  /**
   * Sets up both for the supervisor, with the shadow stack below {@link #TOKEN}, then calls f for
   * ever; f calls a function in EAX, which begins with ENDBR32 and counts.
   */
  private static final String CALLING =
      """
      0f20c00d000001000f22c0c705f8af0000f8af0000c705fcaf000000000000b8000080000f22e031d2b805000000b9a2
      0600000f30b8f8af0000b9a40600000f30f30f01e8e802000000ebf9b854001000ffd0c3f30f1efbff0500900000c3
      """;

  private static MachineOptions options(EngineFactory engine) {
    return MachineOptions.of(8 << 20, engine, MachineCode.of(CALLING), value -> {})
        .withModel(CpuModel.parse("v3,+shstk,+ibt"))
        .withReboot(false);
  }

  private static void awaitCounting(Machine machine) throws InterruptedException {
    int before = machine.memory().readInt(COUNTER);
    while (machine.memory().readInt(COUNTER) == before && machine.running()) {
      Thread.sleep(1);
    }
    assertTrue(machine.running());
  }

  private static byte[] saved(Machine machine) throws Exception {
    var bytes = new ByteArrayOutputStream();
    machine.save(bytes);
    return bytes.toByteArray();
  }

  @Test
  void stateOfEveryMomentGoesOnAlike() throws Exception {
    MachineOptions options = options(InterpreterEngine::new).withCountedClock(20);
    Set<Long> depths = new HashSet<>();
    boolean waited = false;
    try (Machine machine = new Machine(options);
        Machine copy = new Machine(options)) {
      machine.pause();
      machine.start();
      machine.runFor(1000);
      for (int moment = 0; moment < 20; moment++) {
        machine.runFor(1);
        CpuState cpu = machine.vcpu(0).state();
        depths.add(TOKEN - cpu.get(CpuState.SSP));
        waited |= (cpu.get(CpuState.S_CET) & WAITING) != 0;
        copy.load(new ByteArrayInputStream(saved(machine)));
        assertEquals(machine.stateHash(), copy.stateHash());
        machine.runFor(100);
        copy.runFor(100);
        assertEquals(machine.stateHash(), copy.stateHash());
      }
    }
    assertEquals(Set.of(0L, 4L, 8L), depths);
    assertTrue(waited);
  }

  @Test
  void anotherEngineGoesOnWithThem() throws Exception {
    try (Machine machine = new Machine(options(InterpreterEngine::new))) {
      machine.start();
      for (int change = 0; change < 20; change++) {
        awaitCounting(machine);
        machine.changeEngine(
            change % 2 == 0 ? TranslatorEngine::new : InterpreterEngine::new, false);
      }
      awaitCounting(machine);
      machine.pause();
      assertEquals(5, machine.vcpu(0).state().get(CpuState.S_CET) & ~WAITING);
      assertEquals(TOKEN | 1, machine.memory().readLong(TOKEN));
    }
  }
}
