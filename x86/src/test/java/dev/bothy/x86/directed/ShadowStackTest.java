package dev.bothy.x86.directed;

import static dev.bothy.x86.directed.TestMachine.*;
import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.bothy.core.cpu.CpuState;
import dev.bothy.x86.assemble.Assembler;
import java.util.function.Consumer;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Shadow stacks: Intel SDM volume 1, section 18.2; AMD64 APM volume 2, chapter 18. */
@Timeout(900)
class ShadowStackTest extends EngineTest {
  static final String MODEL = "v3,+shstk,+ibt";
  static final long CET = 1 << 23;
  private static final long WP = 1 << 16;

  /** User code's stack, and two of the supervisor's; each grows down from {@link #TOP}. */
  static final long USER_PAGE = DATA + 0x8000;

  static final long PAGE = DATA + 0x9000;
  private static final long IST_PAGE = DATA + 0xa000;

  /** Where a supervisor's token may be. */
  private static final long TOP = 0xff8;

  static final long TOKEN = PAGE + TOP;
  static final long IST_TOKEN = IST_PAGE + TOP;
  static final long TABLE = DATA + 0xb000;
  static final String UD2 = "0f 0b";
  static final String RDSSP_RCX = "f3 48 0f 1e c9";
  private static final String INCSSP_RCX = "f3 48 0f ae e9";
  private static final String SETSSBSY = "f3 0f 01 e8";
  private static final String SAVEPREVSSP = "f3 0f 01 ea";
  private static final String RSTORSSP_RBX = "f3 0f 01 2b";

  /** Shadow stacks are on at {@code cpl}, where code starts, and for the supervisor. */
  static CpuState shadowed(TestMachine m, int cpl) {
    CpuState s = m.long64(cpl);
    m.page(USER_PAGE, USER_PAGE, P | U | D);
    m.page(PAGE, PAGE, P | D);
    m.page(IST_PAGE, IST_PAGE, P | D);
    m.memory.writeLong(TOKEN, cpl == 0 ? TOKEN | 1 : TOKEN);
    m.memory.writeLong(IST_TOKEN, IST_TOKEN);
    m.memory.writeLong(TABLE + 8, IST_TOKEN);
    s.set(CpuState.CR4, CR4_LONG | CET);
    s.set(CpuState.U_CET, 1);
    s.set(CpuState.S_CET, 1);
    s.set(CpuState.LEVEL_SSP, TOKEN);
    s.set(CpuState.INTERRUPT_SSP_TABLE, TABLE);
    s.set(CpuState.SSP, cpl == 3 ? USER_PAGE + 0x1000 : TOKEN);
    return s;
  }

  static void run(TestMachine m, Consumer<Assembler> code) {
    var a = m.assembler(64);
    code.accept(a);
    m.code(64, a);
    m.run();
  }

  static long ssp(TestMachine m) {
    return m.state().get(CpuState.SSP);
  }

  @ParameterizedTest
  @CsvSource({"0", "3"})
  void callsAndReturnsGoTogether(int cpl) {
    try (var m = newMachine(MODEL)) {
      CpuState s = shadowed(m, cpl);
      if (cpl == 3) {
        s.set(CpuState.S_CET, 0);
      }
      long top = s.get(CpuState.SSP);
      run(
          m,
          a ->
              a.mov(RSI, 300)
                  .label("loop")
                  .call("f")
                  .movLabel(RAX, "f")
                  .hex("ff d0") // call rax
                  .hex("e8 00 00 00 00 58") // call $+5: no return follows
                  .hex(RDSSP_RCX)
                  .dec(RSI)
                  .jnz("loop")
                  .hex(UD2)
                  .label("f")
                  .inc(RDX)
                  .hex("c3"));
      assertEquals(6, m.vector());
      assertEquals(top, m.gpr(RCX));
      assertEquals(top, cpl == 3 ? ssp(m) : m.memory.readLong(ssp(m)));
      long returnTo = m.memory.readLong(top - 8);
      assertEquals(cpl == 3 ? returnTo : CODE64, returnTo);
    }
  }

