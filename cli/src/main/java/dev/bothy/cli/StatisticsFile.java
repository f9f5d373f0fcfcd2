package dev.bothy.cli;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonGenerator;
import dev.bothy.device.virtio.VirtioBalloon;
import dev.bothy.machine.MachineExit;
import dev.bothy.machine.MachineStatistics;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.file.AtomicMoveNotSupportedException;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.Locale;
import java.util.Map;
import java.util.OptionalDouble;
import java.util.regex.Pattern;

/** The file of {@code --stats}: JSON, there whole or not at all. */
final class StatisticsFile {
  private final Path path;

  private StatisticsFile(Path path) {
    this.path = path;
  }

  /**
   * A file to be written later.
   *
   * @throws IOException if it cannot be; the message says why
   */
  static StatisticsFile at(Path path) throws IOException {
    Path folder = path.toAbsolutePath().getParent();
    if (Files.isDirectory(path)) {
      throw new IOException("it is a folder");
    }
    if (folder == null || !Files.isDirectory(folder)) {
      throw new IOException("there is no folder " + folder);
    }
    boolean writable = Files.exists(path) ? Files.isWritable(path) : Files.isWritable(folder);
    if (!writable) {
      throw new IOException("no permission to write there");
    }
    return new StatisticsFile(path);
  }

  void write(MachineExit end, MachineStatistics statistics, MemoryFigures memory)
      throws IOException {
    if (Files.exists(path) && !Files.isRegularFile(path, LinkOption.NOFOLLOW_LINKS)) {
      // A pipe, a device or a link: nothing to put in its place.
      try (OutputStream out = Files.newOutputStream(path)) {
        write(out, end, statistics, memory);
      }
      return;
    }
    Path folder = path.toAbsolutePath().getParent();
    Path half = folder.resolve("." + path.getFileName() + "." + ProcessHandle.current().pid());
    try {
      try (OutputStream out = Files.newOutputStream(half)) {
        write(out, end, statistics, memory);
      }
      try {
        Files.move(half, path, StandardCopyOption.ATOMIC_MOVE);
      } catch (AtomicMoveNotSupportedException e) {
        Files.move(half, path, StandardCopyOption.REPLACE_EXISTING);
      }
    } finally {
      Files.deleteIfExists(half);
    }
  }

  /**
   * Times are in seconds. Instructions are null where the translator ran and did not count them.
   */
  static void write(
      OutputStream out, MachineExit end, MachineStatistics statistics, MemoryFigures memory)
      throws IOException {
    try (JsonGenerator json = new JsonFactory().createGenerator(out)) {
      json.useDefaultPrettyPrinter();
      json.writeStartObject();
      json.writeStringField("end", ExitStatus.name(end));
      json.writeNumberField("status", ExitStatus.of(end));
      json.writeStringField("engine", statistics.engine());
      TranslatorFigures translator = new TranslatorFigures(statistics);
      if (translator.present() && !translator.counted()) {
        json.writeNullField("instructions");
      } else {
        json.writeNumberField("instructions", statistics.instructions());
      }
      json.writeNumberField("wallSeconds", seconds(statistics.wallNanos()));
      json.writeNumberField("cpuSeconds", seconds(statistics.cpuNanos()));
      if (statistics.firstSerialNanos().isPresent()) {
        json.writeNumberField(
            "firstSerialSeconds", seconds(statistics.firstSerialNanos().getAsLong()));
      } else {
        json.writeNullField("firstSerialSeconds");
      }
      json.writeObjectFieldStart("exits");
      for (Map.Entry<String, Long> exit : statistics.exits().entrySet()) {
        json.writeNumberField(exit.getKey(), exit.getValue());
      }
      json.writeEndObject();
      if (translator.present()) {
        write(json, translator);
      }
      write(json, memory);
      json.writeArrayFieldStart("devices");
      for (MachineStatistics.DeviceAccesses device : statistics.devices()) {
        json.writeStartObject();
        json.writeStringField("device", device.device());
        json.writeStringField("space", device.space());
        if (device.base() >= 0) {
          json.writeStringField("base", "0x" + Long.toHexString(device.base()));
        }
        json.writeNumberField("reads", device.reads());
        json.writeNumberField("writes", device.writes());
        json.writeEndObject();
      }
      json.writeEndArray();
      json.writeEndObject();
      json.writeRaw('\n');
    }
  }

  /** Bytes and counts, by the names of virtio's section 5.5.6.3. */
  private static void write(JsonGenerator json, MemoryFigures memory) throws IOException {
    json.writeObjectFieldStart("guestMemory");
    json.writeNumberField("released", memory.released());
    for (VirtioBalloon.Statistic statistic : VirtioBalloon.Statistic.values()) {
      if (memory.said().containsKey(statistic)) {
        json.writeNumberField(camelCase(statistic.name()), memory.said().get(statistic));
      }
    }
    json.writeEndObject();
  }

  private static String camelCase(String constant) {
    return Pattern.compile("_([a-z])")
        .matcher(constant.toLowerCase(Locale.ROOT))
        .replaceAll(letter -> letter.group(1).toUpperCase(Locale.ROOT));
  }

  private static void write(JsonGenerator json, TranslatorFigures translator) throws IOException {
    json.writeObjectFieldStart("translator");
    json.writeNumberField("interpreted", translator.interpreted());
    write(json, "expansion", translator.expansion());
    write(json, "instructionsTranslatedPerSecond", translator.translatedPerSecond(""));
    write(json, "coldInstructionsTranslatedPerSecond", translator.translatedPerSecond("cold"));
    write(json, "warmInstructionsTranslatedPerSecond", translator.translatedPerSecond("warm"));
    if (translator.counted()) {
      json.writeNumberField("memoryAccesses", translator.accesses());
      json.writeNumberField("tlbMisses", translator.tlbMisses());
      json.writeNumberField("tlbSharedHits", translator.sharedHits());
    }
    json.writeArrayFieldStart("mostInterpreted");
    for (TranslatorFigures.Interpreted most : translator.mostInterpreted()) {
      json.writeStartObject();
      json.writeStringField("instruction", most.instruction());
      json.writeNumberField("count", most.count());
      json.writeEndObject();
    }
    json.writeEndArray();
    json.writeEndObject();
  }

  private static void write(JsonGenerator json, String name, OptionalDouble value)
      throws IOException {
    if (value.isPresent()) {
      json.writeNumberField(name, Math.round(value.getAsDouble() * 1e3) / 1e3);
    } else {
      json.writeNullField(name);
    }
  }

  private static double seconds(long nanos) {
    return nanos / 1_000 / 1e6;
  }
}
