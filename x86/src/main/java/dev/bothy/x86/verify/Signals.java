package dev.bothy.x86.verify;

import dev.bothy.core.Vcpu;

/**
 * INIT, NMI and start-up IPIs as bits of one word: those that wait for the next stretch. A later
 * INIT makes earlier start-up IPIs meaningless, and a later start-up IPI earlier ones.
 */
final class Signals {
  static final int STARTUP = 0x100;
  static final int INIT = 0x200;
  static final int NMI = 0x400;
  static final int SMI = 0x1000;

  private Signals() {}

  static int withNmi(int waiting) {
    return waiting | NMI;
  }

  static int withSmi(int waiting) {
    return waiting | SMI;
  }

  static int withInit(int waiting) {
    return waiting & ~(STARTUP | 0xff) | INIT;
  }

  static int withStartup(int waiting, int page) {
    return waiting & ~0xff | STARTUP | page & 0xff;
  }

  static void send(int waiting, Vcpu vcpu) {
    if ((waiting & INIT) != 0) {
      vcpu.init();
    }
    if ((waiting & STARTUP) != 0) {
      vcpu.startup(waiting & 0xff);
    }
    if ((waiting & NMI) != 0) {
      vcpu.nmi();
    }
    if ((waiting & SMI) != 0) {
      vcpu.smi();
    }
  }
}
