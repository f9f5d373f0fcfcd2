package dev.bothy.x86.directed;

import static dev.bothy.x86.directed.TestMachine.*;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;

import dev.bothy.core.Debugging;
import dev.bothy.core.Exit;
import dev.bothy.core.StopCause;
import dev.bothy.core.StopPoints;
import dev.bothy.core.StopPoints.Watchpoint;
import dev.bothy.core.Vcpu;
import dev.bothy.core.cpu.CpuState;
import dev.bothy.x86.assemble.Assembler;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import org.junit.jupiter.api.Test;

/** A debugger of the machine, in code that has run often and in code that changes. */
class DebuggerTest extends EngineTest {
  private static final int ROUNDS = 500;

  /** inc rax; inc rbx; ret. */
  private static final byte[] ROUTINE = {
    0x48, (byte) 0xff, (byte) 0xc0, 0x48, (byte) 0xff, (byte) 0xc3, (byte) 0xc3
  };

  private static final int SECOND = 3;

  private static Debugging debugger(TestMachine m) {
    return m.engine.debugging().orElseThrow();
  }

  private static void stopAt(TestMachine m, long... addresses) {
    Set<Long> all = new HashSet<>();
    for (long address : addresses) {
      all.add(address);
    }
    debugger(m).stopAt(new StopPoints(all, List.of()));
  }

  private static void watch(TestMachine m, Watchpoint... points) {
    debugger(m).stopAt(new StopPoints(Set.of(), List.of(points)));
  }

  private static void assertStops(long address, Exit exit) {
    assertEquals(new Exit.DebugStop(new StopCause.Breakpoint(address)), exit);
  }

  private static void assertSteps(TestMachine m, long to) {
    assertEquals(new Exit.DebugStop(new StopCause.Stepped()), m.cpu.step());
    assertEquals(to, m.state().get(CpuState.RIP));
  }

  private static Exit go(TestMachine m) {
    m.state().setInt32(CpuState.ACTIVITY, 0);
    return m.cpu.run(Vcpu.UNLIMITED);
  }

  /** Calls the routine at {@link TestMachine#DATA} through RSI, halts, and begins again. */
  private static void warmUp(TestMachine m) {
    m.long64(0).setGpr(RSI, DATA);
    m.memory.write(DATA, ROUTINE);
    m.code(64, callOften(m.assembler(64)).hlt().jmp("again"));
    m.run();
    assertEquals(ROUNDS, m.gpr(RBX));
  }

  private static Assembler callOften(Assembler a) {
    a.label("again").mov(RCX, ROUNDS).label("loop").hex("ff d6"); // call rsi
    return a.dec(RCX).jnz("loop");
  }

  @Test
  void breakpointStopsHotCodeBeforeItsInstructionUntilItIsTakenAway() {
    try (var m = newMachine()) {
      warmUp(m);
      stopAt(m, DATA + SECOND);
      for (int round = 1; round <= 3; round++) {
        assertStops(DATA + SECOND, go(m));
        assertEquals(ROUNDS + round, m.gpr(RAX));
        assertEquals(ROUNDS + round - 1, m.gpr(RBX));
        assertStops(DATA + SECOND, go(m));
        assertEquals(ROUNDS + round, m.gpr(RAX));
        assertSteps(m, DATA + SECOND + 3);
      }
      byte[] there = new byte[ROUTINE.length];
      m.memory.read(DATA, there, 0, there.length);
      assertArrayEquals(ROUTINE, there);
      stopAt(m);
      assertInstanceOf(Exit.Halted.class, go(m));
      assertEquals(2 * ROUNDS, m.gpr(RBX));
      stopAt(m, DATA);
      assertStops(DATA, go(m));
      debugger(m).end();
      assertInstanceOf(Exit.Halted.class, go(m));
      assertInstanceOf(Exit.Halted.class, go(m));
      assertEquals(4 * ROUNDS, m.gpr(RBX));
    }
  }

  @Test
  void breakpointsStandAtBranchesAndAtReturns() {
    try (var m = newMachine()) {
      warmUp(m);
      long branch = CODE + 7 + 2 + 3;
      stopAt(m, DATA + 6, branch);
      for (int i = 0; i < 20; i++) {
        assertStops(DATA + 6, go(m));
        assertSteps(m, CODE + 9);
        assertStops(branch, go(m));
        assertEquals(new Exit.DebugStop(new StopCause.Stepped()), m.cpu.step());
      }
      assertEquals(ROUNDS + 20, m.gpr(RBX));
    }
  }

