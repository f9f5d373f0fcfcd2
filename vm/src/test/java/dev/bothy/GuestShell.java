package dev.bothy;

import static org.junit.jupiter.api.Assumptions.abort;

import dev.bothy.guest.DefaultGuest;
import dev.bothy.guest.GuestException;
import dev.bothy.guest.Progress;
import java.io.IOException;
import java.time.Duration;

/** The shell on the console of a guest with a busybox root. */
final class GuestShell {
  /** For anything: hosts may be many times slower than ours. */
  static final Duration LONG = Duration.ofMinutes(8);

  static final String PROMPT = "/root # ";

  private final Console console;
  private int commands;

  GuestShell(Vm vm) {
    this(vm.console());
  }

  GuestShell(Console console) {
    this.console = console;
  }

  /**
   * A guest from the cache or the archive; where neither is to be had, the calling test is skipped.
   */
  static DefaultGuest guest(String kernelPackage) throws IOException {
    try {
      return kernelPackage.equals(DefaultGuest.CLOUD_KERNEL)
          ? DefaultGuest.prepare(Progress.NONE)
          : DefaultGuest.withKernel(kernelPackage, Progress.NONE);
    } catch (GuestException e) {
      return abort("this host cannot make the guest: " + e.getMessage());
    }
  }

  /**
   * Waits for the prompt of a shell that has just started. From then on the kernel keeps what it
   * has to say in its log: on a busy host it finds its clock late, and would say so in the middle
   * of a command's output.
   */
  void awaitPrompt() throws Exception {
    console.expect(PROMPT, LONG);
    // What starts behind the shell's back puts the level back that it has found.
    run("while ps | grep -q '[/]etc/devices'; do sleep 1; done; dmesg -n 1");
  }

  /** Runs a command and returns what it printed, without the last line feed. */
  String run(String command) throws Exception {
    // Computed, so that the echo of what is typed is not taken for it.
    int mark = 7 * ++commands;
    console.send(
        "echo begin=$((7*%1$d)); %2$s; echo end=$((7*%1$d))\n".formatted(commands, command));
    console.expect("begin=" + mark + "\r\n", LONG);
    String output = console.expect("end=" + mark + "\r\n", LONG);
    console.expect(PROMPT, LONG);
    return output.substring(0, output.lastIndexOf("end=")).replace("\r\n", "\n").strip();
  }

  /** Types a command that does not come back. */
  void type(String command) throws Exception {
    console.send(command + "\n");
  }
}
