package dev.bothy.machine;

import dev.bothy.core.Exit;
import dev.bothy.core.StopCause;
import dev.bothy.core.Vcpu;
import dev.bothy.host.Uninterrupted;
import java.util.Map;
import java.util.concurrent.locks.LockSupport;

/**
 * The platform thread of one vCPU: runs it, parks while it has nothing to do, and comes to the
 * machine's gate when called.
 */
final class VcpuThread {
  private static final String[] EXIT_NAMES = {
    "halt", "wait-for-startup", "shutdown", "kick", "budget", "debug-stop", "failure"
  };

  private final Gate gate;
  private final MachineDebugger debugger;
  private final int index;
  private final CpuSocket socket;
  private final GuestClock clock;
  private final Thread thread;

  /** Written by the thread alone; statistics may see them late. */
  private final long[] exits = new long[EXIT_NAMES.length];

  /** Under the test clock: pause before this instruction. */
  private volatile long pauseAt = Long.MAX_VALUE;

  VcpuThread(
      String machine,
      Gate gate,
      MachineDebugger debugger,
      int index,
      CpuSocket socket,
      GuestClock clock) {
    this.gate = gate;
    this.debugger = debugger;
    this.index = index;
    this.socket = socket;
    this.clock = clock;
    thread = Thread.ofPlatform().daemon().name(machine + "-cpu" + index).unstarted(this::work);
  }

  void start() {
    thread.start();
  }

  /** Ends a park, or the next one at once. */
  void wake() {
    LockSupport.unpark(thread);
  }

  void pauseAt(long instruction) {
    pauseAt = instruction;
  }

  /** Adds how often the vCPU has come out, by kind. */
  void count(Map<String, Long> counters) {
    for (int i = 0; i < EXIT_NAMES.length; i++) {
      counters.merge(EXIT_NAMES[i], exits[i], Long::sum);
    }
  }

  /** Waits until the thread has ended, if it was ever started. */
  void join() {
    Uninterrupted.join(thread);
  }

  private void work() {
    try {
      if (clock instanceof CountedClock counted) {
        runCounted(counted);
      } else {
        runFreely();
      }
    } catch (Throwable e) {
      gate.fail("the engine failed", e);
    } finally {
      gate.threadEnded();
    }
  }

  /** True if the vCPU may run on, false if this is the end; waits while it may not. */
  private boolean mayRun() {
    return !gate.attention(index) || gate.pass(index);
  }

  private Exit run(long budget) {
    Vcpu vcpu = socket.vcpu();
    return debugger.steps(index) ? vcpu.step() : vcpu.run(budget);
  }

  private boolean isIdle() {
    return gate.asleep() || !socket.vcpu().hasWork();
  }

  private void runFreely() {
    while (mayRun()) {
      if (gate.asleep() || handle(run(Vcpu.UNLIMITED))) {
        // An engine makes work visible before it wakes this thread, so no wake-up is lost.
        while (!gate.attention(index) && isIdle()) {
          LockSupport.park(this);
        }
      }
    }
  }

  private void runCounted(CountedClock counted) {
    while (mayRun()) {
      counted.fire();
      long left = pauseAt - counted.executed();
      if (left <= 0) {
        pauseAt = Long.MAX_VALUE;
        gate.pauseFromWithin();
        continue;
      }
      Vcpu vcpu = socket.vcpu();
      long before = vcpu.instructions();
      boolean idle = gate.asleep() || handle(run(Math.min(left, counted.budget())));
      counted.advance(vcpu.instructions() - before);
      if (idle) {
        skipIdleTime(counted);
      }
    }
  }

  private void skipIdleTime(CountedClock counted) {
    while (!gate.attention(index) && isIdle()) {
      if (!counted.skipToDeadline()) {
        if (pauseAt != Long.MAX_VALUE) {
          pauseAt = Long.MAX_VALUE;
          gate.pauseFromWithin();
        } else {
          LockSupport.park(this);
        }
      }
    }
  }

  /** Deals with an exit; true if the processor is idle. */
  private boolean handle(Exit exit) {
    switch (exit) {
      case Exit.Halted _ -> {
        exits[0]++;
        return true;
      }
      case Exit.WaitingForStartup _ -> {
        exits[1]++;
        return true;
      }
      case Exit.Shutdown(String report) -> {
        exits[2]++;
        gate.end(new MachineExit.TripleFault(report));
      }
      case Exit.Kicked _ -> exits[3]++;
      case Exit.BudgetSpent _ -> exits[4]++;
      case Exit.DebugStop(StopCause cause) -> {
        exits[5]++;
        debugger.met(index, cause);
      }
      case Exit.Failed(String report) -> {
        exits[6]++;
        gate.end(new MachineExit.EngineFailed(report));
      }
    }
    return false;
  }
}
