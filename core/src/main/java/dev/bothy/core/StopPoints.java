package dev.bothy.core;

import java.util.List;
import java.util.Set;

/**
 * Where a debugger of the machine wants its vCPUs to stop, see {@link Debugging}. Nothing of it is
 * to be seen by the guest.
 *
 * @param breakpoints linear addresses of instructions, in whatever address space
 * @param watchpoints data accesses
 */
public record StopPoints(Set<Long> breakpoints, List<Watchpoint> watchpoints) {
  /** Nowhere. */
  public static final StopPoints NONE = new StopPoints(Set.of(), List.of());

  public StopPoints {
    breakpoints = Set.copyOf(breakpoints);
    watchpoints = List.copyOf(watchpoints);
  }

  /**
   * Accesses by a vCPU that touch one of {@code length} bytes from a linear address on; devices do
   * not count.
   *
   * @param length above 0
   */
  public record Watchpoint(long address, int length, boolean reads, boolean writes) {
    /** True if an access to {@code size} bytes at {@code linear} touches them. */
    public boolean touches(long linear, int size) {
      return linear - address < length && address - linear < size;
    }

    /** True if they are, in part, on the page of {@code linear}. */
    public boolean onPage(long linear) {
      return touches(linear & -4096L, 4096);
    }
  }
}
