package dev.bothy.x86.directed;

import dev.bothy.core.SilentInterruptController;
import java.util.ArrayList;
import java.util.BitSet;
import java.util.List;

/**
 * A local APIC whose interrupts a test requests; with a task priority, without an in-service
 * register.
 */
final class StubApic extends SilentInterruptController {
  private final BitSet requests = new BitSet(256);
  private volatile int priority;
  private volatile long base = USUAL_BASE;

  /** Commands sent without the command register: destination, then command. */
  final List<Long> commands = new ArrayList<>();

  volatile int inits;

  StubApic(int id) {
    super(id);
  }

  synchronized void request(int vector) {
    requests.set(vector);
  }

  private synchronized int highest() {
    int vector = requests.previousSetBit(255);
    return vector >> 4 > priority ? vector : -1;
  }

  @Override
  public boolean interruptPending() {
    return highest() >= 0;
  }

  @Override
  public synchronized int acknowledge() {
    int vector = highest();
    if (vector >= 0) {
      requests.clear(vector);
    }
    return vector;
  }

  @Override
  public long apicBase() {
    return base;
  }

  @Override
  public boolean setApicBase(long value) {
    base = value;
    return true;
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
  public synchronized void sendCommand(int command, int destination) {
    commands.add((long) destination << 32 | command & 0xffff_ffffL);
  }

  @Override
  public void init() {
    inits++;
  }
}
