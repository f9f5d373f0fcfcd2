package dev.bothy.x86.directed;

import static dev.bothy.x86.directed.TestMachine.*;
import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.bothy.core.cpu.CpuState;
import dev.bothy.x86.assemble.Assembler;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * Address spaces side by side, by PCID: what of the TLB stays and what goes. Where a test expects
 * an old translation, the architecture allows a new one, too; it is then the TLB that forgot what
 * it need not.
 */
class AddressSpaceTest extends EngineTest {
  /** In a region without large pages, where INVLPG need not forget everything. */
  private static final long PAGE = 0x4000_0000L + DATA + 0x5000;

  /** Pages that {@link #PAGE} is mapped to. */
  private static final long OLD = DATA + 0x4_0000;

  private static final long NEW = DATA + 0x8_0000;

  /** Where every space maps the tables that all spaces' PAGE entries lie in. */
  private static final long ENTRY_ALIAS = DATA + 0x10_0000;

  private static final long RESULTS = DATA + 0x1_0000;
  private static final long DESCRIPTOR = DATA + 0x8000;
  private static final long SPACES = 0xc0_0000;
  private static final long ALL = P | W | U;
  private static final long KEEP = 1L << 63;
  private static final int PCIDE = 1 << 17;
  private static final int SMAP = 1 << 21;
  private static final int PGE = 0x80;

  /** Handlers that do for user code what only the kernel may, at their vectors. */
  private static final int SWITCH = 0x40;

  private static final int INVLPG = 0x41;
  private static final int INVPCID = 0x42;

  /** Whose accesses to PAGE a test is about. */
  private enum Rights {
    USER,
    KERNEL,
    /** Supervisor accesses to user pages with SMAP on and EFLAGS.AC set. */
    KERNEL_AC
  }

  private TestMachine machine(Rights rights) {
    TestMachine m = newMachine();
    if (rights == Rights.KERNEL_AC) {
      for (int i = 0; i < 8; i++) {
        if (i != 1) {
          m.memory.writeLong(PD + 8 * i, (long) i << 21 | P | W | LARGE);
        }
      }
    }
    for (int n = 0; n < 16; n++) {
      space(m, n);
      map(m, n, OLD + n * 0x1000L, 0);
      m.memory.writeLong(OLD + n * 0x1000L, 100 + n);
      m.memory.writeLong(NEW + n * 0x1000L, 200 + n);
    }
    handler(m, SWITCH, new Assembler(64, 0).movToControl(3, RDI));
    handler(m, INVLPG, new Assembler(64, 0).invlpg(RBX));
    handler(m, INVPCID, new Assembler(64, 0).invpcid(RSI, RBP));
    CpuState s = m.long64(rights == Rights.USER ? 3 : 0);
    s.set(CpuState.CR4, CR4_LONG | PCIDE | (rights == Rights.KERNEL_AC ? SMAP : 0));
    s.set(CpuState.RFLAGS, rights == Rights.KERNEL_AC ? AC | 2 : 2);
    s.set(CpuState.CR3, cr3(0));
    s.setGpr(RBX, PAGE);
    s.setGpr(RBP, DESCRIPTOR);
    return m;
  }

  private static void handler(TestMachine m, int vector, Assembler code) {
    m.memory.write(HANDLERS + 16 * vector, code.hex("48 cf").toBytes());
  }

  private static long tables(int n) {
    return SPACES + n * 0x5000L;
  }

  /** Space {@code n} has PCID {@code n + 1}. */
  private static long cr3(int n) {
    return tables(n) | n + 1;
  }

  /** Page tables of their own that map what the machine's do. */
  private static void space(TestMachine m, int n) {
    byte[] copy = new byte[0x4000];
    m.memory.read(PML4, copy, 0, copy.length);
    m.memory.write(tables(n), copy);
    m.memory.writeLong(tables(n), tables(n) + 0x1000 | ALL);
    m.memory.writeLong(tables(n) + 0x1000, tables(n) + 0x2000 | ALL);
    m.memory.writeLong(tables(n) + 0x2008, tables(n) + 0x3000 | ALL);
    // The data area once more, at 1 GiB.
    m.memory.writeLong(tables(n) + 0x1008, tables(n) + 0x4000 | ALL);
    m.memory.writeLong(tables(n) + 0x4008, tables(n) + 0x3000 | ALL);
  }

  private static long entry(int n) {
    return tables(n) + 0x3000 + (entryOf(PAGE) & 0xfff);
  }

