package dev.bothy.device.virtio;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.bothy.core.GuestMemory;
import dev.bothy.device.virtio.DriverRing.Piece;
import dev.bothy.image.MemoryDevice;
import dev.bothy.net.MacAddress;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.atomic.AtomicLong;
import jdk.jfr.Recording;
import jdk.jfr.consumer.RecordedEvent;
import jdk.jfr.consumer.RecordingFile;
import jdk.jfr.consumer.RecordingStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** What devices tell traces and Java's flight recorder. */
@Timeout(600)
class DeviceRecordingTest {
  private static final long DATA = VirtioDriver.DATA;

  private final List<String> lines = new ArrayList<>();

  private void write(GuestMemory memory, VirtioDriver driver, long sector, int bytes) {
    memory.writeInt(0x3000, 1);
    memory.writeLong(0x3008, sector);
    driver.request(0, Piece.out(0x3000, 16), Piece.out(DATA, bytes), Piece.in(0x3800, 1));
  }

  @Test
  void diskRequestsHaveSizeAndDuration(@TempDir Path folder) throws Exception {
    Path file = folder.resolve("disk.jfr");
    try (Recording recording = new Recording();
        GuestMemory memory = new GuestMemory(8 << 20)) {
      recording.enable("dev.bothy.DiskRequest").withoutThreshold();
      recording.start();
      VirtioBlock device =
          new VirtioBlock(
              memory,
              Runnable::run,
              new MemoryDevice(1 << 20),
              "recorded",
              VirtioBlock.Cache.WRITEBACK,
              VirtioBlock.WriteErrors.REPORT,
              1,
              1,
              _ -> {});
      device.trace(lines::add);
      device.resume();
      VirtioDriver driver = new VirtioDriver(memory, device).start(-1);
      write(memory, driver, 3, 1024);
      write(memory, driver, 1 << 30, 512);
      device.close();
      recording.stop();
      recording.dump(file);
    }
    List<RecordedEvent> events =
        RecordingFile.readAllEvents(file).stream()
            .filter(event -> "recorded".equals(event.getString("disk")))
            .toList();
    assertEquals(2, events.size());
    RecordedEvent first = events.getFirst();
    assertEquals("write", first.getString("operation"));
    assertEquals(1536, first.getLong("offset"));
    assertEquals(1024, first.getLong("size"));
    assertTrue(first.getBoolean("succeeded"));
    assertTrue(first.getDuration().toNanos() > 0);
    assertTrue(!events.getLast().getBoolean("succeeded"));
    assertEquals(
        "virtio-blk queue 0 request 0: 1040 bytes to the device, room for 1", lines.get(0));
    assertEquals("virtio-blk queue 0 request 0: done, 1 bytes written", lines.get(1));
    assertEquals(
        2, lines.stream().filter(line -> line.contains("room for")).count(), lines::toString);
  }

  @Test
  void framesAreSummedUp() throws Exception {
    AtomicLong frames = new AtomicLong();
    AtomicLong bytes = new AtomicLong();
    try (GuestMemory memory = new GuestMemory(8 << 20);
        RecordingStream stream = new RecordingStream()) {
      stream.enable("dev.bothy.NetworkFrames").withPeriod(java.time.Duration.ofMillis(20));
      stream.onEvent(
          "dev.bothy.NetworkFrames",
          event -> {
            // In this order: the frames are waited for.
            bytes.addAndGet(event.getLong("sentBytes"));
            frames.addAndGet(event.getLong("sentFrames"));
          });
      stream.startAsync();
      try (VirtioNet card =
          new VirtioNet(
              memory, Runnable::run, new TestNetwork(Integer.MAX_VALUE), MacAddress.ofCard(0), 1)) {
        card.plugIn();
        card.resume();
        VirtioDriver driver = new VirtioDriver(memory, card).start(-1);
        memory.write(DATA, new byte[12]);
        for (int i = 0; i < 3; i++) {
          driver.request(1, Piece.out(DATA, 112));
        }
        while (frames.get() < 3) {
          Thread.onSpinWait();
        }
      }
    }
    assertEquals(3, frames.get());
    assertEquals(300, bytes.get());
  }
}
