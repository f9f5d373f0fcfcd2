package dev.bothy.device.virtio;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;

import dev.bothy.core.GuestMemory;
import dev.bothy.device.virtio.DriverRing.Piece;
import dev.bothy.device.virtio.DriverRing.Used;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

class VirtioConsoleTest {
  private static final long DATA = VirtioDriver.DATA;
  private static final long CONTROL = 0x8000;
  private static final long MULTIPORT = 2;

  private final GuestMemory memory = new GuestMemory(8 << 20);
  private final StringBuilder output = new StringBuilder();
  private int room = Integer.MAX_VALUE;
  private final ConsolePort first = new ConsolePort("", true, this::take);
  private final ConsolePort second = new ConsolePort("org.agent", false, this::take);
  private final VirtioConsole device = new VirtioConsole(memory, List.of(first, second));
  private VirtioDriver driver;

  private int take(byte[] bytes, int length) {
    int taken = Math.min(room, length);
    output.append(new String(bytes, 0, taken, StandardCharsets.ISO_8859_1));
    room -= taken;
    return taken;
  }

  private void start(long features) {
    device.plugIn();
    device.resume();
    driver = new VirtioDriver(memory, device).start(features);
  }

  @AfterEach
  void close() {
    device.close();
    memory.close();
  }

  private void say(int port, int event, int value) {
    memory.writeInt(DATA, port);
    memory.writeShort(DATA + 4, event);
    memory.writeShort(DATA + 6, value);
    driver.request(3, Piece.out(DATA, 8));
  }

  private void controlBuffers(int count) {
    for (int i = 0; i < count; i++) {
      driver.rings.get(2).offer(false, Piece.in(CONTROL + 64 * i, 64));
    }
    driver.kick(2);
  }

  /** Messages by their buffers, from the first on. */
  private List<String> heard() {
    List<String> all = new ArrayList<>();
    for (Used used = driver.rings.get(2).poll(); used != null; used = driver.rings.get(2).poll()) {
      long at = CONTROL + 64L * used.id();
      String message =
          "%d:%d=%d"
              .formatted(memory.readInt(at), memory.readShort(at + 4), memory.readShort(at + 6));
      all.add(message + driver.text(at + 8, used.written() - 8));
    }
    return all;
  }

  @Test
  void portsAreAddedNamedAndOpened() {
    start(-1);
    assertEquals(2, driver.config(4, 4));
    first.resize(80, 25);
    controlBuffers(20);
    assertEquals(List.of("0:5=1\u0019\0P\0"), heard());
    say(0, 0, 1);
    assertEquals(List.of("0:1=1", "1:1=1"), heard());
    say(0, 3, 1);
    assertEquals(List.of("0:4=1", "0:5=1\u0019\0P\0", "0:6=0"), heard());
    say(1, 3, 1);
    assertEquals(List.of("1:7=1org.agent\0", "1:6=0"), heard());
    second.setOpen(true);
    assertEquals(List.of("1:6=1"), heard());
    assertEquals(80 | 25 << 16, driver.config(0, 4));
  }

  @Test
  void whatAPortHasHeardBeforeThereIsADeviceIsTold() {
    first.resize(80, 25);
    second.setOpen(true);
    start(-1);
    controlBuffers(20);
    say(0, 3, 1);
    assertEquals(List.of("0:4=1", "0:5=1\u0019\0P\0", "0:6=0"), heard());
    say(1, 3, 1);
    assertEquals(List.of("1:7=1org.agent\0", "1:6=1"), heard());
    assertEquals(80 | 25 << 16, driver.config(0, 4));
  }

  @Test
  void whatIsToBeToldWaitsForBuffersAndDoesNotPileUp() {
    start(-1);
    say(0, 0, 1);
    for (int i = 0; i < 1000; i++) {
      say(1, 3, 1);
    }
    say(9, 3, 1);
    say(-1, 6, 1);
    controlBuffers(20);
    assertEquals(List.of("0:1=1", "1:1=1", "1:7=1org.agent\0", "1:6=0"), heard());
  }

  @Test
  void outputWaitsForTheSink() {
    start(-1);
    byte[] text = "0123456789".repeat(1000).getBytes(StandardCharsets.ISO_8859_1);
    memory.write(DATA, text);
    room = 15;
    driver.send(5, Piece.out(DATA, 5000), Piece.out(DATA + 5000, 5000));
    assertEquals("012345678901234", output.toString());
    assertNull(driver.rings.get(5).poll());
    room = 5000;
    second.sinkReady();
    assertNull(driver.rings.get(5).poll());
    room = Integer.MAX_VALUE;
    second.sinkReady();
    driver.await(5);
    assertEquals("0123456789".repeat(1000), output.toString());
    driver.config(8, 4, 'x');
    assertEquals("x", output.substring(10_000, 10_001));
  }

  @Test
  void inputGoesToPortsThatTheGuestHasOpen() {
    start(-1);
    int[] asked = new int[1];
    second.onRoom(() -> asked[0]++);
    byte[] text = "hello there".getBytes(StandardCharsets.ISO_8859_1);
    driver.rings.get(4).offer(false, Piece.in(DATA + 0x100, 8));
    driver.kick(4);
    assertEquals(0, second.offer(text, 0, 11));
    int before = asked[0];
    say(1, 6, 1);
    assertEquals(before + 1, asked[0]);
    assertEquals(8, second.offer(text, 0, 11));
    assertEquals(8, driver.await(4).written());
    assertEquals("hello th", driver.text(DATA + 0x100, 8));
    driver.rings.get(4).offer(false, Piece.in(DATA + 0x100, 8));
    driver.kick(4);
    assertEquals(before + 2, asked[0]);
    say(1, 6, 0);
    assertEquals(0, second.offer(text, 8, 3));
  }

  @Test
  void aDriverThatKnowsOnePortHasTheFirst() {
    start(~MULTIPORT);
    memory.write(DATA, "out".getBytes(StandardCharsets.ISO_8859_1));
    driver.request(1, Piece.out(DATA, 3));
    assertEquals("out", output.toString());
    driver.rings.get(0).offer(false, Piece.in(DATA + 0x100, 8));
    assertEquals(2, first.offer("in".getBytes(StandardCharsets.ISO_8859_1), 0, 2));
    assertEquals("in", driver.text(DATA + 0x100, 2));
  }

  @Test
  void oneRequestKeepsNoProcessorForLong() {
    start(-1);
    Piece half = Piece.out(0x40_0000, 1 << 21);
    driver.request(5, half, half);
    assertEquals(1 << 22, output.length());
    driver.send(5, half, half, Piece.out(DATA, 1));
    assertEquals(15 | VirtioDevice.NEEDS_RESET, driver.status());
    assertEquals(1 << 22, output.length());
  }
}