  @ParameterizedTest
  @CsvSource({
    // code with SSP at a full stack, CPL, error code
    "e8 02 00 00 00 0f 0b 48 ff 04 24 c3, 3, 1",
    "e8 02 00 00 00 0f 0b 48 ff 04 24 c3, 0, 1",
    "e8 02 00 00 00 0f 0b 48 ff 04 24 c2 10 00, 3, 1",
    "ff 1b 90 0f 0b, 3, 2",
    "ff 1b 90 0f 0b, 0, 2",
    "f3 0f 01 28, 3, 4",
    "f3 0f 01 28, 0, 4",
    "f3 0f 01 e8, 0, 5"
  })
  void whatDoesNotMatchIsNamed(String code, int cpl, int error) {
    try (var m = newMachine(MODEL)) {
      CpuState s = shadowed(m, cpl);
      s.setGpr(RBX, DATA);
      s.setGpr(RAX, (cpl == 3 ? USER_PAGE : PAGE) + 0x100);
      // A far function that comes back one byte further on.
      m.memory.writeInt(DATA, (int) CODE + 0x100);
      m.memory.writeShort(DATA + 4, cpl == 3 ? USER_CODE64 : CODE64);
      run(m, a -> a.hex(code).padTo(CODE + 0x100).hex("ff 04 24 cb"));
      assertEquals(21, m.vector());
      assertEquals(error, m.stack(8, 0));
    }
  }

  @Test
  void interruptReturnLooksAtTheFrame() {
    try (var m = newMachine(MODEL)) {
      shadowed(m, 0);
      m.gate64(0x40, CODE64, CODE + 0x100, 0x8e, 0);
      run(m, a -> a.interrupt(0x40).nop().hex(UD2).padTo(CODE + 0x100).hex("48 ff 04 24 48 cf"));
      assertEquals(21, m.vector());
      assertEquals(2, m.stack(8, 0));
    }
  }

  @Test
  void farCallsPushWhereTheyComeFrom() {
    try (var m = newMachine(MODEL)) {
      CpuState s = shadowed(m, 3);
      s.setGpr(RBX, DATA);
      long top = USER_PAGE + 0xffc;
      s.set(CpuState.SSP, top);
      m.memory.writeInt(DATA, (int) CODE + 0x100);
      m.memory.writeShort(DATA + 4, USER_CODE64);
      run(m, a -> a.hex("ff 1b").hex(UD2).padTo(CODE + 0x100).hex(RDSSP_RCX).hex("cb"));
      assertEquals(6, m.vector());
      assertEquals(USER_PAGE + 0xff8 - 24, m.gpr(RCX));
      assertEquals(top, m.memory.readLong(m.gpr(RCX)));
      assertEquals(CODE + 2, m.memory.readLong(m.gpr(RCX) + 8));
      assertEquals(USER_CODE64, m.memory.readLong(m.gpr(RCX) + 16));
      assertEquals(0, m.memory.readInt(top - 4));
      assertEquals(top, m.state().get(CpuState.LEVEL_SSP + 24));
    }
  }

  // Pages: SDM volume 3, sections 4.6 and 4.7.

