package dev.bothy.x86.directed;

import static dev.bothy.x86.directed.TestMachine.*;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.bothy.core.cpu.CpuState;
import dev.bothy.x86.assemble.Assembler;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * Pages that are looked up again and again, since another one takes their place in the TLB each
 * time, and whose page tables then change.
 */
class HotPagingTest extends EngineTest {
  private static final int ROUNDS = 40;
  private static final int INVLPG = 0x41;
  private static final long ALL = P | W | U;
  private static final long DIRECTORY_HERE = 0x2_8000;
  private static final long TABLE_HERE = 0x2_9000;
  private static final long DIRECTORY_OTHER = 0x2_a000;

  /** A GiB whose first pages are the data area's, in a region without large pages. */
  private static final long HERE = 0x4000_0000L;

  /** As far from each other as addresses whose lowest 25 bits are the same. */
  private static final long FAR = 0x200_0000L;

  /** A GiB as one page. */
  private static final long HUGE = 0x8000_0000L;

  private static final long PAGE = DATA + 0x8000;
  private static final long OTHER = DATA + 0x9000;

  private static void prepare(TestMachine m, int cpl, long cr4) {
    byte[] handler = new Assembler(64, 0).invlpg(RBX).hex("48 cf").toBytes();
    m.memory.write(HANDLERS + 16 * INVLPG, handler);
    m.memory.writeLong(PDPT + 8, DIRECTORY_HERE | ALL);
    m.memory.writeLong(PDPT + 16, ALL | LARGE);
    m.memory.writeLong(DIRECTORY_HERE + 8, DATA_PT | ALL);
    m.memory.writeLong(DIRECTORY_HERE + 8 * ((DATA + FAR) >> 21), TABLE_HERE | ALL);
    m.memory.writeLong(DIRECTORY_HERE + 16, 0x40_0000 | ALL | LARGE);
    for (int i = 0; i < 512; i++) {
      m.memory.writeLong(
          TABLE_HERE + 8 * i, DATA + 0x10_0000 + (i & 255) * 4096L | (cpl == 0 ? P | W : ALL));
    }
    for (int i = 0; cpl == 0 && i < 8; i++) {
      // What the test itself needs is no user page.
      if (i != 1) {
        m.memory.writeLong(PD + 8 * i, (long) i << 21 | P | W | LARGE);
      }
    }
    // inc rsi; ret
    m.memory.write(PAGE, new byte[] {0x48, (byte) 0xff, (byte) 0xc6, (byte) 0xc3});
    m.memory.write(OTHER, new byte[] {0x48, (byte) 0xff, (byte) 0xce, (byte) 0xc3});
    CpuState s = m.long64(cpl);
    s.set(CpuState.CR4, CR4_LONG | cr4);
  }

  /** Makes {@code code} once and, in between, looks at the page in R8: {@link #ROUNDS} times. */
  private static Assembler rounds(Assembler a, String code) {
    a.jmp("start").label("rounds").mov(15, ROUNDS).label("round").hex("49 8b 00").hex(code);
    return a.dec(15).jnz("round").ret().label("start");
  }

  private static Assembler change(Assembler a, long linear, long at, long to) {
    a.mov(RDX, at).mov(RCX, to).store(RDX, 0, RCX);
    return a.mov(RBX, linear).interrupt(INVLPG);
  }

  private static String code(String access) {
    return switch (access) {
      case "load" -> "48 8b 0f 48 01 ce"; // mov rcx, [rdi]; add rsi, rcx
      case "store" -> "48 89 37 48 ff c6"; // mov [rdi], rsi; inc rsi
      case "update" -> "48 01 37"; // add [rdi], rsi
      case "call" -> "ff d7";
      default -> throw new IllegalArgumentException(access);
    };
  }

