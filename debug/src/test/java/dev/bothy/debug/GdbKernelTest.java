package dev.bothy.debug;

import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.abort;

import dev.bothy.debug.monitor.Monitor;
import dev.bothy.guest.DefaultGuest;
import dev.bothy.guest.GuestException;
import dev.bothy.guest.Progress;
import dev.bothy.host.ExecutableMemory;
import dev.bothy.machine.EngineFactory;
import dev.bothy.machine.Machine;
import dev.bothy.machine.MachineOptions;
import dev.bothy.machine.boot.KernelBoot;
import dev.bothy.x86.interpret.InterpreterEngine;
import dev.bothy.x86.translate.TranslatorEngine;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.TimeUnit;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** The real gdb on the default guest's kernel, which has no symbols but its own list of them. */
@Timeout(1800)
class GdbKernelTest {
  private static final String PROMPT = "/root # ";

  private final StringBuilder console = new StringBuilder();

  private void take(int value) {
    synchronized (console) {
      console.append((char) value);
      console.notifyAll();
    }
  }

  /** What comes up to {@code text}, from the last time on. */
  private String expect(String text) throws InterruptedException {
    long deadline = System.nanoTime() + TimeUnit.MINUTES.toNanos(5);
    synchronized (console) {
      int at;
      while ((at = console.indexOf(text)) < 0) {
        assertTrue(System.nanoTime() < deadline, () -> "no " + text + " in " + console);
        console.wait(1000);
      }
      String before = console.substring(0, at);
      console.delete(0, at + text.length());
      return before;
    }
  }

  private static void type(Machine machine, String text) throws InterruptedException {
    byte[] bytes = text.getBytes(StandardCharsets.US_ASCII);
    for (int done = 0; done < bytes.length; ) {
      done += machine.serial().offer(bytes, done, bytes.length - done);
      Thread.sleep(1);
    }
  }

  @Test
  void stopsTheKernelWhereItIsWantedTo() throws Exception {
    DefaultGuest guest;
    try {
      guest = DefaultGuest.prepare(Progress.NONE);
    } catch (GuestException e) {
      abort("this host cannot make the default guest: " + e.getMessage());
      return;
    }
    EngineFactory engine =
        ExecutableMemory.refusal().isEmpty() ? TranslatorEngine::new : InterpreterEngine::new;
    MachineOptions options =
        MachineOptions.of(
                512 << 20,
                engine,
                new KernelBoot(
                    guest.kernel(), Optional.of(guest.initrd()), guest.commandLine() + " nokaslr"),
                this::take)
            .withCpus(2);
    try (Machine machine = new Machine(options);
        GdbServer server =
            GdbServer.atPort(
                machine,
                new Monitor(machine, List::of, List::of, new TestEngines(machine)),
                0,
                Optional.empty())) {
      machine.start();
      server.start();
      debug(machine, server);
    }
  }

  private void debug(Machine machine, GdbServer server) throws IOException, InterruptedException {
    expect(PROMPT);
    type(machine, "grep -w __x64_sys_sethostname /proc/kallsyms\n");
    expect("\n");
    Matcher line = Pattern.compile("(ffffffff[0-9a-f]{8}) [tT]").matcher(expect(PROMPT));
    assertTrue(line.find(), "the kernel tells no address");
    String address = "0x" + line.group(1);
    Gdb gdb =
        new Gdb(
            null,
            "target remote " + server.target(),
            "info threads",
            "break *" + address,
            "echo armed\\n",
            "continue",
            "print $pc == " + address,
            "print $cs & 3",
            "x/2i $pc",
            "stepi",
            "stepi",
            "print $pc != " + address,
            "x/s (*(long *)$rdi) + 0",
            "delete",
            "watch -l *(long *)($rsp - 8)",
            "continue",
            "print (long)$gs_base < 0 || (long)$k_gs_base < 0",
            "delete",
            "hbreak *" + address,
            "detach");
    gdb.await("armed");
    type(machine, "hostname bothy && hostname && echo done=$((6*7))\n");
    String output = gdb.finish();
    Matcher steps =
        Pattern.compile(
                "(?s)vCPU 0.*vCPU 1.*Breakpoint 1, .*\\$1 = 1.*\\$2 = 0.*=> "
                    + address
                    + ".*\\$3 = 1.*watchpoint 2.*\\$4 = 1.*detached")
            .matcher(output);
    assertTrue(steps.find(), output);
    String said = expect("done=42");
    assertTrue(said.contains("bothy"), said);
  }
}
