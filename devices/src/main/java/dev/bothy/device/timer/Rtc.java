package dev.bothy.device.timer;

import dev.bothy.core.AddressSpace;
import dev.bothy.core.IrqLine;
import dev.bothy.core.MachineClock;
import dev.bothy.core.Timer;
import dev.bothy.core.state.StateException;
import dev.bothy.core.state.StateReader;
import dev.bothy.core.state.StateWriter;
import dev.bothy.core.state.Stateful;
import dev.bothy.device.ByteRegisters;
import dev.bothy.device.interrupt.IrqOutput;
import java.time.LocalDateTime;
import java.time.YearMonth;
import java.time.ZoneOffset;

/**
 * MC146818A real-time clock (Motorola data sheet) and 128 bytes of CMOS RAM, at ports 0x70 and
 * 0x71. Keeps UTC.
 *
 * <p>Flags and interrupts follow from the clock: a flag is set once the moment it stands for has
 * passed since register C was read last.
 */
public final class Rtc implements ByteRegisters, Stateful {
  public static final int PORT = 0x70;

  /** Place of the century in CMOS RAM, for the FADT. */
  public static final int CENTURY = 0x32;

  private static final int SECONDS = 0;
  private static final int SECONDS_ALARM = 1;
  private static final int MINUTES = 2;
  private static final int MINUTES_ALARM = 3;
  private static final int HOURS = 4;
  private static final int HOURS_ALARM = 5;
  private static final int DAY_OF_WEEK = 6;
  private static final int DAY = 7;
  private static final int MONTH = 8;
  private static final int YEAR = 9;
  private static final int[] TIME_FIELDS = {
    SECONDS, MINUTES, HOURS, DAY_OF_WEEK, DAY, MONTH, YEAR, CENTURY
  };
  private static final int REGISTER_A = 0x0a;
  private static final int REGISTER_B = 0x0b;
  private static final int REGISTER_C = 0x0c;
  private static final int REGISTER_D = 0x0d;

  private static final int A_UPDATE_IN_PROGRESS = 0x80;
  private static final int A_DIVIDER_RUNS = 0x20;
  private static final int A_DIVIDER = 0x70;
  private static final int B_SET = 0x80;
  private static final int B_BINARY = 0x04;
  private static final int B_24_HOURS = 0x02;
  private static final int C_REQUEST = 0x80;
  // The same bits enable in B and flag in C.
  private static final int PERIODIC = 0x40;
  private static final int ALARM = 0x20;
  private static final int UPDATE_ENDED = 0x10;
  private static final int D_VALID = 0x80;

  /** Seconds in ten thousand years: no saved clock is further off. */
  private static final long MAX_OFFSET = 320_000_000_000L;

  private static final long SECOND = 1_000_000_000L;

  /** How long before an update register A announces it. */
  private static final long ANNOUNCED = 244_000;

  /** Hour bit for the afternoon in 12-hour mode. */
  private static final int PM = 0x80;

  private final MachineClock clock;
  private final IrqOutput irq;
  private final Timer timer;
  private final byte[] ram = new byte[128];
  private int index;
  private boolean nmiMasked;

  /** Added to the machine's wall clock for the moment at which seconds begin, 0 to 999,999,999. */
  private long offsetNanos;

  /** Added to whole seconds for the calendar. */
  private long offsetSeconds;

  /** Until when flags have been worked out, as {@link #now}. */
  private long seen;

  /**
   * @param irq8 ISA interrupt 8
   */
  public Rtc(MachineClock clock, IrqLine irq8) {
    this.clock = clock;
    this.irq = new IrqOutput(irq8);
    this.timer = clock.newTimer("rtc", this::expired);
    ram[REGISTER_A] = 0x26;
    ram[REGISTER_B] = B_24_HOURS;
    ram[REGISTER_D] = (byte) D_VALID;
    seen = now();
  }

  /** Maps the registers at their usual ports. */
  public void attach(AddressSpace ports) {
    ports.map("rtc", PORT, 2, this);
  }

