package dev.bothy.machine;

import dev.bothy.core.Doorbell;
import dev.bothy.core.EngineApic;
import dev.bothy.core.LocalInterruptController;
import dev.bothy.core.Trace;
import dev.bothy.core.state.StateException;
import dev.bothy.core.state.StateReader;
import dev.bothy.core.state.StateWriter;
import java.util.List;
import java.util.Optional;
import java.util.OptionalLong;

/** A local APIC that tells a trace of accesses to its register page, and is another in all else. */
final class TracedApic implements LocalInterruptController {
  private static final String NAME = "local-apic";

  private final LocalInterruptController apic;
  private final Trace trace;

  TracedApic(LocalInterruptController apic, Trace trace) {
    this.apic = apic;
    this.trace = trace;
  }

  /** {@code apic} itself, if {@code trace} wants no MMIO. */
  static LocalInterruptController of(LocalInterruptController apic, Optional<Trace> trace) {
    return trace.filter(some -> some.wants(Trace.Kind.MMIO)).isPresent()
        ? new TracedApic(apic, trace.get())
        : apic;
  }

  private void tell(boolean write, long offset, int size, long value) {
    trace.tellAccess(Trace.Kind.MMIO, NAME, write, apic.baseAddress() + offset, size, value);
  }

  @Override
  public long read(long offset, int size) {
    long value = apic.read(offset, size);
    tell(false, offset, size, value);
    return value;
  }

  @Override
  public void write(long offset, int size, long value) {
    // It may move the page, so its line comes first.
    tell(true, offset, size, value);
    apic.write(offset, size, value);
  }

  @Override
  public List<Doorbell> doorbells() {
    return apic.doorbells();
  }

  @Override
  public boolean interruptPending() {
    return apic.interruptPending();
  }

  @Override
  public int acknowledge() {
    return apic.acknowledge();
  }

  @Override
  public boolean giveBack(int vector) {
    return apic.giveBack(vector);
  }

  @Override
  public long apicBase() {
    return apic.apicBase();
  }

  @Override
  public boolean setApicBase(long value) {
    return apic.setApicBase(value);
  }

  @Override
  public long baseAddress() {
    return apic.baseAddress();
  }

  @Override
  public int taskPriority() {
    return apic.taskPriority();
  }

  @Override
  public void setTaskPriority(int priority) {
    apic.setTaskPriority(priority);
  }

  @Override
  public boolean ownsMsr(int index) {
    return apic.ownsMsr(index);
  }

  @Override
  public OptionalLong readMsr(int index) {
    return apic.readMsr(index);
  }

  @Override
  public boolean writeMsr(int index, long value) {
    return apic.writeMsr(index, value);
  }

  @Override
  public void setTscOffset(long ticks) {
    apic.setTscOffset(ticks);
  }

  @Override
  public void sendCommand(int command, int destination) {
    apic.sendCommand(command, destination);
  }

  @Override
  public void moveTo(EngineApic engine) {
    apic.moveTo(engine);
  }

  @Override
  public void moveBack() {
    apic.moveBack();
  }

  @Override
  public void endOfInterrupt(int vector) {
    apic.endOfInterrupt(vector);
  }

  @Override
  public int id() {
    return apic.id();
  }

  @Override
  public void reset() {
    apic.reset();
  }

  @Override
  public void init() {
    apic.init();
  }

  @Override
  public String stateName() {
    return apic.stateName();
  }

  @Override
  public int stateVersion() {
    return apic.stateVersion();
  }

  @Override
  public void save(StateWriter out) {
    apic.save(out);
  }

  @Override
  public void load(StateReader in) throws StateException {
    apic.load(in);
  }
}
