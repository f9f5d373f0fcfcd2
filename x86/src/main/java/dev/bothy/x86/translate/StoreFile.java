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
import java.util.Arrays;
import java.util.BitSet;
import java.util.Optional;
import java.util.concurrent.ThreadLocalRandom;
import java.util.zip.CRC32C;

/**
 * A file of {@link StoredBlock}s, mapped and looked into as it is: a head with the key, the
 * records, and an index by hash, of places with linear probing. Head and records have checksums; an
 * index that is wrong leads to records that are not the right ones, or to none.
 */
final class StoreFile {
  static final String SUFFIX = ".translations";

  private static final long MAGIC = 0x3172_546e_6f68_7442L;
  private static final int HEAD = 48;
  private static final int MOST_KEY = 1 << 16;

  // A place in the index: hash, where the record lies in units of 16 bytes or 0, its checksum, and
  // how many times the file has been written since it was of use.
  private static final int PLACE = 16;

  private static final ValueLayout.OfInt INT = ValueLayout.JAVA_INT_UNALIGNED;

  private final MemorySegment file;
  private final long id;
  private final int records;
  private final long end;
  private final int places;

  private StoreFile(MemorySegment file, long id, int records, long end, int places) {
    this.file = file;
    this.id = id;
    this.records = records;
    this.end = end;
    this.places = places;
  }

  /**
   * Maps the file for {@code key}.
   *
   * @return null if there is none, or none that can be used
   */
  static StoreFile open(PrivateFolder folder, TranslationKey key, Arena arena) throws IOException {
    Optional<FileChannel> found = folder.open(key.fileName());
    if (found.isEmpty()) {
      return null;
    }
    try (FileChannel channel = found.get()) {
      long size = channel.size();
      if (size < HEAD) {
        return null;
      }
      return of(channel.map(FileChannel.MapMode.READ_ONLY, 0, size, arena), key);
    }
  }

  private static StoreFile of(MemorySegment file, TranslationKey key) {
    ByteBuffer head = ByteBuffer.allocate(HEAD).order(ByteOrder.LITTLE_ENDIAN);
    MemorySegment.copy(file, ValueLayout.JAVA_BYTE, 0, head.array(), 0, HEAD);
    int keyLength = head.getInt(40);
    if (head.getLong(0) != MAGIC || keyLength < 0 || keyLength > MOST_KEY) {
      return null;
    }
    if (HEAD + keyLength > file.byteSize()) {
      return null;
    }
    byte[] keyBytes = file.asSlice(HEAD, keyLength).toArray(ValueLayout.JAVA_BYTE);
    long end = head.getLong(24);
    int places = head.getInt(32);
    if (head.getInt(44) != sum(head, keyBytes)
        || !Arrays.equals(keyBytes, key.bytes())
        || places <= 0
        || Integer.bitCount(places) != 1
        || end < HEAD + keyLength
        || end != file.byteSize() - (long) PLACE * places) {
      return null;
    }
    return new StoreFile(file, head.getLong(8), head.getInt(16), end, places);
  }

  private static int sum(ByteBuffer head, byte[] key) {
    CRC32C sum = new CRC32C();
    sum.update(head.array(), 0, 44);
    sum.update(key);
    return (int) sum.getValue();
  }

  /** A number that no other file has. */
  long id() {
    return id;
  }

  int records() {
    return records;
  }

  /** The first place whose record has {@code hash}, or -1. */
  int first(int hash) {
    return from(hash & places - 1, hash);
  }

  /** The next one after {@code place}, or -1. */
  int next(int place, int hash) {
    int next = place + 1 & places - 1;
    return next == (hash & places - 1) ? -1 : from(next, hash);
  }

  private int from(int start, int hash) {
    int home = hash & places - 1;
    int place = start;
    do {
      long at = at(place);
      if (file.get(INT, at + 4) == 0) {
        return -1;
      }
      if (file.get(INT, at) == hash) {
        return place;
      }
      place = place + 1 & places - 1;
    } while (place != home);
    return -1;
  }

  private long at(int place) {
    return end + (long) PLACE * place;
  }

  private long recordAt(int place) {
    return (file.get(INT, at(place) + 4) & 0xffff_ffffL) << 4;
  }

  /** Length of the record at {@code at}; 0 if none can be there. */
  private int lengthAt(long at) {
    if (at < HEAD || at + StoredBlock.HEAD > end) {
      return 0;
    }
    int length = file.get(INT, at + 4);
    return length < StoredBlock.HEAD || length > StoredBlock.MOST || at + length > end ? 0 : length;
  }

  /** Reads the record of {@code place}; false if there is none, or a damaged one. */
  boolean load(int place, StoredBlock record) {
    long at = recordAt(place);
    int length = lengthAt(at);
    if (length == 0) {
      return false;
    }
    MemorySegment.copy(file, ValueLayout.JAVA_BYTE, at, record.room(length), 0, length);
    return record.read(length);
  }

