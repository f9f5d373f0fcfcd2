package dev.bothy.debug;

import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.bothy.core.cpu.CpuModel;
import dev.bothy.core.cpu.CpuState;
import dev.bothy.machine.EngineFactory;
import dev.bothy.x86.interpret.InterpreterEngine;
import org.junit.jupiter.api.Test;

class InterpreterGdbTest extends GdbContract {
  @Override
  EngineFactory engine() {
    return InterpreterEngine::new;
  }

  @Test
  void showsWhatControlFlowIsHeldTo() throws Exception {
    CpuModel model = CpuModel.parse("v3,+shstk,+ibt");
    try (SmallGuest guest = new SmallGuest(engine(), model, 1, true)) {
      guest.machine.whileStanding(
          () -> {
            CpuState cpu = guest.machine.vcpu(0).state();
            cpu.set(CpuState.SSP, 0x1238);
            cpu.set(CpuState.U_CET, 5);
            return "";
          });
      String output =
          new Gdb(
                  GuestFile.path(),
                  "target remote " + guest.server.target(),
                  "info registers ssp u_cet s_cet",
                  "set var $ssp = 0x1342",
                  "print/x $ssp",
                  "set var $ssp = 0x1340",
                  "print/x $ssp",
                  "info registers",
                  "break scale",
                  "continue",
                  "kill")
              .finish();
      assertTrue(output.contains("0x1238"), output);
      assertTrue(output.contains("[ SH_STK_EN ENDBR_EN ]"), output);
      assertTrue(output.contains("$1 = 0x1238"), output);
      assertTrue(output.contains("$2 = 0x1340"), output);
      assertTrue(output.contains("Breakpoint 1, scale"), output);
      assertFalse(output.contains("warning"), output);
    }
  }
}
