package dev.bothy.x86.translate;

import dev.bothy.host.PrivateFolder;
import dev.bothy.host.RawMemory;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.channels.FileLock;
import java.nio.channels.OverlappingFileLockException;
import java.nio.file.Path;
import java.util.BitSet;

/**
 * Translations kept in a file between machines, found by what they were made from: mode, place in
 * the page and the guest's bytes, all of which are compared. One file for each {@link
 * TranslationKey}; another machine may replace it at any time, which this one does not see.
 *
 * <p>Whatever the file holds, what is found in it is what was once put there for the same code, as
 * far as a checksum can tell. Not thread-safe.
 */
final class StoredTranslations implements AutoCloseable {
  /** Bytes of records in a file at most: those of some hundred thousand blocks. */
  static final long USUAL_SIZE = 128L << 20;

  private static final int BUFFER = 1 << 20;

  private static final ValueLayout.OfInt INT = ValueLayout.JAVA_INT_UNALIGNED;
  private static final int PAGE = 4096;

  /** Guest bytes that tell records apart at once. */
  private static final int BYTES_IN_HASH = 8;

  private final PrivateFolder folder;
  private final TranslationKey key;
  private final long mostBytes;
  private final Arena arena = Arena.ofShared();

  /** The file as it was found; null if there was none of use. */
  private final StoreFile file;

  /** Places in the file's index that were of use. */
  private final BitSet used = new BitSet();

  private final StoredBlock record = new StoredBlock();
  private final byte[] page = new byte[PAGE];

  // New records, one after the other, each on a multiple of 16 and behind its hash: on disk but for
  // the last of them.
  private PrivateFolder.Unfinished added;
  private final ByteBuffer buffer =
      ByteBuffer.allocateDirect(BUFFER).order(ByteOrder.LITTLE_ENDIAN);
  private long addedBytes;
  private int addedRecords;

  /** Nothing can be kept. */
  private boolean failed;

  /**
   * Opens what {@code folder} has for {@code key}. Never fails: what cannot be used is not there.
   *
   * @param mostBytes records kept at most, in bytes
   */
  StoredTranslations(Path folder, TranslationKey key, long mostBytes) {
    this.folder = new PrivateFolder(folder);
    this.key = key;
    this.mostBytes = mostBytes;
    StoreFile found = null;
    try {
      found = StoreFile.open(this.folder, key, arena);
    } catch (IOException e) {
      failed = true;
    }
    file = found;
  }

  /** Records in the file. */
  int stored() {
    return file == null ? 0 : file.records();
  }

  /**
   * The record of a translation of the code at {@code offset} of a page, until the next call.
   *
   * @param pageAt the page's host address; marked, so that its bytes do not change unseen
   * @return null if there is none
   */
  StoredBlock find(int mode, long pageAt, int offset) {
    if (file == null) {
      return null;
    }
    int room = PAGE - offset;
    StoredBlock found = null;
    if (room >= BYTES_IN_HASH) {
      found = find(hash(mode, offset, RawMemory.getLong(pageAt + offset)), mode, pageAt, offset);
    }
    return found != null
        ? found
        : find(shortHash(mode, offset, RawMemory.getByte(pageAt + offset)), mode, pageAt, offset);
  }

  private StoredBlock find(int hash, int mode, long pageAt, int offset) {
    for (int place = file.first(hash); place >= 0; place = file.next(place, hash)) {
      if (file.load(place, record)
          && record.mode() == mode
          && record.first() == offset
          && matches(pageAt)) {
        used.set(place);
        return record;
      }
    }
    return null;
  }

  private boolean matches(long pageAt) {
    int low = record.low();
    int length = record.high() - low;
    MemorySegment.copy(
        RawMemory.segment(pageAt + low, length), ValueLayout.JAVA_BYTE, 0, page, low, length);
    return record.matches(page);
  }

