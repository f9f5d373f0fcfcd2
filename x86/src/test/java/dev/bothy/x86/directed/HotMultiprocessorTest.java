package dev.bothy.x86.directed;

import static dev.bothy.x86.directed.MultiprocessorTest.both;
import static dev.bothy.x86.directed.TestMachine.*;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.bothy.core.BusDevice;
import dev.bothy.core.cpu.CpuState;
import dev.bothy.x86.assemble.Assembler;
import java.util.function.Consumer;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** One processor changes code and pages under the hot loops of another, and tells it so. */
@Timeout(900)
class HotMultiprocessorTest extends EngineTest {
  /** Rounds of the second processor's loop before each change. */
  private static final int ROUNDS = 300;

  private static final int CHANGES = 60;
  private static final long ALL = P | W | U;
  private static final long PAGE = DATA + 0x1_0000;
  private static final long FRAMES = DATA + 0x2_0000;
  private static final long HANDLER = 0x11_0000;
  private static final long FAULT_HANDLER = 0x11_1000;

  // Words that the two share, by their offset in DATA; RBP points there on both.
  private static final int COUNTER = 0;
  private static final int TOLD = 0x100;
  private static final int STOP = 0x200;
  private static final int FAULTS = 0x300;
  private static final int VERSION = 0x400;

  private static final int IPI_PORT = 0x4000;

  private TestMachine twoProcessors() {
    TestMachine m = newMachine(2);
    m.ports.map(
        "ipi",
        IPI_PORT,
        1,
        new BusDevice() {
          @Override
          public long read(long offset, int size) {
            return 0;
          }

          @Override
          public void write(long offset, int size, long value) {
            m.apics[1].request(0x40);
            m.cpus[1].interruptChanged();
          }
        });
    return m;
  }

  /** What the second processor does on the interrupt, with R8 for its use. */
  private static void onInterrupt(TestMachine m, Consumer<Assembler> action) {
    var h = new Assembler(64, HANDLER);
    action.accept(h);
    h.load(8, RBP, VERSION).store(RBP, TOLD, 8);
    m.memory.write(HANDLER, h.iret().toBytes());
  }

  private static void gates(TestMachine m) {
    m.gate64(0x40, CODE64, HANDLER, 0x8e, 0);
    m.gate64(14, CODE64, FAULT_HANDLER, 0x8e, 0);
  }

  /**
   * The first processor: {@code change} does something for version RCX (1, 2, ..) once the second
   * has gone round often enough; {@code after} once that knows.
   */
  private static Consumer<Assembler> changer(
      Consumer<Assembler> change, Consumer<Assembler> after) {
    return a -> {
      a.mov(RBP, DATA).mov(RCX, 1).label("change");
      a.load(RSI, RBP, COUNTER).add(RSI, ROUNDS).label("wait");
      a.hex("f3 90").load(RAX, RBP, COUNTER).hex("48 39 f0").jcc(2, "wait"); // cmp rax, rsi; jb
      change.accept(a);
      a.store(RBP, VERSION, RCX).mov(RDX, IPI_PORT).hex("ee").label("ack");
      a.hex("f3 90").load(RAX, RBP, TOLD).hex("48 39 c8").jnz("ack"); // cmp rax, rcx
      after.accept(a);
      a.inc(RCX).cmp(RCX, CHANGES + 1).jnz("change");
      a.mov(RAX, 1).store(RBP, STOP, RAX);
    };
  }

  /**
   * The second processor: {@code use} brings a version into RAX, which must not be older than the
   * last one that it was told of.
   */
  private static Consumer<Assembler> user(Consumer<Assembler> use) {
    return a -> {
      a.mov(RBP, DATA).sti().label("loop").load(RDI, RBP, TOLD);
      use.accept(a);
      a.hex("48 39 f8").jcc(2, "old"); // cmp rax, rdi; jb
      a.memory(true, new int[] {0xff}, 0, RBP, COUNTER); // inc
      a.load(RAX, RBP, STOP).hex("48 85 c0").jz("loop").mov(RBX, 1).jmp("end");
      a.label("old").mov(RBX, 2).mov(RCX, 1).label("rest");
      // Let the first one come to its end.
      a.memory(true, new int[] {0xff}, 0, RBP, COUNTER).load(RAX, RBP, STOP);
      a.hex("48 85 c0").jz("rest").label("end").cli();
    };
  }

