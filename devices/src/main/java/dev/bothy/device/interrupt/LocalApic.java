package dev.bothy.device.interrupt;

import dev.bothy.core.LocalInterruptController;
import dev.bothy.core.state.StateException;
import dev.bothy.core.state.StateReader;
import dev.bothy.core.state.StateWriter;
import java.util.OptionalLong;

/** Local APIC; made by {@link ApicBus}. */
public final class LocalApic implements LocalInterruptController {
  /** Ticks per second of the timer before its divider, in one-shot and periodic mode. */
  public static final long TIMER_HZ = 1_000_000_000L;

  /** Leaves the state in which firmware hands over: enabled, LINT0 = ExtINT, LINT1 = NMI. Boot processor only. */
  public void enterVirtualWireMode() {}

  @Override
  public long read(long offset, int size) {
    return 0;
  }

  @Override
  public void write(long offset, int size, long value) {}

  @Override
  public boolean interruptPending() {
    return false;
  }

  @Override
  public int acknowledge() {
    return -1;
  }

  @Override
  public long apicBase() {
    return 0xFEE0_0900L;
  }

  @Override
  public boolean setApicBase(long value) {
    return true;
  }

  @Override
  public long baseAddress() {
    return 0xFEE0_0000L;
  }

  @Override
  public int taskPriority() {
    return 0;
  }

  @Override
  public void setTaskPriority(int priority) {}

  @Override
  public boolean ownsMsr(int index) {
    return false;
  }

  @Override
  public OptionalLong readMsr(int index) {
    return OptionalLong.empty();
  }

  @Override
  public boolean writeMsr(int index, long value) {
    return false;
  }

  @Override
  public void setTscOffset(long ticks) {}

  @Override
  public int id() {
    return 0;
  }

  @Override
  public void reset() {}

  @Override
  public void init() {}

  @Override
  public String stateName() {
    return "apic0";
  }

  @Override
  public void save(StateWriter out) {}

  @Override
  public void load(StateReader in) throws StateException {}
}
