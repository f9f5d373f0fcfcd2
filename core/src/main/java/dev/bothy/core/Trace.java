package dev.bothy.core;

import java.util.EnumMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.function.Consumer;
import java.util.function.LongSupplier;

/**
 * What somebody wants to see of what a machine does, as lines of text. Who has something to tell
 * asks {@link #wants(Kind)} once, while the machine is made, and is as if there were no trace where
 * the answer is no. Any thread.
 */
public final class Trace {
  /** What there is to see. The numbers that filters are about are unsigned. */
  public enum Kind {
    /** Each instruction, before it is executed; by its linear address. */
    INSTRUCTIONS,

    /** Interrupts that processors take, hardware's and INT n; by vector. */
    INTERRUPTS,

    /** Exceptions; by vector. */
    EXCEPTIONS,

    /** RDMSR and WRMSR; by the register's number. */
    MSRS,

    /** Accesses to I/O ports; by port. */
    PORTS,

    /** Accesses to what is no RAM; by guest-physical address. */
    MMIO,

    /** Requests in the queues of virtio devices; by PCI device number. */
    VIRTIO;

    /** As users write it. */
    public String word() {
      return name().toLowerCase(Locale.ROOT);
    }
  }

  /** Numbers from {@code first} to {@code last}, both included, unsigned. */
  public record Range(long first, long last) {
    /** All numbers. */
    public static final Range ALL = new Range(0, -1);

    /** True if some number is in this and from {@code from} to {@code to}. */
    public boolean touches(long from, long to) {
      return Long.compareUnsigned(from, last) <= 0 && Long.compareUnsigned(to, first) >= 0;
    }
  }

  private final Map<Kind, List<Range>> wanted;
  private final Consumer<String> lines;
  private final LongSupplier nanos;

  /**
   * @param wanted what is to be seen, and of each kind where
   * @param lines gets each line, without its end; on any thread, several at a time
   */
  public Trace(Map<Kind, List<Range>> wanted, Consumer<String> lines) {
    this(wanted, lines, () -> 0);
  }

  private Trace(Map<Kind, List<Range>> wanted, Consumer<String> lines, LongSupplier nanos) {
    this.wanted = new EnumMap<>(Kind.class);
    wanted.forEach((kind, ranges) -> this.wanted.put(kind, List.copyOf(ranges)));
    this.lines = lines;
    this.nanos = nanos;
  }

  /** The same, with the time of a machine in its lines. */
  public Trace at(MachineClock clock) {
    return new Trace(wanted, lines, clock::nanos);
  }

  /** True if anything of {@code kind} is to be seen. */
  public boolean wants(Kind kind) {
    return wanted.containsKey(kind);
  }

  /** True if {@code kind} is to be seen at {@code number}. */
  public boolean wants(Kind kind, long number) {
    return wants(kind, number, 1);
  }

  /** True if {@code kind} is to be seen at one of {@code size} numbers from {@code number} on. */
  public boolean wants(Kind kind, long number, int size) {
    for (Range range : wanted.getOrDefault(kind, List.of())) {
      if (range.touches(number, number + size - 1)) {
        return true;
      }
    }
    return false;
  }

  /**
   * Writes a line: guest time in seconds, the end of the thread's name ("cpu0" for a processor),
   * the kind, and {@code text}.
   */
  public void tell(Kind kind, String text) {
    long now = nanos.getAsLong();
    String thread = Thread.currentThread().getName();
    lines.accept(
        String.format(
            Locale.ROOT,
            "%d.%09d %s %s %s",
            now / 1_000_000_000L,
            now % 1_000_000_000L,
            thread.substring(thread.lastIndexOf('-') + 1),
            kind.word(),
            text));
  }

  /**
   * Tells of an access to {@code size} bytes, if that is wanted.
   *
   * @param who answers there
   */
  public void tellAccess(Kind kind, String who, boolean write, long address, int size, long value) {
    if (wants(kind, address, size)) {
      tell(
          kind,
          String.format(
              Locale.ROOT,
              "%s 0x%x size %d value 0x%x (%s)",
              write ? "write" : "read",
              address,
              size,
              size == 8 ? value : value & (1L << 8 * size) - 1,
              who));
    }
  }
}
