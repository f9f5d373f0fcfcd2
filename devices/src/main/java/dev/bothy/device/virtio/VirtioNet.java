package dev.bothy.device.virtio;

import dev.bothy.core.GuestMemory;
import dev.bothy.core.state.StateException;
import dev.bothy.core.state.StateReader;
import dev.bothy.core.state.StateWriter;
import dev.bothy.net.Frame;
import dev.bothy.net.MacAddress;
import dev.bothy.net.Network;
import dev.bothy.net.NetworkCard;
import dev.bothy.net.Offload;
import dev.bothy.net.Offloads;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Executor;

/**
 * Network card: Virtual I/O Device (VIRTIO) 1.2, section 5.1. Checksums and segmentation are left
 * to the network on the other end of the cable; received frames may take several buffers. With
 * several pairs of queues, a flow is received on the pair that it was last sent on (5.1.6.5.6).
 * There is no filter: the driver gets what the network sends here.
 *
 * <p>What is not offered would cost drivers commands or checks and gain them nothing: receive
 * filters (CTRL_RX, CTRL_VLAN: a user network sends only what is for the guest or for all, and what
 * a tap interface has beyond that, drivers drop themselves), an MTU (drivers assume Ethernet's
 * 1500, which user networks have), speed and duplex (there is no such limit), announcements
 * (networks save no state, and learn from its first frame where a loaded guest is), UFO and USO
 * (drivers cut large datagrams themselves, and send few).
 */
public final class VirtioNet extends VirtioDevice implements NetworkCard {
  private static final int DEVICE = 1;
  private static final int QUEUE_SIZE = 256;

  // Features (5.1.3).
  private static final long F_CSUM = 1L;
  private static final long F_GUEST_CSUM = 1L << 1;
  private static final long F_CTRL_GUEST_OFFLOADS = 1L << 2;
  private static final long F_MAC = 1L << 5;
  private static final long F_GUEST_TSO4 = 1L << 7;
  private static final long F_GUEST_TSO6 = 1L << 8;
  private static final long F_HOST_TSO4 = 1L << 11;
  private static final long F_HOST_TSO6 = 1L << 12;
  private static final long F_MRG_RXBUF = 1L << 15;
  private static final long F_STATUS = 1L << 16;
  private static final long F_CTRL_VQ = 1L << 17;
  private static final long F_MQ = 1L << 22;
  private static final long F_CTRL_MAC_ADDR = 1L << 23;
  private static final long GUEST_OFFLOADS = F_GUEST_CSUM | F_GUEST_TSO4 | F_GUEST_TSO6;

  private static final long OFFERED =
      PACKED_RINGS
          | F_CSUM
          | GUEST_OFFLOADS
          | F_CTRL_GUEST_OFFLOADS
          | F_MAC
          | F_HOST_TSO4
          | F_HOST_TSO6
          | F_MRG_RXBUF
          | F_STATUS
          | F_CTRL_VQ
          | F_CTRL_MAC_ADDR;

  // Configuration space (5.1.4): address, status, number of pairs.
  private static final int MAC_LENGTH = 6;
  private static final int STATUS = 6;
  private static final int MAX_PAIRS = 8;
  private static final int CONFIG_SIZE = 10;
  private static final int LINK_UP = 1;

  // What each frame begins with (5.1.6).
  private static final int HEADER = 12;
  private static final int FLAGS = 0;
  private static final int GSO_TYPE = 1;
  private static final int HEADER_LENGTH = 2;
  private static final int GSO_SIZE = 4;
  private static final int CHECKSUM_START = 6;
  private static final int CHECKSUM_OFFSET = 8;
  private static final int NUM_BUFFERS = 10;
  private static final int NEEDS_CSUM = 1;
  private static final int DATA_VALID = 2;
  private static final int GSO_NONE = 0;
  private static final int GSO_TCPV4 = 1;
  private static final int GSO_TCPV6 = 4;
  private static final int GSO_ECN = 0x80;

