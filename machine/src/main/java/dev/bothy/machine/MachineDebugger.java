package dev.bothy.machine;

import dev.bothy.core.Debugging;
import dev.bothy.core.Engine;
import dev.bothy.core.StopCause;
import dev.bothy.core.StopPoints;
import java.util.Optional;

/**
 * A machine as a debugger handles it, one debugger at a time: it holds vCPUs, lets them go on or
 * step, and hears when one has stopped where it was to stop. While all are held, guest time and
 * devices stand, whoever else pauses and resumes the machine, and the state of vCPUs may be read
 * and changed. Any thread but the machine's own.
 */
public final class MachineDebugger {
  /** What a debugger hears. */
  public interface Listener {
    /**
     * vCPU {@code index} has stopped for {@code cause}, and all are held and stand. Called on a
     * thread of its own, again for each vCPU that stopped at about the same time.
     */
    void stopped(int index, StopCause cause);
  }

  private static final long ALL = -1;

  private final Gate gate;

  /** What the engine does for it, or null if it cannot be debugged. */
  private volatile Debugging engine;

  private StopPoints points = StopPoints.NONE;
  private volatile Listener listener;
  private volatile long stepping;
  private volatile boolean holding;

  MachineDebugger(Gate gate, Optional<Debugging> engine) {
    this.gate = gate;
    this.engine = engine.orElse(null);
  }

  /** True if the present engine can be debugged. */
  boolean possible() {
    return engine != null;
  }

  /** Throws if there is a debugger, for whom {@code next} does nothing. */
  synchronized void requireFollowing(Engine next) throws EngineChangeException {
    if (listener == null) {
      return;
    }
    Optional<Debugging> debugging = next.debugging();
    if (debugging.isEmpty() || !debugging.get().takes(points)) {
      throw new EngineChangeException(
          "a debugger has the machine, and engine "
              + next.name()
              + (debugging.isEmpty()
                  ? " cannot be debugged: detach it first"
                  : " does not take its breakpoints and watchpoints: remove some first"),
          false,
          null);
    }
  }

  /** The vCPUs, which all stand, are those of {@code next} from now on. */
  synchronized void follow(Engine next) {
    engine = next.debugging().orElse(null);
    if (listener != null) {
      engine.stopAt(points);
    }
  }

  /**
   * Holds all vCPUs from now on; does not wait for them. A machine may be held before it is
   * started.
   *
   * @return false if the machine's engine cannot be debugged, any more
   * @throws IllegalStateException if there is a debugger
   */
  public synchronized boolean attach(Listener debugger) {
    if (listener != null) {
      throw new IllegalStateException("the machine has a debugger");
    }
    if (engine == null) {
      return false;
    }
    listener = debugger;
    holdAll();
    return true;
  }

  /** Holds all vCPUs, and returns when they stand. */
  public void stop() {
    holdAll();
    gate.bringToStand();
  }

  /**
   * Lets vCPUs go on, which all stand.
   *
   * @param running one bit for each vCPU that goes on; the others are held
   * @param steps those of them that execute one instruction
   */
  public void run(long running, long steps) {
    stepping = steps;
    holding = running == 0;
    gate.hold(~running);
  }

  /** True if the engine can have vCPUs stop at all of {@code wanted}. */
  public synchronized boolean takes(StopPoints wanted) {
    return engine.takes(wanted);
  }

  /** From now on vCPUs, which all stand, stop there: the engine takes that. */
  public synchronized void stopAt(StopPoints wanted) {
    points = wanted;
    engine.stopAt(wanted);
  }

  /**
   * True if all vCPUs stand, and will until {@link #run}: their state may be read and changed. Not
   * so once the machine has ended.
   */
  public boolean stands() {
    return gate.isStanding();
  }

  /** The debugger, at whose command all vCPUs stand, goes; they go on as if it had never been. */
  public synchronized void detach() {
    if (engine != null && stands()) {
      engine.end();
    }
    points = StopPoints.NONE;
    stepping = 0;
    holding = false;
    listener = null;
    gate.hold(0);
  }

  /** True while a debugger holds all vCPUs. */
  public boolean holds() {
    return holding;
  }

  private void holdAll() {
    holding = true;
    gate.hold(ALL);
  }

  /** True if vCPU {@code index} is to execute one instruction. */
  boolean steps(int index) {
    return (stepping >>> index & 1) != 0;
  }

  /** vCPU {@code index} has stopped; on its thread. */
  synchronized void met(int index, StopCause cause) {
    Listener hears = listener;
    if (hears == null) {
      return;
    }
    holdAll();
    Thread.ofVirtual()
        .start(
            () -> {
              gate.bringToStand();
              hears.stopped(index, cause);
            });
  }
}
