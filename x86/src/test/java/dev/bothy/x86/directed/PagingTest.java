package dev.bothy.x86.directed;

import static dev.bothy.x86.directed.TestMachine.*;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.bothy.core.cpu.CpuState;
import java.util.Arrays;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class PagingTest extends EngineTest {
  private static final long PAGE = DATA + 0x5000;
  private static final long ALL = P | W | U;

  private static final int SMEP = 1 << 20;
  private static final int SMAP = 1 << 21;

  /** Code that accesses the page at RBX: r, w, x or m (read, modify, write). */
  private static String access(char kind) {
    return switch (kind) {
      case 'r' -> "48 8b 03";
      case 'w' -> "48 89 03";
      case 'x' -> "ff e3";
      default -> "48 83 03 01";
    };
  }

  @ParameterizedTest
  @CsvSource({
    // CPL, access, page bits, more CR4, error code or -1 for none
    "3, r, 7, 0, -1",
    "3, w, 7, 0, -1",
    "3, r, 6, 0, 4",
    "3, w, 6, 0, 6",
    "3, m, 6, 0, 6",
    "3, x, 6, 0, 0x14",
    "3, r, 3, 0, 5",
    "3, w, 3, 0, 7",
    "3, x, 3, 0, 0x15",
    "3, r, 5, 0, -1",
    "3, w, 5, 0, 7",
    "3, m, 5, 0, 7",
    "0, r, 6, 0, 0",
    "0, w, 6, 0, 2",
    "0, x, 6, 0, 0x10",
    "0, w, 1, 0, 3",
    "0, w, 5, 0, 3",
    "0, m, 1, 0, 3",
    "0, r, 1, 0, -1",
    "0, x, 7, 0, -1",
    "0, x, 7, smep, 0x11",
    "3, x, 7, smep, -1",
    "0, x, 3, smep, -1",
    "0, r, 7, smap, 1",
    "0, w, 7, smap, 3",
    "0, x, 7, smap, -1",
    "0, r, 3, smap, -1",
    "3, r, 7, smap, -1",
    "0, r, nx, 0, -1",
    "0, x, nx, 0, 0x11",
    "3, x, nx, 0, 0x15",
    "0, r, reserved, 0, 9",
    "3, w, reserved, 0, 0xf",
    "0, x, reserved, 0, 0x19"
  })
  void accessRights(int cpl, char kind, String bits, String control, String error) {
    try (var m = newMachine()) {
      CpuState s = m.long64(cpl);
      long page =
          switch (bits) {
            case "nx" -> ALL | NX;
            case "reserved" -> ALL | 1L << 45;
            default -> Long.parseLong(bits);
          };
      m.page(PAGE, PAGE, page);
      supervisorElsewhere(m, cpl);
      s.set(
          CpuState.CR4,
          CR4_LONG | (control.equals("smep") ? SMEP : control.equals("smap") ? SMAP : 0));
      s.setGpr(RBX, PAGE);
      s.set(CpuState.CR2, 0x1234);
      m.memory.writeShort(PAGE, 0x0b0f); // ud2: what a jump there finds
      m.code(64, m.assembler(64).nop().hex(access(kind)).hex("0f 0b"));
      m.run();
      int expected = Integer.decode(error);
      if (expected == -1) {
        assertEquals(6, m.vector());
        long entry = m.memory.readLong(entryOf(PAGE));
        assertEquals(A | (kind == 'w' || kind == 'm' ? D : 0), entry & (A | D));
      } else {
        assertEquals(14, m.vector());
        assertEquals(expected, m.stack(8, 0));
        assertEquals(PAGE, m.state().get(CpuState.CR2));
        assertEquals(kind == 'x' ? PAGE : CODE + 1, m.stack(8, 1));
        assertEquals(
            page | PAGE, m.memory.readLong(entryOf(PAGE)), "a faulting access marks nothing");
      }
    }
  }

  /** SMEP and SMAP would stop the kernel everywhere else: only the data area stays the user's. */
  private static void supervisorElsewhere(TestMachine m, int cpl) {
    if (cpl == 0) {
      for (int i = 0; i < 8; i++) {
        if (i != 1) {
          m.memory.writeLong(PD + 8 * i, (long) i << 21 | P | W | LARGE);
        }
      }
    } else {
      // The kernel's handlers lie below 1 MiB, user code above: both in the first 2 MiB.
      m.memory.writeLong(DATA_PT + 0xff8, 0);
      long table = 0x6_0000;
      for (int i = 0; i < 512; i++) {
        m.memory.writeLong(
            table + 8 * i, i * 4096L | P | W | (i * 4096L >= CODE || i >> 4 == 9 ? U : 0));
      }
      m.memory.writeLong(PD, table | ALL);
    }
  }

  @Test
  void withoutWriteProtectTheKernelWritesReadOnlyPages() {
    try (var m = newMachine()) {
      m.long64(0).set(CpuState.CR0, CR0_PAGING & ~0x1_0000L);
      m.page(PAGE, PAGE, P | U);
      m.state().setGpr(RBX, PAGE);
      m.code(64, m.assembler(64).mov(RAX, 7).hex(access('w')).hex(access('m')).hlt());
      m.run();
      assertEquals(8, m.memory.readLong(PAGE));
      assertEquals(D | A, m.memory.readLong(entryOf(PAGE)) & (A | D));
    }
  }

  @Test
  void turningWriteProtectOnTakesEffectAtOnce() {
    try (var m = newMachine()) {
      m.long64(0).set(CpuState.CR0, CR0_PAGING & ~0x1_0000L);
      m.page(PAGE, PAGE, P | U);
      m.state().setGpr(RBX, PAGE);
      m.code(
          64,
          m.assembler(64)
              .hex(access('w'))
              .mov32(RAX, CR0_PAGING)
              .movToControl(0, RAX)
              .hex(access('w')));
      m.run();
      assertEquals(14, m.vector());
      assertEquals(3, m.stack(8, 0));
    }
  }

  @Test
  void stacAndClacOpenAndCloseUserPages() {
    try (var m = newMachine()) {
      supervisorElsewhere(m, 0);
      m.long64(0).set(CpuState.CR4, CR4_LONG | SMAP);
      m.state().setGpr(RBX, PAGE);
      var a = m.assembler(64).stac().hex(access('r')).hex(access('w')).clac();
      long at = a.here();
      m.code(64, a.hex(access('r')));
      m.run();
      assertEquals(14, m.vector());
      assertEquals(at, m.stack(8, 1));
      assertEquals(1, m.stack(8, 0));
    }
  }

  @Test
  void deliveryClosesNothingButAcKeptInFlags() {
    try (var m = newMachine()) {
      supervisorElsewhere(m, 0);
      m.long64(0).set(CpuState.CR4, CR4_LONG | SMAP);
      m.state().setGpr(RBX, PAGE);
      m.code(64, m.assembler(64).stac().interrupt(0x40));
      m.run();
      assertEquals(0x40, m.vector());
      assertEquals(AC | 2, m.stack(8, 2));
    }
  }

  @Test
  void implicitAccessesToTablesAreTheKernels() {
    try (var m = newMachine()) {
      // User code may touch neither IDT, GDT nor TSS, yet its interrupts go through them.
      supervisorElsewhere(m, 3);
      m.long64(3).set(CpuState.CR4, CR4_LONG | SMAP);
      m.code(64, m.assembler(64).interrupt(0x40));
      m.run();
      assertEquals(0x40, m.vector());
      // On a user page with SMAP they may not lie, whatever AC says.
      CpuState s = m.long64(0);
      s.set(CpuState.CR4, CR4_LONG | SMAP);
      s.set(CpuState.RFLAGS, AC | 2);
      m.page(PAGE, GDT & ~0xfffL, ALL);
      s.set(CpuState.GDTR_BASE, PAGE);
      m.code(64, m.assembler(64).mov(RAX, FLAT).movToSegment(CpuState.DS, RAX));
      m.memory.writeLong(0x6_0000 + 8 * (CODE >> 12), CODE | P | W);
      s.setSegment(CpuState.TR, TASK, TSS, 0x67, 0x8b);
      assertEquals(dev.bothy.core.Exit.Shutdown.class, m.cpu.run(100).getClass());
      assertEquals(
          PAGE + CODE64, m.state().get(CpuState.CR2), "the handlers' segment lies there as well");
    }
  }

  @Test
  void pageFaultInTheSecondHalfOfAnAccessLeavesNoEffect() {
    String[] writes = {
      "48 89 03", // mov [rbx], rax
      "48 01 03", // add
      "f0 48 0f c1 03", // lock xadd
      "48 87 03", // xchg
      "f0 48 0f b1 0b", // lock cmpxchg
      "0f 11 03", // movups
      "48 ff 03", // inc
      "48 c1 03 04", // rol
      "0f c7 0b", // cmpxchg8b
      "66 89 43 07", // mov [rbx+7], ax: two bytes
      "48 ab", // stosq
      "f3 48 ab", // rep stosq
      "48 a5", // movsq
      "dd 33", // fnsave
      "d9 33", // fnstenv
      "48 0f c3 03", // movnti
      "dd 1b" // fstp
    };
    for (String code : writes) {
      try (var m = newMachine()) {
        CpuState s = m.long64(3);
        m.page(PAGE + 0x1000, PAGE + 0x1000, P | U);
        m.memory.write(PAGE + 0xff0, filled(0x20));
        s.setGpr(RBX, PAGE + 0xff8);
        s.setGpr(RDI, PAGE + 0xffc);
        s.setGpr(RSI, DATA);
        s.setGpr(RAX, 0x1111_2222_3333_4444L);
        s.setGpr(RDX, 0x55);
        s.setGpr(RCX, 2);
        if (!code.equals("66 89 43 07")) {
          s.setGpr(RBX, PAGE + 0xffc);
        }
        long[] before = registers(s);
        m.code(64, m.assembler(64).nop().hex(code));
        m.run();
        assertEquals(14, m.vector(), code);
        assertEquals(7, m.stack(8, 0), code);
        assertEquals(PAGE + 0x1000, m.state().get(CpuState.CR2), code);
        assertEquals(CODE + 1, m.stack(8, 1), code);
        assertArrayEquals(before, registers(m.state()), code);
        byte[] after = new byte[0x20];
        m.memory.read(PAGE + 0xff0, after, 0, 0x20);
        assertArrayEquals(filled(0x20), after, code);
      }
    }
  }

  private static byte[] filled(int length) {
    byte[] bytes = new byte[length];
    Arrays.fill(bytes, (byte) 0xa5);
    return bytes;
  }

  private static long[] registers(CpuState s) {
    long[] all = new long[16];
    for (int r = 0; r < 16; r++) {
      all[r] = r == RSP ? 0 : s.gpr(r);
    }
    return all;
  }

  @Test
  void stackInstructionsThatFaultLeaveThePointer() {
    String[] pushes = {
      "50", "68 01 00 00 00", "9c", "ff 34 25 00 00 20 00", "e8 00 00 00 00", "0f a0", "c8 10 00 00"
    };
    for (String code : pushes) {
      for (int misaligned : new int[] {0, 4}) {
        try (var m = newMachine()) {
          CpuState s = m.long64(3);
          m.page(PAGE, PAGE, P | U);
          s.setGpr(RSP, PAGE + 0x1000 + misaligned);
          m.memory.write(PAGE + 0x1000, filled(16));
          m.code(64, m.assembler(64).nop().hex(code));
          m.run();
          assertEquals(14, m.vector(), code);
          assertEquals(CODE + 1, m.stack(8, 1), code);
          assertEquals(PAGE + 0x1000 + misaligned, m.stack(8, 4), code);
          assertEquals(0, m.gpr(RBP), code);
          assertEquals(0xa5a5_a5a5, m.memory.readInt(PAGE + 0x1000), code);
        }
      }
    }
  }

  @Test
  void popToFaultingMemoryRestoresThePointer() {
    try (var m = newMachine()) {
      CpuState s = m.long64(3);
      m.page(PAGE, PAGE, P | U);
      s.setGpr(RBX, PAGE);
      m.code(64, m.assembler(64).hex("8f 03"));
      m.run();
      assertEquals(14, m.vector());
      assertEquals(USER_STACK, m.stack(8, 4));
    }
  }

  @Test
  void repeatedMoveStopsAtTheFaultAndGoesOnAfterwards() {
    for (boolean backwards : new boolean[] {false, true}) {
      for (int size : new int[] {1, 2, 4, 8}) {
        try (var m = newMachine()) {
          CpuState s = m.long64(3);
          byte[] data = new byte[0x2000];
          new java.util.Random(size).nextBytes(data);
          m.memory.write(DATA, data);
          m.page(PAGE + (backwards ? 0 : 0x1000), 0, 0);
          int count = 0x1800 / size;
          long last = backwards ? 0x1800 - size : 0;
          s.setGpr(RSI, DATA + last);
          s.setGpr(RDI, PAGE + 0x400 + last);
          s.setGpr(RCX, count);
          s.set(CpuState.RFLAGS, backwards ? 0x402 : 2);
          String op =
              size == 1 ? "f3 a4" : size == 2 ? "66 f3 a5" : size == 4 ? "f3 a5" : "f3 48 a5";
          m.code(64, m.assembler(64).hex(op).hex("0f 0b"));
          m.run();
          assertEquals(14, m.vector());
          long done = backwards ? 0xc00 : 0xc00;
          assertEquals(count - done / size, m.gpr(RCX));
          assertEquals(backwards ? PAGE + 0x1000 - size : PAGE + 0x1000, m.gpr(RDI));
          assertEquals(
              backwards ? PAGE + 0x1000 - 1 & ~(size - 1L) : PAGE + 0x1000,
              m.state().get(CpuState.CR2));
          assertEquals(CODE, m.stack(8, 1));
          assertEquals(0x1_0000, m.stack(8, 3) & RF);
          // The handler maps the page and returns.
          m.page(PAGE, PAGE, ALL);
          m.page(PAGE + 0x1000, PAGE + 0x1000, ALL);
          m.state().setInt32(CpuState.ACTIVITY, 0);
          m.memory.write(
              HANDLERS + 14 * 16 + 1,
              new byte[] {0x48, (byte) 0x83, (byte) 0xc4, 8, 0x48, (byte) 0xcf});
          m.run();
          assertEquals(6, m.vector());
          byte[] copy = new byte[0x1800];
          m.memory.read(PAGE + 0x400, copy, 0, copy.length);
          assertArrayEquals(Arrays.copyOf(data, 0x1800), copy);
        }
      }
    }
  }

  @Test
  void largePagesOfTwoMebibytesAndOneGibibyte() {
    try (var m = newMachine()) {
      m.memory.writeLong(PDPT + 8, ALL | LARGE); // 1 GiB at 1 GiB: guest-physical 0
      m.memory.writeLong(PDPT + 16, 0x7_0000 | ALL);
      m.memory.writeLong(0x7_0000 + 8, 0x20_0000 | ALL | LARGE);
      m.long64(0).setGpr(RBX, 0x4020_1000L);
      m.state().setGpr(RBP, 0x8020_2000L);
      m.memory.writeLong(0x20_2000, 0x99);
      m.code(64, m.assembler(64).mov(RAX, 0x77).hex("48 89 03 48 8b 4d 00").hlt());
      m.run();
      assertEquals(0x77, m.memory.readLong(0x20_1000));
      assertEquals(0x99, m.gpr(RCX));
      assertEquals(ALL | LARGE | A | D, m.memory.readLong(PDPT + 8));
      assertEquals(0x20_0000 | ALL | LARGE | A, m.memory.readLong(0x7_0000 + 8));
      assertEquals(A, m.memory.readLong(PML4) & (A | D));
    }
  }

  @Test
  void reservedBitsOfUpperEntriesFault() {
    try (var m = newMachine()) {
      long[][] cases = {
        // Where, entry, address that goes through it.
        {PML4 + 8, PDPT | ALL | LARGE, 1L << 39},
        {PML4 + 8, PDPT | ALL | 1L << 40, 1L << 39},
        {PML4 + 8, PDPT | ALL | NX, 1L << 39},
        {PDPT + 8, ALL | LARGE | 1 << 13, 0x4000_0000},
        {PDPT + 8, PD | ALL | NX, 0x4000_0000},
        {PD + 32, 0x20_0000 | ALL | LARGE | 1 << 13, 0x80_0000},
        {PD + 32, 0x20_0000 | ALL | LARGE | 1L << 51, 0x80_0000},
        {entryOf(PAGE), PAGE | ALL | NX, PAGE}
      };
      for (long[] c : cases) {
        CpuState s = m.long64(0);
        s.set(CpuState.EFER, 0x501); // NX is off: its bit is reserved
        long old = m.memory.readLong(c[0]);
        m.memory.writeLong(c[0], c[1]);
        s.setGpr(RBX, c[2]);
        m.code(64, m.assembler(64).hex(access('r')));
        m.run();
        assertEquals(14, m.vector());
        assertEquals(9, m.stack(8, 0));
        m.memory.writeLong(c[0], old);
      }
    }
  }

  @Test
  void highBitsOfAnEntryAreFreeForSoftware() {
    try (var m = newMachine()) {
      m.page(PAGE, PAGE, ALL | 0x7ffL << 52 | 0xe00);
      m.long64(0).setGpr(RBX, PAGE);
      m.memory.writeLong(PAGE, 5);
      m.code(64, m.assembler(64).hex(access('r')).hlt());
      m.run();
      assertEquals(5, m.gpr(RAX));
    }
  }

  @Test
  void rightsAreNarrowedByEveryLevel() {
    try (var m = newMachine()) {
      m.memory.writeLong(PD + 8, DATA_PT | P | U);
      m.long64(3).setGpr(RBX, PAGE);
      m.code(64, m.assembler(64).hex(access('w')));
      m.run();
      assertEquals(7, m.stack(8, 0));
      m.memory.writeLong(PD + 8, DATA_PT | ALL | NX);
      m.long64(3).setGpr(RBX, PAGE);
      m.code(64, m.assembler(64).hex(access('x')));
      m.run();
      assertEquals(0x15, m.stack(8, 0));
    }
  }

  @Test
  void pagesOfThirtyTwoBitTables() {
    try (var m = newMachine()) {
      CpuState s = m.protected32(0);
      s.set(CpuState.CR3, DIRECTORY);
      s.set(CpuState.CR4, 0x610); // PSE
      s.set(CpuState.CR0, CR0_PAGING);
      m.memory.writeInt(DATA_TABLE32 + (int) (PAGE >> 12) * 4, (int) (DATA | P | W));
      m.memory.writeInt(DATA, 0x4711);
      m.memory.writeInt(0x80_1234, 0x4712);
      var a =
          m.assembler(32).mov(RBX, PAGE).load(RAX, RBX, 0).mov(RBX, 0x80_1234).load(RCX, RBX, 0);
      m.code(32, a.store(RBX, 0, RAX).hlt());
      m.run();
      assertEquals(0x4711, m.gpr(RAX));
      assertEquals(0x4712, m.gpr(RCX));
      assertEquals(A, m.memory.readInt(DATA_TABLE32 + (int) (PAGE >> 12) * 4) & (A | D));
      assertEquals(A | D, m.memory.readInt(DIRECTORY + 8) & (A | D));
    }
  }

  @Test
  void largePagesOfThirtyTwoBitTablesHaveNoMoreAddressBitsThanTheProcessor() {
    try (var m = newMachine("max,phys-bits=36")) {
      CpuState s = m.protected32(0);
      s.set(CpuState.CR3, DIRECTORY);
      s.set(CpuState.CR4, s.get(CpuState.CR4) | 0x10);
      s.set(CpuState.CR0, 0x8001_0031L);
      s.setGpr(RBX, 0x80_0000);
      // Bit 36 of the address is bit 17 of the entry.
      m.memory.writeInt(DIRECTORY + 8, 0x80_0087 | 1 << 17);
      m.code(32, m.assembler(32).hex("8b 03").hlt());
      m.run();
      assertEquals(14, m.vector());
      assertEquals(9, m.stack(4, 0));
    }
  }

  @Test
  void faultsOfThirtyTwoBitTables() {
    try (var m = newMachine()) {
      int[][] cases = {{0, 6}, {(int) (P | W), 7}, {(int) (P | U), 7}};
      for (int[] c : cases) {
        CpuState s = m.protected32(3);
        s.set(CpuState.CR3, DIRECTORY);
        s.set(CpuState.CR4, 0x610);
        s.set(CpuState.CR0, CR0_PAGING);
        m.memory.writeInt(DATA_TABLE32 + (int) (PAGE >> 12) * 4, (int) PAGE | c[0]);
        m.code(32, m.assembler(32).mov(RBX, PAGE).store(RBX, 0x10, RAX));
        m.run();
        assertEquals(14, m.vector());
        assertEquals(c[1], m.stack(4, 0));
        assertEquals(PAGE + 0x10, m.state().get(CpuState.CR2));
      }
      // Bit 21 of a 4 MiB page is reserved.
      m.memory.writeInt(DIRECTORY + 12, (int) (0xe0_0000 | P | W | U | LARGE));
      CpuState s = m.protected32(0);
      s.set(CpuState.CR3, DIRECTORY);
      s.set(CpuState.CR4, 0x610);
      s.set(CpuState.CR0, CR0_PAGING);
      m.code(32, m.assembler(32).mov(RBX, 0xc0_0000).load(RAX, RBX, 0));
      m.run();
      assertEquals(14, m.vector());
      assertEquals(9, m.stack(4, 0));
    }
  }

  @Test
  void pagesOfLegacyPaeTables() {
    try (var m = newMachine()) {
      CpuState s = m.protected32(3);
      s.set(CpuState.CR3, PAE_PDPT);
      s.set(CpuState.CR4, 0x620);
      s.set(CpuState.EFER, 0x800); // NX without long mode
      s.set(CpuState.CR0, CR0_PAGING);
      m.page(PAGE, DATA, ALL | NX);
      m.memory.writeInt(DATA, 0x4711);
      m.code(32, m.assembler(32).mov(RBX, PAGE).load(RAX, RBX, 0).hex("ff e3"));
      m.run();
      assertEquals(14, m.vector());
      assertEquals(0x15, m.stack(4, 0));
      assertEquals(0x4711, m.gpr(RAX));
      s = m.protected32(0);
      s.set(CpuState.CR3, PAE_PDPT);
      s.set(CpuState.CR4, 0x620);
      s.set(CpuState.CR0, CR0_PAGING);
      m.code(32, m.assembler(32).mov(RBX, 0x4000_0000L).load(RAX, RBX, 0));
      m.run();
      assertEquals(14, m.vector());
      assertEquals(0, m.stack(4, 0), "no instruction fetch bit, absent pointer");
    }
  }

  @Test
  void instructionAcrossPagesFaultsAtTheSecondPage() {
    try (var m = newMachine()) {
      m.long64(3).set(CpuState.RIP, PAGE + 0xffd);
      m.page(PAGE + 0x1000, PAGE + 0x1000, ALL | NX);
      m.memory.write(
          PAGE + 0xffd,
          new byte[] {(byte) 0x90, 0x48, (byte) 0xb8, 1, 2, 3, 4, 5, 6, 7, 8, 0x0f, 0x0b});
      m.run();
      assertEquals(14, m.vector());
      assertEquals(0x15, m.stack(8, 0));
      assertEquals(PAGE + 0xffe, m.stack(8, 1));
      assertEquals(PAGE + 0x1000, m.state().get(CpuState.CR2));
      m.long64(3).set(CpuState.RIP, PAGE + 0xffd);
      m.page(PAGE + 0x1000, PAGE + 0x1000, ALL);
      m.run();
      assertEquals(6, m.vector());
      assertEquals(0x0807_0605_0403_0201L, m.gpr(RAX));
    }
  }

  @Test
  void instructionAcrossPagesFollowsARemappedSecondPage() {
    try (var m = newMachine()) {
      // mov eax, imm32 with its constant on the second page, which INVLPG exchanges.
      CpuState s = m.long64(0);
      m.memory.writeByte(PAGE + 0xfff, 0xb8);
      m.memory.write(PAGE + 0x1000, new byte[] {1, 0, 0, 0, (byte) 0xc3});
      m.memory.write(PAGE + 0x3000, new byte[] {2, 0, 0, 0, (byte) 0xc3});
      s.setGpr(RBX, PAGE + 0xfff);
      s.setGpr(RSI, entryOf(PAGE + 0x1000));
      s.setGpr(RDX, PAGE + 0x3000 | ALL);
      s.setGpr(RDI, PAGE + 0x1000);
      var a =
          m.assembler(64)
              .hex("ff d3")
              .movRegister(RBP, RAX)
              .store(RSI, 0, RDX)
              .invlpg(RDI)
              .hex("ff d3");
      m.code(64, a.hlt());
      m.run();
      assertEquals(1, m.gpr(RBP));
      assertEquals(2, m.gpr(RAX));
    }
  }

  @Test
  void accessOverTwoPagesUsesBothTranslations() {
    try (var m = newMachine()) {
      m.page(PAGE + 0x1000, DATA, ALL);
      m.long64(3).setGpr(RBX, PAGE + 0xffc);
      m.code(
          64,
          m.assembler(64)
              .mov(RAX, 0x1122_3344_5566_7788L)
              .hex("48 89 03 48 8b 0b f0 48 0f c1 0b 0f 0b"));
      m.run();
      assertEquals(6, m.vector());
      assertEquals(0x1122_3344_5566_7788L, m.gpr(RCX));
      assertEquals(
          0x1122_3344_5566_7788L * 2,
          m.memory.readInt(PAGE + 0xffc) & 0xffff_ffffL | (long) m.memory.readInt(DATA) << 32);
    }
  }

  @Test
  void pushAllStoresWordByWordUpToTheFault() {
    try (var m = newMachine()) {
      CpuState s = m.compatibility(3);
      m.page(PAGE - 0x1000, PAGE, ALL & ~P);
      s.setGpr(RSP, PAGE + 10);
      s.setGpr(RAX, 0x11);
      s.setGpr(RCX, 0x22);
      s.setGpr(RDX, 0x33);
      m.memory.writeLong(PAGE, -1);
      m.code(32, m.assembler(32).hex("60"));
      m.run();
      assertEquals(14, m.vector());
      assertEquals(PAGE - 2, m.state().get(CpuState.CR2));
      assertEquals(PAGE + 10, m.stack(8, 4), "the stack pointer as it was");
      assertEquals(0x11, m.memory.readInt(PAGE + 6));
      assertEquals(0x22, m.memory.readInt(PAGE + 2));
      assertEquals(0xffff, m.memory.readShort(PAGE), "the third is on both pages");
    }
  }
}
