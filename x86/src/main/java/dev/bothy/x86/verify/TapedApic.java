package dev.bothy.x86.verify;

import dev.bothy.core.LocalInterruptController;
import dev.bothy.core.state.StateReader;
import dev.bothy.core.state.StateWriter;
import java.util.OptionalLong;

/**
 * The local APIC as one engine sees it through its tape. Whether an interrupt waits is fixed at the
 * beginning of a stretch, so that both engines take it before the same instruction: the first at
 * which RFLAGS.IF lets them.
 */
final class TapedApic implements LocalInterruptController {
  private final LocalInterruptController real;
  private final Tape tape;

  TapedApic(LocalInterruptController real, Tape tape) {
    this.real = real;
    this.tape = tape;
  }

  @Override
  public boolean interruptPending() {
    return tape.pending;
  }

  @Override
  public int acknowledge() {
    Journal.Entry entry = tape.turn(Journal.Kind.ACKNOWLEDGE, 0, 0, 0);
    tape.pending = false;
    if (tape.asks()) {
      entry.answer = real.acknowledge();
    }
    return (int) entry.answer;
  }

  @Override
  public long apicBase() {
    Journal.Entry entry = tape.turn(Journal.Kind.APIC_BASE, 0, 0, 0);
    if (tape.asks()) {
      entry.answer = real.apicBase();
    }
    return entry.answer;
  }

  @Override
  public boolean setApicBase(long value) {
    Journal.Entry entry = tape.turn(Journal.Kind.SET_APIC_BASE, 0, 0, value);
    if (tape.asks()) {
      entry.refused = !real.setApicBase(value);
      entry.answer = real.baseAddress();
    }
    tape.apicPage = entry.answer;
    return !entry.refused;
  }

  @Override
  public long baseAddress() {
    return tape.apicPage;
  }

  @Override
  public int taskPriority() {
    Journal.Entry entry = tape.turn(Journal.Kind.TASK_PRIORITY, 0, 0, 0);
    if (tape.asks()) {
      entry.answer = real.taskPriority();
    }
    return (int) entry.answer;
  }

  @Override
  public void setTaskPriority(int priority) {
    tape.turn(Journal.Kind.SET_TASK_PRIORITY, 0, 0, priority);
    if (tape.asks()) {
      real.setTaskPriority(priority);
    }
  }

  @Override
  public boolean ownsMsr(int index) {
    Journal.Entry entry = tape.turn(Journal.Kind.OWNS_MSR, index & 0xffff_ffffL, 0, 0);
    if (tape.asks()) {
      entry.refused = !real.ownsMsr(index);
    }
    return !entry.refused;
  }

  @Override
  public OptionalLong readMsr(int index) {
    Journal.Entry entry = tape.turn(Journal.Kind.READ_MSR, index & 0xffff_ffffL, 0, 0);
    if (tape.asks()) {
      OptionalLong value = real.readMsr(index);
      entry.refused = value.isEmpty();
      entry.answer = value.orElse(0);
    }
    return entry.refused ? OptionalLong.empty() : OptionalLong.of(entry.answer);
  }

  @Override
  public boolean writeMsr(int index, long value) {
    Journal.Entry entry = tape.turn(Journal.Kind.WRITE_MSR, index & 0xffff_ffffL, 0, value);
    if (tape.asks()) {
      entry.refused = !real.writeMsr(index, value);
    }
    return !entry.refused;
  }

  @Override
  public void setTscOffset(long ticks) {
    tape.turn(Journal.Kind.TSC_OFFSET, 0, 0, ticks);
    if (tape.asks()) {
      real.setTscOffset(ticks);
    }
  }

  @Override
  public void sendCommand(int command, int destination) {
    tape.turn(Journal.Kind.SEND_COMMAND, command & 0xffff_ffffL, 0, destination);
    if (tape.asks()) {
      real.sendCommand(command, destination);
    }
  }

  @Override
  public int id() {
    return real.id();
  }

  @Override
  public long read(long offset, int size) {
    Journal.Entry entry = tape.turn(Journal.Kind.APIC_READ, offset, size, 0);
    if (tape.asks()) {
      entry.answer = real.read(offset, size);
    }
    return entry.answer;
  }

  @Override
  public void write(long offset, int size, long value) {
    tape.turn(Journal.Kind.APIC_WRITE, offset, size, value);
    if (tape.asks()) {
      real.write(offset, size, value);
    }
  }

  @Override
  public void reset() {
    if (tape.asks()) {
      real.reset();
    }
  }

  @Override
  public void init() {
    tape.turn(Journal.Kind.APIC_INIT, 0, 0, 0);
    if (tape.asks()) {
      real.init();
    }
  }

  @Override
  public String stateName() {
    return real.stateName();
  }

  @Override
  public void save(StateWriter out) {
    throw new UnsupportedOperationException("the machine saves its APIC itself");
  }

  @Override
  public void load(StateReader in) {
    throw new UnsupportedOperationException("the machine loads its APIC itself");
  }
}
