package dev.bothy.device.virtio;

import dev.bothy.core.FlightRecording;
import dev.bothy.core.GuestMemory;
import dev.bothy.core.state.StateException;
import dev.bothy.core.state.StateReader;
import dev.bothy.core.state.StateWriter;
import dev.bothy.image.BlockDevice;
import dev.bothy.image.ImageException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.concurrent.Executor;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.function.Consumer;

/**
 * Block device: Virtual I/O Device (VIRTIO) 1.2, section 5.2. Sectors of 512 bytes on a {@link
 * BlockDevice}. Several requests of a queue may be under way at once, and are answered as they are
 * done: nothing but a flush has an order, and that covers what was answered before it came.
 *
 * <p>What the disk is asked for is inside it and whole sectors; what the guest asks for and is not
 * gets an error. Data goes between the guest's buffers and the disk without a copy.
 */
public final class VirtioBlock extends VirtioDevice {
  private static final int DEVICE = 2;
  private static final int QUEUE_SIZE = 256;

  // Features (5.2.3).
  private static final long F_SEG_MAX = 1L << 2;
  private static final long F_RO = 1L << 5;
  private static final long F_BLK_SIZE = 1L << 6;
  private static final long F_FLUSH = 1L << 9;
  private static final long F_TOPOLOGY = 1L << 10;
  private static final long F_CONFIG_WCE = 1L << 11;
  private static final long F_MQ = 1L << 12;
  private static final long F_DISCARD = 1L << 13;
  private static final long F_WRITE_ZEROES = 1L << 14;

  // Configuration space (5.2.4).
  private static final int CAPACITY = 0;
  private static final int SEG_MAX = 12;
  private static final int BLK_SIZE = 20;
  private static final int PHYSICAL_BLOCK_EXPONENT = 24;
  private static final int MIN_IO_SIZE = 26;
  private static final int OPT_IO_SIZE = 28;
  private static final int WRITEBACK = 32;
  private static final int NUM_QUEUES = 34;
  private static final int MAX_DISCARD_SECTORS = 36;
  private static final int MAX_DISCARD_SEG = 40;
  private static final int DISCARD_SECTOR_ALIGNMENT = 44;
  private static final int MAX_WRITE_ZEROES_SECTORS = 48;
  private static final int MAX_WRITE_ZEROES_SEG = 52;
  private static final int WRITE_ZEROES_MAY_UNMAP = 56;
  private static final int CONFIG_SIZE = 60;

  // Requests (5.2.6).
  private static final int HEADER = 16;
  private static final int IN = 0;
  private static final int OUT = 1;
  private static final int FLUSH = 4;
  private static final int GET_ID = 8;
  private static final int DISCARD = 11;
  private static final int WRITE_ZEROES = 13;
  private static final int RANGE = 16;
  private static final int UNMAP = 1;

  private static final int OK = 0;
  private static final int IOERR = 1;
  private static final int UNSUPP = 2;

  private static final int ID_LENGTH = 20;

  // Limits that keep a single request short.
  private static final int RANGES = 16;
  private static final int DISCARD_LIMIT = 1 << 21;
  private static final int WRITE_ZEROES_LIMIT = 1 << 16;

  /** What happens when the host cannot write. */
  public enum WriteErrors {
    /** The guest gets an I/O error. */
    REPORT,
    /**
     * The machine is paused, and the request is done again when it goes on: as often as it fails
     * while that can be cured, as by room on a full host. What a host has failed to make durable is
     * lost, which nothing cures: of that the machine's user is told by one pause, and then the
     * guest by an I/O error for each write and flush that follows.
     */
    PAUSE
  }

  /** When data must be on stable storage. */
  public enum Cache {
    /** When the guest flushes. */
    WRITEBACK,
    /** After each write. */
    WRITETHROUGH,
    /** Never: a crash of the host may cost the disk. For what can be made again. */
    UNSAFE
  }

  private final BlockDevice disk;
  private final Cache cache;
  private final WriteErrors writeErrors;
  private final Consumer<ImageException> pauseMachine;
  private final byte[] serial;
  private final long sectors;
  private final ByteBuffer config = ByteBuffer.allocate(CONFIG_SIZE).order(ByteOrder.LITTLE_ENDIAN);

  /** Each write is to be flushed; settled when the driver starts and when it changes its mind. */
  private volatile boolean writeThrough;

  /** A write has failed, and the machine is going to pause. */
  private final AtomicBoolean stalled = new AtomicBoolean();

  /** There has been a pause because what was written is lost. */
  private final AtomicBoolean lossTold = new AtomicBoolean();

