package dev.bothy.machine.boot;

import dev.bothy.core.GuestMemory;
import java.util.List;

/**
 * The machine as a boot loader finds it.
 *
 * @param memory RAM to load into; the loader may use everything that {@code memoryMap} calls RAM
 * @param memoryMap sorted by address, without overlaps
 * @param rsdp guest-physical address of the ACPI root pointer, or 0 without ACPI
 */
public record BootEnvironment(GuestMemory memory, List<MemoryRange> memoryMap, long rsdp) {
  public BootEnvironment {
    memoryMap = List.copyOf(memoryMap);
  }
}
