package dev.bothy.x86.directed;

import static dev.bothy.x86.directed.TestMachine.*;
import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.bothy.core.cpu.CpuState;
import dev.bothy.x86.assemble.Assembler;
import java.util.function.Consumer;
import org.junit.jupiter.api.Test;

/** What INVLPG, INVPCID and writes of control registers take from the TLB, and what they leave. */
class TranslationFlushTest extends EngineTest {
  private static final long PAGE = DATA + 0x5000;
  private static final long ALL = P | W | U;
  private static final int PCIDE = 1 << 17;

  /**
   * Puts 1 on the page at RBX, and into RSI and RDX where its entry is and which one leads to a
   * page with 2.
   */
  private static CpuState pageThatMoves(TestMachine m, long entryBits) {
    m.memory.writeLong(PAGE, 1);
    m.memory.writeLong(DATA, 2);
    CpuState s = m.long64(0);
    s.setGpr(RBX, PAGE);
    s.setGpr(RSI, entryOf(PAGE));
    s.setGpr(RDX, DATA | ALL | entryBits);
    return s;
  }

  /** Code that reads from RBX to RAX and then changes the entry. */
  private static Assembler readAndMove(TestMachine m) {
    return m.assembler(64).load(RAX, RBX, 0).store(RSI, 0, RDX);
  }

  @Test
  void staleTranslationsLastUntilInvlpg() {
    try (var m = newMachine()) {
      pageThatMoves(m, 0);
      m.code(64, readAndMove(m).invlpg(RBX).load(RCX, RBX, 0).hlt());
      m.run();
      assertEquals(1, m.gpr(RAX));
      assertEquals(2, m.gpr(RCX));
    }
  }

  @Test
  void controlRegisterThreeFlushesWhatIsNotGlobal() {
    try (var m = newMachine()) {
      pageThatMoves(m, 0);
      m.code(
          64, readAndMove(m).movFromControl(RDI, 3).movToControl(3, RDI).load(RCX, RBX, 0).hlt());
      m.run();
      assertEquals(1, m.gpr(RAX));
      assertEquals(2, m.gpr(RCX));
    }
  }

  @Test
  void invlpgOfALargePageDropsAllOfIt() {
    try (var m = newMachine()) {
      m.memory.writeLong(PD + 8 * 4, 0x20_0000 | ALL | LARGE);
      m.memory.writeLong(0x20_0000, 1);
      m.memory.writeLong(0x40_0000, 2);
      m.long64(0).setGpr(RBX, 0x80_0000);
      m.state().setGpr(RSI, PD + 8 * 4);
      m.state().setGpr(RDX, 0x40_0000 | ALL | LARGE);
      m.state().setGpr(RDI, 0x90_5000);
      m.code(64, readAndMove(m).invlpg(RDI).load(RCX, RBX, 0).hlt());
      m.run();
      assertEquals(1, m.gpr(RAX));
      assertEquals(2, m.gpr(RCX));
    }
  }

  /**
   * Runs {@code flush} between two reads of a page whose entry changes, all in PCID 5; returns what
   * the second read finds.
   */
  private static long afterFlush(TestMachine m, long entryBits, Consumer<Assembler> flush) {
    m.page(PAGE, PAGE, ALL | entryBits);
    CpuState s = pageThatMoves(m, entryBits);
    s.set(CpuState.CR4, CR4_LONG | PCIDE);
    s.set(CpuState.CR3, PML4 | 5);
    s.setGpr(RBP, DATA + 0x8000);
    var a = readAndMove(m);
    flush.accept(a);
    m.code(64, a.load(RCX, RBX, 0).hlt());
    m.run();
    assertEquals(-1, m.vector());
    assertEquals(1, m.gpr(RAX));
    return m.gpr(RCX);
  }

  private static void descriptor(TestMachine m, long pcid, long linear) {
    m.memory.writeLong(DATA + 0x8000, pcid);
    m.memory.writeLong(DATA + 0x8008, linear);
  }

