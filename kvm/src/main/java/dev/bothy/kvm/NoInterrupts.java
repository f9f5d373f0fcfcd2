package dev.bothy.kvm;

import dev.bothy.core.SilentInterruptController;

/** A local APIC that is switched off for good. */
final class NoInterrupts extends SilentInterruptController {
  NoInterrupts() {
    super(0);
  }

  @Override
  public long apicBase() {
    return 0;
  }
}
