package dev.bothy.net.user;

import java.util.Arrays;

/**
 * Disjoint ranges of positions in a stream, in order, no more than a limit: what came out of order,
 * and what the other side says it has.
 */
final class RangeSet {
  private long[] starts;
  private long[] ends;
  private int count;
  private final int limit;

  /** At most {@code limit} ranges. */
  RangeSet(int limit) {
    this.limit = limit;
    this.starts = new long[4];
    this.ends = new long[4];
  }

  int count() {
    return count;
  }

  boolean isEmpty() {
    return count == 0;
  }

  long start(int index) {
    return starts[index];
  }

  long end(int index) {
    return ends[index];
  }

  /**
   * Adds the positions from {@code start} to before {@code end}.
   *
   * @return the index of the range that has them now, or -1 if that would be a range too many
   */
  int add(long start, long end) {
    int first = firstEndingAtOrAfter(start);
    int last = first;
    while (last < count && starts[last] <= end) {
      last++;
    }
    if (last == first) {
      if (count == limit) {
        return -1;
      }
      insert(first, start, end);
      return first;
    }
    starts[first] = Math.min(starts[first], start);
    ends[first] = Math.max(ends[last - 1], end);
    remove(first + 1, last);
    return first;
  }

  /** Forgets all positions before {@code position}. */
  void removeBefore(long position) {
    int gone = 0;
    while (gone < count && ends[gone] <= position) {
      gone++;
    }
    remove(0, gone);
    if (count > 0 && starts[0] < position) {
      starts[0] = position;
    }
  }

  void clear() {
    count = 0;
  }

  /** How many positions from {@code start} to before {@code end} are in it. */
  long covered(long start, long end) {
    long sum = 0;
    for (int i = 0; i < count && starts[i] < end; i++) {
      sum += Math.max(0, Math.min(ends[i], end) - Math.max(starts[i], start));
    }
    return sum;
  }

  /** The first position at or after {@code position} that is not in it. */
  long firstMissing(long position) {
    int index = firstEndingAtOrAfter(position + 1);
    return index < count && starts[index] <= position ? ends[index] : position;
  }

  /** Where the first range after {@code position} begins; {@code otherwise} if there is none. */
  long nextStart(long position, long otherwise) {
    for (int i = 0; i < count; i++) {
      if (starts[i] > position) {
        return starts[i];
      }
    }
    return otherwise;
  }

  private int firstEndingAtOrAfter(long position) {
    int index = 0;
    while (index < count && ends[index] < position) {
      index++;
    }
    return index;
  }

  private void insert(int index, long start, long end) {
    if (count == starts.length) {
      starts = Arrays.copyOf(starts, 2 * count);
      ends = Arrays.copyOf(ends, 2 * count);
    }
    System.arraycopy(starts, index, starts, index + 1, count - index);
    System.arraycopy(ends, index, ends, index + 1, count - index);
    starts[index] = start;
    ends[index] = end;
    count++;
  }

  private void remove(int from, int to) {
    System.arraycopy(starts, to, starts, from, count - to);
    System.arraycopy(ends, to, ends, from, count - to);
    count -= to - from;
  }
}