  @Test
  void breakpointInCodeThatIsRewrittenStops() {
    try (var m = newMachine()) {
      warmUp(m);
      stopAt(m, DATA + SECOND);
      assertStops(DATA + SECOND, go(m));
      // A device, and the guest, put: inc rdx.
      m.memory.write(DATA + SECOND, new byte[] {0x48, (byte) 0xff, (byte) 0xc2});
      final long before = m.gpr(RDX);
      assertSteps(m, DATA + SECOND + 3);
      assertEquals(before + 1, m.gpr(RDX));
      assertStops(DATA + SECOND, go(m));
      stopAt(m);
      assertInstanceOf(Exit.Halted.class, go(m));
      // mov byte [rsi+5], 0xc3: inc rbx again.
      m.state().set(CpuState.RIP, CODE);
      m.code(64, callOften(m.assembler(64).hex("c6 46 05 c3")).hlt().jmp("again"));
      stopAt(m, DATA + SECOND);
      assertStops(DATA + SECOND, go(m));
      final long sum = m.gpr(RBX);
      assertSteps(m, DATA + SECOND + 3);
      assertEquals(sum + 1, m.gpr(RBX));
      assertStops(DATA + SECOND, go(m));
    }
  }

  @Test
  void breakpointIsAtAnAddressAndNotAtWhatIsThereInRam() {
    try (var m = newMachine()) {
      warmUp(m);
      long alias = DATA + 0x5000;
      m.page(alias, DATA, P | W | U);
      stopAt(m, alias + SECOND);
      assertInstanceOf(Exit.Halted.class, go(m));
      m.state().setGpr(RSI, alias);
      assertStops(alias + SECOND, go(m));
      stopAt(m);
      assertInstanceOf(Exit.Halted.class, go(m));
      stopAt(m, alias + SECOND);
      m.state().setGpr(RSI, DATA);
      assertInstanceOf(Exit.Halted.class, go(m));
      m.state().setGpr(RSI, alias);
      assertStops(alias + SECOND, go(m));
    }
  }

  @Test
  void breakpointGoesWithItsAddressWhenThePageIsMappedElsewhere() {
    try (var m = newMachine()) {
      warmUp(m);
      long page = DATA + 0x7000;
      long first = DATA + 0x8000;
      long second = DATA + 0x9000;
      m.memory.write(first, ROUTINE);
      m.memory.write(second, ROUTINE);
      m.page(page, first, P | W | U);
      var a = callOften(m.assembler(64)).mov(RDX, second | P | W | U).mov(RDI, entryOf(page));
      a.store(RDI, 0, RDX).invlpg(RSI);
      a.mov(RCX, ROUNDS).label("more").hex("ff d6").dec(RCX).jnz("more").hlt().jmp("again");
      m.code(64, a);
      m.state().set(CpuState.RIP, CODE);
      m.state().setGpr(RSI, page);
      m.run();
      // Set while the page is the second, which goes on to be there.
      m.page(page, first, P | W | U);
      stopAt(m, page + SECOND);
      m.state().set(CpuState.RIP, CODE);
      for (int i = 0; i < ROUNDS + 5; i++) {
        assertStops(page + SECOND, go(m));
        assertSteps(m, page + SECOND + 3);
      }
      assertEquals(second | P | W | U, m.memory.readLong(entryOf(page)) & ~(A | D));
    }
  }

  @Test
  void breakpointOnAPageThatIsNotThereYetStopsOnceItIs() {
    try (var m = newMachine()) {
      warmUp(m);
      long page = DATA + 0x7000;
      m.page(page, 0, 0);
      stopAt(m, page);
      m.memory.write(DATA + 0x8000, ROUTINE);
      var handler = new Assembler(64, 0x11_0000);
      handler.mov(RDX, (DATA + 0x8000) | P | W | U).mov(RDI, entryOf(page));
      handler.store(RDI, 0, RDX).add(RSP, 8).iret();
      m.memory.write(0x11_0000, handler.toBytes());
      m.gate64(14, CODE64, 0x11_0000, 0x8e, 0);
      m.state().setGpr(RSI, page);
      assertStops(page, go(m));
    }
  }

  @Test
  void stepEndsWhereTheHandlerOfAFaultBegins() {
    try (var m = newMachine()) {
      m.long64(0);
      m.code(64, m.assembler(64).nop().hex("0f 0b").hlt());
      assertSteps(m, CODE + 1);
      assertSteps(m, HANDLERS + 16 * 6);
    }
  }

