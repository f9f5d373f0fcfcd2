package dev.bothy.device.interrupt;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.bothy.core.CpuEvents;
import dev.bothy.device.TestClock;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

class LocalApicTest {
  private static final int TPR = 0x80;
  private static final int PPR = 0xa0;
  private static final int EOI = 0xb0;
  private static final int LDR = 0xd0;
  private static final int DFR = 0xe0;
  private static final int SVR = 0xf0;
  private static final int ISR = 0x100;
  private static final int IRR = 0x200;
  private static final int ESR = 0x280;
  private static final int ICR = 0x300;
  private static final int ICR_HIGH = 0x310;
  private static final int LVT_TIMER = 0x320;
  private static final int LVT_LINT0 = 0x350;
  private static final int LVT_ERROR = 0x370;
  private static final int INITIAL = 0x380;
  private static final int CURRENT = 0x390;
  private static final int DIVIDE = 0x3e0;
  private static final int MSR_DEADLINE = 0x6e0;

  private final TestClock clock = new TestClock();
  private final ApicBus bus = new ApicBus(clock, 4);
  private final List<String> events = new ArrayList<>();

  @BeforeEach
  void start() {
    for (int i = 0; i < 4; i++) {
      int cpu = i;
      bus.connect(
          i,
          new CpuEvents() {
            @Override
            public void interruptChanged() {
              events.add(cpu + " interrupt");
            }

            @Override
            public void nmi() {
              events.add(cpu + " nmi");
            }

            @Override
            public void init() {
              events.add(cpu + " init");
            }

            @Override
            public void startup(int page) {
              events.add(cpu + " startup " + page);
            }
          });
      write(i, SVR, 0x1ff);
    }
  }

  private void write(int cpu, int register, long value) {
    bus.localApic(cpu).write(register, 4, value);
  }

  private long read(int cpu, int register) {
    return bus.localApic(cpu).read(register, 4) & 0xffff_ffffL;
  }

  private boolean requested(int cpu, int vector) {
    return (read(cpu, IRR + vector / 32 * 0x10) >>> vector % 32 & 1) != 0;
  }

  private void x2Apic(int cpu) {
    assertTrue(bus.localApic(cpu).setApicBase(bus.localApic(cpu).apicBase() | 0xc00));
  }

  @Test
  void resetStateIsThatOfTheManual() {
    LocalApic apic = bus.localApic(1);
    apic.reset();
    assertEquals(0x0100_0000, read(1, 0x20));
    assertEquals(0x50014, read(1, 0x30));
    assertEquals(0xffff_ffffL, read(1, DFR));
    assertEquals(0xff, read(1, SVR));
    assertEquals(0x10000, read(1, LVT_TIMER));
    assertEquals(0xfee0_0800L, apic.apicBase());
    assertEquals(0xfee0_0900L, bus.localApic(0).apicBase());
  }

  @Test
  void highestVectorAboveThePriorityComesFirst() {
    LocalApic apic = bus.localApic(0);
    bus.send(0xfee0_0000L, 0x31);
    bus.send(0xfee0_0000L, 0x52);
    assertTrue(apic.interruptPending());
    assertEquals(0x52, apic.acknowledge());
    assertFalse(apic.interruptPending());
    assertEquals(-1, apic.acknowledge());
    assertEquals(0x50, read(0, PPR));
    write(0, EOI, 0);
    assertEquals(0x31, apic.acknowledge());
    assertEquals(1L << 0x11, read(0, ISR + 0x10));
    write(0, EOI, 0);
    assertEquals(0, read(0, PPR));
  }

  @Test
  void taskPriorityHoldsBackAndCr8ShowsIt() {
    LocalApic apic = bus.localApic(0);
    apic.setTaskPriority(5);
    assertEquals(0x50, read(0, TPR));
    bus.send(0xfee0_0000L, 0x5f);
    assertFalse(apic.interruptPending());
    events.clear();
    write(0, TPR, 0x4f);
    assertTrue(apic.interruptPending());
    assertEquals(List.of("0 interrupt"), events);
    assertEquals(4, apic.taskPriority());
  }

