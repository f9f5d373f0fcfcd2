package dev.bothy.x86.directed;

import static dev.bothy.x86.directed.TestMachine.*;
import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.bothy.core.cpu.CpuState;
import org.junit.jupiter.api.Test;

/** Repeated string instructions over pages, overlaps, faults and code. */
class StringInstructionTest extends EngineTest {
  private static TestMachine prepared(TestMachine m, int cpl) {
    m.long64(cpl);
    for (int i = 0; i < 0x8000; i++) {
      m.memory.writeByte(DATA + i, pattern(i));
    }
    return m;
  }

  private static int pattern(int i) {
    return i * 7 ^ i >> 8;
  }

  private static int at(TestMachine m, long address) {
    return m.memory.readByte(address) & 0xff;
  }

  @Test
  void movesGoOverPagesWhateverTheAlignment() {
    String[] codes = {"f3 a4", "f3 66 a5", "f3 a5", "f3 48 a5"};
    for (int n = 0; n < codes.length; n++) {
      try (var m = prepared(newMachine(), 3)) {
        int count = 0x2345 >> n;
        var a = m.assembler(64).mov(RSI, DATA + 0xff3).mov(RDI, DATA + 0x1_0ffd).mov(RCX, count);
        m.code(64, a.hex(codes[n]).interrupt(0x80));
        m.run();
        assertEquals(0, m.gpr(RCX));
        assertEquals(DATA + 0xff3 + ((long) count << n), m.gpr(RSI));
        assertEquals(DATA + 0x1_0ffd + ((long) count << n), m.gpr(RDI));
        for (int i = 0; i < count << n; i++) {
          assertEquals(pattern(0xff3 + i) & 0xff, at(m, DATA + 0x1_0ffd + i));
        }
        assertEquals(0, at(m, DATA + 0x1_0ffd + (count << n)));
      }
    }
  }

  @Test
  void moveOntoItsOwnSourceRepeatsWhatItHasWritten() {
    for (int distance : new int[] {1, 3, 8, 100}) {
      try (var m = prepared(newMachine(), 3)) {
        var a = m.assembler(64).mov(RSI, DATA + 0x10).mov(RDI, DATA + 0x10 + distance);
        m.code(64, a.mov(RCX, 0x1800).hex("f3 a4").interrupt(0x80));
        m.run();
        for (int i = 0; i < 0x1800 + distance; i++) {
          assertEquals(pattern(0x10 + i % distance) & 0xff, at(m, DATA + 0x10 + i));
        }
      }
    }
  }

  @Test
  void downwardsIsTheOtherWay() {
    try (var m = prepared(newMachine(), 3)) {
      var a = m.assembler(64).emit(0xfd).mov(RSI, DATA + 0x1fff).mov(RDI, DATA + 0x2000);
      m.code(64, a.mov(RCX, 0x1800).hex("f3 a4").interrupt(0x80));
      m.run();
      assertEquals(DATA + 0x7ff, m.gpr(RSI));
      for (int i = 0; i < 0x1800; i++) {
        assertEquals(pattern(0x1fff - i) & 0xff, at(m, DATA + 0x2000 - i));
      }
    }
  }

  @Test
  void faultLeavesWhatIsStillToDo() {
    try (var m = prepared(newMachine(), 3)) {
      m.page(DATA + 0x1_2000, 0, 0);
      var a = m.assembler(64).mov(RSI, DATA + 0x20).mov(RDI, DATA + 0x1_0ff8).mov(RCX, 0x900);
      m.code(64, a.hex("f3 48 a5").interrupt(0x80));
      m.run();
      assertEquals(14, m.vector());
      assertEquals(DATA + 0x1_2000, m.state().get(CpuState.CR2));
      assertEquals(0x900 - 0x201, m.gpr(RCX));
      assertEquals(DATA + 0x1_2000, m.gpr(RDI));
      assertEquals(DATA + 0x20 + 0x1008, m.gpr(RSI));
    }
    try (var m = prepared(newMachine(), 3)) {
      m.page(DATA + 0x1_1000, DATA + 0x1_1000, P | U);
      var a =
          m.assembler(64).mov(RDI, DATA + 0x1_0ffa).mov(RCX, 4).mov(RAX, 0x1122_3344_5566_7788L);
      m.code(64, a.hex("f3 ab").interrupt(0x80));
      m.run();
      assertEquals(14, m.vector(), "the second of them goes over the page's end");
      assertEquals(3, m.gpr(RCX));
      assertEquals(0x5566_7788, m.memory.readInt(DATA + 0x1_0ffa));
      assertEquals(0, m.memory.readShort(DATA + 0x1_0ffe));
    }
  }

