package dev.bothy.x86.directed;

import static dev.bothy.x86.directed.TestMachine.*;
import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.bothy.core.cpu.CpuState;
import dev.bothy.x86.assemble.Assembler;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Jumps that an engine knows well, and what must make it look again. */
class HotJumpTest extends EngineTest {
  private static final int ROUNDS = 30;

  /** Where the data area is mapped once more, in a region without large pages: INVLPG takes one. */
  private static final long ALIAS = 0x4000_0000L;

  private static final long PAGE = DATA + 0x8000;
  private static final long OTHER = DATA + 0xa000;
  private static final long DIRECTORY_OF_ALIAS = 0x2_8000;
  private static final long ALL = P | W | U;

  /** INVLPG of the page in RBX, for user code. */
  private static final int INVLPG = 0x41;

  private static byte[] routine(int value) {
    return new Assembler(64, 0).mov32(RAX, value).ret().toBytes();
  }

  private TestMachine machine(int cpl) {
    TestMachine m = newMachine();
    m.memory.write(HANDLERS + 16 * INVLPG, new Assembler(64, 0).invlpg(RBX).hex("48 cf").toBytes());
    m.memory.writeLong(PDPT + 8, DIRECTORY_OF_ALIAS | ALL);
    m.memory.writeLong(DIRECTORY_OF_ALIAS + 8, DATA_PT | ALL);
    m.long64(cpl);
    return m;
  }

  /** Ends with #UD: user code has no HLT. */
  private static void run(TestMachine m, Assembler a) {
    m.code(64, a.hex("0f 0b"));
    m.run();
    assertEquals(6, m.vector());
  }

  /** Maps the page in RBX elsewhere: RDX is its entry, RCX what that becomes. */
  private static Assembler remap(Assembler a, long page, long to) {
    a.mov(RDX, entryOf(page)).mov(RCX, to | ALL).store(RDX, 0, RCX);
    return a.mov(RBX, ALIAS + page).interrupt(INVLPG);
  }

  /** Calls every 32nd byte of PAGE, {@code count} of them, {@link #ROUNDS} times; sums RAX. */
  private static Assembler calls(Assembler a, String name, int count) {
    a.mov(15, ROUNDS).label(name).mov(RDI, ALIAS + PAGE).mov(14, count).label(name + "each");
    a.hex("ff d7").addRegister(RSI, RAX).add(RDI, 32).dec(14).jnz(name + "each");
    return a.dec(15).jnz(name);
  }

  @ParameterizedTest
  @ValueSource(ints = {0, 3})
  void allEntriesOfAPageGoWithIt(int cpl) {
    try (var m = machine(cpl)) {
      int count = 100;
      for (int i = 0; i < count; i++) {
        m.memory.write(PAGE + 32 * i, routine(i));
        m.memory.write(OTHER + 32 * i, routine(1000 + i));
      }
      Assembler a = calls(m.assembler(64).mov(RSI, 0), "old", count);
      a.movRegister(12, RSI).mov(RSI, 0);
      calls(remap(a, PAGE, OTHER), "new", count);
      run(m, a);
      int sum = count * (count - 1) / 2;
      assertEquals(ROUNDS * sum, m.gpr(12));
      assertEquals(ROUNDS * (sum + 1000 * count), m.gpr(RSI));
    }
  }

  @ParameterizedTest
  @CsvSource({"0, 0xffd, false", "0, 0xffd, true", "3, 0xffc, false", "3, 0xfff, true"})
  void anInstructionOverTwoPagesGoesWithEither(int cpl, String offset, boolean first) {
    try (var m = machine(cpl)) {
      int at = Integer.decode(offset);
      // Pages that are not neighbours in memory.
      for (int half = 0; half < 2; half++) {
        for (int changed = 0; changed < 2; changed++) {
          byte[] code = routine(changed == 0 ? 0x1111_1111 : 0x2222_2222);
          long page = OTHER + (2L * half + changed) * 0x2000;
          m.memory.write(half == 0 ? page + at : page - (0x1000 - at), code);
          if (half != 0) {
            byte[] before = new byte[0x1000];
            m.memory.write(page - 0x1000, before);
          }
        }
      }
      m.page(PAGE, OTHER, ALL);
      m.page(PAGE + 0x1000, OTHER + 0x4000, ALL);
      Assembler a = m.assembler(64).mov(RDI, ALIAS + PAGE + at).mov(15, ROUNDS);
      a.label("old").hex("ff d7").dec(15).jnz("old").movRegister(12, RAX);
      remap(a, first ? PAGE : PAGE + 0x1000, first ? OTHER + 0x2000 : OTHER + 0x6000);
      a.mov(15, ROUNDS).label("new").hex("ff d7").dec(15).jnz("new");
      run(m, a);
      // The constant's bytes on the page that has changed.
      int onFirst = 0xfff - at;
      int mask = onFirst == 0 ? 0 : -1 >>> 8 * (4 - onFirst);
      assertEquals(0x1111_1111, m.gpr(12));
      assertEquals(0x1111_1111 + (0x1111_1111 & (first ? mask : ~mask)), m.gpr(RAX));
    }
  }

  @Test
  void aPageThatLosesItsExecuteRightIsNoTargetAnyMore() {
    try (var m = machine(3)) {
      m.memory.write(PAGE, routine(7));
      Assembler a = m.assembler(64).mov(RDI, ALIAS + PAGE).mov(15, ROUNDS);
      a.label("old").hex("ff d7").dec(15).jnz("old").movRegister(12, RAX);
      a.mov(RDX, entryOf(PAGE)).mov(RCX, PAGE | ALL | NX).store(RDX, 0, RCX);
      m.code(64, a.mov(RBX, ALIAS + PAGE).interrupt(INVLPG).hex("ff d7"));
      m.run();
      assertEquals(7, m.gpr(12));
      assertEquals(14, m.vector());
      assertEquals(ALIAS + PAGE, m.state().get(CpuState.CR2));
      assertEquals(0x15, m.stack(8, 0));
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"ff e0", "ff d0", "50 c3"})
  void noFalseAddressLeadsWhereAnotherModeOrAddressSpaceGoes(String jump) {
    try (var m = machine(3)) {
      long routine = PAGE + 0x40;
      m.memory.write(routine, new Assembler(64, 0).inc(RBP).ret().toBytes());
      // The kernel runs the routine; its #GP handler goes on at R13.
      m.memory.write(HANDLERS + 16 * 0x40, new Assembler(64, 0).hex("ff d2 48 cf").toBytes());
      byte[] fault =
          new Assembler(64, 0).hex("48 83 c4 08 4c 89 2c 24").inc(RBX).hex("48 cf").toBytes();
      m.memory.write(HANDLERS + 16 * 13, fault);
      var a =
          m.assembler(64).mov(15, 255).mov(RDX, routine).movLabel(13, "next").movRegister(12, RSP);
      a.label("loop").interrupt(0x40);
      // RAX: the routine, with every pattern of a byte in bits 59 to 62 and 48 to 51.
      a.movRegister(RAX, 15).hex("48 89 c1 48 c1 e8 04 48 c1 e0 3b 83 e1 0f 48 c1 e1 30");
      a.hex("48 31 c8 48 31 d0").hex(jump).label("next").movRegister(RSP, 12);
      run(m, a.dec(15).jnz("loop"));
      assertEquals(255, m.gpr(RBX));
      assertEquals(255, m.gpr(RBP));
    }
  }
}
