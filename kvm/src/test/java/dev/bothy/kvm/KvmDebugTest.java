package dev.bothy.kvm;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.bothy.core.Debugging;
import dev.bothy.core.Exit;
import dev.bothy.core.StopCause;
import dev.bothy.core.StopPoints;
import dev.bothy.core.StopPoints.Watchpoint;
import dev.bothy.core.Vcpu;
import dev.bothy.core.cpu.CpuState;
import java.util.List;
import java.util.Set;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** A debugger's steps and points on guests of a few bytes, on the host's KVM. */
@Timeout(300)
class KvmDebugTest {
  private static final int CODE = TinyMachine.CODE;
  private static final long DATA = 0x2000;

  @BeforeAll
  static void require() {
    TinyMachine.require();
    try (KvmDevice device = KvmDevice.open()) {
      assumeTrue(KvmDebug.possible(device), "this KVM does not let guests be debugged");
    }
  }

  private static Debugging debugging(TinyMachine machine) {
    return machine.engine.debugging().orElseThrow();
  }

  private static StopPoints breakpoints(Long... addresses) {
    return new StopPoints(Set.of(addresses), List.of());
  }

  /** Skips the test where the KVM says that it has no breakpoints. */
  private static void stopAt(TinyMachine machine, StopPoints breakpoints) {
    assumeTrue(debugging(machine).takes(breakpoints), "this KVM knows no breakpoints");
    debugging(machine).stopAt(breakpoints);
  }

  private static StopPoints watchpoint(long address, int length, boolean reads) {
    return new StopPoints(Set.of(), List.of(new Watchpoint(address, length, reads, true)));
  }

  private static StopCause run(TinyMachine machine) {
    return assertInstanceOf(Exit.DebugStop.class, machine.cpu.run(Vcpu.UNLIMITED)).cause();
  }

  /** Steps, and sees whether that leads to {@code offset} from the start of the code. */
  private static void step(TinyMachine machine, int offset) {
    Exit.DebugStop stop = assertInstanceOf(Exit.DebugStop.class, machine.cpu.step());
    assertInstanceOf(StopCause.Stepped.class, stop.cause());
    assertEquals(CODE + offset, machine.cpu.state().get(CpuState.RIP));
  }

  private static void assertHalts(TinyMachine machine) {
    assertInstanceOf(Exit.Halted.class, machine.cpu.run(Vcpu.UNLIMITED));
  }

  @Test
  void aStepIsOneInstructionWhateverItDoes() {
    try (TinyMachine machine = new TinyMachine()) {
      machine.code(
          0x40, // inc eax
          0xa2, 0, 0, 0, 0xd0, // mov [DEVICE], al
          0xa0, 1, 0, 0, 0xd0, // mov al, [DEVICE + 1]
          0xe6, 0x9a, // out 9Ah, al
          0xf4); // hlt
      machine.device[1] = 7;
      machine.protectedMode().setGpr(CpuState.RAX, 4);
      step(machine, 1);
      assertEquals(5, machine.cpu.state().gpr(CpuState.RAX));
      step(machine, 6);
      assertEquals(5, machine.device[0]);
      step(machine, 11);
      assertEquals(7, machine.cpu.state().gpr(CpuState.RAX) & 0xff);
      step(machine, 13);
      step(machine, 14);
    }
  }

  @Test
  void itStopsBeforeABreakpointWhoeverLooksAtItMeanwhile() {
    try (TinyMachine machine = new TinyMachine()) {
      machine.code(0x40, 0x40, 0x40, 0xe2, 0xfb, 0xf4); // back: inc eax, thrice; loop back; hlt
      CpuState state = machine.protectedMode();
      state.setGpr(CpuState.RCX, 2);
      state.setGpr(CpuState.RAX, 0);
      stopAt(machine, breakpoints(CODE + 1L, CODE + 5L));
      for (int turn = 0; turn < 2; turn++) {
        assertEquals(new StopCause.Breakpoint(CODE + 1), run(machine));
        assertEquals(CODE + 1, machine.cpu.state().get(CpuState.RIP));
        assertEquals(3 * turn + 1, machine.cpu.state().gpr(CpuState.RAX));
        step(machine, 2);
      }
      assertEquals(new StopCause.Breakpoint(CODE + 5), run(machine));
      debugging(machine).end();
      assertHalts(machine);
      assertEquals(6, machine.cpu.state().gpr(CpuState.RAX));
    }
  }

  /** User code at the usual place, in 64-bit mode. */
  private static void userMode(TinyMachine machine) {
    CpuState state = machine.longMode();
    state.setSegment(CpuState.CS, ProbeGuest.USER_CODE_SELECTOR, 0, -1, 0xa0fb);
    state.setSegment(CpuState.SS, ProbeGuest.USER_DATA_SELECTOR, 0, -1, 0xc0f3);
  }

