package dev.bothy.x86.directed;

import static dev.bothy.x86.directed.TestMachine.*;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;

import dev.bothy.core.cpu.CpuState;
import dev.bothy.x86.EngineUnderTest;
import dev.bothy.x86.assemble.Assembler;
import java.util.Random;
import org.junit.jupiter.api.Test;

/**
 * Random x87 code leaves the same registers and the same pointers to the last instruction and
 * operand on every engine, wherever it is asked for them.
 */
class X87PointersTest {
  private static final int PROGRAMS = 300;
  private static final int LENGTH = 60;
  private static final int LOG = 0x4000;

  /** Without a memory operand. */
  private static final String[] REGISTERS = {
    "d9 e8", "d9 eb", "de c1", "d8 c9", "dc e1", "d9 c9", "dd d9", "d9 f6", "d9 f7", "dd c2",
    "db e3", "db e2", "df e0", "9b", "d9 d0", "db f1", "da c1", "d9 e5", "d9 fa", "0f 77",
    "0f fc c1", "0f 57 c0"
  };

  /** Opcode and extension of those with one. */
  private static final int[] MEMORY = {
    0xd900, 0xd903, 0xdb05, 0xdb07, 0xdd00, 0xdd03, 0xdd02, 0xd800, 0xdc01, 0xda00, 0xde06, 0xdf00,
    0xdf05, 0xdf07, 0xdb01, 0xd907, 0xdd07
  };

  private static Assembler program(TestMachine m, Random random, boolean wide) {
    var a = m.assembler(wide ? 64 : 32).mov32(RCX, 3).mov32(RSI, (int) DATA + LOG).label("loop");
    int labels = 0;
    for (int n = 0; n < LENGTH; n++) {
      int kind = random.nextInt(12);
      if (kind < 4) {
        a.hex(REGISTERS[random.nextInt(REGISTERS.length)]);
      } else if (kind < 8) {
        int form = MEMORY[random.nextInt(MEMORY.length)];
        if (random.nextInt(4) == 0) {
          a.emit(new int[] {0x26, 0x2e, 0x36, 0x65}[random.nextInt(4)]); // ES, CS, SS, GS
        }
        // Now and then across pages.
        int at = random.nextInt(8) == 0 ? 0xff8 + random.nextInt(8) : random.nextInt(0x200);
        a.emit(form >> 8, 0x83 | (form & 7) << 3).value(4, at);
      } else if (kind == 8) {
        a.hex("d9 36").add(RSI, 28); // fnstenv [rsi]
      } else if (kind == 9) {
        a.jcc(random.nextInt(16), "on" + labels).label("on" + labels++);
      } else if (kind == 10) {
        a.jmp("on" + labels);
        if (random.nextInt(6) == 0) {
          a.padTo(a.here() + 0x1000 & ~0xfff | random.nextInt(0x100));
        }
        a.label("on" + labels++);
      } else {
        a.cmp(RCX, random.nextInt(4));
      }
    }
    return a.dec(RCX).jnz("loop").hlt();
  }

  private static byte[] run(EngineUnderTest engine, int seed) {
    try (var m = new TestMachine(engine, 1)) {
      var random = new Random(seed);
      boolean wide = seed % 4 != 0;
      CpuState s = wide ? m.long64(seed % 2 * 3) : m.compatibility(seed % 8 == 0 ? 3 : 0);
      s.setGpr(RBX, DATA);
      s.setInt32(CpuState.X87_CONTROL, 0x37f);
      s.setInt32(CpuState.MXCSR, 0x1f80);
      for (int at = 0; at < 0x1200; at += 8) {
        m.memory.writeLong(DATA + at, random.nextInt(3) == 0 ? 0 : random.nextLong());
      }
      m.code(wide ? 64 : 32, program(m, random, wide));
      // HLT faults in user mode, and the handler halts.
      m.run();
      byte[] data = new byte[LOG + 0x4000];
      m.memory.read(DATA, data, 0, data.length);
      byte[] all = java.util.Arrays.copyOf(data, data.length + 0x440 - 0x37c);
      for (int at = 0x37c; at < 0x440; at += 4) {
        for (int b = 0; b < 4; b++) {
          all[data.length + at - 0x37c + b] = (byte) (s.getInt32(at) >> 8 * b);
        }
      }
      return all;
    }
  }

  @Test
  void enginesAgree() {
    for (int seed = 0; seed < PROGRAMS; seed++) {
      byte[] expected = run(EngineUnderTest.INTERPRETER, seed);
      for (EngineUnderTest engine : EngineUnderTest.values()) {
        if (engine != EngineUnderTest.INTERPRETER) {
          assertArrayEquals(expected, run(engine, seed), engine + ", program " + seed);
        }
      }
    }
  }
}