  /**
   * @param disk remains the caller's, to be closed after this device
   * @param serial what the guest is told as the disk's serial number: its first 20 bytes in UTF-8
   * @param queues from 1
   * @param atOnce requests of a queue that are under way at once, from 1
   * @param io what threads wait for the disk on
   * @param pauseMachine with {@link WriteErrors#PAUSE}, told why when a write fails; returns at
   *     once
   */
  public VirtioBlock(
      GuestMemory memory,
      Executor io,
      BlockDevice disk,
      String serial,
      Cache cache,
      WriteErrors writeErrors,
      int queues,
      int atOnce,
      Consumer<ImageException> pauseMachine) {
    super("virtio-blk", DEVICE, features(disk, queues), queues, QUEUE_SIZE, memory, io, atOnce);
    this.disk = disk;
    this.cache = cache;
    this.writeErrors = writeErrors;
    this.pauseMachine = pauseMachine;
    this.serial = Arrays.copyOf(serial.getBytes(StandardCharsets.UTF_8), ID_LENGTH);
    this.sectors = disk.size() / BlockDevice.SECTOR;
    int blockSectors = disk.blockSize() / BlockDevice.SECTOR;
    int optimalSectors = disk.optimalSize() / BlockDevice.SECTOR;
    config.putLong(CAPACITY, sectors);
    config.putInt(SEG_MAX, QUEUE_SIZE - 2);
    config.putInt(BLK_SIZE, BlockDevice.SECTOR);
    config.put(PHYSICAL_BLOCK_EXPONENT, (byte) Integer.numberOfTrailingZeros(blockSectors));
    config.putShort(MIN_IO_SIZE, (short) blockSectors);
    config.putInt(OPT_IO_SIZE, optimalSectors);
    config.putShort(NUM_QUEUES, (short) queues);
    config.putInt(MAX_DISCARD_SECTORS, DISCARD_LIMIT);
    config.putInt(MAX_DISCARD_SEG, RANGES);
    config.putInt(DISCARD_SECTOR_ALIGNMENT, optimalSectors);
    config.putInt(MAX_WRITE_ZEROES_SECTORS, WRITE_ZEROES_LIMIT);
    config.putInt(MAX_WRITE_ZEROES_SEG, RANGES);
    config.put(WRITE_ZEROES_MAY_UNMAP, (byte) 1);
    resetDevice();
  }

  private static long features(BlockDevice disk, int queues) {
    long features = PACKED_RINGS | F_SEG_MAX | F_BLK_SIZE | F_FLUSH | F_TOPOLOGY | F_CONFIG_WCE;
    features |= queues > 1 ? F_MQ : 0;
    return features | (disk.readOnly() ? F_RO : F_DISCARD | F_WRITE_ZEROES);
  }

  @Override
  protected int configSize() {
    return CONFIG_SIZE;
  }

  @Override
  protected int readConfig(int at) {
    return config.get(at);
  }

  /** The driver may choose between write-back and write-through (5.2.5). */
  @Override
  protected void writeConfig(int at, int value) {
    if (at == WRITEBACK && has(F_CONFIG_WCE)) {
      config.put(WRITEBACK, (byte) (value & 1));
      updateWriteThrough();
    }
  }

  private void updateWriteThrough() {
    boolean writeback = has(F_CONFIG_WCE) ? config.get(WRITEBACK) == 1 : has(F_FLUSH);
    writeThrough = !writeback && cache != Cache.UNSAFE;
  }

  @Override
  protected void started(long features) {
    updateWriteThrough();
  }

  @Override
  protected void resumed() {
    updateWriteThrough();
    stalled.set(false);
  }

  @Override
  protected boolean handle(Virtqueue queue, DescriptorChain chain) throws VirtqueueException {
    Buffers request = chain.readable();
    Buffers answer = chain.writable();
    if (request.length() < HEADER || answer.length() < 1) {
      throw new VirtqueueException("a block request without its header or its status");
    }
    if (stalled.get()) {
      queue.putBack(chain);
      return false;
    }
    int type = request.getInt(0);
    int status;
    DiskRequestEvent event = FlightRecording.begun() ? new DiskRequestEvent() : null;
    if (event != null) {
      event.begin();
    }
    try {
      status = perform(type, request, answer.slice(0, answer.length() - 1));
    } catch (ImageException e) {
      if (writeErrors == WriteErrors.PAUSE && type != IN && worthAPause(e)) {
        queue.putBack(chain);
        if (!stalled.getAndSet(true)) {
          pauseMachine.accept(e);
        }
        return false;
      }
      status = IOERR;
    } catch (IOException e) {
      status = IOERR;
    }
    if (event != null) {
      record(event, type, request, answer.length() - 1, status);
    }
    answer.putByte(answer.length() - 1, status);
    queue.complete(chain, answer.length());
    return true;
  }