  @Test
  void itStopsBehindAnAccessToWhatIsWatched() {
    try (TinyMachine machine = new TinyMachine()) {
      machine.code(
          0x89, 0x04, 0x25, 0x04, 0x20, 0, 0, // mov [2004h], eax
          0x8b, 0x04, 0x25, 0x00, 0x20, 0, 0, // mov eax, [2000h]
          0x88, 0x04, 0x25, 0x02, 0x20, 0, 0, // mov [2002h], al
          0x0f, 0x0b); // to a HLT
      machine.codeAt(ProbeGuest.HANDLERS, 0xf4);
      StopPoints wanted = watchpoint(DATA, 4, false);
      assumeTrue(debugging(machine).takes(wanted), "this KVM knows no watchpoints");
      userMode(machine);
      machine.memory.writeLong(
          ProbeGuest.IDT + 16 * 6,
          ProbeGuest.HANDLERS | (long) ProbeGuest.CODE_SELECTOR << 16 | 0x8e00L << 32);
      debugging(machine).stopAt(wanted);
      StopCause.Watched hit = assertInstanceOf(StopCause.Watched.class, run(machine));
      assertEquals(wanted.watchpoints().getFirst(), hit.point());
      assertEquals(DATA, hit.address());
      assertEquals(CODE + 21, machine.cpu.state().get(CpuState.RIP));
      userMode(machine);
      debugging(machine).stopAt(watchpoint(DATA, 4, true));
      assertInstanceOf(StopCause.Watched.class, run(machine));
      assertEquals(CODE + 14, machine.cpu.state().get(CpuState.RIP));
    }
  }

  @Test
  void nothingOfItIsToBeSeenInTheGuest() {
    try (TinyMachine machine = new TinyMachine()) {
      machine.code(
          0x9c, 0x8f, 0x05, 0x00, 0x20, 0, 0, // pushfd; pop dword [2000h]
          0x0f, 0x21, 0xf8, 0xa3, 0x04, 0x20, 0, 0, // mov eax, dr7; mov [2004h], eax
          0x0f, 0x21, 0xc0, 0xa3, 0x08, 0x20, 0, 0, // mov eax, dr0; mov [2008h], eax
          0xf4);
      machine.protectedMode();
      stopAt(machine, breakpoints(CODE + 23L));
      step(machine, 1);
      step(machine, 7);
      step(machine, 10);
      assertEquals(new StopCause.Breakpoint(CODE + 23), run(machine));
      // KVM steps by TF, which a PUSHF that is stepped shows where the processor executes it.
      assertEquals(2, machine.memory.readInt(DATA) & ~0x1_0100, "flags");
      assertEquals(0x400, machine.memory.readInt(DATA + 4), "DR7");
      assertEquals(0, machine.memory.readInt(DATA + 8), "DR0");
    }
  }

  /** Into a handler that counts, for which the guest has set the trap flag. */
  @Test
  void theGuestsOwnStepsAreItsOwn() {
    try (TinyMachine machine = new TinyMachine()) {
      CpuState state = machine.longMode();
      // pushfq; or dword [rsp], 100h; popfq; nop; nop; pushfq; and dword [rsp], ~100h; popfq; hlt
      machine.code(
          0x9c, 0x81, 0x0c, 0x24, 0, 1, 0, 0, 0x9d, 0x90, 0x90, 0x9c, 0x81, 0x24, 0x24, 0xff, 0xfe,
          0xff, 0xff, 0x9d, 0xf4);
      // inc ebx; iretq
      machine.codeAt(ProbeGuest.HANDLERS, 0xff, 0xc3, 0x48, 0xcf);
      machine.memory.writeLong(
          ProbeGuest.IDT + 16,
          ProbeGuest.HANDLERS | (long) ProbeGuest.CODE_SELECTOR << 16 | 0x8e00L << 32);
      state.setGpr(CpuState.RBX, 0);
      debugging(machine).stopAt(breakpoints(0x5000L));
      assertHalts(machine);
      assertEquals(5, machine.cpu.state().gpr(CpuState.RBX));
    }
  }

  @Test
  void thereIsRoomForFour() {
    try (TinyMachine machine = new TinyMachine()) {
      Debugging debugging = debugging(machine);
      assumeTrue(debugging.takes(breakpoints(1L)), "this KVM knows no breakpoints");
      assertTrue(debugging.takes(breakpoints(1L, 2L, 3L, 4L)));
      assertFalse(debugging.takes(breakpoints(1L, 2L, 3L, 4L, 5L)));
    }
  }

  @Test
  void watchedBytesTakeRegistersByAlignedPieces() {
    assertEquals(4, DebugRegisters.of(watchpoint(DATA, 32, false)).orElseThrow().slots().size());
    assertTrue(DebugRegisters.of(watchpoint(DATA, 33, false)).isEmpty());
    DebugRegisters pieces = DebugRegisters.of(watchpoint(DATA + 1, 8, true)).orElseThrow();
    assertEquals(
        List.of(1, 2, 4, 1), pieces.slots().stream().map(DebugRegisters.Slot::length).toList());
    // Accesses (3) to 1, 2, 4 and 1 bytes, each enabled.
    assertEquals(0x3f73_04aaL, pieces.control());
    StopPoints reads = new StopPoints(Set.of(), List.of(new Watchpoint(DATA, 4, true, false)));
    assertTrue(DebugRegisters.of(reads).isEmpty(), "processors do not tell reads from writes");
  }
}
