package dev.bothy.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.bothy.machine.MachineExit;
import org.junit.jupiter.api.Test;

class ExitStatusTest {
  @Test
  void everyEndHasItsStatus() {
    assertEquals(0, ExitStatus.of(new MachineExit.PoweredOff()));
    assertEquals(0, ExitStatus.of(new MachineExit.Reset()));
    assertEquals(1, ExitStatus.of(new MachineExit.HostError("", null)));
    assertEquals(3, ExitStatus.of(new MachineExit.TripleFault("")));
    assertEquals(3, ExitStatus.of(new MachineExit.EngineFailed("")));
    assertEquals(124, ExitStatus.of(new MachineExit.TimedOut()));
    assertEquals(130, ExitStatus.of(new MachineExit.Stopped()));
  }

  @Test
  void debugExitIsTwiceTheValueAndOneModulo256() {
    assertEquals(1, ExitStatus.of(new MachineExit.DebugExit(0)));
    assertEquals(33, ExitStatus.of(new MachineExit.DebugExit(0x10)));
    assertEquals(255, ExitStatus.of(new MachineExit.DebugExit(127)));
    assertEquals(1, ExitStatus.of(new MachineExit.DebugExit(128)));
    assertEquals(255, ExitStatus.of(new MachineExit.DebugExit(-1)));
  }
}
