package dev.bothy.x86.directed;

import static dev.bothy.x86.directed.TestMachine.*;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.bothy.core.cpu.CpuState;
import dev.bothy.x86.EngineUnderTest;
import dev.bothy.x86.assemble.Assembler;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Linear addresses of 57 bits: AMD64 APM volume 2, section 5.3. */
class FiveLevelPagingTest extends EngineTest {
  private static final String MODEL = "v2,+la57";
  private static final long LA57 = 1 << 12;
  private static final long PML5 = 0x2_7000;

  /** The memory that is at 0 is here, too, as it is at the highest addresses. */
  private static final long HIGH = 5L << 48;

  private static final int PF = 14;
  private static final int GP = 13;

  private static CpuState fiveLevels(TestMachine m) {
    return fiveLevels(m, 0);
  }

  private static CpuState fiveLevels(TestMachine m, int cpl) {
    CpuState s = m.long64(cpl);
    m.memory.writeLong(PML5, PML4 | P | W | U);
    m.memory.writeLong(PML5 + 8 * 5, PML4 | P | W | U);
    m.memory.writeLong(PML5 + 8 * 511, PML4 | P | W | U);
    s.set(CpuState.CR4, CR4_LONG | LA57);
    s.set(CpuState.CR3, PML5);
    return s;
  }

  @Test
  void dataAndCodeAreFoundByFiveLevels() {
    try (var m = newMachine(MODEL)) {
      CpuState s = fiveLevels(m);
      m.memory.writeLong(DATA + 8, 0x1234_5678_9abcL);
      s.setGpr(RBX, HIGH + DATA);
      s.setGpr(RCX, HIGH + CODE + 0x100);
      m.code(64, m.assembler(64).hex("48 8b 43 08 ff e1")); // mov rax, [rbx + 8]; jmp rcx
      m.memory.write(CODE + 0x100, m.assembler(64).hex("48 89 43 10").hlt().toBytes());
      m.run();
      assertEquals(-1, m.vector());
      assertEquals(HIGH + CODE + 0x105, m.rip());
      assertEquals(0x1234_5678_9abcL, m.memory.readLong(DATA + 16));
      assertEquals(A, m.memory.readLong(PML5 + 8 * 5) & A, "accessed");
    }
  }

  @Test
  void theHighestAddressesAreTheOtherHalf() {
    try (var m = newMachine(MODEL)) {
      CpuState s = fiveLevels(m);
      m.memory.writeInt(DATA, 77);
      s.setGpr(RBX, 511L << 48 | DATA);
      s.setGpr(RBX, s.gpr(RBX) << 7 >> 7);
      m.code(64, m.assembler(64).hex("8b 03").hlt());
      m.run();
      assertEquals(77, m.gpr(RAX));
    }
  }

  @Test
  void whatHasNoEntryFaults() {
    try (var m = newMachine(MODEL)) {
      CpuState s = fiveLevels(m);
      s.setGpr(RBX, 6L << 48 | DATA);
      m.code(64, m.assembler(64).nop().hex("8b 03").hlt());
      m.run();
      assertEquals(PF, m.vector());
      assertEquals(6L << 48 | DATA, s.get(CpuState.CR2));
      assertEquals(CODE + 1, m.stack(8, 1));
    }
  }

  @Test
  void controlBlocksOfGuestsHaveSuchAddressesToo() {
    try (var m = newMachine("v2,+la57,+svm")) {
      CpuState s = fiveLevels(m);
      s.set(CpuState.EFER, s.get(CpuState.EFER) | 1 << 12); // SVME
      s.setGpr(RAX, DATA);
      m.memory.writeLong(DATA + 0x448, HIGH); // FS' base
      m.memory.writeLong(DATA + 0x620, HIGH | DATA); // KernelGSBase
      m.code(64, m.assembler(64).hex("0f 01 da").hlt()); // vmload
      m.run();
      assertEquals(-1, m.vector());
      assertEquals(HIGH, s.get(CpuState.segment(CpuState.FS, CpuState.SEGMENT_BASE)));
      assertEquals(HIGH | DATA, s.get(CpuState.KERNEL_GS_BASE));
    }
  }

