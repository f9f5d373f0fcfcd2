package dev.bothy.core;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.TreeMap;
import java.util.concurrent.atomic.LongAdder;
import java.util.function.Consumer;

/**
 * Which device answers at which port or guest-physical address. Look-ups are lock-free and O(log
 * n); registration may change while the machine runs (PCI BARs) and takes effect at the next
 * look-up. Where ranges overlap, the one of the highest rank wins, of equals the one mapped last.
 * Nothing there: reads give all ones, writes are dropped. Thread-safe.
 */
public sealed class AddressSpace permits TracedSpace {
  private final String name;
  private final List<Mapping> mappings = new ArrayList<>();
  private volatile Layout layout = new Layout(List.of());
  private final LongAdder unclaimedReads = new LongAdder();
  private final LongAdder unclaimedWrites = new LongAdder();

  /** Who is told of doorbells; guarded by the lock of {@link #mappings}. */
  private final List<Consumer<List<PlacedDoorbell>>> watchers = new ArrayList<>();

  /**
   * @param name for messages and statistics: "ports", "mmio"
   */
  public AddressSpace(String name) {
    this.name = name;
  }

  /** One that tells {@code trace} of every access, if that wants {@code kind}. */
  public static AddressSpace traced(String name, Optional<Trace> trace, Trace.Kind kind) {
    return trace
        .filter(some -> some.wants(kind))
        .<AddressSpace>map(some -> new TracedSpace(name, some, kind))
        .orElseGet(() -> new AddressSpace(name));
  }

  /** One registered range. */
  public final class Mapping {
    private final String device;
    private final BusDevice target;
    private final long length;
    private final int rank;
    private final LongAdder reads = new LongAdder();
    private final LongAdder writes = new LongAdder();
    private volatile long base;

    private Mapping(String device, BusDevice target, long base, long length, int rank) {
      this.device = device;
      this.target = target;
      this.base = base;
      this.length = length;
      this.rank = rank;
    }

    public String device() {
      return device;
    }

    public long base() {
      return base;
    }

    public long length() {
      return length;
    }

    /** Accesses so far. */
    public long reads() {
      return reads.sum();
    }

    public long writes() {
      return writes.sum();
    }

    /** Takes the range away; harmless when it is gone. */
    public void unmap() {
      synchronized (mappings) {
        mappings.remove(this);
        publish();
      }
    }

    /** Moves the range, mapping it if it was not. */
    public void moveTo(long newBase) {
      requireRange(newBase, length);
      synchronized (mappings) {
        mappings.remove(this);
        base = newBase;
        mappings.add(this);
        publish();
      }
    }
  }

  /** A doorbell where guests reach it. */
  public record PlacedDoorbell(Doorbell doorbell, long address, Mapping mapping) {
    /** Rings for {@code times} writes, which count as the device's. */
    public void ring(long times) {
      mapping.writes.add(times);
      doorbell.ring();
    }
  }

  /**
   * All ranges as disjoint pieces: piece {@code i} goes from {@code starts[i]} to the next one's
   * start and belongs to {@code owners[i]}, or to nobody. Where that one's range, or the piece that
   * is nobody's, began and ended when the layout was made is in {@code bases[i]} and {@code
   * ends[i]}, so that an access during a move is within the range all the same.
   */
  private static final class Layout {
    final Mapping[] byBase;
    final long[] starts;
    final Mapping[] owners;
    final long[] bases;
    final long[] ends;

    /**
     * @param mappings in the order in which they were mapped
     */
    Layout(List<Mapping> mappings) {
      byBase = mappings.toArray(Mapping[]::new);
      // Paints what wins over what loses.
      Arrays.sort(byBase, (a, b) -> Integer.compare(a.rank, b.rank));
      TreeMap<Long, Optional<Mapping>> pieces = new TreeMap<>();
      pieces.put(Long.MIN_VALUE, Optional.empty());
      for (Mapping m : byBase) {
        long end = m.base + m.length;
        Optional<Mapping> behind = pieces.floorEntry(end).getValue();
        pieces.subMap(m.base, end).clear();
        pieces.put(m.base, Optional.of(m));
        pieces.put(end, behind);
      }
      Arrays.sort(byBase, (a, b) -> Long.compare(a.base, b.base));
      starts = pieces.keySet().stream().mapToLong(Long::longValue).toArray();
      owners = pieces.values().stream().map(m -> m.orElse(null)).toArray(Mapping[]::new);
      bases = Arrays.stream(owners).mapToLong(m -> m == null ? 0 : m.base).toArray();
      ends = new long[starts.length];
      for (int i = 0; i < ends.length; i++) {
        long next = i + 1 < starts.length ? starts[i + 1] : Long.MAX_VALUE;
        ends[i] = owners[i] == null ? next : owners[i].base + owners[i].length;
      }
    }

