package dev.bothy.machine;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.bothy.core.Exit;
import dev.bothy.core.Trace;
import dev.bothy.core.Trace.Kind;
import dev.bothy.core.Trace.Range;
import dev.bothy.x86.interpret.InterpreterEngine;
import dev.bothy.x86.translate.TranslatorEngine;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@Timeout(300)
class MachineTraceTest {
  private static final long ENTRY = MachineCode.ENTRY;

  private final List<String> lines = Collections.synchronizedList(new ArrayList<>());

  private static MachineOptions options(EngineFactory engine, String hex) {
    return MachineOptions.of(8 << 20, engine, MachineCode.of(hex), _ -> {})
        .withName("traced")
        .withDebugExit(true);
  }

  private Trace trace(Kind kind, Range range) {
    return new Trace(Map.of(kind, List.of(range)), lines::add);
  }

  private void run(MachineOptions options) throws Exception {
    try (Machine machine = new Machine(options)) {
      machine.start();
      assertEquals(new MachineExit.DebugExit(5), machine.awaitExit());
    }
  }

  @Test
  void accessesToPortsAndTheLocalApicAreShownOnEveryEngine() throws Exception {
    // mov al, 0x41; out 0x80, al; mov eax, [0xfee00030]; mov al, 5; out 0xf4, al; hlt
    String code = "b041e680a13000e0feb005e6f4f4";
    for (EngineFactory engine :
        List.<EngineFactory>of(InterpreterEngine::new, TranslatorEngine::new)) {
      lines.clear();
      run(options(engine, code).withTrace(trace(Kind.PORTS, new Range(0x80, 0x80))));
      assertEquals(1, lines.size());
      assertTrue(
          lines.getFirst().endsWith(" cpu0 ports write 0x80 size 1 value 0x41 (post)"),
          lines::toString);
      lines.clear();
      run(options(engine, code).withTrace(trace(Kind.MMIO, new Range(0xfee0_0000L, 0xfee0_0fffL))));
      assertEquals(1, lines.size());
      assertTrue(lines.getFirst().contains("mmio read 0xfee00030 size 4 value 0x"));
      assertTrue(lines.getFirst().endsWith("(local-apic)"));
    }
  }

  @Test
  void aTraceHasGuestTime() throws Exception {
    MachineOptions options =
        options(InterpreterEngine::new, "9090b005e6f4f4").withCountedClock(1_000_000_000);
    run(options.withTrace(trace(Kind.INSTRUCTIONS, new Range(ENTRY, ENTRY + 1))));
    assertEquals(2, lines.size());
    assertTrue(lines.get(0).contains(" instructions 0x100000 nop"), lines::toString);
    assertTrue(lines.get(1).contains(" instructions 0x100001 nop"), lines::toString);
  }

  @Test
  void anEngineThatCannotShowProcessorsRefuses() {
    EngineFactory scripted =
        environment -> new ScriptedEngine(environment, (_, _) -> new Exit.Halted());
    MachineOptions options = options(scripted, "f4");
    String message =
        assertThrows(
                UnsupportedOperationException.class,
                () -> new Machine(options.withTrace(trace(Kind.EXCEPTIONS, Range.ALL))).close())
            .getMessage();
    assertTrue(message.contains("exceptions"), message);
    new Machine(options.withTrace(trace(Kind.PORTS, Range.ALL))).close();
  }
}
