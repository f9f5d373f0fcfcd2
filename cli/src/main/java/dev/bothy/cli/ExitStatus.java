package dev.bothy.cli;

import dev.bothy.machine.MachineExit;

/** What {@code bothy run} ends with. */
final class ExitStatus {
  /** The guest powered off, or reset with {@code --no-reboot}. */
  static final int OK = 0;

  /** Something on the host's side: a file, memory, the terminal. */
  static final int HOST_ERROR = 1;

  static final int USAGE = 2;

  /** Triple fault, or an engine that cannot go on. */
  static final int CRASHED = 3;

  static final int TIMED_OUT = 124;

  /** By a signal, or by the user at the keyboard. */
  static final int INTERRUPTED = 130;

  private ExitStatus() {}

  static int of(MachineExit end) {
    return switch (end) {
      case MachineExit.PoweredOff _, MachineExit.Reset _ -> OK;
      case MachineExit.TripleFault _, MachineExit.EngineFailed _ -> CRASHED;
      case MachineExit.DebugExit exit -> exit.code() * 2 + 1 & 0xff;
      case MachineExit.TimedOut _ -> TIMED_OUT;
      case MachineExit.Stopped _ -> INTERRUPTED;
      case MachineExit.HostError _ -> HOST_ERROR;
    };
  }

  /** The end as statistics name it. */
  static String name(MachineExit end) {
    return switch (end) {
      case MachineExit.PoweredOff _ -> "power-off";
      case MachineExit.Reset _ -> "reset";
      case MachineExit.TripleFault _ -> "triple-fault";
      case MachineExit.EngineFailed _ -> "engine-failure";
      case MachineExit.DebugExit _ -> "debug-exit";
      case MachineExit.TimedOut _ -> "time-out";
      case MachineExit.Stopped _ -> "interrupted";
      case MachineExit.HostError _ -> "host-error";
    };
  }
}
