package dev.bothy.debug.monitor;

import dev.bothy.core.AddressSpace;
import dev.bothy.machine.Machine;
import dev.bothy.machine.MemoryMap;

/** What answers where, and PCI functions by their configuration space. */
final class DeviceText {
  private static final int FUNCTIONS = 256;
  private static final int NOBODY = 0xffff;

  private DeviceText() {}

  static String of(Machine machine) {
    return machine.whileStanding(
        () -> {
          StringBuilder out = new StringBuilder();
          for (AddressSpace space : machine.spaces()) {
            for (AddressSpace.Mapping mapping : space.mappings()) {
              out.append(
                  "%-5s %x to %x: %s, %d reads, %d writes%n"
                      .formatted(
                          space.name(),
                          mapping.base(),
                          mapping.base() + mapping.length() - 1,
                          mapping.device(),
                          mapping.reads(),
                          mapping.writes()));
            }
          }
          appendFunctions(out, machine.spaces().getLast());
          return out.toString();
        });
  }

  private static void appendFunctions(StringBuilder out, AddressSpace mmio) {
    for (int function = 0; function < FUNCTIONS; function++) {
      long at = MemoryMap.PCI_CONFIG + ((long) function << 12);
      long id = mmio.read(at, 4);
      if ((id & NOBODY) != NOBODY) {
        out.append(
            "pci   00:%02x.%x: %04x:%04x class %04x%n"
                .formatted(
                    function >> 3,
                    function & 7,
                    id & 0xffff,
                    id >>> 16,
                    mmio.read(at + 8, 4) >>> 16));
      }
    }
  }
}
