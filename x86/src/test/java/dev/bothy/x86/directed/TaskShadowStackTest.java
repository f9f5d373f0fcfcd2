package dev.bothy.x86.directed;

import static dev.bothy.x86.directed.LegacyShadowStackTest.*;
import static dev.bothy.x86.directed.TestMachine.*;
import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.bothy.core.cpu.CpuState;
import dev.bothy.x86.assemble.Assembler;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Shadow stacks of hardware tasks: Intel SDM volume 1, section 18.2; volume 3, section 8.3. */
@Timeout(900)
class TaskShadowStackTest extends EngineTest {
  private static final int VM = 1 << 17;
  private static final int OTHER = FREE;
  private static final long OTHER_TSS = DATA;
  private static final long OTHER_STACK = DATA + 0x2000;
  private static final long OTHER_CODE = DATA + 0x3000;
  private static final long OTHER_PAGE = DATA + 0xc000;
  private static final long OTHER_TOKEN = OTHER_PAGE + 0xff8;

  /** The first task is at {@code cpl}, the other one at level 0, where it halts. */
  private static CpuState tasks(TestMachine m, int cpl) {
    CpuState s = shadowed(m, cpl);
    page(m, OTHER_PAGE, P | D);
    m.memory.writeLong(OTHER_TOKEN, OTHER_TOKEN);
    m.descriptor(OTHER, OTHER_TSS, 0x6b, 0x89 | cpl << 5);
    m.memory.writeInt(OTHER_TSS + 0x1c, (int) DIRECTORY);
    m.memory.writeInt(OTHER_TSS + 0x20, (int) OTHER_CODE);
    m.memory.writeInt(OTHER_TSS + 0x24, 2);
    m.memory.writeInt(OTHER_TSS + 0x38, (int) OTHER_STACK);
    for (int i = 0; i < 6; i++) {
      m.memory.writeInt(OTHER_TSS + 0x48 + 4 * i, i == 1 ? CODE32 : FLAT);
    }
    m.memory.writeInt(OTHER_TSS + 0x68, (int) OTHER_TOKEN);
    m.memory.writeInt(TSS + 0x1c, (int) DIRECTORY);
    m.memory.writeByte(OTHER_CODE, 0xf4);
    return s;
  }

  private static void other(TestMachine m, String code) {
    m.memory.write(OTHER_CODE, new Assembler(32, OTHER_CODE).hex(code).toBytes());
  }

  @Test
  void aJumpTakesTheStackOfTheTss() {
    try (var m = newMachine(ShadowStackTest.MODEL)) {
      tasks(m, 0);
      run(m, a -> a.nop().jmpFar(OTHER, 0));
      assertEquals(OTHER_CODE + 1, m.rip());
      assertEquals(OTHER_TOKEN, ssp(m));
      assertEquals(OTHER_TOKEN | 1, m.memory.readLong(OTHER_TOKEN));
      assertEquals(0, m.memory.readLong(OTHER_TOKEN - 8), "no frame");
      assertEquals(TOKEN | 1, m.memory.readLong(TOKEN), "the old task's stays busy");
      assertEquals(-1, m.memory.readInt(TSS + 0x68), "SSP is not written to a TSS");
    }
  }

  @Test
  void aCallPushesAFrameThatIretTakes() {
    try (var m = newMachine(ShadowStackTest.MODEL)) {
      tasks(m, 0);
      other(m, RDSSP_ECX + "cf"); // iret
      run(m, a -> a.call("f").hex(UD2).label("f").callFar(OTHER, 0).hex(RDSSP_ECX).hlt());
      assertEquals(TASK, m.selector(CpuState.TR));
      assertEquals(TOKEN - 4, m.gpr(RCX));
      assertEquals(OTHER_TOKEN - 24, m.memory.readInt(OTHER_TSS + 0x2c));
      assertEquals(TOKEN - 4, m.memory.readLong(OTHER_TOKEN - 24));
      assertEquals(CODE + 7 + 7, m.memory.readLong(OTHER_TOKEN - 16));
      assertEquals(CODE32, m.memory.readLong(OTHER_TOKEN - 8));
      assertEquals(OTHER_TOKEN, m.memory.readLong(OTHER_TOKEN), "free again");
      assertEquals(TOKEN | 1, m.memory.readLong(TOKEN));
    }
  }

