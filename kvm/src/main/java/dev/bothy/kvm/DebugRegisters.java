package dev.bothy.kvm;

import dev.bothy.core.StopPoints;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/**
 * A debugger's points in the four debug registers of a processor: AMD64 APM volume 2, section
 * 13.1.1. Immutable.
 */
record DebugRegisters(List<Slot> slots) {
  private static final int SLOTS = 4;
  private static final int MOST_BYTES = 8;

  // DR7: what a register is for, with its length above.
  private static final int KINDS = 16;
  private static final int KIND_BITS = 4;
  private static final int WRITES = 1;
  private static final int ACCESSES = 3;
  private static final int ALWAYS_ONE = 0x400;

  /**
   * What a register holds.
   *
   * @param length 1, 2, 4 or 8, of which the address is a multiple
   * @param watched whose bytes these are; empty if the register holds a breakpoint
   */
  record Slot(long address, int length, Optional<StopPoints.Watchpoint> watched) {
    private int kind() {
      return watched.map(point -> point.reads() ? ACCESSES : WRITES).orElse(0)
          | (length == MOST_BYTES ? 2 : length - 1) << 2;
    }
  }

  DebugRegisters {
    slots = List.copyOf(slots);
  }

  /**
   * Empty if the points take more than there are, or if reads are to be told apart from writes,
   * which processors cannot do.
   */
  static Optional<DebugRegisters> of(StopPoints points) {
    List<Slot> slots = new ArrayList<>();
    points.breakpoints().forEach(at -> slots.add(new Slot(at, 1, Optional.empty())));
    for (StopPoints.Watchpoint point : points.watchpoints()) {
      if (!point.writes() || point.length() > SLOTS * MOST_BYTES) {
        return Optional.empty();
      }
      for (int done = 0; done < point.length(); ) {
        long at = point.address() + done;
        int most = Integer.highestOneBit(Math.min(MOST_BYTES, point.length() - done));
        int length = (int) Math.min(most, Long.lowestOneBit(at | MOST_BYTES));
        slots.add(new Slot(at, length, Optional.of(point)));
        done += length;
      }
    }
    return slots.size() > SLOTS ? Optional.empty() : Optional.of(new DebugRegisters(slots));
  }

  /** These without breakpoints, for a step. */
  DebugRegisters watching() {
    return new DebugRegisters(slots.stream().filter(slot -> slot.watched.isPresent()).toList());
  }

  /** The control register, DR7. */
  long control() {
    long control = ALWAYS_ONE;
    for (int i = 0; i < slots.size(); i++) {
      // Enabled globally: 2.
      control |= 2L << 2 * i | (long) slots.get(i).kind() << KINDS + KIND_BITS * i;
    }
    return control;
  }

  /** The first one that a bit of DR6 is set for. */
  Optional<Slot> hit(long dr6) {
    for (int i = 0; i < slots.size(); i++) {
      if ((dr6 >>> i & 1) != 0) {
        return Optional.of(slots.get(i));
      }
    }
    return Optional.empty();
  }
}