  @Test
  void addressesOf58BitsAreNotCanonical() {
    try (var m = newMachine(MODEL)) {
      CpuState s = fiveLevels(m);
      s.setGpr(RBX, 1L << 56);
      m.code(64, m.assembler(64).nop().hex("8b 03").hlt());
      m.run();
      assertEquals(GP, m.vector());
    }
    try (var m = newMachine(MODEL)) {
      CpuState s = m.long64(0); // four levels
      s.setGpr(RBX, HIGH);
      m.code(64, m.assembler(64).nop().hex("8b 03").hlt());
      m.run();
      assertEquals(GP, m.vector());
    }
  }

  @Test
  void theLevelsDoNotChangeInLongMode() {
    try (var m = newMachine(MODEL)) {
      m.long64(0);
      m.code(64, m.assembler(64).mov(RAX, CR4_LONG | LA57).movToControl(4, RAX).hlt());
      m.run();
      assertEquals(GP, m.vector());
    }
  }

  @Test
  void registersTake57BitsWhereTheProcessorHasThem() {
    try (var m = newMachine(MODEL)) {
      m.long64(0);
      m.code(64, m.assembler(64).wrmsr(0xc000_0082, HIGH).hlt());
      m.run();
      assertEquals(-1, m.vector());
      assertEquals(HIGH, m.state().get(CpuState.LSTAR));
    }
    try (var m = newMachine("v2")) {
      m.long64(0);
      m.code(64, m.assembler(64).wrmsr(0xc000_0082, HIGH).hlt());
      m.run();
      assertEquals(GP, m.vector());
    }
  }

  /** Pages of which each takes the other's place in the TLB, {@code apart} from each other. */
  private static long[] rivals(TestMachine m) {
    // As far as addresses whose lowest 25 bits are the same.
    long second = HIGH + DATA + (1L << 25);
    m.memory.writeLong(PD + 8 * (second >>> 21 & 511), DATA_PT | P | W | U);
    return new long[] {HIGH + DATA, second};
  }

  @ParameterizedTest
  @ValueSource(ints = {0, 3})
  void generatedCodeWalksFiveLevelsByItself(int cpl) {
    try (var m = newMachine(MODEL)) {
      int turns = 400;
      CpuState s = fiveLevels(m, cpl);
      long[] pages = rivals(m);
      m.memory.writeLong(DATA, 3);
      s.setGpr(RBX, pages[0]);
      s.setGpr(RDI, pages[1]);
      Assembler a = m.assembler(64).mov(15, turns).label("turn").load(RAX, RBX, 0);
      a.load(RCX, RDI, 0).hex("48 01 c6 48 01 ce"); // add rsi, rax; add rsi, rcx
      m.code(64, a.dec(15).jnz("turn").hex("0f 0b"));
      m.run();
      assertEquals(6, m.vector());
      assertEquals(6L * turns, m.gpr(RSI));
      var counters = m.cpu.counters();
      if (engine != EngineUnderTest.INTERPRETER) {
        // The first turns are the interpreter's.
        assertTrue(counters.get("tlbFills") > turns, counters::toString);
        assertTrue(counters.get("left.TLB miss of a read") < turns / 4, counters::toString);
      }
    }
  }

  @ParameterizedTest
  @CsvSource({
    // the entry of the fifth level from half-way on, vector
    "0000000000000027, 6",
    "0000000000000007, 6",
    "0000000000000127, 6", // that bit means nothing here
    "0000000000000026, 14",
    "0000000000000025, 14",
    "00000000000000a7, 14",
    "0004000000000027, 14",
    "8000000000000027, 6" // data only
  })
  void theFifthLevelIsJudgedEachTime(String entry, int vector) {
    likeTheInterpreter(
        entry,
        MODEL,
        m -> {
          CpuState s = fiveLevels(m, 0);
          long[] pages = rivals(m);
          s.setGpr(RBX, pages[0]);
          s.setGpr(RDI, pages[1]);
          Assembler a = m.assembler(64).jmp("start").label("rounds").mov(15, 40).label("round");
          a.hex("48 01 33 48 01 37").inc(RSI).dec(15).jnz("round").ret(); // add [rbx], rsi; [rdi]
          a.label("start").call("rounds").mov(RDX, PML5 + 8 * 5);
          a.mov(RCX, PML4 | Long.parseUnsignedLong(entry, 16)).store(RDX, 0, RCX);
          a.mov(RCX, PML5).movToControl(3, RCX);
          m.code(64, a.call("rounds").hex("0f 0b"));
          m.run();
        },
        m -> assertEquals(vector, m.vector()));
  }

