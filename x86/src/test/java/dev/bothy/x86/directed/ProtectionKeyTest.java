package dev.bothy.x86.directed;

import static dev.bothy.x86.directed.TestMachine.*;
import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.bothy.core.cpu.CpuState;
import dev.bothy.x86.assemble.Assembler;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class ProtectionKeyTest extends EngineTest {
  private static final String MODEL = "v2,+pku,+pks";
  private static final long PAGE = DATA + 0x5000;
  private static final long KEY = 3L << 59;
  private static final int NO_ACCESS = 1 << 6;
  private static final int NO_WRITING = 1 << 7;
  private static final long PKE = 1 << 22;
  private static final long PKS = 1 << 24;
  private static final long WP = 1 << 16;
  private static final String WRPKRU = "0f 01 ef";
  private static final String RDPKRU = "0f 01 ee";
  private static final int PKRS_MSR = 0x6e1;

  @ParameterizedTest
  @CsvSource({
    // CPL, access, page bits, register that forbids, what it forbids, CR0.WP, error code or -1
    "3, r, 7, user, access, wp, 0x25",
    "3, w, 7, user, access, wp, 0x27",
    "3, r, 7, user, writing, wp, -1",
    "3, w, 7, user, writing, wp, 0x27",
    "3, w, 7, user, writing, -, 0x27",
    "3, w, 5, user, writing, wp, 0x27",
    "3, w, 5, user, nothing, wp, 7",
    "3, x, 7, user, access, wp, -1",
    "3, r, 7, supervisor, access, wp, -1",
    "0, r, 7, user, access, wp, 0x21",
    "0, w, 7, user, writing, wp, 0x23",
    "0, w, 7, user, writing, -, -1",
    "0, w, 7, user, access, -, 0x23",
    "0, x, 7, user, access, wp, -1",
    "0, r, 3, user, access, wp, -1",
    "0, r, 3, supervisor, access, wp, 0x21",
    "0, w, 3, supervisor, writing, wp, 0x23",
    "0, w, 3, supervisor, writing, -, -1",
    "0, r, 3, supervisor, writing, wp, -1",
    "0, x, 3, supervisor, access, wp, -1",
    "0, r, 7, supervisor, access, wp, -1",
    "0, r, 6, user, access, wp, 0"
  })
  void keysForbidDataAccesses(
      int cpl, char kind, long bits, String whose, String what, String protect, String error) {
    try (var m = newMachine(MODEL)) {
      CpuState s = m.long64(cpl);
      m.page(PAGE, PAGE, bits | KEY);
      s.set(CpuState.CR4, CR4_LONG | PKE | PKS);
      s.set(CpuState.CR0, protect.equals("wp") ? CR0_PAGING : CR0_PAGING & ~WP);
      int rights = what.equals("access") ? NO_ACCESS : what.equals("writing") ? NO_WRITING : 0;
      s.setInt32(whose.equals("user") ? CpuState.PKRU : CpuState.PKRS, rights);
      s.setGpr(RBX, PAGE);
      m.memory.writeShort(PAGE, 0x0b0f); // ud2: what a jump there finds
      String access = kind == 'r' ? "48 8b 03" : kind == 'w' ? "48 89 03" : "ff e3";
      m.code(64, m.assembler(64).nop().hex(access).hex("0f 0b"));
      m.run();
      int expected = Integer.decode(error);
      assertEquals(expected < 0 ? 6 : 14, m.vector());
      if (expected >= 0) {
        assertEquals(expected, m.stack(8, 0));
        assertEquals(PAGE, m.state().get(CpuState.CR2));
      }
    }
  }

  /** The page has been read, written and fetched from before: nothing of that counts any more. */
  @ParameterizedTest
  @CsvSource({"0x40, 48 8b 03, 5", "0x80, 48 89 03, 7"})
  void whatTheRegisterSaysHoldsAtOnce(String rights, String access, int error) {
    try (var m = newMachine(MODEL)) {
      CpuState s = m.long64(3);
      m.page(PAGE, PAGE, P | W | U | KEY);
      s.set(CpuState.CR4, CR4_LONG | PKE);
      s.setGpr(RBX, PAGE);
      s.setGpr(RCX, 0);
      s.setGpr(RDX, 0);
      m.code(
          64,
          m.assembler(64)
              .mov(RSI, 100)
              .label("loop")
              .hex("48 8b 03 48 89 03")
              .mov(RAX, 0)
              .hex(WRPKRU)
              .dec(RSI)
              .jnz("loop")
              .mov(RAX, Integer.decode(rights))
              .hex(WRPKRU)
              .mov(RAX, 0)
              .hex(RDPKRU)
              .mov(RSI, 1234)
              .hex(access)
              .hex("0f 0b"));
      m.run();
      assertEquals(14, m.vector());
      assertEquals(0x20 | error, m.stack(8, 0));
      assertEquals((long) Integer.decode(rights), m.gpr(RAX), "as read back");
      assertEquals(1234, m.gpr(RSI));
    }
  }

  /** Rights for keys come and go while pages with them are in the TLB, or not yet. */
  @ParameterizedTest
  @CsvSource({
    // PKRU in the end, the page's key, access, vector
    "0x40, 3, 48 8b 03, 14",
    "0x80, 3, 48 8b 03, 6",
    "0x80, 3, 48 89 03, 14",
    "0x100, 3, 48 89 03, 6",
    "0x1, 0, 48 8b 03, 14",
    "0x2, 0, 48 89 03, 14",
    "-0x40000000, 15, 48 8b 03, 14"
  })
  void rightsHoldFromTheWriteOn(String rights, int key, String access, int vector) {
    likeTheInterpreter(
        access,
        MODEL,
        m -> {
          CpuState s = m.long64(3);
          m.page(PAGE, PAGE, P | W | U | A | D | (long) key << 59);
          // What the test needs itself has another key than 0.
          for (int i = 0; i < 8; i++) {
            long entry = m.memory.readLong(PD + 8 * i);
            m.memory.writeLong(PD + 8 * i, (entry & LARGE) != 0 ? entry | 1L << 59 : entry);
          }
          s.set(CpuState.CR4, CR4_LONG | PKE);
          s.setGpr(RBX, PAGE);
          s.setGpr(RCX, 0);
          s.setGpr(RDX, 0);
          Assembler a = m.assembler(64).jmp("start").label("rounds").mov(15, 40).label("round");
          a.hex(access).hex("f7 d0 25 00 c0 00 00").hex(WRPKRU); // not eax; and eax, 3 << 14
          a.dec(15).jnz("round").ret().label("start").call("rounds");
          a.mov(RAX, Integer.decode(rights)).hex(WRPKRU).mov(RAX, 0).hex(RDPKRU);
          m.code(64, a.movRegister(RSI, RAX).hex(access).hex("0f 0b"));
          m.run();
        },
        m -> {
          assertEquals(vector, m.vector());
          assertEquals(Integer.decode(rights) & 0xffff_ffffL, m.gpr(RSI));
        });
  }

  @ParameterizedTest
  @CsvSource({
    // model, CR4, RCX, RDX, code, vector
    "v2, 0, 0, 0, 0f 01 ee, 6",
    "v2+, 0, 0, 0, 0f 01 ee, 6",
    "v2+, pke, 1, 0, 0f 01 ee, 13",
    "v2+, pke, 0, 1, 0f 01 ef, 13",
    "v2+, pke, 0, 1, 0f 01 ee, 3"
  })
  void theInstructionsCheckTheirOperands(
      String model, String control, long rcx, long rdx, String code, int vector) {
    try (var m = newMachine(model.equals("v2") ? "v2" : MODEL)) {
      CpuState s = m.long64(3);
      s.set(CpuState.CR4, CR4_LONG | (control.equals("pke") ? PKE : 0));
      s.setGpr(RCX, rcx);
      s.setGpr(RDX, rdx);
      m.code(64, m.assembler(64).hex(code).hex("cc"));
      m.run();
      assertEquals(vector, m.vector());
    }
  }

  @Test
  void processorsWithoutKeysHaveNeitherTheBitsNorTheRegister() {
    for (String code : new String[] {"0f 22 e0", "0f 32", "0f 30"}) {
      try (var m = newMachine("v2")) {
        CpuState s = m.long64(0);
        s.setGpr(RAX, code.equals("0f 22 e0") ? CR4_LONG | PKS : 0);
        s.setGpr(RCX, PKRS_MSR);
        m.code(64, m.assembler(64).hex(code).hex("cc"));
        m.run();
        assertEquals(13, m.vector(), code);
      }
    }
  }

  @Test
  void cpuidTellsThatTheSystemUsesKeys() {
    try (var m = newMachine(MODEL)) {
      CpuState s = m.long64(0);
      s.setGpr(RSI, CR4_LONG | PKE);
      m.code(
          64,
          m.assembler(64)
              .mov(RAX, 7)
              .mov(RCX, 0)
              .hex("0f a2 89 cf")
              .hex("0f 22 e6") // mov cr4, rsi
              .mov(RAX, 7)
              .mov(RCX, 0)
              .hex("0f a2")
              .hlt());
      m.run();
      assertEquals(1 << 3, m.gpr(RDI) & 3 << 3);
      assertEquals(3 << 3, m.gpr(RCX) & 3 << 3);
    }
  }

  private static final long AREA = DATA + 0x8000;

  @ParameterizedTest
  @CsvSource({
    // XCR0, XSAVE, where PKRU is, its bit in XCOMP_BV
    "0x207, 0f ae 23, 832, 0", // xsave [rbx]
    "0x207, 0f ae 33, 832, 0", // xsaveopt
    "0x207, 0f c7 23, 832, 1", // xsavec
    "0x203, 0f c7 23, 576, 1"
  })
  void thePkruRegisterIsAnExtendedState(String xcr0, String save, int offset, int compacted) {
    try (var m = newMachine("v3,+pku")) {
      CpuState s = m.long64(0);
      s.set(CpuState.CR4, CR4_LONG | PKE | 1 << 18);
      s.setGpr(RBX, AREA);
      s.setGpr(RCX, 0);
      s.setGpr(RAX, Long.decode(xcr0));
      s.setInt32(CpuState.PKRU, NO_WRITING);
      m.code(
          64,
          m.assembler(64)
              .hex("31 d2 0f 01 d1") // xsetbv
              .hex(save)
              .hex("bf 00 00 00 00 87 f8") // xchg edi, eax
              .hex(WRPKRU)
              .hex("87 f8 0f ae 2b") // xrstor
              .hlt());
      m.run();
      assertEquals(-1, m.vector());
      assertEquals(NO_WRITING, s.getInt32(CpuState.PKRU));
      assertEquals(NO_WRITING, m.memory.readLong(AREA + offset));
      assertEquals(0x200, m.memory.readLong(AREA + 512) & 0x200);
      assertEquals(compacted, m.memory.readLong(AREA + 520) >>> 9 & 1);
    }
  }

  @Test
  void whatIsNotInTheAreaIsInitialized() {
    try (var m = newMachine("v3,+pku")) {
      CpuState s = m.long64(0);
      s.set(CpuState.CR4, CR4_LONG | PKE | 1 << 18);
      s.set(CpuState.XCR0, 0x207);
      s.setInt32(CpuState.PKRU, NO_ACCESS);
      s.setGpr(RBX, AREA);
      s.setGpr(RAX, 0x200);
      s.setGpr(RDX, 0);
      m.code(64, m.assembler(64).hex("0f ae 2b").hlt());
      m.run();
      assertEquals(-1, m.vector());
      assertEquals(0, s.getInt32(CpuState.PKRU));
    }
  }

  @Test
  void theProcessorTellsOfIt() {
    try (var m = newMachine("v3,+pku")) {
      CpuState s = m.long64(0);
      s.set(CpuState.CR4, CR4_LONG | 1 << 18);
      s.set(CpuState.XCR0, 0x207);
      m.code(
          64,
          m.assembler(64)
              .hex("b8 0d 00 00 00 31 c9 0f a2 89 c6 89 df") // size enabled, components
              .hex("b8 0d 00 00 00 b9 09 00 00 00 0f a2")
              .hlt());
      m.run();
      assertEquals(0x207, m.gpr(RSI));
      assertEquals(840, m.gpr(RDI));
      assertEquals(8, m.gpr(RAX));
      assertEquals(832, m.gpr(RBX));
    }
    try (var m = newMachine("v3")) {
      CpuState s = m.long64(0);
      s.set(CpuState.CR4, CR4_LONG | 1 << 18);
      s.setGpr(RAX, 0x203);
      s.setGpr(RCX, 0);
      s.setGpr(RDX, 0);
      m.code(64, m.assembler(64).hex("0f 01 d1").hlt());
      m.run();
      assertEquals(13, m.vector());
    }
  }
}
