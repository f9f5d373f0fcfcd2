package dev.bothy.x86.directed;

import static dev.bothy.x86.directed.TestMachine.*;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assertions.fail;

import dev.bothy.core.Exit;
import dev.bothy.core.Vcpu;
import dev.bothy.core.cpu.CpuState;
import dev.bothy.x86.assemble.Assembler;
import java.util.concurrent.atomic.AtomicReference;
import java.util.function.Consumer;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

@Timeout(900)
class MultiprocessorTest extends EngineTest {
  static final long SECOND = 0x14_0000;

  /** Gives each vCPU its code, in 64-bit mode at CPL 0, and runs both until they halt. */
  static void both(TestMachine m, Consumer<Assembler> first, Consumer<Assembler> second) {
    both(m, first, second, s -> {});
  }

  static void both(
      TestMachine m,
      Consumer<Assembler> first,
      Consumer<Assembler> second,
      Consumer<CpuState> more) {
    var a = m.assembler(64);
    first.accept(a);
    m.code(64, a.hlt());
    var b = new Assembler(64, SECOND);
    second.accept(b);
    m.memory.write(SECOND, b.hlt().toBytes());
    for (int i = 0; i < 2; i++) {
      CpuState s = m.long64(m.cpus[i], 0);
      s.set(CpuState.RIP, i == 0 ? CODE : SECOND);
      s.setGpr(RSP, i == 0 ? KERNEL_STACK : KERNEL_STACK - 0x1000);
      more.accept(s);
    }
    runBoth(m);
  }

  private static void runBoth(TestMachine m) {
    AtomicReference<Throwable> failure = new AtomicReference<>();
    Thread[] threads = new Thread[2];
    for (int i = 0; i < 2; i++) {
      Vcpu vcpu = m.cpus[i];
      threads[i] =
          new Thread(
              () -> {
                try {
                  assertInstanceOf(Exit.Halted.class, vcpu.run(Vcpu.UNLIMITED));
                } catch (Throwable t) {
                  failure.compareAndSet(null, t);
                }
              });
      threads[i].setDaemon(true);
      threads[i].start();
    }
    try {
      boolean ended = true;
      for (Thread t : threads) {
        t.join(240_000);
        ended &= !t.isAlive();
      }
      if (!ended) {
        // Nobody may run on when the machine is closed.
        String where = "";
        for (int i = 0; i < 2; i++) {
          m.cpus[i].kick();
          threads[i].join(10_000);
          where += " " + Long.toHexString(m.cpus[i].state().get(CpuState.RIP));
        }
        fail("a processor does not end:" + where);
      }
    } catch (InterruptedException e) {
      throw new AssertionError(e);
    }
    if (failure.get() != null) {
      throw new AssertionError(failure.get());
    }
    for (Vcpu vcpu : m.cpus) {
      long rip = vcpu.state().get(CpuState.RIP);
      assertTrue(rip >= CODE, "ended in a handler at " + Long.toHexString(rip));
    }
  }

  @ParameterizedTest
  @CsvSource({
    // Instruction on [rbx], distance of its operand from a page's start, rounds
    "f0 48 ff 03, 0, 40000",
    "f0 ff 03, 4, 40000",
    "f0 66 ff 03, 2, 40000",
    "f0 fe 03, 3, 20000",
    "f0 48 ff 03, 1, 20000",
    "f0 66 ff 03, 7, 5000",
    "f0 48 ff 03, 60, 20000",
    "f0 ff 03, 62, 20000",
    "f0 66 ff 03, 63, 5000",
    "f0 48 ff 03, 0xffc, 3000",
    "f0 ff 03, 0xffe, 3000",
    "f0 66 ff 03, 0xfff, 3000",
    "f0 48 0f c1 03, 0, 40000",
    "f0 48 0f c1 03, 0xffb, 3000"
  })
  void lockedCountersLoseNothing(String instruction, String offset, int rounds) {
    try (var m = newMachine(2)) {
      long at = DATA + Integer.decode(offset);
      Consumer<Assembler> code =
          a -> {
            a.mov(RBX, at).mov(RCX, rounds).label("loop");
            if (instruction.contains("c1")) {
              a.mov(RAX, 1);
            }
            a.hex(instruction).dec(RCX).jnz("loop");
          };
      both(m, code, code);
      int bits =
          instruction.contains("48")
              ? 64
              : instruction.contains("66") ? 16 : instruction.contains("fe") ? 8 : 32;
      long mask = bits == 64 ? -1 : (1L << bits) - 1;
      assertEquals(2L * rounds & mask, m.memory.readLong(at) & mask);
    }
  }