  @ParameterizedTest
  @CsvSource({
    // CPL, access, entry at first, entry then, CR4 besides, vector at the end
    "3, load, 0x67, 0x67, 0, 6",
    "3, load, 0x67, 0x47, 0, 6",
    "3, load, 0x27, 0x27, 0, 6",
    "3, load, 0x67, 0x63, 0, 14",
    "3, load, 0x67, 0x66, 0, 14",
    "3, load, 0x67, 0x4000000000067, 0, 14",
    "3, load, 0x67, 0xd0000067, 0, 6",
    "3, store, 0x67, 0x67, 0, 6",
    "3, store, 0x67, 0x27, 0, 6",
    "3, store, 0x67, 0x07, 0, 6",
    "3, store, 0x67, 0x65, 0, 14",
    "3, store, 0x67, 0xd0000067, 0, 6",
    "3, update, 0x67, 0x27, 0, 6",
    "3, update, 0x67, 0x65, 0, 14",
    "3, call, 0x67, 0x67, 0, 6",
    "3, call, 0x67, 0x47, 0, 6",
    "3, call, 0x67, 0x8000000000000067, 0, 14",
    "3, call, 0x67, 0x63, 0, 14",
    "0, load, 0x63, 0x67, 0, 6",
    "0, load, 0x63, 0x67, 0x200000, 14",
    "0, store, 0x63, 0x67, 0x200000, 14",
    "0, store, 0x63, 0x61, 0, 14",
    "0, load, 0x63, 0x163, 0, 6",
    "0, load, 0x163, 0x163, 0, 6",
    "0, call, 0x63, 0x67, 0, 6",
    "0, call, 0x63, 0x67, 0x100000, 14",
    "0, call, 0x63, 0x8000000000000063, 0, 14"
  })
  void pagesAreJudgedEachTime(
      int cpl, String access, String first, String then, String cr4, int vector) {
    likeTheInterpreter(
        access,
        m -> {
          prepare(m, cpl, Long.decode(cr4));
          m.page(PAGE, PAGE, Long.decode(first));
          long entry = Long.parseUnsignedLong(then.substring(2), 16);
          entry |= (entry & 0xffff_ffffL) < 0x1000 ? OTHER : 0;
          Assembler a = rounds(m.assembler(64), code(access));
          a.mov(RSI, 1).mov(RDI, HERE + PAGE).mov(8, HERE + FAR + PAGE).call("rounds");
          // In the kernel's way, whatever the entry allows it.
          change(a, HERE + PAGE, entryOf(PAGE), entry).call("rounds");
          m.code(64, a.hex("0f 0b"));
          m.run();
        },
        m -> assertEquals(vector, m.vector()));
  }

  @ParameterizedTest
  @CsvSource({"load, false", "store, false", "call, false", "load, true", "store, true"})
  void largePagesGoAsAWhole(String access, boolean huge) {
    likeTheInterpreter(
        access,
        m -> {
          prepare(m, 3, 0);
          for (int i = 0; i < 8; i++) {
            byte[] code = {0x48, (byte) 0xff, (byte) (i % 2 == 0 ? 0xc6 : 0xce), (byte) 0xc3};
            m.memory.write(((long) i << 21) + 0x9000, code);
          }
          long at = huge ? HUGE + DATA + 0x8000 : HERE + 0x40_8000;
          long entry = huge ? PDPT + 16 : DIRECTORY_HERE + 16;
          Assembler a = rounds(m.assembler(64), code(access));
          a.mov(RSI, 1).mov(RDI, at + 0x1000).mov(8, HERE + (huge ? DATA : FAR + DATA) + 0x9000);
          // INVLPG with a large page about forgets all, that there was one included.
          a.call("rounds").mov(RBX, at).interrupt(INVLPG).call("rounds");
          // Another frame, or a table of large pages instead of the page.
          change(a, at, entry, huge ? DIRECTORY_OTHER | ALL : 0x60_0000 | ALL | LARGE);
          m.memory.writeLong(DIRECTORY_OTHER + 8, 0x60_0000 | ALL | LARGE);
          m.code(64, a.call("rounds").hex("0f 0b"));
          m.run();
        },
        m -> assertEquals(6, m.vector()));
  }

  @ParameterizedTest
  @ValueSource(strings = {"48 a5", "48 a7", "41 ff 30 8f 07", "f3 48 a5"})
  void twoPagesOfOneInstructionMayTakeEachOthersPlace(String code) {
    likeTheInterpreter(
        code,
        m -> {
          prepare(m, 3, 0);
          Assembler a = m.assembler(64).mov(15, ROUNDS).mov(8, HERE + FAR + PAGE).label("round");
          a.mov(RSI, HERE + FAR + PAGE).mov(RDI, HERE + PAGE).mov(RCX, 3).hex(code);
          m.code(64, a.dec(15).jnz("round").hex("0f 0b"));
          m.run();
        },
        m -> assertEquals(6, m.vector()));
  }

  @Test
  void aPageWithCodeThatIsLookedUpAgainIsStillSeenToChange() {
    try (var m = newMachine()) {
      prepare(m, 3, 0);
      // mov eax, n; ret: the constant is written by way of another address.
      m.memory.write(PAGE, new Assembler(64, 0).mov32(RAX, 0).ret().toBytes());
      Assembler a = m.assembler(64).mov(RDI, HERE + PAGE).mov(8, HERE + FAR + PAGE).mov(RCX, 1);
      a.mov(15, ROUNDS).label("round").hex("49 8b 00").hex("48 8b 17"); // loads of both
      a.hex("89 4f 01 ff d7 48 01 c6 ff c1"); // mov [rdi+1], ecx; call rdi; add rsi, rax; inc ecx
      m.code(64, a.dec(15).jnz("round").hex("0f 0b"));
      m.run();
      assertEquals(ROUNDS * (ROUNDS + 1) / 2, m.gpr(RSI));
    }
  }

