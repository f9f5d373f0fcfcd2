package dev.bothy.machine;

import dev.bothy.core.GuestMemory;
import dev.bothy.device.pci.PciHost;
import dev.bothy.machine.boot.MemoryRange;
import java.util.ArrayList;
import java.util.List;

/**
 * Where things are in the guest-physical address space of this machine: all its constants in one
 * place.
 */
public final class MemoryMap {
  /** End of the RAM that real-mode programs use; the extended BIOS data area follows. */
  public static final long BASE_MEMORY_END = 0x9_fc00L;

  /** Display memory and option ROMs on a PC; the guest is told not to use it. */
  public static final long DISPLAY_START = 0xa_0000L;

  /**
   * The BIOS on a PC; here the ACPI tables and the reset stub, in RAM that the guest is told is
   * reserved.
   */
  public static final long FIRMWARE_START = 0xe_0000L;

  public static final long FIRMWARE_END = 0x10_0000L;

  /** The last paragraph below 1 MiB: where a reset in real mode jumps. */
  public static final long REAL_MODE_RESET = 0xf_fff0L;

  /**
   * PCI memory windows: below the interrupt controllers, and the upper half of what 40 address bits
   * reach.
   */
  public static final long PCI_WINDOW_START = GuestMemory.LOW_LIMIT;

  public static final long PCI_WINDOW_END = 0xfeb0_0000L;
  public static final long PCI_HIGH_WINDOW_START = 0x80_0000_0000L;
  public static final long PCI_HIGH_WINDOW_END = 0x100_0000_0000L;

  /** The configuration spaces of PCI bus 0, {@link PciHost#ECAM_LENGTH} bytes. */
  public static final long PCI_CONFIG = PCI_WINDOW_END;

  /** Ports for PCI functions, behind those of the board. */
  public static final int PCI_PORTS_START = 0xc000;

  public static final int PCI_PORTS_END = 0x1_0000;

  public static final long LOCAL_APIC = 0xfee0_0000L;

  /** The ROM that the reset vector lies in. */
  public static final long ROM_START = 0xffff_0000L;

  public static final int ROM_LENGTH = 0x1_0000;

  /**
   * RAM that a machine can have, in bytes: what lies between 4 GiB and the high PCI window, and
   * below.
   */
  public static final long MEMORY_LIMIT = 1L << 38;

  // BIOS data area.
  /** Segment of the extended BIOS data area, 2 bytes. */
  static final long BDA_EBDA_SEGMENT = 0x40e;

  /** KiB of base memory, 2 bytes. */
  static final long BDA_BASE_MEMORY_KIB = 0x413;

  private MemoryMap() {}

  /** What firmware would answer to INT 15h, E820h. */
  static List<MemoryRange> ranges(GuestMemory memory) {
    List<MemoryRange> map = new ArrayList<>();
    for (GuestMemory.Region region : memory.regions()) {
      if (region.start() != 0) {
        map.add(new MemoryRange(region.start(), region.length(), MemoryRange.Kind.RAM));
        continue;
      }
      long end = region.length();
      addRange(map, 0, Math.min(end, BASE_MEMORY_END), MemoryRange.Kind.RAM);
      addRange(map, BASE_MEMORY_END, DISPLAY_START, MemoryRange.Kind.RESERVED);
      addRange(map, FIRMWARE_START, FIRMWARE_END, MemoryRange.Kind.RESERVED);
      addRange(map, FIRMWARE_END, end, MemoryRange.Kind.RAM);
      addRange(map, PCI_CONFIG, PCI_CONFIG + PciHost.ECAM_LENGTH, MemoryRange.Kind.RESERVED);
      addRange(map, ROM_START, ROM_START + ROM_LENGTH, MemoryRange.Kind.RESERVED);
    }
    return List.copyOf(map);
  }

  private static void addRange(List<MemoryRange> map, long start, long end, MemoryRange.Kind kind) {
    if (end > start) {
      map.add(new MemoryRange(start, end - start, kind));
    }
  }
}