  private static void map(TestMachine m, int n, long physical, long bits) {
    m.memory.writeLong(entry(n), physical | ALL | bits);
  }

  private static Assembler switchTo(Assembler a, int n, long keep) {
    return a.mov(RDI, cr3(n) | keep).interrupt(SWITCH);
  }

  /** Stores what PAGE holds as result {@code n}. */
  private static Assembler look(Assembler a, int n) {
    return a.load(RAX, RBX, 0).storeAccumulator(RESULTS + 8 * n);
  }

  private static long result(TestMachine m, int n) {
    return m.memory.readLong(RESULTS + 8 * n);
  }

  /** Ends with #UD: user code has no HLT. */
  private static void run(TestMachine m, Assembler a) {
    m.code(64, a.hex("0f 0b"));
    m.run();
    assertEquals(6, m.vector());
  }

  /**
   * Runs {@code first}, then stores that map PAGE of each space to its page from {@link #NEW} on,
   * then {@code rest}. The guest does it all itself: a pause of the vCPU would empty the TLB.
   */
  private static void runWithRemap(TestMachine m, Assembler first, Assembler rest, long bits) {
    for (int n = 0; n < 16; n++) {
      for (int of = 0; of < 16; of++) {
        long at = tables(n) + 0x3000 + (entryOf(ENTRY_ALIAS + of * 0x1000L) & 0xfff);
        m.memory.writeLong(at, tables(of) + 0x3000 | ALL);
      }
      first.mov(RAX, NEW + n * 0x1000L | ALL | bits).mov(RDX, ENTRY_ALIAS + n * 0x1000L);
      first.store(RDX, (int) (entry(n) & 0xfff), RAX);
    }
    for (byte b : rest.toBytes()) {
      first.emit(b & 0xff);
    }
    run(m, first);
  }

  private static Assembler code(TestMachine m) {
    return m.assembler(64);
  }

  private static Assembler rest() {
    return new Assembler(64, 0);
  }

  @ParameterizedTest
  @ValueSource(strings = {"USER", "KERNEL", "KERNEL_AC"})
  void moreAddressSpacesThanAreKeptStayApart(Rights rights) {
    try (var m = machine(rights)) {
      Assembler a = code(m);
      for (int i = 0; i < 42; i++) {
        look(switchTo(a, i % 14, KEEP), i);
      }
      run(m, a);
      for (int i = 0; i < 42; i++) {
        assertEquals(100 + i % 14, result(m, i), "look " + i);
      }
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"USER", "KERNEL_AC"})
  void theAddressSpaceLeftLongestAgoIsForgottenFirst(Rights rights) {
    try (var m = machine(rights)) {
      Assembler a = code(m);
      for (int n = 0; n < 8; n++) {
        look(switchTo(a, n, KEEP), n);
      }
      switchTo(switchTo(a, 0, KEEP), 1, KEEP);
      Assembler b = rest();
      look(switchTo(b, 8, KEEP), 8);
      int[] back = {3, 0, 7, 1, 2};
      for (int i = 0; i < back.length; i++) {
        look(switchTo(b, back[i], KEEP), 10 + i);
      }
      runWithRemap(m, a, b, 0);
      assertEquals(208, result(m, 8));
      assertEquals(103, result(m, 10));
      assertEquals(100, result(m, 11));
      assertEquals(107, result(m, 12));
      assertEquals(101, result(m, 13));
      assertEquals(202, result(m, 14));
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"USER", "KERNEL", "KERNEL_AC"})
  void aSwitchWithoutTheNoFlushBitForgets(Rights rights) {
    try (var m = machine(rights)) {
      Assembler b = rest();
      look(switchTo(b, 1, 0), 1);
      look(switchTo(b, 0, 0), 2);
      runWithRemap(m, look(switchTo(look(code(m), 0), 1, KEEP), 3), b, 0);
      assertEquals(100, result(m, 0));
      assertEquals(101, result(m, 3));
      assertEquals(201, result(m, 1));
      assertEquals(200, result(m, 2));
    }
  }

  @ParameterizedTest
  @CsvSource({"0, false", "0, true", "1, false", "1, true"})
  void globalPagesOutliveSwitchesAndFlushesOfTheirAddressSpace(int to, boolean flush) {
    try (var m = machine(Rights.KERNEL)) {
      map(m, 0, OLD, G);
      Assembler b = look(switchTo(rest(), to, flush ? 0 : KEEP), 1);
      // Without CR4.PGE no page is global.
      b.movFromControl(RCX, 4).mov(RDX, ~PGE).hex("48 21 d1").movToControl(4, RCX);
      runWithRemap(m, look(code(m), 0), look(b, 2), G);
      assertEquals(100, result(m, 0));
      assertEquals(100, result(m, 1));
      assertEquals(200 + to, result(m, 2));
    }
  }