  @ParameterizedTest
  @CsvSource({"0, 20000", "3, 10000", "61, 10000", "0xffd, 2000"})
  void compareAndExchangeCounts(String offset, int rounds) {
    try (var m = newMachine(2)) {
      long at = DATA + Integer.decode(offset);
      Consumer<Assembler> code =
          a ->
              a.mov(RBX, at)
                  .mov(RCX, rounds)
                  .label("loop")
                  .load(RAX, RBX, 0)
                  .label("again")
                  .hex("48 8d 50 01 f0 48 0f b1 13")
                  .jnz("again")
                  .dec(RCX)
                  .jnz("loop"); // lea rdx, [rax+1]; lock cmpxchg
      both(m, code, code);
      assertEquals(2L * rounds, m.memory.readLong(at));
    }
  }

  @Test
  void wideCompareAndExchangeKeepsBothHalvesTogether() {
    try (var m = newMachine(2)) {
      Consumer<Assembler> code =
          a ->
              a.mov(RSI, DATA)
                  .mov(RDI, 10_000)
                  .label("loop")
                  .load(RAX, RSI, 0)
                  .load(RDX, RSI, 8)
                  .label("again")
                  .hex("48 8d 58 01 48 8d 4a 02 f0 48 0f c7 0e")
                  .jnz("again") // rbx = rax + 1, rcx = rdx + 2
                  .dec(RDI)
                  .jnz("loop");
      both(m, code, code);
      assertEquals(20_000, m.memory.readLong(DATA));
      assertEquals(40_000, m.memory.readLong(DATA + 8));
    }
  }

  @ParameterizedTest
  @CsvSource({"0, 10000", "61, 5000", "0xffe, 1500"})
  void exchangeMakesALock(String offset, int rounds) {
    try (var m = newMachine(2)) {
      long lock = DATA + Integer.decode(offset);
      Consumer<Assembler> code =
          a -> {
            a.mov(RBX, lock).mov(RSI, DATA + 0x3000).mov(RCX, rounds);
            a.label("loop")
                .mov32(RAX, 1)
                .hex("87 03 85 c0")
                .jnz("wait"); // xchg [rbx], eax; test eax, eax
            a.load(RDX, RSI, 0).inc(RDX).store(RSI, 0, RDX);
            a.hex("c7 03 00 00 00 00").dec(RCX).jnz("loop").jmp("end"); // mov dword [rbx], 0
            a.label("wait").hex("f3 90").jmp("loop").label("end");
          };
      both(m, code, code);
      assertEquals(2L * rounds, m.memory.readLong(DATA + 0x3000));
    }
  }

  @Test
  void messagesArriveAfterTheirData() {
    try (var m = newMachine(2)) {
      int rounds = 30_000;
      both(
          m,
          a ->
              a.mov(RBX, DATA)
                  .mov(RCX, 1)
                  .label("loop")
                  .store(RBX, 0, RCX)
                  .store(RBX, 0x1000, RCX)
                  .inc(RCX)
                  .cmp(RCX, rounds)
                  .jnz("loop"),
          a ->
              a.mov(RBX, DATA)
                  .label("loop")
                  .load(RAX, RBX, 0x1000)
                  .load(RDX, RBX, 0)
                  .hex("48 39 c2")
                  .jcc(2, "bad")
                  .cmp(RAX, rounds - 1)
                  .jnz("loop")
                  .mov(RBP, 1)
                  .jmp("end") // cmp rdx, rax; jb
                  .label("bad")
                  .mov(RBP, 2)
                  .label("end"));
      assertEquals(1, m.cpus[1].state().gpr(RBP));
    }
  }

