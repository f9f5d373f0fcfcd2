package dev.bothy.x86.verify;

import dev.bothy.core.Engine;
import dev.bothy.core.Exit;
import dev.bothy.core.LocalInterruptController;
import dev.bothy.core.Vcpu;
import dev.bothy.core.cpu.CpuState;
import dev.bothy.core.state.StateException;
import dev.bothy.core.state.StateReader;
import dev.bothy.core.state.StateWriter;
import java.security.SecureRandom;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.concurrent.atomic.AtomicInteger;

/** A vCPU that is two: the interpreter's, which the machine sees, and the translator's. */
final class VerifyVcpu implements Vcpu {
  private final Engine.Environment machine;
  private final int index;
  private final LocalInterruptController apic;
  private final Lockstep lockstep;
  private final Vcpu reference;

  /** {@link Signals} for the next stretch. */
  private final AtomicInteger signals = new AtomicInteger();

  /** The two may differ since something outside has changed the first one, or RAM. */
  private boolean apart = true;

  VerifyVcpu(
      Engine.Environment machine, int index, LocalInterruptController apic, Lockstep lockstep) {
    this.machine = machine;
    this.index = index;
    this.apic = apic;
    this.lockstep = lockstep;
    reference = lockstep.reference;
    seed();
  }

  private void seed() {
    if (!machine.deterministic()) {
      reference.state().set(CpuState.RANDOM, new SecureRandom().nextLong());
    }
  }

  @Override
  public Exit run(long budget) {
    lockstep.memory.setRunner(Thread.currentThread());
    if (apart) {
      apart = false;
      lockstep.synchronize();
    }
    long left = budget;
    for (; ; ) {
      long before = reference.instructions();
      Exit exit = lockstep.run(left, signals.getAndSet(0));
      if (left != UNLIMITED) {
        left -= reference.instructions() - before;
      }
      if (!(exit instanceof Exit.BudgetSpent) || left <= 0) {
        return exit;
      }
    }
  }

  @Override
  public void kick() {
    reference.kick();
  }

  @Override
  public void interruptChanged() {
    // Looked at where the next stretch begins.
    machine.wakeUp().wake(index);
  }

  @Override
  public void nmi() {
    signals.updateAndGet(Signals::withNmi);
    machine.wakeUp().wake(index);
  }

  @Override
  public void smi() {
    signals.updateAndGet(Signals::withSmi);
    machine.wakeUp().wake(index);
  }

  @Override
  public void init() {
    signals.updateAndGet(Signals::withInit);
    machine.wakeUp().wake(index);
  }

  @Override
  public void startup(int page) {
    signals.updateAndGet(waiting -> Signals.withStartup(waiting, page));
    machine.wakeUp().wake(index);
  }

  @Override
  public long instructions() {
    return reference.instructions();
  }

  @Override
  public boolean hasWork() {
    lockstep.referenceTape.pending = apic.interruptPending();
    return signals.get() != 0 || reference.hasWork();
  }

  @Override
  public CpuState state() {
    apart = true;
    return reference.state();
  }

  @Override
  public void reset() {
    signals.set(0);
    reference.reset();
    lockstep.subject.reset();
    seed();
    apart = true;
  }

  @Override
  public Map<String, Long> counters() {
    Map<String, Long> counters = new LinkedHashMap<>();
    counters.put("verifiedInstructions", lockstep.verified);
    counters.put("verifiedStretches", lockstep.stretches);
    counters.put("unverifiedStretches", lockstep.unverified);
    counters.put("undefinedResults", lockstep.tolerated);
    counters.put("accessedBitsBrought", lockstep.accessedBits);
    counters.put("comparisonsOfAllRam", lockstep.wholeComparisons);
    counters.putAll(lockstep.subject.counters());
    return counters;
  }

  @Override
  public String stateName() {
    return reference.stateName();
  }

  @Override
  public int stateVersion() {
    return reference.stateVersion();
  }

  @Override
  public void save(StateWriter out) {
    Signals.send(signals.getAndSet(0), reference);
    reference.save(out);
    apart = true;
  }

  @Override
  public void load(StateReader in) throws StateException {
    signals.set(0);
    reference.load(in);
    apart = true;
  }

  @Override
  public void close() {
    reference.close();
    lockstep.subject.close();
    lockstep.close();
  }
}
