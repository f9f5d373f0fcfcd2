package dev.bothy.x86.translate;

import java.util.Arrays;
import java.util.zip.CRC32C;

/**
 * A translation in the form that is kept between machines: the guest's bytes it was made from, code
 * that may be moved, and the tables of its {@link TranslatedBlock}. One object serves one record
 * after the other. Little-endian:
 *
 * <pre>
 *   0  CRC-32C of the rest        4  length of all
 *   8  mode                      12  offset of the first instruction in its page
 *  14  number of runs            16  runs: start in the page and length, two bytes each
 *      the runs' bytes; the code; the tables
 * </pre>
 *
 * <p>Code is as if it stood at offset 0 of the code memory, where the stubs are, and its block had
 * number 0.
 */
final class StoredBlock {
  /** Bytes of a record at most: more is not kept. */
  static final int MOST = 96 << 10;

  /** Bytes of a record before its runs. */
  static final int HEAD = 16;

  private static final int PAGE = 4096;

  private byte[] bytes = new byte[4096];
  private int at;
  private final CRC32C sum = new CRC32C();

  // What was read.
  private int mode;
  private int codeAt;
  private int codeLength;
  private int tables;

  /** The record's bytes; the first {@link #length} count. */
  byte[] bytes() {
    return bytes;
  }

  int length() {
    return bytes.length < 8 ? 0 : int32At(4);
  }

  /** Where it belongs in an index. */
  int hash() {
    int first = HEAD + 4 * int16At(14);
    if (int16At(HEAD + 2) < 8) {
      return StoredTranslations.shortHash(int32At(8), first(), bytes[first]);
    }
    long start = int32At(first) & 0xffff_ffffL | (long) int32At(first + 4) << 32;
    return StoredTranslations.hash(int32At(8), first(), start);
  }

  /** Offset of the first instruction in its page. */
  int first() {
    return int16At(12);
  }

  /** A buffer for a record of {@code length} bytes, to be filled before {@link #read}. */
  byte[] room(int length) {
    if (bytes.length < length) {
      bytes = new byte[Math.max(length, 2 * bytes.length)];
    }
    return bytes;
  }

  // Writing.

  /**
   * Makes the record of {@code block}, fresh from {@code w} and not yet run.
   *
   * @param page the guest's page that it was made from
   * @param ends where each instruction of the block ends in its page
   * @param code the code as it stands {@code used} bytes from the stubs
   * @return false if it is too long to be kept
   */
  boolean write(TranslatedBlock block, byte[] page, int[] ends, BlockWriter w, int used) {
    int length = w.a.size();
    if (length > MOST / 2) {
      return false;
    }
    at = 8;
    put32(block.mode);
    put16(block.offsets[0]);
    int runsAt = at;
    put16(0);
    int runs = 0;
    int count = block.count();
    for (int k = 0; k < count; ) {
      int start = block.offsets[k];
      int end = ends[k++];
      while (k < count && block.offsets[k] == end) {
        end = ends[k++];
      }
      put16(start);
      put16(end - start);
      runs++;
    }
    bytes[runsAt] = (byte) runs;
    for (int r = 0; r < runs; r++) {
      int run = HEAD + 4 * r;
      put(page, int16At(run), int16At(run + 2));
    }
    put32(length);
    int start = at;
    put(w.a.buffer(), 0, length);
    int[] outside = w.a.outside();
    put16(outside.length);
    for (int site : outside) {
      put16(site);
      set32(start + site, int32At(start + site) + used);
    }
    put16(w.exitSiteCount);
    for (int i = 0; i < w.exitSiteCount; i++) {
      int site = w.exitSites[i];
      put16(site);
      set32(start + site, int32At(start + site) & 0xff);
    }
    putTables(block, w.entry, w.farEntry);
    set32(4, at);
    set32(0, checksum(at));
    return at <= MOST;
  }