  @Test
  void stepLeavesInterruptsForLaterAndTheirShadowAsItIs() {
    try (var m = newMachine()) {
      m.long64(0);
      m.code(64, m.assembler(64).sti().nop().nop().nop().hlt());
      m.apic.request(0x40);
      m.cpu.interruptChanged();
      for (int i = 1; i <= 3; i++) {
        assertSteps(m, CODE + i);
      }
      m.run();
      assertEquals(0x40, m.vector());
    }
  }

  @Test
  void stepOfAHaltWaitsForAnInterrupt() {
    try (var m = newMachine()) {
      m.long64(0).set(CpuState.RFLAGS, IF | 2);
      m.code(64, m.assembler(64).hlt().nop());
      assertSteps(m, CODE + 1);
      assertInstanceOf(Exit.Halted.class, m.cpu.step());
      m.apic.request(0x41);
      m.cpu.interruptChanged();
      assertSteps(m, HANDLERS + 16 * 0x41 + 1);
    }
  }

  @Test
  void stepRunsAllOfAStringInstruction() {
    try (var m = newMachine()) {
      CpuState s = m.long64(0);
      s.setGpr(RCX, 0x1800);
      s.setGpr(RDI, DATA + 0x10_0000);
      s.setGpr(RAX, 0x5a);
      m.code(64, m.assembler(64).hex("f3 aa").hlt());
      assertSteps(m, CODE + 2);
      assertEquals(0, m.gpr(RCX));
      assertEquals(0x5a, m.memory.readByte(DATA + 0x10_17ff));
    }
  }

  @Test
  void watchpointsStopBehindAccessesThatTouchThem() {
    try (var m = newMachine()) {
      long at = DATA + 0x10_0000;
      m.long64(0).setGpr(RBX, at);
      var a = m.assembler(64).label("again").mov(RCX, ROUNDS).label("loop");
      a.store(RBX, 0, RCX).load(RDX, RBX, 16).add(RAX, 1).dec(RCX).jnz("loop").hlt();
      m.code(64, a.jmp("again"));
      m.run();
      long start = CODE + 7;
      int store = (int) (m.assembler(64).store(RBX, 0, RCX).here() - CODE);
      int load = (int) (m.assembler(64).load(RDX, RBX, 16).here() - CODE);
      // Neighbours of what is accessed, and the other kind of access.
      watch(
          m,
          new Watchpoint(at - 1, 1, true, true),
          new Watchpoint(at + 8, 8, true, true),
          new Watchpoint(at, 8, true, false),
          new Watchpoint(at + 16, 8, false, true));
      assertInstanceOf(Exit.Halted.class, go(m));
      var writes = new Watchpoint(at + 7, 1, false, true);
      var reads = new Watchpoint(at + 12, 8, true, false);
      watch(m, writes, reads);
      for (int i = 0; i < 10; i++) {
        assertEquals(new Exit.DebugStop(new StopCause.Watched(writes, at + 7)), go(m));
        assertEquals(start + store, m.state().get(CpuState.RIP));
        assertEquals(ROUNDS - i, m.memory.readLong(at));
        assertEquals(new Exit.DebugStop(new StopCause.Watched(reads, at + 16)), go(m));
        assertEquals(start + store + load, m.state().get(CpuState.RIP));
      }
      watch(m, reads);
      assertSteps(m, start + store + load + 7);
      debugger(m).end();
      assertInstanceOf(Exit.Halted.class, go(m));
      assertInstanceOf(Exit.Halted.class, go(m));
    }
  }

  @Test
  void breakpointsAreAtLinearAddressesInRealMode() {
    try (var m = newMachine()) {
      CpuState s = m.real();
      s.setSegment(CpuState.CS, 0x200, 0x2000, 0xffff, 0x9b);
      s.set(CpuState.RIP, CODE16 - 0x2000);
      m.code(16, m.assembler(16).nop().nop().hlt());
      stopAt(m, CODE16 + 1);
      assertStops(CODE16 + 1, go(m));
      assertEquals(CODE16 + 1 - 0x2000, m.state().get(CpuState.RIP));
    }
  }

  @Test
  void theGuestsOwnBreakpointsAreItsOwn() {
    try (var m = newMachine()) {
      warmUp(m);
      CpuState s = m.state();
      s.set(CpuState.DR, DATA + SECOND);
      s.set(CpuState.DR + 56, 0x402);
      stopAt(m, DATA);
      assertStops(DATA, go(m));
      assertSteps(m, DATA + SECOND);
      assertInstanceOf(Exit.Halted.class, go(m));
      assertEquals(1, m.vector());
    }
  }
}
