package dev.bothy.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.bothy.device.virtio.VirtioBalloon.Statistic;
import dev.bothy.machine.MachineExit;
import dev.bothy.machine.MachineStatistics;
import dev.bothy.x86.translate.Leave;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.OptionalLong;
import org.junit.jupiter.api.Test;

class SummaryTest {
  private static final MemoryFigures MEMORY =
      new MemoryFigures(
          300L << 20,
          Map.of(Statistic.TOTAL_MEMORY, 973L << 20, Statistic.FREE_MEMORY, 900L << 20));

  private static MachineStatistics statistics(String engine, Map<String, Long> counters) {
    return new MachineStatistics(
        engine,
        2_000_000,
        counters,
        List.of(),
        1_500_000_000L,
        2_250_000_000L,
        OptionalLong.of(250_000_000L));
  }

  private static Map<String, Long> translated() {
    Map<String, Long> counters = new HashMap<>();
    counters.put("blocksTranslated", 1_200L);
    counters.put("instructionsTranslated", 6_000L);
    counters.put("translationNanos", 20_000_000L);
    counters.put("coldInstructionsTranslated", 5_000L);
    counters.put("coldTranslationNanos", 18_000_000L);
    counters.put("guestBytesTranslated", 20_000L);
    counters.put("hostBytesWritten", 110_000L);
    counters.put("left." + Leave.name(Leave.MISS_READ), 30L);
    counters.put("left." + Leave.name(Leave.MISS_WRITE), 10L);
    counters.put("left." + Leave.name(Leave.INTERPRET), 60L);
    for (int i = 1; i <= 12; i++) {
      counters.put("interpreted.OP" + i, (long) i);
    }
    return counters;
  }

  /** The row that starts with {@code name}, with single blanks. */
  private static String row(String table, String name) {
    return table
        .lines()
        .map(line -> line.strip().replaceAll(" +", " "))
        .filter(line -> line.startsWith(name))
        .findFirst()
        .orElseThrow(() -> new AssertionError(name + " is not in\n" + table));
  }

  @Test
  void showsWhatTheTranslatorDid() {
    String table =
        Summary.of(new MachineExit.PoweredOff(), statistics("translator", translated()), MEMORY);
    assertEquals("end power-off", row(table, "end"));
    assertEquals("wall time 1.500 s", row(table, "wall"));
    assertEquals("first serial output after 0.250 s", row(table, "first serial"));
    assertEquals("blocks 1,200", row(table, "blocks"));
    assertEquals("host code, bytes 110,000 5.5 for one of the guest's", row(table, "host code"));
    assertEquals("instructions a second 300,000", row(table, "instructions a second"));
    assertEquals("of the first blocks 277,778", row(table, "of the first"));
    assertEquals(
        Leave.name(Leave.MISS_READ) + " 30 30.00 %", row(table, Leave.name(Leave.MISS_READ)));
    assertEquals(
        Leave.name(Leave.INTERPRET) + " 60 60.00 %", row(table, Leave.name(Leave.INTERPRET)));
    assertEquals("all 78", row(table, "all"));
    assertEquals("op12 12 15.38 %", row(table, "op12"));
    assertTrue(table.contains("op3 ") && !table.contains("op2 "), "ten of them");
    assertFalse(table.contains("of the later"), "none were made");
    // Not counted: nothing is better than a number that is something else.
    assertFalse(table.contains("instructions executed"));
    assertFalse(table.contains("memory accesses"));
  }

  @Test
  void showsWhatGeneratedCodeCounted() {
    Map<String, Long> counters = translated();
    counters.put("blocksExecuted", 500_000L);
    counters.put("tlbLookUps", 350L);
    counters.put("tlbSharedLookUps", 150L);
    counters.put("tlbStackLookUps", 500L);
    counters.put("tlbStackMisses", 150L);
    counters.put("jumpCacheLookUps", 1_000L);
    counters.put("left." + Leave.name(Leave.JUMP), 20L);
    String table =
        Summary.of(
            new MachineExit.PoweredOff(), statistics("translator", counters), MemoryFigures.NONE);
    assertEquals("instructions executed 2,000,000", row(table, "instructions executed"));
    assertEquals("memory accesses 1,000", row(table, "memory accesses"));
    assertEquals("no look into the TLB needed 500 50.00 %", row(table, "no look"));
    assertEquals("TLB hits 460 46.00 %", row(table, "TLB hits"));
    assertEquals("TLB misses 40 4.00 %", row(table, "TLB misses"));
    assertEquals("misses 20 2.00 %", row(table, "misses"));
  }

  @Test
  void showsWhatTheGuestSaysOfItsMemory() {
    MachineStatistics statistics = statistics("interpreter", Map.of());
    String table = Summary.of(new MachineExit.PoweredOff(), statistics, MEMORY);
    assertEquals("given back to the host, in all 300 MiB", row(table, "given back"));
    assertEquals("the guest's, as it said last 973 MiB", row(table, "the guest's"));
    assertEquals("free 900 MiB", row(table, "free"));
    assertFalse(table.contains("available"), table);
    table = Summary.of(new MachineExit.PoweredOff(), statistics, MemoryFigures.NONE);
    assertEquals("given back to the host, in all 0 MiB", row(table, "given back"));
    assertFalse(table.contains("as it said"), table);
  }

  @Test
  void saysNothingOfATranslatorThatIsNotThere() {
    String table =
        Summary.of(
            new MachineExit.Stopped(),
            statistics("interpreter", Map.of("halt", 3L)),
            MemoryFigures.NONE);
    assertEquals("instructions executed 2,000,000", row(table, "instructions executed"));
    assertEquals("halts 3", row(table, "halts"));
    assertFalse(table.contains("translation"));
  }

  @Test
  void statisticsFileHasTheSameFigures() throws IOException {
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    StatisticsFile.write(
        out, new MachineExit.PoweredOff(), statistics("translator", translated()), MEMORY);
    String json = out.toString(StandardCharsets.UTF_8);
    assertTrue(json.contains("\"instructions\" : null"), json);
    assertTrue(json.contains("\"expansion\" : 5.5"), json);
    assertTrue(json.contains("\"interpreted\" : 78"), json);
    assertTrue(json.contains("\"warmInstructionsTranslatedPerSecond\" : null"), json);
    assertTrue(json.contains("\"released\" : 314572800"), json);
    assertTrue(json.contains("\"freeMemory\" : 943718400"), json);
    assertTrue(json.indexOf("\"OP12\"") < json.indexOf("\"OP11\""), json);
  }
}
