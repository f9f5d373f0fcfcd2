package dev.bothy.kvm;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeFalse;

import dev.bothy.core.Exit;
import dev.bothy.core.Vcpu;
import dev.bothy.core.cpu.CpuState;
import java.util.Set;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** Guests of a few bytes, on the host's KVM. */
@Timeout(300)
class KvmGuestTest {
  @BeforeAll
  static void require() {
    TinyMachine.require();
  }

  private static Exit run(TinyMachine machine) {
    return machine.cpu.run(Vcpu.UNLIMITED);
  }

  @Test
  void realModeWritesToAPortAndHalts() {
    try (TinyMachine machine = new TinyMachine()) {
      machine.code(0xba, 0xf8, 0x03, 0xb0, 'o', 0xee, 0xb0, 'k', 0xee, 0xf4); // mov dx; out; hlt
      machine.real();
      assertInstanceOf(Exit.Halted.class, run(machine));
      assertEquals("ok", machine.said());
      assertEquals(TinyMachine.CODE + 10, machine.cpu.state().get(CpuState.RIP));
      assertEquals(CpuState.ACTIVITY_HALTED, machine.cpu.state().getInt32(CpuState.ACTIVITY));
      // It has been looked at, which changes nothing.
      assertInstanceOf(Exit.Halted.class, run(machine));
    }
  }

  @Test
  void repeatedStringsGoThroughPorts() {
    try (TinyMachine machine = new TinyMachine()) {
      machine.code(0xf3, 0x6e, 0xba, 0x60, 0x00, 0xb9, 0x03, 0x00, 0xf3, 0x6c, 0xf4);
      CpuState state = machine.real();
      state.setGpr(CpuState.RDX, TinyMachine.OUTPUT_PORT);
      state.setGpr(CpuState.RSI, 0x2000);
      state.setGpr(CpuState.RDI, 0x3000);
      state.setGpr(CpuState.RCX, 5);
      machine.codeAt(0x2000, 'h', 'e', 'l', 'l', 'o');
      machine.input.add((long) 'a');
      machine.input.add((long) 'b');
      machine.input.add((long) 'c');
      assertInstanceOf(Exit.Halted.class, run(machine));
      assertEquals("hello", machine.said());
      assertEquals(
          "abc",
          ""
              + (char) machine.memory.readByte(0x3000)
              + (char) machine.memory.readByte(0x3001)
              + (char) machine.memory.readByte(0x3002));
    }
  }

  @Test
  void protectedModeReachesDevicesInMemory() {
    try (TinyMachine machine = new TinyMachine()) {
      machine.code(
          0xc7, 0x05, 0x04, 0, 0, 0xd0, 0x78, 0x56, 0x34, 0x12, // mov dword [D0000004h], 12345678h
          0xa0, 0x05, 0, 0, 0xd0, // mov al, [D0000005h]
          0xa3, 0x00, 0x20, 0, 0, // mov [2000h], eax
          0xf4);
      machine.protectedMode().setGpr(CpuState.RAX, 0xaaaa_aa00L);
      assertInstanceOf(Exit.Halted.class, run(machine));
      assertEquals(0x78, machine.device[4]);
      assertEquals(0x12, machine.device[7]);
      assertEquals(0xaaaa_aa56, machine.memory.readInt(0x2000));
    }
  }

  @Test
  void whatNobodyAnswersReadsAsOnes() {
    try (TinyMachine machine = new TinyMachine()) {
      machine.code(
          0xa1, 0, 0, 0, 0xd8, // mov eax, [D8000000h]
          0xa3, 0x00, 0x20, 0, 0, // mov [2000h], eax
          0xe5, 0x9a, // in eax, 9Ah
          0xa3, 0x04, 0x20, 0, 0, // mov [2004h], eax
          0xf4);
      machine.protectedMode();
      assertInstanceOf(Exit.Halted.class, run(machine));
      assertEquals(-1, machine.memory.readInt(0x2000));
      assertEquals(-1, machine.memory.readInt(0x2004));
    }
  }

