package dev.bothy.device.virtio;

import dev.bothy.core.BusDevice;

/**
 * A device's configuration space as a driver sees it: Virtual I/O Device (VIRTIO) 1.2, section 2.5.
 * Beyond its end, reads give zeros.
 */
final class DeviceConfiguration implements BusDevice {
  private final VirtioDevice device;

  DeviceConfiguration(VirtioDevice device) {
    this.device = device;
  }

  @Override
  public long read(long offset, int size) {
    long value = 0;
    for (int i = 0; i < size; i++) {
      int at = (int) offset + i;
      int b = at < device.configSize() ? device.readConfig(at) & 0xff : 0;
      value |= (long) b << 8 * i;
    }
    return value;
  }

  @Override
  public void write(long offset, int size, long value) {
    for (int i = 0; i < size; i++) {
      int at = (int) offset + i;
      if (at < device.configSize()) {
        device.writeConfig(at, (int) (value >>> 8 * i) & 0xff);
      }
    }
  }
}
