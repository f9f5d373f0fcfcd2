package dev.bothy;

import dev.bothy.device.serial.Uart16550;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.ReentrantLock;

/** The serial console of a machine (COM1). Any thread. */
public final class Console {
  /** Bytes that wait for the guest before {@link #send} blocks. */
  public static final int PENDING_LIMIT = 1 << 16;

  private final ConsoleOutput output;
  private final Uart16550 uart;

  private final ReentrantLock lock = new ReentrantLock();
  private final Condition room = lock.newCondition();
  private final byte[] pending = new byte[PENDING_LIMIT];
  private int first;
  private int count;
  private boolean ended;

  Console(ConsoleOutput output, Uart16550 uart) {
    this.output = output;
    this.uart = uart;
    uart.onRoom(this::pump);
  }

  /**
   * Types {@code text} in UTF-8. The guest gets it at its serial port's own pace, no byte is lost;
   * returns as soon as all of it waits in line, which is at once unless more than {@link
   * #PENDING_LIMIT} bytes do. Text for a machine that has ended goes nowhere.
   */
  public void send(String text) throws InterruptedException {
    byte[] bytes = text.getBytes(StandardCharsets.UTF_8);
    send(bytes, 0, bytes.length);
  }

  /** As {@link #send(String)}, for bytes. */
  public void send(byte[] bytes, int from, int length) throws InterruptedException {
    java.util.Objects.checkFromIndexSize(from, length, bytes.length);
    int done = 0;
    while (done < length) {
      lock.lockInterruptibly();
      try {
        while (count == PENDING_LIMIT && !ended) {
          room.await();
        }
        if (ended) {
          return;
        }
        for (; done < length && count < PENDING_LIMIT; done++) {
          pending[(first + count++) % PENDING_LIMIT] = bytes[from + done];
        }
      } finally {
        lock.unlock();
      }
      pump();
    }
  }

  /** Bytes that were sent and wait for the guest's serial port. */
  public int pending() {
    lock.lock();
    try {
      return count;
    } finally {
      lock.unlock();
    }
  }

  /** Hands over what the serial port takes now. */
  private void pump() {
    lock.lock();
    try {
      while (count > 0) {
        int chunk = Math.min(count, PENDING_LIMIT - first);
        int taken = uart.offer(pending, first, chunk);
        first = (first + taken) % PENDING_LIMIT;
        count -= taken;
        if (taken < chunk) {
          break;
        }
      }
      room.signalAll();
    } finally {
      lock.unlock();
    }
  }

  void end() {
    output.end();
    lock.lock();
    try {
      ended = true;
      room.signalAll();
    } finally {
      lock.unlock();
    }
  }

  /**
   * Waits until the guest has sent {@code text} and consumes everything up to its end: the next
   * call looks only at what comes after it.
   *
   * @return what was consumed, of which at most the last 256 KiB are kept
   * @throws ConsoleException if it does not come within {@code timeout}, or the machine ends
   */
  public String expect(String text, Duration timeout)
      throws ConsoleException, InterruptedException {
    return output.expect(text, timeout);
  }

  /** Everything that the guest has sent so far, of which at most the last 256 KiB are kept. */
  public String output() {
    return output.text();
  }
}