  @Test
  void softwareDisabledApicTakesNoFixedInterruptsAndMasksItsTable() {
    write(0, LVT_TIMER, 0x40);
    write(0, SVR, 0xff);
    bus.send(0xfee0_0000L, 0x52);
    assertFalse(requested(0, 0x52));
    assertEquals(0x10040, read(0, LVT_TIMER));
    write(0, LVT_TIMER, 0x41);
    assertEquals(0x10041, read(0, LVT_TIMER));
    bus.send(0xfee0_0000L, 0x400);
    assertTrue(events.contains("0 nmi"));
  }

  @Test
  void physicalAndLogicalDestinations() {
    write(0, ICR_HIGH, 2 << 24);
    write(0, ICR, 0x4041);
    assertTrue(requested(2, 0x41) && !requested(1, 0x41));
    for (int i = 0; i < 4; i++) {
      write(i, LDR, 1L << 24 + i);
    }
    write(0, ICR_HIGH, 0b1010L << 24);
    write(0, ICR, 0x4842);
    assertTrue(requested(1, 0x42) && requested(3, 0x42) && !requested(0, 0x42));
    for (int i = 0; i < 4; i++) {
      write(i, DFR, 0x0fff_ffff);
      write(i, LDR, (long) (i / 2) << 28 | 1L << 24 + i % 2);
    }
    write(0, ICR_HIGH, 0x12L << 24);
    write(0, ICR, 0x4843);
    assertTrue(requested(3, 0x43) && !requested(1, 0x43) && !requested(2, 0x43));
    write(0, ICR_HIGH, 0xffL << 24);
    write(0, ICR, 0x4044);
    for (int i = 0; i < 4; i++) {
      assertTrue(requested(i, 0x44));
    }
  }

  @Test
  void shorthands() {
    write(1, ICR, 0x4_4051);
    assertTrue(requested(1, 0x51) && !requested(0, 0x51));
    write(1, ICR, 0x8_4052);
    assertTrue(requested(1, 0x52) && requested(0, 0x52));
    write(1, ICR, 0xc_4053);
    assertTrue(!requested(1, 0x53) && requested(0, 0x53) && requested(3, 0x53));
  }

  @Test
  void startUpSequenceReachesTheProcessor() {
    write(0, ICR_HIGH, 1 << 24);
    write(0, ICR, 0xc500);
    write(0, ICR, 0x8500); // de-assert: nothing
    write(0, ICR, 0x4609);
    write(0, ICR, 0x4400);
    assertEquals(List.of("1 init", "1 startup 9", "1 nmi"), events);
    assertEquals(0, read(0, ICR) & 0x1000);
  }

  @Test
  void lowestPriorityPrefersTheIdleProcessor() {
    for (int i = 0; i < 4; i++) {
      write(i, LDR, 1L << 24 + i);
      write(i, TPR, i == 2 ? 0 : 0x80);
    }
    for (int vector = 0x90; vector < 0x98; vector++) {
      bus.send(0xfee0_f00cL, vector);
      assertTrue(requested(2, vector));
    }
  }

  @Test
  void illegalVectorsAreErrors() {
    write(0, LVT_ERROR, 0xfe);
    write(0, ICR, 0x4_4005);
    assertTrue(requested(0, 0xfe));
    assertEquals(0, read(0, ESR));
    write(0, ESR, 0);
    assertEquals(0x20, read(0, ESR));
    bus.send(0xfee0_0000L, 3);
    read(0, 0x3f0);
    write(0, ESR, 0);
    assertEquals(0xc0, read(0, ESR));
    write(0, ESR, 0);
    assertEquals(0, read(0, ESR));
  }

