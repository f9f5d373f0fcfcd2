package dev.bothy.machine.acpi;

import dev.bothy.device.interrupt.InterruptRouter;
import dev.bothy.machine.MemoryMap;
import java.util.ArrayList;
import java.util.List;

/**
 * The PCI root bridge in ACPI machine language: the windows that it passes on, where interrupt pins
 * lead, and who controls what (PCI Firmware Specification 3.3, chapter 4).
 */
final class PciRootBridge {
  private static final int PINS = 4;

  /** Interrupt model that the operating system has told: 0 for the 8259 pair, 1 for APICs. */
  private static final String INTERRUPT_MODE = "PICM";

  /** 33DB4D5B-1FF7-401C-9657-7441C03DD766, capabilities of a PCI host bridge. */
  private static final byte[] HOST_BRIDGE_CAPABILITIES =
      Aml.buffer(
          Aml.bytes(
              0x5b, 0x4d, 0xdb, 0x33, 0xf7, 0x1f, 0x1c, 0x40, 0x96, 0x57, 0x74, 0x41, 0xc0, 0x3d,
              0xd7, 0x66));

  /**
   * The operating system may have all that it asks for, as there is no firmware that wants it:
   * power management events, error reporting, the capability structure and latency reports. There
   * is no hot-plug, native or by a standard controller.
   */
  private static final int GRANTED = 0x3c;

  // First double word of what _OSC returns.
  private static final int UNKNOWN_IDENTIFIER = 4;
  private static final int UNKNOWN_REVISION = 8;
  private static final int CAPABILITIES_MASKED = 0x10;

  private PciRootBridge() {}

  /** The method by which the operating system tells its interrupt model, for the root. */
  static byte[] interruptMode() {
    return Aml.join(
        Aml.name(INTERRUPT_MODE, Aml.integer(0)),
        Aml.method("_PIC", 1, Aml.store(Aml.argument(0), Aml.named(INTERRUPT_MODE))));
  }

  /** The bridge, for the scope \_SB. @param devices numbers of those on its bus */
  static byte[] device(List<Integer> devices) {
    return Aml.device(
        "PCI0",
        Aml.name("_HID", Aml.eisaId("PNP0A08")),
        Aml.name("_CID", Aml.eisaId("PNP0A03")),
        Aml.name("_UID", Aml.integer(0)),
        Aml.name("_SEG", Aml.integer(0)),
        Aml.name("_BBN", Aml.integer(0)),
        Aml.name(
            "_CRS",
            Aml.resources(
                Aml.busNumbers(0, 0),
                Aml.ports(0xcf8, 8),
                Aml.portWindow(0, 0xcf7),
                Aml.portWindow(0xd00, 0xffff),
                Aml.memoryWindow(MemoryMap.DISPLAY_START, 0xb_ffffL),
                Aml.memoryWindow(MemoryMap.PCI_WINDOW_START, MemoryMap.PCI_WINDOW_END - 1),
                Aml.longMemoryWindow(
                    MemoryMap.PCI_HIGH_WINDOW_START, MemoryMap.PCI_HIGH_WINDOW_END - 1))),
        Aml.method(
            "_PRT",
            0,
            Aml.when(Aml.named(INTERRUPT_MODE), Aml.giveBack(routes(devices, true))),
            Aml.giveBack(routes(devices, false))),
        capabilities());
  }

  /** Where the pins of each device lead: global system interrupts, with no link device between. */
  private static byte[] routes(List<Integer> devices, boolean apic) {
    List<byte[]> routes = new ArrayList<>();
    for (int device : devices) {
      for (int pin = 0; pin < PINS; pin++) {
        int gsi =
            apic
                ? InterruptRouter.PCI_GSI + (device + pin) % PINS
                : InterruptRouter.pciInterruptLine(device, pin);
        routes.add(
            Aml.packageOf(
                Aml.integer((long) device << 16 | 0xffff),
                Aml.integer(pin),
                Aml.integer(0),
                Aml.integer(gsi)));
      }
    }
    return Aml.packageOf(routes.toArray(byte[][]::new));
  }

  /** _OSC: what the operating system supports, wants to control, and gets. */
  private static byte[] capabilities() {
    byte[] result = Aml.named("CDW1");
    byte[] control = Aml.named("CDW3");
    byte[] granted = Aml.local(0);
    return Aml.method(
        "_OSC",
        4,
        Aml.doubleWordField(Aml.argument(3), 0, "CDW1"),
        Aml.when(
            Aml.equal(Aml.argument(0), HOST_BRIDGE_CAPABILITIES),
            Aml.doubleWordField(Aml.argument(3), 8, "CDW3"),
            Aml.and(control, Aml.integer(GRANTED), granted),
            Aml.when(
                Aml.not(Aml.equal(Aml.argument(1), Aml.integer(1))),
                Aml.or(result, Aml.integer(UNKNOWN_REVISION), result)),
            Aml.when(
                Aml.not(Aml.equal(control, granted)),
                Aml.or(result, Aml.integer(CAPABILITIES_MASKED), result)),
            Aml.store(granted, control)),
        Aml.otherwise(Aml.or(result, Aml.integer(UNKNOWN_IDENTIFIER), result)),
        Aml.giveBack(Aml.argument(3)));
  }
}