  /** True if there may be a record for this code: marking its page is worth while. */
  boolean mayHave(int mode, long pageAt, int offset) {
    if (file == null) {
      return false;
    }
    int room = PAGE - offset;
    return room >= BYTES_IN_HASH
            && file.first(hash(mode, offset, RawMemory.getLong(pageAt + offset))) >= 0
        || file.first(shortHash(mode, offset, RawMemory.getByte(pageAt + offset))) >= 0;
  }

  /**
   * Keeps a block that is new; arguments as {@link StoredBlock#write} has them. Without room, or
   * for a block that is too long, nothing happens.
   */
  void add(TranslatedBlock block, byte[] page, int[] ends, BlockWriter w, int used) {
    if (!record.write(block, page, ends, w, used)) {
      return;
    }
    int length = record.length();
    int size = length + 4 + 15 & ~15;
    if (addedBytes + size > mostBytes || failed) {
      return;
    }
    if (buffer.remaining() < size) {
      try {
        flush();
      } catch (IOException e) {
        failed = true;
        return;
      }
    }
    int end = buffer.position() + size;
    buffer.putInt(record.hash()).put(record.bytes(), 0, length).position(end);
    addedBytes += size;
    addedRecords++;
  }

  private void flush() throws IOException {
    if (added == null) {
      folder.create();
      added = folder.begin(key.fileName());
    }
    buffer.flip();
    while (buffer.hasRemaining()) {
      added.channel().write(buffer);
    }
    buffer.clear();
  }

  static int hash(int mode, int offset, long bytes) {
    return mix(bytes + (mode << 12 | offset) * 0x9e37_79b9_7f4a_7c15L);
  }

  static int shortHash(int mode, int offset, byte first) {
    return mix((first & 0xffL) << 48 ^ ~(mode << 12 | offset) * 0x9e37_79b9_7f4a_7c15L);
  }

  private static int mix(long bits) {
    long mixed = (bits ^ bits >>> 32) * 0xd6e8_feb8_6659_fd93L;
    return (int) (mixed ^ mixed >>> 32);
  }

  /**
   * Writes the file anew if there is enough to add, with what others have put there meanwhile; what
   * has not been used for longest goes when there is too much. Harmless if it fails.
   */
  void save() {
    // What is seldom new is not worth the writing of all the rest.
    if (addedRecords == 0 || addedRecords < stored() / 256 || failed) {
      return;
    }
    try {
      flush();
      try (FileChannel lock = folder.lockFile();
          FileLock held = lock.tryLock()) {
        if (held != null) {
          write();
        }
      } catch (OverlappingFileLockException e) {
        // Another machine of this process is writing: so it is for other processes.
      }
    } catch (IOException e) {
      failed = true;
    }
  }

  private void write() throws IOException {
    try (Arena others = Arena.ofConfined()) {
      StoreFile now = StoreFile.open(folder, key, others);
      StoreFile.Writer writer = new StoreFile.Writer(mostBytes);
      MemorySegment fresh =
          added.channel().map(FileChannel.MapMode.READ_ONLY, 0, addedBytes, others);
      for (long at = 0; at < addedBytes; ) {
        int length = fresh.get(INT, at + 8);
        long address = fresh.address() + at + 4;
        writer.add(fresh.get(INT, at), fresh.get(INT, at + 4), address, length, 0);
        at += length + 4 + 15 & ~15;
      }
      if (file != null) {
        file.addTo(writer, used, now != null && now.id() == file.id());
      }
      if (now != null && (file == null || now.id() != file.id())) {
        now.addTo(writer, null, false);
      }
      folder.write(key.fileName(), channel -> writer.write(key, channel));
      folder.bound(StoreFile.SUFFIX, 4 * mostBytes);
    }
  }

  @Override
  public void close() {
    arena.close();
    try {
      if (added != null) {
        added.close();
      }
    } catch (IOException e) {
      // It is removed another time.
    }
  }
}
