package dev.bothy.machine;

import dev.bothy.core.FlightRecording;
import dev.bothy.machine.boot.BootException;
import java.time.Duration;
import java.util.Optional;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.ReentrantLock;

/**
 * Where a machine's vCPU threads come to while it is paused, looked at, reset or held by a
 * debugger, and when it ends: the machine's life, without what it is made of. Any thread.
 */
final class Gate {
  /** What goes while the gate is open. */
  interface Works {
    /** Guest time and what devices do by themselves go on; with the lock. */
    void letGo();

    /** They stop; no vCPU runs. Without the lock: timers and devices may need it until then. */
    void hold();

    /**
     * All is as when a kernel is entered, or one that slept goes on; no vCPU runs. Without the
     * lock, but the first time.
     */
    void powerOn() throws BootException;

    /** True if no vCPU is to run though all else goes on: the guest sleeps. Any thread. */
    boolean asleep();

    /** True if what follows a sleep is no reset. Any thread. */
    boolean wakes();

    /** The vCPU threads begin; with the lock. */
    void begin();

    /** vCPU {@code index} comes out of guest code, its thread out of a park; with the lock. */
    void call(int index);
  }

  /** The lock, held by the thread that is to close this. */
  interface Held extends AutoCloseable {
    @Override
    void close();
  }

  private final String machine;
  private final Works works;
  private final int cpus;
  private final ReentrantLock lock = new ReentrantLock();
  private final Condition changed = lock.newCondition();

  // Guarded by the lock.
  private boolean powered;
  private boolean pauseWanted;
  private boolean resetWanted;

  /** vCPUs that a debugger holds, one bit each; read without the lock. */
  private volatile long held;

  /** How many look at the machine and need it to stand. */
  private int looks;

  private boolean closed;

  /** A vCPU thread is at work on a reset, without the lock. */
  private boolean restarting;

  /** vCPU threads that wait here, and that have not ended yet. */
  private int waiting;

  private int live;
  private MachineExit end;

  /** True if a vCPU thread must come here before it goes on. */
  private volatile boolean attention;

  private volatile long startedAt;
  private volatile long endedAt;

  /**
   * A gate of a machine that is off.
   *
   * @param machine its name, for Java's flight recorder
   * @param cpus number of threads that {@link Works#begin} starts
   */
  Gate(String machine, int cpus, Works works) {
    this.machine = machine;
    this.cpus = cpus;
    this.works = works;
  }

  /**
   * Switches on.
   *
   * @throws BootException if there is nothing to boot; the machine then stays off
   * @throws IllegalStateException if it is on, or was
   */
  void start() throws BootException {
    try (Held _ = lock()) {
      if (closed || powered || end != null) {
        throw new IllegalStateException("the machine has been started before");
      }
      works.powerOn();
      begin();
    }
  }

  private void begin() {
    powered = true;
    record("start");
    startedAt = System.nanoTime();
    live = cpus;
    if (!stands()) {
      works.letGo();
    }
    works.begin();
  }

  /** Switches on if it is off, but paused; the lock is held. */
  void startPaused() {
    pauseWanted = true;
    updateAttention();
    if (!powered) {
      begin();
    }
    awaitStanding();
  }

  /** True if it was switched on. */
  boolean powered() {
    try (Held _ = lock()) {
      return powered;
    }
  }

  /** Stops guest time and the vCPUs; returns when they stand. */
  void pause() {
    wantPause();
    bringToStand();
  }

  /** The same, but does not wait. */
  void pauseSoon() {
    // Before anybody is told: whoever wants it to go on then is not overtaken.
    wantPause();
    Thread.ofVirtual().start(this::bringToStand);
  }

  private void wantPause() {
    change(() -> pauseWanted = true);
  }

  /** Returns when all stand, unless somebody wants them to go on before. */
  void bringToStand() {
    try (Held _ = lock()) {
      awaitStanding();
    }
    works.hold();
    try (Held _ = lock()) {
      // Somebody else may have wanted it to go on before all stood.
      if (powered && !stands() && end == null && !restarting) {
        works.letGo();
      }
    }
  }

