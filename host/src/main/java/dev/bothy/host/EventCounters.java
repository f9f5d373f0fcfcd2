package dev.bothy.host;

import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;

/**
 * Counters that others increase, the kernel for example, and that one thread waits for: eventfd(2)
 * and epoll(7) of Linux. A counter is named by its descriptor. All throw {@link
 * UnsupportedOperationException} where {@link FileCalls#available} says no. {@link #add} and {@link
 * #increase} any thread.
 */
public final class EventCounters implements AutoCloseable {
  private static final int CLOSE_ON_EXEC = FileCalls.O_CLOEXEC;
  private static final int NOT_BLOCKING = FileCalls.O_NONBLOCK;
  private static final int EPOLL_CTL_ADD = 1;
  private static final int EPOLLIN = 1;
  private static final int FOREVER = -1;

  // struct epoll_event, which x86-64 packs.
  private static final boolean PACKED =
      List.of("amd64", "x86_64").contains(System.getProperty("os.arch"));
  private static final int EVENT_DATA = PACKED ? 4 : 8;
  private static final int EVENT_SIZE = EVENT_DATA + 8;

  /** The kernel tells of no more in one call; of others in the next. */
  private static final int MOST_AT_ONCE = 16;

  private static final class Calls {
    static final LibraryFunction COUNTER = new LibraryFunction("eventfd");
    static final LibraryFunction CREATE = new LibraryFunction("epoll_create1");
    static final LibraryFunction CONTROL = new LibraryFunction("epoll_ctl");
    static final LibraryFunction WAIT = new LibraryFunction("epoll_wait");
    static final LibraryFunction READ = new LibraryFunction("read");
    static final LibraryFunction WRITE = new LibraryFunction("write");
  }

  // Collected with this object.
  private final Arena arena = Arena.ofAuto();
  private final MemorySegment events = arena.allocate(MOST_AT_ONCE * EVENT_SIZE, 8);
  private final MemorySegment waitState = LibraryFunction.callState(arena);
  private final MemorySegment number = arena.allocate(JAVA_LONG);
  private final MemorySegment takeState = LibraryFunction.callState(arena);
  private final List<Integer> counters = new ArrayList<>();
  private final int poll;

  /**
   * None yet.
   *
   * @throws IOException if the host has no descriptor left
   */
  public EventCounters() throws IOException {
    poll = checked("epoll_create1", Calls.CREATE.call(CLOSE_ON_EXEC));
  }

  private static int checked(String name, LibraryFunction.Result result) throws IOException {
    if (result.number() == -1) {
      throw new IOException(name + ": " + FileCalls.message(result.errno()));
    }
    return result.number();
  }

  /**
   * Adds one, which is 0, to those that are waited for.
   *
   * @return its descriptor, which is closed with this object
   * @throws IOException if the host has none left
   */
  public synchronized int add() throws IOException {
    int counter = checked("eventfd", Calls.COUNTER.call(0, CLOSE_ON_EXEC | NOT_BLOCKING));
    try (Arena confined = Arena.ofConfined()) {
      MemorySegment event = confined.allocate(EVENT_SIZE, 8);
      event.set(JAVA_INT, 0, EPOLLIN);
      event.set(JAVA_LONG.withByteAlignment(1), EVENT_DATA, counter);
      checked("epoll_ctl", Calls.CONTROL.call(poll, EPOLL_CTL_ADD, counter, event.address(), 0, 0));
    } catch (IOException e) {
      FileCalls.close(counter);
      throw e;
    }
    counters.add(counter);
    return counter;
  }

  /** Adds 1 to a counter. */
  public void increase(int counter) {
    try (Arena confined = Arena.ofConfined()) {
      MemorySegment one = confined.allocateFrom(JAVA_LONG, 1);
      Calls.WRITE.call(counter, one.address(), 8, 0, 0, 0);
    }
  }

  /**
   * Waits until some are not 0. One thread at a time, a platform thread.
   *
   * @param ready gets them, as many as it has room for
   * @return how many
   */
  public int await(int[] ready) {
    int most = Math.min(ready.length, MOST_AT_ONCE);
    // 0 after a signal.
    int count =
        Math.max(0, Calls.WAIT.intInto(waitState, poll, events.address(), most, FOREVER, 0, 0));
    for (int i = 0; i < count; i++) {
      ready[i] = (int) events.get(JAVA_LONG.withByteAlignment(1), i * EVENT_SIZE + EVENT_DATA);
    }
    return count;
  }

  /** What a counter has come to; it is 0 then. One thread at a time. */
  public long take(int counter) {
    long bytes = Calls.READ.longInto(takeState, counter, number.address(), 8, 0, 0, 0);
    return bytes == 8 ? number.get(JAVA_LONG, 0) : 0;
  }

  /** No thread uses it any more, nor any counter. */
  @Override
  public synchronized void close() {
    counters.forEach(FileCalls::close);
    counters.clear();
    FileCalls.close(poll);
  }
}