  @Test
  void invpcidFlushesWhatItsTypeSays() {
    try (var m = newMachine()) {
      descriptor(m, 5, PAGE);
      for (int type = 0; type < 4; type++) {
        int t = type;
        assertEquals(2, afterFlush(m, 0, a -> a.mov(RDI, t).invpcid(RDI, RBP)), "type " + t);
      }
      descriptor(m, 6, PAGE);
      assertEquals(2, afterFlush(m, 0, a -> a.mov(RDI, 2).invpcid(RDI, RBP)));
      assertEquals(2, afterFlush(m, G, a -> a.mov(RDI, 2).invpcid(RDI, RBP)));
    }
  }

  @Test
  void translationsOfAnotherAddressSpaceStayApart() {
    try (var m = newMachine()) {
      // Another PML4 that maps PAGE elsewhere, in PCID 6.
      long other = 0x5_0000;
      for (int i = 0; i < 4; i++) {
        byte[] copy = new byte[4096];
        m.memory.read(PML4 + i * 0x1000L, copy, 0, 4096);
        m.memory.write(other + i * 0x1000L, copy);
      }
      m.memory.writeLong(other, other + 0x1000 | ALL);
      m.memory.writeLong(other + 0x1000, other + 0x2000 | ALL);
      m.memory.writeLong(other + 0x2008, other + 0x3000 | ALL);
      m.memory.writeLong(other + 0x3000 + (entryOf(PAGE) & 0xfff), DATA + 0x2000 | ALL);
      m.memory.writeLong(DATA + 0x2000, 66);
      CpuState s = m.long64(0);
      m.memory.writeLong(PAGE, 55);
      s.set(CpuState.CR4, CR4_LONG | PCIDE);
      s.set(CpuState.CR3, PML4 | 5);
      s.setGpr(RBX, PAGE);
      long keep = 1L << 63;
      var a =
          m.assembler(64)
              .load(RAX, RBX, 0)
              .mov(RDI, other | 6 | keep)
              .movToControl(3, RDI)
              .load(RCX, RBX, 0);
      a.mov(RDI, PML4 | 5 | keep).movToControl(3, RDI).load(RDX, RBX, 0);
      m.code(64, a.movFromControl(RSI, 3).hlt());
      m.run();
      assertEquals(55, m.gpr(RAX));
      assertEquals(66, m.gpr(RCX));
      assertEquals(55, m.gpr(RDX));
      assertEquals(PML4 | 5, m.gpr(RSI));
    }
  }

  @Test
  void invpcidOfAnotherAddressSpaceIsSeenWhenItComesBack() {
    try (var m = newMachine()) {
      for (int type = 0; type < 4; type++) {
        descriptor(m, 5, PAGE);
        int t = type;
        long found =
            afterFlush(
                m,
                0,
                a ->
                    a.mov(RDI, PML4 | 6 | 1L << 63)
                        .movToControl(3, RDI)
                        .mov(RDI, t)
                        .invpcid(RDI, RBP)
                        .mov(RDI, PML4 | 5 | 1L << 63)
                        .movToControl(3, RDI));
        assertEquals(2, found, "type " + t);
      }
    }
  }

  @Test
  void invpcidRefusesBadOperands() {
    try (var m = newMachine()) {
      long[][] bad = {
        {4, 5, PAGE}, {0, 0x1000, PAGE}, {0, 5, 0x8000_0000_0000L}, {1, 0x1_0005, 0}, {-1, 0, 0}
      };
      for (long[] b : bad) {
        descriptor(m, b[1], b[2]);
        CpuState s = m.long64(0);
        s.set(CpuState.CR4, CR4_LONG | PCIDE);
        s.setGpr(RBP, DATA + 0x8000);
        m.code(64, m.assembler(64).mov(RDI, b[0]).invpcid(RDI, RBP));
        m.run();
        assertEquals(13, m.vector(), b[0] + " " + b[1]);
      }
      descriptor(m, 5, PAGE);
      m.long64(0).setGpr(RBP, DATA + 0x8000); // PCIDs are off
      m.code(64, m.assembler(64).mov(RDI, 1).invpcid(RDI, RBP));
      m.run();
      assertEquals(13, m.vector());
    }
  }

  @Test
  void pcidsTurnOnOnlyFromAddressSpaceZeroAndKeepPagingOn() {
    try (var m = newMachine()) {
      m.long64(0).set(CpuState.CR3, PML4 | 8);
      m.code(64, m.assembler(64).mov32(RAX, CR4_LONG | PCIDE).movToControl(4, RAX));
      m.run();
      assertEquals(13, m.vector());
    }
  }
}
