package dev.bothy.device.virtio;

import dev.bothy.core.GuestMemory;
import dev.bothy.core.state.StateException;
import dev.bothy.core.state.StateReader;
import dev.bothy.core.state.StateWriter;
import dev.bothy.share.FuseFolder;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.concurrent.Executor;

/**
 * File system device: Virtual I/O Device (VIRTIO) 1.2, section 5.11. Its requests are those of
 * FUSE, which it hands to a {@link FuseFolder} and knows nothing about. One queue is for requests
 * that must not wait for others, FORGET and INTERRUPT; the others are for all the rest. No
 * notifications, no DAX window.
 *
 * <p>Several requests of a queue are under way at once and are answered as they are done, since one
 * may wait for the host's file system.
 */
public final class VirtioFs extends VirtioDevice {
  /** Longest tag, in bytes of UTF-8. */
  public static final int TAG_LENGTH = 36;

  private static final int DEVICE = 26;

  /** With indirect descriptors, 256 pages of data and more fit into one request. */
  private static final int QUEUE_SIZE = 512;

  /** A FUSE request begins with at least that. */
  private static final int HEADER = 40;

  // Configuration space (5.11.4).
  private static final int REQUEST_QUEUES = TAG_LENGTH;
  private static final int CONFIG_SIZE = REQUEST_QUEUES + 4;

  private final FuseFolder folder;
  private final byte[] tag;
  private final int requestQueues;

  /**
   * @param io runs what may wait for the host
   * @param folder serves the requests; not closed with the device
   * @param tag by which the guest mounts it: 1 to {@link #TAG_LENGTH} bytes of UTF-8
   * @param requestQueues from 1
   * @param atOnce requests of one queue that are under way at once, from 1
   */
  public VirtioFs(
      GuestMemory memory,
      Executor io,
      FuseFolder folder,
      String tag,
      int requestQueues,
      int atOnce) {
    super("virtio-fs", DEVICE, PACKED_RINGS, 1 + requestQueues, QUEUE_SIZE, memory, io, atOnce);
    this.folder = folder;
    byte[] bytes = tag.getBytes(StandardCharsets.UTF_8);
    if (bytes.length == 0 || bytes.length > TAG_LENGTH) {
      throw new IllegalArgumentException("a tag of " + bytes.length + " bytes");
    }
    this.tag = Arrays.copyOf(bytes, TAG_LENGTH);
    this.requestQueues = requestQueues;
  }

  @Override
  protected int configSize() {
    return CONFIG_SIZE;
  }

  @Override
  protected int readConfig(int at) {
    return at < REQUEST_QUEUES ? tag[at] : requestQueues >>> 8 * (at - REQUEST_QUEUES);
  }

  @Override
  protected boolean handle(Virtqueue queue, DescriptorChain chain) throws VirtqueueException {
    if (chain.readable().length() < HEADER) {
      throw new VirtqueueException("a FUSE request without its header");
    }
    queue.complete(chain, folder.serve(chain.readable().segments(), chain.writable().segments()));
    return true;
  }

  @Override
  protected void resetDevice() {
    folder.reset();
  }

  @Override
  protected void saveDevice(StateWriter out) {
    folder.save(out);
  }

  @Override
  protected void loadDevice(StateReader in) throws StateException {
    folder.load(in);
  }
}
