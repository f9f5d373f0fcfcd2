package dev.bothy.bench;

import dev.bothy.Console;
import dev.bothy.Disk;
import dev.bothy.Engines;
import dev.bothy.NetworkOption;
import dev.bothy.Vm;
import dev.bothy.machine.MachineExit;
import java.io.IOException;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.time.Duration;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.List;
import java.util.Random;
import java.util.Set;

/**
 * Debian's kernel on this host's KVM: its disk, its network, and ten changes of the engine while it
 * computes. {@code scripts/nested-kvm} runs it in a machine in QEMU, where everything takes a
 * hundred times as long.
 */
final class Nested {
  private static final String PROMPT = "/root # ";
  private static final int CONTENT = 1 << 20;
  private static final int WRITTEN_AT = 100 * 512;
  private static final String WRITTEN = "by the guest";
  private static final int LOAD = 100_000;
  private static final long STAY_MILLIS = 1000;

  /** Where a guest is moved, again and again. */
  private static final List<String> WAY =
      List.of(Engines.TRANSLATOR, Engines.KVM, Engines.INTERPRETER, Engines.KVM);

  private final Duration limit;
  private final int changes;
  private final Duration silence;
  private final boolean force;
  private int commands;

  private Nested(Duration limit, int changes, Duration silence, boolean force) {
    this.limit = limit;
    this.changes = changes;
    this.silence = silence;
    this.force = force;
  }

  static void run(Path folder, String[] arguments) throws Exception {
    Options options =
        new Options(
            arguments,
            "nested --kernel FILE --initrd FILE [--cpus LIST] [--append TEXT] [--minutes N]"
                + " [--changes N] [--silence SECONDS] [--force]",
            Set.of("kernel", "initrd", "cpus", "append", "minutes", "changes", "silence"),
            Set.of("force"));
    Nested nested =
        new Nested(
            Duration.ofMinutes(options.number("minutes", 60)),
            options.number("changes", 10),
            Duration.ofSeconds(options.number("silence", 30)),
            options.flag("force"));
    for (String cpus : options.text("cpus", "1,2").split(",")) {
      nested.boot(
          folder,
          options.file("kernel", Path.of("vmlinuz")),
          options.file("initrd", Path.of("initrd")),
          options.text("append", ""),
          Integer.parseInt(cpus));
    }
  }

  private static String digest(byte[] bytes) {
    try {
      return HexFormat.of().formatHex(MessageDigest.getInstance("SHA-256").digest(bytes)) + "  -";
    } catch (NoSuchAlgorithmException e) {
      throw new IllegalStateException("every Java platform has SHA-256", e);
    }
  }

  private static void require(boolean well, String what) throws IOException {
    if (!well) {
      throw new IOException("nested: " + what);
    }
  }

  private static void say(String line) {
    System.out.println("nested: " + line);
  }

