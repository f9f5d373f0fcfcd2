package dev.bothy.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.abort;

import dev.bothy.Console;
import dev.bothy.Vm;
import dev.bothy.guest.DefaultGuest;
import dev.bothy.guest.GuestException;
import dev.bothy.guest.Progress;
import dev.bothy.machine.MachineExit;
import java.io.IOException;
import java.time.Duration;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** The default guest in use; skipped where it cannot be had. */
@Timeout(1800)
class DefaultGuestSessionTest {
  private static final Duration LONG = Duration.ofMinutes(8);
  private static final String SHELL = "/root # ";

  @BeforeEach
  void prepareGuest() throws IOException {
    try {
      DefaultGuest.prepare(Progress.NONE);
    } catch (GuestException e) {
      abort(e.getMessage());
    }
  }

  @Test
  void shellWithTwoProcessorsRunsJobsAndPowersOff() throws Exception {
    try (Vm vm = Vm.builder().cpus(2).memory("256M").append("quiet").start()) {
      Console console = vm.console();
      console.expect("busybox on Bothy: 2 x86-64", LONG);
      console.expect(SHELL, LONG);
      console.send("echo $((6 * 7))-$(uname -m)\n");
      console.expect("42-x86_64", LONG);
      console.expect(SHELL, LONG);
      console.send("sh -c 'echo begun; sleep 1000'\n");
      console.expect("sleep 1000'", LONG);
      console.expect("begun", LONG);
      console.send("\u0003");
      console.expect(SHELL, LONG);
      console.send("modprobe virtio_net && echo modules-$?\n");
      console.expect("modules-0", LONG);
      console.expect(SHELL, LONG);
      console.send("exit\n");
      assertInstanceOf(MachineExit.PoweredOff.class, vm.awaitExit());
    }
  }

  @Test
  void textTypedBeforeTheGuestListensIsNotLost() throws Exception {
    StringBuilder script = new StringBuilder();
    for (int i = 0; i < 200; i++) {
      script.append("# a line that the shell only has to read, number ").append(i).append('\n');
    }
    try (Vm vm = Vm.builder().memory("256M").append("quiet").start()) {
      // All at once, long before there is a shell; md5sum reads what comes until its end mark.
      vm.console().send("stty -echo; md5sum <<'END' | sed 's/^/su''m=/'\n" + script + "END\n");
      String said = vm.console().expect("sum=", LONG);
      String sum = vm.console().expect("  -", LONG);
      assertEquals(md5(script.toString()) + "  -", sum, said);
      vm.stop();
      assertTrue(vm.awaitExit(LONG).isPresent());
    }
  }

  private static String md5(String text) throws Exception {
    var digest = java.security.MessageDigest.getInstance("MD5");
    return java.util.HexFormat.of().formatHex(digest.digest(text.getBytes()));
  }
}
