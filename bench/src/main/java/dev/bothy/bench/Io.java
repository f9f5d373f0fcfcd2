package dev.bothy.bench;

import dev.bothy.guest.CpioWriter;
import dev.bothy.guest.DefaultGuest;
import dev.bothy.guest.Progress;
import java.io.BufferedOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.Set;
import java.util.regex.Pattern;
import java.util.stream.Collectors;

/**
 * Disks and network of a guest under QEMU's TCG and under Bothy, in turn: {@code bench/io}. The
 * guest is the default one with Debian's fio and iperf3; both machines have one processor, a raw
 * and a qcow2 disk (virtio, the same files, all clusters there, in the host's page cache) and a
 * virtio card on user networking.
 *
 * <p><b>Device path.</b> Processor time of the machine's process, from a job's begin to its end,
 * but for its vCPU's thread: that is QEMU's main loop and its workers, and Bothy's I/O threads, its
 * network's, and Java's collector. Java's compilers are left out, since they work for guest code
 * too; each job has run before it is measured. On both sides a doorbell on the vCPU's thread only
 * wakes somebody (QEMU's virtio-pci has an ioeventfd under TCG, too), and device emulation that the
 * vCPU does is hidden in its time; so the whole process is told as well, which has that and the
 * guest's own work in it.
 */
final class Io {
  private static final String USAGE =
      """
      bench/io [option]...
        --rounds N        default 2
        --seconds N       of each measurement, default 3
        --only REGEX      some of the jobs, by name: vda|vdb:PATTERN:SIZE:DEPTH, net:up|down:STREAMS
        --size MIB        of the disks, default 512
        --disks FOLDER    where the disks are made; default /dev/shm, which is memory, if it has room
        --engine NAME     of Bothy, default auto
        --skip-tcg, --skip-bothy\
      """;

  private static final int MIB = 1 << 20;
  private static final int SIZE_MIB = 512;
  private static final int WARM_SECONDS = 1;
  private static final int MEMORY_MIB = 1024;
  private static final Pattern LIBRARY = Pattern.compile("/[^ ]+");

  private final Path home;
  private final Options options;
  private final DebianRoot debian;
  private final Path work;
  private final Path disks;
  private final List<IoJob> jobs;
  private final int seconds;
  private int port;

  private Io(Path home, Path work, Path disks, DebianRoot debian, Options options) {
    this.home = home;
    this.work = work;
    this.disks = disks;
    this.debian = debian;
    this.options = options;
    this.seconds = options.number("seconds", 3);
    Pattern only = Pattern.compile(options.text("only", ".*"));
    this.jobs = IoJob.ALL.stream().filter(job -> only.matcher(job.name()).find()).toList();
    if (jobs.isEmpty()) {
      throw new IllegalArgumentException("no job's name has a match of " + only);
    }
  }

  /** Arguments: Bothy's checkout, a folder for files, the user's options. */
  static void run(Path home, Path folder, String[] arguments) throws Exception {
    Options options =
        new Options(
            arguments,
            USAGE,
            Set.of("rounds", "seconds", "only", "size", "disks", "engine"),
            Set.of("skip-tcg", "skip-bothy"));
    Path memory = Path.of("/dev/shm");
    long wanted = 2L * IoJob.FORMATS.size() * options.number("size", SIZE_MIB) * MIB;
    boolean roomy = Files.isWritable(memory) && memory.toFile().getUsableSpace() > wanted;
    Path preset = roomy ? memory : folder;
    Path disks =
        Files.createTempDirectory(
            Path.of(options.text("disks", preset.toString())), "bothy-bench-io");
    Path work = Files.createTempDirectory(folder, "io");
    Thread atEnd = new Thread(() -> deleteQuietly(disks, work));
    // Disks in memory must not stay there, however this process is ended.
    Runtime.getRuntime().addShutdownHook(atEnd);
    new Io(home, work, disks, DebianRoot.prepare(home), options).run();
  }

  private static void deleteQuietly(Path... folders) {
    for (Path folder : folders) {
      try {
        DebianRoot.delete(folder);
      } catch (IOException e) {
        System.err.println("bench: " + folder + " cannot be removed: " + e.getMessage());
      }
    }
  }

  private void run() throws IOException, InterruptedException {
    String host = HostReport.of("Disks and network of a guest");
    makeInitrd();
    makeDisks(options.number("size", SIZE_MIB));
    IoTable table = new IoTable();
    int rounds = options.number("rounds", 2);
    port = freePort();
    boolean complete = true;
    try (var server =
        GuestProcess.plain(
            List.of("iperf3", "-s", "-B", "127.0.0.1", "-p", Integer.toString(port)))) {
      Thread.ofVirtual().start(() -> drain(server));
      for (int round = 1; round <= rounds; round++) {
        for (boolean bothy : new boolean[] {false, true}) {
          if (!options.flag(bothy ? "skip-bothy" : "skip-tcg")) {
            complete &= session(round, bothy, table);
          }
        }
      }
    }
    System.out.println(host);
    System.out.println(
        "Medians of "
            + rounds
            + " rounds of "
            + seconds
            + " s, disks of "
            + options.number("size", SIZE_MIB)
            + " MiB in "
            + disks.getParent()
            + ", write-back in the host's page cache, fio with libaio and direct=1; TCG with `-cpu"
            + " max` and aio=threads, Bothy with `--engine "
            + options.text("engine", "auto")
            + "`. A device second is one of processor time of all the process's threads but the"
            + " vCPU's and Java's compilers.\n");
    System.out.print(table.markdown(jobs));
    if (!complete) {
      throw new IOException("a guest did not get through its jobs");
    }
  }

  private static void drain(GuestProcess process) {
    try {
      process.read((line, time) -> {});
    } catch (IOException e) {
      // It has ended.
    }
  }

