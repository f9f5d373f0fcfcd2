package dev.bothy.device.timer;

import dev.bothy.core.state.StateException;
import dev.bothy.core.state.StateReader;
import dev.bothy.core.state.StateWriter;

/** One counter of an 8254. Guarded by its {@link Pit}. */
final class PitChannel {
  /** Access: least significant byte, most significant byte, or both in turn. */
  private static final int LOW = 1;

  private static final int HIGH = 2;

  private int mode;
  private int access = LOW | HIGH;
  private boolean bcd;

  /** Counting down from here, 1 to 65536. */
  private int count = 0x10000;

  /** What the next trigger of modes 1 and 5 takes. */
  private int reload = 0x10000;

  /**
   * A count has been written since the control word and, in modes 1 and 5, triggered by the gate.
   */
  private boolean counting;

  /** Modes 1 and 5: a count has been written, a trigger starts it. */
  private boolean armed;

  private boolean nullCount;
  private boolean gate;

  /** The count's first byte has been written, or read. */
  private boolean secondWrite;

  private boolean secondRead;
  private int firstByte;

  /** Counter latch command: bytes of {@link #latch} still to be read. */
  private int latchedBytes;

  private int latch;
  private boolean statusLatched;
  private int status;

  /** Ticks counted before {@link #start}, which is in nanoseconds. */
  private long ticksBefore;

  private long start;

  void reset(boolean gateHigh) {
    mode = 0;
    access = LOW | HIGH;
    bcd = false;
    count = 0x10000;
    reload = 0x10000;
    counting = false;
    armed = false;
    nullCount = true;
    gate = gateHigh;
    secondWrite = false;
    secondRead = false;
    latchedBytes = 0;
    statusLatched = false;
    ticksBefore = 0;
    start = 0;
  }

  private static long ticks(long nanos) {
    return nanos / 1_000_000_000L * Pit.HZ + nanos % 1_000_000_000L * Pit.HZ / 1_000_000_000L;
  }

  private boolean halted() {
    return !gate && (mode == 0 || mode == 2 || mode == 3 || mode == 4);
  }

  private long elapsed(long now) {
    return halted() ? ticksBefore : ticksBefore + ticks(Math.max(0, now - start));
  }

  private void restart(long now) {
    ticksBefore = 0;
    start = now;
  }

  /** The OUT pin. */
  boolean output(long now) {
    if (!counting) {
      return mode != 0;
    }
    long e = elapsed(now);
    return switch (mode) {
      case 0, 1 -> e >= count;
      case 2 -> halted() || e % count != count - 1;
      case 3 -> halted() || e % count < (count + 1) / 2;
      default -> e != count;
    };
  }

  /** When OUT rises next after {@code now}, in nanoseconds, or -1 for never. */
  long nextRise(long now) {
    if (!counting || halted()) {
      return -1;
    }
    long e = elapsed(now);
    long at =
        switch (mode) {
          case 0, 1 -> count;
          case 2, 3 -> (e / count + 1) * count;
          default -> count + 1L;
        };
    if (at <= e) {
      return -1;
    }
    long ticks = at - ticksBefore;
    // Rounded up: at that time, the tick has been counted.
    return start
        + ticks / Pit.HZ * 1_000_000_000L
        + (ticks % Pit.HZ * 1_000_000_000L + Pit.HZ - 1) / Pit.HZ;
  }

  void setGate(boolean high, long now) {
    if (gate == high) {
      return;
    }
    if (!high) {
      ticksBefore = elapsed(now);
      gate = false;
      start = now;
      return;
    }
    gate = true;
    if (mode == 0 || mode == 4) {
      start = now;
      return;
    }
    if (mode == 1 || mode == 5) {
      counting = armed;
      nullCount = !armed;
    }
    count = reload;
    restart(now);
  }

  boolean gate() {
    return gate;
  }

  void control(int word, long now) {
    int newAccess = word >>> 4 & 3;
    if (newAccess == 0) {
      latchCount(now);
      return;
    }
    int newMode = word >>> 1 & 7;
    mode = newMode > 5 ? newMode & 3 : newMode;
    access = newAccess;
    bcd = (word & 1) != 0;
    counting = false;
    armed = false;
    nullCount = true;
    secondWrite = false;
    secondRead = false;
    latchedBytes = 0;
    statusLatched = false;
  }

