package dev.bothy.x86.directed;

import static dev.bothy.x86.directed.TestMachine.*;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.bothy.core.cpu.CpuFeature;
import dev.bothy.core.cpu.CpuState;
import dev.bothy.x86.EngineUnderTest;
import dev.bothy.x86.assemble.Assembler;
import dev.bothy.x86.translate.TranslatorEngine;
import java.util.Map;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** XSAVE and its kin in code that runs often, on random states, masks, areas and headers. */
class StateAreaTest extends EngineTest {
  private static final int CASES = 100;
  private static final long OSXSAVE = 1 << 18;
  private static final int HANDLER = 0x11_0000;

  // What a case has, from its start: two pages.
  private static final int CASE = 0x2000;
  private static final int STATE = 0;
  private static final int RESULT = 0x200;
  private static final int MASK = 0x400;
  private static final int AREA_AT = 0x408;
  private static final int PKRU = 0x420;
  private static final int PKRU_RESULT = 0x428;
  private static final int UPPER = 0x500;
  private static final int UPPER_RESULT = 0x600;
  private static final int AREA = 0x800;

  /** Registers whose upper halves are looked at. */
  private static final int UPPERS = 4;

  /** Components of XCR0. */
  private static final int AVX = 4;

  private static final int KEYS = 0x200;
  private static final long PKE = 1 << 22;

  /** A legacy area that FXRSTOR takes. */
  private static void state(TestMachine m, SplittableRandom random, long at) {
    boolean plain = random.nextInt(8) != 0;
    for (int i = 0; i < 512; i += 8) {
      m.memory.writeLong(at + i, random.nextInt(4) == 0 ? 0 : random.nextLong());
    }
    m.memory.writeShort(at, random.nextInt(3) == 0 ? 0x37f : random.nextInt() | (plain ? 0x3f : 0));
    m.memory.writeShort(at + 2, random.nextBoolean() ? 0 : random.nextInt() & 0x7f7f);
    m.memory.writeShort(at + 4, random.nextBoolean() ? 0 : random.nextInt() & 0xff);
    m.memory.writeLong(at + 8, random.nextLong() >>> 17);
    m.memory.writeLong(at + 16, random.nextLong() >>> 17);
    int mxcsr = random.nextInt(3) == 0 ? 0x1f80 : random.nextInt() & 0xffff | (plain ? 0x1f80 : 0);
    m.memory.writeInt(at + 24, mxcsr);
    if (random.nextInt(3) == 0) {
      // Registers as they are initially, but for one byte perhaps.
      boolean x87 = random.nextBoolean();
      for (int i = x87 ? 32 : 160; i < 416; i += 8) {
        m.memory.writeLong(at + i, 0);
      }
      for (int i = 0; x87 && i < 24; i += 8) {
        m.memory.writeLong(at + i, i == 0 ? 0x37f : 0);
      }
      if (random.nextBoolean()) {
        m.memory.writeByte(at + 32 + random.nextInt(384), 1);
      }
    }
  }

  private static void header(TestMachine m, SplittableRandom random, long at, int components) {
    boolean compacted = random.nextBoolean();
    m.memory.writeLong(at, random.nextInt(components + 1) & components);
    m.memory.writeLong(at + 8, compacted ? 1L << 63 | components : 0);
    for (int i = 16; i < 64; i += 8) {
      m.memory.writeLong(at + i, 0);
    }
    switch (random.nextInt(12)) {
      case 0 -> m.memory.writeLong(at, random.nextLong());
      case 1 -> m.memory.writeLong(at + 8, random.nextInt(4));
      case 2 -> m.memory.writeLong(at + 8, 1L << 63 | random.nextInt(8));
      case 3 -> m.memory.writeByte(at + 16 + random.nextInt(48), 1);
      default -> {}
    }
  }

