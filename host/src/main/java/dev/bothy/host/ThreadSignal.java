package dev.bothy.host;

import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/**
 * A signal that ends a system call of one thread, and does nothing else. Nobody handles it, so it
 * would end the process wherever it is not blocked: it is sent only to threads that have called
 * {@link #block}, and is let in only by a call that takes a mask of its own and puts the thread's
 * back before it returns (KVM_RUN with KVM_SET_SIGNAL_MASK). It then stays pending until {@link
 * #drain}. Linux on x86-64; thread-safe.
 */
public final class ThreadSignal {
  /**
   * A real-time signal (signal(7)). The C library has 32 and 33 for itself, Java's channels the
   * last but two, the JVM none of them.
   */
  private static final int NUMBER = 50;

  private static final long BIT = 1L << (NUMBER - 1);
  private static final int SIG_BLOCK = 0;

  /** Bytes of the C library's sigset_t, of which Linux uses the first eight. */
  private static final int SET_SIZE = 128;

  private static final class Calls {
    static final LibraryFunction MASK = new LibraryFunction("pthread_sigmask");
    static final LibraryFunction WAIT = new LibraryFunction("sigtimedwait");
    static final LibraryFunction KILL = new LibraryFunction("tgkill");
    static final LibraryFunction THREAD = new LibraryFunction("gettid");
    static final LibraryFunction PROCESS = new LibraryFunction("getpid");
    static final int SELF = PROCESS.call(0).number();
  }

  private ThreadSignal() {}

  /**
   * Blocks the signal in the calling platform thread, for as long as that lives.
   *
   * @return the signals that are blocked apart from it, signal n as bit n-1
   */
  public static long block() {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment set = arena.allocate(SET_SIZE, 8);
      MemorySegment old = arena.allocate(SET_SIZE, 8);
      set.set(JAVA_LONG, 0, BIT);
      int error = Calls.MASK.call(SIG_BLOCK, set.address(), old.address(), 0, 0, 0).number();
      if (error != 0) {
        throw new AssertionError("pthread_sigmask: " + LibraryFunction.message(error));
      }
      return old.get(JAVA_LONG, 0) & ~BIT;
    }
  }

  /** The calling thread's number, for {@link #send}. */
  public static int thread() {
    return Calls.THREAD.call(0).number();
  }

  /** Sends the signal to a thread of this process that lives and has it blocked. */
  public static void send(int thread) {
    Calls.KILL.call(Calls.SELF, thread, NUMBER);
  }

  /** Takes what is pending in the calling thread away. */
  public static void drain() {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment set = arena.allocate(SET_SIZE, 8);
      MemorySegment now = arena.allocate(16, 8);
      set.set(JAVA_LONG, 0, BIT);
      int taken;
      do {
        taken = Calls.WAIT.call(set.address(), 0, now.address(), 0, 0, 0).number();
      } while (taken == NUMBER);
    }
  }
}
