package dev.bothy.core;

/**
 * What an engine does for a debugger of the machine: its vCPUs return from {@link Vcpu#run} with
 * {@link Exit.DebugStop} where they are wanted to. The guest sees nothing of it: neither its memory
 * nor its debug registers change. Called while none of the engine's vCPUs runs.
 */
public interface Debugging {
  /** True if there is room for {@code points}, and they are such that can be told. Any thread. */
  default boolean takes(StopPoints points) {
    return true;
  }

  /** From now on vCPUs stop at {@code points}, which it takes, and nowhere else. */
  void stopAt(StopPoints points);

  /** Nobody debugs any more: everything is as if nobody ever had. */
  void end();
}