  @Test
  void apicPageIsTheInterruptControllers() {
    try (TinyMachine machine = new TinyMachine()) {
      machine.code(
          0xa1, 0x30, 0, 0xe0, 0xfe, // mov eax, [FEE00030h]
          0xa3, 0x00, 0x20, 0, 0, // mov [2000h], eax
          0xa3, 0xb0, 0, 0xe0, 0xfe, // mov [FEE000B0h], eax
          0xf4);
      machine.protectedMode();
      assertInstanceOf(Exit.Halted.class, run(machine));
      assertEquals(0x1234_0030, machine.memory.readInt(0x2000));
      assertEquals(0xb0, machine.apic.lastOffset);
      assertEquals(0x1234_0030, machine.apic.lastValue);
    }
  }

  @Test
  void longModeComputes() {
    try (TinyMachine machine = new TinyMachine()) {
      // again: add rax, rcx; dec rcx; jnz again; mov [2000h], rax; hlt
      machine.code(
          0x48, 0x01, 0xc8, 0x48, 0xff, 0xc9, 0x75, 0xf8, 0x48, 0x89, 0x04, 0x25, 0, 0x20, 0, 0,
          0xf4);
      CpuState state = machine.longMode();
      state.setGpr(CpuState.RAX, 1L << 40);
      state.setGpr(CpuState.RCX, 1000);
      assertInstanceOf(Exit.Halted.class, run(machine));
      assertEquals((1L << 40) + 500_500, machine.memory.readLong(0x2000));
      assertEquals(0, machine.cpu.state().gpr(CpuState.RCX));
    }
  }

  @Test
  void interruptWakesAHaltedGuest() {
    try (TinyMachine machine = new TinyMachine()) {
      machine.code(0xfb, 0xf4, 0xfa, 0xf4); // sti; hlt; cli; hlt
      machine.codeAt(0x1100, 0xba, 0xf8, 0x03, 0xb0, 'i', 0xee, 0xcf); // mov dx; out; iret
      machine.memory.writeInt(4 * 0x21, 0x1100);
      machine.real();
      assertInstanceOf(Exit.Halted.class, run(machine));
      assertTrue(!machine.cpu.hasWork());
      machine.apic.raise(0x21);
      assertTrue(machine.cpu.hasWork());
      assertInstanceOf(Exit.Halted.class, run(machine));
      assertEquals("i", machine.said());
      // Now with interrupts off.
      machine.apic.raise(0x21);
      assertTrue(!machine.cpu.hasWork());
      assertInstanceOf(Exit.Halted.class, run(machine));
      assertEquals("i", machine.said());
    }
  }

  @Test
  void interruptWaitsForTheFlag() {
    try (TinyMachine machine = new TinyMachine()) {
      // mov dx, 3F8h; mov al, 'a'; out dx, al; sti; mov cx, 1000; loop $; mov al, 'b'; out dx, al;
      // cli; hlt
      machine.code(
          0xba, 0xf8, 0x03, 0xb0, 'a', 0xee, 0xfb, 0xb9, 0xe8, 0x03, 0xe2, 0xfe, 0xb0, 'b', 0xee,
          0xfa, 0xf4);
      machine.codeAt(0x1100, 0xb0, 'i', 0xee, 0xcf); // mov al, 'i'; out dx, al; iret
      machine.memory.writeInt(4 * 0x21, 0x1100);
      machine.real();
      machine.apic.raise(0x21);
      assertInstanceOf(Exit.Halted.class, run(machine));
      // A KVM in software may open the window as late as at the next exit.
      assertTrue(Set.of("aib", "abi").contains(machine.said()), machine.said());
    }
  }