  /**
   * Gives {@code writer} every record, a write older than it is but for those of use.
   *
   * @param used places of those, or null for none
   * @param again this file is the one to be replaced, not one with records that were used alone
   */
  void addTo(Writer writer, BitSet used, boolean again) {
    for (int place = 0; place < places; place++) {
      long at = recordAt(place);
      int length = lengthAt(at);
      boolean fresh = used != null && used.get(place);
      if (length != 0 && (fresh || again || used == null)) {
        int age = fresh ? 0 : Math.clamp(file.get(INT, at(place) + 12) + 1L, 1, Writer.OLDEST);
        writer.add(file.get(INT, at(place)), file.get(INT, at), file.address() + at, length, age);
      }
    }
  }

  /** Collects the records of a new file; the addresses it is given stay good until it is done. */
  static final class Writer {
    static final int OLDEST = 100;

    private static final int BUFFER = 1 << 20;

    private final long mostBytes;
    private int count;
    private int[] hashes = new int[1 << 12];
    private int[] sums = new int[1 << 12];
    private long[] addresses = new long[1 << 12];
    private int[] lengths = new int[1 << 12];
    private int[] ages = new int[1 << 12];

    Writer(long mostBytes) {
      this.mostBytes = mostBytes;
    }

    /** Takes the record at host address {@code address}. */
    void add(int hash, int sum, long address, int length, int age) {
      if (count == hashes.length) {
        hashes = Arrays.copyOf(hashes, 2 * count);
        sums = Arrays.copyOf(sums, 2 * count);
        addresses = Arrays.copyOf(addresses, 2 * count);
        lengths = Arrays.copyOf(lengths, 2 * count);
        ages = Arrays.copyOf(ages, 2 * count);
      }
      hashes[count] = hash;
      sums[count] = sum;
      addresses[count] = address;
      lengths[count] = length;
      ages[count++] = age;
    }

    /** Writes the file: the youngest records, each of them once. */
    void write(TranslationKey key, FileChannel channel) throws IOException {
      int places = Integer.highestOneBit(Math.max(count, 16)) << 2;
      int[] index = new int[places];
      int[] chosen = new int[count];
      int kept = 0;
      long at = HEAD + key.bytes().length + 15 & ~15;
      long limit = at + mostBytes;
      long end = at;
      long[] positions = new long[count];
      for (int age = 0; age <= OLDEST; age++) {
        for (int r = 0; r < count; r++) {
          if (ages[r] == age && end + lengths[r] <= limit && enter(index, r)) {
            positions[r] = end;
            chosen[kept++] = r;
            end += lengths[r] + 15 & ~15;
          }
        }
      }
      ByteBuffer head = ByteBuffer.allocate(HEAD).order(ByteOrder.LITTLE_ENDIAN);
      head.putLong(0, MAGIC);
      head.putLong(8, ThreadLocalRandom.current().nextLong());
      head.putInt(16, kept);
      head.putLong(24, end);
      head.putInt(32, places);
      head.putInt(40, key.bytes().length);
      head.putInt(44, sum(head, key.bytes()));
      ByteBuffer out = ByteBuffer.allocateDirect(BUFFER).order(ByteOrder.LITTLE_ENDIAN);
      out.put(head.array()).put(key.bytes());
      align(out);
      for (int k = 0; k < kept; k++) {
        int r = chosen[k];
        if (out.remaining() < lengths[r] + 16) {
          flush(out, channel);
        }
        MemorySegment.copy(
            RawMemory.segment(addresses[r], lengths[r]),
            0,
            MemorySegment.ofBuffer(out),
            0,
            lengths[r]);
        out.position(out.position() + lengths[r]);
        align(out);
      }
      for (int place = 0; place < places; place++) {
        if (out.remaining() < PLACE) {
          flush(out, channel);
        }
        int r = index[place] - 1;
        if (r < 0) {
          out.putLong(0).putLong(0);
        } else {
          out.putInt(hashes[r]).putInt((int) (positions[r] >>> 4)).putInt(sums[r]).putInt(ages[r]);
        }
      }
      flush(out, channel);
    }

    /** Enters record {@code r} into the index; false if it is there. */
    private boolean enter(int[] index, int r) {
      int place = hashes[r] & index.length - 1;
      for (; index[place] != 0; place = place + 1 & index.length - 1) {
        int other = index[place] - 1;
        if (hashes[other] == hashes[r] && sums[other] == sums[r] && lengths[other] == lengths[r]) {
          return false;
        }
      }
      index[place] = r + 1;
      return true;
    }

    private static void align(ByteBuffer out) {
      while ((out.position() & 15) != 0) {
        out.put((byte) 0);
      }
    }

    private static void flush(ByteBuffer out, FileChannel channel) throws IOException {
      out.flip();
      while (out.hasRemaining()) {
        channel.write(out);
      }
      out.clear();
    }
  }
}