  @ParameterizedTest
  @CsvSource({
    // access, bits of the page, of the entry above, error code or -1
    "c, 0x45, 7, -1",
    "c, 0x25, 7, 0x47",
    "c, 0x47, 7, 0x47",
    "c, 0x41, 7, 0x47",
    "c, 0x44, 7, 0x46",
    "c, 0x45, 5, 0x47",
    "r, 0x45, 7, -1",
    "r, 0x47, 7, 0x45",
    "r, 0x44, 7, 0x44",
    "load, 0x45, 7, -1",
    "store, 0x45, 7, 7"
  })
  void pagesOfUserCode(String what, long bits, long above, String error) {
    try (var m = newMachine(MODEL)) {
      CpuState s = shadowed(m, 3);
      m.page(USER_PAGE, USER_PAGE, bits);
      m.memory.writeLong(PD + 8, DATA_PT | above);
      s.set(CpuState.S_CET, 0);
      s.set(CpuState.SSP, USER_PAGE + 0xff0);
      s.setGpr(RBX, USER_PAGE + 0xff0);
      s.setGpr(RSP, USER_STACK - 8);
      m.memory.writeLong(USER_STACK - 8, CODE + 0x20);
      m.memory.writeLong(USER_PAGE + 0xff0, CODE + 0x20);
      String code =
          switch (what) {
            case "c" -> "e8 1b 00 00 00";
            case "r" -> "c3";
            case "load" -> "48 8b 03";
            default -> "48 89 03";
          };
      run(m, a -> a.hex(code).hex(UD2).padTo(CODE + 0x20).hex(UD2));
      int expected = Integer.decode(error);
      assertEquals(expected < 0 ? 6 : 14, m.vector());
      if (expected >= 0) {
        assertEquals(expected, m.stack(8, 0));
        assertEquals(USER_PAGE + (what.equals("c") ? 0xfe8 : 0xff0), m.state().get(CpuState.CR2));
      }
    }
  }

  @ParameterizedTest
  @CsvSource({
    // code at CPL 0 with rbx at a page of those bits, error code or -1
    "48 0f 38 f6 03, 0x41, -1", // wrss [rbx], rax
    "48 0f 38 f6 03, 0x45, 0x43",
    "48 0f 38 f6 03, 0x43, 0x43",
    "48 0f 38 f6 03, 0x40, 0x42",
    "66 48 0f 38 f5 03, 0x45, -1", // wruss [rbx], rax
    "66 48 0f 38 f5 03, 0x41, 0x47",
    "66 48 0f 38 f5 03, 0x47, 0x47",
    "66 0f 38 f5 03, 0x45, -1",
    "48 89 03, 0x41, 3",
    "48 8b 0b, 0x41, -1"
  })
  void storesBySpecialInstructions(String code, long bits, String error) {
    try (var m = newMachine(MODEL)) {
      CpuState s = shadowed(m, 0);
      s.set(CpuState.S_CET, 3);
      s.setGpr(RAX, 0x1234_5678_9abcL);
      s.setGpr(RBX, USER_PAGE + 8);
      m.page(USER_PAGE, USER_PAGE, bits);
      run(m, a -> a.hex(code).hex(UD2));
      int expected = Integer.decode(error);
      assertEquals(expected < 0 ? 6 : 14, m.vector());
      if (expected >= 0) {
        assertEquals(expected, m.stack(8, 0));
      } else if (code.contains("38")) {
        long stored = m.memory.readLong(USER_PAGE + 8);
        assertEquals(code.contains("48") ? 0x1234_5678_9abcL : 0x5678_9abcL, stored);
      }
    }
  }

  // Registers.

  @ParameterizedTest
  @CsvSource({
    // MSR, value, taken
    "0x6a0, 0xc3f, true",
    "0x6a0, 0x43f, true",
    "0x6a0, 0x83f, true",
    "0x6a0, 0x40, false",
    "0x6a2, 0x200, false",
    "0x6a2, 0x7ffffffff003, true",
    "0x6a2, 0x800000000003, false",
    "0x6a4, 0x1000, true",
    "0x6a4, 0x1004, true",
    "0x6a5, 0x1002, false",
    "0x6a6, 0x1001, false",
    "0x6a7, 0x1, false",
    "0x6a7, 0x800000000000, false",
    "0x6a8, 0x1001, true",
    "0x6a8, 0x800000000000, false",
    "0xda0, 0x1800, true",
    "0xda0, 0x2000, false"
  })
  void registersTakeWhatTheyMay(String msr, String value, boolean taken) {
    try (var m = newMachine(MODEL)) {
      m.long64(0);
      long wanted = Long.decode(value);
      boolean both = (wanted & 0xc00) == 0xc00;
      run(m, a -> a.wrmsr(Integer.decode(msr), wanted).rdmsr().hex(UD2));
      assertEquals(taken && !both ? 6 : 13, m.vector());
      if (taken && !both) {
        assertEquals(wanted, m.gpr(RDX) << 32 | m.gpr(RAX));
      }
    }
  }