  private static void nothing(Assembler a) {}

  private static void run(TestMachine m, Consumer<Assembler> first, Consumer<Assembler> second) {
    for (int i = 0; i < 2; i++) {
      m.long64(m.cpus[i], 0);
    }
    both(m, first, second, s -> gates(m));
    assertEquals(CHANGES, m.memory.readLong(DATA + TOLD));
    assertEquals(1, m.cpus[1].state().gpr(RBX), "1: always new enough, 2: something was old");
  }

  private static void routine(TestMachine m, long at, int value) {
    m.memory.write(at, new Assembler(64, 0).mov32(RAX, value).ret().toBytes());
  }

  @Test
  void patchedRoutineOfAHotLoopIsNewAfterTheInterrupt() {
    try (var m = twoProcessors()) {
      routine(m, PAGE, 0);
      onInterrupt(m, HotMultiprocessorTest::nothing);
      run(
          m,
          changer(
              a -> a.mov(RBX, PAGE).memory(false, new int[] {0x89}, RCX, RBX, 1),
              HotMultiprocessorTest::nothing),
          user(a -> a.mov(RDX, PAGE).hex("ff d2"))); // call rdx
    }
  }

  @Test
  void patchedBodyOfAHotLoopIsNewAfterTheInterrupt() {
    try (var m = twoProcessors()) {
      onInterrupt(m, HotMultiprocessorTest::nothing);
      long[] constant = new long[1];
      Consumer<Assembler> second =
          user(
              a -> {
                constant[0] = a.here() + 1;
                a.mov32(RAX, 0);
              });
      second.accept(new Assembler(64, MultiprocessorTest.SECOND));
      run(
          m,
          changer(
              a -> a.mov(RBX, constant[0]).memory(false, new int[] {0x89}, RCX, RBX, 0),
              HotMultiprocessorTest::nothing),
          second);
    }
  }

  /** Puts version RCX into a frame of its own and maps the page to it. */
  private static void mapFrameOfVersion(Assembler a, int at) {
    a.movRegister(RDI, RCX).hex("83 e7 07 c1 e7 0c").add(RDI, (int) FRAMES); // 8 frames in turn
    a.memory(false, new int[] {0x89}, RCX, RDI, at);
    a.hex("48 8d 57 07").mov(RBX, entryOf(PAGE)).store(RBX, 0, RDX); // lea rdx, [rdi+7]
  }

  @Test
  void hotLoadsFollowAShootDown() {
    try (var m = twoProcessors()) {
      m.page(PAGE, FRAMES, ALL);
      onInterrupt(m, a -> a.mov(8, PAGE).hex("41 0f 01 38")); // invlpg [r8]
      run(
          m,
          changer(
              a -> mapFrameOfVersion(a, 0x10),
              // The frame before is free: whoever looks there still finds nothing.
              a ->
                  a.movRegister(RDI, RCX)
                      .dec(RDI)
                      .hex("83 e7 07 c1 e7 0c")
                      .add(RDI, (int) FRAMES)
                      .mov(RAX, 0)
                      .store(RDI, 0x10, RAX)),
          user(a -> a.mov(RDX, PAGE).load(RAX, RDX, 0x10)));
    }
  }

  @Test
  void hotCallsFollowAShootDown() {
    try (var m = twoProcessors()) {
      for (int i = 0; i < 8; i++) {
        routine(m, FRAMES + 0x1000L * i, 0);
      }
      m.page(PAGE, FRAMES, ALL);
      onInterrupt(m, a -> a.movFromControl(RAX, 3).movToControl(3, RAX).mov(RAX, -1));
      run(
          m,
          changer(a -> mapFrameOfVersion(a, 1), HotMultiprocessorTest::nothing),
          user(a -> a.mov(RDX, PAGE).cli().hex("ff d2").sti()));
    }
  }

