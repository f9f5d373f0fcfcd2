package dev.bothy.kvm;

import static dev.bothy.assemble.Assembler.*;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.bothy.assemble.Assembler;
import dev.bothy.core.ApicState;
import dev.bothy.core.EngineApics;
import dev.bothy.core.Exit;
import dev.bothy.core.Vcpu;
import dev.bothy.core.cpu.CpuState;
import dev.bothy.core.state.StateReader;
import dev.bothy.core.state.StateWriter;
import java.util.HashMap;
import java.util.Map;
import java.util.Optional;
import java.util.Random;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** Guests of a few instructions, on a KVM that has the local APIC. */
@Timeout(300)
class KernelApicTest {
  private static final int APIC = 0xfee0_0000;
  private static final int TASK_PRIORITY = 0x80;
  private static final int EOI = 0xb0;
  private static final int SPURIOUS_VECTOR = 0xf0;
  private static final int COMMAND = 0x300;
  private static final int COMMAND_HIGH = 0x310;
  private static final int LVT_TIMER = 0x320;
  private static final int LVT_LINT0 = 0x350;
  private static final int LVT_LINT1 = 0x360;
  private static final int INITIAL_COUNT = 0x380;
  private static final int CURRENT_COUNT = 0x390;
  private static final int DIVIDE = 0x3e0;
  private static final int TSC_DEADLINE_MODE = 1 << 18;
  private static final int LEVEL = 1 << 15 | 1 << 14;

  /** Of interrupts that are counted in EBX, and ended. */
  private static final int VECTOR = 0x40;

  /** The same, not ended: of an 8259 pair. */
  private static final int PAIR_VECTOR = 0x48;

  private static final int NMI = 2;
  private static final int COUNTER = 0x2000;
  private static final int RAISED = 300;

  @BeforeAll
  static void require() {
    TinyMachine.require();
    assumeTrue(
        KvmHost.localApics(KvmTestCpuid.LEAVES, Optional.empty()) == KvmEngine.LocalApics.KERNEL,
        "this KVM has no local APICs that work");
  }

  private static TinyMachine machine() {
    return new TinyMachine(KvmTestCpuid.LEAVES, KvmEngine.LocalApics.KERNEL);
  }

  private static Exit run(TinyMachine machine) {
    return machine.cpu.run(Vcpu.UNLIMITED);
  }

  /** A guest in 64-bit mode, RDI at its APIC, with handlers, which has not begun. */
  private static final class Guest {
    final Assembler code = new Assembler();
    final TinyMachine machine;
    private final Map<Integer, Integer> handlers = new HashMap<>();

    Guest(TinyMachine machine) {
      this.machine = machine;
      code.start(TinyMachine.CODE);
      code.constant(RDI, APIC & 0xffff_ffffL);
      handler(VECTOR, true);
      handler(PAIR_VECTOR, false);
      handler(NMI, false);
    }

    /** inc ebx; end of interrupt if wanted; iretq. */
    private void handler(int vector, boolean end) {
      int at = ProbeGuest.HANDLERS + 0x40 * vector;
      Assembler handler = new Assembler();
      handler.start(at);
      handler.aluImmediate(ADD, 4, RBX, 1);
      handler.store(4, NONE, COUNTER, RBX);
      if (end) {
        handler.storeImmediate(4, RDI, EOI, 0);
      }
      handler.int8(0x48);
      handler.int8(0xcf);
      put(at, handler.bytes());
      handlers.put(vector, at);
    }

    private void put(int address, byte[] bytes) {
      machine.memory.write(address, bytes);
    }

    Guest set(int register, int value) {
      code.storeImmediate(4, RDI, register, value);
      return this;
    }

    Guest enable() {
      return set(SPURIOUS_VECTOR, 0x1ff);
    }

    Guest plain(int... bytes) {
      for (int b : bytes) {
        code.int8(b);
      }
      return this;
    }

    Guest sti() {
      return plain(0xfb);
    }

    Guest cli() {
      return plain(0xfa);
    }