  @ParameterizedTest
  @CsvSource({
    // model, code, vector
    "v3, b9 a0 06 00 00 0f 32, 13",
    "v3, b9 a8 06 00 00 0f 32, 13",
    "v3, b9 a0 0d 00 00 0f 32, 13",
    "'v3,+ibt', b9 a4 06 00 00 0f 32, 13",
    "'v3,+ibt', b9 a2 06 00 00 b8 01 00 00 00 31 d2 0f 30, 13",
    "'v3,+ibt', b9 a2 06 00 00 b8 04 00 00 00 31 d2 0f 30, 3",
    "'v3,+shstk', b9 a2 06 00 00 b8 04 00 00 00 31 d2 0f 30, 13",
    "'v3,+shstk', b9 a2 06 00 00 b8 01 00 00 00 31 d2 0f 30, 3",
    "v3, 0f 20 e0 48 0d 00 00 80 00 0f 22 e0, 13", // CR4.CET
    "'v3,+shstk', 0f 20 e0 48 0d 00 00 80 00 0f 22 e0, 3",
    "'v3,+shstk', 0f 20 e0 48 0d 00 00 80 00 0f 22 e0 0f 20 c0 48 25 ff ff fe ff 0f 22 c0, 13",
    "'v3,+shstk', 0f 20 c0 48 25 ff ff fe ff 0f 22 c0 0f 20 e0 48 0d 00 00 80 00 0f 22 e0, 13",
    "v3, f3 0f 1e c8, 3", // rdssp
    "'v3,+shstk', f3 48 0f 1e c8, 3",
    "v3, f3 0f ae e8, 6", // incssp
    "'v3,+shstk', f3 0f ae e8, 6",
    "'v3,+shstk', f3 0f 01 e8, 6", // setssbsy
    "'v3,+shstk', f3 0f 01 ea, 6", // saveprevssp
    "'v3,+shstk', f3 0f 01 2b, 6", // rstorssp
    "'v3,+shstk', f3 0f ae 33, 6", // clrssbsy
    "'v3,+shstk', 0f 38 f6 03, 6", // wrss
    "'v3,+shstk', 66 0f 38 f5 03, 6", // wruss
    "'v3,+shstk', f0 66 0f 38 f5 03, 6"
  })
  void nothingIsThereThatWasNotAskedFor(String model, String code, int vector) {
    try (var m = newMachine(model)) {
      CpuState s = m.long64(0);
      s.setGpr(RBX, DATA);
      s.setGpr(RAX, 77);
      run(m, a -> a.hex(code).hex("cc"));
      assertEquals(vector, m.vector());
      if (code.contains("0f 1e")) {
        assertEquals(77, m.gpr(RAX));
      }
    }
  }

  @ParameterizedTest
  @CsvSource({
    // code of user code with a shadow stack, vector
    "0f 38 f6 03, 6", // wrss: not allowed by U_CET
    "66 0f 38 f5 03, 13",
    "f3 0f 01 e8, 13",
    "f3 0f ae 33, 13",
    "f3 0f 01 6b 04, 13", // rstorssp at no multiple of 8
    "f3 0f 01 ea, 13" // saveprevssp without a token
  })
  void userCodeMayNotDoEverything(String code, int vector) {
    try (var m = newMachine(MODEL)) {
      CpuState s = shadowed(m, 3);
      s.setGpr(RBX, USER_PAGE + 0x800);
      s.set(CpuState.SSP, USER_PAGE + 0x900);
      run(m, a -> a.hex(code).hex("cc"));
      assertEquals(vector, m.vector());
    }
  }

