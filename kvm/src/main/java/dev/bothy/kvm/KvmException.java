package dev.bothy.kvm;

import dev.bothy.host.FileCalls;

/** KVM cannot do what was asked; the message says what and why, in a line for people. */
public final class KvmException extends UnsupportedOperationException {
  private static final long serialVersionUID = 1L;

  KvmException(String message) {
    super(message);
  }

  /**
   * A request that failed.
   *
   * @param error as returned by the call: a negative error number
   */
  static KvmException of(String request, int error) {
    return new KvmException(request + ": " + FileCalls.message(-error));
  }
}
