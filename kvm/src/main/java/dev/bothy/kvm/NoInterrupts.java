package dev.bothy.kvm;

import dev.bothy.core.EngineApic;
import dev.bothy.core.SilentInterruptController;

/** A local APIC that is switched off for good, unless the kernel has one. */
final class NoInterrupts extends SilentInterruptController {
  private int ended = -1;

  NoInterrupts() {
    super(0);
  }

  @Override
  public void moveTo(EngineApic engine) {
    // The kernel's is as after a reset.
  }

  @Override
  public void endOfInterrupt(int vector) {
    ended = vector;
  }

  /** The vector of the last interrupt whose end the kernel has told of, or -1. */
  int ended() {
    return ended;
  }

  @Override
  public long apicBase() {
    return 0;
  }
}
