package dev.bothy.debug;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.bothy.core.cpu.CpuModel;
import dev.bothy.core.cpu.CpuState;
import dev.bothy.debug.monitor.Monitor;
import dev.bothy.debug.monitor.MonitorCommand;
import dev.bothy.debug.monitor.MonitorException;
import dev.bothy.machine.MachineExit;
import dev.bothy.x86.interpret.InterpreterEngine;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Optional;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

@Timeout(600)
class MonitorTest {
  private SmallGuest guest;
  private Monitor monitor;

  @BeforeEach
  void start() throws Exception {
    guest = new SmallGuest(InterpreterEngine::new, 2, false);
    guest.awaitWarm();
    monitor =
        new Monitor(
            guest.machine, () -> List.of("a disk"), List::of, new TestEngines(guest.machine));
  }

  @AfterEach
  void close() {
    guest.close();
  }

  @Test
  void showsRegistersOfARunningMachine() throws Exception {
    String all = monitor.run("info registers");
    assertTrue(all.contains("processor 0: runs"), all);
    assertTrue(all.contains("processor 1: runs"), all);
    assertTrue(all.contains("cs   0008"), all);
    assertTrue(all.contains("efer 500"), all);
    assertFalse(monitor.run("  info   registers 1 ").contains("processor 0"));
    guest.awaitMoreRounds(guest.rounds());
  }

  @Test
  void showsWhatControlFlowIsHeldTo() throws Exception {
    assertFalse(monitor.run("info registers").contains("ssp"), "no such processor");
    CpuModel model = CpuModel.parse("v3,+shstk,+ibt");
    try (var other = new SmallGuest(InterpreterEngine::new, model, 1, false)) {
      other.awaitWarm();
      other.machine.whileStanding(
          () -> {
            CpuState cpu = other.machine.vcpu(0).state();
            cpu.set(CpuState.SSP, 0x1238);
            cpu.set(CpuState.U_CET, 5);
            cpu.set(CpuState.LEVEL_SSP + 8 * 3, 0x2340);
            return "";
          });
      String all =
          new Monitor(other.machine, List::of, List::of, new TestEngines(other.machine))
              .run("info registers 0");
      assertTrue(all.contains("ssp 0000000000001238  u_cet 5  s_cet 0\n"), all);
      assertTrue(all.contains("pl0_ssp 0  pl1_ssp 0  pl2_ssp 0  pl3_ssp 2340  ssp table 0\n"), all);
    }
  }

  @Test
  void showsWhatThereIs() throws Exception {
    assertTrue(monitor.run("info memory").contains("4-level paging, tables at"));
    assertTrue(monitor.run("info memory").contains("RAM 000000000000 to 000000ffffff, 16384 KiB"));
    String interrupts = monitor.run("info interrupts");
    assertTrue(interrupts.contains("local APIC 1: base fee00800"), interrupts);
    assertTrue(interrupts.contains("8259s: masks"), interrupts);
    String devices = monitor.run("info devices");
    assertTrue(devices.contains("ports 3f8 to 3ff: com1"), devices);
    assertTrue(devices.contains("pci   00:01.0: 1af4:1044"), devices);
    assertEquals("a disk\n", monitor.run("info blocks"));
    assertEquals("none\n", monitor.run("info network"));
    String help = monitor.run("help");
    for (MonitorCommand command : monitor.commands()) {
      assertTrue(help.contains(command.name()), help);
    }
  }

  @Test
  void pausesAndResumes() throws Exception {
    assertEquals("", monitor.run("pause"));
    long rounds = guest.rounds();
    assertTrue(monitor.run("info registers 0").contains("processor 0"));
    assertEquals(rounds, guest.rounds());
    assertEquals("", monitor.run("resume"));
    guest.awaitMoreRounds(rounds);
  }

  @Test
  void resetsInterruptsAndPowersOff() throws Exception {
    monitor.run("pause");
    final long before = guest.rounds();
    assertTrue(before > 0);
    monitor.run("reset");
    // Of a machine that stands it is complete when RAM is empty, and that stays until it goes on.
    while (guest.rounds() > 0) {
      Thread.sleep(1);
    }
    monitor.run("resume");
    guest.awaitMoreRounds(1);
    monitor.run("poweroff");
    guest.awaitMoreRounds(guest.rounds());
    monitor.run("poweroff now");
    assertEquals(
        Optional.of(new MachineExit.Stopped()),
        guest.machine.awaitExit(Duration.ofSeconds(SmallGuest.PATIENCE)));
  }

