package dev.bothy.x86.directed;

import static dev.bothy.x86.directed.TestMachine.*;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.bothy.core.cpu.CpuState;
import java.util.Random;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Long string instructions over pages that lie scattered, overlap, or are not there. */
class HotStringTest extends EngineTest {
  private static final long AREA = DATA + 0x4_0000;
  private static final int PAGES = 16;
  private static final int CASES = 150;

  private static void area(TestMachine m, Random random) {
    for (int i = 0; i < PAGES; i++) {
      // Every page lies elsewhere; two addresses lead to the same one; one may only be read.
      int frame = i == 5 ? 9 : i * 7 % PAGES;
      m.page(AREA + 0x1000L * i, AREA + 0x1000L * frame, P | U | (i == 12 ? 0 : W));
    }
    m.page(AREA - 0x1000, 0, 0);
    m.page(AREA + 0x1000L * PAGES, 0, 0);
    for (int at = 0; at < PAGES * 0x1000; at += 8) {
      // Mostly equal bytes, so that comparisons last.
      m.memory.writeLong(AREA + at, random.nextInt(100) == 0 ? random.nextLong() : 0);
    }
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "f3 a4",
        "f3 66 a5",
        "f3 a5",
        "f3 48 a5", // rep movs
        "f3 aa",
        "f3 66 ab",
        "f3 ab",
        "f3 48 ab", // rep stos
        "f3 ac",
        "f3 48 ad", // rep lods
        "f3 ae",
        "f2 ae",
        "f3 48 af",
        "f2 66 af", // scas
        "f3 a6",
        "f2 a6",
        "f3 48 a7",
        "f3 a7", // cmps
        "67 f3 a4",
        "67 f3 ab",
        "a4",
        "48 a5",
        "aa",
        "ad",
        "af",
        "a7"
      })
  void stringInstructionsLikeTheInterpreters(String code) {
    Random random = new Random(code.hashCode());
    int[] faults = new int[1];
    try (var m = newMachine();
        var reference = new TestMachine(dev.bothy.x86.EngineUnderTest.INTERPRETER, 1)) {
      long fill = random.nextLong();
      for (TestMachine machine : new TestMachine[] {m, reference}) {
        area(machine, new Random(fill));
        machine.gate64(14, CODE64, HANDLERS + 14 * 16, 0x8e, 1);
        var a = machine.assembler(64).label("loop").movRegister(RSI, 8).movRegister(RDI, 9);
        a.movRegister(RCX, 10).hex(code).hex("0f 97 c3 0f 9a c7").dec(11); // seta bl; setp bh
        machine.code(64, a.jnz("loop").hlt());
      }
      for (int n = 0; n < CASES; n++) {
        boolean backwards = random.nextInt(4) == 0;
        long from = AREA + random.nextInt(PAGES * 0x1000);
        long to =
            random.nextInt(3) == 0
                ? from + random.nextInt(40) - 20 // overlapping
                : AREA + random.nextInt(PAGES * 0x1000);
        if (random.nextInt(2) == 0) {
          from &= ~7;
          to &= ~7;
        }
        long count = random.nextInt(random.nextInt(3) == 0 ? 9000 : 40);
        long value = random.nextInt(2) == 0 ? 0 : random.nextLong();
        for (TestMachine machine : new TestMachine[] {m, reference}) {
          CpuState s = machine.long64(0);
          s.set(CpuState.RFLAGS, backwards ? 0x402 : 2);
          s.setGpr(8, from);
          s.setGpr(9, to);
          s.setGpr(10, count);
          s.setGpr(11, 3);
          s.setGpr(RAX, value);
          machine.run();
        }
        assertEquals("", m.differencesFrom(reference), "case " + n);
        faults[0] += m.vector() == 14 ? 1 : 0;
      }
    }
    assertTrue(faults[0] < CASES / 2, "most should run through");
  }
}
