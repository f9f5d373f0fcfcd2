package dev.bothy.image.qcow2;

import dev.bothy.image.storage.Storage;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/** A file in memory, in pages of 512 bytes; what was never written takes no room. */
class SparseStorage implements Storage {
  static final int PAGE = 512;

  private static final long MOST_PAGES = 1 << 18;

  final Map<Long, byte[]> pages = new HashMap<>();
  private long size;
  private boolean readOnly;

  /** A file with that content. */
  static SparseStorage of(byte[] bytes) throws IOException {
    SparseStorage storage = new SparseStorage();
    storage.write(0, MemorySegment.ofArray(bytes));
    storage.size = bytes.length;
    return storage;
  }

  SparseStorage copy() {
    SparseStorage copy = new SparseStorage();
    pages.forEach((at, bytes) -> copy.pages.put(at, bytes.clone()));
    copy.size = size;
    return copy;
  }

  SparseStorage readOnly(boolean on) {
    readOnly = on;
    return this;
  }

  synchronized byte[] bytes() {
    byte[] bytes = new byte[Math.toIntExact(size)];
    pages.forEach(
        (at, page) -> {
          int from = Math.toIntExact(at * PAGE);
          System.arraycopy(page, 0, bytes, from, Math.min(PAGE, bytes.length - from));
        });
    return bytes;
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
  public synchronized void read(long position, List<MemorySegment> targets) {
    if (position < 0) {
      throw new IllegalArgumentException("read at " + position);
    }
    long at = position;
    for (MemorySegment target : targets) {
      for (long done = 0; done < target.byteSize(); ) {
        int inPage = (int) (at % PAGE);
        int part = (int) Math.min(target.byteSize() - done, PAGE - inPage);
        byte[] page = at < size ? pages.get(at / PAGE) : null;
        if (page == null) {
          target.asSlice(done, part).fill((byte) 0);
        } else {
          MemorySegment.copy(page, inPage, target, ValueLayout.JAVA_BYTE, done, part);
        }
        done += part;
        at += part;
      }
    }
  }

  @Override
  public synchronized void write(long position, List<MemorySegment> sources) throws IOException {
    long at = position;
    for (MemorySegment source : sources) {
      for (long done = 0; done < source.byteSize(); ) {
        int inPage = (int) (at % PAGE);
        int part = (int) Math.min(source.byteSize() - done, PAGE - inPage);
        byte[] page = pages.computeIfAbsent(at / PAGE, _ -> new byte[PAGE]);
        if (pages.size() > MOST_PAGES) {
          throw new IOException("this file gets too large");
        }
        MemorySegment.copy(source, ValueLayout.JAVA_BYTE, done, page, inPage, part);
        done += part;
        at += part;
      }
    }
    size = Math.max(size, at);
  }

  @Override
  public void sync() throws IOException {
    // Nothing is kept from it.
  }

  @Override
  public synchronized void resize(long newSize) {
    size = newSize;
    pages.keySet().removeIf(at -> at * PAGE >= newSize);
  }

  @Override
  public boolean punch(long position, long length) throws IOException {
    write(position, List.of(MemorySegment.ofArray(new byte[Math.toIntExact(length)])));
    return true;
  }

  @Override
  public void close() {
    // The collector's.
  }
}