  // Control commands (5.1.6.5): class and command.
  private static final int SET_MAC_ADDRESS = 0x0101;
  private static final int SET_PAIRS = 0x0400;
  private static final int SET_GUEST_OFFLOADS = 0x0500;
  private static final int CONTROL_OK = 0;
  private static final int CONTROL_ERROR = 1;

  private final Network network;
  private final int maxPairs;
  private final MacAddress initialAddress;
  private final FlowTable flows = new FlowTable();

  private volatile MacAddress address;
  private volatile int pairs = 1;

  /** Offloads that the driver takes now, as feature bits. */
  private volatile long guestOffloads;

  private volatile boolean mergeable;

  private final FrameCounts counts = new FrameCounts(() -> address().toString());

  /**
   * @param network belongs to this card from now on, and is closed with it
   * @param pairs of queues, 1 to 256
   * @param io what runs the network's side of sending
   */
  public VirtioNet(
      GuestMemory memory, Executor io, Network network, MacAddress address, int pairs) {
    super(
        "virtio-net",
        DEVICE,
        OFFERED | (pairs > 1 ? F_MQ : 0),
        2 * pairs + 1,
        QUEUE_SIZE,
        memory,
        io);
    this.network = network;
    this.maxPairs = pairs;
    this.initialAddress = address;
    this.address = address;
  }

  private MacAddress address() {
    return address;
  }

  /** Plugs the card into its network; once, before the machine starts. */
  public void plugIn() {
    network.attach(this);
  }

  @Override
  protected int configSize() {
    return CONFIG_SIZE;
  }

  @Override
  protected int readConfig(int at) {
    if (at < MAC_LENGTH) {
      return address.bytes()[at];
    }
    int status = network.linkUp() ? LINK_UP : 0;
    return at < MAX_PAIRS ? status >>> 8 * (at - STATUS) : maxPairs >>> 8 * (at - MAX_PAIRS);
  }

  @Override
  protected void started(long features) {
    mergeable = (features & F_MRG_RXBUF) != 0;
    setGuestOffloads(features & GUEST_OFFLOADS);
  }

  @Override
  protected void resumed() {
    mergeable = has(F_MRG_RXBUF);
    setGuestOffloads(guestOffloads);
  }

  private void setGuestOffloads(long offloads) {
    guestOffloads = offloads;
    boolean checksum = (offloads & F_GUEST_CSUM) != 0;
    network.accept(
        new Offloads(
            checksum,
            checksum && (offloads & F_GUEST_TSO4) != 0,
            checksum && (offloads & F_GUEST_TSO6) != 0));
  }

  private boolean receives(Virtqueue queue) {
    return queue.index() % 2 == 0 && queue.index() != controlQueue();
  }

  /** The last one that the driver knows of (5.1.2). */
  private int controlQueue() {
    return has(F_MQ) ? 2 * maxPairs : 2;
  }

  @Override
  protected void serve(Virtqueue queue) throws VirtqueueException {
    if (receives(queue)) {
      // There is room again; whether it is enough, the frame that waits will tell.
      queue.wantNotifications(false);
      network.receiveReady();
    } else {
      super.serve(queue);
    }
  }

  @Override
  protected boolean handle(Virtqueue queue, DescriptorChain chain) throws VirtqueueException {
    if (queue.index() == controlQueue()) {
      control(queue, chain);
    } else {
      send(queue.index() / 2, chain.readable());
      queue.complete(chain, 0);
    }
    return true;
  }

  // Sending (5.1.6.2).

  private void send(int pair, Buffers packet) throws VirtqueueException {
    if (packet.length() < HEADER) {
      throw new VirtqueueException("a frame without its header");
    }
    byte[] header = packet.read(0, HEADER);
    long length = packet.length() - HEADER;
    Offload offload = offload(header);
    if (offload == null || length == 0 || length > Frame.MAX_LENGTH) {
      return;
    }
    Frame frame = new Frame(offload, packet.from(HEADER).segments().toArray(MemorySegment[]::new));
    if (pairs > 1) {
      flows.sent(frame, pair);
    }
    counts.sent(length);
    network.transmit(frame);
  }

