package dev.bothy.x86.interpret;

/** Triple fault: the processor stops. */
final class Shutdown extends RuntimeException {
  private static final long serialVersionUID = 1L;

  static final Shutdown SIGNAL = new Shutdown();

  private Shutdown() {
    super(null, null, false, false);
  }
}
