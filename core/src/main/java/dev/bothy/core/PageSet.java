package dev.bothy.core;

import java.util.concurrent.atomic.AtomicLongArray;
import java.util.function.LongConsumer;
import java.util.stream.Collectors;
import java.util.stream.LongStream;

/**
 * Pages of guest RAM, one bit for each 4096 bytes of {@link GuestMemory#all}. Pages may be added by
 * several threads at once.
 */
public final class PageSet {
  /** Bytes of a page. */
  public static final int PAGE = 4096;

  /** For people, who do not want to read thousands. */
  private static final int SHOWN = 16;

  private final AtomicLongArray words;
  private final long pages;

  /**
   * Makes a set that is empty.
   *
   * @param pages numbers from 0 to {@code pages - 1} are possible
   */
  public PageSet(long pages) {
    this.pages = pages;
    words = new AtomicLongArray(Math.toIntExact((pages + 63) / 64));
  }

  /** How many pages there could be. */
  public long limit() {
    return pages;
  }

  /** Adds page {@code page}, and {@code more} that follow it; those that there are not are none. */
  public void add(long page, long more) {
    long last = Math.min(page + more, pages - 1);
    for (long next = page; next >= 0 && next <= last; ) {
      int word = (int) (next >> 6);
      long end = Math.min(last, next | 63);
      addBits(word, -1L << next & -1L >>> 63 - end);
      next = end + 1;
    }
  }

  /** Adds pages {@code 64 * word} and on, for which a bit is set. */
  public void addBits(int word, long bits) {
    if (bits != 0 && (words.getPlain(word) & bits) != bits) {
      words.getAndAccumulate(word, bits, (old, set) -> old | set);
    }
  }

  public boolean contains(long page) {
    return page >= 0 && page < pages && (words.get((int) (page >> 6)) >>> page & 1) != 0;
  }

  /** How many it has. */
  public long size() {
    long size = 0;
    for (int i = 0; i < words.length(); i++) {
      size += Long.bitCount(words.get(i));
    }
    return size;
  }

  /** Calls {@code action} with each, in order. */
  public void forEach(LongConsumer action) {
    for (int i = 0; i < words.length(); i++) {
      for (long bits = words.get(i); bits != 0; bits &= bits - 1) {
        action.accept(64L * i + Long.numberOfTrailingZeros(bits));
      }
    }
  }

  /**
   * Moves all pages into {@code target}, which has the same limit; what is added meanwhile is in
   * one of both.
   */
  public void drainTo(PageSet target) {
    for (int i = 0; i < words.length(); i++) {
      if (words.get(i) != 0) {
        target.addBits(i, words.getAndSet(i, 0));
      }
    }
  }

  @Override
  public String toString() {
    return LongStream.range(0, pages)
        .filter(this::contains)
        .limit(SHOWN)
        .mapToObj(Long::toString)
        .collect(Collectors.joining(", ", size() + " pages: ", size() > SHOWN ? ", ..." : ""));
  }
}
