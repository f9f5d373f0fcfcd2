package dev.bothy.x86.directed;

import static dev.bothy.x86.directed.ShadowStackTest.*;
import static dev.bothy.x86.directed.TestMachine.*;
import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.bothy.core.cpu.CpuState;
import dev.bothy.x86.assemble.Assembler;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Shadow stacks of long mode where the level changes by far calls, returns and events. */
@Timeout(900)
class ShadowStackLevelTest extends EngineTest {
  private static final int GATE = FREE;

  private static void callGate(TestMachine m, int target, long offset) {
    m.callGate(GATE, target, offset, 12, 3, 0);
    m.memory.writeLong(GDT + GATE + 8, offset >>> 32);
  }

  @ParameterizedTest
  @CsvSource({"true", "false"})
  void callGatesLeadInwardsAndFarReturnsBack(boolean wide) {
    try (var m = newMachine(MODEL)) {
      CpuState s = shadowed(m, 3);
      s.setGpr(RBX, DATA);
      m.memory.writeShort(DATA + 4, GATE);
      callGate(m, CODE64, CODE + 0x100);
      if (!wide) {
        s.setSegment(CpuState.CS, USER_CODE32, 0, -1, 0xc0fb);
      }
      run(
          m,
          a ->
              a.hex("e8 02 00 00 00 0f 0b") // call $+7
                  .hex("ff 1b") // call far [rbx]
                  .hex("89 ce") // mov esi, ecx
                  .hex("f3 0f 1e c9") // rdsspd ecx
                  .hex(UD2)
                  .padTo(CODE + 0x100)
                  .hex(RDSSP_RCX)
                  .load(RDX, RCX, 0)
                  .hex("48 cb"));
      assertEquals(6, m.vector());
      long entry = wide ? 8 : 4;
      assertEquals(USER_PAGE + 0x1000 - entry, m.gpr(RCX));
      assertEquals(TOKEN, m.gpr(RSI));
      assertEquals(TOKEN | 1, m.gpr(RDX));
      assertEquals(TOKEN, ssp(m), "taken again for #UD, and so free before it");
      assertEquals(wide ? USER_CODE64 : USER_CODE32, m.stack(8, 1));
    }
  }

  @Test
  void aGateWithinTheLevelPushesAFrame() {
    try (var m = newMachine(MODEL)) {
      CpuState s = shadowed(m, 3);
      s.setGpr(RBX, DATA);
      m.memory.writeShort(DATA + 4, GATE);
      callGate(m, USER_CODE64, CODE + 0x100);
      run(m, a -> a.hex("ff 1b").hex(UD2).padTo(CODE + 0x100).hex(RDSSP_RCX).hex("48 cb"));
      assertEquals(6, m.vector());
      assertEquals(USER_PAGE + 0x1000 - 24, m.gpr(RCX));
      assertEquals(CODE + 2, m.memory.readLong(m.gpr(RCX) + 8));
      assertEquals(USER_PAGE + 0x1000, m.state().get(CpuState.LEVEL_SSP + 24));
    }
  }

  @Test
  void anInterruptOfUserCodeMayHaveAStackOfItsOwn() {
    try (var m = newMachine(MODEL)) {
      shadowed(m, 3);
      m.gate64(0x40, CODE64, CODE + 0x100, 0xee, 1);
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
      assertEquals(IST_TOKEN, m.gpr(RCX));
      assertEquals(IST_TOKEN | 1, m.gpr(RDX));
      assertEquals(IST_TOKEN, m.memory.readLong(IST_TOKEN), "free again");
      assertEquals(TOKEN | 1, m.memory.readLong(TOKEN), "of #UD");
    }
  }

  /** The frame of user code whose stack had a hole looks like one of an interrupt's own stack. */
  @Test
  void userCodeMayReturnFromAFarCallByIret() {
    try (var m = newMachine(MODEL)) {
      CpuState s = shadowed(m, 3);
      s.setGpr(RBX, DATA);
      long top = USER_PAGE + 0xffc;
      s.set(CpuState.SSP, top);
      m.memory.writeInt(DATA, (int) CODE + 0x100);
      m.memory.writeShort(DATA + 4, USER_CODE64);
      run(
          m,
          a ->
              a.hex("ff 1b")
                  .hex(RDSSP_RCX)
                  .hex(UD2)
                  .padTo(CODE + 0x100)
                  .pop(RAX)
                  .movRegister(RAX, RSP)
                  .pushConstant(USER_FLAT)
                  .push(RAX)
                  .pushf()
                  .pushConstant(USER_CODE64)
                  .pushConstant((int) CODE + 2)
                  .hex("48 cf"));
      assertEquals(6, m.vector());
      assertEquals(top, m.gpr(RCX));
    }
  }

