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

/** Indirect branch tracking: Intel SDM volume 1, section 18.3. */
@Timeout(900)
class BranchTrackingTest extends EngineTest {
  private static final String MODEL = ShadowStackTest.MODEL;
  private static final long CET = ShadowStackTest.CET;
  private static final String ENDBR64 = "f3 0f 1e fa";
  private static final String ENDBR32 = "f3 0f 1e fb";
  private static final String UD2 = "0f 0b";
  private static final long TRACKING = 4;
  private static final long LEGACY = 8;
  private static final long NO_TRACK = 0x10;
  private static final long KEEP = 0x20;
  private static final long SUPPRESSED = 0x400;
  private static final long WAITING = 0x800;
  private static final long MAP = DATA + 0x4000;
  private static final long TARGET = CODE + 0x100;
  private static final int ROUNDS = 300;

  /** Tracking at {@code cpl}; the target's address is in RAX and at RBX. */
  private static CpuState tracked(TestMachine m, int cpl, long control) {
    CpuState s = m.long64(cpl);
    s.set(CpuState.CR4, CR4_LONG | CET);
    s.set(cpl == 3 ? CpuState.U_CET : CpuState.S_CET, control);
    s.setGpr(RAX, TARGET);
    s.setGpr(RBX, DATA);
    m.memory.writeLong(DATA, TARGET);
    m.memory.writeInt(DATA + 8, (int) TARGET);
    m.memory.writeShort(DATA + 12, cpl == 3 ? USER_CODE64 : CODE64);
    // Every handler begins as it should.
    for (int v = 0; v < 256; v++) {
      m.gate64(v, CODE64, handler(v) - 5, 0xee, 0);
      m.memory.write(
          handler(v) - 5, new byte[] {(byte) 0xf3, 0x0f, 0x1e, (byte) 0xfa, (byte) 0xf4});
    }
    return s;
  }

  private static long handler(int vector) {
    return HANDLERS + 16 * vector + 1;
  }

  private static long control(TestMachine m, int cpl) {
    return m.state().get(cpl == 3 ? CpuState.U_CET : CpuState.S_CET);
  }

  private static void run(TestMachine m, Consumer<Assembler> code) {
    var a = m.assembler(64);
    code.accept(a);
    m.code(64, a);
    m.run();
  }

  @ParameterizedTest
  @CsvSource({
    // branch, bits of the control register, what the target begins with, vector
    "ff e0, 4, f3 0f 1e fa, 6", // jmp rax
    "ff e0, 4, 90, 21",
    "ff e0, 4, f3 0f 1e fb, 21", // endbr32
    "ff e0, 4, 0f ff, 21",
    "ff e0, 4, cc, 3",
    "ff e0, 0, 90, 6",
    "ff 23, 4, 90, 21", // jmp [rbx]
    "ff 23, 4, f3 0f 1e fa, 6",
    "ff d0, 4, 90, 21", // call rax
    "ff d0, 4, f3 0f 1e fa, 6",
    "ff 13, 4, 90, 21", // call [rbx]
    "ff 6b 08, 4, 90, 21", // far jump
    "ff 6b 08, 4, f3 0f 1e fa, 6",
    "ff 5b 08, 4, 90, 21", // far call
    "3e ff e0, 4, 90, 21",
    "3e ff e0, 0x14, 90, 6",
    "3e 48 ff e0, 0x14, 90, 6",
    "3e ff 13, 0x14, 90, 6",
    "64 3e ff e0, 0x14, 90, 21",
    "3e ff 6b 08, 0x14, 90, 21",
    "ff e0, 0x404, 90, 6", // suppressed
    "ff 6b 08, 0x404, 90, 21",
    "e9 fb 00 00 00, 4, 90, 6",
    "e8 fb 00 00 00, 4, 90, 6",
    "50 c3, 4, 90, 6" // ret
  })
  void targetsOfIndirectBranchesSayThatTheyAre(
      String branch, long control, String target, int vector) {
    for (int cpl = 0; cpl <= 3; cpl += 3) {
      try (var m = newMachine(MODEL)) {
        tracked(m, cpl, Long.decode("" + control));
        run(m, a -> a.hex(branch).padTo(TARGET).hex(target).hex(UD2));
        assertEquals(vector, m.vector(), "CPL " + cpl);
        if (vector == 21) {
          assertEquals(3, m.stack(8, 0));
          assertEquals(TARGET, m.stack(8, 1));
        }
        if (cpl == 3) {
          boolean waits = vector == 21 || vector == 3;
          assertEquals(waits ? WAITING : 0, control(m, 3) & WAITING);
        }
      }
    }
  }

  @ParameterizedTest
  @CsvSource({"0", "3"})
  void hotCodeIsTracked(int cpl) {
    try (var m = newMachine(MODEL)) {
      tracked(m, cpl, TRACKING | NO_TRACK);
      run(
          m,
          a ->
              a.mov(RSI, ROUNDS)
                  .label("loop")
                  .hex("ff d0") // call rax
                  .hex("ff 13") // call [rbx]
                  .movLabel(RDX, "plain")
                  .hex("3e ff e2") // notrack jmp rdx
                  .label("plain")
                  .movLabel(RDX, "next")
                  .hex("ff e2") // jmp rdx
                  .label("next")
                  .hex(ENDBR64)
                  .call("direct")
                  .dec(RSI)
                  .jnz("loop")
                  .movLabel(RDX, "direct")
                  .hex("ff d2") // call rdx
                  .hex(UD2)
                  .padTo(TARGET)
                  .hex(ENDBR64)
                  .inc(RDI)
                  .hex("c3")
                  .label("direct")
                  .inc(RDI)
                  .hex("c3"));
      assertEquals(21, m.vector());
      assertEquals(3, m.stack(8, 0));
      assertEquals(TARGET + 8, m.stack(8, 1));
      assertEquals(0, m.gpr(RSI));
    }
  }