  @Test
  void fillsGoOverPages() {
    String[] codes = {"f3 aa", "f3 66 ab", "f3 ab", "f3 48 ab"};
    for (int n = 0; n < codes.length; n++) {
      try (var m = prepared(newMachine(), 3)) {
        int count = 0x2001 >> n;
        var a = m.assembler(64).mov(RAX, 0x8877_6655_4433_2211L).mov(RDI, DATA + 0x1_0ffd);
        m.code(64, a.mov(RCX, count).hex(codes[n]).interrupt(0x80));
        m.run();
        assertEquals(DATA + 0x1_0ffd + ((long) count << n), m.gpr(RDI));
        for (int i = 0; i < count << n; i++) {
          assertEquals(0x11 * ((i & (1 << n) - 1) + 1), at(m, DATA + 0x1_0ffd + i));
        }
        assertEquals(0, at(m, DATA + 0x1_0ffc));
        assertEquals(0, at(m, DATA + 0x1_0ffd + (count << n)));
      }
    }
  }

  @Test
  void comparisonsEndWhereTheyShould() {
    for (int differs : new int[] {0, 5, 0xff0, 0x1234, 0x2fff, -1}) {
      try (var m = prepared(newMachine(), 3)) {
        for (int i = 0; i < 0x3000; i++) {
          m.memory.writeByte(DATA + 0x1_0005 + i, pattern(3 + i) + (i == differs ? 1 : 0));
        }
        var a = m.assembler(64).mov(RSI, DATA + 3).mov(RDI, DATA + 0x1_0005).mov(RCX, 0x3000);
        m.code(64, a.hex("f3 a6").pushf().pop(RBX).interrupt(0x80));
        m.run();
        int done = differs < 0 ? 0x3000 : differs + 1;
        assertEquals(0x3000 - done, m.gpr(RCX));
        assertEquals(DATA + 3 + done, m.gpr(RSI));
        assertEquals(DATA + 0x1_0005 + done, m.gpr(RDI));
        assertEquals(differs < 0 ? 0x40 : 0, m.gpr(RBX) & 0x40);
      }
    }
    try (var m = prepared(newMachine(), 3)) {
      var s = m.state();
      s.set(CpuState.RFLAGS, 0x8d7);
      var a = m.assembler(64).mov(RCX, 0).hex("f2 ae f3 48 a7").pushf().pop(RBX);
      m.code(64, a.interrupt(0x80));
      m.run();
      assertEquals(0x8d7, m.gpr(RBX), "nothing compared");
    }
  }

  @Test
  void scanFindsAcrossPages() {
    try (var m = prepared(newMachine(), 3)) {
      m.memory.write(DATA + 0x1_0000, new byte[0x4000]);
      m.memory.writeInt(DATA + 0x1_2ffe, 0x1234_5678);
      var a = m.assembler(64).mov(RAX, 0x1234_5678).mov(RDI, DATA + 0x1_0ffe).mov(RCX, -1);
      m.code(64, a.hex("f2 af").pushf().pop(RBX).interrupt(0x80));
      m.run();
      assertEquals(DATA + 0x1_3002, m.gpr(RDI));
      assertEquals(-1 - 0x801, m.gpr(RCX));
      assertEquals(0x40, m.gpr(RBX) & 0x40);
    }
  }

  @Test
  void fillOverTheCodeThatFollowsIsSeen() {
    try (var m = newMachine()) {
      m.long64(0);
      // Overwrites what comes behind itself with HLT.
      var a = m.assembler(64).mov(RAX, 0xf4).mov(RCX, 64).movLabel(RDI, "behind");
      m.code(64, a.hex("f3 aa").label("behind").inc(RBX).inc(RBX).inc(RBX));
      m.run();
      assertEquals(0, m.gpr(RBX));
    }
  }
}