  @Test
  void nmiComesThroughWithInterruptsOff() {
    try (TinyMachine machine = new TinyMachine()) {
      machine.code(0xfa, 0xf4, 0xb0, 'h', 0xee, 0xf4); // cli; hlt; mov al, 'h'; out dx, al; hlt
      machine.codeAt(0x1100, 0xba, 0xf8, 0x03, 0xb0, 'n', 0xee, 0xcf);
      machine.memory.writeInt(4 * 2, 0x1100);
      machine.real();
      assertInstanceOf(Exit.Halted.class, run(machine));
      machine.cpu.nmi();
      assertTrue(machine.cpu.hasWork());
      assertInstanceOf(Exit.Halted.class, run(machine));
      assertEquals("nh", machine.said());
    }
  }

  @Test
  void initWaitsForAStartup() {
    try (TinyMachine machine = new TinyMachine()) {
      machine.codeAt(0x5000, 0xba, 0xf8, 0x03, 0xb0, 's', 0xee, 0xf4);
      machine.code(0xf4);
      machine.real();
      assertInstanceOf(Exit.Halted.class, run(machine));
      machine.cpu.init();
      machine.cpu.kick();
      assertInstanceOf(Exit.Kicked.class, run(machine));
      CpuState state = machine.cpu.state();
      assertEquals(0xfff0, state.get(CpuState.RIP));
      // The boot processor would restart there; another one waits.
      state.setInt32(CpuState.ACTIVITY, CpuState.ACTIVITY_WAIT_STARTUP);
      assertInstanceOf(Exit.WaitingForStartup.class, run(machine));
      machine.cpu.startup(5);
      assertTrue(machine.cpu.hasWork());
      assertInstanceOf(Exit.Halted.class, run(machine));
      assertEquals("s", machine.said());
    }
  }

  @Test
  void kickEndsALoop() throws InterruptedException {
    try (TinyMachine machine = new TinyMachine()) {
      machine.code(0xeb, 0xfe); // jmp $
      machine.real();
      for (int i = 0; i < 20; i++) {
        Thread kicker = Thread.ofPlatform().start(machine.cpu::kick);
        assertInstanceOf(Exit.Kicked.class, run(machine));
        kicker.join();
      }
      assertEquals(TinyMachine.CODE, machine.cpu.state().get(CpuState.RIP));
    }
  }

  @Test
  void noAccessIsLostOrRepeatedByKicks() throws InterruptedException {
    try (TinyMachine machine = new TinyMachine()) {
      // again: in al, 60h; add ax, si; mov si, ax... : si += al, three thousand times
      machine.code(
          0xe4, 0x60, 0x30, 0xe4, 0x01, 0xc6, // in al, 60h; xor ah, ah; add si, ax
          0x49, 0x75, 0xf7, 0xf4); // dec cx; jnz; hlt
      CpuState state = machine.real();
      state.setGpr(CpuState.RCX, 3000);
      int expected = 0;
      for (long i = 0; i < 3000; i++) {
        machine.input.add(i & 0xff);
        expected += (int) (i & 0xff);
      }
      Exit exit;
      try (Kicker _ = new Kicker(machine, 0, 0, Kicker.USUAL_WAIT / 16)) {
        do {
          exit = run(machine);
          // Looked at in between: the registers go out and in.
          machine.cpu.state();
        } while (exit instanceof Exit.Kicked);
      }
      assertInstanceOf(Exit.Halted.class, exit);
      assertEquals(expected & 0xffff, machine.cpu.state().gpr(CpuState.RSI));
      assertTrue(machine.input.isEmpty());
    }
  }

  @Test
  void tripleFaultIsAShutdown() {
    try (TinyMachine machine = new TinyMachine()) {
      machine.code(0x0f, 0x0b); // ud2
      machine.protectedMode().setInt32(CpuState.IDTR_LIMIT, 0);
      String report = assertInstanceOf(Exit.Shutdown.class, run(machine)).report();
      assertTrue(report.contains("RIP="), report);
      assertInstanceOf(Exit.Shutdown.class, run(machine));
    }
  }