  @Test
  void nonMaskableInterruptReachesProcessors() throws Exception {
    // The guest has nobody for it.
    monitor.run("nmi");
    assertTrue(
        guest.machine.awaitExit(Duration.ofSeconds(SmallGuest.PATIENCE)).get()
            instanceof MachineExit.TripleFault);
  }

  @Test
  void dumpsMemory(@TempDir Path folder) throws Exception {
    long code = GuestFile.address("scale");
    Path piece = folder.resolve("piece");
    assertEquals(
        piece + ": 4 bytes\n",
        monitor.run("dump-memory " + piece + " 0x" + Long.toHexString(code) + " 4"));
    byte[] bytes = Files.readAllBytes(piece);
    assertEquals(0x55, bytes[0]);
    assertEquals(4, bytes.length);
    Path all = folder.resolve("all");
    assertEquals(all + ": 16777216 bytes\n", monitor.run("dump-memory " + all));
    assertEquals(16 << 20, Files.size(all));
    assertEquals(bytes[3], Files.readAllBytes(all)[(int) code + 3]);
    String refusal =
        assertThrows(MonitorException.class, () -> monitor.run("dump-memory " + all)).getMessage();
    assertTrue(refusal.contains("is there already"), refusal);
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "quux",
        "info",
        "info quux",
        "info registers 2",
        "info registers -1",
        "info registers 0 1",
        "info memory now",
        "poweroff soon",
        "resume now",
        "dump-memory",
        "dump-memory /nowhere/at/all",
        "dump-memory a 1",
        "dump-memory a 0xffffff 2",
        "dump-memory a 0 0",
        "dump-memory a x 1",
        "dump-memory a 0x 1",
        "dump-memory \0",
        "engine",
        "engine quux",
        "engine translator soon",
        "engine translator force force"
      })
  void refusesInOneLine(String line) {
    String message = assertThrows(MonitorException.class, () -> monitor.run(line)).getMessage();
    assertFalse(message.isBlank() || message.contains("\n"), message);
  }

  @Test
  void changesTheEngineOfARunningMachine() throws Exception {
    assertTrue(monitor.run("info engine").startsWith("interpreter runs"));
    long rounds = guest.rounds();
    for (String engine : List.of("translator", "interpreter", "translator")) {
      assertEquals("", monitor.run("engine " + engine));
      assertTrue(monitor.run("info engine").startsWith(engine + " runs"));
      guest.awaitMoreRounds(rounds);
      rounds = guest.rounds();
      assertTrue(monitor.run("info registers").contains("processor 1: runs"));
    }
    assertEquals(3, guest.machine.statistics().exits().get("engineChanges"));
  }

  @Test
  void changesTheEngineOfAPausedMachine() throws Exception {
    monitor.run("pause");
    final long rounds = guest.rounds();
    monitor.run("engine translator");
    assertEquals(rounds, guest.rounds());
    monitor.run("resume");
    guest.awaitMoreRounds(rounds);
  }

  @Test
  void completes() {
    assertEquals(List.of("pause", "poweroff"), monitor.complete(List.of(), "p"));
    assertEquals(List.of("interrupts"), monitor.complete(List.of("info"), "i"));
    assertEquals(List.of("0", "1"), monitor.complete(List.of("info", "registers"), ""));
    assertEquals(List.of("now"), monitor.complete(List.of("poweroff"), ""));
    assertEquals(List.of(), monitor.complete(List.of("pause"), ""));
    assertEquals(List.of(), monitor.complete(List.of("info", "registers", "0"), ""));
  }

  @Test
  void answersGdb() throws Exception {
    String output =
        new Gdb(
                GuestFile.path(),
                "target remote " + guest.server.target(),
                "monitor info memory",
                "monitor resume",
                "monitor nonsense",
                "detach")
            .finish();
    assertTrue(output.contains("RAM 000000000000"), output);
    assertTrue(output.contains("gdb still holds it"), output);
    assertTrue(output.contains("there is no command \"nonsense\""), output);
  }
}
