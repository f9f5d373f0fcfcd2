package dev.bothy.machine;

import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.bothy.x86.interpret.InterpreterEngine;
import dev.bothy.x86.translate.TranslatorEngine;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Sleep state S3: ACPI specification, sections 7.4.2.2 and 16. */
@Timeout(600)
class SleepTest {

  /** Of the ACPI tables' FACS. */
  private static final long WAKING_VECTOR = MemoryMap.FIRMWARE_START + 64 + 12;

  private static final int AWAKE = 0x8120;

  /** Real mode: the debug exit with the byte at 0x9000, plus one if CS is not the vector's. */
  private static final String GOES_ON =
      "8cc8" // mov ax, cs
          + "2d1208" // sub ax, 0x812
          + "0206 0090" // add al, [0x9000]
          + "e6f4" // out 0xf4, al
          + "f4";

  /** PM1 enable: {@code enable}; [0x9000] = 5; sleep; [0x9000] = 6 if that does nothing. */
  private static String sleeps(String enable) {
    return "66ba0206" // mov dx, 0x602
        + "66b8"
        + enable // mov ax, enable
        + "66ef" // out dx, ax
        + "c6050090000005" // mov byte [0x9000], 5
        + "66ba0406" // mov dx, 0x604
        + "66b80024" // mov ax, SLP_EN | 1 << 10
        + "66ef" // out dx, ax
        + "c6050090000006" // mov byte [0x9000], 6
        + "ebf7";
  }

  /** Alarm each second, interrupt enabled. */
  private static final String ALARM =
      "b001e670b0c0e671b003e670b0c0e671b005e670b0c0e671" + "b00be670b022e671" + "b00ce670e471";

  private final AtomicInteger boots = new AtomicInteger();

  private MachineOptions options(EngineFactory engine, String hex) {
    return MachineOptions.of(
            8 << 20,
            engine,
            environment -> {
              boots.incrementAndGet();
              var memory = environment.memory();
              memory.write(AWAKE, MachineCode.bytes(GOES_ON));
              memory.writeInt(WAKING_VECTOR, AWAKE);
              return MachineCode.of(hex).load(environment);
            },
            _ -> {})
        .withDebugExit(true);
  }

  @Test
  void theClockWakesAGuestThatGoesOnWithItsMemory() throws Exception {
    for (EngineFactory engine :
        new EngineFactory[] {InterpreterEngine::new, TranslatorEngine::new}) {
      boots.set(0);
      try (Machine machine = new Machine(options(engine, ALARM + sleeps("0004")))) {
        machine.start();
        assertEquals(new MachineExit.DebugExit(5), machine.awaitExit());
        assertEquals(1, boots.get());
      }
    }
  }

  @Test
  void sleepIsShortWhereTimeJumps() throws Exception {
    MachineOptions options = options(InterpreterEngine::new, ALARM + sleeps("0004"));
    try (Machine machine = new Machine(options.withCountedClock(10))) {
      machine.start();
      assertEquals(new MachineExit.DebugExit(5), machine.awaitExit());
    }
  }

  private static void awaitSleep(Machine machine) {
    while (!machine.asleep()) {
      Thread.onSpinWait();
    }
  }

  @Test
  void thePowerButtonWakesAlways() throws Exception {
    try (Machine machine = new Machine(options(InterpreterEngine::new, sleeps("0000")))) {
      machine.start();
      awaitSleep(machine);
      machine.pressPowerButton();
      assertEquals(new MachineExit.DebugExit(5), machine.awaitExit());
    }
  }

  @Test
  void aSleepingMachineIsSavedAndWakesElsewhere() throws Exception {
    ByteArrayOutputStream saved = new ByteArrayOutputStream();
    try (Machine machine = new Machine(options(InterpreterEngine::new, sleeps("0000")))) {
      machine.start();
      awaitSleep(machine);
      machine.pause();
      machine.save(saved);
    }
    try (Machine machine = new Machine(options(InterpreterEngine::new, sleeps("0000")))) {
      machine.load(new ByteArrayInputStream(saved.toByteArray()));
      machine.resume();
      machine.pressPowerButton();
      assertEquals(new MachineExit.DebugExit(5), machine.awaitExit());
      assertEquals(1, boots.get());
    }
  }

  @ParameterizedTest
  @ValueSource(ints = {0, 0x10_0000, -1})
  void whoSaysNowhereToGoOnStartsAnew(int vector) throws Exception {
    // Sleeps the first time, and ends the machine the second: CMOS RAM tells.
    String second = "b070e670e4713c017505b003e6f4f4b070e670b001e671";
    String nowhere = "c705%s%s".formatted(little((int) WAKING_VECTOR), little(vector));
    MachineOptions options = options(InterpreterEngine::new, second + nowhere + sleeps("0000"));
    try (Machine machine = new Machine(options)) {
      machine.start();
      awaitSleep(machine);
      machine.pressPowerButton();
      assertEquals(new MachineExit.DebugExit(3), machine.awaitExit());
      assertEquals(2, boots.get());
    }
  }

  @Test
  void whoSaysNowhereEndsIfItIsNotToStartAnew() throws Exception {
    String nowhere = "c705%s%s".formatted(little((int) WAKING_VECTOR), little(0));
    MachineOptions options = options(InterpreterEngine::new, nowhere + sleeps("0000"));
    try (Machine machine = new Machine(options.withReboot(false))) {
      machine.start();
      awaitSleep(machine);
      machine.pressPowerButton();
      assertEquals(new MachineExit.Reset(), machine.awaitExit());
      assertEquals(1, boots.get());
    }
  }

  private static String little(int value) {
    return "%08x".formatted(Integer.reverseBytes(value));
  }
}