  @ParameterizedTest
  @CsvSource({
    // code, rcx, what SSP grows by
    "f3 48 0f ae e9, 0x105, 40",
    "f3 0f ae e9, 0x105, 20",
    "f3 48 0f ae e9, 0x100, 0",
    "f3 48 0f ae e9, 0xff, 2040"
  })
  void incrementsTakeAByte(String code, String count, int by) {
    try (var m = newMachine(MODEL)) {
      CpuState s = shadowed(m, 3);
      s.setGpr(RCX, Long.decode(count));
      s.set(CpuState.SSP, USER_PAGE + 0x100);
      run(m, a -> a.hex(code).hex(RDSSP_RCX).hex(UD2));
      assertEquals(6, m.vector());
      assertEquals(USER_PAGE + 0x100 + by, m.gpr(RCX));
    }
  }

  // Switches.

  @ParameterizedTest
  @CsvSource({"0x1000", "0xffc"})
  void programsSwitchBetweenStacks(String from) {
    try (var m = newMachine(MODEL)) {
      CpuState s = shadowed(m, 3);
      long old = USER_PAGE + Long.decode(from);
      s.set(CpuState.SSP, old);
      long token = USER_PAGE + 0x7f8;
      m.memory.writeLong(token, USER_PAGE + 0x800 | 1);
      s.setGpr(RBX, token);
      long back = (old & ~7) - 8;
      run(
          m,
          a ->
              a.hex(RSTORSSP_RBX)
                  .hex("0f 92 c2") // setc dl
                  .hex(RDSSP_RCX)
                  .movRegister(RSI, RCX)
                  .hex("f8") // clc
                  .hex(SAVEPREVSSP)
                  .hex(RDSSP_RCX)
                  .movRegister(RDI, RCX)
                  .mov(RBX, back)
                  .hex(RSTORSSP_RBX)
                  .hex("0f 92 c6") // setc dh
                  .hex(RDSSP_RCX)
                  .hex(UD2));
      assertEquals(6, m.vector());
      assertEquals(token, m.gpr(RSI));
      assertEquals(USER_PAGE + 0x800, m.gpr(RDI));
      assertEquals(back, m.gpr(RCX));
      assertEquals(from.equals("0xffc") ? 0x100 : 0, m.gpr(RDX) & 0xffff);
      assertEquals(USER_PAGE + 0x800 | 3, m.memory.readLong(back));
    }
  }

  @Test
  void anInterruptOfUserCodeTakesTheSupervisorsStack() {
    try (var m = newMachine(MODEL)) {
      shadowed(m, 3);
      m.gate64(0x40, CODE64, CODE + 0x100, 0xee, 0);
      run(
          m,
          a ->
              a.call("f")
                  .hex(UD2)
                  .label("f")
                  .interrupt(0x40)
                  .interrupt(0x40)
                  .hex("c3")
                  .padTo(CODE + 0x100)
                  .hex(RDSSP_RCX)
                  .load(RDX, RCX, 0)
                  .hex("48 cf"));
      assertEquals(6, m.vector());
      assertEquals(TOKEN, m.gpr(RCX));
      assertEquals(TOKEN | 1, m.gpr(RDX));
      assertEquals(TOKEN, ssp(m), "SSP in the handler of #UD");
      assertEquals(TOKEN | 1, m.memory.readLong(TOKEN));
      assertEquals(USER_PAGE + 0x1000, m.state().get(CpuState.LEVEL_SSP + 24));
    }
  }

  @Test
  void anInterruptOfTheSupervisorPushesAFrame() {
    try (var m = newMachine(MODEL)) {
      shadowed(m, 0);
      m.gate64(0x40, CODE64, CODE + 0x100, 0x8e, 0);
      run(
          m,
          a ->
              a.interrupt(0x40)
                  .movRegister(RSI, RCX)
                  .hex(RDSSP_RCX)
                  .hlt()
                  .padTo(CODE + 0x100)
                  .hex(RDSSP_RCX)
                  .hex("48 cf"));
      assertEquals(TOKEN, m.gpr(RCX));
      assertEquals(TOKEN - 24, m.gpr(RSI));
      assertEquals(TOKEN, m.memory.readLong(TOKEN - 24));
      assertEquals(CODE + 2, m.memory.readLong(TOKEN - 16));
      assertEquals(CODE64, m.memory.readLong(TOKEN - 8));
      assertEquals(TOKEN | 1, m.memory.readLong(TOKEN), "its own token stays busy");
    }
  }

