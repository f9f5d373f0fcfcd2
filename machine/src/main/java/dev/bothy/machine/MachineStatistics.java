package dev.bothy.machine;

import dev.bothy.core.AddressSpace;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.OptionalLong;

/**
 * What a machine has done so far.
 *
 * @param engine the engine's name
 * @param instructions executed by all vCPUs
 * @param exits from the engine to the machine, by kind; and the engine's own counters
 * @param devices accesses by device
 * @param wallNanos host time since the start
 * @param cpuNanos processor time of the whole process so far
 * @param firstSerialNanos host time from the start to the first byte from COM1
 */
public record MachineStatistics(
    String engine,
    long instructions,
    Map<String, Long> exits,
    List<DeviceAccesses> devices,
    long wallNanos,
    long cpuNanos,
    OptionalLong firstSerialNanos) {
  /**
   * Accesses to one device's registers.
   *
   * @param space "ports" or "mmio"
   * @param device "none" for addresses that nothing answers at
   */
  public record DeviceAccesses(String space, String device, long base, long reads, long writes) {}

  /** By all devices of {@code spaces}. */
  static List<DeviceAccesses> accesses(List<AddressSpace> spaces) {
    List<DeviceAccesses> devices = new ArrayList<>();
    for (AddressSpace space : spaces) {
      for (AddressSpace.Mapping m : space.mappings()) {
        devices.add(new DeviceAccesses(space.name(), m.device(), m.base(), m.reads(), m.writes()));
      }
      devices.add(
          new DeviceAccesses(
              space.name(), "none", -1, space.unclaimedReads(), space.unclaimedWrites()));
    }
    return List.copyOf(devices);
  }
}
