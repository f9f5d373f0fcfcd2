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

/**
 * 8254 programmable interval timer (Intel 8254 data sheet) at ports 0x40 to 0x43, and the gate,
 * speaker and refresh bits of port 0x61. Counter 0 drives ISA interrupt 0; periods that a late
 * machine missed are not made up for.
 */
public final class Pit implements Stateful {
  public static final int PORT = 0x40;
  public static final int SPEAKER_PORT = 0x61;

  /** Ticks per second. */
  public static final long HZ = 1_193_182;

  /** No more interrupts than one in so many nanoseconds, whatever the guest asks for. */
  private static final long MIN_PERIOD = 50_000;

  /** Half a period of the memory refresh request, in nanoseconds. */
  private static final long REFRESH = 15_085;

  private static final int GATE = 1;
  private static final int SPEAKER_WRITABLE = 0x0f;

  private final MachineClock clock;
  private final IrqOutput irq;
  private final Timer timer;
  private final PitChannel[] channels = {new PitChannel(), new PitChannel(), new PitChannel()};

  /** When OUT 0 rises next, on the machine's clock, or -1. */
  private long due = -1;

  /** Low four bits of port 0x61. */
  private int speaker;

  /**
   * @param irq0 ISA interrupt 0
   */
  public Pit(MachineClock clock, IrqLine irq0) {
    this.clock = clock;
    this.irq = new IrqOutput(irq0);
    this.timer = clock.newTimer("pit", this::expired);
    for (int i = 0; i < 3; i++) {
      channels[i].reset(i < 2);
    }
  }

  /** Maps the registers at their usual ports. */
  public void attach(AddressSpace ports) {
    ports.map("pit", PORT, 4, new Counters());
    ports.map("pit-speaker", SPEAKER_PORT, 1, new SpeakerPort());
  }

  private final class Counters implements ByteRegisters {
    @Override
    public int readByte(int offset) {
      synchronized (Pit.this) {
        int register = offset & 3;
        return register == 3 ? 0xff : channels[register].read(clock.nanos());
      }
    }

    @Override
    public void writeByte(int offset, int value) {
      synchronized (Pit.this) {
        long now = clock.nanos();
        int register = offset & 3;
        if (register < 3) {
          channels[register].write(value, now);
        } else if (value >>> 6 < 3) {
          channels[value >>> 6].control(value, now);
        } else {
          readBack(value, now);
        }
        if (register == 0 || register == 3 && value < 0x40 && (value & 0x30) != 0) {
          irq.want(channels[0].output(now));
          schedule(now, now);
        }
      }
      irq.drive();
    }
  }

  private void readBack(int command, long now) {
    for (int i = 0; i < 3; i++) {
      if ((command >>> i + 1 & 1) != 0) {
        if ((command & 0x20) == 0) {
          channels[i].latchCount(now);
        }
        if ((command & 0x10) == 0) {
          channels[i].latchStatus(now);
        }
      }
    }
  }

  private void schedule(long now, long earliest) {
    long rise = channels[0].nextRise(now);
    due = rise < 0 ? -1 : Math.max(rise, earliest);
    arm();
  }

  private void arm() {
    if (due < 0) {
      timer.cancel();
    } else {
      timer.armAt(due);
    }
  }

  /**
   * OUT 0 has risen; between the pulses the wire is shown high, as its short low times interest
   * nobody.
   */
  private void expired() {
    synchronized (this) {
      long now = clock.nanos();
      if (due < 0 || now < due) {
        return; // set up anew meanwhile
      }
      irq.want(false);
      irq.want(true);
      schedule(now, now + MIN_PERIOD);
    }
    irq.drive();
  }

  private final class SpeakerPort implements ByteRegisters {
    @Override
    public int readByte(int offset) {
      synchronized (Pit.this) {
        long now = clock.nanos();
        int refresh = (int) (now / REFRESH & 1) << 4;
        int output = channels[2].output(now) ? 1 << 5 : 0;
        return speaker | refresh | output;
      }
    }

    @Override
    public void writeByte(int offset, int value) {
      synchronized (Pit.this) {
        speaker = value & SPEAKER_WRITABLE;
        channels[2].setGate((value & GATE) != 0, clock.nanos());
      }
    }
  }

  public void reset() {
    synchronized (this) {
      for (int i = 0; i < 3; i++) {
        channels[i].reset(i < 2);
      }
      speaker = 0;
      due = -1;
      arm();
      irq.want(false);
    }
    irq.drive();
  }

  @Override
  public String stateName() {
    return "pit";
  }

  @Override
  public synchronized void save(StateWriter out) {
    for (PitChannel channel : channels) {
      channel.save(out);
    }
    out.putByte(speaker).putBoolean(irq.wanted());
    out.putLong(due);
  }

  @Override
  public synchronized void load(StateReader in) throws StateException {
    for (PitChannel channel : channels) {
      channel.load(in);
    }
    speaker = in.getByte() & SPEAKER_WRITABLE;
    irq.restore(in.getBoolean());
    due = in.getLong();
    arm();
  }
}
