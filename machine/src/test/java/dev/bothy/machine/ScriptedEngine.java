package dev.bothy.machine;

import dev.bothy.core.Engine;
import dev.bothy.core.Exit;
import dev.bothy.core.LocalInterruptController;
import dev.bothy.core.Vcpu;
import dev.bothy.core.cpu.CpuState;
import dev.bothy.core.state.StateException;
import dev.bothy.core.state.StateReader;
import dev.bothy.core.state.StateWriter;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.atomic.AtomicBoolean;

/**
 * An engine whose processors do what a piece of Java says: for tests of everything around an
 * engine.
 */
final class ScriptedEngine implements Engine {
  /** What a processor does in one call of {@code run}; counts its instructions itself. */
  interface Script {
    Exit run(Processor processor, long budget) throws Exception;
  }

  private final Environment environment;
  private final Script script;
  final List<Processor> processors = new ArrayList<>();
  volatile boolean closed;

  /** A processor that takes no state; -1: none. */
  int unsettled = -1;

  ScriptedEngine(Environment environment, Script script) {
    this.environment = environment;
    this.script = script;
  }

  @Override
  public String name() {
    return "scripted";
  }

  @Override
  public Vcpu createVcpu(int index, LocalInterruptController apic) {
    Processor processor = new Processor(index);
    processors.add(processor);
    return processor;
  }

  @Override
  public void close() {
    closed = true;
  }

  /** One processor. */
  final class Processor implements Vcpu {
    final int index;
    final AtomicBoolean kicked = new AtomicBoolean();
    final AtomicBoolean interrupted = new AtomicBoolean();
    volatile long instructions;
    volatile int resets;
    volatile int runs;
    volatile int nmis;
    volatile boolean closed;
    private final CpuState state = new CpuState(0);

    Processor(int index) {
      this.index = index;
    }

    Environment environment() {
      return environment;
    }

    @Override
    public Exit run(long budget) {
      runs++;
      if (kicked.getAndSet(false)) {
        return new Exit.Kicked();
      }
      try {
        return script.run(this, budget);
      } catch (RuntimeException e) {
        throw e;
      } catch (Exception e) {
        throw new IllegalStateException(e);
      }
    }

    /** Spins until a kick, like a guest in an endless loop. */
    Exit spin() {
      while (!kicked.get()) {
        Thread.onSpinWait();
      }
      kicked.set(false);
      return new Exit.Kicked();
    }

    @Override
    public void kick() {
      kicked.set(true);
      environment.wakeUp().wake(index);
    }

    @Override
    public void interruptChanged() {
      interrupted.set(true);
      environment.wakeUp().wake(index);
    }

    @Override
    public void nmi() {
      nmis++;
    }

    @Override
    public void init() {}

    @Override
    public void startup(int page) {}

    @Override
    public long instructions() {
      return instructions;
    }

    @Override
    public boolean hasWork() {
      return kicked.get() || interrupted.get();
    }

    @Override
    public CpuState state() {
      return state;
    }

    @Override
    public void settle() {
      if (index == unsettled) {
        throw new UnsupportedOperationException("processor " + index);
      }
    }

    @Override
    public void reset() {
      resets++;
      state.clear();
    }

    @Override
    public void close() {
      closed = true;
      state.close();
    }

    @Override
    public String stateName() {
      return "cpu" + index;
    }

    @Override
    public void save(StateWriter out) {
      state.save(out);
    }

    @Override
    public void load(StateReader in) throws StateException {
      state.load(in);
    }
  }
}
