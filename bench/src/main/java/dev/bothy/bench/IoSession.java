package dev.bothy.bench;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.ArrayList;
import java.util.List;
import java.util.function.ObjLongConsumer;
import java.util.function.Supplier;

/**
 * Listens to the console of {@code bench/io}'s guest: {@code io-begin NAME} and {@code io-end NAME
 * BYTES NANOSECONDS}. Asks for the processor time at both.
 */
final class IoSession implements ObjLongConsumer<String> {
  private static final int TAIL_LINES = 20;

  /**
   * A job that was done.
   *
   * @param bytes that the guest moved
   * @param seconds by the guest's clock
   * @param used by the whole process from begin to end
   */
  record Done(IoJob job, long bytes, double seconds, ThreadTimes used) {
    /** Operations a second, or Gbit a second. */
    double rate() {
      return job.amount(bytes) / seconds;
    }

    /** The same for each second of processor time of the threads that are no vCPU. */
    double perDeviceSecond() {
      return job.amount(bytes) / used.seconds(ThreadTimes.Part.DEVICES);
    }

    /** The same for each second of the whole process. */
    double perSecond() {
      return job.amount(bytes) * 1e9 / used.total();
    }
  }

  private final Supplier<ThreadTimes> times;
  private final List<Done> done = new ArrayList<>();
  private final List<String> tail = new ArrayList<>();
  private ThreadTimes before;
  private boolean ended;

  IoSession(Supplier<ThreadTimes> times) {
    this.times = times;
  }

  /** For a process that is there as long as its console. */
  static IoSession of(GuestProcess process) {
    return new IoSession(
        () -> {
          try {
            return ThreadTimes.of(process.pid());
          } catch (IOException e) {
            throw new UncheckedIOException(e);
          }
        });
  }

  @Override
  public void accept(String line, long time) {
    int at = line.indexOf("io-");
    String[] words = at < 0 ? new String[] {""} : line.substring(at).strip().split(" ");
    switch (words[0]) {
      case "io-begin" -> before = times.get();
      case "io-end" -> {
        keep(line);
        end(words);
      }
      case "io-done" -> ended = true;
      default -> keep(line);
    }
  }

  private void keep(String line) {
    tail.add(line);
    if (tail.size() > TAIL_LINES) {
      tail.removeFirst();
    }
  }

  private void end(String[] words) {
    if (before == null || words.length != 4 || !(words[2] + words[3]).matches("[0-9]{2,36}")) {
      return;
    }
    ThreadTimes used = times.get().since(before);
    before = null;
    long bytes = Long.parseLong(words[2]);
    double seconds = Long.parseLong(words[3]) / 1e9;
    if (bytes == 0 || seconds == 0) {
      return;
    }
    IoJob.ALL.stream()
        .filter(job -> job.name().equals(words[1]))
        .forEach(job -> done.add(new Done(job, bytes, seconds, used)));
  }

  /** The jobs that came to a good end, in their order. */
  List<Done> done() {
    return done;
  }

  /** True once the guest has said that it was through. */
  boolean ended() {
    return ended;
  }

  /** The last lines that were something else, or results. */
  String tail() {
    return String.join("\n", tail);
  }
}