  @Test
  void anInterruptMayHaveAStackOfItsOwn() {
    try (var m = newMachine(MODEL)) {
      shadowed(m, 0);
      m.gate64(0x40, CODE64, CODE + 0x100, 0x8e, 1);
      run(
          m,
          a ->
              a.interrupt(0x40)
                  .movRegister(RSI, RCX)
                  .hex(RDSSP_RCX)
                  .hlt()
                  .padTo(CODE + 0x100)
                  .hex(RDSSP_RCX)
                  .mov(RDX, IST_TOKEN)
                  .load(RDX, RDX, 0)
                  .hex("48 cf"));
      assertEquals(TOKEN, m.gpr(RCX));
      assertEquals(IST_TOKEN - 24, m.gpr(RSI));
      assertEquals(IST_TOKEN | 1, m.gpr(RDX));
      assertEquals(IST_TOKEN, m.memory.readLong(IST_TOKEN), "free again");
      assertEquals(TOKEN, m.memory.readLong(IST_TOKEN - 24));
    }
  }

  @ParameterizedTest
  @CsvSource({
    // what is at the token's place, where PL0_SSP points
    "1, 0xff8", // busy
    "2, 0xff8",
    "8, 0xff8",
    "0, 0xff4",
    "0, 0xff0" // the frame would not be in the same 32 bytes
  })
  void aTokenMustBeFree(long more, String place) {
    try (var m = newMachine(MODEL)) {
      CpuState s = shadowed(m, 3);
      long at = PAGE + Long.decode(place);
      m.memory.writeLong(at, at + more);
      s.set(CpuState.LEVEL_SSP, at);
      // #GP has a stack of its own.
      m.gate64(13, CODE64, HANDLERS + 16 * 13, 0x8e, 1);
      run(m, a -> a.interrupt(0x40));
      assertEquals(13, m.vector());
      assertEquals(0, m.stack(8, 0));
      assertEquals(CODE, m.stack(8, 1));
      assertEquals(IST_TOKEN, ssp(m));
      assertEquals(at + more, m.memory.readLong(at));
    }
  }

  @Test
  void systemCallsLeaveItToTheKernel() {
    try (var m = newMachine(MODEL)) {
      CpuState s = shadowed(m, 3);
      s.set(CpuState.LSTAR, CODE + 0x100);
      run(
          m,
          a ->
              a.call("f")
                  .hex(UD2)
                  .label("f")
                  .mov(RSI, 300)
                  .label("loop")
                  .syscall()
                  .dec(RSI)
                  .jnz("loop")
                  .hex("c3")
                  .padTo(CODE + 0x100)
                  .movRegister(RDI, RCX)
                  .hex(RDSSP_RCX)
                  .movRegister(RBX, RCX)
                  .hex(SETSSBSY)
                  .hex(RDSSP_RCX)
                  .movRegister(RDX, RCX)
                  .mov(RBP, TOKEN)
                  .hex("f3 0f ae 75 00") // clrssbsy [rbp]
                  .hex("41 0f 92 c0") // setc r8b
                  .hex(RDSSP_RCX)
                  .hex("49 89 c9") // mov r9, rcx
                  .movRegister(RCX, RDI)
                  .sysret(true));
      assertEquals(6, m.vector());
      assertEquals(0, m.gpr(RBX), "SSP behind SYSCALL");
      assertEquals(TOKEN, m.gpr(RDX));
      assertEquals(0, m.gpr(8));
      assertEquals(0, m.gpr(9));
      assertEquals(TOKEN | 1, m.memory.readLong(TOKEN), "of #UD");
      assertEquals(USER_PAGE + 0x1000, m.state().get(CpuState.LEVEL_SSP + 24));
    }
  }

