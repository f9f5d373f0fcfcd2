package dev.bothy;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.bothy.core.Trace.Kind;
import dev.bothy.core.Trace.Range;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class TraceOptionTest {
  private final List<String> lines = new ArrayList<>();
  private final List<String> troubles = new ArrayList<>();

  @Test
  void takesKindsWithRangesAndWhereToWrite() {
    TraceOption option =
        TraceOption.parse(
            "ports=0x3f8-0x3ff,mmio,ports=96,instructions=0xffffffff81000000,file=a,,b,limit=7");
    assertEquals(
        Map.of(
            Kind.PORTS,
            List.of(new Range(0x3f8, 0x3ff), new Range(96, 96)),
            Kind.MMIO,
            List.of(Range.ALL),
            Kind.INSTRUCTIONS,
            List.of(new Range(0xffff_ffff_8100_0000L, 0xffff_ffff_8100_0000L))),
        option.wanted());
    assertEquals(Optional.of(Path.of("a,b")), option.file());
    assertEquals(Optional.of(7L), option.limit());
  }

  @Test
  void severalAreOne() {
    TraceOption both =
        TraceOption.parse("ports=1,last=5").and(TraceOption.parse("ports=2,msrs,file=x"));
    assertEquals(List.of(new Range(1, 1), new Range(2, 2)), both.wanted().get(Kind.PORTS));
    assertEquals(Optional.of(5L), both.last());
    assertEquals(Optional.of(Path.of("x")), both.file());
    TraceOption file = TraceOption.parse("virtio,file=y");
    assertThrows(IllegalArgumentException.class, () -> both.and(file));
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "port",
        "ports=x",
        "ports=5-4",
        "ports=1-2-3",
        "ports=-1",
        "ports,limit=0",
        "ports,limit=1,last=1",
        "ports,last=1000001",
        "ports,file=",
        "ports,file=a,file=b"
      })
  void refusesWhatItDoesNotKnow(String text) {
    assertThrows(IllegalArgumentException.class, () -> TraceOption.parse(text));
  }

  private TraceLines open(String option) throws IOException {
    return new TraceLines(TraceOption.parse(option), lines::add, troubles::add);
  }

  @Test
  void aTraceIsCutAtItsLimitAndSaysSoOnce() throws Exception {
    try (TraceLines trace = open("ports,limit=3")) {
      for (int i = 0; i < 10; i++) {
        trace.accept("line " + i);
      }
    }
    assertEquals(
        List.of("line 0", "line 1", "line 2", "the trace is cut here, at its limit of lines"),
        lines);
  }

  @Test
  void theLastLinesAreWrittenAtTheEnd() throws Exception {
    try (TraceLines trace = open("ports,last=2")) {
      for (int i = 0; i < 10; i++) {
        trace.accept("line " + i);
      }
      assertTrue(lines.isEmpty());
    }
    assertEquals(List.of("the trace is cut: 8 lines came before these", "line 8", "line 9"), lines);
  }

  @Test
  void aTraceGoesToItsFile(@TempDir Path folder) throws Exception {
    Path file = folder.resolve("trace");
    TraceOption option = TraceOption.parse("msrs");
    try (TraceLines trace =
        new TraceLines(
            new TraceOption(option.wanted(), Optional.of(file), Optional.empty(), Optional.empty()),
            lines::add,
            troubles::add)) {
      trace.accept("one");
      trace.accept("two");
    }
    assertEquals(List.of("one", "two"), Files.readAllLines(file));
    assertTrue(lines.isEmpty() && troubles.isEmpty());
    assertThrows(IOException.class, () -> open("msrs,file=" + folder));
  }

  @Test
  void whoTracesProcessorsGetsAnEngineInSoftwareOrIsTold() {
    VmException refused =
        assertThrows(
            VmException.class,
            () ->
                Vm.builder()
                    .kernel(Path.of("/dev/null"))
                    .network(new NetworkOption.None())
                    .engine(Engines.VERIFY)
                    .trace(TraceOption.parse("exceptions"), lines::add)
                    .build()
                    .close());
    assertTrue(refused.getMessage().contains("exceptions"), refused.getMessage());
  }
}