  /** All vCPUs are to stay here, and guest time stands with them. The lock is held. */
  private boolean stands() {
    return pauseWanted || held == -1 || looks > 0;
  }

  /** Does {@code look} while no vCPU runs and guest time stands; without the lock. */
  <T, E extends Exception> T whileStanding(Look<T, E> look) throws E {
    change(() -> looks++);
    try {
      bringToStand();
      return look.look();
    } finally {
      change(() -> looks--);
    }
  }

  /** Does {@code work} with the lock, and when all have come to the gate if they are to. */
  <T> T unlessEnded(Look<T, EngineChangeException> work) throws EngineChangeException {
    try (Held _ = lock()) {
      awaitStanding();
      if (closed || end != null) {
        throw new EngineChangeException("the machine has ended", false, null);
      }
      return work.look();
    }
  }

  /** The lock, until it is closed: nothing changes meanwhile. */
  Held lock() {
    lock.lock();
    return lock::unlock;
  }

  /** Does {@code work} with the lock if it is free, else nothing. */
  void ifFree(Runnable work) {
    if (lock.tryLock()) {
      try {
        work.run();
      } finally {
        lock.unlock();
      }
    }
  }

  /**
   * For a debugger: the vCPUs with a bit in {@code mask} stay here, -1 for all, the others go on.
   * {@link #bringToStand} waits for all.
   */
  void hold(long mask) {
    change(() -> held = mask);
  }

  /** Does something to what {@link #stands} looks at, and acts accordingly. */
  private void change(Runnable what) {
    try (Held _ = lock()) {
      boolean stood = stands();
      what.run();
      if (stood != stands() && powered && end == null) {
        record(stood ? "resume" : "pause");
        if (stood && !restarting) {
          works.letGo();
        }
      }
      call();
    }
  }

  /** Waits for the vCPUs, unless somebody wants them to go on before all stand. */
  private void awaitStanding() {
    while (powered && end == null && (stands() && waiting < live || restarting)) {
      changed.awaitUninterruptibly();
    }
  }

  /** Ends a pause. */
  void resume() {
    try (Held _ = lock()) {
      if (end != null || closed) {
        return;
      }
      change(() -> pauseWanted = false);
      if (!powered) {
        throw new IllegalStateException("the machine is off");
      }
    }
  }

  /** Has the machine {@link Works#powerOn powered on} anew when all have come here. */
  void reset() {
    change(() -> resetWanted = true);
  }

  /** Ends the machine for {@code reason}, unless it has ended. Returns at once. */
  void end(MachineExit reason) {
    try (Held _ = lock()) {
      if (end == null) {
        endFor(reason);
      }
      call();
    }
  }

  private void endFor(MachineExit reason) {
    end = reason;
    endedAt = System.nanoTime();
    record("stop", reason.getClass().getSimpleName());
  }

  private void record(String change) {
    record(change, null);
  }

  private void record(String change, String reason) {
    if (FlightRecording.begun()) {
      new LifeCycleEvent(machine, change, reason).commit();
    }
  }

  /** Ends it for an error of the host's. */
  void fail(String what, Throwable cause) {
    end(new MachineExit.HostError(what + ": " + cause, cause));
  }

  /** Has all vCPU threads look what they are to do. */
  void callThreads() {
    try (Held _ = lock()) {
      call();
    }
  }

  /** True while vCPU threads have nothing to do: see {@link Works#asleep}. */
  boolean asleep() {
    return works.asleep();
  }

  /** Brings all vCPU threads here, unless they have ended. The lock is held. */
  private void call() {
    updateAttention();
    // What a processor has in native memory may be gone when none is left.
    for (int i = 0; live > 0 && i < cpus; i++) {
      works.call(i);
    }
  }

  private void updateAttention() {
    attention = pauseWanted || resetWanted || looks > 0 || end != null;
    changed.signalAll();
  }

  /** True if the thread of {@code vcpu} is to come here. */
  boolean attention(int vcpu) {
    return attention || (held >>> vcpu & 1) != 0;
  }