  /** Writes the usual memory-size fields of CMOS RAM. */
  public synchronized void setMemorySize(long below4G, long above4G) {
    put16(0x15, 640);
    long extended = Math.clamp((below4G >> 10) - 1024, 0, 0xffff);
    put16(0x17, extended);
    put16(0x30, extended);
    put16(0x34, Math.clamp((below4G >> 16) - 256, 0, 0xffff));
    put16(0x5b, above4G >> 16);
    ram[0x5d] = (byte) (above4G >> 32);
  }

  private void put16(int at, long value) {
    ram[at] = (byte) value;
    ram[at + 1] = (byte) (value >> 8);
  }

  /** Writes a byte of CMOS RAM, 0x0E to 0x7F. */
  public synchronized void setCmos(int at, int value) {
    if (at <= REGISTER_D || at > 127) {
      throw new IllegalArgumentException("CMOS address " + at);
    }
    ram[at] = (byte) value;
  }

  /** True while bit 7 of port 0x70 holds back NMIs. */
  public synchronized boolean nmiMasked() {
    return nmiMasked;
  }

  private long now() {
    return clock.wallNanos() + offsetNanos;
  }

  private boolean dividerRuns() {
    return (ram[REGISTER_A] & A_DIVIDER) == A_DIVIDER_RUNS;
  }

  /** True while the time goes on; else CMOS RAM holds it. */
  private boolean runs() {
    return (ram[REGISTER_B] & B_SET) == 0 && dividerRuns();
  }

  @Override
  public int readByte(int port) {
    int value;
    synchronized (this) {
      value = (port & 1) == 0 ? 0xff : readRegister();
    }
    irq.drive();
    return value;
  }

  private int readRegister() {
    switch (index) {
      case SECONDS, MINUTES, HOURS, DAY_OF_WEEK, DAY, MONTH, YEAR, CENTURY -> {
        return runs() ? timeField(index, time()) : ram[index] & 0xff;
      }
      case REGISTER_A -> {
        boolean soon = runs() && Math.floorMod(now(), SECOND) >= SECOND - ANNOUNCED;
        return ram[REGISTER_A] & 0x7f | (soon ? A_UPDATE_IN_PROGRESS : 0);
      }
      case REGISTER_C -> {
        settle();
        int value = ram[REGISTER_C] & 0xff;
        ram[REGISTER_C] = 0;
        irq.want(false);
        schedule();
        return value;
      }
      default -> {
        return ram[index] & 0xff;
      }
    }
  }

  private LocalDateTime time() {
    long seconds = Math.floorDiv(now(), SECOND) + offsetSeconds;
    return LocalDateTime.ofEpochSecond(seconds, 0, ZoneOffset.UTC);
  }

  private int timeField(int field, LocalDateTime time) {
    return switch (field) {
      case SECONDS -> encode(time.getSecond());
      case MINUTES -> encode(time.getMinute());
      case HOURS -> encodeHour(time.getHour());
      case DAY_OF_WEEK -> encode(time.getDayOfWeek().getValue() % 7 + 1);
      case DAY -> encode(time.getDayOfMonth());
      case MONTH -> encode(time.getMonthValue());
      case YEAR -> encode(Math.floorMod(time.getYear(), 100));
      default -> encode(Math.floorMod(Math.floorDiv(time.getYear(), 100), 100));
    };
  }

  private int encode(int value) {
    return (ram[REGISTER_B] & B_BINARY) != 0 ? value : value / 10 << 4 | value % 10;
  }

  private int decode(int value) {
    return (ram[REGISTER_B] & B_BINARY) != 0 ? value : (value >>> 4) * 10 + (value & 0xf);
  }

  private int encodeHour(int hour) {
    if ((ram[REGISTER_B] & B_24_HOURS) != 0) {
      return encode(hour);
    }
    return encode(hour % 12 == 0 ? 12 : hour % 12) | (hour >= 12 ? PM : 0);
  }

  private int decodeHour(int value) {
    if ((ram[REGISTER_B] & B_24_HOURS) != 0) {
      return decode(value);
    }
    return decode(value & ~PM) % 12 + ((value & PM) != 0 ? 12 : 0);
  }

