package dev.bothy.kvm;

import dev.bothy.core.LocalInterruptController;
import dev.bothy.core.state.StateReader;
import dev.bothy.core.state.StateWriter;
import java.util.OptionalLong;

/** A local APIC that is switched off for good. */
final class NoInterrupts implements LocalInterruptController {
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
    return 0;
  }

  @Override
  public boolean setApicBase(long value) {
    return false;
  }

  @Override
  public long baseAddress() {
    return -1;
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
    return 0;
  }

  @Override
  public void write(long offset, int size, long value) {}

  @Override
  public String stateName() {
    return "apic0";
  }

  @Override
  public void save(StateWriter out) {}

  @Override
  public void load(StateReader in) {}
}