  /** The tables of {@code block}: {@link #readTables} has the same fields in the same order. */
  private void putTables(TranslatedBlock block, int entry, int farEntry) {
    put16((int) (block.from & PAGE - 1));
    put16((int) (block.to - block.from));
    put32(entry);
    put32(farEntry);
    put32((int) (block.stale - block.entry));
    put64(block.shadowed);
    put64(block.faultsAsFound);
    put64(block.readsFirst);
    int count = block.count();
    put16(count);
    for (int k = 0; k <= count; k++) {
      put16(block.offsets[k]);
    }
    for (int k = 0; k <= count; k++) {
      put32(block.retry[k]);
    }
    put(block.loaded, 0, count + 1);
    put16(block.lookedAhead == null ? 0 : 1);
    if (block.lookedAhead != null) {
      for (int k = 0; k < count; k++) {
        put16(block.lookedAhead[k]);
      }
    }
    put16(block.pointers == null ? 0 : 1);
    if (block.pointers != null) {
      for (int k = 0; k <= count; k++) {
        put32(block.pointers[k]);
      }
    }
    int chains = block.chainSites.length;
    put16(chains);
    for (int c = 0; c < chains; c++) {
      put32(block.chainSites[c]);
      put16(block.chainTargets[c]);
      put16(block.chainCounts[c]);
    }
  }

  // Reading.

  /**
   * Looks at the record of {@code length} bytes in {@link #room}.
   *
   * @return false if it is damaged
   */
  boolean read(int length) {
    if (length < HEAD || length > bytes.length || int32At(4) != length) {
      return false;
    }
    if (int32At(0) != checksum(length)) {
      return false;
    }
    mode = int32At(8);
    int runs = int16At(14);
    int behind = HEAD + 4 * runs;
    if (runs == 0 || runs > BlockWriter.MOST || behind > length) {
      return false;
    }
    int guest = 0;
    for (int r = 0; r < runs; r++) {
      int start = int16At(HEAD + 4 * r);
      int size = int16At(HEAD + 4 * r + 2);
      if (size == 0 || start + size > PAGE) {
        return false;
      }
      guest += size;
    }
    if (int16At(HEAD) != int16At(12)) {
      return false;
    }
    codeAt = behind + guest + 4;
    if (codeAt + 4 > length) {
      return false;
    }
    codeLength = int32At(codeAt - 4);
    if (codeLength < 32 || codeLength > MOST || codeAt + codeLength + 4 > length) {
      return false;
    }
    at = codeAt + codeLength;
    return areInside(length) && areInside(length);
  }

  /** Goes past a list of places in the code; false if one of them is none. */
  private boolean areInside(int length) {
    if (at + 2 > length) {
      return false;
    }
    int count = get16();
    if (at + 2 * count > length) {
      return false;
    }
    for (int i = 0; i < count; i++) {
      if (get16() + 4 > codeLength) {
        return false;
      }
    }
    tables = at;
    return true;
  }

  /** The mode it was made for. */
  int mode() {
    return mode;
  }

  int codeLength() {
    return codeLength;
  }

  /** Where its code starts in {@link #bytes}. */
  int codeAt() {
    return codeAt;
  }

  /**
   * True if the guest's bytes are those on the page at hand.
   *
   * @param page the bytes from {@link #low} to {@link #high}, at their offsets
   */
  boolean matches(byte[] page) {
    int runs = int16At(14);
    int guest = HEAD + 4 * runs;
    for (int r = 0; r < runs; r++) {
      int start = int16At(HEAD + 4 * r);
      int size = int16At(HEAD + 4 * r + 2);
      if (!Arrays.equals(bytes, guest, guest + size, page, start, start + size)) {
        return false;
      }
      guest += size;
    }
    return true;
  }

  /** Lowest offset in the page that it was made from. */
  int low() {
    int low = PAGE;
    for (int r = 0, runs = int16At(14); r < runs; r++) {
      low = Math.min(low, int16At(HEAD + 4 * r));
    }
    return low;
  }

  /** Behind the highest offset in the page that it was made from. */
  int high() {
    int high = 0;
    for (int r = 0, runs = int16At(14); r < runs; r++) {
      high = Math.max(high, int16At(HEAD + 4 * r) + int16At(HEAD + 4 * r + 2));
    }
    return high;
  }

  /** Makes the code that of block {@code number} and of a place {@code used} from the stubs. */
  void relocate(int number, int used) {
    int place = codeAt + codeLength;
    int outside = int16At(place);
    place += 2;
    for (int i = 0; i < outside; i++, place += 2) {
      int site = codeAt + int16At(place);
      set32(site, int32At(site) - used);
    }
    int exits = int16At(place);
    place += 2;
    for (int i = 0; i < exits; i++, place += 2) {
      int site = codeAt + int16At(place);
      set32(site, int32At(site) | number << 8);
    }
  }

