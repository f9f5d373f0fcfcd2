package dev.bothy.core;

import dev.bothy.core.state.StateReader;
import dev.bothy.core.state.StateWriter;
import java.util.OptionalLong;

/**
 * A local APIC that never interrupts, refuses every change of its base, owns no MSR and has neither
 * a register page nor state. For processors that run without a machine; what a subclass overrides,
 * it does.
 */
public class SilentInterruptController implements LocalInterruptController {
  /** Enabled, of the first processor, where processors have it after a reset. */
  protected static final long USUAL_BASE = 0xfee0_0900L;

  private final int id;

  /**
   * @param id initial APIC id
   */
  public SilentInterruptController(int id) {
    this.id = id;
  }

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
    return USUAL_BASE;
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
  public void setTscOffset(long ticks) {}

  @Override
  public void sendCommand(int command, int destination) {}

  @Override
  public final int id() {
    return id;
  }

  @Override
  public void reset() {}

  @Override
  public void init() {}

  @Override
  public long read(long offset, int size) {
    return -1;
  }

  @Override
  public void write(long offset, int size, long value) {}

  @Override
  public final String stateName() {
    return "apic" + id;
  }

  @Override
  public final void save(StateWriter out) {}

  @Override
  public final void load(StateReader in) {}
}