  @Test
  void fencedStoresAreSeenByOneSideAtLeast() {
    for (String fence : new String[] {"0f ae f0", "f0 83 0c 24 00", "87 0e"}) {
      try (var m = newMachine(2)) {
        // Dekker's: each stores its own flag, fences, and looks at the other's; both may not find
        // the old value.
        both(m, side(0, fence), side(1, fence));
        for (long r = 1; r <= 1000; r++) {
          long a = m.memory.readLong(DATA + 0x1_0000 + 8 * r);
          long b = m.memory.readLong(DATA + 0x2_0000 + 8 * r);
          assertTrue(a >= r || b >= r, "round " + r + ": " + a + " and " + b);
        }
      }
    }
  }

  private static Consumer<Assembler> side(int me, String fence) {
    return a -> {
      a.mov(RBX, DATA + 0x100 * me).mov(RDX, DATA + 0x100 * (1 - me)).mov(RCX, 1);
      a.mov(RDI, DATA + 0x1_0000 * (1 + me)).mov(RSI, DATA + 0x800 + 0x40 * me);
      a.label("loop").store(RBX, 0, RCX).hex(fence).load(RAX, RDX, 0);
      a.hex("48 89 04 cf"); // mov [rdi+rcx*8], rax
      // Meet the other before the next round.
      a.store(RBX, 0x400, RCX)
          .label("wait")
          .hex("f3 90")
          .load(RAX, RDX, 0x400)
          .hex("48 39 c8")
          .jcc(2, "wait"); // cmp rax, rcx; jb
      a.inc(RCX).cmp(RCX, 1001).jnz("loop");
    };
  }

  @Test
  void codeChangedByAnotherProcessorIsSeenOnceItIsTold() {
    try (var m = newMachine(2)) {
      int rounds = 400;
      long routine = DATA + 0x8000;
      m.memory.write(routine, new byte[] {(byte) 0xb8, 0, 0, 0, 0, (byte) 0xc3});
      both(
          m,
          a ->
              a.mov(RBX, routine)
                  .mov(RDX, DATA)
                  .mov(RCX, 1)
                  .label("loop")
                  .memory(false, new int[] {0x89}, RCX, RBX, 1)
                  .store(RDX, 0, RCX) // patch, then tell
                  .label("wait")
                  .hex("f3 90")
                  .load(RAX, RDX, 0x100)
                  .hex("48 39 c8")
                  .jnz("wait")
                  .inc(RCX)
                  .cmp(RCX, rounds)
                  .jnz("loop"),
          a ->
              a.mov(RBX, routine)
                  .mov(RDX, DATA)
                  .mov(RCX, 1)
                  .label("loop")
                  .hex("f3 90")
                  .load(RAX, RDX, 0)
                  .hex("48 39 c8")
                  .jnz("loop")
                  .xorRegister(RAX, RAX)
                  .mov(RSI, RCX)
                  .hex("53 52 51 0f a2 59 5a 5b") // cpuid
                  .hex("ff d3 48 39 c8")
                  .jnz("bad")
                  .store(RDX, 0x100, RCX)
                  .inc(RCX)
                  .cmp(RCX, rounds)
                  .jnz("loop")
                  .mov(RBP, 1)
                  .jmp("end")
                  .label("bad")
                  .mov(RBP, 2)
                  .store(RDX, 0x100, RCX)
                  .label("end"),
          s -> {});
      assertEquals(1, m.cpus[1].state().gpr(RBP));
    }
  }

  @Test
  void translationIsGoneOnceTheOtherProcessorHasFlushedAndSaidSo() {
    try (var m = newMachine(2)) {
      int rounds = 400;
      long page = DATA + 0x9000;
      m.memory.writeLong(DATA + 0xa000, 0);
      m.memory.writeLong(DATA + 0xb000, 1);
      both(
          m,
          a -> {
            // Switches the page between two frames; the second processor must see frame n modulo 2
            // after its INVLPG.
            a.mov(RBX, entryOf(page)).mov(RDX, DATA).mov(RCX, 1).label("loop");
            a.movRegister(RAX, RCX)
                .hex("83 e0 01 48 c1 e0 0c 48 05")
                .value(4, DATA + 0xa000 | 7)
                .store(RBX, 0, RAX);
            a.store(RDX, 0, RCX)
                .label("wait")
                .hex("f3 90")
                .load(RAX, RDX, 0x100)
                .hex("48 39 c8")
                .jnz("wait");
            a.inc(RCX).cmp(RCX, rounds).jnz("loop");
          },
          a -> {
            a.mov(RBX, page)
                .mov(RDX, DATA)
                .mov(RCX, 1)
                .mov(RBP, 1)
                .label("loop")
                .hex("f3 90")
                .load(RAX, RDX, 0)
                .hex("48 39 c8")
                .jnz("loop");
            a.invlpg(RBX)
                .load(RAX, RBX, 0)
                .movRegister(RSI, RCX)
                .hex("83 e6 01 48 39 f0")
                .jz("good")
                .mov(RBP, 2)
                .label("good");
            a.store(RDX, 0x100, RCX).inc(RCX).cmp(RCX, rounds).jnz("loop");
          });
      assertEquals(1, m.cpus[1].state().gpr(RBP));
    }
  }