    /** Halts until {@code count} interrupts have come. */
    Guest await(int count) {
      long again = code.here();
      cli();
      code.aluImmediate(CMP, 4, RBX, count);
      int done = code.shortForward(AE);
      plain(0xfb, 0xf4); // sti; hlt
      code.jump(again);
      code.bindShort(done);
      return this;
    }

    Guest stop() {
      return plain(0xe6, TinyMachine.STOP_PORT);
    }

    Guest say(char c) {
      code.constant(RDX, TinyMachine.OUTPUT_PORT);
      code.constant(RAX, c);
      return plain(0xee);
    }

    /** jmp $. */
    Guest spin() {
      return plain(0xeb, 0xfe);
    }

    CpuState begin() {
      spin();
      put(TinyMachine.CODE, code.bytes());
      CpuState state = machine.longMode();
      long type = (long) ProbeGuest.CODE_SELECTOR << 16 | 0x8e00L << 32;
      handlers.forEach(
          (vector, at) -> machine.memory.writeLong(ProbeGuest.IDT + 16 * vector, at | type));
      return state;
    }
  }

  private static int counted(TinyMachine machine) {
    return (int) machine.cpu.state().gpr(RBX);
  }

  private static int register(TinyMachine machine, int register) {
    return machine.apic.engine.read().registers()[register >> 4];
  }

  /** Runs on the machine's own thread until the guest stops, while {@code meanwhile} is done. */
  private static void runBeside(TinyMachine machine, Runnable meanwhile) throws Exception {
    Thread thread =
        Thread.ofPlatform().start(() -> assertInstanceOf(Exit.Kicked.class, run(machine)));
    meanwhile.run();
    thread.join();
  }

  private static void deliver(TinyMachine machine, int data) {
    EngineApics apics = machine.engine.apics().orElseThrow();
    while (!apics.deliver(APIC & 0xffff_ffffL, data)) {
      Thread.onSpinWait(); // the guest has not switched it on yet
    }
  }

  @Test
  void timerEndsAHaltInTheKernel() {
    try (TinyMachine machine = machine()) {
      Guest guest = new Guest(machine).enable().set(DIVIDE, 0xb).set(LVT_TIMER, VECTOR);
      guest.set(INITIAL_COUNT, 100_000).await(1).stop().begin();
      assertInstanceOf(Exit.Kicked.class, run(machine));
      assertEquals(1, counted(machine));
      assertEquals(0, machine.cpu.counters().get("kvmHaltExits"));
    }
  }

  @Test
  void messagesOfDevicesArrive() throws Exception {
    try (TinyMachine machine = machine()) {
      assertFalse(machine.engine.apics().orElseThrow().deliver(APIC, VECTOR), "it is off");
      new Guest(machine).enable().await(1).await(2).stop().begin();
      runBeside(
          machine,
          () -> {
            deliver(machine, VECTOR);
            while (machine.memory.readInt(COUNTER) != 1) {
              Thread.onSpinWait();
            }
            deliver(machine, VECTOR);
          });
      assertEquals(2, counted(machine));
    }
  }

  @Test
  void endsOfInterruptsAreToldThatAPinWaitsFor() throws Exception {
    try (TinyMachine machine = machine()) {
      EngineApics apics = machine.engine.apics().orElseThrow();
      apics.watchPin(16, APIC & 0xffff_ffffL, LEVEL | VECTOR);
      Guest guest = new Guest(machine).enable().await(1).stop().say('a').stop();
      guest.await(2).stop().say('b').stop().begin();
      // A KVM that emulates in software may tell as late as when it is entered again.
      runBeside(machine, () -> deliver(machine, LEVEL | VECTOR));
      assertInstanceOf(Exit.Kicked.class, run(machine));
      assertEquals(1, counted(machine));
      assertArrayEquals(new Object[] {VECTOR}, machine.apic.ended.toArray());
      apics.forgetPin(16);
      runBeside(machine, () -> deliver(machine, VECTOR));
      assertInstanceOf(Exit.Kicked.class, run(machine));
      assertEquals(2, counted(machine));
      assertEquals(1, machine.apic.ended.size());
    }
  }