  @Test
  void clearingATokenThatIsNotBusyTells() {
    try (var m = newMachine(MODEL)) {
      CpuState s = shadowed(m, 0);
      s.setGpr(RBX, IST_TOKEN);
      run(m, a -> a.hex("f3 0f ae 33 0f 92 c2").hex(RDSSP_RCX).hlt());
      assertEquals(1, m.gpr(RDX) & 0xff);
      assertEquals(0, m.gpr(RCX));
    }
  }

  @Test
  void twoFaultsOfThisClassAreADoubleFault() {
    try (var m = newMachine(MODEL)) {
      CpuState s = shadowed(m, 3);
      s.set(CpuState.SSP, USER_PAGE + 0x800);
      m.gate64(21, 0, 0, 0x8e, 0);
      m.memory.writeLong(IDT + 16 * 21, 0);
      run(m, a -> a.hex("68 00 00 10 00 c3")); // push, ret
      assertEquals(8, m.vector());
    }
  }

  // Saved areas: SDM volume 1, section 13.4.3 and 13.5.9.

  @Test
  void savedAreasHaveThem() {
    try (var m = newMachine(MODEL)) {
      CpuState s = m.long64(0);
      s.set(CpuState.CR4, CR4_LONG | 1 << 18);
      s.set(CpuState.XCR0, 7);
      s.set(CpuState.XSS, 0x1800);
      s.set(CpuState.U_CET, 5);
      for (int i = 0; i < 4; i++) {
        s.set(CpuState.LEVEL_SSP + 8 * i, 0x1000 * (i + 1));
      }
      s.setGpr(RBX, DATA);
      s.setGpr(RAX, -1);
      s.setGpr(RDX, -1);
      run(
          m,
          a -> {
            a.hex("48 0f c7 2b"); // xsaves64 [rbx]
            for (int msr : new int[] {0x6a0, 0x6a4, 0x6a5, 0x6a6, 0x6a7}) {
              a.wrmsr(msr, 0x10);
            }
            a.mov(RAX, 0x800).mov(RDX, 0).hex("48 0f c7 1b"); // xrstors64 [rbx]
            a.mov(RAX, 0xd).mov(RCX, 1).hex("53 0f a2 89 de 5b").movRegister(RDI, RCX); // cpuid
            a.mov(RBP, DATA + 0x1000).hlt();
          });
      assertEquals(0x8000_0000_0000_1807L, m.memory.readLong(DATA + 520));
      assertEquals(0x1800, m.memory.readLong(DATA + 512) & 0x1800);
      assertEquals(5, m.memory.readLong(DATA + 832));
      assertEquals(0x4000, m.memory.readLong(DATA + 840));
      assertEquals(0x1000, m.memory.readLong(DATA + 848));
      assertEquals(0x3000, m.memory.readLong(DATA + 864));
      assertEquals(5, m.state().get(CpuState.U_CET));
      assertEquals(0x4000, m.state().get(CpuState.LEVEL_SSP + 24));
      assertEquals(0x10, m.state().get(CpuState.LEVEL_SSP));
      assertEquals(872, m.gpr(RSI));
      assertEquals(0x1800, m.gpr(RDI));
    }
  }

