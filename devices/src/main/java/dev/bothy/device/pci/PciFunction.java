package dev.bothy.device.pci;

import dev.bothy.core.state.Stateful;

/** One PCI function with a standard header. */
public abstract class PciFunction implements Stateful {}