  /** A target in the middle of what runs is nothing, and one on another page is found. */
  @Test
  void targetsOnOtherPages() {
    try (var m = newMachine(MODEL)) {
      tracked(m, 3, TRACKING);
      long far = CODE + 0x2000;
      m.memory.write(far, new Assembler(64, far).hex(ENDBR64).inc(RDI).hex("c3").toBytes());
      m.memory.write(far + 0x1000, new byte[] {(byte) 0xc3});
      run(
          m,
          a ->
              a.mov(RSI, ROUNDS)
                  .mov(RBX, far)
                  .mov(RDI, 0)
                  .label("loop")
                  .hex(ENDBR64)
                  .hex("ff d3") // call rbx
                  .dec(RSI)
                  .jnz("loop")
                  .mov(RBX, far + 0x1000)
                  .hex("ff d3"));
      assertEquals(21, m.vector());
      assertEquals(ROUNDS, m.gpr(RDI));
      assertEquals(far + 0x1000, m.stack(8, 1));
    }
  }

  @Test
  void compatibilityModeHasItsOwnInstruction() {
    for (String target : new String[] {ENDBR32, ENDBR64}) {
      try (var m = newMachine(MODEL)) {
        tracked(m, 3, TRACKING);
        CpuState s = m.compatibility(3);
        s.set(CpuState.CR4, CR4_LONG | CET);
        s.setGpr(RAX, TARGET);
        m.code(32, m.assembler(32).hex("ff e0").padTo(TARGET).hex(target).hex(UD2));
        m.run();
        assertEquals(target.equals(ENDBR32) ? 6 : 21, m.vector());
      }
    }
  }

  @ParameterizedTest
  @CsvSource({
    // bits of the map's byte, KEEP, vector, what is left of SUPPRESSED
    "1, 0, 6, 0x400",
    "1, 0x20, 6, 0",
    "0xfe, 0, 21, 0"
  })
  void olderCodeMayBeKnownByAMap(int bits, long keep, int vector, String suppressed) {
    try (var m = newMachine(MODEL)) {
      tracked(m, 3, TRACKING | LEGACY | keep & KEEP | MAP);
      m.memory.writeByte(MAP + (CODE >> 15), bits);
      run(m, a -> a.hex("ff e0").padTo(TARGET).nop().hex(UD2));
      assertEquals(vector, m.vector());
      assertEquals(Long.decode(suppressed), control(m, 3) & SUPPRESSED);
    }
  }

  // Ways into the kernel and back.

  @ParameterizedTest
  @CsvSource({"true", "false"})
  void systemCallsAreTracked(boolean marked) {
    try (var m = newMachine(MODEL)) {
      CpuState s = tracked(m, 3, 0);
      s.set(CpuState.S_CET, TRACKING);
      s.set(CpuState.LSTAR, TARGET);
      run(
          m,
          a ->
              a.mov(RSI, ROUNDS)
                  .label("loop")
                  .syscall()
                  .dec(RSI)
                  .jnz("loop")
                  .hex(UD2)
                  .padTo(TARGET)
                  .hex(marked ? ENDBR64 : "0f 1f 40 00")
                  .inc(RDI)
                  .sysret(true));
      assertEquals(marked ? 6 : 21, m.vector());
      assertEquals(marked ? 0 : ROUNDS, m.gpr(RSI));
    }
  }

  @Test
  void handlersAreTrackedAndUserCodeWaitsMeanwhile() {
    try (var m = newMachine(MODEL)) {
      CpuState s = tracked(m, 3, TRACKING);
      s.set(CpuState.S_CET, TRACKING);
      // Of what follows the jump the page is missing, until the handler has mended that.
      long page = DATA + 0x5000;
      m.memory.write(page, new Assembler(64, page).nop().hex(UD2).toBytes());
      m.page(page, 0, 0);
      m.gate64(14, CODE64, TARGET, 0x8e, 0);
      run(
          m,
          a ->
              a.mov(RAX, page)
                  .hex("ff e0")
                  .padTo(TARGET)
                  .hex(ENDBR64)
                  .mov(RDX, entryOf(page))
                  .mov(RCX, page | P | W | U)
                  .store(RDX, 0, RCX)
                  .add(RSP, 8)
                  .hex("48 cf"));
      assertEquals(21, m.vector());
      assertEquals(page, m.stack(8, 1));
      assertEquals(3, m.stack(8, 0));
      assertEquals(0, control(m, 0) & WAITING, "the handler of #CP begins as it should");
    }
  }

  @Test
  void handlersThatDoNotSayWhatTheyAreFault() {
    try (var m = newMachine(MODEL)) {
      tracked(m, 0, TRACKING);
      m.gate64(0x40, CODE64, TARGET, 0x8e, 0);
      run(m, a -> a.interrupt(0x40).padTo(TARGET).nop().hlt());
      assertEquals(21, m.vector());
      assertEquals(TARGET, m.stack(8, 1));
    }
  }

  @Test
  void singleStepsStopBetweenBranchAndTarget() {
    try (var m = newMachine(MODEL)) {
      CpuState s = tracked(m, 3, TRACKING);
      s.set(CpuState.RFLAGS, 2 | TF);
      run(m, a -> a.hex("ff e0").padTo(TARGET).hex(ENDBR64).hex(UD2));
      assertEquals(1, m.vector());
      assertEquals(TARGET, m.stack(8, 0));
      assertEquals(WAITING, control(m, 3) & WAITING);
    }
  }
}
