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

/** Shadow stacks of legacy protected mode, between levels and in virtual-8086 mode. */
@Timeout(900)
class LegacyShadowStackTest extends EngineTest {
  private static final int VM = 1 << 17;
  static final String UD2 = "0f 0b";
  static final String RDSSP_ECX = "f3 0f 1e c9";
  private static final String SETSSBSY = "f3 0f 01 e8";

  /** User code's stack. */
  private static final long USER_PAGE = DATA + 0x8000;

  static final long USER_TOP = USER_PAGE + 0x1000;

  /** The stacks of levels 0 and 1. */
  private static final long PAGE = DATA + 0x9000;

  private static final long PAGE1 = DATA + 0xa000;
  static final long TOKEN = PAGE + 0xff8;
  private static final long TOKEN1 = PAGE1 + 0xff8;

  /** Code and data of level 1. */
  private static final int CODE1 = FREE + 0x41;

  private static final int FLAT1 = FREE + 0x49;

  private static final int GATE = FREE + 0x50;

  static void page(TestMachine m, long linear, long bits) {
    m.memory.writeInt(DATA_TABLE32 + 4 * (linear >> 12), (int) (linear | bits));
  }

  /** Code of 32 bits at a level, with paging and a shadow stack at each level. */
  static CpuState shadowed(TestMachine m, int cpl) {
    CpuState s = m.protected32(cpl);
    s.set(CpuState.CR3, DIRECTORY);
    s.set(CpuState.CR4, 0x610 | ShadowStackTest.CET);
    s.set(CpuState.CR0, 0x8001_0031L);
    page(m, USER_PAGE, P | U | D);
    page(m, PAGE, P | D);
    page(m, PAGE1, P | D);
    m.memory.writeLong(TOKEN, cpl == 0 ? TOKEN | 1 : TOKEN);
    m.memory.writeLong(TOKEN1, TOKEN1);
    s.set(CpuState.U_CET, 1);
    s.set(CpuState.S_CET, 1);
    s.set(CpuState.LEVEL_SSP, TOKEN);
    s.set(CpuState.LEVEL_SSP + 8, TOKEN1);
    s.set(CpuState.SSP, cpl == 3 ? USER_TOP : TOKEN);
    m.descriptor(CODE1, 0, 0xf_ffff, 0xc0bb);
    m.descriptor(FLAT1, 0, 0xf_ffff, 0xc0b3);
    return s;
  }

  static void run(TestMachine m, Consumer<Assembler> code) {
    var a = m.assembler(32);
    code.accept(a);
    m.code(32, a);
    m.run();
  }

  static long ssp(TestMachine m) {
    return m.state().get(CpuState.SSP);
  }