  @ParameterizedTest
  @ValueSource(longs = {0, G})
  void kernelPagesThatAreNotGlobalGoWithTheirAddressSpace(long bits) {
    try (var m = machine(Rights.KERNEL)) {
      m.state().set(CpuState.CR4, CR4_LONG & ~(bits == 0 ? 0 : PGE) | PCIDE);
      map(m, 0, OLD, bits);
      Assembler b = look(switchTo(rest(), 1, KEEP), 1);
      look(switchTo(b, 0, KEEP), 2);
      runWithRemap(m, look(code(m), 0), b, bits);
      assertEquals(100, result(m, 0));
      assertEquals(201, result(m, 1));
      assertEquals(200, result(m, 2));
    }
  }

  @ParameterizedTest
  @CsvSource({"USER, 0", "KERNEL_AC, 0", "KERNEL, 0", "KERNEL, 0x100", "USER, 0x100"})
  void invlpgForgetsThePageInEveryAddressSpace(Rights rights, String bits) {
    try (var m = machine(rights)) {
      long global = Long.decode(bits);
      map(m, 0, OLD, global);
      Assembler a = look(code(m), 0);
      Assembler b = switchTo(rest(), 6, KEEP).interrupt(INVLPG);
      for (int n = 1; n < 6; n++) {
        map(m, n, OLD + n * 0x1000L, global);
        look(switchTo(a, n, KEEP), n);
      }
      for (int n = 0; n < 6; n++) {
        look(switchTo(b, n, KEEP), 10 + n);
        b.interrupt(INVLPG);
      }
      runWithRemap(m, a, b, global);
      for (int n = 0; n < 6; n++) {
        // A global page is the first space's in all of them.
        assertEquals(100 + (rights == Rights.KERNEL && global != 0 ? 0 : n), result(m, n));
        assertEquals(200 + n, result(m, 10 + n));
      }
    }
  }

  @ParameterizedTest
  @CsvSource({
    // Rights, page bits, type, PCID, address, from another space; then what PAGE of space 0 holds
    "USER, 0, 0, 1, 0x40205000, true, 200",
    "USER, 0, 0, 1, 0x40206000, true, 100",
    "USER, 0, 1, 1, 0, true, 200",
    "USER, 0, 1, 2, 0, true, 100",
    "USER, 0, 1, 9, 0, true, 100",
    "USER, 0, 2, 9, 0, true, 200",
    "USER, 0, 3, 9, 0, true, 200",
    "USER, 0, 0, 1, 0x40205000, false, 200",
    "USER, 0, 1, 1, 0, false, 200",
    "USER, 0, 1, 2, 0, false, 100",
    "USER, 0, 3, 2, 0, false, 200",
    "KERNEL_AC, 0, 0, 1, 0x40205000, true, 200",
    "KERNEL_AC, 0, 1, 1, 0, true, 200",
    "KERNEL_AC, 0, 1, 2, 0, true, 100",
    "KERNEL, 0, 1, 1, 0, false, 200",
    "KERNEL, 0, 3, 1, 0, false, 200",
    "KERNEL, 0x100, 1, 1, 0, false, 100",
    "KERNEL, 0x100, 2, 1, 0, false, 200"
  })
  void invpcidForgetsWhatItsTypeSays(
      Rights rights,
      String bits,
      int type,
      long pcid,
      String address,
      boolean elsewhere,
      long expected) {
    try (var m = machine(rights)) {
      long global = Long.decode(bits);
      map(m, 0, OLD, global);
      m.memory.writeLong(DESCRIPTOR, pcid);
      m.memory.writeLong(DESCRIPTOR + 8, Long.decode(address));
      Assembler b = rest();
      if (elsewhere) {
        switchTo(b, 1, KEEP);
      }
      b.mov(RSI, type).interrupt(INVPCID);
      if (elsewhere) {
        switchTo(b, 0, KEEP);
      }
      runWithRemap(m, look(code(m), 0), look(b, 1), global);
      assertEquals(100, result(m, 0));
      assertEquals(expected, result(m, 1));
    }
  }

