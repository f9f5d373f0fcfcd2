package dev.bothy.core;

import java.util.List;
import java.util.concurrent.atomic.AtomicInteger;

/** A device with one doorbell, which counts how often it rings; nothing else has an effect. */
final class RingingDevice implements BusDevice {
  final AtomicInteger rung = new AtomicInteger();
  final Doorbell bell;

  /**
   * @param offset of the doorbell in the device's range
   * @param size of the doorbell, in bytes
   */
  RingingDevice(long offset, int size) {
    bell = new Doorbell(offset, size, rung::incrementAndGet);
  }

  @Override
  public long read(long offset, int size) {
    return 0;
  }

  @Override
  public void write(long offset, int size, long value) {}

  @Override
  public List<Doorbell> doorbells() {
    return List.of(bell);
  }
}