  @Override
  public void writeByte(int port, int value) {
    synchronized (this) {
      if ((port & 1) == 0) {
        index = value & 0x7f;
        nmiMasked = (value & 0x80) != 0;
      } else {
        settle();
        writeRegister(value);
        settleInterrupt();
        schedule();
      }
    }
    irq.drive();
  }

  private void writeRegister(int value) {
    boolean ran = runs();
    switch (index) {
      case REGISTER_C, REGISTER_D -> {
        return; // read-only
      }
      case SECONDS, MINUTES, HOURS, DAY_OF_WEEK, DAY, MONTH, YEAR, CENTURY -> {
        if (ran) {
          storeTime();
        }
        ram[index] = (byte) value;
        if (ran) {
          loadTime(false);
        }
      }
      case REGISTER_A -> {
        if (ran && (value & A_DIVIDER) != A_DIVIDER_RUNS) {
          storeTime();
        }
        ram[REGISTER_A] = (byte) (value & 0x7f);
      }
      case REGISTER_B -> {
        if (ran) {
          storeTime(); // in the format that it had
        }
        // Setting the SET bit clears the update-ended interrupt enable.
        ram[REGISTER_B] = (byte) ((value & B_SET) != 0 ? value & ~UPDATE_ENDED : value);
        if (ran && runs()) {
          return; // the time goes on, in the new format
        }
      }
      default -> ram[index] = (byte) value;
    }
    if (!ran && runs()) {
      loadTime(true);
    }
  }

  private void storeTime() {
    LocalDateTime time = time();
    for (int field : TIME_FIELDS) {
      ram[field] = (byte) timeField(field, time);
    }
  }

  /**
   * Goes on from the time in CMOS RAM; what is no time becomes one near it.
   *
   * @param beginSecond true if a second begins now
   */
  private void loadTime(boolean beginSecond) {
    int year = decode(field(CENTURY)) % 100 * 100 + decode(field(YEAR)) % 100;
    int month = Math.clamp(decode(field(MONTH)), 1, 12);
    int day = Math.clamp(decode(field(DAY)), 1, YearMonth.of(year, month).lengthOfMonth());
    int hour = Math.min(decodeHour(field(HOURS)), 23);
    int minute = Math.min(decode(field(MINUTES)), 59);
    int second = Math.min(decode(field(SECONDS)), 59);
    long seconds =
        LocalDateTime.of(year, month, day, hour, minute, second).toEpochSecond(ZoneOffset.UTC);
    if (beginSecond) {
      offsetNanos = Math.floorMod(-clock.wallNanos(), SECOND);
    }
    offsetSeconds = seconds - Math.floorDiv(now(), SECOND);
    seen = now();
  }

  private int field(int at) {
    return ram[at] & 0xff;
  }

  // Flags and interrupts.

  /** Sets the flags of what has happened since this was done last. */
  private void settle() {
    long now = now();
    int flags = ram[REGISTER_C];
    if (runs() && Math.floorDiv(now, SECOND) > Math.floorDiv(seen, SECOND)) {
      flags |= UPDATE_ENDED;
      long alarm = nextAlarm(Math.floorDiv(seen, SECOND));
      if (alarm >= 0 && alarm <= Math.floorDiv(now, SECOND)) {
        flags |= ALARM;
      }
    }
    int shift = periodShift();
    if (shift >= 0 && dividerRuns() && ticks(now) >> shift > ticks(seen) >> shift) {
      flags |= PERIODIC;
    }
    seen = now;
    ram[REGISTER_C] = (byte) flags;
    settleInterrupt();
  }

  private void settleInterrupt() {
    boolean request = (ram[REGISTER_B] & ram[REGISTER_C] & (PERIODIC | ALARM | UPDATE_ENDED)) != 0;
    ram[REGISTER_C] = (byte) (ram[REGISTER_C] & ~C_REQUEST | (request ? C_REQUEST : 0));
    irq.want(request);
  }

  /** The periodic rate as a power of two of 32,768 Hz ticks, or -1 for none. */
  private int periodShift() {
    int rate = ram[REGISTER_A] & 0xf;
    return rate == 0 ? -1 : rate <= 2 ? rate + 6 : rate - 1;
  }