  /** For a vCPU thread that finds {@link #attention}: true when it may go on, false to end. */
  boolean pass(int vcpu) {
    try (Held _ = lock()) {
      waiting++;
      changed.signalAll();
      try {
        while (true) {
          if (end != null) {
            return false;
          }
          if (resetWanted && waiting == live && !restarting) {
            restart();
          } else if (stands() || resetWanted || (held >>> vcpu & 1) != 0) {
            changed.awaitUninterruptibly();
          } else {
            return true;
          }
        }
      } finally {
        waiting--;
      }
    }
  }

  /**
   * The last vCPU thread to come here does the reset while the others wait. The lock is held, but
   * for the work itself: a timer that is just firing may need it.
   */
  private void restart() {
    restarting = true;
    record(works.wakes() ? "wake" : "reset");
    lock.unlock();
    MachineExit failure = null;
    try {
      works.hold();
      works.powerOn();
    } catch (BootException e) {
      failure = new MachineExit.HostError(e.getMessage(), e);
    } finally {
      lock.lock();
      restarting = false;
    }
    resetWanted = false;
    if (failure != null && end == null) {
      endFor(failure);
    } else if (!stands()) {
      works.letGo();
    }
    updateAttention();
  }

  /** A vCPU thread under the test clock is where {@link #runOnce} is to end. */
  void pauseFromWithin() {
    try (Held _ = lock()) {
      pauseWanted = true;
      record("pause");
      updateAttention();
    }
  }

  /**
   * Does {@code begin} with the lock, opens, and returns when a thread has called {@link
   * #pauseFromWithin} and all stand, or all have ended. Nothing if the machine has ended before.
   */
  void runOnce(Runnable begin) {
    try (Held _ = lock()) {
      if (end != null) {
        return;
      }
      pauseWanted = false;
      record("resume");
      begin.run();
      updateAttention();
      while (end == null ? !(pauseWanted && waiting == live && !restarting) : live > 0) {
        changed.awaitUninterruptibly();
      }
    }
  }

  /** Called by each vCPU thread as the last thing it does. */
  void threadEnded() {
    try (Held _ = lock()) {
      live--;
      changed.signalAll();
    }
  }

  /** Waits at most {@code timeout} for the end; empty if the machine goes on. */
  Optional<MachineExit> awaitExit(Duration timeout) throws InterruptedException {
    long deadline = System.nanoTime() + timeout.toNanos();
    try (Held _ = lock()) {
      if (!powered && end == null) {
        throw new IllegalStateException("the machine is off");
      }
      while (end == null || live > 0) {
        long left = deadline - System.nanoTime();
        if (left <= 0) {
          return Optional.empty();
        }
        changed.await(left, TimeUnit.NANOSECONDS);
      }
      return Optional.of(end);
    }
  }

  /** True from the start to the end, also while paused. */
  boolean running() {
    try (Held _ = lock()) {
      return powered && (end == null || live > 0);
    }
  }

  /** True if it was started, and no vCPU runs, nor will before somebody lets it. */
  boolean isStanding() {
    try (Held _ = lock()) {
      boolean standing = end != null ? live == 0 : stands() && waiting == live && !restarting;
      return powered && !closed && standing;
    }
  }

  void requireStanding() {
    if (!isStanding()) {
      throw new IllegalStateException("the machine is not paused");
    }
  }

  /** The lock is held. */
  void requireAlive() {
    if (closed || end != null) {
      throw new IllegalStateException("the machine has ended");
    }
  }

  /** Host time of the start, {@link System#nanoTime}; 0 before. */
  long startedAt() {
    return startedAt;
  }

  /** Nanoseconds of host time from the start to the end, or to now. */
  long wallNanos() {
    long until = endedAt != 0 ? endedAt : System.nanoTime();
    return startedAt == 0 ? 0 : until - startedAt;
  }

  /** Ends the machine; false if this is not the first time. */
  boolean close() {
    try (Held _ = lock()) {
      if (closed) {
        return false;
      }
      closed = true;
      end(new MachineExit.Stopped());
      return true;
    }
  }
}
