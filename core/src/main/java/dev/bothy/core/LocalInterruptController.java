package dev.bothy.core;

import dev.bothy.core.state.Stateful;

/**
 * A vCPU's own interrupt controller, the local APIC, as its processor sees it. The {@link
 * BusDevice} side is its register page, which the vCPU itself places at {@link #baseAddress()}. The
 * processor's thread calls these methods; interrupts reach the controller from any thread.
 */
public interface LocalInterruptController extends BusDevice, Stateful {
  /** True if a maskable interrupt should be delivered as soon as RFLAGS.IF allows; cheap. */
  boolean interruptPending();

  /** Takes the highest pending interrupt: its vector, or -1 if it has gone. */
  int acknowledge();

  /**
   * Undoes {@link #acknowledge} for an interrupt that the processor has not taken after all: it is
   * pending again. The processor does not run.
   *
   * @return false if that cannot be undone; the processor then keeps it
   */
  default boolean giveBack(int vector) {
    return false;
  }

  /** The IA32_APIC_BASE MSR. */
  long apicBase();

  /** Writes IA32_APIC_BASE; false if the value must raise #GP. */
  boolean setApicBase(long value);

  /** Physical address of the register page, or -1 while it is disabled or in x2APIC mode. */
  long baseAddress();

  /** Task priority as CR8 shows it: 0 to 15. */
  int taskPriority();

  void setTaskPriority(int priority);

  /**
   * True if {@code index} is an MSR of this controller in its present mode (x2APIC registers, TSC
   * deadline).
   */
  boolean ownsMsr(int index);

  /** Reads an MSR that it owns; empty if the access must raise #GP. */
  java.util.OptionalLong readMsr(int index);

  /** Writes an MSR that it owns; false if the access must raise #GP. */
  boolean writeMsr(int index, long value);

  /**
   * IA32_TSC_DEADLINE is compared against the vCPU's TSC: machine clock plus this offset, in ticks.
   */
  void setTscOffset(long ticks);

  /**
   * Sends an interrupt command as a write of the command register does, but for that register.
   *
   * @param command the register's lower half
   * @param destination an APIC id, if the command has no shorthand
   */
  void sendCommand(int command, int destination);

  /**
   * The engine has this APIC itself from now on. Here, there is nothing but the 8259 pair's output
   * left: {@link #interruptPending}, {@link #acknowledge} and {@link #giveBack} are about that
   * alone, there is no register page and no MSR, and no timer. State is loaded into and saved from
   * {@code engine}.
   *
   * @throws UnsupportedOperationException if it cannot be moved
   */
  default void moveTo(EngineApic engine) {
    throw new UnsupportedOperationException("this local APIC stays where it is");
  }

  /** Undoes {@link #moveTo}: the registers come back. The machine stands. */
  default void moveBack() {}

  /** The engine's APIC has ended an interrupt that {@link EngineApics#watchPin} told of. */
  default void endOfInterrupt(int vector) {}

  /** Initial APIC id. */
  int id();

  /** Back to the state after power-on. */
  void reset();

  /** INIT keeps the APIC id and base. */
  void init();
}
