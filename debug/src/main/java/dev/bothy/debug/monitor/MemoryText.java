package dev.bothy.debug.monitor;

import dev.bothy.core.GuestMemory;
import dev.bothy.core.cpu.CpuState;
import dev.bothy.machine.Machine;

/** RAM, and how processors see it. */
final class MemoryText {
  private static final long PAGING = 1L << 31;
  private static final long PHYSICAL_ADDRESS_EXTENSIONS = 1 << 5;
  private static final long FIVE_LEVELS = 1 << 12;
  private static final long LONG_MODE_ACTIVE = 1 << 10;

  private MemoryText() {}

  static String of(Machine machine) {
    StringBuilder out = new StringBuilder();
    for (GuestMemory.Region region : machine.memory().regions()) {
      out.append(
          "RAM %012x to %012x, %d KiB%n"
              .formatted(
                  region.start(), region.start() + region.length() - 1, region.length() >> 10));
    }
    return machine.whileStanding(
        () -> {
          for (int i = 0; i < machine.options().cpus(); i++) {
            CpuState cpu = machine.vcpu(i).state();
            out.append("processor %d: %s%n".formatted(i, paging(cpu)));
          }
          return out.toString();
        });
  }

  private static String paging(CpuState cpu) {
    if ((cpu.get(CpuState.CR0) & PAGING) == 0) {
      return "no paging";
    }
    long cr4 = cpu.get(CpuState.CR4);
    String kind =
        (cpu.get(CpuState.EFER) & LONG_MODE_ACTIVE) != 0
            ? (cr4 & FIVE_LEVELS) != 0 ? "5-level paging" : "4-level paging"
            : (cr4 & PHYSICAL_ADDRESS_EXTENSIONS) != 0 ? "PAE paging" : "32-bit paging";
    return "%s, tables at %x".formatted(kind, cpu.get(CpuState.CR3) & 0x000f_ffff_ffff_f000L);
  }
}
