package dev.bothy.share;

/** A request that is answered with an error number. */
final class FuseException extends Exception {
  private static final long serialVersionUID = 1L;

  private final int errno;

  FuseException(int errno) {
    super("error " + errno, null, false, false);
    this.errno = errno;
  }

  int errno() {
    return errno;
  }

  /** The result of a call of the host, which is negative if that has failed. */
  static long check(long result) throws FuseException {
    if (result < 0) {
      throw new FuseException((int) -result);
    }
    return result;
  }

  /** As {@link #check(long)}. */
  static int check(int result) throws FuseException {
    return (int) check((long) result);
  }
}