  @Test
  void whatKvmDoesNotEmulateIsToldWithItsBytes() {
    try (TinyMachine machine = new TinyMachine()) {
      machine.code(0xdf, 0x35, 0, 0, 0, 0xd0, 0xf4); // fbstp [D0000000h]
      machine.protectedMode();
      String report = assertInstanceOf(Exit.Failed.class, run(machine)).report();
      assertTrue(report.contains("RIP=0000000000001000"), report);
      assertTrue(report.contains("df 35 00 00 00 d0"), report);
    }
  }

  @Test
  void budgetsAreRefused() {
    try (TinyMachine machine = new TinyMachine()) {
      assertThrows(UnsupportedOperationException.class, () -> machine.cpu.run(1));
    }
  }

  /** mov ecx, index; the rest follows. */
  private static int[] msr(int index, int... code) {
    int[] all = new int[code.length + 5];
    all[0] = 0xb9;
    for (int i = 0; i < 4; i++) {
      all[1 + i] = index >>> (8 * i) & 0xff;
    }
    System.arraycopy(code, 0, all, 5, code.length);
    return all;
  }

  @Test
  void registersOfTheApicAreTheInterruptControllers() {
    try (TinyMachine machine = new TinyMachine()) {
      machine.apic.x2 = true;
      machine.apic.base = 0xfee0_0d00L;
      // mov eax, 20h; xor edx, edx; wrmsr; mov eax, 5; rdmsr; hlt
      machine.code(
          msr(
              ScriptedApic.TASK_PRIORITY_MSR,
              0xb8,
              0x20,
              0,
              0,
              0,
              0x31,
              0xd2,
              0x0f,
              0x30,
              0xb8,
              5,
              0,
              0,
              0,
              0x0f,
              0x32,
              0xf4));
      machine.longMode();
      assertInstanceOf(Exit.Halted.class, run(machine));
      assertEquals(ScriptedApic.TASK_PRIORITY_MSR, machine.apic.lastOffset);
      assertEquals(0x20, machine.apic.lastValue);
      assertEquals(0x20, machine.cpu.state().gpr(CpuState.RAX));
    }
  }

  @Test
  void baseOfTheApicIsTheInterruptControllers() {
    try (TinyMachine machine = new TinyMachine()) {
      machine.code(msr(0x1b, 0x0f, 0x32, 0xf4)); // rdmsr; hlt
      machine.longMode();
      assertInstanceOf(Exit.Halted.class, run(machine));
      assertEquals(0xfee0_0900L, machine.cpu.state().gpr(CpuState.RAX));
    }
  }

  @Test
  void deadlinesAreToldInNanoseconds() {
    try (TinyMachine machine = new TinyMachine()) {
      machine.code(
          msr(
              0x6e0, 0x0f, 0x31, // rdtsc
              0x83, 0xc2, 0x02, // add edx, 2: 2^33 ticks from now
              0x0f, 0x30, // wrmsr
              0x89, 0xc6, // mov esi, eax
              0x89, 0xd7, // mov edi, edx
              0x0f, 0x32, // rdmsr
              0xf4));
      machine.longMode();
      final long before = machine.clock.nanos();
      assertInstanceOf(Exit.Halted.class, run(machine));
      final long after = machine.clock.nanos();
      CpuState state = machine.cpu.state();
      // It reads as it was written, and is two to ten seconds from when the guest ran.
      assertEquals(state.gpr(CpuState.RSI), state.gpr(CpuState.RAX));
      assertEquals(state.gpr(CpuState.RDI), state.gpr(CpuState.RDX));
      long deadline = machine.apic.deadline;
      assertTrue(
          deadline > before + 500_000_000L && deadline < after + 20_000_000_000L,
          deadline + " between " + before + " and " + after);
    }
  }