    /** The piece that {@code address} lies in. */
    int piece(long address) {
      int low = 0;
      int high = starts.length - 1;
      while (low < high) {
        int middle = (low + high + 1) >>> 1;
        if (starts[middle] <= address) {
          low = middle;
        } else {
          high = middle - 1;
        }
      }
      return low;
    }

    /** True if {@code size} bytes from {@code address} leave the range that has that piece. */
    boolean leaves(int piece, long address, int size) {
      return ends[piece] - address < size;
    }
  }

  /**
   * Registers {@code target} at {@code base}, with rank 0.
   *
   * @throws IllegalArgumentException if the range is empty or wraps around
   */
  public final Mapping map(String device, long base, long length, BusDevice target) {
    return map(device, base, length, target, 0);
  }

  /**
   * Registers {@code target} at {@code base}.
   *
   * @param rank decides who answers where ranges overlap: the highest
   * @throws IllegalArgumentException if the range is empty or wraps around
   */
  public final Mapping map(String device, long base, long length, BusDevice target, int rank) {
    requireRange(base, length);
    Mapping mapping = new Mapping(device, target, base, length, rank);
    synchronized (mappings) {
      mappings.add(mapping);
      publish();
    }
    return mapping;
  }

  private static void requireRange(long base, long length) {
    if (length <= 0 || base < 0 || base + length < 0) {
      throw new IllegalArgumentException(
          "bad range 0x" + Long.toHexString(base) + "+0x" + Long.toHexString(length));
    }
  }

  private void publish() {
    layout = new Layout(mappings);
    if (!watchers.isEmpty()) {
      List<PlacedDoorbell> bells = doorbells();
      watchers.forEach(watcher -> watcher.accept(bells));
    }
  }

  private List<PlacedDoorbell> doorbells() {
    List<PlacedDoorbell> bells = new ArrayList<>();
    for (Mapping mapping : layout.byBase) {
      for (Doorbell bell : mapping.target.doorbells()) {
        long address = mapping.base + bell.offset();
        if (find(address) == mapping) {
          bells.add(new PlacedDoorbell(bell, address, mapping));
        }
      }
    }
    return bells;
  }

  /**
   * Tells {@code watcher} which doorbells guests reach, now and whenever ranges change, before that
   * change is over. It is called under a lock, and must neither use this space nor wait for who
   * does.
   */
  public void watchDoorbells(Consumer<List<PlacedDoorbell>> watcher) {
    synchronized (mappings) {
      watchers.add(watcher);
      watcher.accept(doorbells());
    }
  }

  /** {@code watcher} is not called any more when this returns. */
  public final void forget(Consumer<List<PlacedDoorbell>> watcher) {
    synchronized (mappings) {
      watchers.remove(watcher);
    }
  }

  /** The mapping that answers at {@code address}, or null. */
  public final Mapping find(long address) {
    Layout now = layout;
    return now.owners[now.piece(address)];
  }

  /**
   * Reads {@code size} bytes (1, 2, 4 or 8). Who answers for the first byte answers for all, if his
   * range is long enough; else each byte is read by itself.
   */
  public long read(long address, int size) {
    return readMapped(address, size);
  }

  private long readMapped(long address, int size) {
    Layout now = layout;
    int piece = now.piece(address);
    if (size > 1 && now.leaves(piece, address, size)) {
      return readBytes(address, size);
    }
    Mapping mapping = now.owners[piece];
    if (mapping == null) {
      unclaimedReads.increment();
      return allOnes(size);
    }
    mapping.reads.increment();
    return mapping.target.read(address - now.bases[piece], size) & allOnes(size);
  }

  /**
   * Writes {@code size} bytes (1, 2, 4 or 8). Who answers for the first byte gets all, if his range
   * is long enough; else each byte is written by itself.
   */
  public void write(long address, int size, long value) {
    writeMapped(address, size, value);
  }

  private void writeMapped(long address, int size, long value) {
    Layout now = layout;
    int piece = now.piece(address);
    if (size > 1 && now.leaves(piece, address, size)) {
      for (int i = 0; i < size; i++) {
        writeMapped(address + i, 1, value >>> (8 * i) & 0xff);
      }
      return;
    }
    Mapping mapping = now.owners[piece];
    if (mapping == null) {
      unclaimedWrites.increment();
      return;
    }
    mapping.writes.increment();
    mapping.target.write(address - now.bases[piece], size, value & allOnes(size));
  }

  private long readBytes(long address, int size) {
    long value = 0;
    for (int i = 0; i < size; i++) {
      value |= readMapped(address + i, 1) << (8 * i);
    }
    return value;
  }

  private static long allOnes(int size) {
    return size == 8 ? -1L : (1L << (8 * size)) - 1;
  }

  /** All ranges by address, for statistics and {@code info}. */
  public final List<Mapping> mappings() {
    return List.of(layout.byBase);
  }

  public final long unclaimedReads() {
    return unclaimedReads.sum();
  }

  public final long unclaimedWrites() {
    return unclaimedWrites.sum();
  }

  public final String name() {
    return name;
  }
}
