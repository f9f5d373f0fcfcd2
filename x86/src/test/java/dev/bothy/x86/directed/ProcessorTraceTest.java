package dev.bothy.x86.directed;

import static dev.bothy.x86.directed.TestMachine.*;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.bothy.core.Engine;
import dev.bothy.core.StoppedClock;
import dev.bothy.core.Trace;
import dev.bothy.core.Trace.Kind;
import dev.bothy.core.Trace.Range;
import dev.bothy.core.cpu.CpuState;
import dev.bothy.x86.assemble.Assembler;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;

class ProcessorTraceTest extends EngineTest {
  private final List<String> lines = new ArrayList<>();

  private TestMachine traced(Kind kind, Range range) {
    Trace trace =
        new Trace(
            Map.of(kind, List.of(range)),
            line ->
                lines.add(line.substring(line.indexOf(kind.word()) + kind.word().length() + 1)));
    return new TestMachine(
        machine -> {
          Engine made = engine.create(machine);
          made.trace(trace);
          return made;
        },
        engine.counts(),
        new StoppedClock(0),
        true,
        1);
  }

  @Test
  void instructionsAreShownWhereTheyAreWantedAndRunAsEver() {
    try (var m = traced(Kind.INSTRUCTIONS, new Range(CODE + 5, CODE + 10))) {
      m.long64(0);
      m.code(
          64, m.assembler(64).hex("b9 03 00 00 00").hex("ff c0").hex("ff c9").hex("75 fa").hlt());
      m.state().setGpr(RAX, 0);
      m.run();
      assertEquals(3, m.gpr(RAX));
      assertEquals(9, lines.size());
      assertEquals("0x100005 inc eax (ffc0)", lines.get(0));
      assertEquals("0x100007 dec ecx (ffc9)", lines.get(1));
      assertEquals("0x100009 jne 0x100005 (75fa)", lines.get(2));
      assertEquals(lines.get(0), lines.get(3));
    }
  }

  @Test
  void msrsAreShownWithWhatBecameOfThem() {
    try (var m = traced(Kind.MSRS, new Range(0xc000_0080L, 0xc000_0fffL))) {
      m.long64(0);
      Assembler a = m.assembler(64);
      a.hex("b9 82 00 00 c0 b8 44 33 22 11 31 d2 0f 30"); // LSTAR
      a.hex("0f 32"); // and back
      a.hex("b9 10 00 00 00 0f 32"); // TSC, which is outside
      a.hex("b9 ff 0f 00 c0 0f 32"); // nothing
      m.code(64, a.hlt());
      m.run();
      assertEquals(13, m.vector());
      assertEquals(
          List.of(
              "write 0xc0000082 value 0x11223344 taken",
              "read 0xc0000082 value 0x11223344",
              "read 0xc0000fff refused"),
          lines);
    }
  }

  @Test
  void exceptionsAreShownWithTheirErrorCodes() {
    try (var m = traced(Kind.EXCEPTIONS, Range.ALL)) {
      m.long64(0);
      m.page(DATA + 0x1000, 0, 0);
      m.code(64, m.assembler(64).hex("a1 10 10 20 00 00 00 00 00").hlt());
      m.run();
      assertEquals(14, m.vector());
      assertEquals(List.of("14 #PF error 0x0 address 0x201010 at 0x100000"), lines);
    }
  }

  @Test
  void interruptsAreShownByVector() {
    try (var m = traced(Kind.INTERRUPTS, new Range(0x30, 0xff))) {
      m.long64(0);
      m.code(64, m.assembler(64).hex("cd 20").hlt());
      m.run();
      assertTrue(lines.isEmpty());
      m.long64(0);
      m.code(64, m.assembler(64).hex("cd 80").hlt());
      m.run();
      m.state().set(CpuState.RFLAGS, IF | 2);
      m.apic.request(0x31);
      m.cpu.interruptChanged();
      m.run();
      assertEquals(List.of("0x80 software at 0x100002", "0x31 external at 0x3801"), lines);
    }
  }
}