  /** Addresses of 48 bits and of 57 that differ in what tells address spaces apart. */
  @Test
  void codeAtFarAddressesIsNoOtherAddressSpaces() {
    likeTheInterpreter(
        "code",
        MODEL,
        m -> {
          CpuState s = fiveLevels(m, 0);
          // There, the first pages are others.
          long others = 0x60_0000;
          m.memory.writeLong(0x2_8000, 0x2_9000 | P | W | U);
          m.memory.writeLong(0x2_9000, 0x2_a000 | P | W | U);
          m.memory.writeLong(0x2_a000, others | P | W | U | LARGE);
          for (int i = 1; i < 64; i++) {
            m.memory.writeLong(PML5 + 8 * i, 0x2_8000 | P | W | U);
          }
          m.memory.write(others + CODE + 0x800, m.assembler(64).inc(RSI).ret().toBytes());
          s.setGpr(RBX, CODE + 0x800);
          s.setGpr(RBP, 1L << 48);
          s.setGpr(RDX, PML5);
          // lea rax, [rip]; add rsi, rax; ret
          m.memory.write(
              CODE + 0x800, m.assembler(64).hex("48 8d 05 00 00 00 00 48 01 c6").ret().toBytes());
          Assembler a = m.assembler(64).mov(15, 40).label("space").movRegister(RDI, RBX);
          a.mov(RCX, 64).label("call").hex("ff d7").addRegister(RDI, RBP).dec(RCX).jnz("call");
          a.hex("48 c1 c6 03").movToControl(3, RDX); // rol rsi, 3
          m.code(64, a.dec(15).jnz("space").hex("0f 0b"));
          m.run();
        },
        m -> assertEquals(6, m.vector()));
  }

  /** As a kernel has what belongs to a processor. */
  @Test
  void basesAndOffsetsOf57BitsAreGeneratedCodesToo() {
    try (var m = newMachine(MODEL)) {
      int turns = 400;
      CpuState s = fiveLevels(m, 0);
      s.set(CpuState.CR4, s.get(CpuState.CR4) | 1 << 16); // FSGSBASE
      m.memory.writeLong(DATA + 8, 3);
      s.setGpr(RBX, HIGH);
      s.setGpr(RCX, 8 - HIGH);
      Assembler a = m.assembler(64).mov(RDX, DATA).mov(15, turns).label("turn");
      a.hex("48 8d 04 13 f3 48 0f ae d8"); // lea rax, [rbx + rdx]; wrgsbase rax
      a.hex("65 48 03 31"); // add rsi, gs:[rcx]
      m.code(64, a.dec(15).jnz("turn").hex("0f 0b"));
      m.run();
      assertEquals(6, m.vector());
      assertEquals(3L * turns, m.gpr(RSI));
      if (engine != EngineUnderTest.INTERPRETER) {
        long interpreted = m.cpu.counters().getOrDefault("interpreted.ADD", 0L);
        interpreted += m.cpu.counters().getOrDefault("interpreted.WRGSBASE", 0L);
        assertTrue(interpreted < turns / 4, m.cpu.counters()::toString);
      }
    }
  }

  /** Generated code finds them, and forgets none of them by itself. */
  @Test
  void largePagesAtFarAddressesGoAsAWhole() {
    likeTheInterpreter(
        "large",
        MODEL,
        m -> {
          CpuState s = fiveLevels(m);
          long[] frames = {0x40_0000, 0x60_0000};
          for (int i = 0; i < 2; i++) {
            m.memory.writeLong(frames[i] + 0x3000, 3 + i);
          }
          // Each takes the other's place in the TLB.
          long there = 0x240_0000;
          m.memory.writeLong(PD + 8 * (frames[0] >>> 21), frames[0] | P | W | A | D | LARGE);
          m.memory.writeLong(PD + 8 * (there >>> 21), frames[0] | P | W | A | D | LARGE);
          s.setGpr(RBX, HIGH | frames[0] | 0x3000);
          s.setGpr(RDI, HIGH | there | 0x3000);
          s.setGpr(RDX, PD + 8 * (frames[0] >>> 21));
          s.setGpr(RBP, HIGH | frames[0] | 0x8000);
          s.setGpr(RAX, frames[1] | P | W | A | D | LARGE);
          Assembler a = m.assembler(64).jmp("start").label("rounds").mov(15, 40).label("round");
          a.hex("48 03 37 48 03 33").dec(15).jnz("round").ret(); // add rsi, [rdi]; add rsi, [rbx]
          a.label("start").call("rounds").mov(14, 40).label("again").store(RDX, 0, RAX);
          m.code(64, a.invlpg(RBP).call("rounds").dec(14).jnz("again").hex("0f 0b"));
          m.run();
        },
        m -> {
          assertEquals(6, m.vector());
          assertEquals(40 * 6 + 40 * 40 * 7, m.gpr(RSI));
        });
  }

