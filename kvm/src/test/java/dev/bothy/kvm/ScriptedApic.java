package dev.bothy.kvm;

import dev.bothy.core.CpuEvents;
import dev.bothy.core.LocalInterruptController;
import dev.bothy.core.state.StateReader;
import dev.bothy.core.state.StateWriter;
import java.util.OptionalLong;
import java.util.concurrent.ConcurrentLinkedQueue;

/** A local APIC that hands out the vectors it is given, and remembers what its registers get. */
final class ScriptedApic implements LocalInterruptController {
  static final int TASK_PRIORITY_MSR = 0x808;
  private static final int TSC_DEADLINE = 0x6e0;

  final ConcurrentLinkedQueue<Integer> vectors = new ConcurrentLinkedQueue<>();
  CpuEvents events;
  volatile boolean x2;
  volatile int priority;
  volatile long deadline;
  volatile long lastOffset = -1;
  volatile long lastValue;
  volatile long base = 0xfee0_0900L;

  void raise(int vector) {
    vectors.add(vector);
    events.interruptChanged();
  }

  @Override
  public boolean interruptPending() {
    return !vectors.isEmpty();
  }

  @Override
  public int acknowledge() {
    Integer vector = vectors.poll();
    return vector == null ? -1 : vector;
  }

  @Override
  public boolean giveBack(int vector) {
    return vectors.add(vector);
  }

  @Override
  public long apicBase() {
    return base;
  }

  @Override
  public boolean setApicBase(long value) {
    base = value;
    return (value & 0xff) == 0;
  }

  @Override
  public long baseAddress() {
    return x2 ? -1 : base & -4096;
  }

  @Override
  public int taskPriority() {
    return priority;
  }

  @Override
  public void setTaskPriority(int value) {
    priority = value;
  }

  @Override
  public boolean ownsMsr(int index) {
    return index == TSC_DEADLINE || x2 && index >= 0x800 && index < 0x900;
  }

  @Override
  public OptionalLong readMsr(int index) {
    return OptionalLong.of(index == TSC_DEADLINE ? deadline : lastValue);
  }

  @Override
  public boolean writeMsr(int index, long value) {
    if (index == TSC_DEADLINE) {
      deadline = value;
    } else {
      lastOffset = index;
      lastValue = value;
    }
    return true;
  }

  @Override
  public void sendCommand(int command, int destination) {}

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
  public long read(long offset, int size) {
    return 0x1234_0000L | offset;
  }

  @Override
  public void write(long offset, int size, long value) {
    lastOffset = offset;
    lastValue = value;
  }

  @Override
  public String stateName() {
    return "apic0";
  }

  @Override
  public void save(StateWriter out) {}

  @Override
  public void load(StateReader in) {}
}
