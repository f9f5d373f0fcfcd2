package dev.bothy.device.virtio;

import dev.bothy.core.GuestMemory;
import java.lang.foreign.MemorySegment;
import java.util.random.RandomGenerator;

/**
 * Entropy device: Virtual I/O Device (VIRTIO) 1.2, section 5.4. One queue of buffers, which are
 * filled with random bytes as they come, on the thread that notifies.
 */
public final class VirtioRng extends VirtioDevice {
  private static final int DEVICE = 4;
  private static final int QUEUE_SIZE = 8;

  /** A driver gets no more at once than this, in bytes, however large its buffer. */
  private static final int PORTION = 4096;

  private final RandomGenerator random;

  /**
   * @param random used by one thread at a time
   */
  public VirtioRng(String name, GuestMemory memory, RandomGenerator random) {
    super(name, DEVICE, SPLIT_RINGS, 1, QUEUE_SIZE, memory, Runnable::run);
    this.random = random;
  }

  @Override
  protected int configSize() {
    return 0;
  }

  @Override
  protected int readConfig(int at) {
    return 0;
  }

  @Override
  protected boolean handle(Virtqueue queue, DescriptorChain chain) throws VirtqueueException {
    Buffers buffer = chain.writable();
    if (buffer.length() == 0) {
      throw new VirtqueueException("nowhere to put random bytes");
    }
    byte[] bytes = new byte[(int) Math.min(buffer.length(), PORTION)];
    random.nextBytes(bytes);
    buffer.write(0, MemorySegment.ofArray(bytes), 0, bytes.length);
    queue.complete(chain, bytes.length);
    return true;
  }
}
