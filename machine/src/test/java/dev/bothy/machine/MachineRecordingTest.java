package dev.bothy.machine;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;

import dev.bothy.core.Exit;
import dev.bothy.machine.boot.BootState;
import java.nio.file.Path;
import java.util.Comparator;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicInteger;
import jdk.jfr.Recording;
import jdk.jfr.consumer.RecordedEvent;
import jdk.jfr.consumer.RecordingFile;
import jdk.jfr.consumer.RecordingStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

@Timeout(600)
class MachineRecordingTest {
  private final AtomicInteger loads = new AtomicInteger();

  private MachineOptions options(String name) {
    return MachineOptions.of(
            4 << 20,
            environment -> new ScriptedEngine(environment, (cpu, _) -> cpu.spin()),
            _ -> {
              loads.incrementAndGet();
              return new BootState(BootState.Mode.PROTECTED, 0x10_0000, 0, 0, 0, 0);
            },
            _ -> {})
        .withName(name);
  }

  @Test
  void theLifeOfAMachineIsRecorded(@TempDir Path folder) throws Exception {
    Path file = folder.resolve("life.jfr");
    try (Recording recording = new Recording()) {
      recording.enable("dev.bothy.MachineLifeCycle");
      recording.start();
      try (Machine machine = new Machine(options("recorded"))) {
        machine.start();
        machine.pause();
        machine.pause();
        machine.resume();
        machine.reset();
        while (loads.get() < 2) {
          Thread.onSpinWait();
        }
        machine.pause();
        machine.resume();
        machine.stop();
        machine.awaitExit();
      }
      recording.stop();
      recording.dump(file);
    }
    List<RecordedEvent> events =
        RecordingFile.readAllEvents(file).stream()
            .filter(event -> event.getString("machine").equals("recorded"))
            .sorted(Comparator.comparing(RecordedEvent::getStartTime))
            .toList();
    List<String> changes = events.stream().map(event -> event.getString("change")).toList();
    assertEquals(List.of("start", "pause", "resume", "reset", "pause", "resume", "stop"), changes);
    assertEquals("Stopped", events.getLast().getString("reason"));
  }

  @Test
  void exitsAreCountedWhileSomebodyListens() throws Exception {
    CountDownLatch seen = new CountDownLatch(1);
    try (RecordingStream stream = new RecordingStream();
        Machine machine =
            new Machine(
                MachineOptions.of(
                        4 << 20,
                        environment -> new ScriptedEngine(environment, (_, _) -> new Exit.Kicked()),
                        _ -> new BootState(BootState.Mode.PROTECTED, 0x10_0000, 0, 0, 0, 0),
                        _ -> {})
                    .withName("counted"))) {
      stream.enable("dev.bothy.VcpuExits").withPeriod(java.time.Duration.ofMillis(20));
      stream.onEvent(
          "dev.bothy.VcpuExits",
          event -> {
            if (event.getString("machine").equals("counted")
                && event.getString("kind").equals("kick")
                && event.getLong("count") > 0) {
              seen.countDown();
            }
          });
      stream.startAsync();
      machine.start();
      seen.await();
      assertFalse(machine.awaitExit(java.time.Duration.ofMillis(1)).isPresent());
    }
  }
}
