package dev.bothy.core;

import dev.bothy.core.cpu.CpuState;
import dev.bothy.core.state.Stateful;

/**
 * One virtual processor. {@link #run} and the state belong to one thread at a time; {@link #kick}
 * and the {@link CpuEvents} methods may come from any thread. Saving flushes what the engine
 * caches, so that a saved and a loaded processor go on alike.
 */
public interface Vcpu extends Stateful, CpuEvents, AutoCloseable {
  /** No limit for {@link #run}. */
  long UNLIMITED = Long.MAX_VALUE;

  /**
   * Executes guest code until something needs the machine.
   *
   * @param budget stop after exactly this many instructions; {@link #UNLIMITED} for none. Engines
   *     that cannot count throw UnsupportedOperationException for anything else.
   */
  Exit run(long budget);

  /**
   * Executes one instruction for a debugger, a breakpoint at it notwithstanding, and returns {@link
   * Exit.DebugStop}; or returns what {@link #run} would if there is none to execute. Interrupts
   * wait meanwhile, unless the processor is halted. A fault ends the step where its handler begins.
   *
   * @throws UnsupportedOperationException if the engine has no {@link Engine#debugging}
   */
  default Exit step() {
    throw new UnsupportedOperationException("this engine cannot be debugged");
  }

  /** Makes a running {@link #run} return soon with {@link Exit.Kicked}, or the next one at once. */
  void kick();

  /** Instructions executed since creation; for a running vCPU a recent value. */
  long instructions();

  /** True if a halted vCPU has a reason to run: interrupt, NMI, INIT, start-up IPI or kick. */
  boolean hasWork();

  /** The architectural state, complete and current while {@link #run} is not active. */
  CpuState state();

  /**
   * Back to the state after power-on or RESET: the boot processor at the reset vector, others
   * waiting for start-up.
   */
  void reset();

  /**
   * The local APIC that it was created with is its own from now on: an engine that has {@link
   * Engine#apics} of its own {@linkplain LocalInterruptController#moveTo moves} it. Before it runs,
   * and before state is loaded into it.
   */
  default void takeApic() {}

  /**
   * Finds out now, and not when it runs next, whether the state that was loaded can run here.
   *
   * @throws UnsupportedOperationException if it cannot; the message says why, in a line
   */
  default void settle() {}

  /** For statistics: named counters of the engine. */
  default java.util.Map<String, Long> counters() {
    return java.util.Map.of();
  }

  @Override
  void close();
}