  @Test
  void the8259PairInterruptsThroughLint0Alone() throws Exception {
    try (TinyMachine machine = machine()) {
      Guest guest = new Guest(machine).enable().set(LVT_LINT0, 0x1_0700).sti().plain(0x90).stop();
      guest.cli().set(LVT_LINT0, 0x700).await(1).stop().begin();
      machine.apic.raise(PAIR_VECTOR);
      assertInstanceOf(Exit.Kicked.class, run(machine));
      assertEquals(0, counted(machine), "masked");
      assertEquals(1, machine.apic.vectors.size());
      assertInstanceOf(Exit.Kicked.class, run(machine));
      assertEquals(1, counted(machine));
      assertTrue(machine.apic.vectors.isEmpty());
    }
  }

  @Test
  void the8259PairEndsAHaltInTheKernel() throws Exception {
    try (TinyMachine machine = machine()) {
      new Guest(machine).enable().set(LVT_LINT0, 0x700).say('r').await(1).stop().begin();
      runBeside(
          machine,
          () -> {
            while (machine.said().isEmpty()) {
              Thread.onSpinWait();
            }
            machine.apic.raise(PAIR_VECTOR);
          });
      assertEquals(1, counted(machine));
    }
  }

  @Test
  void interruptsOfTheApicAreNotLostWhenItIsMoved() throws Exception {
    try (TinyMachine machine = machine()) {
      new Guest(machine).enable().stop().sti().begin();
      assertInstanceOf(Exit.Kicked.class, run(machine));
      for (int sent = 1; sent <= RAISED; sent++) {
        deliver(machine, VECTOR);
        do {
          assertInstanceOf(Exit.Kicked.class, kicked(machine.cpu));
          ApicState apic = machine.apic.engine.read();
          StateWriter out = new StateWriter();
          machine.cpu.save(out);
          machine.cpu.load(new StateReader("cpu0", out.toByteArray()));
          machine.apic.engine.write(apic);
        } while (machine.memory.readInt(COUNTER) < sent);
        assertEquals(sent, machine.memory.readInt(COUNTER));
      }
    }
  }

  @Test
  void interruptsOfThePairAreNotLostWhenTheStateIsLookedAt() throws Exception {
    try (TinyMachine machine = machine()) {
      new Guest(machine).enable().set(LVT_LINT0, 0x700).sti().begin();
      countRaised(machine);
    }
    try (TinyMachine machine = machine()) {
      new Guest(machine).enable().set(LVT_LINT0, 0x700).await(RAISED).begin();
      countRaised(machine);
    }
  }

  private static void countRaised(TinyMachine machine) {
    try (Kicker _ = new Kicker(machine, RAISED, PAIR_VECTOR)) {
      long deadline = System.nanoTime() + Kicker.PATIENCE;
      while (machine.memory.readInt(COUNTER) != RAISED && System.nanoTime() < deadline) {
        assertInstanceOf(Exit.Kicked.class, run(machine));
        machine.cpu.save(new StateWriter());
      }
    }
    assertEquals(RAISED, machine.memory.readInt(COUNTER));
  }

  @Test
  void registersComeBackAsTheyWentIn() {
    Random random = new Random(1);
    try (TinyMachine machine = machine()) {
      for (int i = 0; i < 50; i++) {
        int[] page = new int[ApicState.REGISTERS];
        page[0x02] = random.nextInt() & 0xff00_0000;
        page[TASK_PRIORITY >> 4] = random.nextInt() & 0xff;
        page[0x0d] = random.nextInt() & 0xff00_0000;
        page[0x0e] = -1;
        page[SPURIOUS_VECTOR >> 4] = 0x1ff;
        for (int set = 0x10; set < 0x28; set++) {
          // Vectors below 16 do not exist.
          page[set] = random.nextInt() & ((set & 7) == 0 ? 0xffff_0000 : -1);
        }
        page[COMMAND >> 4] = 0x4_4000 | VECTOR;
        page[COMMAND_HIGH >> 4] = random.nextInt() & 0xff00_0000;
        for (int entry = LVT_TIMER >> 4; entry <= 0x37; entry++) {
          page[entry] = 1 << 16 | 16 + random.nextInt(240);
        }
        page[DIVIDE >> 4] = 0xb;
        ApicState state = new ApicState(0xfee0_0900L, page, 0);
        machine.apic.engine.write(state);
        ApicState back = machine.apic.engine.read();
        assertEquals(state.base(), back.base());
        // Version, and priorities that follow from the rest.
        for (int derived : new int[] {0x03, 0x09, 0x0a}) {
          page[derived] = back.registers()[derived];
        }
        assertArrayEquals(page, back.registers(), "case " + i);
      }
    }
  }