  @Test
  void userCodeKeepsItsPointerWhileATaskOfTheSupervisorRuns() {
    try (var m = newMachine(ShadowStackTest.MODEL)) {
      tasks(m, 3);
      m.gate32(0x30, OTHER, 0, 0xe5);
      other(m, RDSSP_ECX + "cf");
      run(m, a -> a.call("f").hex(UD2).label("f").interrupt(0x30).hex(RDSSP_ECX).hex(UD2));
      assertEquals(6, m.vector());
      assertEquals(USER_TOP - 4, m.gpr(RCX));
      assertEquals(OTHER_TOKEN, m.memory.readInt(OTHER_TSS + 0x2c), "SSP in the other task");
      assertEquals(0, m.memory.readLong(OTHER_TOKEN - 8), "no frame");
      assertEquals(OTHER_TOKEN, m.memory.readLong(OTHER_TOKEN));
    }
  }

  @Test
  void aTaskOfUserCodeHasATokenToo() {
    try (var m = newMachine(ShadowStackTest.MODEL)) {
      tasks(m, 0);
      page(m, OTHER_PAGE, P | U | D);
      for (int i = 0; i < 6; i++) {
        m.memory.writeInt(OTHER_TSS + 0x48 + 4 * i, i == 1 ? USER_CODE32 : USER_FLAT);
      }
      other(m, RDSSP_ECX + "cf");
      run(m, a -> a.callFar(OTHER, 0).hex(RDSSP_ECX).hlt());
      assertEquals(TASK, m.selector(CpuState.TR));
      assertEquals(TOKEN, m.gpr(RCX));
      assertEquals(OTHER_TOKEN - 24, m.memory.readInt(OTHER_TSS + 0x2c));
      assertEquals(OTHER_TOKEN, m.memory.readLong(OTHER_TOKEN), "free again");
    }
  }

  @Test
  void aReturnToAnotherPlaceIsRefused() {
    try (var m = newMachine(ShadowStackTest.MODEL)) {
      tasks(m, 0);
      // Whoever looks at #CP has a task of its own: SSP is 0 where it comes.
      m.gate32(21, OTHER, 0, 0x85);
      m.memory.writeInt(OTHER_TSS + 0x28, (int) TSS + 0x20);
      other(m, "ff 00 cf f4"); // inc dword [eax], iret, hlt
      run(m, a -> a.callFar(OTHER, 0).hex(UD2));
      assertEquals(OTHER, m.selector(CpuState.TR));
      assertEquals(OTHER_CODE + 4, m.rip());
      assertEquals(2, m.stack(4, 0), "#CP(FAR-RET)");
      assertEquals(CODE + 7 + 1, m.memory.readInt(TSS + 0x20), "before its first instruction");
      assertEquals(0, m.memory.readLong(OTHER_TOKEN - 24));
    }
  }

  /** The supervisor's stack cannot be used; a double fault has a task with another one. */
  @ParameterizedTest
  @CsvSource({
    // what is there beyond the token, what PL0_SSP is beyond its address
    "1, 0",
    "0, 0x100000000"
  })
  void aDoubleFaultMayHaveATask(long token, String pointer) {
    try (var m = newMachine(ShadowStackTest.MODEL)) {
      tasks(m, 3).set(CpuState.LEVEL_SSP, TOKEN | Long.decode(pointer));
      m.gate32(8, OTHER, 0, 0x85);
      m.memory.writeLong(TOKEN, TOKEN | token);
      run(m, a -> a.call("f").hex(UD2).label("f").interrupt(0x40));
      assertEquals(OTHER, m.selector(CpuState.TR));
      assertEquals(OTHER_TOKEN, ssp(m));
      assertEquals(USER_TOP - 4, m.state().get(CpuState.LEVEL_SSP + 24));
      assertEquals(0, m.stack(4, 0));
      assertEquals(CODE + 7, m.memory.readInt(TSS + 0x20));
    }
  }