  @Test
  void aPageThatBecomesCodeAfterItWasLookedUpIsSeenToChange() {
    try (var m = newMachine()) {
      prepare(m, 3, 0);
      m.memory.write(PAGE, new Assembler(64, 0).mov32(RAX, 7).ret().toBytes());
      Assembler a = m.assembler(64).mov(RDI, HERE + PAGE).mov(8, HERE + FAR + PAGE);
      // Stores by two addresses, each looked up anew.
      a.mov(RBX, PAGE)
          .mov(RCX, 0x55)
          .mov(15, ROUNDS)
          .label("store")
          .hex("49 8b 00 88 4f 40 88 4b 41");
      a.dec(15)
          .jnz("store")
          .mov(15, ROUNDS)
          .label("call")
          .hex("ff d7 48 01 c6")
          .dec(15)
          .jnz("call");
      a.mov(RCX, 9).hex("88 4f 01 ff d7 49 89 c4"); // mov [rdi+1], cl; call rdi; mov r12, rax
      a.mov(RCX, 11).hex("88 4b 01 ff d7 49 89 c5"); // mov [rbx+1], cl; call rdi; mov r13, rax
      m.code(64, a.hex("0f 0b"));
      m.run();
      assertEquals(7 * ROUNDS, m.gpr(RSI));
      assertEquals(9, m.gpr(12));
      assertEquals(11, m.gpr(13));
    }
  }

  @Test
  void aPageThatIsDataAndCodeByTurnsIsSeenToChange() {
    try (var m = newMachine()) {
      prepare(m, 3, 0);
      m.memory.write(PAGE, new Assembler(64, 0).mov32(RAX, 0).ret().toBytes());
      Assembler a = m.assembler(64).mov(RDI, HERE + PAGE).mov(8, HERE + FAR + PAGE);
      // The page has a third address, whose entry stays.
      m.memory.writeLong(TABLE_HERE + 8 * 0x50, PAGE | ALL | A | D);
      a.mov(RBX, HERE + FAR + DATA + 0x5_0000)
          .mov(RCX, 1)
          .label("turn")
          .hex("88 4b 01")
          .mov(15, 6); // mov [rbx+1], cl
      // mov rax, [r8]; mov [rdi+1], cl; mov [rbx+1], cl
      a.label("store").hex("49 8b 00 88 4f 01 88 4b 01").dec(15).jnz("store").mov(15, 12);
      a.label("call").hex("ff d7 48 01 c6").dec(15).jnz("call");
      m.code(64, a.inc(RCX).cmp(RCX, 30).jnz("turn").hex("88 4b 01 ff d7 0f 0b"));
      m.run();
      assertEquals(12 * 29 * 30 / 2, m.gpr(RSI));
      assertEquals(30, m.gpr(RAX));
    }
  }

  /** As a kernel's own memory is: generated code is to find it without leaving. */
  @ParameterizedTest
  @ValueSource(ints = {0x83, 0xa3, 0xe3, 0x1a3, 0x1e3})
  void findsLargePagesWhateverTheirBits(int bits) {
    try (var m = newMachine()) {
      int turns = 400;
      long[] pages = {0x40_0000L, 0x40_0000L + FAR};
      CpuState s = m.long64(0);
      for (long page : pages) {
        m.memory.writeLong(PD + 8 * (page >>> 21), pages[0] | bits);
      }
      m.memory.writeLong(pages[0], 3);
      s.setGpr(RBX, pages[0]);
      s.setGpr(RDI, pages[1]);
      var a = m.assembler(64).mov(15, turns).label("turn").load(RAX, RBX, 0).load(RCX, RDI, 0);
      m.code(64, a.hex("48 01 c6 48 01 ce").dec(15).jnz("turn").hlt());
      m.run();
      assertEquals(6L * turns, m.gpr(RSI));
      var counters = m.cpu.counters();
      if (counters.getOrDefault("translatedEntries", 0L) > 0) {
        // Each look at one takes the other's place; the first turns are the interpreter's.
        assertTrue(counters.get("tlbFills") > turns, counters::toString);
        assertTrue(counters.get("left.TLB miss of a read") < turns / 4, counters::toString);
      }
    }
  }
}