  void latchCount(long now) {
    if (latchedBytes == 0) {
      latch = value(now);
      latchedBytes = access;
    }
  }

  void latchStatus(long now) {
    if (!statusLatched) {
      statusLatched = true;
      status =
          (output(now) ? 0x80 : 0)
              | (nullCount ? 0x40 : 0)
              | access << 4
              | mode << 1
              | (bcd ? 1 : 0);
    }
  }

  /** The counting element as 16 bits. */
  private int value(long now) {
    long e = counting ? elapsed(now) : 0;
    long left =
        switch (mode) {
          case 2 -> count - e % count;
          case 3 -> count - 2 * e % count & ~1L;
          default -> count - e;
        };
    if (!bcd) {
      return (int) left & 0xffff;
    }
    int decimal = (int) Math.floorMod(left, 10000L);
    return decimal / 1000 << 12 | decimal / 100 % 10 << 8 | decimal / 10 % 10 << 4 | decimal % 10;
  }

  int read(long now) {
    if (statusLatched) {
      statusLatched = false;
      return status;
    }
    if (latchedBytes != 0) {
      if ((latchedBytes & LOW) != 0) {
        latchedBytes &= ~LOW;
        return latch & 0xff;
      }
      latchedBytes = 0;
      return latch >>> 8;
    }
    int value = value(now);
    if (access == (LOW | HIGH)) {
      secondRead = !secondRead;
      return secondRead ? value & 0xff : value >>> 8;
    }
    return access == LOW ? value & 0xff : value >>> 8;
  }

  void write(int value, long now) {
    switch (access) {
      case LOW -> setCount(value, now);
      case HIGH -> setCount(value << 8, now);
      default -> {
        if (secondWrite) {
          secondWrite = false;
          setCount(firstByte | value << 8, now);
        } else {
          secondWrite = true;
          firstByte = value;
          if (mode == 0) {
            counting = false; // the first byte stops the counter, OUT goes low
          }
        }
      }
    }
  }

  private void setCount(int value, long now) {
    int binary =
        bcd
            ? (value >>> 12) * 1000
                + (value >>> 8 & 0xf) * 100
                + (value >>> 4 & 0xf) * 10
                + (value & 0xf)
            : value;
    reload = binary != 0 ? binary : bcd ? 10000 : 0x10000;
    if (mode == 1 || mode == 5) {
      armed = true;
      return;
    }
    if (mode != 0 && mode != 4 && reload == 1) {
      reload = 2; // a count of 1 is illegal in modes 2 and 3
    }
    // In modes 2 and 3 a new count waits for the end of the period; nothing is known to depend on
    // that, and starting
    // at once is simpler.
    count = reload;
    counting = true;
    nullCount = false;
    restart(now);
  }

  void save(StateWriter out) {
    out.putByte(mode).putByte(access).putBoolean(bcd).putInt(count).putInt(reload);
    out.putBoolean(counting).putBoolean(armed).putBoolean(nullCount).putBoolean(gate);
    out.putBoolean(secondWrite).putBoolean(secondRead).putByte(firstByte);
    out.putByte(latchedBytes).putInt(latch).putBoolean(statusLatched).putByte(status);
    out.putLong(ticksBefore).putLong(start);
  }

  void load(StateReader in) throws StateException {
    mode = Math.min(in.getByte(), 5);
    access = Math.max(1, in.getByte() & 3);
    bcd = in.getBoolean();
    count = in.getInt(1, 0x1_9999);
    reload = in.getInt(1, 0x1_9999);
    counting = in.getBoolean();
    armed = in.getBoolean();
    nullCount = in.getBoolean();
    gate = in.getBoolean();
    secondWrite = in.getBoolean();
    secondRead = in.getBoolean();
    firstByte = in.getByte();
    latchedBytes = in.getByte() & 3;
    latch = in.getInt();
    statusLatched = in.getBoolean();
    status = in.getByte();
    ticksBefore = in.getLong();
    start = in.getLong();
  }
}
