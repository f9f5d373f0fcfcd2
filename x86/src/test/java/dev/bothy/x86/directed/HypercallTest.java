package dev.bothy.x86.directed;

import static dev.bothy.x86.directed.TestMachine.*;
import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.bothy.core.cpu.CpuState;
import java.util.List;
import org.junit.jupiter.api.Test;

class HypercallTest extends EngineTest {
  private static final String VMMCALL = "0f 01 d9";
  private static final int SEND_IPI = 10;

  private static long call(TestMachine m, long rax, long rbx, long rcx, long rdx, long rsi) {
    CpuState s = m.state();
    s.setGpr(RAX, rax);
    s.setGpr(RBX, rbx);
    s.setGpr(RCX, rcx);
    s.setGpr(RDX, rdx);
    s.setGpr(RSI, rsi);
    m.code(64, m.assembler(64).hex(VMMCALL).hlt());
    m.run();
    return m.gpr(RAX);
  }

  @Test
  void oneCallInterruptsTheProcessorsOfABitmap() {
    try (var m = newMachine(4)) {
      m.long64(0);
      assertEquals(2, call(m, SEND_IPI, 0b1010, 0, 0, 0x4051));
      assertEquals(List.of(1L << 32 | 0x4051, 3L << 32 | 0x4051), m.apic.commands);
    }
    try (var m = newMachine(4)) {
      m.long64(0);
      assertEquals(1, call(m, SEND_IPI, -1, -1, 3, 0x4051), "those from the third that there are");
      assertEquals(List.of(3L << 32 | 0x4051), m.apic.commands);
    }
  }

  @Test
  void callsThatMakeNoSenseAreRefused() {
    for (long[] call :
        new long[][] {
          {SEND_IPI, 1, 0, 0, 0x4_4051, -22},
          {SEND_IPI, 1, 0, 0, 0x4851, -22},
          {SEND_IPI, 0xffff_ffffL, 0, 0xffff_ffffL, 0, 0},
          {1L << 32 | SEND_IPI, 1, 0, 0, 0x4051, -1000},
          {77, 0, 0, 0, 0, -1000}
        }) {
      try (var m = newMachine(2)) {
        m.long64(0);
        assertEquals(call[5], call(m, call[0], call[1], call[2], call[3], call[4]));
        assertEquals(List.of(), m.apic.commands);
      }
    }
  }

  @Test
  void userCodeMayNotCall() {
    try (var m = newMachine(2)) {
      CpuState s = m.long64(3);
      s.setGpr(RAX, SEND_IPI);
      s.setGpr(RBX, 1);
      m.code(64, m.assembler(64).hex(VMMCALL).hex("cc"));
      m.run();
      assertEquals(-1, m.gpr(RAX));
      assertEquals(List.of(), m.apic.commands);
    }
  }

  /** What a model lacks has no registers either. */
  @Test
  void registersOfAbsentFeaturesAreNotThere() {
    for (int msr : new int[] {0x6e0, 0x3b, 0xc000_0103}) {
      for (String code : new String[] {"0f 32", "0f 30"}) {
        try (var m = newMachine("v1")) {
          CpuState s = m.long64(0);
          s.setGpr(RCX, msr);
          m.code(64, m.assembler(64).hex(code).hex("cc"));
          m.run();
          assertEquals(13, m.vector(), code);
        }
      }
    }
  }

  @Test
  void x2ApicModeIsForModelsThatHaveIt() {
    for (String model : new String[] {"v2", "v2,-x2apic"}) {
      try (var m = newMachine(model)) {
        CpuState s = m.long64(0);
        s.setGpr(RCX, 0x1b);
        s.setGpr(RAX, 0xfee0_0d00L);
        s.setGpr(RDX, 0);
        m.code(64, m.assembler(64).hex("0f 30 cc"));
        m.run();
        assertEquals(model.equals("v2") ? 3 : 13, m.vector());
      }
    }
  }

  @Test
  void aWallClockWithoutAnAddressIsWrittenNowhere() {
    for (int msr : new int[] {0x11, 0x4b56_4d00}) {
      try (var m = newMachine()) {
        m.memory.writeLong(0, 77);
        m.memory.writeLong(8, 78);
        m.long64(0);
        m.code(64, m.assembler(64).wrmsr(msr, 0).hlt());
        m.run();
        assertEquals(77, m.memory.readLong(0));
        assertEquals(78, m.memory.readLong(8));
      }
    }
  }
}