  @Test
  void hotStoresFollowAShootDown() {
    try (var m = twoProcessors()) {
      m.page(PAGE, FRAMES, ALL);
      onInterrupt(m, a -> a.mov(8, PAGE).hex("41 0f 01 38"));
      run(
          m,
          changer(
              a -> mapFrameOfVersion(a, 0x10),
              a -> {
                // The frame before does not change any more, however far the other one goes on.
                a.movRegister(RDI, RCX).dec(RDI).hex("83 e7 07 c1 e7 0c").add(RDI, (int) FRAMES);
                a.load(RDX, RDI, 0x800).load(RSI, RBP, COUNTER).add(RSI, 50).label("more");
                a.hex("f3 90").load(RAX, RBP, COUNTER).hex("48 39 f0").jcc(2, "more");
                a.load(RAX, RDI, 0x800).hex("48 39 d0").jz("same"); // cmp rax, rdx
                a.memory(true, new int[] {0xff}, 0, RBP, FAULTS).label("same");
              }),
          user(
              a ->
                  a.mov(RDX, PAGE)
                      .memory(true, new int[] {0xff}, 0, RDX, 0x800)
                      .load(RAX, RDX, 0x10)));
      assertEquals(0, m.memory.readLong(DATA + FAULTS), "frames that changed when they were free");
    }
  }

  @Test
  void hotStoresFaultOnceTheirPageIsWriteProtected() {
    try (var m = twoProcessors()) {
      onInterrupt(m, a -> a.mov(8, PAGE).hex("41 0f 01 38"));
      // The fault makes the page writable again and counts.
      var h = new Assembler(64, FAULT_HANDLER).mov(8, entryOf(PAGE));
      h.hex("49 83 08 02").mov(8, PAGE).hex("41 0f 01 38"); // or qword [r8], 2; invlpg
      h.memory(true, new int[] {0xff}, 0, RBP, FAULTS).add(RSP, 8);
      m.memory.write(FAULT_HANDLER, h.iret().toBytes());
      run(
          m,
          changer(
              a -> a.mov(RBX, entryOf(PAGE)).hex("48 83 23 fd"), // and qword [rbx], ~2
              a ->
                  a.label("faults")
                      .hex("f3 90")
                      .load(RAX, RBP, FAULTS)
                      .hex("48 39 c8")
                      .jnz("faults")),
          user(a -> a.mov(RDX, PAGE).memory(true, new int[] {0xff}, 0, RDX, 8).mov(RAX, -1)));
      assertEquals(CHANGES, m.memory.readLong(DATA + FAULTS));
    }
  }

  @Test
  void pagesBecomeCodeWhileAnotherProcessorStoresToThem() {
    try (var m = newMachine(2)) {
      // The first stores ever larger constants into 32 routines, one page after the other; the
      // second calls each while that goes on, and may not see one that is older than announced.
      int pages = 32;
      int rounds = 2000;
      for (int i = 0; i < pages; i++) {
        routine(m, FRAMES + 0x1000L * i, 0);
      }
      both(
          m,
          a -> {
            a.mov(RBP, DATA).mov(RBX, FRAMES).mov(RSI, pages).mov(RCX, 1).label("page");
            a.store(RBP, VERSION, RBX).mov(RDI, rounds).label("loop");
            a.memory(false, new int[] {0x89}, RCX, RBX, 1).store(RBX, 0x800, RCX).inc(RCX);
            a.dec(RDI).jnz("loop").add(RBX, 0x1000).dec(RSI).jnz("page");
            a.mov(RAX, 1).store(RBP, STOP, RAX);
          },
          a -> {
            a.mov(RBP, DATA).mov(13, 0).label("loop").load(RDX, RBP, VERSION);
            a.hex("48 85 d2").jz("loop").load(RDI, RDX, 0x800).push(RDX).hex("31 c0 0f a2");
            a.pop(RDX)
                .hex("ff d2 48 39 f8")
                .jcc(2, "old")
                .inc(13); // behind cpuid, which serializes
            a.load(RAX, RBP, STOP).hex("48 85 c0").jz("loop").mov(12, 1).jmp("end");
            a.label("old").mov(12, 2).label("end");
          });
      CpuState s = m.cpus[1].state();
      assertEquals(1, s.gpr(12), "2: a routine was older than announced");
      assertTrue(s.gpr(13) > 0);
    }
  }
}