  @Test
  void registersThatNobodyHasRaiseAFault() {
    try (TinyMachine machine = new TinyMachine()) {
      machine.code(msr(0x1234_5678, 0x0f, 0x32, 0xf4)); // rdmsr; hlt
      machine.longMode();
      // #GP: add rsp, 8; mov ebx, 13; hlt
      machine.codeAt(0xd000, 0x48, 0x83, 0xc4, 0x08, 0xbb, 13, 0, 0, 0, 0xf4);
      machine.memory.writeLong(0xb000 + 16 * 13, 0xd000 | 8L << 16 | 0x8e00L << 32);
      assertInstanceOf(Exit.Halted.class, run(machine));
      assertEquals(13, machine.cpu.state().gpr(CpuState.RBX));
    }
  }

  @Test
  void timeStampCounterCanBeSet() {
    assumeFalse(
        KvmHost.failures(KvmTestCpuid.LEAVES).contains("setting the time-stamp counter"),
        "this KVM's guests see the host's time-stamp counter");
    try (TinyMachine machine = new TinyMachine()) {
      // xor eax, eax; mov edx, 100h; wrmsr; xor edx, edx; rdmsr; hlt
      machine.code(
          msr(0x10, 0x31, 0xc0, 0xba, 0, 1, 0, 0, 0x0f, 0x30, 0x31, 0xd2, 0x0f, 0x32, 0xf4));
      machine.longMode();
      assertInstanceOf(Exit.Halted.class, run(machine));
      assertEquals(0x100, machine.cpu.state().gpr(CpuState.RDX));
      assertTrue(machine.cpu.state().get(CpuState.TSC_ADJUST) != 0);
      assertTrue(machine.cpu.state().get(CpuState.TSC_OFFSET) != 0);
    }
  }

  @Test
  void userCodeComputesAndComesBack() {
    try (TinyMachine machine = new TinyMachine()) {
      // again: imul rax, rax, 3; inc rax; dec rbx; jnz again; ud2
      machine.codeAt(
          0x2000, 0x48, 0x6b, 0xc0, 0x03, 0x48, 0xff, 0xc0, 0x48, 0xff, 0xcb, 0x75, 0xf4, 0x0f,
          0x0b);
      machine.code(0xf4);
      CpuState state = machine.longMode();
      machine.memory.writeLong(0xb000 + 16 * 6, TinyMachine.CODE | 8L << 16 | 0x8e00L << 32);
      state.setSegment(CpuState.CS, 32 | 3, 0, -1, 0xa0fb);
      state.setSegment(CpuState.SS, 24 | 3, 0, -1, 0xc0f3);
      state.set(CpuState.RIP, 0x2000);
      state.setGpr(CpuState.RAX, 1);
      state.setGpr(CpuState.RBX, 1_000_000);
      long expected = 1;
      for (int i = 0; i < 1_000_000; i++) {
        expected = expected * 3 + 1;
      }
      assertEquals(new Exit.Halted(), run(machine));
      assertEquals(expected, machine.cpu.state().gpr(CpuState.RAX));
      // Where it came from lies on the kernel's stack.
      assertEquals(0x200c, machine.memory.readLong(machine.cpu.state().gpr(CpuState.RSP)));
    }
  }

  @Test
  void userCodeIsKickedOut() throws InterruptedException {
    try (TinyMachine machine = new TinyMachine()) {
      machine.codeAt(0x2000, 0x48, 0xff, 0xc0, 0xeb, 0xfb); // again: inc rax; jmp again
      CpuState state = machine.longMode();
      state.setSegment(CpuState.CS, 32 | 3, 0, -1, 0xa0fb);
      state.setSegment(CpuState.SS, 24 | 3, 0, -1, 0xc0f3);
      state.set(CpuState.RIP, 0x2000);
      long before = 0;
      for (int i = 0; i < 10; i++) {
        Thread kicker = Thread.ofPlatform().start(machine.cpu::kick);
        assertInstanceOf(Exit.Kicked.class, run(machine));
        kicker.join();
        long counted = machine.cpu.state().gpr(CpuState.RAX);
        assertTrue(counted >= before);
        before = counted;
      }
    }
  }
}
