package dev.bothy.x86.decode;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.EnumSet;
import java.util.List;
import java.util.Set;
import org.junit.jupiter.api.Test;

final class InstructionTableTest {
  private static final Set<String> TESTS =
      Set.of(
          "user",
          "mode",
          "control",
          "privileged",
          "iopl",
          "segment",
          "system",
          "interrupt",
          "fault",
          "time",
          "random",
          "host",
          "state",
          "absent");

  @Test
  void tableAndOpsMatchBothWays() {
    EnumSet<Op> seen = EnumSet.noneOf(Op.class);
    for (TableEntry entry : InstructionTable.entries()) {
      seen.add(entry.op());
    }
    assertEquals(EnumSet.allOf(Op.class), seen);
  }

  @Test
  void rowsAreIndexedByTheirPlace() {
    List<TableEntry> entries = InstructionTable.entries();
    for (int i = 0; i < entries.size(); i++) {
      assertEquals(i, entries.get(i).index());
      assertSame(entries.get(i), InstructionTable.forms().get(i).entry);
    }
  }

  @Test
  void everyRowDecodesFromItsOwnEncoding() {
    Instruction in = new Instruction();
    for (Form form : InstructionTable.forms()) {
      for (int i = 0; i < form.opcodes; i++) {
        TableEntry entry = form.entry;
        int mode = entry.has(TableEntry.I64) ? 32 : 64;
        byte[] code = Encodings.of(form, i, mode);
        int result = Decoder.decode(code, 0, code.length, mode, in);
        assertEquals(
            entry.absent() == null ? Decoder.OK : Decoder.INVALID, result, entry::toString);
        assertSame(entry, in.entry, entry::toString);
        assertEquals(entry.operands().size(), in.operands, entry::toString);
        for (int n = 0; n < in.operands; n++) {
          assertTrue(in.kind[n] != Instruction.NONE, entry::toString);
        }
      }
    }
  }

  @Test
  void saysWhyARowCannotBeTestedInAProcess() {
    for (TableEntry entry : InstructionTable.entries()) {
      assertTrue(TESTS.contains(entry.test()), entry::toString);
      assertEquals(entry.absent() != null, entry.test().equals("absent"), entry::toString);
      if (entry.has(TableEntry.CPL0) && entry.absent() == null) {
        assertEquals("privileged", entry.test(), entry::toString);
      }
      if (entry.has(TableEntry.I64)) {
        assertTrue(!entry.test().equals("user"), entry::toString);
      }
    }
  }

  @Test
  void lockGoesWithAMemoryDestination() {
    for (Form form : InstructionTable.forms()) {
      if (form.entry.has(TableEntry.LOCK)) {
        assertTrue(form.source[0] == Form.E || form.source[0] == Form.M, form.entry::toString);
      }
    }
  }
}