  @Test
  void bothProcessorsClaimCodePagesWhileTheyPatchEachOther() {
    try (var m = newMachine(2)) {
      // Each patches the other's routine and calls its own; what they return does not matter, that
      // both end does.
      for (int i = 0; i < 64; i++) {
        m.memory.write(
            DATA + 0x1_0000 + 0x1000L * i, new byte[] {(byte) 0xb8, 0, 0, 0, 0, (byte) 0xc3});
      }
      Consumer<Assembler> code =
          a ->
              a.mov(RCX, 6000)
                  .mov(RBX, DATA + 0x1_0000)
                  .label("loop")
                  .movRegister(RSI, RCX)
                  .hex("83 e6 3f 48 c1 e6 0c 48 01 de") // rsi = rbx + (rcx & 63) * 4096
                  .memory(false, new int[] {0x89}, RCX, RSI, 1)
                  .hex("ff d6")
                  .dec(RCX)
                  .jnz("loop");
      both(m, code, code);
    }
  }

  @Test
  void closedAndHaltedProcessorsAreNotWaitedFor() throws InterruptedException {
    try (var m = newMachine(3)) {
      CpuState s = m.long64(m.cpus[1], 0);
      s.set(CpuState.RIP, SECOND);
      m.memory.writeByte(SECOND, 0xf4);
      assertInstanceOf(Exit.Halted.class, m.cpus[1].run(100));
      m.cpus[2].close();
      m.cpus[2] = null;
      m.long64(m.cpus[0], 0);
      // A split lock and new code pages need the others to stand still.
      m.code(
          64,
          m.assembler(64)
              .mov(RBX, DATA + 0xffe)
              .mov(RCX, 10)
              .label("l")
              .hex("f0 48 ff 03")
              .dec(RCX)
              .jnz("l")
              .hlt());
      var thread = new Thread(() -> m.cpus[0].run(Vcpu.UNLIMITED));
      thread.start();
      thread.join(240_000);
      assertTrue(!thread.isAlive());
      assertEquals(10, m.memory.readLong(DATA + 0xffe));
    }
  }

  @Test
  void startupIpiStartsAnApplicationProcessorThatRunsAlongside() throws InterruptedException {
    try (var m = newMachine(2)) {
      m.long64(m.cpus[0], 0);
      m.code(
          64,
          m.assembler(64)
              .mov(RBX, 0x6000)
              .label("wait")
              .hex("f3 90")
              .load(RAX, RBX, 0)
              .cmp(RAX, 0)
              .jz("wait")
              .hlt());
      m.memory.writeLong(0x6000, 0);
      m.memory.write(
          0x9_a000,
          new Assembler(16, 0).hex("c7 06 00 60 34 12 f4").toBytes()); // mov word [0x6000], 0x1234
      var boot = new Thread(() -> m.cpus[0].run(Vcpu.UNLIMITED));
      var application =
          new Thread(
              () -> {
                while (!(m.cpus[1].run(Vcpu.UNLIMITED) instanceof Exit.Halted)) {
                  Thread.onSpinWait();
                }
              });
      boot.start();
      application.start();
      m.cpus[1].init();
      m.cpus[1].startup(0x9a);
      boot.join(240_000);
      application.join(240_000);
      assertTrue(!boot.isAlive() && !application.isAlive());
      assertEquals(0x1234, m.cpus[0].state().gpr(RAX));
    }
  }
}