  @Test
  void anInterruptOfUserCodeTakesTheSupervisorsStack() {
    try (var m = newMachine(ShadowStackTest.MODEL)) {
      shadowed(m, 3);
      m.gate32(0x40, CODE32, CODE + 0x100, 0xee);
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
                  .hex(RDSSP_ECX)
                  .load(RDX, RCX, 0)
                  .iret());
      assertEquals(6, m.vector());
      assertEquals(TOKEN, m.gpr(RCX));
      assertEquals(TOKEN | 1, m.gpr(RDX));
      assertEquals(TOKEN, ssp(m), "SSP in the handler of #UD");
      assertEquals(TOKEN | 1, m.memory.readLong(TOKEN));
      assertEquals(USER_TOP, m.state().get(CpuState.LEVEL_SSP + 24));
    }
  }

  @Test
  void anInterruptOfTheSupervisorPushesLinearAddresses() {
    try (var m = newMachine(ShadowStackTest.MODEL)) {
      shadowed(m, 0).set(CpuState.SSP, TOKEN - 4);
      m.descriptor(FREE, CODE, 0xf_ffff, 0xc09b);
      m.gate32(0x40, CODE32, CODE + 0x100, 0x8e);
      run(
          m,
          a ->
              a.jmpFar(FREE, 7)
                  .interrupt(0x40)
                  .movRegister(RSI, RCX)
                  .hex(RDSSP_ECX)
                  .hlt()
                  .padTo(CODE + 0x100)
                  .hex(RDSSP_ECX)
                  .iret());
      assertEquals(TOKEN - 4, m.gpr(RCX));
      assertEquals(TOKEN - 8 - 24, m.gpr(RSI));
      assertEquals(TOKEN - 4, m.memory.readLong(TOKEN - 8 - 24));
      assertEquals(CODE + 9, m.memory.readLong(TOKEN - 8 - 16));
      assertEquals(FREE, m.memory.readLong(TOKEN - 8 - 8));
      assertEquals(0, m.memory.readInt(TOKEN - 8), "the hole");
      assertEquals(TOKEN | 1, m.memory.readLong(TOKEN));
    }
  }

  @ParameterizedTest
  @CsvSource({"3, 0", "3, 3", "1, 0"})
  void callGatesLeadInwardsAndFarReturnsBack(int cpl, int parameters) {
    try (var m = newMachine(ShadowStackTest.MODEL)) {
      CpuState s = shadowed(m, cpl == 3 ? 3 : 0);
      m.memory.writeLong(TOKEN, TOKEN);
      long top = USER_TOP;
      if (cpl == 1) {
        top = TOKEN1;
        m.memory.writeLong(TOKEN1, TOKEN1 | 1);
        s.set(CpuState.SSP, top);
        s.setSegment(CpuState.CS, CODE1, 0, -1, 0xc0bb);
        s.setSegment(CpuState.SS, FLAT1, 0, -1, 0xc0b3);
      }
      m.callGate(GATE, CODE32, CODE + 0x100, 12, 3, parameters);
      String retf = parameters == 0 ? "cb" : "ca 0c 00";
      run(
          m,
          a ->
              a.hex("83 ec 0c") // sub esp, 12
                  .call("f")
                  .hex(UD2)
                  .label("f")
                  .callFar(GATE, 0)
                  .movRegister(RSI, RCX)
                  .hex(RDSSP_ECX)
                  .hex(UD2)
                  .padTo(CODE + 0x100)
                  .hex(RDSSP_ECX)
                  .load(RDX, RCX, 0)
                  .mov(RDI, TOKEN)
                  .load(RDI, RDI, 0)
                  .hex(retf));
      assertEquals(6, m.vector());
      assertEquals(top - 4, m.gpr(RCX), "SSP after it");
      assertEquals(TOKEN | 1, m.gpr(RDI));
      if (cpl == 3) {
        assertEquals(TOKEN, m.gpr(RSI));
        assertEquals(top - 4, m.state().get(CpuState.LEVEL_SSP + 24));
        assertEquals(TOKEN, ssp(m), "taken again for #UD, and so free before it");
      } else {
        assertEquals(TOKEN - 24, m.gpr(RSI));
        assertEquals(top - 4, m.gpr(RDX));
        assertEquals(CODE1, m.memory.readLong(TOKEN - 8));
        assertEquals(TOKEN - 24, ssp(m));
        assertEquals(0, m.state().get(CpuState.LEVEL_SSP + 24));
      }
    }
  }

  @Test
  void aGateWithinTheLevelPushesAFrame() {
    try (var m = newMachine(ShadowStackTest.MODEL)) {
      shadowed(m, 3);
      m.callGate(GATE, USER_CODE32, CODE + 0x100, 12, 3, 0);
      run(
          m,
          a ->
              a.callFar(GATE, 0)
                  .movRegister(RSI, RCX)
                  .hex(RDSSP_ECX)
                  .hex(UD2)
                  .padTo(CODE + 0x100)
                  .hex(RDSSP_ECX)
                  .retFar());
      assertEquals(6, m.vector());
      assertEquals(USER_TOP - 24, m.gpr(RSI));
      assertEquals(USER_TOP, m.gpr(RCX));
      assertEquals(USER_TOP, m.memory.readLong(USER_TOP - 24));
      assertEquals(CODE + 7, m.memory.readLong(USER_TOP - 16));
      assertEquals(USER_CODE32, m.memory.readLong(USER_TOP - 8));
    }
  }

  @ParameterizedTest
  @CsvSource({
    // code behind a far call of another level or the same, at whose end the frame does not match
    "36 ff 04 24 cb, 0", // inc dword [esp], retf
    "36 ff 04 24 cb, 1"
  })
  void farReturnsLookAtTheFrame(String code, int to) {
    try (var m = newMachine(ShadowStackTest.MODEL)) {
      CpuState s = shadowed(m, 0);
      if (to == 0) {
        m.memory.writeLong(TOKEN, TOKEN);
        m.memory.writeLong(TOKEN1, TOKEN1 | 1);
        s.set(CpuState.SSP, TOKEN1);
        s.setSegment(CpuState.CS, CODE1, 0, -1, 0xc0bb);
        s.setSegment(CpuState.SS, FLAT1, 0, -1, 0xc0b3);
      }
      m.callGate(GATE, CODE32, CODE + 0x100, 12, 3, 0);
      run(m, a -> a.callFar(GATE, 0).hex(UD2).padTo(CODE + 0x100).hex(code));
      assertEquals(21, m.vector());
      assertEquals(2, m.stack(4, 0));
      assertEquals(CODE + 0x104, m.stack(4, 1));
    }
  }

  // Virtual-8086 mode.

  private static Assembler pushVirtual(Assembler a, int flags) {
    for (int word : new int[] {0, 0, 0, 0, 0xd00, 0x800, flags | VM | 2, 0xc00, 0x10}) {
      a.pushConstant(word);
    }
    return a;
  }

  @Test
  void virtual8086ModeHasNoneAndLeavesForTheSupervisors() {
    try (var m = newMachine(ShadowStackTest.MODEL)) {
      CpuState s = shadowed(m, 0);
      s.set(CpuState.U_CET, 0);
      m.gate32(0x30, CODE32, CODE + 0x100, 0xee);
      m.memory.write(0xc010, new Assembler(16, 0x10).hex("e8 00 00 cd 30 cd 30 cd 31").toBytes());
      run(
          m,
          a -> {
            pushVirtual(a, 3 << 12).iret();
            a.padTo(CODE + 0x100)
                .mov(RDX, TOKEN)
                .hex("36 8b 12")
                .hex(RDSSP_ECX)
                .iret(); // mov edx, ss:[edx]
          });
      assertEquals(0x31, m.vector());
      assertEquals(TOKEN | 1, m.gpr(RDX));
      assertEquals(TOKEN, m.gpr(RCX));
      assertEquals(TOKEN, ssp(m));
      assertEquals(TOKEN | 1, m.memory.readLong(TOKEN));
      assertEquals(0, m.state().get(CpuState.LEVEL_SSP + 24));
    }
  }

  @ParameterizedTest
  @CsvSource({"1", "4"})
  void userCodeThatIsWatchedIsNotVirtual(long control) {
    try (var m = newMachine(ShadowStackTest.MODEL)) {
      shadowed(m, 0).set(CpuState.U_CET, control);
      run(m, a -> pushVirtual(a, 0).iret());
      assertEquals(13, m.vector());
      assertEquals(0, m.stack(4, 0));
      assertEquals(TOKEN | 1, m.memory.readLong(TOKEN));
    }
  }

  // Fast system calls.

  @ParameterizedTest
  @CsvSource({
    // SYSENTER and SYSEXIT, SYSCALL and SYSRET
    "0f 34, 0f 35",
    "0f 05, 0f 07"
  })
  void systemCallsLeaveItToTheKernel(String in, String out) {
    try (var m = newMachine(ShadowStackTest.MODEL)) {
      CpuState s = shadowed(m, 3);
      s.set(CpuState.EFER, 1);
      s.set(CpuState.SYSENTER_CS, CODE32);
      s.set(CpuState.SYSENTER_EIP, CODE + 0x100);
      s.set(CpuState.SYSENTER_ESP, KERNEL_STACK);
      s.set(CpuState.STAR, 0x0023_0008L << 32 | CODE + 0x100);
      boolean enter = in.equals("0f 34");
      run(
          m,
          a -> {
            a.call("f").hex(UD2).label("f").mov(RBP, 300).label("loop");
            if (enter) {
              a.movLabel(RDX, "back").movRegister(RCX, RSP);
            }
            a.hex(in).label("back").dec(RBP).jnz("loop").hex("c3");
            a.padTo(CODE + 0x100)
                .mov(RBX, 77)
                .hex("f3 0f 1e cb") // rdsspd ebx
                .hex(SETSSBSY)
                .hex("f3 0f 1e ce") // rdsspd esi
                .mov(RDI, TOKEN)
                .hex("f3 0f ae 37") // clrssbsy [edi]
                .hex(out);
          });
      assertEquals(6, m.vector());
      assertEquals(0, m.gpr(RBX), "SSP behind the call");
      assertEquals(TOKEN, m.gpr(RSI));
      assertEquals(TOKEN | 1, m.memory.readLong(TOKEN), "of #UD");
      assertEquals(USER_TOP, m.state().get(CpuState.LEVEL_SSP + 24));
    }
  }

  @Test
  void sysenterLeavesVirtual8086Mode() {
    try (var m = newMachine(ShadowStackTest.MODEL)) {
      CpuState s = shadowed(m, 0);
      s.set(CpuState.U_CET, 0);
      s.set(CpuState.SYSENTER_CS, CODE32);
      s.set(CpuState.SYSENTER_EIP, CODE + 0x100);
      m.memory.write(0xc010, new Assembler(16, 0x10).hex("0f 34").toBytes());
      run(
          m,
          a -> {
            pushVirtual(a, 0).iret();
            a.padTo(CODE + 0x100).hlt();
          });
      assertEquals(CODE + 0x101, m.rip());
      assertEquals(0, ssp(m));
    }
  }
}
