package dev.bothy.kvm;

import dev.bothy.core.MachineClock;
import dev.bothy.core.cpu.CpuState;
import java.util.OptionalLong;

/**
 * A vCPU's time-stamp counter, which runs in the processor at a rate of its own, beside guest time:
 * it stands while that stands, and deadlines in its ticks are told in nanoseconds. The vCPU's
 * thread.
 */
final class GuestTsc {
  /** The two clocks go apart by millionths: within this time by less than anybody sees. */
  private static final long SAMPLE_NANOS = 100_000_000;

  private static final long NANOS_PER_MILLISECOND = 1_000_000;

  private final int vcpu;
  private final int khz;
  private final MachineClock clock;
  private final CpuState state;
  private OptionalLong hostOffset = OptionalLong.empty();
  private boolean set;
  private long offset;

  /** What both showed at one moment. */
  private long sampleTicks;

  private long sampleNanos;
  private boolean sampled;
  private int changes;

  GuestTsc(int vcpu, int khz, MachineClock clock, CpuState state) {
    this.vcpu = vcpu;
    this.khz = khz;
    this.clock = clock;
    this.state = state;
  }

  /** The vCPU's state has been replaced: the counter is set anew by the next {@link #align}. */
  void forget() {
    set = false;
  }

  /**
   * Called before the vCPU runs on: sets the counter if it is not set yet, and takes away what it
   * has counted while guest time stood.
   */
  void align() {
    OptionalLong now = clock.hostOffset();
    if (!set || offset != state.get(CpuState.TSC_OFFSET)) {
      set = true;
      offset = state.get(CpuState.TSC_OFFSET);
      set(ticks(clock.nanos() + offset));
    } else if (!now.equals(hostOffset) && now.isPresent() && hostOffset.isPresent()) {
      set(read() - ticks(hostOffset.getAsLong() - now.getAsLong()));
    }
    hostOffset = now;
  }

  /** The guest sets it. */
  void write(long value) {
    long newOffset = nanos(value) - clock.nanos();
    state.set(CpuState.TSC_OFFSET, newOffset);
    offset = newOffset;
    set(value);
  }

  /** Moves it by so many ticks. */
  void adjust(long ticks) {
    write(read() + ticks);
  }

  long read() {
    return MsrList.read(vcpu, MsrList.TSC);
  }

  private void set(long value) {
    MsrList.write(vcpu, MsrList.TSC, value);
    sampled = false;
    changes++;
  }

  /**
   * When the counter will show {@code ticks}, as the counter of a processor that counts
   * nanoseconds: guest time and {@link CpuState#TSC_OFFSET}.
   */
  long toNanos(long ticks) {
    sampleIfOld();
    long distance = ticks - sampleTicks;
    return sampleNanos + (distance < 0 ? -nanos(-distance) : nanos(distance));
  }

  /** The opposite of {@link #toNanos}. */
  long toTicks(long nanos) {
    sampleIfOld();
    long distance = nanos - sampleNanos;
    return sampleTicks + (distance < 0 ? -ticks(-distance) : ticks(distance));
  }

  private void sampleIfOld() {
    // Where guest time stands, the counter goes on: what was seen last goes together.
    if (!sampled
        || clock.hostOffset().isPresent()
            && clock.nanos() + state.get(CpuState.TSC_OFFSET) - sampleNanos > SAMPLE_NANOS) {
      sample();
    }
  }

  /** Notes what the counter and guest time show now, for times when that stands. */
  void sample() {
    sampleTicks = read();
    sampleNanos = clock.nanos() + state.get(CpuState.TSC_OFFSET);
    sampled = true;
  }

  /** How often it has been set: what was derived from it is old then. */
  int changes() {
    return changes;
  }

  private long nanos(long ticks) {
    return ticks / khz * NANOS_PER_MILLISECOND + ticks % khz * NANOS_PER_MILLISECOND / khz;
  }

  private long ticks(long nanos) {
    return nanos / NANOS_PER_MILLISECOND * khz
        + nanos % NANOS_PER_MILLISECOND * khz / NANOS_PER_MILLISECOND;
  }
}