  /** The last page of the lower half of 48 bits. */
  private static final long LAST = 0x7fff_ffff_f000L;

  private static final long LAST_FRAME = 0x40_0000;
  private static final long NEXT_FRAME = 0x60_0000;

  /** What comes after it is code with five levels, and with four nothing that can be jumped to. */
  @ParameterizedTest
  @CsvSource({
    // where in the page, code that goes beyond it once R15 is 0, and back by RDX until then, the
    // fewest levels
    "0x100, 4d 85 ff 48 0f 44 de ff e3, 4", // test r15, r15; cmovz rbx, rsi; jmp rbx
    "0x100, 4d 85 ff 48 0f 44 de ff d3, 4", // call rbx
    "0x100, 4d 85 ff 48 0f 44 de 53 c3, 4", // push rbx; ret
    "0xf00, 4d 85 ff 74 02 ff e2 e9 04 01 00 00, 5", // jz over jmp rdx; jmp LAST + 0x1010
    "0xf00, 4d 85 ff 74 02 ff e2 e8 04 01 00 00, 5", // call
    "0xf00, 4d 85 ff 0f 84 07 01 00 00 ff e2, 5", // jz LAST + 0x1010
    "0xff0, 4d 85 ff 74 1b ff e2, 5", // jz rel8
    "0xff7, 4d 85 ff 74 02 ff e2 90 90, 4", // falls through
    "0xff7, 4d 85 ff 74 02 ff e2 b8 11, 4" // mov eax on both pages
  })
  void codeGoesBeyond48Bits(String at, String code, int fewest) {
    for (int levels = fewest; levels <= 5; levels++) {
      boolean five = levels == 5;
      likeTheInterpreter(
          code + " with " + levels,
          MODEL,
          m -> {
            CpuState s = five ? fiveLevels(m) : m.long64(0);
            long rights = P | W | U | A;
            m.memory.writeLong(PML4 + 8 * 255, 0x2_8000 | rights);
            m.memory.writeLong(0x2_8000 + 8 * 511, 0x2_9000 | rights);
            m.memory.writeLong(0x2_9000 + 8 * 511, 0x2_a000 | rights);
            m.memory.writeLong(0x2_a000 + 8 * 511, LAST_FRAME | rights | D);
            m.memory.writeLong(PML4 + 8 * 256, 0x2_b000 | rights);
            m.memory.writeLong(0x2_b000, 0x2_c000 | rights);
            m.memory.writeLong(0x2_c000, 0x2_d000 | rights);
            m.memory.writeLong(0x2_d000, NEXT_FRAME | rights | D);
            long start = Long.decode(at);
            m.memory.write(LAST_FRAME + start, m.assembler(64).hex(code).toBytes());
            m.memory.write(NEXT_FRAME, m.assembler(64).hex("22 33 44 0f 0b").toBytes());
            m.memory.write(NEXT_FRAME + 0x10, m.assembler(64).hex("0f 0b").toBytes());
            s.setGpr(RSI, LAST + 0x1010);
            s.setGpr(RDI, LAST + start);
            Assembler a = m.assembler(64).mov(15, 60).jmp("first").label("back");
            a.mov(RSP, KERNEL_STACK).dec(15).label("first").hex("48 8d 1d ef ff ff ff");
            m.code(64, a.movRegister(RDX, RBX).hex("ff e7"));
            m.run();
          },
          m -> assertEquals(five ? 6 : GP, m.vector(), code));
    }
  }
}
