package dev.bothy.device.virtio;

import dev.bothy.net.Frame;
import dev.bothy.net.Network;
import dev.bothy.net.NetworkCard;
import dev.bothy.net.Offloads;
import java.util.ArrayList;
import java.util.List;

/** A cable whose other end the test holds. */
final class TestNetwork implements Network {
  private final int kept;
  final List<Frame> sent = new ArrayList<>();
  NetworkCard card;
  Offloads offloads = Offloads.NONE;
  int ready;
  int resets;
  boolean up = true;
  boolean closed;

  /**
   * @param kept how many frames; of what comes later every byte is read, and that is all
   */
  TestNetwork(int kept) {
    this.kept = kept;
  }

  @Override
  public void attach(NetworkCard value) {
    card = value;
  }

  @Override
  public void transmit(Frame frame) {
    Frame copy = frame.copy();
    if (sent.size() < kept) {
      sent.add(copy);
    }
  }

  @Override
  public void receiveReady() {
    ready++;
  }

  @Override
  public void accept(Offloads value) {
    offloads = value;
  }

  @Override
  public void reset() {
    resets++;
  }

  @Override
  public boolean linkUp() {
    return up;
  }

  @Override
  public void close() {
    closed = true;
  }
}
