package dev.bothy.host;

import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/**
 * A signal that ends a system call of one thread with EINTR, if that is a call that ends so, and
 * does nothing else (signal(7): calls that can be begun again are). Its handler is the C library's
 * {@code abs}, a function of one number that touches nothing. Linux on x86-64; thread-safe.
 */
public final class ThreadSignal {
  /**
   * Real-time signals (signal(7)) to choose from. The C library has 32 and 33 for itself, Java's
   * channels the last but two, the JVM none of them.
   */
  private static final int FIRST = 50;

  private static final int LAST = 58;

  private static final int SIG_BLOCK = 0;
  private static final int SIG_UNBLOCK = 1;
  private static final int SA_RESTART = 0x1000_0000;

  /** Bytes of the C library's sigset_t, of which Linux uses the first eight. */
  private static final int SET_SIZE = 128;

  /** The C library's struct sigaction: handler, signals that are blocked meanwhile, flags. */
  private static final int ACTION_SIZE = 8 + SET_SIZE + 16;

  private static final int ACTION_FLAGS = 8 + SET_SIZE;

  private static final class Calls {
    static final LibraryFunction MASK = new LibraryFunction("pthread_sigmask");
    static final LibraryFunction KILL = new LibraryFunction("tgkill");
    static final LibraryFunction THREAD = new LibraryFunction("gettid");
    static final int SELF = new LibraryFunction("getpid").call(0).number();
    static final int NUMBER = handled();

    /** The first signal that nobody handles, from now on ours. */
    private static int handled() {
      LibraryFunction sigaction = new LibraryFunction("sigaction");
      try (Arena arena = Arena.ofConfined()) {
        MemorySegment action = arena.allocate(ACTION_SIZE, 8);
        for (int number = FIRST; number <= LAST; number++) {
          sigaction.call(number, 0, action.address(), 0, 0, 0);
          if (action.get(JAVA_LONG, 0) == 0) {
            action.fill((byte) 0);
            action.set(JAVA_LONG, 0, NativeFunction.address("abs").address());
            action.set(JAVA_INT, ACTION_FLAGS, SA_RESTART);
            sigaction.call(number, action.address(), 0, 0, 0, 0);
            return number;
          }
        }
      }
      throw new UnsupportedOperationException(
          "the signals " + FIRST + " to " + LAST + " are all used by others in this process");
    }
  }

  private ThreadSignal() {}

  /** Lets the signal in in the calling platform thread, and with it one that waits. */
  public static void allow() {
    mask(SIG_UNBLOCK);
  }

  /**
   * Lets the signal wait in the calling platform thread, until {@link #allow} or a call that takes
   * a mask of its own.
   *
   * @return the signals that are blocked apart from it, signal n as bit n-1
   */
  public static long block() {
    return mask(SIG_BLOCK);
  }

  private static long mask(int how) {
    long bit = 1L << (Calls.NUMBER - 1);
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment set = arena.allocate(SET_SIZE, 8);
      MemorySegment old = arena.allocate(SET_SIZE, 8);
      set.set(JAVA_LONG, 0, bit);
      int error = Calls.MASK.call(how, set.address(), old.address(), 0, 0, 0).number();
      if (error != 0) {
        throw new AssertionError("pthread_sigmask: " + LibraryFunction.message(error));
      }
      return old.get(JAVA_LONG, 0) & ~bit;
    }
  }

  /** The calling thread's number, for {@link #send}. */
  public static int thread() {
    return Calls.THREAD.call(0).number();
  }

  /** Sends the signal to a thread of this process that lives. */
  public static void send(int thread) {
    Calls.KILL.call(Calls.SELF, thread, Calls.NUMBER);
  }
}