  /** What the header says is unfinished; null for what nobody knows. */
  private static Offload offload(byte[] header) {
    Offload.Segmentation segmentation;
    switch (header[GSO_TYPE] & 0xff & ~GSO_ECN) {
      case GSO_NONE -> segmentation = Offload.Segmentation.NONE;
      case GSO_TCPV4 -> segmentation = Offload.Segmentation.TCP_IPV4;
      case GSO_TCPV6 -> segmentation = Offload.Segmentation.TCP_IPV6;
      default -> {
        return null;
      }
    }
    boolean partial = (header[FLAGS] & NEEDS_CSUM) != 0;
    if (!partial && segmentation == Offload.Segmentation.NONE) {
      return Offload.NONE;
    }
    return new Offload(
        partial ? Offload.Checksum.PARTIAL : Offload.Checksum.IN_FRAME,
        getShort(header, CHECKSUM_START),
        getShort(header, CHECKSUM_OFFSET),
        segmentation,
        getShort(header, HEADER_LENGTH),
        getShort(header, GSO_SIZE));
  }

  private static int getShort(byte[] bytes, int at) {
    return bytes[at] & 0xff | (bytes[at + 1] & 0xff) << 8;
  }

  private static void putShort(byte[] bytes, int at, int value) {
    bytes[at] = (byte) value;
    bytes[at + 1] = (byte) (value >>> 8);
  }

  // Receiving (5.1.6.4).

  @Override
  public boolean receive(Frame frame) {
    if (!running()) {
      return true;
    }
    if (!enter()) {
      return false;
    }
    try {
      Virtqueue queue = queue(2 * (pairs > 1 ? flows.pairOf(frame) % pairs : 0));
      return !queue.enabled() || deliver(queue, frame);
    } catch (VirtqueueException e) {
      fail();
      return true;
    } finally {
      leave();
    }
  }

  /** False if there are not enough buffers, and the driver will notify when there are more. */
  private boolean deliver(Virtqueue queue, Frame frame) throws VirtqueueException {
    long needed = (long) HEADER + frame.length();
    List<DescriptorChain> chains = new ArrayList<>(4);
    long room = 0;
    boolean asked = false;
    while (room < needed) {
      DescriptorChain chain = mergeable || chains.isEmpty() ? queue.poll() : null;
      if (chain != null) {
        chains.add(chain);
        room += chain.writable().length();
        if (chain.writable().length() < (chains.size() == 1 ? HEADER : 1)) {
          throw new VirtqueueException("a buffer too small to receive anything");
        }
      } else if (!mergeable && !chains.isEmpty() || queue.exhausted()) {
        // It will never fit: lost.
        undo(queue, chains);
        return true;
      } else if (asked) {
        undo(queue, chains);
        return false;
      } else {
        queue.wantNotifications(true);
        asked = true;
      }
    }
    if (asked) {
      queue.wantNotifications(false);
    }
    fill(queue, frame, chains);
    counts.received(frame.length());
    publish(queue);
    return true;
  }

  private static void undo(Virtqueue queue, List<DescriptorChain> chains) {
    chains.reversed().forEach(queue::undo);
  }

  private void fill(Virtqueue queue, Frame frame, List<DescriptorChain> chains) {
    byte[] header = header(frame.offload());
    putShort(header, NUM_BUFFERS, chains.size());
    chains.getFirst().writable().write(0, header, 0, HEADER);
    int done = 0;
    for (int i = 0; i < chains.size(); i++) {
      DescriptorChain chain = chains.get(i);
      int skip = i == 0 ? HEADER : 0;
      int bytes = (int) Math.min(chain.writable().length() - skip, frame.length() - done);
      int at = done;
      for (MemorySegment piece : chain.writable().slice(skip, bytes).segments()) {
        frame.copyTo(at, piece, 0, (int) piece.byteSize());
        at += (int) piece.byteSize();
      }
      done = at;
      queue.complete(chain, skip + bytes);
    }
  }

