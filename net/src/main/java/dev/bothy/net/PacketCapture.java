package dev.bothy.net;

import java.io.BufferedOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.AccessDeniedException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.time.Instant;
import java.util.function.Consumer;

/**
 * Writes frames to a file in pcap's format with nanoseconds (draft-ietf-opsawg-pcap), up to a size.
 * Frames are written as they were handed over: with segmentation they are longer than the MTU, with
 * checksums left to be filled in these are wrong. What was written is in the file a second later.
 * Thread-safe.
 */
public final class PacketCapture implements AutoCloseable {
  private static final int MAGIC = 0xa1b23c4d;
  private static final int ETHERNET = 1;
  private static final int HEADER = 24;
  private static final int RECORD = 16;
  private static final int SNAP_LENGTH = 1 << 18;
  private static final long FLUSH_MILLIS = 1000;

  private final OutputStream out;
  private final long limit;
  private final Consumer<String> warnings;
  private final Path file;
  private final byte[] record = new byte[RECORD + Frame.MAX_LENGTH];
  private final Thread flusher;
  private long written = HEADER;
  private boolean unflushed;
  private boolean stopped;

  /**
   * Begins a file, in place of one that is there.
   *
   * @param limit bytes of the file; what would make it longer is left out, and all after that
   * @param warnings gets one line if the capture ends before it is closed
   * @throws IOException in one line, if the file cannot be written
   */
  public PacketCapture(Path file, long limit, Consumer<String> warnings) throws IOException {
    this.file = file;
    this.limit = limit;
    this.warnings = warnings;
    try {
      out = new BufferedOutputStream(Files.newOutputStream(file), 1 << 16);
      ByteBuffer header = ByteBuffer.allocate(HEADER).order(ByteOrder.LITTLE_ENDIAN);
      header.putInt(MAGIC).putShort((short) 2).putShort((short) 4);
      header.putLong(0).putInt(SNAP_LENGTH).putInt(ETHERNET);
      out.write(header.array());
      out.flush();
    } catch (IOException e) {
      String reason =
          switch (e) {
            case NoSuchFileException _ -> "there is no such folder";
            case AccessDeniedException _ -> "no permission";
            default -> e.getMessage();
          };
      throw new IOException("packets cannot be captured to " + file + " (" + reason + ")", e);
    }
    flusher = Thread.ofVirtual().name("bothy-capture").start(this::flushFromTimeToTime);
  }

  /** Adds a frame, with the time of now. */
  public void write(Frame frame) {
    Instant now = Instant.now();
    synchronized (this) {
      if (stopped) {
        return;
      }
      int length = RECORD + frame.length();
      if (written + length > limit) {
        stop("is full at " + limit + " bytes");
        return;
      }
      MemorySegment memory = MemorySegment.ofArray(record);
      put(memory, 0, (int) now.getEpochSecond());
      put(memory, 4, now.getNano());
      put(memory, 8, frame.length());
      put(memory, 12, frame.length());
      frame.copyTo(0, record, RECORD, frame.length());
      try {
        out.write(record, 0, length);
        written += length;
        unflushed = true;
      } catch (IOException e) {
        stop("cannot be written (" + e.getMessage() + ")");
      }
    }
  }

  private static void put(MemorySegment memory, int at, int value) {
    memory.set(ValueLayout.JAVA_INT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN), at, value);
  }

  private void stop(String why) {
    stopped = true;
    warnings.accept("the capture file " + file + " " + why + ": packets are captured no longer");
  }

  /** Writes to the file what is still in memory. */
  public synchronized void flush() {
    if (unflushed) {
      unflushed = false;
      try {
        out.flush();
      } catch (IOException e) {
        if (!stopped) {
          stop("cannot be written (" + e.getMessage() + ")");
        }
      }
    }
  }

  private void flushFromTimeToTime() {
    try {
      while (true) {
        Thread.sleep(FLUSH_MILLIS);
        flush();
      }
    } catch (InterruptedException e) {
      // Closed.
    }
  }

  @Override
  public void close() {
    flusher.interrupt();
    synchronized (this) {
      flush();
      stopped = true;
      try {
        out.close();
      } catch (IOException e) {
        // Flushing has said it.
      }
    }
  }
}
