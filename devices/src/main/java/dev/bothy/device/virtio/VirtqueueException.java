package dev.bothy.device.virtio;

/**
 * A driver has put into a virtqueue what no device can work with. The device needs a reset; nothing
 * else is affected.
 */
public final class VirtqueueException extends Exception {
  private static final long serialVersionUID = 1L;

  public VirtqueueException(String message) {
    super(message);
  }
}
