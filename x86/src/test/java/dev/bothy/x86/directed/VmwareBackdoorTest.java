package dev.bothy.x86.directed;

import static dev.bothy.x86.directed.TestMachine.*;
import static org.junit.jupiter.api.Assertions.assertEquals;

import org.junit.jupiter.api.Test;

class VmwareBackdoorTest extends EngineTest {
  private static final String MODEL = "v2,+vmware";
  private static final long MAGIC = 0x564d_5868L;
  private static final String IN = "ed";

  private static void ask(TestMachine m, int cpl, long magic, int command) {
    m.long64(cpl);
    m.state().setGpr(RAX, magic);
    m.state().setGpr(RBX, 77);
    m.state().setGpr(RCX, command);
    m.state().setGpr(RDX, 0x5658);
    m.code(64, m.assembler(64).hex(IN).hlt());
    m.run();
  }

  @Test
  void everybodyMayAskForTheVersion() {
    for (int cpl : new int[] {0, 3}) {
      try (var m = newMachine(MODEL)) {
        ask(m, cpl, MAGIC, 10);
        assertEquals(cpl == 0 ? -1 : 13, m.vector(), "HLT is the kernel's");
        assertEquals(6, m.gpr(RAX));
        assertEquals(MAGIC, m.gpr(RBX));
      }
    }
  }

  @Test
  void unknownCommandsAreAnsweredByAllOnes() {
    try (var m = newMachine(MODEL)) {
      ask(m, 0, MAGIC, 0xfff);
      assertEquals(0xffff_ffffL, m.gpr(RAX));
      assertEquals(77, m.gpr(RBX));
    }
  }

  @Test
  void withoutTheWordItIsAPort() {
    try (var m = newMachine(MODEL)) {
      ask(m, 3, MAGIC + 1, 10);
      assertEquals(13, m.vector());
      assertEquals(CODE, m.stack(8, 1));
    }
    try (var m = newMachine("v2")) {
      ask(m, 3, MAGIC, 10);
      assertEquals(13, m.vector());
      assertEquals(CODE, m.stack(8, 1));
    }
  }

  @Test
  void pseudoCountersAreClocks() {
    try (var m = newMachine(MODEL)) {
      m.long64(3);
      m.code(64, m.assembler(64).hex("b9 01 00 01 00 0f 33").hlt());
      m.run();
      assertEquals(1_000_000, m.gpr(RAX));
      assertEquals(CODE + 7, m.stack(8, 1));
    }
  }
}