  @Test
  void x2ApicModeComesBack() {
    try (TinyMachine machine = machine()) {
      ApicState state = machine.apic.engine.read();
      machine.apic.engine.write(new ApicState(0xfee0_0d00L, state.registers(), 0));
      // mov ecx, 802h; rdmsr; mov ecx, 80Fh; mov eax, 1FFh; wrmsr; stop
      Guest guest = new Guest(machine).plain(0xb9, 0x02, 8, 0, 0, 0x0f, 0x32);
      guest.plain(0xb9, 0x0f, 8, 0, 0, 0xb8, 0xff, 1, 0, 0, 0x31, 0xd2, 0x0f, 0x30).stop().begin();
      assertInstanceOf(Exit.Kicked.class, run(machine));
      assertEquals(0xfee0_0d00L, machine.apic.engine.read().base());
      assertEquals(0x1ff, register(machine, SPURIOUS_VECTOR));
    }
  }

  @Test
  void aCountingTimerGoesOnElsewhere() {
    try (TinyMachine first = machine();
        TinyMachine second = machine()) {
      // By 128: two minutes, so that it is not over before it is looked at.
      Guest begun = new Guest(first).enable().set(DIVIDE, 0xa).set(LVT_TIMER, VECTOR);
      begun.set(INITIAL_COUNT, 1_000_000_000).stop().begin();
      assertInstanceOf(Exit.Kicked.class, run(first));
      ApicState state = first.apic.engine.read();
      int left = state.registers()[CURRENT_COUNT >> 4];
      assertTrue(left > 0 && left < 1_000_000_000, "left: " + left);
      // It does not count while nobody runs.
      assertEquals(left, register(first, CURRENT_COUNT));
      state.registers()[CURRENT_COUNT >> 4] = 1_000;
      new Guest(second).await(1).stop().begin();
      second.apic.engine.write(state);
      assertInstanceOf(Exit.Kicked.class, run(second));
      assertEquals(1, counted(second));
    }
  }

  @Test
  void aDeadlineGoesOnElsewhere() {
    try (TinyMachine first = machine();
        TinyMachine second = machine()) {
      // Half a minute or a whole one, so that it is not over before it is looked at: 2^36 ticks.
      Guest begun = new Guest(first).enable().set(LVT_TIMER, TSC_DEADLINE_MODE | VECTOR);
      begun.plain(0x0f, 0x31, 0x83, 0xc2, 0x10); // rdtsc; add edx, 16
      begun.plain(0xb9, 0xe0, 6, 0, 0, 0x0f, 0x30).stop().begin(); // mov ecx, 6E0h; wrmsr
      assertInstanceOf(Exit.Kicked.class, run(first));
      ApicState state = first.apic.engine.read();
      long now = first.clock.nanos() + first.cpu.state().get(CpuState.TSC_OFFSET);
      assertTrue(state.deadline() > 0, "" + state.deadline());
      assertTrue(state.deadline() - now < 1L << 37, state.deadline() + " at " + now);
      // Here, that time is long gone or soon to come.
      new Guest(second).await(1).stop().begin();
      second.apic.engine.write(
          new ApicState(state.base(), state.registers(), second.clock.nanos() + 1_000_000));
      assertInstanceOf(Exit.Kicked.class, run(second));
      assertEquals(1, counted(second));
      assertEquals(0, second.apic.engine.read().deadline());
    }
  }

  @Test
  void aDeadlineThatWaitsIsReadAsItWasWritten() {
    try (TinyMachine machine = machine()) {
      ApicState state = machine.apic.engine.read();
      state.registers()[LVT_TIMER >> 4] = TSC_DEADLINE_MODE | VECTOR;
      machine.apic.engine.write(new ApicState(state.base(), state.registers(), 123_456_789));
      assertEquals(123_456_789, machine.apic.engine.read().deadline());
    }
  }

