package dev.bothy.device.pci;

/**
 * The host bridge at 00:00.0: an identity and nothing else, which is what kernels look for when
 * they probe for PCI.
 */
final class HostBridge extends PciFunction {
  private static final int INTEL = 0x8086;
  private static final int VIRTUAL_HOST_BRIDGE = 0x0d57;
  private static final int CLASS_HOST_BRIDGE = 0x060000;

  HostBridge() {
    super("pci-host-bridge", INTEL, VIRTUAL_HOST_BRIDGE, 0, CLASS_HOST_BRIDGE);
  }
}