  /** Ticks of 32,768 Hz. */
  private static long ticks(long nanos) {
    return Math.floorDiv(nanos, SECOND) * 32_768 + Math.floorMod(nanos, SECOND) * 32_768 / SECOND;
  }

  /**
   * The first second after {@code from}, both as {@link #now} counts them, in which the alarm
   * matches, or -1.
   */
  private long nextAlarm(long from) {
    long calendar = from + offsetSeconds + 1;
    long end = calendar + 86_400 + 3_600;
    while (calendar < end) {
      int ofDay = Math.floorMod(calendar, 86_400);
      if (!alarmMatches(HOURS_ALARM, encodeHour(ofDay / 3_600))) {
        calendar += 3_600 - ofDay % 3_600;
      } else if (!alarmMatches(MINUTES_ALARM, encode(ofDay / 60 % 60))) {
        calendar += 60 - ofDay % 60;
      } else if (!alarmMatches(SECONDS_ALARM, encode(ofDay % 60))) {
        calendar++;
      } else {
        return Math.max(0, calendar - offsetSeconds);
      }
    }
    return -1;
  }

  /** The two highest bits of an alarm field make it match always. */
  private boolean alarmMatches(int at, int value) {
    return (ram[at] & 0xc0) == 0xc0 || field(at) == value;
  }

  private void schedule() {
    int enabled = ram[REGISTER_B];
    long now = now();
    long next = Long.MAX_VALUE;
    if ((ram[REGISTER_C] & C_REQUEST) == 0) {
      if ((enabled & UPDATE_ENDED) != 0 && runs()) {
        next = (Math.floorDiv(now, SECOND) + 1) * SECOND;
      }
      if ((enabled & ALARM) != 0 && runs()) {
        long alarm = nextAlarm(Math.floorDiv(now, SECOND));
        next = alarm < 0 ? next : Math.min(next, alarm * SECOND);
      }
      int shift = periodShift();
      if ((enabled & PERIODIC) != 0 && dividerRuns() && shift >= 0) {
        long tick = (ticks(now) >> shift) + 1 << shift;
        long at =
            Math.floorDiv(tick, 32_768L) * SECOND
                + (Math.floorMod(tick, 32_768L) * SECOND + 32_767) / 32_768;
        next = Math.min(next, at);
      }
    }
    if (next == Long.MAX_VALUE) {
      timer.cancel();
    } else {
      timer.armAt(clock.nanos() + Math.max(0, next - now));
    }
  }

  private void expired() {
    synchronized (this) {
      settle();
      schedule();
    }
    irq.drive();
  }

  /** RESET# clears interrupt enables and flags; time and CMOS RAM stay. */
  public void reset() {
    synchronized (this) {
      ram[REGISTER_B] &= (byte) ~(PERIODIC | ALARM | UPDATE_ENDED | 0x08);
      ram[REGISTER_C] = 0;
      index = 0;
      nmiMasked = false;
      settleInterrupt();
      schedule();
    }
    irq.drive();
  }

  @Override
  public String stateName() {
    return "rtc";
  }

  @Override
  public synchronized void save(StateWriter out) {
    out.putBytes(ram).putByte(index).putBoolean(nmiMasked);
    out.putLong(offsetNanos).putLong(offsetSeconds).putLong(seen);
  }

  @Override
  public synchronized void load(StateReader in) throws StateException {
    byte[] saved = in.getBytes(ram.length);
    if (saved.length != ram.length) {
      throw in.damaged("CMOS RAM of " + saved.length + " bytes");
    }
    System.arraycopy(saved, 0, ram, 0, ram.length);
    index = in.getByte() & 0x7f;
    nmiMasked = in.getBoolean();
    offsetNanos = Math.floorMod(in.getLong(), SECOND);
    offsetSeconds = in.getLong();
    if (Math.abs(offsetSeconds) > MAX_OFFSET) {
      throw in.damaged("a clock " + offsetSeconds + " s off");
    }
    seen = in.getLong();
    irq.restore((ram[REGISTER_C] & C_REQUEST) != 0);
    schedule();
  }
}