  private static void cases(TestMachine m, SplittableRandom random, int components) {
    for (int n = 0; n < CASES; n++) {
      long at = DATA + (long) n * CASE;
      state(m, random, at + STATE);
      long mask = random.nextInt(3) == 0 ? random.nextLong() : random.nextInt(components + 1);
      m.memory.writeLong(at + MASK, mask);
      boolean clean = random.nextInt(3) == 0;
      for (int i = 0; i < 16 * UPPERS; i += 8) {
        m.memory.writeLong(at + UPPER + i, clean ? 0 : random.nextLong());
      }
      long area = at + AREA;
      switch (random.nextInt(12)) {
        case 0 -> area += random.nextInt(64);
        // Over the page's end.
        case 1 -> area = at + 0x1000 - 64 * (1 + random.nextInt(12));
        default -> {}
      }
      m.memory.writeLong(at + AREA_AT, area);
      state(m, random, area);
      header(m, random, area + 512, components);
      for (int i = 576; i < 832; i += 8) {
        m.memory.writeLong(area + i, random.nextLong());
      }
      if (random.nextInt(12) == 0) {
        m.memory.writeInt(area + 24, random.nextInt());
      }
      if ((components & KEYS) != 0) {
        // Of key 0, which all pages have, everything is allowed.
        long keys = random.nextInt(4) == 0 ? 0 : random.nextInt() & ~3;
        m.memory.writeLong(at + PKRU, keys);
        m.memory.writeLong(area + 832, random.nextBoolean() ? keys : random.nextInt() & ~3);
      }
    }
  }

  /** Counts faults in R14, and goes on R13 bytes behind. */
  private static void skipFaults(TestMachine m) {
    var h = new Assembler(64, HANDLER).add(RSP, 8).inc(14);
    h.hex("4c 01 2c 24").hex("48 cf"); // add [rsp], r13; iretq
    m.memory.write(HANDLER, h.toBytes());
    m.gate64(13, CODE64, HANDLER, 0x8e, 0);
    // #MF of the two bytes before.
    m.memory.write(HANDLERS + 16 * 16, new Assembler(64, 0).hex("48 83 04 24 02 48 cf").toBytes());
  }

  @ParameterizedTest
  @CsvSource({
    "0f ae 27, 90", // xsave
    "48 0f ae 27, 90",
    "0f ae 37, 90", // xsaveopt
    "48 0f ae 37, d9 f7",
    "0f c7 27, 90", // xsavec
    "48 0f c7 27, 90",
    "48 0f c7 27, d9 f7", // with the x87 in use: fincstp
    "0f ae 2f, 90", // xrstor
    "48 0f ae 2f, 90",
    "48 0f ae 2f, d9 f7"
  })
  void savesAndRestoresWhatTheInterpreterDoes(String code, String before) {
    savesAndRestores(code, before, 3);
    savesAndRestores(code, before, 7);
    savesAndRestores(code, before, KEYS | 7);
    savesAndRestores(code, before, KEYS | 3);
    savesAndRestores(code, "c5 f5 fe c9", 7); // vpaddd ymm1, ymm1, ymm1
  }

  /** VINSERTF128 or VEXTRACTF128 of the upper halves from or to [rsi + at]. */
  private static void uppers(Assembler a, boolean load, int at) {
    for (int n = 0; n < UPPERS; n++) {
      int displacement = at + 16 * n;
      a.hex(
          load
              ? "c4 e3 %02x 18 %02x".formatted(5 | (~n & 15) << 3, 0x86 | n << 3)
              : "c4 e3 7d 19 %02x".formatted(0x86 | n << 3));
      a.hex("%02x %02x 00 00 01".formatted(displacement & 0xff, displacement >> 8));
    }
  }

  private void savesAndRestores(String code, String before, int components) {
    boolean keys = (components & KEYS) != 0;
    likeTheInterpreter(
        code,
        keys ? "v3,+pku" : "v3",
        m -> {
          CpuState s = m.long64(0);
          s.set(CpuState.CR4, CR4_LONG | OSXSAVE | (keys ? PKE : 0));
          s.set(CpuState.XCR0, components);
          skipFaults(m);
          cases(m, new SplittableRandom(11), components);
          var a = m.assembler(64).mov(14, 0).mov(13, code.length() / 3 + 1);
          a.mov(15, CASES).mov(RSI, DATA).label("loop");
          a.hex("0f ae 0e"); // fxrstor [rsi]
          if (keys) {
            a.load(RAX, RSI, PKRU).hex("31 c9 31 d2 0f 01 ef"); // xor, xor, wrpkru
          }
          if ((components & AVX) != 0) {
            uppers(a, true, UPPER);
          }
          a.load(RAX, RSI, MASK).movRegister(RDX, RAX).hex("48 c1 ea 20"); // shr rdx, 32
          a.load(RDI, RSI, AREA_AT).hex("0f 28 d2 48 39 f7"); // movaps xmm2, xmm2; cmp rdi, rsi
          a.hex(before).hex(code).hex("9c 59"); // pushf; pop rcx
          a.hex("0f 28 d2 48 0f ae 86 00 02 00 00"); // movaps xmm2, xmm2; fxsave [rsi + RESULT]
          if ((components & AVX) != 0) {
            uppers(a, false, UPPER_RESULT);
          }
          a.store(RSI, AREA_AT + 8, RCX);
          if (keys) {
            a.hex("31 c9 0f 01 ee").store(RSI, PKRU_RESULT, RAX); // xor ecx, ecx; rdpkru
          }
          a.add(RSI, CASE).dec(15).jnz("loop");
          m.code(64, a.hlt());
          m.run();
        },
        m -> {
          assertEquals(DATA + (long) CASES * CASE, m.gpr(RSI));
          boolean restores = code.endsWith("2f");
          assertTrue(m.gpr(14) > 0 && m.gpr(14) < (restores ? CASES / 2 : CASES / 4), "faults");
        });
  }

