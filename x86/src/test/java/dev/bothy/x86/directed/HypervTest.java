package dev.bothy.x86.directed;

import static dev.bothy.x86.directed.TestMachine.*;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.bothy.core.MachineClock;
import dev.bothy.core.SyntheticConnections;
import dev.bothy.core.SyntheticInterruptTarget;
import dev.bothy.core.Timer;
import dev.bothy.core.cpu.CpuModel;
import dev.bothy.core.cpu.CpuState;
import dev.bothy.core.state.StateReader;
import dev.bothy.core.state.StateWriter;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class HypervTest extends EngineTest {
  private static final int GUEST_OS_ID = 0x4000_0000;
  private static final int HYPERCALL = 0x4000_0001;
  private static final int VP_INDEX = 0x4000_0002;
  private static final int TIME_REF_COUNT = 0x4000_0020;
  private static final int REFERENCE_TSC = 0x4000_0021;
  private static final int SCONTROL = 0x4000_0080;
  private static final int SIMP = 0x4000_0083;
  private static final int EOM = 0x4000_0084;
  private static final int SINT0 = 0x4000_0090;
  private static final int TIMER0_CONFIG = 0x4000_00b0;
  private static final int TIMER0_COUNT = 0x4000_00b1;
  private static final long PAGE = DATA + 0x3000;
  private static final int MASKED = 1 << 16;

  /** Time that a test moves, and the timer that the processor has. */
  private static final class Clock implements MachineClock, Timer {
    private long now = 1_000_000;
    private long deadline = -1;
    private Runnable action;

    @Override
    public long nanos() {
      return now;
    }

    @Override
    public long wallNanos() {
      return now;
    }

    @Override
    public Timer newTimer(String name, Runnable onExpiry) {
      action = onExpiry;
      return this;
    }

    @Override
    public void armAt(long nanos) {
      deadline = nanos;
    }

    @Override
    public void cancel() {
      deadline = -1;
    }

    @Override
    public boolean armed() {
      return deadline >= 0;
    }

    @Override
    public long deadline() {
      return deadline;
    }

    void advanceTo(long nanos) {
      now = nanos;
      if (deadline >= 0 && deadline <= now) {
        deadline = -1;
        action.run();
      }
    }
  }

  private final Clock clock = new Clock();

  private TestMachine machine() {
    return machine(1);
  }

  private TestMachine machine(int cpus) {
    return new TestMachine(
        engine::create, engine.counts(), clock, true, CpuModel.parse("v2,+hyperv"), cpus);
  }

  /** Runs one instruction or so of kernel code; returns the vector it ended with, or -1. */
  private static int execute(TestMachine m, String code, long rcx, long value) {
    CpuState s = m.long64(0);
    s.setGpr(RCX, rcx);
    s.setGpr(RAX, value & 0xffff_ffffL);
    s.setGpr(RDX, value >>> 32);
    m.code(64, m.assembler(64).hex(code).hlt());
    m.run();
    return m.vector();
  }

  private static void write(TestMachine m, int msr, long value) {
    assertEquals(-1, execute(m, "0f 30", msr, value));
  }

  private static long read(TestMachine m, int msr) {
    assertEquals(-1, execute(m, "0f 32", msr, 0));
    return m.gpr(RDX) << 32 | m.gpr(RAX);
  }

  private static void idle(TestMachine m) {
    execute(m, "90", 0, 0);
  }

  @Test
  void otherModelsHaveNoneOfIt() {
    try (var m = newMachine()) {
      assertEquals(13, execute(m, "0f 32", TIME_REF_COUNT, 0));
      execute(m, "0f a2", 0, 0x4000_0000);
      assertEquals(0x4b4d_564b, m.gpr(RBX), "KVM");
    }
  }

  @Test
  void cpuidNamesBothInterfaces() {
    try (var m = machine()) {
      execute(m, "0f a2", 0, 0x4000_0000);
      assertEquals(0x7263_694d, m.gpr(RBX), "Micr");
      execute(m, "0f a2", 0, 0x4000_0003);
      assertEquals(0xe, m.gpr(RAX) & 0xe, "time, interrupts, timers");
      execute(m, "0f a2", 0, 0x4000_0100);
      assertEquals(0x4b4d_564b, m.gpr(RBX), "KVM");
      assertEquals(0x4000_0110, m.gpr(RAX));
    }
  }

  @Test
  void thePageAndTheRegisterTellTheSameTime() {
    try (var m = machine()) {
      write(m, REFERENCE_TSC, PAGE | 1);
      assertEquals(PAGE | 1, read(m, REFERENCE_TSC));
      assertEquals(1, m.memory.readInt(PAGE));
      Random random = new Random(1);
      for (int i = 0; i < 50; i++) {
        long hundreds = random.nextLong(1L << 40);
        for (long nanos = 100 * hundreds - 1; nanos <= 100 * hundreds + 1; nanos++) {
          clock.now = Math.max(nanos, 0);
          long byPage =
              Math.multiplyHigh(clock.now, m.memory.readLong(PAGE + 8))
                  + m.memory.readLong(PAGE + 16);
          assertEquals(clock.now / 100, byPage);
        }
        assertEquals(clock.now / 100, read(m, TIME_REF_COUNT));
      }
      write(m, 0x10, 5); // the TSC
      assertEquals(0, m.memory.readInt(PAGE), "no longer by the page");
    }
  }

  @Test
  void aPageForHypercallsIsForGuestsThatSayWhatTheyAre() {
    try (var m = machine()) {
      write(m, HYPERCALL, PAGE | 1);
      assertEquals(0, read(m, HYPERCALL));
      write(m, GUEST_OS_ID, 0x8100L << 48);
      write(m, HYPERCALL, PAGE | 1);
      assertEquals(0xc3d9_010f, m.memory.readInt(PAGE));
      CpuState s = m.long64(0);
      s.setGpr(RBX, PAGE);
      s.setGpr(RCX, 0x7f);
      m.code(64, m.assembler(64).hex("ff d3").hlt());
      m.run();
      assertEquals(2, m.gpr(RAX), "there is no such call");
      write(m, GUEST_OS_ID, 0);
      assertEquals(0, read(m, HYPERCALL));
    }
  }

  @Test
  void aLockedPageForHypercallsStays() {
    try (var m = machine()) {
      write(m, GUEST_OS_ID, 0x8100L << 48);
      write(m, HYPERCALL, PAGE | 3);
      write(m, HYPERCALL, DATA | 1);
      assertEquals(PAGE | 3, read(m, HYPERCALL));
      assertEquals(0, m.memory.readInt(DATA));
    }
  }

  @Test
  void thePageDoesNotHoldIfAnyProcessorsTimeWasMoved() {
    try (var m = machine(2)) {
      m.cpus[1].state().set(CpuState.TSC_OFFSET, 5);
      write(m, REFERENCE_TSC, PAGE | 1);
      assertEquals(0, m.memory.readInt(PAGE));
      m.cpus[1].state().set(CpuState.TSC_OFFSET, 0);
      write(m, REFERENCE_TSC, PAGE | 1);
      assertEquals(1, m.memory.readInt(PAGE));
    }
  }

  private void prepareMessages(TestMachine m, long source) {
    m.memory.write(PAGE, new byte[4096]);
    write(m, SIMP, PAGE | 1);
    write(m, SCONTROL, 1);
    write(m, SINT0 + 2, source);
  }

  @Test
  void aTimerThatHasExpiredPostsItsMessageAndInterrupts() {
    try (var m = machine()) {
      prepareMessages(m, 0x51);
      write(m, TIMER0_COUNT, 20_000);
      write(m, TIMER0_CONFIG, 2 << 16 | 1);
      clock.advanceTo(1_999_999);
      idle(m);
      assertEquals(0, m.memory.readInt(PAGE + 512));
      clock.advanceTo(2_000_100);
      idle(m);
      assertEquals(0x8000_0010, m.memory.readInt(PAGE + 512));
      assertEquals(24, m.memory.readByte(PAGE + 512 + 4));
      assertEquals(0, m.memory.readLong(PAGE + 512 + 16), "the first timer");
      assertEquals(20_000, m.memory.readLong(PAGE + 512 + 24));
      assertEquals(20_001, m.memory.readLong(PAGE + 512 + 32));
      assertEquals(List.of(0x4_4051L), m.apic.commands);
      assertEquals(2 << 16, read(m, TIMER0_CONFIG), "disabled");
    }
  }

  @Test
  void aMessageWithoutAPlaceWaitsForTheEndOfTheOneBefore() {
    try (var m = machine()) {
      prepareMessages(m, 0x51);
      m.memory.writeInt(PAGE + 512, 77);
      write(m, TIMER0_COUNT, 20_000);
      write(m, TIMER0_CONFIG, 2 << 16 | 1);
      clock.advanceTo(3_000_000);
      idle(m);
      assertEquals(1, m.memory.readByte(PAGE + 512 + 5), "pending");
      assertEquals(List.of(), m.apic.commands);
      m.memory.writeInt(PAGE + 512, 0);
      write(m, EOM, 0);
      assertEquals(0x8000_0010, m.memory.readInt(PAGE + 512));
      assertEquals(List.of(0x4_4051L), m.apic.commands);
    }
  }

  @Test
  void periodicTimersGoOnAndDoNotMakeUpForWhatTheyMissed() {
    try (var m = machine()) {
      write(
          m, TIMER0_CONFIG, 1 << 12 | 0x61 << 4 | 1 << 3 | 1 << 1); // direct, started by the count
      write(m, TIMER0_COUNT, 10_000);
      assertEquals(1 << 12 | 0x61 << 4 | 1 << 3 | 1 << 1 | 1, read(m, TIMER0_CONFIG));
      for (int i = 1; i <= 3; i++) {
        clock.advanceTo(1_000_000 + i * 1_000_100L);
        idle(m);
        assertEquals(i, m.apic.commands.size());
      }
      clock.advanceTo(100_000_000);
      idle(m);
      assertEquals(4, m.apic.commands.size());
      assertEquals(0x4_4061L, m.apic.commands.getFirst());
      assertTrue(clock.deadline > 100_000_000 && clock.deadline <= 101_000_200);
      write(m, TIMER0_CONFIG, 0);
      assertEquals(-1, clock.deadline);
    }
  }

  /** However short its period, a timer leaves the host in peace. */
  @Test
  void theShortestPeriodIsBounded() {
    try (var m = machine()) {
      write(m, TIMER0_COUNT, 1);
      write(m, TIMER0_CONFIG, 1 << 12 | 0x61 << 4 | 1 << 1 | 1);
      assertTrue(clock.deadline >= clock.now + 20_000);
    }
  }

  @Test
  void thePeriodsOfCenturiesNeverPass() {
    try (var m = machine()) {
      write(m, TIMER0_COUNT, -1);
      write(m, TIMER0_CONFIG, 1 << 12 | 0x61 << 4 | 1 << 1 | 1);
      assertEquals(-1, clock.deadline);
      assertEquals(List.of(), m.apic.commands);
    }
  }

  @ParameterizedTest
  @CsvSource({
    "0x40000002, 1", // the processor's number is read-only
    "0x40000020, 1",
    "0x40000081, 1",
    "0x40000095, 15", // no vector
    "0x400000b0, 0x10f1", // nor here, if enabled
    "0x40000fff, 0"
  })
  void wrongValuesFault(String msr, String value) {
    try (var m = machine()) {
      long wrong = Long.decode(value) == 0x10f1 ? 1 << 12 | 0xf << 4 | 1 : Long.decode(value);
      assertEquals(13, execute(m, "0f 30", Integer.decode(msr), wrong));
    }
  }

  @Test
  void registersHaveTheirFirstValues() {
    try (var m = machine()) {
      assertEquals(0, read(m, VP_INDEX));
      for (int i = 0; i < 16; i++) {
        assertEquals(MASKED, read(m, SINT0 + i));
      }
    }
  }

  @Test
  void aTimerGoesOnInALoadedMachine() throws Exception {
    StateWriter out = new StateWriter();
    try (var m = machine()) {
      write(m, TIMER0_COUNT, 20_000);
      write(m, TIMER0_CONFIG, 1 << 12 | 0x61 << 4 | 1);
      m.cpu.save(out);
    }
    clock.deadline = -1;
    try (var m = machine()) {
      m.cpu.load(new StateReader("cpu0", out.toByteArray()));
      clock.advanceTo(2_000_100);
      idle(m);
      assertEquals(List.of(0x4_4061L), m.apic.commands);
    }
  }

  @Test
  void noValueOfAnyRegisterHurtsTheHost() {
    try (var m = machine()) {
      Random random = new Random(7);
      for (int i = 0; i < 2_000; i++) {
        int msr = 0x4000_0000 + random.nextInt(0x100);
        long value =
            switch (random.nextInt(3)) {
              case 0 -> random.nextLong();
              case 1 -> PAGE | 1;
              default -> random.nextInt(1 << 20);
            };
        if (msr == HYPERCALL || msr == REFERENCE_TSC || msr == SIMP || msr == SIMP - 1) {
          value = random.nextBoolean() ? PAGE | 1 : random.nextLong() | 1L << 40;
        }
        int vector = execute(m, random.nextBoolean() ? "0f 30" : "0f 32", msr, value);
        assertTrue(vector == -1 || vector == 13);
        clock.advanceTo(clock.now + random.nextInt(1_000_000));
        m.apic.commands.clear();
      }
    }
  }

  /** What a hypercall answers. */
  private static int call(TestMachine m, long control, long input) {
    CpuState s = m.long64(0);
    s.setGpr(RCX, control);
    s.setGpr(RDX, input);
    m.code(64, m.assembler(64).hex("0f 01 d9").hlt()); // vmmcall
    m.run();
    assertEquals(-1, m.vector());
    return (int) m.gpr(RAX);
  }

  private static final int POST_MESSAGE = 0x5c;
  private static final int SIGNAL_EVENT = 0x5d;
  private static final int FAST = 1 << 16;

  @Test
  void hypercallsReachConnections() {
    List<String> heard = new ArrayList<>();
    try (TestMachine m = machine()) {
      write(m, GUEST_OS_ID, 1L << 48);
      assertEquals(18, call(m, SIGNAL_EVENT | FAST, 0x1234), "nobody is there");
      m.engine.syntheticInterrupts(
          new SyntheticConnections() {
            @Override
            public int postMessage(int connection, int type, byte[] payload) {
              heard.add("message " + connection + " " + type + " " + Arrays.toString(payload));
              return SUCCESS;
            }

            @Override
            public int signalEvent(int connection, int flag) {
              heard.add("event " + connection + " " + flag);
              return INSUFFICIENT_BUFFERS;
            }

            @Override
            public void endOfMessage(int vcpu) {
              heard.add("end " + vcpu);
            }
          });
      assertEquals(19, call(m, SIGNAL_EVENT | FAST, 3L << 32 | 0x20));
      m.memory.writeLong(PAGE, 4L << 32 | 0x21);
      assertEquals(19, call(m, SIGNAL_EVENT, PAGE));
      m.memory.writeLong(PAGE, 0x10);
      m.memory.writeInt(PAGE + 8, 77);
      m.memory.writeInt(PAGE + 12, 3);
      m.memory.writeInt(PAGE + 16, 0x030201);
      assertEquals(0, call(m, POST_MESSAGE, PAGE));
      write(m, EOM, 0);
      assertEquals(List.of("event 32 3", "event 33 4", "message 16 77 [1, 2, 3]", "end 0"), heard);
      heard.clear();
      assertEquals(4, call(m, POST_MESSAGE, PAGE + 4), "alignment");
      assertEquals(3, call(m, POST_MESSAGE | FAST, PAGE), "input");
      m.memory.writeInt(PAGE + 12, 241);
      assertEquals(5, call(m, POST_MESSAGE, PAGE), "parameter");
      assertEquals(2, call(m, 0x99, PAGE), "code");
      assertEquals(19, call(m, SIGNAL_EVENT, -8), "memory that is not there");
    }
  }

  @Test
  void devicesRaiseSourcesPostMessagesAndSetFlags() {
    try (TestMachine m = machine()) {
      SyntheticInterruptTarget target =
          m.engine.syntheticInterrupts(SyntheticConnections.NONE).orElseThrow();
      target.setFlag(0, 2, 5);
      assertTrue(m.apic.commands.isEmpty(), "not enabled");
      write(m, SCONTROL, 1);
      write(m, SIMP, PAGE | 1);
      write(m, 0x4000_0082, PAGE + 0x1000 | 1);
      write(m, SINT0 + 2, 0x55);
      target.interrupt(0, 2);
      assertEquals(1, m.apic.commands.size());
      assertEquals(0x55, m.apic.commands.getFirst() & 0xff);
      target.setFlag(0, 2, 2047);
      target.setFlag(0, 2, 2047);
      assertEquals(2, m.apic.commands.size(), "it was set before");
      assertEquals(1 << 31, m.memory.readInt(PAGE + 0x1000 + 2 * 256 + 252));
      assertTrue(target.post(0, 2, 9, new byte[] {7}));
      assertEquals(9, m.memory.readInt(PAGE + 2 * 256));
      assertEquals(7, m.memory.readByte(PAGE + 2 * 256 + 16));
      assertEquals(3, m.apic.commands.size());
      assertFalse(target.post(0, 2, 9, new byte[] {8}));
      assertEquals(1, m.memory.readByte(PAGE + 2 * 256 + 5) & 1, "another waits");
      // What does not exist.
      target.interrupt(1, 0);
      target.interrupt(0, 16);
      target.setFlag(0, 16, 0);
      target.setFlag(0, 0, 2048);
      assertTrue(target.post(9, 0, 1, new byte[0]));
      assertEquals(3, m.apic.commands.size());
    }
    try (TestMachine m = newMachine("v2")) {
      assertTrue(m.engine.syntheticInterrupts(SyntheticConnections.NONE).isEmpty());
    }
  }
}