  private void record(DiskRequestEvent event, int type, Buffers request, long room, int status) {
    event.end();
    if (event.shouldCommit()) {
      event.disk = new String(serial, StandardCharsets.UTF_8).trim();
      event.operation =
          switch (type) {
            case IN -> "read";
            case OUT -> "write";
            case FLUSH -> "flush";
            case GET_ID -> "identify";
            case DISCARD -> "discard";
            case WRITE_ZEROES -> "write zeroes";
            default -> "unknown";
          };
      boolean data = type == IN || type == OUT;
      event.offset = data ? request.getLong(8) * BlockDevice.SECTOR : 0;
      event.size = type == IN ? room : request.length() - HEADER;
      event.succeeded = status == OK;
      event.commit();
    }
  }

  /** True for what may be different when it is tried again, and for the first news of a loss. */
  private boolean worthAPause(ImageException e) {
    return switch (e.trouble()) {
      case NO_SPACE, HOST_ERROR -> true;
      case LOST -> !lossTold.getAndSet(true);
      default -> false;
    };
  }

  private int perform(int type, Buffers request, Buffers data) throws IOException {
    long sector = request.getLong(8);
    return switch (type) {
      case IN -> {
        if (!inside(sector, data.length())) {
          yield IOERR;
        }
        disk.read(sector * BlockDevice.SECTOR, data.segments());
        yield OK;
      }
      case OUT -> {
        Buffers source = request.from(HEADER);
        if (!inside(sector, source.length()) || disk.readOnly()) {
          yield IOERR;
        }
        disk.write(sector * BlockDevice.SECTOR, source.segments());
        written();
        yield OK;
      }
      case FLUSH -> {
        if (cache != Cache.UNSAFE) {
          disk.flush();
        }
        yield OK;
      }
      case GET_ID -> {
        data.write(0, serial, 0, (int) Math.min(ID_LENGTH, data.length()));
        yield OK;
      }
      case DISCARD, WRITE_ZEROES -> clear(type, request.from(HEADER));
      default -> UNSUPP;
    };
  }

  private void written() throws IOException {
    if (writeThrough) {
      disk.flush();
    }
  }

  private boolean inside(long sector, long bytes) {
    long count = bytes / BlockDevice.SECTOR;
    return bytes % BlockDevice.SECTOR == 0
        && sector >= 0
        && sector <= sectors
        && count <= sectors - sector;
  }

  /** Discards or zeroes ranges: all of them are checked before any is touched. */
  private int clear(int type, Buffers ranges) throws IOException {
    int count = (int) (ranges.length() / RANGE);
    if (ranges.length() % RANGE != 0 || count == 0 || count > RANGES || disk.readOnly()) {
      return IOERR;
    }
    long[] starts = new long[count];
    long[] lengths = new long[count];
    boolean[] unmaps = new boolean[count];
    long limit = type == DISCARD ? DISCARD_LIMIT : WRITE_ZEROES_LIMIT;
    for (int i = 0; i < count; i++) {
      long start = ranges.getLong(RANGE * i);
      long sectorsAndFlags = ranges.getLong(RANGE * i + 8);
      long length = sectorsAndFlags & 0xffff_ffffL;
      int flags = (int) (sectorsAndFlags >>> 32);
      if ((flags & ~UNMAP) != 0 || type == DISCARD && flags != 0) {
        return UNSUPP;
      }
      if (length > limit || !inside(start, length * BlockDevice.SECTOR)) {
        return IOERR;
      }
      starts[i] = start * BlockDevice.SECTOR;
      lengths[i] = length * BlockDevice.SECTOR;
      unmaps[i] = flags != 0;
    }
    for (int i = 0; i < count; i++) {
      if (type == DISCARD) {
        disk.discard(starts[i], lengths[i]);
      } else {
        disk.writeZeroes(starts[i], lengths[i], unmaps[i]);
      }
    }
    written();
    return OK;
  }

  @Override
  protected void resetDevice() {
    config.put(WRITEBACK, (byte) (cache == Cache.WRITETHROUGH ? 0 : 1));
    stalled.set(false);
  }

  @Override
  protected void saveDevice(StateWriter out) {
    out.putByte(config.get(WRITEBACK));
  }

  @Override
  protected void loadDevice(StateReader in) throws StateException {
    config.put(WRITEBACK, (byte) in.getByte());
  }
}
