package dev.bothy.x86.directed;

import static dev.bothy.x86.directed.TestMachine.*;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.bothy.core.MachineClock;
import dev.bothy.core.Timer;
import dev.bothy.core.cpu.CpuState;
import dev.bothy.x86.translate.TranslatorEngine;
import java.util.OptionalLong;
import org.junit.jupiter.api.Test;

/** The time-stamp counter in generated code, which reads the host's clock itself. */
class TimeStampTest {
  private static final long OFFSET = 123_456_789_012L;

  private static final class HostTime implements MachineClock {
    private long asked;

    @Override
    public long nanos() {
      asked++;
      return System.nanoTime() + OFFSET;
    }

    @Override
    public OptionalLong hostOffset() {
      return OptionalLong.of(OFFSET);
    }

    @Override
    public long wallNanos() {
      return 0;
    }

    @Override
    public Timer newTimer(String name, Runnable onExpiry) {
      throw new UnsupportedOperationException();
    }
  }

  private static long pair(TestMachine m, long at) {
    return m.memory.readInt(at) & 0xffff_ffffL | (long) m.memory.readInt(at + 4) << 32;
  }

  @Test
  void generatedCodeReadsGuestTimeAndKeepsRegisters() {
    HostTime clock = new HostTime();
    try (var m =
        new TestMachine(
            machine ->
                new TranslatorEngine(machine, new TranslatorEngine.Options(0, 64, false, 8 << 20)),
            false,
            clock,
            false,
            1)) {
      var s = m.long64(0);
      s.set(CpuState.TSC_OFFSET, 1000);
      s.set(CpuState.TSC_AUX, 77);
      for (int i = 0; i < 16; i++) {
        if (i != RSP) {
          s.setGpr(i, 0x1111_1111_1111_1111L * i);
        }
        s.set(CpuState.VECTORS + i * CpuState.VECTOR_SIZE, i);
      }
      s.setInt32(CpuState.MXCSR, 0x1f80);
      s.setGpr(RBX, DATA);
      s.setGpr(RBP, 1000);
      var a = m.assembler(64).label("again");
      // XMM registers are in use: addps xmm1, xmm2 and back.
      a.hex("66 0f d4 ca 66 0f fb ca f9").hex("0f 31 9c 5f"); // rdtsc; pushf; pop rdi
      a.hex("89 03 89 53 04 0f 01 f9 89 43 08 89 53 0c").dec(RBP).jnz("again").hlt();
      m.code(64, a);
      long before = System.nanoTime();
      m.cpu.run(Long.MAX_VALUE);
      long after = System.nanoTime();
      long first = pair(m, DATA) - OFFSET - 1000;
      long second = pair(m, DATA + 8) - OFFSET - 1000;
      assertTrue(before <= first && first <= second && second <= after);
      assertEquals(0, clock.asked, "Java was not asked");
      assertEquals(77, m.gpr(RCX));
      assertEquals(1, m.gpr(RDI) & 1, "CF");
      for (int i = 0; i < 16; i++) {
        if (i > RDI || i == RSI) {
          assertEquals(0x1111_1111_1111_1111L * i, m.gpr(i));
        }
        assertEquals(i, s.get(CpuState.VECTORS + i * CpuState.VECTOR_SIZE));
      }
    }
  }
}
