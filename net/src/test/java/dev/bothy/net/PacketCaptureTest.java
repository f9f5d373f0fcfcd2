package dev.bothy.net;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

final class PacketCaptureTest {
  @TempDir Path folder;

  private static byte[] frame(int size) {
    byte[] bytes = new byte[size];
    java.util.Arrays.fill(bytes, (byte) size);
    return bytes;
  }

  @Test
  void writesFramesOfBothDirectionsAsTheyCome() throws IOException {
    Path file = folder.resolve("net.pcap");
    List<NetworkCard> cards = new ArrayList<>();
    Network nothing =
        new Network() {
          @Override
          public void attach(NetworkCard card) {
            cards.add(card);
          }

          @Override
          public void transmit(Frame frame) {}

          @Override
          public void receiveReady() {}

          @Override
          public void accept(Offloads offloads) {}

          @Override
          public boolean linkUp() {
            return true;
          }

          @Override
          public void close() {}
        };
    boolean[] room = {false};
    try (CapturedNetwork network =
        new CapturedNetwork(nothing, new PacketCapture(file, 1 << 20, _ -> {}))) {
      network.attach(
          new NetworkCard() {
            @Override
            public boolean receive(Frame frame) {
              return room[0];
            }

            @Override
            public void linkChanged(boolean up) {}
          });
      network.transmit(Frame.of(frame(60)));
      // Refused and offered again, it is one frame.
      cards.getFirst().receive(Frame.of(frame(70)));
      room[0] = true;
      cards.getFirst().receive(Frame.of(frame(70)));
    }
    ByteBuffer bytes = ByteBuffer.wrap(Files.readAllBytes(file)).order(ByteOrder.LITTLE_ENDIAN);
    assertEquals(0xa1b23c4d, bytes.getInt());
    assertEquals(2, bytes.getShort());
    assertEquals(4, bytes.getShort());
    bytes.position(20);
    assertEquals(1, bytes.getInt());
    for (int size : new int[] {60, 70}) {
      bytes.position(bytes.position() + 8);
      assertEquals(size, bytes.getInt());
      assertEquals(size, bytes.getInt());
      byte[] content = new byte[size];
      bytes.get(content);
      assertArrayEquals(frame(size), content);
    }
    assertEquals(0, bytes.remaining());
  }

  @Test
  void staysBelowItsLimitAndSaysSoOnce() throws IOException {
    Path file = folder.resolve("net.pcap");
    List<String> warnings = new ArrayList<>();
    try (PacketCapture capture = new PacketCapture(file, 1000, warnings::add)) {
      for (int i = 0; i < 100; i++) {
        capture.write(Frame.of(frame(100)));
      }
      capture.flush();
      assertEquals(24 + 8 * 116, Files.size(file));
    }
    assertEquals(1, warnings.size());
    assertTrue(warnings.getFirst().contains("net.pcap"), warnings.getFirst());
  }
}