  @Test
  void aSecondProcessorIsStartedByMessages() throws Exception {
    ScriptedApic secondApic = new ScriptedApic();
    try (TinyMachine machine = machine();
        Vcpu second = machine.engine.createVcpu(1, secondApic)) {
      second.takeApic();
      secondApic.events = second;
      machine.codeAt(0x5000, 0xba, 0xf8, 0x03, 0xb0, 's', 0xee, 0xfa, 0xf4); // mov dx; out; hlt
      Guest guest = new Guest(machine).enable().set(COMMAND_HIGH, 1 << 24).set(COMMAND, 0x4500);
      guest.set(COMMAND, 0x4605).stop().begin();
      assertInstanceOf(Exit.Kicked.class, kicked(second));
      assertEquals(
          CpuState.ACTIVITY_WAIT_STARTUP, second.state().getInt32(CpuState.ACTIVITY), "before");
      assertInstanceOf(Exit.Kicked.class, run(machine));
      Thread thread = Thread.ofPlatform().start(() -> second.run(Vcpu.UNLIMITED));
      while (machine.said().isEmpty()) {
        Thread.onSpinWait();
      }
      second.kick();
      thread.join();
      assertEquals("s", machine.said());
      // It may have been stopped before its HLT: then once more.
      for (int i = 0; i < 1000 && !halted(second); i++) {
        assertInstanceOf(Exit.Kicked.class, kicked(second));
      }
      assertTrue(halted(second));
      assertEquals(8, second.state().get(CpuState.RIP));
    }
  }

  private static boolean halted(Vcpu vcpu) {
    return vcpu.state().getInt32(CpuState.ACTIVITY) == CpuState.ACTIVITY_HALTED;
  }

  private static Exit kicked(Vcpu vcpu) throws InterruptedException {
    Thread kicker = Thread.ofPlatform().start(vcpu::kick);
    Exit exit = vcpu.run(Vcpu.UNLIMITED);
    kicker.join();
    return exit;
  }

  @Test
  void aHaltIsInTheStateAndAnNmiEndsIt() throws Exception {
    try (TinyMachine machine = machine()) {
      // Without interrupts: hlt; then what comes after an NMI.
      new Guest(machine).enable().set(LVT_LINT1, 0x400).plain(0xf4).stop().begin();
      while (!halted(machine.cpu)) {
        assertInstanceOf(Exit.Kicked.class, kicked(machine.cpu));
      }
      assertEquals(0, counted(machine));
      machine.cpu.nmi();
      assertInstanceOf(Exit.Kicked.class, run(machine));
      assertEquals(1, counted(machine));
      assertFalse(halted(machine.cpu));
    }
  }

  @Test
  void aLint1ThatIsMaskedPassesNoNmi() {
    try (TinyMachine machine = machine()) {
      new Guest(machine).enable().set(LVT_LINT1, 0x1_0400).stop().stop().begin();
      assertInstanceOf(Exit.Kicked.class, run(machine));
      machine.cpu.nmi();
      assertInstanceOf(Exit.Kicked.class, run(machine));
      assertEquals(0, counted(machine));
    }
  }

  @Test
  void aResetProcessorForgetsWhatWasOnItsWay() {
    try (TinyMachine machine = machine()) {
      new Guest(machine).enable().cli().stop().begin();
      assertInstanceOf(Exit.Kicked.class, run(machine));
      deliver(machine, VECTOR);
      ApicState off = new ApicState(0xfee0_0900L, new int[ApicState.REGISTERS], 0);
      off.registers()[SPURIOUS_VECTOR >> 4] = 0xff;
      machine.apic.engine.write(off);
      machine.cpu.reset();
      new Guest(machine).enable().sti().plain(0x90).stop().begin();
      machine.cpu.state().setInt32(CpuState.ACTIVITY, CpuState.ACTIVITY_RUNNING);
      assertInstanceOf(Exit.Kicked.class, run(machine));
      assertEquals(0, counted(machine));
    }
  }
}
