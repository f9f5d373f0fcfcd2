package dev.bothy.device.remapping;

import dev.bothy.core.GuestMemory;
import dev.bothy.device.interrupt.MessageRemapping;
import dev.bothy.device.interrupt.MessageRemapping.Message;

/**
 * The table in memory by which interrupt messages are remapped: "Intel Virtualization Technology
 * for Directed I/O", revision 3.1, sections 5.1 and 9.9. Destinations are those of xAPIC mode.
 * Nothing of it is kept.
 *
 * @param address of the table
 * @param entries how many there are
 * @param compatible messages that name no entry pass as they are
 */
record MessageTable(long address, int entries, boolean compatible) {
  // Reasons of faults.
  static final int BAD_REQUEST = 0x20;
  static final int BEYOND_TABLE = 0x21;
  static final int NO_ENTRY = 0x22;
  static final int BAD_ENTRY = 0x24;
  static final int COMPATIBLE_BLOCKED = 0x25;
  static final int WRONG_SOURCE = 0x26;

  // The message.
  private static final long MESSAGES = 0xfee0_0000L;
  private static final int REMAPPABLE = 1 << 4;
  private static final int SUBHANDLE = 1 << 3;
  private static final int HIGH_INDEX = 1 << 2;
  private static final int INDEX_SHIFT = 5;

  // The entry.
  private static final int ENTRY = 16;
  private static final int PRESENT = 1;
  private static final int SILENT = 1 << 1;
  private static final int LOGICAL = 1 << 2;
  private static final int REDIRECTABLE = 1 << 3;
  private static final int LEVEL = 1 << 4;
  private static final int POSTED = 1 << 15;
  private static final int DESTINATION_SHIFT = 40;

  /** Bits of the second half above the source, all 0. */
  private static final int SOURCE_BITS = 20;

  // The message that comes of it.
  private static final int MESSAGE_LEVEL = 1 << 15;
  private static final int MESSAGE_ASSERT = 1 << 14;

  /**
   * What a message comes to.
   *
   * @param message null if it is not let through, for {@code reason}
   * @param silent the fault is not to be recorded
   */
  record Result(Message message, int reason, int index, boolean silent) {}

  Result remap(GuestMemory memory, int requester, Message message) {
    long address = message.address();
    if ((address & REMAPPABLE) == 0) {
      return compatible
          ? new Result(message, 0, 0, false)
          : new Result(null, COMPATIBLE_BLOCKED, 0, false);
    }
    int index =
        (int) (address >>> INDEX_SHIFT) & 0x7fff | ((address & HIGH_INDEX) != 0 ? 0x8000 : 0);
    if ((address & SUBHANDLE) != 0) {
      if (message.data() >>> 16 != 0) {
        return new Result(null, BAD_REQUEST, index, false);
      }
      index += message.data() & 0xffff;
    }
    if (index >= entries) {
      return new Result(null, BEYOND_TABLE, index, false);
    }
    long entry = memory.readLong(this.address + (long) index * ENTRY);
    long source = memory.readLong(this.address + (long) index * ENTRY + 8);
    boolean silent = (entry & SILENT) != 0;
    if ((entry & PRESENT) == 0) {
      return new Result(null, NO_ENTRY, index, silent);
    }
    if ((entry & POSTED) != 0 || source >>> SOURCE_BITS != 0) {
      return new Result(null, BAD_ENTRY, index, silent);
    }
    // An I/O APIC is inside the chipset, and names no source.
    if (requester != MessageRemapping.IO_APIC && !isFrom(source, requester)) {
      return new Result(null, WRONG_SOURCE, index, silent);
    }
    return new Result(message(entry), 0, index, silent);
  }

  private static boolean isFrom(long source, int requester) {
    int id = (int) source & 0xffff;
    return switch ((int) (source >>> 18) & 3) {
      case 0 -> true;
      case 1 -> {
        int ignored =
            switch ((int) (source >>> 16) & 3) {
              case 0 -> 0;
              case 1 -> 4;
              case 2 -> 6;
              default -> 7;
            };
        yield ((id ^ requester) & ~ignored) == 0;
      }
      case 2 -> {
        int bus = requester >>> 8;
        yield bus >= id >>> 8 && bus <= (id & 0xff);
      }
      default -> false;
    };
  }

  private static Message message(long entry) {
    long to =
        MESSAGES
            | (entry >>> DESTINATION_SHIFT & 0xff) << 12
            | ((entry & REDIRECTABLE) != 0 ? 1 << 3 : 0)
            | ((entry & LOGICAL) != 0 ? 1 << 2 : 0);
    int vector = (int) (entry >>> 16) & 0xff;
    int mode = (int) (entry >>> 5) & 7;
    int level = (entry & LEVEL) != 0 ? MESSAGE_LEVEL | MESSAGE_ASSERT : 0;
    return new Message(to, vector | mode << 8 | level);
  }
}