  @Test
  void oneShotTimerCountsDownByItsDivider() {
    write(0, LVT_TIMER, 0x40);
    write(0, DIVIDE, 0x3); // 16
    write(0, INITIAL, 1000);
    clock.advance(1600);
    assertEquals(900, read(0, CURRENT));
    clock.advance(14_399);
    assertFalse(requested(0, 0x40));
    clock.advance(1);
    assertTrue(requested(0, 0x40));
    assertEquals(0, read(0, CURRENT));
    assertEquals(0, clock.advance(1_000_000));
    write(0, DIVIDE, 0xb);
    write(0, INITIAL, 7);
    clock.advance(3);
    assertEquals(4, read(0, CURRENT));
  }

  @Test
  void periodicTimerGoesOnAndDoesNotFloodAfterADelay() {
    LocalApic apic = bus.localApic(0);
    write(0, LVT_TIMER, 0x2_0040);
    write(0, DIVIDE, 0xb);
    write(0, INITIAL, 1_000_000);
    int ticks = 0;
    for (int i = 0; i < 100; i++) {
      clock.advance(100_000);
      while (apic.interruptPending()) {
        assertEquals(0x40, apic.acknowledge());
        write(0, EOI, 0);
        ticks++;
      }
    }
    assertEquals(10, ticks);
    assertTrue(clock.oversleep(1_000_000_500) <= 2);
    assertEquals(999_500, read(0, CURRENT));
    assertEquals(1, clock.advance(999_500));
  }

  @Test
  void maskedTimerStaysSilent() {
    write(0, LVT_TIMER, 0x1_0040);
    write(0, INITIAL, 10);
    clock.advance(1000);
    assertFalse(requested(0, 0x40));
  }

  @Test
  void deadlineTimerFollowsTheTsc() {
    LocalApic apic = bus.localApic(0);
    apic.writeMsr(MSR_DEADLINE, 500);
    assertEquals(0, apic.readMsr(MSR_DEADLINE).getAsLong()); // not in this mode
    write(0, LVT_TIMER, 0x4_00ec);
    apic.setTscOffset(10_000);
    apic.writeMsr(MSR_DEADLINE, 10_500);
    assertEquals(10_500, apic.readMsr(MSR_DEADLINE).getAsLong());
    write(0, INITIAL, 5);
    assertEquals(0, read(0, CURRENT));
    clock.advance(499);
    assertFalse(requested(0, 0xec));
    clock.advance(1);
    assertTrue(requested(0, 0xec));
    assertEquals(0, apic.readMsr(MSR_DEADLINE).getAsLong());
    assertEquals(0xec, apic.acknowledge());
    write(0, EOI, 0);
    apic.writeMsr(MSR_DEADLINE, 1); // long past
    assertEquals(0xec, apic.acknowledge());
    write(0, EOI, 0);
    apic.writeMsr(MSR_DEADLINE, -1);
    apic.writeMsr(MSR_DEADLINE, 0);
    assertEquals(0, clock.advance(1_000_000_000));
    apic.writeMsr(MSR_DEADLINE, 20_000_000_000L);
    write(0, LVT_TIMER, 0xec); // leaving the mode disarms
    assertEquals(0, clock.advance(30_000_000_000L));
  }

  @Test
  void baseRegisterAllowsOnlyTheManualsTransitions() {
    LocalApic apic = bus.localApic(0);
    assertFalse(apic.setApicBase(0xfee0_0d01L));
    assertFalse(apic.setApicBase(0xfee0_0500L));
    assertFalse(apic.setApicBase(1L << 40 | 0xfee0_0900L));
    assertEquals(0xfee0_0000L, apic.baseAddress());
    assertTrue(apic.setApicBase(0xfed0_0900L));
    assertEquals(0xfed0_0000L, apic.baseAddress());
    x2Apic(0);
    assertEquals(-1, apic.baseAddress());
    assertFalse(apic.setApicBase(0xfee0_0900L));
    assertTrue(apic.setApicBase(0xfee0_0100L));
    assertEquals(-1, apic.baseAddress());
    assertFalse(apic.setApicBase(0xfee0_0d00L));
    assertTrue(apic.setApicBase(0xfee0_0900L));
    assertEquals(0xff, read(0, SVR));
  }

