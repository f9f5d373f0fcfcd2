package dev.bothy.machine;

import dev.bothy.machine.boot.BootSource;
import dev.bothy.machine.boot.KernelBoot;
import dev.bothy.x86.interpret.InterpreterEngine;
import dev.bothy.x86.translate.TranslatorEngine;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Optional;

/**
 * Boots a kernel headless, serial port to stdout: {@code BootProbe KERNEL INITRD COMMANDLINE
 * [MEGABYTES] [CPUS] [SECONDS] [translator]}.
 */
final class BootProbe {
  private BootProbe() {}

  public static void main(String[] args) throws Exception {
    long memory = (args.length > 3 ? Long.parseLong(args[3]) : 512) << 20;
    int cpus = args.length > 4 ? Integer.parseInt(args[4]) : 1;
    int seconds = args.length > 5 ? Integer.parseInt(args[5]) : 60;
    BootSource boot = new KernelBoot(Path.of(args[0]), Optional.of(Path.of(args[1])), args[2]);
    MachineOptions options =
        MachineOptions.of(
                memory,
                args.length > 6 && args[6].equals("translator")
                    ? TranslatorEngine::new
                    : InterpreterEngine::new,
                boot,
                b -> {
                  System.out.write(b);
                  if (b == '\n') {
                    System.out.flush();
                  }
                })
            .withCpus(cpus)
            .withReboot(false);
    try (Machine machine = new Machine(options)) {
      long start = System.nanoTime();
      machine.start();
      var exit = machine.awaitExit(Duration.ofSeconds(seconds));
      System.out.flush();
      System.err.println(
          "exit " + exit + " after " + (System.nanoTime() - start) / 1000000 + " ms");
      if (exit.isEmpty()) {
        machine.pause();
      }
      for (int i = 0; i < cpus; i++) {
        System.err.println(
            machine.vcpu(i).instructions() + " instructions " + machine.vcpu(i).counters());
        System.err.printf("RIP %x%n", machine.vcpu(i).state().get(dev.bothy.core.cpu.CpuState.RIP));
      }
    }
  }
}