  private boolean session(int round, boolean bothy, IoTable table) throws IOException {
    Path errors = work.resolve(bothy ? "bothy.err" : "qemu.err");
    try (var process = GuestProcess.plain(bothy ? bothy() : qemu(), errors)) {
      int limit = 120 + jobs.size() * (seconds + WARM_SECONDS + 10);
      Thread watchdog = Thread.ofVirtual().start(() -> Subject.endAfter(process, limit));
      IoSession session = IoSession.of(process);
      process.read(session);
      watchdog.interrupt();
      System.err.printf(
          "bench: round %d, %s: %.0f s%n", round, bothy ? "Bothy" : "TCG", process.age());
      for (IoSession.Done done : session.done()) {
        System.err.printf(
            "bench:   %-22s %10.2f/s %10.2f per device second; ms: %s%n",
            done.job().name(), done.rate(), done.perDeviceSecond(), done.used().busiest());
        table.add(bothy, done);
      }
      boolean complete = session.ended() && session.done().size() == jobs.size();
      if (!complete) {
        System.err.println("bench: it did not get through; its last lines:\n" + session.tail());
        System.err.print(Files.readString(errors));
      }
      return complete;
    }
  }

  private String append() {
    return "console=ttyS0 quiet rdinit=/bench/io io.seconds="
        + seconds
        + " io.warm="
        + WARM_SECONDS
        + " io.port="
        + port
        + " io.jobs="
        + jobs.stream().map(IoJob::name).collect(Collectors.joining(","));
  }

  private Path disk(String format) {
    return disks.resolve("disk." + format);
  }

  private Path initrd() {
    return work.resolve("initrd");
  }

  private List<String> qemu() {
    List<String> command = new ArrayList<>();
    command.addAll(List.of("qemu-system-x86_64", "-name", "bench,debug-threads=on"));
    command.addAll(List.of("-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "1"));
    command.addAll(List.of("-m", Integer.toString(MEMORY_MIB), "-nographic", "-no-reboot"));
    for (String format : IoJob.FORMATS) {
      command.addAll(
          List.of(
              "-drive",
              "if=none,cache=writeback,aio=threads,format="
                  + format
                  + ",id="
                  + format
                  + ",file="
                  + disk(format),
              "-device",
              "virtio-blk-pci,disable-legacy=on,drive=" + format));
    }
    command.addAll(
        List.of("-netdev", "user,id=n", "-device", "virtio-net-pci,disable-legacy=on,netdev=n"));
    command.addAll(List.of("-kernel", debian.kernel().toString(), "-initrd", initrd().toString()));
    command.addAll(List.of("-append", append()));
    return command;
  }

  private List<String> bothy() {
    List<String> command = new ArrayList<>();
    command.addAll(List.of("--engine", options.text("engine", "auto"), "--memory"));
    command.addAll(List.of(MEMORY_MIB + "M", "--no-reboot", "--no-cache", "--net", "user"));
    for (String format : IoJob.FORMATS) {
      command.addAll(List.of("--disk", disk(format) + ",format=" + format));
    }
    command.addAll(
        List.of("--kernel", debian.kernel().toString(), "--initrd", initrd().toString()));
    command.addAll(List.of("--append", append()));
    return GuestProcess.bothyCommand(home, command);
  }

  /** The default guest's root with the programs, the libraries they need, and the script. */
  private void makeInitrd() throws IOException, InterruptedException {
    Files.copy(
        DefaultGuest.prepare(Progress.NONE).initrd(),
        initrd(),
        StandardCopyOption.REPLACE_EXISTING);
    List<String> programs = List.of("/usr/bin/fio", "/usr/bin/iperf3");
    OutputStream out = Files.newOutputStream(initrd(), StandardOpenOption.APPEND);
    try (CpioWriter cpio = new CpioWriter(new BufferedOutputStream(out, 1 << 16))) {
      List<String> files = new ArrayList<>(programs);
      files.addAll(libraries(programs));
      for (String file : files) {
        cpio.file(
            file.substring(1), 0755, Files.readAllBytes(debian.root().resolve(file.substring(1))));
      }
      cpio.file("bench/io", 0755, Files.readAllBytes(home.resolve("bench/debian/io")));
    }
  }

  /** The files of the Debian root that its dynamic linker names. */
  private List<String> libraries(List<String> programs) throws IOException, InterruptedException {
    List<String> command =
        new ArrayList<>(List.of("chroot", debian.root().toString(), "/usr/bin/ldd"));
    command.addAll(programs);
    Process process = new ProcessBuilder(command).start();
    try (var lines = process.inputReader().lines()) {
      List<String> files =
          lines
              .filter(line -> line.startsWith("\t"))
              .flatMap(line -> LIBRARY.matcher(line).results().map(r -> r.group()))
              .distinct()
              .toList();
      if (process.waitFor() != 0 || files.isEmpty()) {
        throw new IOException("the Debian root lacks libraries of fio or iperf3");
      }
      return files;
    }
  }

  /** The same random bytes in each format, so that every cluster is there. */
  private void makeDisks(int mib) throws IOException, InterruptedException {
    try (OutputStream out = Files.newOutputStream(disk("raw"))) {
      Random random = new Random(1);
      byte[] bytes = new byte[MIB];
      for (int i = 0; i < mib; i++) {
        random.nextBytes(bytes);
        out.write(bytes);
      }
    }
    DebianRoot.command(
        "qemu-img", "convert", "-O", "qcow2", disk("raw").toString(), disk("qcow2").toString());
  }

  private static int freePort() throws IOException {
    try (ServerSocket socket = new ServerSocket(0, 1, InetAddress.ofLiteral("127.0.0.1"))) {
      return socket.getLocalPort();
    }
  }
}