  /** SSP may come to be behind the last address; the register that keeps it takes no such thing. */
  @ParameterizedTest
  @CsvSource({"true", "false"})
  void thePointerThatIsKeptIsAnAddress(boolean call) {
    try (var m = newMachine(MODEL)) {
      CpuState s = shadowed(m, 3);
      long all = P | W | U;
      m.memory.writeLong(PML4 + 8 * 255, PDPT | all);
      m.memory.writeLong(PDPT + 8 * 511, PD | all);
      m.memory.writeLong(PD + 8 * 511, DATA_PT | all);
      m.page(DATA + 0x1f_f000, USER_PAGE, P | U | D);
      s.set(CpuState.SSP, 0x7fff_ffff_fff8L);
      s.set(CpuState.LSTAR, CODE + 0x200);
      s.setGpr(RSP, USER_STACK - 8);
      m.memory.writeLong(USER_STACK - 8, CODE + 0x100);
      m.memory.writeLong(USER_PAGE + 0xff8, CODE + 0x100);
      run(
          m,
          a -> a.hex("c3").padTo(CODE + 0x100).hex(call ? "0f 05" : UD2).padTo(CODE + 0x200).hlt());
      assertEquals(0xffff_8000_0000_0000L, m.state().get(CpuState.LEVEL_SSP + 24));
      assertEquals(call ? -1 : 6, m.vector());
    }
  }

  @Test
  void initEndsAllOfIt() {
    try (var m = newMachine(MODEL)) {
      CpuState s = shadowed(m, 0);
      s.set(CpuState.XSS, 0x1800);
      m.cpu.init();
      m.cpu.run(0);
      for (int at = CpuState.U_CET; at <= CpuState.SSP; at += 8) {
        assertEquals(0, s.get(at), Integer.toHexString(at));
      }
      assertEquals(0x1800, s.get(CpuState.XSS));
    }
  }

  // Guests of guests: AMD64 APM volume 2, section 15.5.

  /** The guest's table is the one its interrupts look at, and what they push is in its block. */
  @Test
  void aGuestsInterruptsHaveItsTable() {
    try (var m = newMachine("max,+shstk,+ibt")) {
      var guest = new NestedGuest(m);
      m.page(PAGE, PAGE, P | D);
      m.page(IST_TOKEN & -4096, IST_TOKEN & -4096, P | D);
      m.memory.writeLong(IST_TOKEN, IST_TOKEN);
      m.memory.writeLong(TABLE + 8, IST_TOKEN);
      m.gate64(0x40, CODE64, CODE + 0x200, 0x8e, 1);
      m.state().set(CpuState.CR4, CR4_LONG | CET);
      m.state().set(CpuState.SSP, 0x1230);
      guest.set(NestedGuest.CR4, CR4_LONG | CET);
      guest.set(0x5e0, 1);
      guest.set(0x5e8, TOKEN);
      guest.set(0x5f0, TABLE);
      guest.code(guest.assembler().interrupt(0x40));
      m.memory.write(CODE + 0x200, new Assembler(64, CODE + 0x200).hex(NestedGuest.CALL).toBytes());
      assertEquals(NestedGuest.VMMCALL, guest.run());
      assertEquals(IST_TOKEN - 24, guest.get(0x5e8));
      assertEquals(TOKEN, m.memory.readLong(IST_TOKEN - 24));
      assertEquals(IST_TOKEN | 1, m.memory.readLong(IST_TOKEN));
      assertEquals(0x1230, ssp(m));
    }
  }

  @ParameterizedTest
  @CsvSource({"1, true", "4, false", "0, false"})
  void aGuestsUserCodeThatIsWatchedIsNotVirtual(long control, boolean refused) {
    try (var m = newMachine("max,+shstk,+ibt")) {
      var guest = new NestedGuest(m);
      guest.code(guest.assembler().hex(NestedGuest.CALL));
      m.state().set(CpuState.U_CET, control);
      guest.set(NestedGuest.CR4, CR4_LONG | CET);
      guest.set(NestedGuest.RFLAGS, 1 << 17 | 2);
      long exit = guest.run();
      assertEquals(refused, exit == -1);
    }
  }
}
