package dev.bothy.machine;

import dev.bothy.core.BusDevice;
import dev.bothy.core.state.StateException;
import dev.bothy.core.state.StateReader;
import dev.bothy.core.state.StateWriter;
import dev.bothy.device.pci.Msix;
import dev.bothy.device.pci.PciFunction;
import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;

/**
 * A card that interrupts when it is told to, and notes what its machine does with it. Registers, 4
 * bytes each: 0 identity, 4 level of the interrupt pin, 12 sends a message.
 */
final class TestCard extends PciFunction implements BusDevice {
  static final int IDENTITY = 0xed0;
  static final int VECTORS = 4;

  private static final int PIN = 4;
  private static final int MESSAGE = 12;

  final Msix msix;
  final List<String> life = new CopyOnWriteArrayList<>();

  /** Runs while the card is being paused. */
  volatile Runnable duringPause = () -> {};

  private boolean level;

  TestCard() {
    super("test-card", 0x1234, 0x0de0, 1, 0xff0000);
    addMemoryBar(0, 4096, false, false, this);
    msix = addMsix(1, VECTORS);
    addMemoryBar(2, 1 << 20, true, true, this);
    addPortBar(4, 16, this);
    setInterruptPin(0);
  }

  void raise(boolean high) {
    level = high;
    interrupt(high);
  }

  @Override
  public long read(long offset, int size) {
    return offset == 0 ? IDENTITY : offset == PIN && level ? 1 : 0;
  }

  @Override
  public void write(long offset, int size, long value) {
    if (offset == PIN) {
      raise((value & 1) != 0);
    } else if (offset == MESSAGE) {
      msix.signal((int) value);
    }
  }

  @Override
  public void resume() {
    life.add("resume");
  }

  @Override
  public void pause() {
    duringPause.run();
    life.add("pause");
  }

  @Override
  public void close() {
    life.add("close");
  }

  @Override
  protected void resetDevice() {
    level = false;
    life.add("reset");
  }

  @Override
  protected void saveDevice(StateWriter out) {
    out.putBoolean(level);
  }

  @Override
  protected void loadDevice(StateReader in) throws StateException {
    level = in.getBoolean();
  }
}
