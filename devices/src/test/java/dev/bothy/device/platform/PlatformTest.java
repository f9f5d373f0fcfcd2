package dev.bothy.device.platform;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.bothy.core.AddressSpace;
import dev.bothy.device.TestClock;
import dev.bothy.device.TestWire;
import org.junit.jupiter.api.Test;

class PlatformTest {
  private final TestClock clock = new TestClock();
  private final TestWire irq = new TestWire();
  private final TestWire irq12 = new TestWire();
  private int calls;
  private final AddressSpace ports = new AddressSpace("ports");

  private I8042 keyboardController() {
    I8042 i8042 = new I8042(irq, irq12, () -> calls++);
    i8042.attach(ports);
    return i8042;
  }

  private int command(int value) {
    ports.write(0x64, 1, value);
    return (int) ports.read(0x60, 1);
  }

  @Test
  void controllerAnswersAsLinuxProbesIt() {
    keyboardController();
    assertEquals(0, ports.read(0x64, 1) & 1);
    assertEquals(0x55, command(0xaa));
    assertEquals(0x65, command(0x20));
    ports.write(0x64, 1, 0x60);
    ports.write(0x60, 1, 0x74);
    assertEquals(0x74, command(0x20));
    assertEquals(0, command(0xab));
    assertEquals(0, command(0xa9));
    ports.write(0x64, 1, 0xa7);
    assertEquals(0x20, command(0x20) & 0x20);
    ports.write(0x64, 1, 0xa8);
    assertEquals(0, command(0x20) & 0x20);
    // Auxiliary loop, then the same with its interrupt.
    ports.write(0x64, 1, 0xd3);
    ports.write(0x60, 1, 0x5a);
    assertEquals(0x21, ports.read(0x64, 1) & 0x21);
    assertEquals(0x5a, ports.read(0x60, 1));
    assertEquals(0, irq12.rises);
    ports.write(0x64, 1, 0x60);
    ports.write(0x60, 1, 0x47);
    ports.write(0x64, 1, 0xd3);
    ports.write(0x60, 1, 0xa5);
    assertEquals(1, irq12.rises);
    assertEquals(0xa5, ports.read(0x60, 1));
    assertFalse(irq12.high);
    assertEquals(2, command(0xd0) & 2);
  }

  @Test
  void keyboardIdentifiesItselfByteByByte() {
    keyboardController();
    ports.write(0x60, 1, 0xf2);
    assertEquals(1, irq.rises);
    assertEquals(0xfa, ports.read(0x60, 1));
    assertEquals(2, irq.rises);
    assertEquals(0xab, ports.read(0x60, 1));
    assertEquals(0x41, ports.read(0x60, 1));
    assertFalse(irq.high);
    ports.write(0x60, 1, 0xff);
    assertEquals(0xfa, ports.read(0x60, 1));
    assertEquals(0xaa, ports.read(0x60, 1));
    for (int value : new int[] {0xed, 0x07, 0xf3, 0x00, 0xf4, 0xf0, 0x00}) {
      ports.write(0x60, 1, value);
      assertEquals(0xfa, ports.read(0x60, 1));
    }
    assertEquals(2, ports.read(0x60, 1));
    assertEquals(0, ports.read(0x64, 1) & 1);
  }

  @Test
  void mouseAnswersThroughTheAuxiliaryPort() {
    keyboardController();
    ports.write(0x64, 1, 0x60);
    ports.write(0x60, 1, 0x47);
    int[][] dialogue = {
      {0xff, 0xfa, 0xaa, 0x00},
      {0xf2, 0xfa, 0x00},
      {0xe8, 0xfa},
      {3, 0xfa},
      {0xf3, 0xfa},
      {40, 0xfa},
      {0xf4, 0xfa},
      {0xe9, 0xfa, 0x20, 3, 40},
      {0xe1, 0xfe},
      {0xeb, 0xfa, 8, 0, 0}
    };
    for (int[] line : dialogue) {
      ports.write(0x64, 1, 0xd4);
      ports.write(0x60, 1, line[0]);
      for (int i = 1; i < line.length; i++) {
        assertTrue(irq12.high);
        assertEquals(0x21, ports.read(0x64, 1) & 0x21);
        assertEquals(line[i], ports.read(0x60, 1));
      }
      assertFalse(irq12.high);
    }
  }

  @Test
  void answerOfTheControllerGoesBeforeAKeyThatWaits() {
    keyboardController();
    ports.write(0x60, 1, 0xee);
    assertEquals(0x65, command(0x20));
    assertEquals(0xee, ports.read(0x60, 1));
    ports.write(0x60, 1, 0xee);
    ports.write(0x64, 1, 0xad);
    assertEquals(0, ports.read(0x64, 1) & 1);
    ports.write(0x64, 1, 0xae);
    assertEquals(0xee, ports.read(0x60, 1));
  }