  private byte[] header(Offload offload) {
    byte[] header = new byte[HEADER];
    if ((guestOffloads & F_GUEST_CSUM) == 0) {
      return header;
    }
    header[FLAGS] =
        switch (offload.checksum()) {
          case IN_FRAME -> 0;
          case VERIFIED -> DATA_VALID;
          case PARTIAL -> NEEDS_CSUM;
        };
    if (offload.checksum() == Offload.Checksum.PARTIAL) {
      putShort(header, CHECKSUM_START, offload.checksumStart());
      putShort(header, CHECKSUM_OFFSET, offload.checksumOffset());
    }
    if (offload.segmentation() != Offload.Segmentation.NONE) {
      boolean four = offload.segmentation() == Offload.Segmentation.TCP_IPV4;
      header[GSO_TYPE] = (byte) (four ? GSO_TCPV4 : GSO_TCPV6);
      putShort(header, HEADER_LENGTH, offload.headerLength());
      putShort(header, GSO_SIZE, offload.segmentSize());
    }
    return header;
  }

  @Override
  public void linkChanged(boolean up) {
    configChanged();
  }

  // Control (5.1.6.5).

  private void control(Virtqueue queue, DescriptorChain chain) throws VirtqueueException {
    Buffers command = chain.readable();
    Buffers answer = chain.writable();
    if (command.length() < 2 || answer.length() < 1) {
      throw new VirtqueueException("a control command without its head or its answer");
    }
    int what = command.getByte(0) << 8 | command.getByte(1);
    boolean done = control(what, command.from(2));
    answer.putByte(0, done ? CONTROL_OK : CONTROL_ERROR);
    queue.complete(chain, 1);
  }

  private boolean control(int command, Buffers data) {
    switch (command) {
      case SET_MAC_ADDRESS -> {
        if (!has(F_CTRL_MAC_ADDR) || data.length() != MAC_LENGTH) {
          return false;
        }
        long value = 0;
        for (byte b : data.read(0, MAC_LENGTH)) {
          value = value << 8 | b & 0xff;
        }
        address = new MacAddress(value);
        return true;
      }
      case SET_PAIRS -> {
        int wanted = data.length() == 2 ? data.getShort(0) : 0;
        if (!has(F_MQ) || wanted < 1 || wanted > maxPairs) {
          return false;
        }
        pairs = wanted;
        return true;
      }
      case SET_GUEST_OFFLOADS -> {
        long wanted = data.length() == 8 ? data.getLong(0) : -1;
        boolean needsChecksum = (wanted & ~F_GUEST_CSUM) != 0;
        if (!has(F_CTRL_GUEST_OFFLOADS)
            || (wanted & ~GUEST_OFFLOADS) != 0
            || !has(wanted)
            || needsChecksum && (wanted & F_GUEST_CSUM) == 0) {
          return false;
        }
        setGuestOffloads(wanted);
        return true;
      }
      default -> {
        return false;
      }
    }
  }

  // Life.

  @Override
  protected void resetDevice() {
    address = initialAddress;
    pairs = 1;
    guestOffloads = 0;
    flows.clear();
    network.accept(Offloads.NONE);
    // A frame that was refused for lack of room is dropped when it comes again.
    network.receiveReady();
  }

  @Override
  protected void machineReset() {
    network.reset();
  }

  /** Ends all work and unplugs the network, which is closed. */
  @Override
  public void close() {
    super.close();
    counts.close();
    network.close();
  }

  @Override
  protected void saveDevice(StateWriter out) {
    out.putLong(address.value()).putInt(pairs).putLong(guestOffloads);
  }

  @Override
  protected void loadDevice(StateReader in) throws StateException {
    long value = in.getLong();
    if (value >>> 48 != 0) {
      throw in.damaged("an Ethernet address of more than 48 bits");
    }
    address = new MacAddress(value);
    pairs = in.getInt(1, maxPairs);
    guestOffloads = in.getLong() & GUEST_OFFLOADS;
  }
}