  @ParameterizedTest
  @CsvSource({"USER, 1", "USER, 3", "KERNEL_AC, 1", "KERNEL_AC, 3"})
  void storesFromKeptAddressSpacesToAPageThatBecameCodeAreSeen(Rights rights, int writers) {
    try (var m = machine(rights)) {
      // mov eax, 1; ret
      m.memory.write(OLD, new byte[] {(byte) 0xb8, 1, 0, 0, 0, (byte) 0xc3});
      Assembler a = code(m).mov(RCX, 1);
      for (int n = 0; n < 5; n++) {
        map(m, n, OLD, 0);
      }
      for (int n = 0; n < writers; n++) {
        switchTo(a, n, KEEP).store8(RBX, 1, RCX);
      }
      switchTo(a, 4, KEEP).hex("ff d3").storeAccumulator(RESULTS);
      for (int n = 0; n < writers; n++) {
        a.mov(RCX, 2 + n);
        switchTo(a, n, KEEP).store8(RBX, 1, RCX);
        switchTo(a, 4, KEEP).hex("ff d3").storeAccumulator(RESULTS + 8 + 8 * n);
      }
      run(m, a);
      for (int n = 0; n <= writers; n++) {
        assertEquals(n + 1, result(m, n));
      }
    }
  }

  /** mov eax, value; ret. */
  private static byte[] routine(int value) {
    return new Assembler(64, 0).mov32(RAX, value).ret().toBytes();
  }

  /** Calls PAGE {@code times} times and stores what it returns as result {@code n}. */
  private static Assembler call(Assembler a, int n, int times) {
    for (int i = 0; i < times; i++) {
      a.hex("ff d3");
    }
    return a.storeAccumulator(RESULTS + 8 * n);
  }

  @ParameterizedTest
  @CsvSource({"USER, 0", "KERNEL, 0", "KERNEL_AC, 0", "USER, 0x100"})
  void codeAtTheSameAddressStaysApart(Rights rights, String bits) {
    try (var m = machine(rights)) {
      Assembler a = code(m).mov(15, 20).label("again");
      for (int n = 0; n < 12; n++) {
        map(m, n, OLD + n * 0x1000L, Long.decode(bits));
        m.memory.write(OLD + n * 0x1000L, routine(100 + n));
        call(switchTo(a, n, KEEP), n, 2);
      }
      run(m, a.dec(15).jnz("again"));
      for (int n = 0; n < 12; n++) {
        assertEquals(100 + n, result(m, n));
      }
    }
  }

  @ParameterizedTest
  @CsvSource({"USER, 1", "USER, 0", "KERNEL, 1", "KERNEL, 0", "KERNEL_AC, 1"})
  void aFlushedAddressSpaceFindsItsNewCode(Rights rights, int from) {
    try (var m = machine(rights)) {
      for (int n = 0; n < 2; n++) {
        m.memory.write(OLD + n * 0x1000L, routine(100 + n));
        m.memory.write(NEW + n * 0x1000L, routine(200 + n));
      }
      Assembler a = code(m);
      for (int i = 0; i < 20; i++) {
        call(switchTo(a, 1, KEEP), 1, 2);
        call(switchTo(a, 0, KEEP), 0, 2);
      }
      Assembler b = switchTo(rest(), from, KEEP);
      call(switchTo(b, 0, 0), 2, 12);
      call(switchTo(b, 1, 0), 3, 12);
      runWithRemap(m, a, b, 0);
      for (int n = 0; n < 4; n++) {
        assertEquals(100 + 100 * (n / 2) + n % 2, result(m, n));
      }
    }
  }

  @ParameterizedTest
  @ValueSource(longs = {0, G})
  void kernelCodeMayChangeTheAddressSpaceUnderItself(long bits) {
    try (var m = machine(Rights.KERNEL)) {
      for (int n = 0; n < 2; n++) {
        map(m, n, OLD + n * 0x1000L, bits);
        // mov cr3, r8; call rcx; add rsi, rax; xchg r8, r9
        var loop = new Assembler(64, PAGE).label("loop").hex("41 0f 22 d8 ff d1 48 01 c6 4d 87 c8");
        m.memory.write(OLD + n * 0x1000L, loop.dec(15).jnz("loop").ret().toBytes());
        m.memory.write(OLD + n * 0x1000L + 0x80, routine(100 + n));
      }
      Assembler a = code(m).mov(8, cr3(1) | KEEP).mov(9, cr3(0) | KEEP);
      run(m, a.mov(RCX, PAGE + 0x80).mov(RSI, 0).mov(15, 40).hex("ff d3"));
      // A global page is what it was in the first space.
      assertEquals(40 * 100 + (bits == 0 ? 20 : 0), m.gpr(RSI));
    }
  }
}
