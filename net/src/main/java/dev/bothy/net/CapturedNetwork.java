package dev.bothy.net;

/** A network all of whose frames are written down on their way. */
public final class CapturedNetwork implements Network {
  private final Network network;
  private final PacketCapture capture;

  /** Both are closed with this. */
  public CapturedNetwork(Network network, PacketCapture capture) {
    this.network = network;
    this.capture = capture;
  }

  @Override
  public void attach(NetworkCard card) {
    network.attach(
        new NetworkCard() {
          @Override
          public boolean receive(Frame frame) {
            boolean taken = card.receive(frame);
            if (taken) {
              capture.write(frame);
            }
            return taken;
          }

          @Override
          public void linkChanged(boolean up) {
            card.linkChanged(up);
          }
        });
  }

  @Override
  public void transmit(Frame frame) {
    capture.write(frame);
    network.transmit(frame);
  }

  @Override
  public void receiveReady() {
    network.receiveReady();
  }

  @Override
  public void accept(Offloads offloads) {
    network.accept(offloads);
  }

  @Override
  public void reset() {
    network.reset();
  }

  @Override
  public boolean linkUp() {
    return network.linkUp();
  }

  @Override
  public void close() {
    network.close();
    capture.close();
  }
}
