package dev.bothy.x86.oracle;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.bothy.core.cpu.CpuModel;
import dev.bothy.x86.EngineUnderTest;
import dev.bothy.x86.decode.InstructionTable;
import dev.bothy.x86.decode.TableEntry;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.TreeMap;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** Every engine against the processor that runs these tests. */
class HostOracleTest {
  private static final long CASES = 1_000_000;

  @ParameterizedTest
  @EnumSource(names = {"INTERPRETER", "TRANSLATOR"})
  void engineDoesWhatTheHostProcessorDoes(EngineUnderTest engine) throws Exception {
    assumeTrue(OracleRun.refusal().isEmpty(), () -> OracleRun.refusal().orElse(""));
    int jobs = Math.min(2, Runtime.getRuntime().availableProcessors());
    var request = new OracleRun.Request(engine, OracleRun.Kind.BOTH, 1, CASES);
    OracleRun.Summary summary = OracleRun.run(request, jobs, false);
    assertEquals(0, summary.failed(), summary::output);
    assertTrue(summary.cases() >= CASES);
    assertEquals(List.of(), summary.rowsNotRun(), "rows that no case reached");
  }

  /** Rows leave the list freely; whoever adds one says why. */
  @Test
  void rowsWithoutTestAreThoseOfTheList() throws IOException {
    var listed = new TreeMap<String, String>();
    try (InputStream in = HostOracleTest.class.getResourceAsStream("uncovered.txt")) {
      new String(in.readAllBytes(), StandardCharsets.UTF_8)
          .lines()
          .filter(line -> !line.startsWith("#") && !line.isBlank())
          .map(line -> line.split(" *\\| *"))
          .forEach(parts -> listed.put(parts[0].strip(), parts[1].strip()));
    }
    Coverage coverage = new Coverage(CpuModel.MAX);
    var uncovered = new TreeMap<String, String>();
    for (TableEntry entry : InstructionTable.entries()) {
      if (!coverage.nowhere(entry)) {
        coverage.reason(entry).ifPresent(why -> uncovered.put(Coverage.name(entry), why));
      }
    }
    uncovered.keySet().removeAll(listed.keySet());
    assertEquals(new TreeMap<>(), uncovered, "not covered and not in uncovered.txt");
  }
}