  @ParameterizedTest
  @CsvSource({
    // XSTATE_BV, XCOMP_BV, U_CET, PL3_SSP, CPL, vector
    "0x800, 0x8000000000000800, 1, 0x1000, 0, 3",
    "0x800, 0x8000000000000800, 0x40, 0x1000, 0, 13",
    "0x800, 0x8000000000000800, 1, 0x1001, 0, 13",
    "0x800, 0x800, 1, 0x1000, 0, 13",
    "0x800, 0x8000000000002800, 1, 0x1000, 0, 13",
    "0x1800, 0x8000000000000800, 1, 0x1000, 0, 13",
    "0x800, 0x8000000000000800, 1, 0x1000, 3, 13"
  })
  void areasAreLookedAtBeforeTheyAreLoaded(
      String present, String format, String control, String pointer, int cpl, int vector) {
    try (var m = newMachine(MODEL)) {
      CpuState s = m.long64(cpl);
      s.set(CpuState.CR4, CR4_LONG | 1 << 18);
      s.set(CpuState.XCR0, 3);
      s.set(CpuState.XSS, 0x1800);
      m.memory.writeLong(DATA + 512, Long.decode(present));
      m.memory.writeLong(DATA + 520, Long.parseUnsignedLong(format.substring(2), 16));
      m.memory.writeLong(DATA + 576, Long.decode(control));
      m.memory.writeLong(DATA + 584, Long.decode(pointer));
      s.setGpr(RBX, DATA);
      s.setGpr(RAX, 0x800);
      s.setGpr(RDX, 0);
      run(m, a -> a.hex("48 0f c7 1b cc"));
      assertEquals(vector, m.vector());
      assertEquals(vector == 3 ? 1 : 0, m.state().get(CpuState.U_CET));
    }
  }

  /** Control registers may change while it is on only as far as it can be. */
  @Test
  void writeProtectionStays() {
    try (var m = newMachine(MODEL)) {
      shadowed(m, 0);
      run(m, a -> a.mov(RAX, CR0_PAGING & ~WP).movToControl(0, RAX).hlt());
      assertEquals(13, m.vector());
      assertEquals(TOKEN - 24, ssp(m));
    }
  }

  @Test
  void aTransactionThatAbortsHasNotCalled() {
    try (var m = newMachine(MODEL + ",+rtm")) {
      shadowed(m, 0).setGpr(RBX, CODE + 8);
      run(
          m,
          a ->
              a.hex("c7 f8 04 00 00 00") // xbegin
                  .hex("ff d3 0f 0b") // call rbx, which is what follows
                  .hex(RDSSP_RCX)
                  .hlt());
      assertEquals(TOKEN, m.gpr(RCX));
      assertEquals(CODE + 8, m.memory.readLong(TOKEN - 8) | CODE + 8);
    }
  }

  // Guests of guests: AMD64 APM volume 2, section 18.7 and appendix B.

  @Test
  void aGuestHasItsOwn() {
    try (var m = newMachine("max,+shstk,+ibt")) {
      var guest = new NestedGuest(m);
      m.page(PAGE, PAGE, P | D);
      CpuState s = m.state();
      s.set(CpuState.CR4, CR4_LONG | CET);
      s.set(CpuState.S_CET, 3);
      s.set(CpuState.SSP, TOKEN);
      s.set(CpuState.INTERRUPT_SSP_TABLE, TABLE);
      guest.set(NestedGuest.CR4, CR4_LONG | CET);
      guest.set(0x5e0, 1);
      guest.set(0x5e8, PAGE + 0x800);
      guest.set(0x5f0, 0x7000);
      guest.code(
          guest
              .assembler()
              .call("f")
              .label("f")
              .call("g")
              .label("g2")
              .nop()
              .label("g")
              .hex(NestedGuest.CALL));
      assertEquals(NestedGuest.VMMCALL, guest.run());
      assertEquals(PAGE + 0x7f8, guest.get(0x5e8));
      guest.set(NestedGuest.CR0, CR0_PAGING & ~WP);
      assertEquals(-1, guest.run());
      guest.set(NestedGuest.CR0, CR0_PAGING);
      guest.set(0x5e0, 0x40);
      assertEquals(-1, guest.run());
      guest.set(0x5e0, 1);
      assertEquals(1, m.memory.readLong(NestedGuest.BLOCK + 0x5e0));
      assertEquals(0x7000, m.memory.readLong(NestedGuest.BLOCK + 0x5f0));
      assertEquals(3, m.state().get(CpuState.S_CET));
      assertEquals(TOKEN, ssp(m));
      assertEquals(TABLE, m.state().get(CpuState.INTERRUPT_SSP_TABLE));
    }
  }
}
