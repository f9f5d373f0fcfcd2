package dev.bothy.net;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.lang.foreign.MemorySegment;
import org.junit.jupiter.api.Test;

final class FrameTest {
  private static Frame frame(int... sizes) {
    MemorySegment[] parts = new MemorySegment[sizes.length];
    byte next = 0;
    for (int i = 0; i < sizes.length; i++) {
      byte[] bytes = new byte[sizes[i]];
      for (int j = 0; j < bytes.length; j++) {
        bytes[j] = next++;
      }
      parts[i] = MemorySegment.ofArray(bytes);
    }
    return new Frame(Offload.NONE, parts);
  }

  @Test
  void copiesAcrossPieces() {
    Frame frame = frame(3, 0, 5, 1, 7);
    assertEquals(16, frame.length());
    for (int from = 0; from <= 16; from++) {
      for (int count = 0; from + count <= 16; count++) {
        byte[] expected = new byte[count];
        for (int i = 0; i < count; i++) {
          expected[i] = (byte) (from + i);
        }
        byte[] actual = new byte[count];
        frame.copyTo(from, actual, 0, count);
        assertArrayEquals(expected, actual);
        byte[] again = new byte[count];
        frame.copyTo(from, MemorySegment.ofArray(again), 0, count);
        assertArrayEquals(expected, again);
      }
    }
  }

  @Test
  void refusesWhatIsNotThere() {
    Frame frame = frame(4, 4);
    assertThrows(IndexOutOfBoundsException.class, () -> frame.copyTo(5, new byte[9], 0, 4));
    assertThrows(IndexOutOfBoundsException.class, () -> frame.copyTo(-1, new byte[9], 0, 4));
  }

  @Test
  void refusesFramesBeyondTheLargestPacket() {
    assertEquals(Frame.MAX_LENGTH, frame(14, 65535).length());
    assertThrows(IllegalArgumentException.class, () -> frame(15, 65535));
  }

  @Test
  void readsAndPrintsEthernetAddresses() {
    MacAddress address = MacAddress.parse("52:54:00:12:34:Ab");
    assertEquals("52:54:00:12:34:ab", address.toString());
    assertEquals(address, MacAddress.parse("52-54-00-12-34-ab"));
    assertThrows(IllegalArgumentException.class, () -> MacAddress.parse("52:54:00:12:34"));
    assertThrows(IllegalArgumentException.class, () -> MacAddress.parse("52:54:00:12:34:5g"));
  }
}
