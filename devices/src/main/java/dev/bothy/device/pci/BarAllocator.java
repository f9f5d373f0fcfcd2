package dev.bothy.device.pci;

import java.util.ArrayList;
import java.util.List;

/**
 * Gives every base address register of a bus a place, as firmware does before it starts an
 * operating system, which may move them later. The largest come first, each aligned to its size;
 * what finds no room stays unset.
 */
public final class BarAllocator {
  private final Window ports;
  private final Window low;
  private final Window high;

  /**
   * Addresses for base address registers.
   *
   * @param start the first
   * @param end behind the last
   */
  public record Window(long start, long end) {}

  private record Request(PciFunction function, int index, Bar bar) {}

  /** How much of a window is taken, from its start. */
  private static final class Filling {
    private final Window window;
    private long next;

    Filling(Window window) {
      this.window = window;
      next = window.start;
    }

    /** Takes {@code size} bytes, a power of two, or gives 0 if there is no room. */
    long take(long size) {
      long start = next + size - 1 & -size;
      if (start < next || window.end - start < size) {
        return 0;
      }
      next = start + size;
      return start;
    }
  }

  /**
   * @param ports for ranges of ports
   * @param low below 4 GiB, for memory; first choice also of 64-bit ranges
   * @param high for 64-bit ranges that have no room there
   */
  public BarAllocator(Window ports, Window low, Window high) {
    this.ports = ports;
    this.low = low;
    this.high = high;
  }

  /** Sets all registers, and lets functions answer that have a place for each. */
  public void assign(List<PciFunction> functions) {
    List<Request> requests = new ArrayList<>();
    for (PciFunction function : functions) {
      for (int i = 0; i < PciFunction.BARS; i++) {
        if (function.bar(i) != null) {
          requests.add(new Request(function, i, function.bar(i)));
        }
      }
    }
    requests.sort((a, b) -> Long.compare(b.bar.size(), a.bar.size()));
    Filling portFilling = new Filling(ports);
    Filling lowFilling = new Filling(low);
    Filling highFilling = new Filling(high);
    List<PciFunction> lacking = new ArrayList<>();
    for (Request r : requests) {
      long base = (r.bar.io() ? portFilling : lowFilling).take(r.bar.size());
      if (base == 0 && r.bar.wide()) {
        base = highFilling.take(r.bar.size());
      }
      r.function.writeConfig(PciFunction.BASE_ADDRESSES + 4 * r.index, r.bar.registerBytes(), base);
      if (base == 0) {
        lacking.add(r.function);
      }
    }
    for (PciFunction function : functions) {
      if (!lacking.contains(function)) {
        function.writeConfig(
            PciFunction.COMMAND, 2, PciFunction.COMMAND_IO | PciFunction.COMMAND_MEMORY);
      }
    }
  }
}