  @Test
  void x2ApicRegistersCheckReservedBitsAndDirection() {
    LocalApic apic = bus.localApic(3);
    assertFalse(apic.ownsMsr(0x802));
    assertTrue(apic.readMsr(0x802).isEmpty());
    x2Apic(3);
    assertTrue(apic.ownsMsr(0x802));
    assertEquals(3, apic.readMsr(0x802).getAsLong());
    assertEquals(8, apic.readMsr(0x80d).getAsLong());
    assertTrue(apic.readMsr(0x80b).isEmpty());
    assertTrue(apic.readMsr(0x80e).isEmpty());
    assertTrue(apic.readMsr(0x831).isEmpty());
    assertTrue(apic.readMsr(0x83f).isEmpty());
    assertTrue(apic.readMsr(0x8ff).isEmpty());
    assertFalse(apic.writeMsr(0x802, 0));
    assertFalse(apic.writeMsr(0x80b, 1));
    assertTrue(apic.writeMsr(0x80b, 0));
    assertFalse(apic.writeMsr(0x808, 0x100));
    assertFalse(apic.writeMsr(0x828, 1));
    assertFalse(apic.writeMsr(0x839, 0));
    assertFalse(apic.writeMsr(0x838, 1L << 32));
    assertFalse(apic.writeMsr(0x83e, 4));
    assertFalse(apic.writeMsr(0x832, 1 << 20));
    assertTrue(apic.writeMsr(0x835, 0x8700));
    assertTrue(apic.writeMsr(0x83f, 0x77));
    assertEquals(0x77, apic.acknowledge());
  }

  @Test
  void x2ApicMessagesUseWideDestinations() {
    for (int i = 0; i < 4; i++) {
      x2Apic(i);
    }
    LocalApic apic = bus.localApic(0);
    assertTrue(apic.writeMsr(0x830, 2L << 32 | 0x4061));
    assertEquals(2L << 32 | 0x4061, apic.readMsr(0x830).getAsLong());
    assertEquals(0x61, bus.localApic(2).acknowledge());
    assertTrue(apic.writeMsr(0x830, 0b1100L << 32 | 0x4862));
    assertEquals(0x62, bus.localApic(3).acknowledge());
    bus.localApic(2).writeMsr(0x80b, 0);
    assertEquals(0x62, bus.localApic(2).acknowledge());
    assertTrue(apic.writeMsr(0x830, 0xffL << 32 | 0x4063)); // nobody
    assertFalse(bus.localApic(1).interruptPending());
    assertTrue(apic.writeMsr(0x830, 0xffff_ffffL << 32 | 0x4064));
    assertEquals(0x64, bus.localApic(1).acknowledge());
  }

  @Test
  void wholeRegistersOnly() {
    LocalApic apic = bus.localApic(0);
    apic.write(TPR, 1, 0x20);
    apic.write(TPR + 4, 4, 0x20);
    assertEquals(0, read(0, TPR));
    apic.write(TPR, 8, 0x20);
    assertEquals(0x20, read(0, TPR));
    assertEquals(0x05, apic.read(0x32, 2) & 0xffff);
    assertEquals(0, apic.read(0x34, 4));
  }

  @Test
  void lint0AsFixedLevelInterruptWaitsForEoi() {
    write(0, LVT_LINT0, 0x8060);
    bus.localApic(0).lint(0, true);
    assertEquals(0xc060, read(0, LVT_LINT0));
    assertEquals(0x60, bus.localApic(0).acknowledge());
    write(0, EOI, 0);
    assertEquals(0x60, bus.localApic(0).acknowledge());
    bus.localApic(0).lint(0, false);
    write(0, EOI, 0);
    assertFalse(bus.localApic(0).interruptPending());
    assertEquals(0x8060, read(0, LVT_LINT0));
  }

  @Test
  void nmiButtonComesThroughLint1() {
    bus.pulseNmi();
    assertFalse(events.contains("0 nmi"));
    bus.localApic(0).enterVirtualWireMode();
    bus.pulseNmi();
    assertTrue(events.contains("0 nmi") && !events.contains("1 nmi"));
  }