  /**
   * The block, once its code stands at host address {@code origin}; null if its tables are no
   * tables.
   */
  TranslatedBlock block(int number, long physical, long origin) {
    try {
      at = tables;
      return readTables(number, physical, origin);
    } catch (IndexOutOfBoundsException e) {
      return null;
    }
  }

  private TranslatedBlock readTables(int number, long physical, long origin) {
    long page = physical & -PAGE;
    int from = get16();
    int length = get16();
    int entry = get32();
    int farEntry = get32();
    int stale = get32();
    long shadowed = get64();
    long faultsAsFound = get64();
    long readsFirst = get64();
    int count = get16();
    if (count == 0 || count > BlockWriter.MOST || from + length > PAGE) {
      return null;
    }
    boolean inside =
        isCode(entry) && isCode(farEntry) && isCode(entry + stale) && (entry & 15) == 0;
    short[] offsets = new short[count + 1];
    for (int k = 0; k <= count; k++) {
      offsets[k] = (short) get16();
    }
    int[] retry = new int[count + 1];
    for (int k = 0; k <= count; k++) {
      retry[k] = get32();
      inside &= isCode(entry + retry[k]);
    }
    byte[] loaded = Arrays.copyOfRange(bytes, at, at + count + 1);
    for (byte registers : loaded) {
      inside &= (registers & ~3) == 0;
    }
    at += count + 1;
    short[] lookedAhead = null;
    if (get16() != 0) {
      lookedAhead = new short[count];
      for (int k = 0; k < count; k++) {
        lookedAhead[k] = (short) get16();
      }
    }
    int[] pointers = null;
    if (get16() != 0) {
      pointers = new int[count + 1];
      for (int k = 0; k <= count; k++) {
        pointers[k] = get32();
      }
    }
    int chains = get16();
    int[] sites = new int[chains];
    short[] targets = new short[chains];
    short[] counts = new short[chains];
    for (int c = 0; c < chains; c++) {
      sites[c] = get32();
      inside &= sites[c] == -1 || isCode(entry + sites[c]) && (sites[c] & 7) <= 4;
      targets[c] = (short) get16();
      counts[c] = (short) get16();
    }
    if (!inside || offsets[0] != (physical & PAGE - 1)) {
      return null;
    }
    return new TranslatedBlock(
        number,
        physical,
        -1,
        mode,
        page + from,
        page + from + length,
        offsets,
        retry,
        loaded,
        shadowed,
        faultsAsFound,
        readsFirst,
        lookedAhead,
        pointers,
        sites,
        targets,
        counts,
        origin + entry,
        origin + farEntry,
        origin + entry + stale,
        codeLength);
  }

  private boolean isCode(int position) {
    return position >= 0 && position + 4 <= codeLength;
  }

  private int checksum(int length) {
    sum.reset();
    sum.update(bytes, 4, length - 4);
    return (int) sum.getValue();
  }

  // Numbers.

  private void put(byte[] from, int start, int length) {
    growFor(length);
    System.arraycopy(from, start, bytes, at, length);
    at += length;
  }

  private void put16(int value) {
    growFor(2);
    bytes[at++] = (byte) value;
    bytes[at++] = (byte) (value >> 8);
  }

  private void put32(int value) {
    growFor(4);
    set32(at, value);
    at += 4;
  }

  private void put64(long value) {
    put32((int) value);
    put32((int) (value >>> 32));
  }

  private void growFor(int more) {
    if (at + more > bytes.length) {
      bytes = Arrays.copyOf(bytes, Math.max(2 * bytes.length, at + more));
    }
  }

  private int get16() {
    at += 2;
    return int16At(at - 2);
  }

  private int get32() {
    at += 4;
    return int32At(at - 4);
  }

  private long get64() {
    return get32() & 0xffff_ffffL | (long) get32() << 32;
  }

  private int int16At(int place) {
    return bytes[place] & 0xff | (bytes[place + 1] & 0xff) << 8;
  }

  private int int32At(int place) {
    return int16At(place) | int16At(place + 2) << 16;
  }

  private void set32(int place, int value) {
    bytes[place] = (byte) value;
    bytes[place + 1] = (byte) (value >> 8);
    bytes[place + 2] = (byte) (value >> 16);
    bytes[place + 3] = (byte) (value >> 24);
  }
}