  private void boot(Path folder, Path kernel, Path initrd, String append, int cpus)
      throws Exception {
    byte[] content = new byte[CONTENT];
    new Random(cpus).nextBytes(content);
    Path disk = Files.write(folder.resolve("disk"), content);
    say("a guest with " + cpus + " processors");
    long start = System.nanoTime();
    try (ServerSocket server = new ServerSocket(0, 1, InetAddress.getLoopbackAddress());
        StallWatch watch = new StallWatch(silence, System.out);
        Vm vm =
            Vm.builder()
                .engine(Engines.KVM)
                .cpus(cpus)
                .memory("192M")
                .kernel(kernel)
                .initrd(initrd)
                .append(append)
                .disk(Disk.parse(disk + ",format=raw"))
                .network(NetworkOption.parse("user"))
                .consoleStream(watch.listen(System.out))
                .start()) {
      Thread.ofVirtual().start(() -> serve(server, content));
      watch.watch(vm);
      Console console = vm.console();
      console.expect(PROMPT, limit);
      say("its shell is there after " + seconds(start));
      // A host that is late is told of in the middle of an answer otherwise; devices put the level
      // back that they have found.
      run(console, "while ps | grep -q '[/]etc/devices'; do sleep 1; done; dmesg -n 1");
      require(
          run(console, "grep -c ^processor /proc/cpuinfo").equals(String.valueOf(cpus)),
          "other processors");
      String sum = digest(content);
      require(run(console, "cat /dev/vda | sha256sum").equals(sum), "the disk reads otherwise");
      run(
          console,
          "echo -n '%s' | dd of=/dev/vda bs=512 seek=%d conv=notrunc,fsync 2>/dev/null"
              .formatted(WRITTEN, WRITTEN_AT / 512));
      byte[] written =
          Arrays.copyOfRange(Files.readAllBytes(disk), WRITTEN_AT, WRITTEN_AT + WRITTEN.length());
      require(
          new String(written, StandardCharsets.US_ASCII).equals(WRITTEN),
          "what it wrote is not on the disk");
      run(console, "until grep -q 10.0.2.3 /etc/resolv.conf; do sleep 1; done");
      String received =
          run(console, "nc 10.0.2.2 " + server.getLocalPort() + " </dev/null | sha256sum");
      require(received.equals(sum), "the network carries otherwise: " + received);
      say("disk and network are well after " + seconds(start));
      changeEngines(vm, cpus);
      say("moved " + changes + " times after " + seconds(start));
      String trouble = run(console, "dmesg | grep -E 'BUG|Oops|stall|lockup|unstable|backwards'");
      require(trouble.isEmpty(), "the kernel says: " + trouble);
      console.send("poweroff\n");
      MachineExit exit = vm.awaitExit();
      require(exit instanceof MachineExit.PoweredOff, "ended by " + exit);
      say("a guest with " + cpus + " processors is well after " + seconds(start));
    }
  }

  private static String seconds(long start) {
    return (System.nanoTime() - start) / 1_000_000_000L + " s";
  }

  private void changeEngines(Vm vm, int cpus) throws Exception {
    Console console = vm.console();
    run(
        console,
        ("for i in $(seq %d); do (while [ ! -e /tmp/stop ]; do head -c %d /dev/zero | sha256sum;"
                + " done >/tmp/sums$i) & done")
            .formatted(cpus, LOAD));
    for (int i = 0; i < changes || !vm.engine().equals(Engines.KVM); i++) {
      String next = WAY.get(i % WAY.size());
      long before = System.nanoTime();
      vm.changeEngine(next, force);
      say("on " + next + ", which took " + (System.nanoTime() - before) / 1_000_000 + " ms");
      Thread.sleep(STAY_MILLIS);
      if (next.equals(Engines.KVM)) {
        String uptime = run(console, "cat /proc/uptime");
        say("the guest's uptime is " + uptime);
      }
    }
    run(console, "touch /tmp/stop; wait");
    String sums = run(console, "cat /tmp/sums* | sort | uniq");
    require(sums.equals(digest(new byte[LOAD])), "it computed " + sums);
    say(
        "it computed this so often, and always the same: "
            + run(console, "cat /tmp/sums* | wc -l"));
  }

  /** A command's output, without the last line feed. */
  private String run(Console console, String command) throws Exception {
    // Computed, so that the echo of what is typed is not taken for it.
    int mark = 7 * ++commands;
    console.send(
        "echo begin=$((7*%1$d)); %2$s; echo end=$((7*%1$d))\n".formatted(commands, command));
    console.expect("begin=" + mark + "\r\n", limit);
    String output = console.expect("end=" + mark + "\r\n", limit);
    console.expect(PROMPT, limit);
    return output.substring(0, output.lastIndexOf("end=")).replace("\r\n", "\n").strip();
  }

  private static void serve(ServerSocket server, byte[] content) {
    try (Socket client = server.accept()) {
      client.getOutputStream().write(content);
    } catch (IOException e) {
      say("the server: " + e.getMessage());
    }
  }
}
