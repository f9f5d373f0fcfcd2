package dev.bothy.x86.interpret;

import java.util.Arrays;
import java.util.Collection;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;

/**
 * A debugger's breakpoints, for all vCPUs of a machine. They are at linear addresses, and code is
 * kept by where it is in RAM: so whenever a vCPU finds where to fetch a page with breakpoints from,
 * their places there are noted, what was made from the code at them is dropped, and what is made
 * from then on has an instruction at such a place in a block of its own, that looks whether it is
 * to stop. All other code runs as ever, and RAM stays as it is.
 *
 * <p>A breakpoint that is taken away stays noted, since debuggers take all away and put them back
 * at every stop; until {@link #end}, or there are too many. vCPUs read while they run; what changes
 * breakpoints runs while none does.
 */
final class Breakpoints {
  /** Addresses noted at most, beyond those that are set. */
  private static final int MOST_NOTED = 4096;

  /** One bit a byte of a page. */
  private static final int WORDS = 4096 / 64;

  private static final long PAGE = -4096L;

  /** Who drops code. */
  interface Code {
    /**
     * Drops what was made from the byte at {@code physical}: at once in {@code self}, which may be
     * null, in others before they run on.
     */
    void drop(PagingCpu self, long physical);
  }

  private final Code code;

  private volatile boolean any;

  /** Linear addresses where vCPUs stop, sorted. */
  private volatile long[] set = {};

  /** By linear page, the addresses that are or were set. Arrays are not changed. */
  private final Map<Long, long[]> noted = new ConcurrentHashMap<>();

  private int notes;

  /** By physical page, where those were found. */
  private final Map<Long, long[]> found = new ConcurrentHashMap<>();

  Breakpoints(Code code) {
    this.code = code;
  }

  /** True if pages that code is fetched from are to be told to {@link #fetched}. */
  boolean any() {
    return any;
  }

  /**
   * Replaces the addresses at which vCPUs stop.
   *
   * @return true if pages must be told of from now on that were fetched from before
   */
  boolean set(Collection<Long> addresses) {
    if (notes + addresses.size() > MOST_NOTED) {
      end();
    }
    boolean fresh = false;
    for (long address : addresses) {
      long[] before = noted.get(address & PAGE);
      if (!has(before, address)) {
        noted.put(address & PAGE, with(before, address));
        notes++;
        fresh = true;
      }
    }
    set = addresses.stream().mapToLong(Long::longValue).sorted().toArray();
    any = notes > 0;
    return fresh;
  }

  /** Forgets all. */
  void end() {
    any = false;
    set = new long[0];
    noted.clear();
    notes = 0;
    Map<Long, long[]> places = Map.copyOf(found);
    found.clear();
    places.forEach((page, bits) -> dropAll(null, page, bits));
  }

  /**
   * {@code self} fetches the page of {@code linear} from the one of {@code physical} from now on.
   */
  void fetched(PagingCpu self, long linear, long physical) {
    long[] wanted = noted.get(linear & PAGE);
    if (wanted == null) {
      return;
    }
    long page = physical & PAGE;
    long[] news = new long[WORDS];
    found.compute(
        page,
        (_, before) -> {
          long[] all = before == null ? new long[WORDS] : before.clone();
          for (int i = 0; i < WORDS; i++) {
            news[i] = wanted[i] & ~all[i];
            all[i] |= wanted[i];
          }
          return all;
        });
    // Noted first: what is made anew looks there.
    dropAll(self, page, news);
  }

  private void dropAll(PagingCpu self, long page, long[] bits) {
    for (int word = 0; word < WORDS; word++) {
      for (long left = bits[word]; left != 0; left &= left - 1) {
        code.drop(self, page + word * 64L + Long.numberOfTrailingZeros(left));
      }
    }
  }

  /** True if an instruction at {@code physical} needs a look before it runs. */
  boolean mayStopAt(long physical) {
    return any && has(found.get(physical & PAGE), physical);
  }

  /** True if some instruction on the page of {@code physical} does. */
  boolean mayStopOn(long physical) {
    return any && found.containsKey(physical & PAGE);
  }

  /** True if vCPUs stop before an instruction at {@code linear}. */
  boolean stopsAt(long linear) {
    return Arrays.binarySearch(set, linear) >= 0;
  }

  private static boolean has(long[] bits, long address) {
    return bits != null && (bits[(int) (address & 4095) >>> 6] & 1L << address) != 0;
  }

  private static long[] with(long[] bits, long address) {
    long[] more = bits == null ? new long[WORDS] : bits.clone();
    more[(int) (address & 4095) >>> 6] |= 1L << address;
    return more;
  }
}