  @Test
  void theIdIsSoftwaresUntilTheApicIsSwitchedOff() {
    LocalApic apic = bus.localApic(1);
    write(1, 0x20, 2 << 24);
    assertEquals(2 << 24, read(1, 0x20));
    assertTrue(apic.matches(2, false, false));
    assertFalse(apic.matches(1, false, false));
    assertTrue(bus.localApic(2).matches(2, false, false), "both have it");
    assertEquals(1, apic.id(), "CPUID's");
    apic.init();
    assertTrue(apic.matches(2, false, false), "INIT leaves it");
    apic.setApicBase(0xfee0_0c00L);
    assertTrue(apic.matches(1, false, false), "not in x2APIC mode");
    apic.setApicBase(0xfee0_0000L);
    apic.setApicBase(0xfee0_0800L);
    assertEquals(1 << 24, read(1, 0x20));
  }

  @Test
  void aCommandIsSentWithoutTheCommandRegister() {
    write(3, SVR, 0x1ff);
    bus.localApic(0).sendCommand(0x4051, 3);
    assertEquals(1 << 0x11, read(3, IRR + 0x20));
    assertEquals(0, read(0, ICR));
  }

  @Test
  void aCountGoesOnWhenItsModeChangesAndIsReloadedOnlyAtItsEnd() {
    write(0, LVT_TIMER, 0x50);
    write(0, DIVIDE, 0xb);
    write(0, INITIAL, 10_000_000);
    clock.advance(6_000_000);
    assertEquals(4_000_000, read(0, CURRENT));
    write(0, LVT_TIMER, 0x2_0050);
    assertEquals(4_000_000, read(0, CURRENT), "periodic now");
    clock.advance(5_000_000);
    assertEquals(9_000_000, read(0, CURRENT), "begun again");
    clock.advance(4_000_000);
    write(0, LVT_TIMER, 0x50);
    assertEquals(5_000_000, read(0, CURRENT), "one-shot again");
    clock.advance(6_000_000);
    assertEquals(0, read(0, CURRENT));
    write(0, LVT_TIMER, 0x2_0050);
    assertEquals(0, read(0, CURRENT), "what has ended does not begin again");
  }

  /** The thread that the clock's timers fire on is late: a guest cannot tell. */
  @Test
  void whatTheClockHasNotToldYetIsPast() {
    write(0, LVT_TIMER, 0x50);
    write(0, DIVIDE, 0xb);
    write(0, INITIAL, 1_000);
    clock.outrun(1_500);
    assertEquals(0, read(0, CURRENT));
    write(0, LVT_TIMER, 0x2_0051);
    assertEquals(0, read(0, CURRENT), "what has ended does not begin again");
    assertTrue(requested(0, 0x50));
    assertFalse(requested(0, 0x51));
    assertEquals(0, clock.advance(10_000));

    accept(0x50);
    write(0, LVT_TIMER, 0x50);
    write(0, INITIAL, 1_000);
    clock.outrun(1_500);
    write(0, INITIAL, 2_000);
    accept(0x50);
    clock.advance(1_999);
    assertFalse(requested(0, 0x50));
    clock.advance(1);
    accept(0x50);

    write(0, INITIAL, 1_000);
    clock.outrun(1_500);
    write(0, DIVIDE, 0x3);
    accept(0x50);
    assertEquals(0, read(0, CURRENT));

    write(0, INITIAL, 1_000);
    clock.outrun(16_500);
    write(0, LVT_TIMER, 0x1_0050);
    accept(0x50);

    write(0, LVT_TIMER, 0x4_0050);
    bus.localApic(0).writeMsr(MSR_DEADLINE, clock.nanos() + 1_000);
    clock.outrun(1_500);
    bus.localApic(0).writeMsr(MSR_DEADLINE, 0);
    accept(0x50);
    assertEquals(0, clock.advance(10_000));
  }

  private void accept(int vector) {
    assertTrue(requested(0, vector));
    assertEquals(vector, bus.localApic(0).acknowledge());
    write(0, EOI, 0);
  }
}
