package dev.bothy.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonToken;
import dev.bothy.machine.MachineExit;
import dev.bothy.machine.MachineStatistics;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.OptionalLong;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class StatisticsFileTest {
  private static final MachineStatistics STATISTICS =
      new MachineStatistics(
          "interpreter",
          1234,
          Map.of("halted", 5L),
          List.of(new MachineStatistics.DeviceAccesses("ports", "serial \"0\"", 0x3f8, 7, 8)),
          1_500_000_000L,
          2_250_000_000L,
          OptionalLong.empty());

  @TempDir Path folder;

  @Test
  void isJsonThatSaysEverything() throws IOException {
    Path file = folder.resolve("run.json");
    Files.writeString(file, "what was there before");
    StatisticsFile.at(file).write(new MachineExit.PoweredOff(), STATISTICS, MemoryFigures.NONE);
    Map<String, String> values = new HashMap<>();
    try (JsonParser json = new JsonFactory().createParser(file.toFile())) {
      for (JsonToken token = json.nextToken(); token != null; token = json.nextToken()) {
        if (token.isScalarValue()) {
          values.put(json.currentName(), json.getText());
        }
      }
    }
    assertEquals("power-off", values.get("end"));
    assertEquals("0", values.get("status"));
    assertEquals("interpreter", values.get("engine"));
    assertEquals("1234", values.get("instructions"));
    assertEquals("1.5", values.get("wallSeconds"));
    assertEquals("2.25", values.get("cpuSeconds"));
    assertEquals("null", values.get("firstSerialSeconds"));
    assertEquals("5", values.get("halted"));
    assertEquals("serial \"0\"", values.get("device"));
    assertEquals("0x3f8", values.get("base"));
    assertEquals("7", values.get("reads"));
    try (Stream<Path> files = Files.list(folder)) {
      assertEquals(List.of(file), files.toList());
    }
  }

  @Test
  void deviceIsWrittenToAndNotReplaced() throws IOException {
    StatisticsFile.at(Path.of("/dev/null"))
        .write(new MachineExit.Stopped(), STATISTICS, MemoryFigures.NONE);
    assertTrue(!Files.isRegularFile(Path.of("/dev/null")));
  }

  @Test
  void placesThatCannotBeWrittenAreRefused() {
    assertThrows(IOException.class, () -> StatisticsFile.at(folder));
    assertThrows(IOException.class, () -> StatisticsFile.at(folder.resolve("no/such")));
  }
}
