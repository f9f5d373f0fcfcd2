package dev.bothy.bench;

import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.OptionalInt;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.ReentrantLock;
import java.util.function.Consumer;

/**
 * A guest at its serial console: what it says is kept, and answered as somebody at a keyboard would
 * who waits for prompts. For one thread.
 */
final class ConsoleRun implements AutoCloseable {
  /** Of what the guest says; the rest is only counted. */
  private static final int KEPT_CHARACTERS = 8 << 20;

  private static final int SECONDS_TO_END = 20;
  private static final int BEAT_MILLIS = 100;

  /**
   * Something the guest is to say, and the answer.
   *
   * @param typed the answer, or empty
   * @param endAfter seconds from then to the end of the run, by a signal to the process; 0: it ends
   *     by itself
   */
  record Turn(String expected, String typed, int endAfter) {
    static Turn type(String expected, String typed) {
      return new Turn(expected, typed, 0);
    }

    static Turn endAfter(String expected, int seconds) {
      return new Turn(expected, "", seconds);
    }
  }

  /**
   * How a run ended.
   *
   * @param hung it did not come to its end in time
   * @param status of the process; nothing if it had to be killed
   * @param seconds from its start
   * @param stood seconds that the host, or this process, stood still meanwhile: whoever stops us
   *     probably stops the guest, and its clock goes on
   * @param turns how many were taken
   * @param console all that the guest said, carriage returns left out
   */
  record End(
      boolean hung, OptionalInt status, double seconds, double stood, int turns, String console) {}

  private final GuestProcess process;
  private final ReentrantLock lock = new ReentrantLock();
  private final Condition more = lock.newCondition();
  private final StringBuilder said = new StringBuilder();
  private long left;
  private boolean ended;
  private volatile int taken;

  /** The longest time between two beats of {@link #watchTime}. */
  private volatile double longestBeat;

  /** Starts a command; its standard error goes to a file. */
  ConsoleRun(List<String> command, Path errors) throws IOException {
    process = GuestProcess.plain(command, errors);
    Thread.ofVirtual().start(this::listen);
    Thread.ofPlatform().daemon().start(this::watchTime);
  }

  private void watchTime() {
    try {
      for (double last = process.age(); process.alive(); last = process.age()) {
        TimeUnit.MILLISECONDS.sleep(BEAT_MILLIS);
        longestBeat = Math.max(longestBeat, process.age() - last);
      }
    } catch (InterruptedException e) {
      // Nobody does.
    }
  }

  GuestProcess process() {
    return process;
  }

  /** How many turns have been taken by now; any thread. */
  int taken() {
    return taken;
  }

  private void listen() {
    byte[] buffer = new byte[8192];
    try (InputStream output = process.output()) {
      for (int length; (length = output.read(buffer)) >= 0; ) {
        keep(new String(buffer, 0, length, StandardCharsets.ISO_8859_1).replace("\r", ""));
      }
    } catch (IOException e) {
      // It has been killed.
    }
    lock.lock();
    try {
      ended = true;
      more.signalAll();
    } finally {
      lock.unlock();
    }
  }

  private void keep(String text) {
    lock.lock();
    try {
      int room = KEPT_CHARACTERS - said.length();
      said.append(text, 0, Math.min(room, text.length()));
      left += Math.max(0, text.length() - room);
      more.signalAll();
    } finally {
      lock.unlock();
    }
  }

  /**
   * Takes the turns one after the other, then waits for the end.
   *
   * @param limit of the whole run
   * @param onHang is given a process that has not come to its end in time, before it is ended
   */
  End run(List<Turn> turns, Duration limit, Consumer<GuestProcess> onHang)
      throws InterruptedException {
    double deadline = limit.toMillis() / 1e3;
    int from = 0;
    while (taken < turns.size()) {
      Turn turn = turns.get(taken);
      from = await(turn.expected, from, deadline);
      if (from < 0) {
        break;
      }
      process.type(turn.typed);
      taken++;
      if (turn.endAfter > 0) {
        await(null, from, process.age() + turn.endAfter);
        process.terminate();
      }
    }
    boolean hung = !awaitEnd(deadline);
    if (hung) {
      onHang.accept(process);
      process.terminate();
    }
    double seconds = process.age();
    OptionalInt status = process.status(SECONDS_TO_END);
    process.close();
    lock.lock();
    try {
      String console = said + (left == 0 ? "" : "\n... and %d characters more".formatted(left));
      return new End(hung, status, seconds, longestBeat, taken, console);
    } finally {
      lock.unlock();
    }
  }

  private boolean awaitEnd(double deadline) throws InterruptedException {
    await(null, 0, deadline);
    lock.lock();
    try {
      return ended;
    } finally {
      lock.unlock();
    }
  }

  /** What the guest has said from one position to another; any thread. */
  String said(int from, int to) {
    lock.lock();
    try {
      return said.substring(from, to);
    } finally {
      lock.unlock();
    }
  }

  /** All that the guest has said by now; any thread. */
  String said() {
    lock.lock();
    try {
      return said.toString();
    } finally {
      lock.unlock();
    }
  }

  /**
   * Waits until the guest has said {@code text} behind {@code from}; null: until the end.
   *
   * @param deadline in seconds of the process's age
   * @return the position behind the text, or -1 if it was not said
   */
  int await(String text, int from, double deadline) throws InterruptedException {
    lock.lock();
    try {
      int searched = from;
      for (; ; ) {
        int at = text == null ? -1 : said.indexOf(text, searched);
        if (at >= 0) {
          return at + text.length();
        }
        if (text != null) {
          searched = Math.max(from, said.length() - text.length() + 1);
        }
        double wait = deadline - process.age();
        if (ended || wait <= 0) {
          return -1;
        }
        more.await((long) (wait * 1e9) + 1, TimeUnit.NANOSECONDS);
      }
    } finally {
      lock.unlock();
    }
  }

  @Override
  public void close() {
    process.close();
  }
}
