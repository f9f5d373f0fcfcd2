package dev.bothy.image.qcow2;

import dev.bothy.image.ImageException;
import dev.bothy.image.ImageException.Trouble;
import dev.bothy.image.storage.Storage;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/**
 * A file in memory that shares its pages with the one that it was made from until it writes to
 * them, so that a million of them are made quickly. It may fail as a host does: from a write on, or
 * at one. One thread.
 */
final class ForkedStorage implements Storage {
  private static final int PAGE_BITS = 12;
  private static final int PAGE = 1 << PAGE_BITS;
  private static final int MOST_PAGES = (24 << 20) / PAGE;

  /** What files start with; null pages are zeros. */
  record Content(byte[][] pages, long size) {
    static Content of(byte[] bytes) {
      byte[][] pages = new byte[bytes.length + PAGE - 1 >> PAGE_BITS][];
      for (int i = 0; i < pages.length; i++) {
        byte[] page = new byte[PAGE];
        int from = i << PAGE_BITS;
        System.arraycopy(bytes, from, page, 0, Math.min(PAGE, bytes.length - from));
        pages[i] = isZero(page) ? null : page;
      }
      return new Content(pages, bytes.length);
    }

    private static boolean isZero(byte[] page) {
      for (byte b : page) {
        if (b != 0) {
          return false;
        }
      }
      return true;
    }
  }

  private final byte[][] base;
  private final Map<Long, byte[]> own = new HashMap<>();
  private long size;
  private boolean readOnly;
  private boolean holes;
  private int writesLeft = Integer.MAX_VALUE;
  private boolean failsForEver;
  private boolean failed;

  ForkedStorage(Content content) {
    this.base = content.pages;
    this.size = content.size;
  }

  /** Whether it has holes as a host's files do, or none that are known. */
  ForkedStorage holes(boolean on) {
    holes = on;
    return this;
  }

  ForkedStorage readOnly(boolean on) {
    readOnly = on;
    return this;
  }

  /** After so many writes one fails, or all from then on. */
  void failAfter(int writes, boolean forEver) {
    writesLeft = writes;
    failsForEver = forEver;
  }

  /** Fails no more. */
  void heal() {
    writesLeft = Integer.MAX_VALUE;
  }

  /** True if a write has failed since it was made. */
  boolean failed() {
    return failed;
  }

  byte[] bytes(long position, int length) {
    byte[] bytes = new byte[length];
    read(position, List.of(MemorySegment.ofArray(bytes)));
    return bytes;
  }

  long getLong(long position) {
    return BigEndian.getLong(bytes(position, 8), 0);
  }

  /** Changes bytes that are in the file, without failing. */
  void poke(long position, byte... bytes) {
    for (int i = 0; i < bytes.length && position + i < size; i++) {
      if (position + i >= 0) {
        page(position + i)[(int) (position + i & PAGE - 1)] = bytes[i];
      }
    }
  }

  void pokeLong(long position, long value) {
    byte[] bytes = new byte[8];
    BigEndian.putLong(bytes, 0, value);
    poke(position, bytes);
  }

  private byte[] look(long page) {
    byte[] bytes = own.isEmpty() ? null : own.get(page);
    return bytes != null ? bytes : page < base.length ? base[(int) page] : null;
  }

  private byte[] page(long position) {
    long number = position >>> PAGE_BITS;
    return own.computeIfAbsent(
        number,
        n -> {
          byte[] before = look(n);
          return before == null ? new byte[PAGE] : before.clone();
        });
  }

  @Override
  public long size() {
    return size;
  }

  @Override
  public boolean readOnly() {
    return readOnly;
  }

  @Override
  public String name() {
    return "memory";
  }

  @Override
  public void read(long position, List<MemorySegment> targets) {
    if (position < 0) {
      throw new IllegalArgumentException("read at " + position);
    }
    long at = position;
    for (int i = 0; i < targets.size(); i++) {
      MemorySegment target = targets.get(i);
      for (long done = 0; done < target.byteSize(); ) {
        int inPage = (int) (at & PAGE - 1);
        int part = (int) Math.min(target.byteSize() - done, PAGE - inPage);
        byte[] page = at < size ? look(at >>> PAGE_BITS) : null;
        int there = page == null ? 0 : (int) Math.min(part, size - at);
        if (there > 0) {
          MemorySegment.copy(page, inPage, target, ValueLayout.JAVA_BYTE, done, there);
        }
        if (there < part) {
          target.asSlice(done + there, part - there).fill((byte) 0);
        }
        done += part;
        at += part;
      }
    }
  }

  @Override
  public void write(long position, List<MemorySegment> sources) throws IOException {
    if (position < 0 || readOnly) {
      throw new IllegalArgumentException("write at " + position);
    }
    if (writesLeft-- <= 0) {
      writesLeft = failsForEver ? 0 : Integer.MAX_VALUE;
      throw failure("does not want to");
    }
    long at = position;
    for (MemorySegment source : sources) {
      for (long done = 0; done < source.byteSize(); ) {
        int inPage = (int) (at & PAGE - 1);
        int part = (int) Math.min(source.byteSize() - done, PAGE - inPage);
        if (own.size() > MOST_PAGES) {
          throw failure("is full");
        }
        MemorySegment.copy(source, ValueLayout.JAVA_BYTE, done, page(at), inPage, part);
        done += part;
        at += part;
        size = Math.max(size, at);
      }
    }
  }

  private ImageException failure(String why) {
    failed = true;
    return new ImageException(Trouble.NO_SPACE, "the host " + why);
  }

  @Override
  public void sync() throws IOException {
    if (writesLeft <= 0) {
      writesLeft = failsForEver ? 0 : Integer.MAX_VALUE;
      throw failure("does not sync");
    }
  }

  @Override
  public void resize(long newSize) {
    if (newSize < size) {
      own.keySet().removeIf(page -> page << PAGE_BITS >= newSize);
      long last = newSize >>> PAGE_BITS;
      // What is cut off shall not come back when the file grows.
      for (long page = last; page < base.length; page++) {
        int from = page == last ? (int) (newSize & PAGE - 1) : 0;
        if (look(page) != null) {
          Arrays.fill(page(page << PAGE_BITS), from, PAGE, (byte) 0);
        }
      }
      if (last >= base.length && own.containsKey(last)) {
        Arrays.fill(own.get(last), (int) (newSize & PAGE - 1), PAGE, (byte) 0);
      }
    }
    size = newSize;
  }

  @Override
  public boolean punch(long position, long length) throws IOException {
    if (!holes) {
      return false;
    }
    for (long at = position; at < Math.min(position + length, size); ) {
      int inPage = (int) (at & PAGE - 1);
      int part = (int) Math.min(Math.min(position + length, size) - at, PAGE - inPage);
      if (look(at >>> PAGE_BITS) != null) {
        Arrays.fill(page(at), inPage, inPage + part, (byte) 0);
      }
      at += part;
    }
    return true;
  }

  @Override
  public boolean zero(long position, long length) throws IOException {
    if (!holes) {
      return false;
    }
    punch(position, length);
    size = Math.max(size, position + length);
    return true;
  }

  @Override
  public long hole(long position, long length) {
    long end = position;
    while (holes && end < position + length && (end >= size || look(end >>> PAGE_BITS) == null)) {
      end = end >= size ? position + length : (end | PAGE - 1) + 1;
    }
    return Math.min(end - position, length);
  }

  @Override
  public void close() {
    // Stays, to be opened again.
  }
}