  @ParameterizedTest
  @CsvSource({
    // attributes and limit of the TSS's descriptor, whether anything is enforced
    "0x89, 0x6a, true",
    "0x89, 0x67, true",
    "0x81, 0x6b, true",
    "0x89, 0x67, false"
  })
  void theTssMustHaveIt(String attributes, String limit, boolean enforced) {
    try (var m = newMachine(ShadowStackTest.MODEL)) {
      CpuState s = tasks(m, 0);
      s.set(CpuState.CR4, s.get(CpuState.CR4) & (enforced ? -1 : ~ShadowStackTest.CET));
      m.descriptor(OTHER, OTHER_TSS, Integer.decode(limit), Integer.decode(attributes));
      run(m, a -> a.jmpFar(OTHER, 0));
      assertEquals(enforced ? TASK : OTHER, m.selector(CpuState.TR));
      if (enforced) {
        assertEquals(10, m.vector());
        assertEquals(OTHER, m.stack(4, 0));
        assertEquals(CODE, m.stack(4, 1));
      }
    }
  }

  @ParameterizedTest
  @CsvSource({
    // SSP of the TSS, what is there beyond itself, flags, vector, error code
    "0xff4, 0, 2, 10, 0x68",
    "0xff8, 1, 2, 13, 0",
    "0xff8, 2, 2, 13, 0",
    "0xff0, 0, 2, 13, 0", // the frame would not be in the same 32 bytes
    "0xff8, 0, 0x20002, 10, 0x68"
  })
  void whatIsWrongIsAFaultOfTheNewTask(
      String place, long more, String flags, int vector, String code) {
    try (var m = newMachine(ShadowStackTest.MODEL)) {
      tasks(m, 0);
      long at = OTHER_PAGE + Long.decode(place);
      m.memory.writeLong(at, at + more);
      m.memory.writeInt(OTHER_TSS + 0x68, (int) at);
      m.memory.writeInt(OTHER_TSS + 0x24, Integer.decode(flags));
      if ((Integer.decode(flags) & VM) != 0) {
        m.memory.writeInt(OTHER_TSS + 0x20, 0x100);
        // Its handler comes from level 3.
        m.memory.writeLong(TOKEN, TOKEN);
        m.memory.writeInt(OTHER_TSS + 4, (int) KERNEL_STACK);
        m.memory.writeInt(OTHER_TSS + 8, FLAT);
      }
      run(m, a -> a.jmpFar(OTHER, 0));
      assertEquals(OTHER, m.selector(CpuState.TR));
      assertEquals(vector, m.vector());
      assertEquals(Integer.decode(code), (int) m.stack(4, 0));
      assertEquals(at + more, m.memory.readLong(at));
    }
  }

  @ParameterizedTest
  @CsvSource({"f3 0f 1e fb f4, 5", "f4, -1", "90 f4, -1"})
  void newTasksBeginAtATarget(String code, int ends) {
    try (var m = newMachine(ShadowStackTest.MODEL)) {
      tasks(m, 0).set(CpuState.S_CET, 5);
      other(m, code);
      // Handlers begin with ENDBR32 as well.
      m.gate32(21, CODE32, CODE + 0x200, 0x8e);
      run(m, a -> a.callFar(OTHER, 0).padTo(CODE + 0x200).hex("f3 0f 1e fb f4"));
      assertEquals(ends < 0 ? CODE + 0x205 : OTHER_CODE + ends, m.rip());
      if (ends < 0) {
        assertEquals(3, m.stack(4, 0));
        assertEquals(OTHER_CODE, m.stack(4, 1));
      }
    }
  }

  @Test
  void returnsAreNotTracked() {
    try (var m = newMachine(ShadowStackTest.MODEL)) {
      tasks(m, 0).set(CpuState.S_CET, 5);
      other(m, "f3 0f 1e fb cf");
      run(m, a -> a.callFar(OTHER, 0).hlt());
      assertEquals(TASK, m.selector(CpuState.TR));
      assertEquals(CODE + 8, m.rip());
    }
  }
}
