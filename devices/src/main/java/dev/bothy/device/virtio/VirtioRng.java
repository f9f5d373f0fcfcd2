package dev.bothy.device.virtio;

import dev.bothy.core.GuestMemory;
import dev.bothy.core.state.StateException;
import dev.bothy.core.state.StateReader;
import dev.bothy.core.state.StateWriter;
import java.security.SecureRandom;
import java.util.SplittableRandom;

/**
 * Entropy device: Virtual I/O Device (VIRTIO) 1.2, section 5.4. One queue of buffers, which are
 * filled with random bytes as they come, on the thread that notifies.
 */
public final class VirtioRng extends VirtioDevice {
  private static final int DEVICE = 4;
  private static final int QUEUE_SIZE = 8;

  /** A driver gets no more at once than this, in bytes, however large its buffer. */
  private static final int PORTION = 4096;

  private final boolean reproducible;

  /** The host's; made when it is first needed, since that takes a while. */
  private SecureRandom secure;

  /** Requests so far of a reproducible device. */
  private long requests;

  /**
   * @param reproducible the same bytes in every machine: for test clocks, no entropy at all
   */
  public VirtioRng(GuestMemory memory, boolean reproducible) {
    super("virtio-rng", DEVICE, SPLIT_RINGS, 1, QUEUE_SIZE, memory, AT_ONCE);
    this.reproducible = reproducible;
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
    if (reproducible) {
      new SplittableRandom(requests++).nextBytes(bytes);
    } else {
      if (secure == null) {
        secure = new SecureRandom();
      }
      secure.nextBytes(bytes);
    }
    buffer.write(0, bytes, 0, bytes.length);
    queue.complete(chain, bytes.length);
    return true;
  }

  @Override
  protected void resetDevice() {
    requests = 0;
  }

  @Override
  protected void saveDevice(StateWriter out) {
    out.putLong(requests);
  }

  @Override
  protected void loadDevice(StateReader in) throws StateException {
    requests = in.getLong();
  }
}
