package dev.bothy.x86.directed;

import dev.bothy.core.LocalInterruptController;
import dev.bothy.core.state.StateReader;
import dev.bothy.core.state.StateWriter;
import java.util.ArrayList;
import java.util.BitSet;
import java.util.List;
import java.util.OptionalLong;

/**
 * A local APIC whose interrupts a test requests; with a task priority, without an in-service
 * register.
 */
final class StubApic implements LocalInterruptController {
  private final int id;
  private final BitSet requests = new BitSet(256);
  private volatile int priority;
  private volatile long base = 0xfee0_0900L;

  /** Commands sent without the command register: destination, then command. */
  final List<Long> commands = new ArrayList<>();

  volatile int inits;

  StubApic(int id) {
    this.id = id;
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
  public long baseAddress() {
    return -1;
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
  public synchronized void sendCommand(int command, int destination) {
    commands.add((long) destination << 32 | command & 0xffff_ffffL);
  }

  @Override
  public int id() {
    return id;
  }

  @Override
  public void reset() {}

  @Override
  public void init() {
    inits++;
  }

  @Override
  public long read(long offset, int size) {
    return -1;
  }

  @Override
  public void write(long offset, int size, long value) {}

  @Override
  public String stateName() {
    return "apic" + id;
  }

  @Override
  public void save(StateWriter out) {}

  @Override
  public void load(StateReader in) {}
}