  /** As kernels do it at each switch of tasks: generated code is not to be left for PKRU's sake. */
  @ParameterizedTest
  @CsvSource({"0f ae 27", "0f ae 37", "0f c7 27"})
  void savesAndRestoresKeysInGeneratedCode(String save) {
    try (var m = newMachine("v3,+pku")) {
      int turns = 400;
      CpuState s = m.long64(0);
      s.set(CpuState.CR4, CR4_LONG | OSXSAVE | PKE);
      s.set(CpuState.XCR0, KEYS | 7);
      s.setGpr(RCX, 0);
      s.setGpr(RDI, DATA);
      Assembler a = m.assembler(64).mov(15, turns).label("turn");
      a.mov(RAX, -1).mov(RDX, -1).hex(save).hex("0f ae 2f"); // xrstor [rdi]
      a.hex("0f 01 ee 05 00 01 00 00 0f 01 ef"); // rdpkru; add eax, 0x100; wrpkru
      m.code(64, a.dec(15).jnz("turn").hex("0f 0b"));
      m.run();
      assertEquals(6, m.vector());
      assertEquals(turns << 8, s.getInt32(CpuState.PKRU));
      assertEquals((turns - 1) << 8, m.memory.readLong(DATA + 832));
      if (engine != EngineUnderTest.INTERPRETER
          && TranslatorEngine.usualModel().has(CpuFeature.AVX)) {
        var counters = m.cpu.counters();
        long all =
            counters.entrySet().stream()
                .filter(counter -> counter.getKey().startsWith("interpreted."))
                .mapToLong(Map.Entry::getValue)
                .sum();
        // The first turns are the interpreter's.
        assertTrue(all < turns / 4, counters::toString);
      }
    }
  }

  @Test
  void faultBeforeARestoreFindsThePointersOfTheInstructionBefore() {
    likeTheInterpreter(
        "fld1; fstp [rbx]; xrstor [rdi]",
        m -> {
          CpuState s = m.long64(0);
          s.set(CpuState.CR4, CR4_LONG | OSXSAVE);
          s.set(CpuState.XCR0, 3);
          var a = m.assembler(64).mov(15, CASES).mov(RBX, DATA).mov(RDI, DATA + 0x1000);
          a.mov(RAX, 1).mov(RDX, 0).label("loop").hex("d9 e8 dd 1b 0f ae 2f");
          a.dec(15).jnz("loop").mov(15, 1).mov(RBX, 0x7000_0000_0000L).jmp("loop");
          m.code(64, a);
          m.run();
        },
        m -> {
          assertEquals(14, m.vector());
          assertEquals(0x1e8, m.state().getInt32(CpuState.X87_OPCODE));
        });
  }

  @Test
  void reservedBitsOfMxcsrInAStateFromOutsideAreLeftOut() {
    likeTheInterpreter(
        "stmxcsr [rbx]",
        m -> {
          m.long64(0).setInt32(CpuState.MXCSR, 0xffff_1f80);
          var a = m.assembler(64).mov(15, CASES).mov(RBX, DATA);
          a.label("loop").hex("0f 28 d2 0f ae 1b"); // movaps xmm2, xmm2; stmxcsr [rbx]
          m.code(64, a.dec(15).jnz("loop").hlt());
          m.run();
        },
        m -> assertEquals(0x1f80, m.memory.readInt(DATA)));
  }

  @ParameterizedTest
  @CsvSource({"0f ae 27", "0f ae 37", "0f c7 27", "0f ae 2f"})
  void isUndefinedWithoutOsxsave(String code) {
    likeTheInterpreter(
        code,
        m -> {
          m.long64(0).set(CpuState.XCR0, 3);
          m.code(64, m.assembler(64).mov(RDI, DATA).mov(RAX, 3).mov(RDX, 0).hex(code));
          m.run();
        },
        m -> assertEquals(6, m.vector()));
  }
}
