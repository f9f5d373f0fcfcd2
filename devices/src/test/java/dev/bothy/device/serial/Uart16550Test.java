package dev.bothy.device.serial;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.bothy.device.TestClock;
import dev.bothy.device.TestWire;
import java.io.ByteArrayOutputStream;
import java.util.Random;
import org.junit.jupiter.api.Test;

class Uart16550Test {
  private final TestClock clock = new TestClock();
  private final TestWire irq = new TestWire();
  private final ByteArrayOutputStream sent = new ByteArrayOutputStream();
  private final Uart16550 uart = new Uart16550("serial0", clock, irq, sent::write);

  private void open() {
    uart.writeByte(3, 0x80);
    uart.writeByte(0, 1);
    uart.writeByte(1, 0);
    uart.writeByte(3, 3);
    uart.writeByte(2, 0x81);
    uart.writeByte(4, 0x0b);
  }

  private void offer(String text) {
    assertEquals(text.length(), uart.offer(text.getBytes(), 0, text.length()));
  }

  @Test
  void probesAsA16550A() {
    uart.writeByte(1, 0xff);
    assertEquals(0x0f, uart.readByte(1));
    uart.writeByte(1, 0);
    uart.writeByte(4, 0x1a);
    assertEquals(0x90, uart.readByte(6) & 0xf0);
    uart.writeByte(4, 0);
    uart.writeByte(2, 1);
    assertEquals(0xc1, uart.readByte(2));
    uart.writeByte(7, 0x5a);
    assertEquals(0x5a, uart.readByte(7));
    assertEquals(0x60, uart.readByte(5));
    assertEquals(0xb0, uart.readByte(6) & 0xf0);
  }

  @Test
  void bytesWrittenGoOut() {
    open();
    uart.write(0, 1, 'h');
    uart.write(0, 1, 'i');
    assertEquals("hi", sent.toString());
  }

  @Test
  void transmitterInterrupt() {
    open();
    uart.writeByte(1, 2);
    assertTrue(irq.high);
    assertEquals(0xc2, uart.readByte(2));
    assertFalse(irq.high);
    assertEquals(0xc1, uart.readByte(2));
    uart.writeByte(0, 'x');
    assertTrue(irq.high);
    assertEquals(0xc2, uart.readByte(2));
    uart.writeByte(1, 0);
    uart.writeByte(1, 2);
    assertTrue(irq.high); // enabling it raises it again
  }

  @Test
  void interruptsNeedOut2() {
    open();
    uart.writeByte(4, 3);
    uart.writeByte(1, 2);
    assertFalse(irq.high);
    uart.writeByte(4, 0x0b);
    assertTrue(irq.high);
  }

  @Test
  void fewBytesComeAsTimeoutManyAsData() {
    open();
    uart.writeByte(1, 1);
    offer("ab");
    assertTrue(irq.high);
    assertEquals(0xcc, uart.readByte(2));
    assertEquals('a', uart.readByte(0));
    assertEquals('b', uart.readByte(0));
    assertFalse(irq.high);
    clock.advance(1_000_000);
    offer("0123456789");
    assertEquals(0xc4, uart.readByte(2));
  }

  @Test
  void nothingIsLostWhateverTheGuestsPace() {
    open();
    uart.writeByte(1, 1);
    Random random = new Random(5);
    byte[] input = new byte[100_000];
    random.nextBytes(input);
    ByteArrayOutputStream got = new ByteArrayOutputStream();
    int[] rooms = {0};
    uart.onRoom(() -> rooms[0]++);
    int offered = 0;
    int told = -1;
    long start = clock.nanos();
    while (got.size() < input.length) {
      if (told != rooms[0]) {
        told = rooms[0];
        offered += uart.offer(input, offered, Math.min(5000, input.length - offered));
      }
      clock.advance(random.nextInt(3_000_000));
      if (irq.high) {
        for (int i = random.nextInt(20); i >= 0 && (uart.readByte(5) & 1) != 0; i--) {
          got.write(uart.readByte(0));
        }
      }
      if (random.nextInt(1000) == 0) {
        uart.writeByte(2, 0x83); // a driver resets the FIFOs
      }
    }
    assertArrayEquals(input, got.toByteArray());
    assertTrue(rooms[0] > 10);
    // No faster than the line: 86.8 us a byte.
    assertTrue(clock.nanos() - start >= 99_000 * 86_800L);
  }

  @Test
  void inputWaitsUntilTheGuestListens() {
    offer("wait");
    assertEquals(0x60, uart.readByte(5));
    uart.readByte(0);
    open();
    uart.writeByte(1, 1);
    StringBuilder got = new StringBuilder();
    while ((uart.readByte(5) & 1) != 0) {
      got.append((char) uart.readByte(0));
    }
    assertEquals("wait", got.toString());
  }

  @Test
  void queueIsBounded() {
    assertEquals(Uart16550.QUEUE, uart.offer(new byte[10_000], 0, 10_000));
    assertEquals(0, uart.room());
    assertEquals(0, uart.offer(new byte[1], 0, 1));
  }

  @Test
  void loopReturnsBytesAndOverruns() {
    open();
    uart.writeByte(4, 0x10);
    for (int i = 0; i < 17; i++) {
      uart.writeByte(0, i);
    }
    assertEquals(0, sent.size());
    assertEquals(0x63, uart.readByte(5));
    assertEquals(0x61, uart.readByte(5));
    for (int i = 0; i < 16; i++) {
      assertEquals(i, uart.readByte(0));
    }
    assertEquals(0x60, uart.readByte(5));
  }

  @Test
  void modemStatusInterrupt() {
    open();
    uart.writeByte(4, 0x10);
    uart.readByte(6);
    uart.writeByte(4, 0x13);
    assertEquals(0x33, uart.readByte(6));
    uart.writeByte(1, 8);
    uart.writeByte(4, 0x0b);
    assertTrue(irq.high);
    assertEquals(0xc0, uart.readByte(2));
    uart.readByte(6);
    assertFalse(irq.high);
  }
}