  @Test
  void everyResetPath() {
    keyboardController();
    ports.write(0x64, 1, 0xfe);
    assertEquals(1, calls);
    ports.write(0x64, 1, 0xff);
    assertEquals(1, calls);
    ResetControl control = new ResetControl(() -> calls++);
    control.writeByte(0, 2);
    assertEquals(1, calls);
    control.writeByte(0, 6);
    assertEquals(2, calls);
    SystemControlPortA portA = new SystemControlPortA(() -> calls++);
    portA.writeByte(0, 2);
    assertEquals(2, portA.readByte(0));
    portA.writeByte(0, 3);
    assertEquals(3, calls);
  }

  @Test
  void sleepTypeFiveIsPowerOff() {
    AcpiPm pm = new AcpiPm(clock, irq, () -> calls++);
    assertEquals(1, pm.read(AcpiPm.PM1A_CONTROL, 2));
    pm.write(AcpiPm.PM1A_CONTROL, 2, 5 << 10);
    assertEquals(0, calls);
    assertEquals(5 << 10 | 1, pm.read(AcpiPm.PM1A_CONTROL, 2));
    pm.write(AcpiPm.PM1A_CONTROL, 2, 1 << 13 | 3 << 10);
    assertEquals(0, calls);
    pm.write(AcpiPm.PM1A_CONTROL, 2, 1 << 13 | 5 << 10);
    assertEquals(1, calls);
  }

  @Test
  void whatTheGuestHasEnabledWakesItFromSleepTypeOne() {
    int[] wakings = {0};
    AcpiPm pm =
        new AcpiPm(
            clock,
            irq,
            new AcpiPm.Power() {
              @Override
              public void off() {
                throw new AssertionError("off");
              }

              @Override
              public void sleep() {
                calls++;
              }

              @Override
              public void wake() {
                wakings[0]++;
              }
            });
    pm.write(AcpiPm.PM1A_CONTROL, 2, 1 << 13 | 1 << 10);
    assertEquals(1, calls);
    assertTrue(pm.asleep());
    pm.clockInterrupts();
    assertFalse(pm.wakes(), "not enabled");
    pm.pressPowerButton();
    pm.pressPowerButton();
    assertTrue(pm.wakes());
    assertEquals(1, wakings[0]);
    pm.awake();
    assertFalse(pm.asleep());
    assertEquals(0x8500, pm.read(AcpiPm.PM1A_EVENT, 2), "why it is awake");
    pm.write(AcpiPm.PM1A_EVENT, 2, 0xffff);
    pm.write(AcpiPm.PM1A_EVENT + 2, 2, 0x400);
    pm.write(AcpiPm.PM1A_CONTROL, 2, 1 << 13 | 1 << 10);
    pm.clockInterrupts();
    assertEquals(2, wakings[0]);
    pm.reset();
    assertFalse(pm.asleep());
    pm.clockInterrupts();
    pm.write(AcpiPm.PM1A_EVENT + 2, 2, 0x400);
    pm.write(AcpiPm.PM1A_CONTROL, 2, 1 << 13 | 1 << 10);
    assertEquals(3, wakings[0], "it had come before");
  }

  @Test
  void powerButtonRaisesSci() {
    AcpiPm pm = new AcpiPm(clock, irq, () -> calls++);
    pm.pressPowerButton();
    assertFalse(irq.high);
    pm.write(AcpiPm.PM1A_EVENT + 2, 2, 0x100);
    assertTrue(irq.high);
    assertEquals(0x100, pm.read(AcpiPm.PM1A_EVENT, 2));
    pm.write(AcpiPm.PM1A_EVENT, 2, 0x100);
    assertFalse(irq.high);
    pm.raiseGeneralEvent(9);
    pm.write(AcpiPm.GPE0 + 3, 1, 2);
    assertTrue(irq.high);
    pm.write(AcpiPm.GPE0, 2, 0x200);
    assertFalse(irq.high);
  }

  @Test
  void pmTimerCountsAndItsTurnInterrupts() {
    AcpiPm pm = new AcpiPm(clock, irq, () -> calls++);
    assertEquals(0, pm.read(AcpiPm.PM_TIMER, 4));
    clock.advance(1_000_000_000);
    assertEquals(3_579_545, pm.read(AcpiPm.PM_TIMER, 4));
    pm.write(AcpiPm.PM1A_EVENT + 2, 2, 1);
    clock.advance(600_000_000_000L); // bit 31 turns after 599.9 s
    assertTrue(irq.high);
    pm.write(AcpiPm.PM1A_EVENT, 2, 1);
    assertFalse(irq.high);
    assertEquals(0, pm.read(AcpiPm.PM1A_EVENT, 2));
  }

  @Test
  void debugExitTellsTheValue() {
    int[] got = {-1};
    DebugExit exit = new DebugExit(value -> got[0] = value);
    exit.write(0, 1, 0x10);
    assertEquals(0x10, got[0]);
  }
}
