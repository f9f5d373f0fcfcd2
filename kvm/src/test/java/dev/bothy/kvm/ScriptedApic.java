package dev.bothy.kvm;

import dev.bothy.core.CpuEvents;
import dev.bothy.core.EngineApic;
import dev.bothy.core.SilentInterruptController;
import java.util.OptionalLong;
import java.util.concurrent.ConcurrentLinkedQueue;

/**
 * A local APIC that hands out the vectors it is given, and remembers what its registers get; or the
 * vectors of an 8259 pair, if the engine has the APIC.
 */
final class ScriptedApic extends SilentInterruptController {
  static final int TASK_PRIORITY_MSR = 0x808;
  private static final int TSC_DEADLINE = 0x6e0;

  final ConcurrentLinkedQueue<Integer> vectors = new ConcurrentLinkedQueue<>();

  /** Whose ends the engine has told of. */
  final ConcurrentLinkedQueue<Integer> ended = new ConcurrentLinkedQueue<>();

  volatile EngineApic engine;
  CpuEvents events;
  volatile boolean x2;
  volatile int priority;
  volatile long deadline;
  volatile long lastOffset = -1;
  volatile long lastValue;
  volatile long base = USUAL_BASE;

  ScriptedApic() {
    super(0);
  }

  void raise(int vector) {
    vectors.add(vector);
    events.interruptChanged();
  }

  @Override
  public void moveTo(EngineApic to) {
    engine = to;
  }

  @Override
  public void endOfInterrupt(int vector) {
    ended.add(vector);
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
    return x2 || engine != null ? -1 : base & -4096;
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
    return engine == null && index == TSC_DEADLINE || x2 && index >= 0x800 && index < 0x900;
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
  public long read(long offset, int size) {
    return 0x1234_0000L | offset;
  }

  @Override
  public void write(long offset, int size, long value) {
    lastOffset = offset;
    lastValue = value;
  }
}
