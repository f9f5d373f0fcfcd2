package dev.bothy.bench;

import java.io.IOException;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;

/**
 * The machine of {@code bench/system}: a disk of its own on top of Debian's, a card with a
 * forwarded port, a shared folder; it may be started again and again. For one thread.
 */
final class SystemMachine implements AutoCloseable {
  /** The shared folder's tag. */
  static final String TAG = "bench";

  private static final int SSH_CONNECT_SECONDS = 60;

  /**
   * What is asked for.
   *
   * @param share whether the machine has a shared folder
   */
  record Setting(
      Path home, DebianDisk disk, String engine, int cpus, String memory, boolean share) {}

  /** What a program of the host came to; its output is standard output and standard error. */
  record Ended(int status, String output) {}

  private final Setting setting;
  private final Path folder;
  private final Path image;
  private final int sshPort;
  private GuestShell shell;
  private int starts;

  /**
   * Makes the disk.
   *
   * @param folder for all files
   */
  SystemMachine(Setting setting, Path folder) throws IOException, InterruptedException {
    this.setting = setting;
    this.folder = folder;
    image = folder.resolve("disk.qcow2");
    Files.createDirectories(shared());
    sshPort = freePort();
    Ended made =
        host(
            Duration.ofMinutes(5),
            setting.home.resolve("bothy").toString(),
            "disk",
            "create",
            "--backing",
            setting.disk.image().toString(),
            image.toString());
    if (made.status != 0) {
      throw new IOException(made.output);
    }
    host(
        Duration.ofMinutes(1),
        "ssh-keygen",
        "-q",
        "-t",
        "ed25519",
        "-N",
        "",
        "-f",
        folder.resolve("key").toString());
  }

  private static int freePort() throws IOException {
    try (ServerSocket socket = new ServerSocket(0, 1, InetAddress.getLoopbackAddress())) {
      return socket.getLocalPort();
    }
  }

  Path folder() {
    return folder;
  }

  Path image() {
    return image;
  }

  Path shared() {
    return folder.resolve("shared");
  }

  GuestShell shell() {
    return shell;
  }

  /** Switches it on. */
  void start() throws IOException {
    List<String> options =
        new ArrayList<>(
            List.of(
                "--engine",
                setting.engine,
                "--cpus",
                Integer.toString(setting.cpus),
                "--memory",
                setting.memory,
                "--kernel",
                setting.disk.kernel().toString(),
                "--initrd",
                setting.disk.initrd().toString(),
                "--append",
                setting.disk.append(),
                "--disk",
                image.toString(),
                "--net",
                "user,hostfwd=tcp::" + sshPort + "-:22"));
    if (setting.share) {
      options.addAll(List.of("--share", shared() + ":" + TAG));
    }
    List<String> command = GuestProcess.bothyCommand(setting.home, options);
    starts++;
    Files.writeString(folder.resolve("command.txt"), Shell.line(command) + "\n");
    shell = new GuestShell(command, folder.resolve("errors-" + starts + ".txt"));
  }

  /**
   * Runs command lines in the guest.
   *
   * @return what they print
   * @throws IOException if their status is not 0, or if there is no end in time
   */
  String must(String line, int seconds) throws IOException, InterruptedException {
    GuestShell.Answer answer = shell.run(line, seconds);
    if (answer.status() != 0) {
      throw new IOException(
          line
              + ": status "
              + answer.status()
              + (answer.output().isEmpty() ? "" : ": ")
              + answer.output());
    }
    return answer.output();
  }

  /** Ends the process in the middle of what it does. */
  void kill() throws IOException, InterruptedException {
    shell.process().kill();
    shell.status(60);
    end();
  }

  /** Keeps what it has said, and forgets it. */
  void end() throws IOException {
    if (shell != null) {
      shell.close();
      keepConsole();
      shell = null;
    }
  }

  /** Writes what it has said to a file. */
  void keepConsole() throws IOException {
    if (shell != null) {
      Files.writeString(folder.resolve("console-" + starts + ".txt"), shell.said());
    }
  }

  /** The words of a command for the guest by way of the forwarded port. */
  String[] ssh(String command) {
    return secure("ssh", "-p", "root@127.0.0.1", command);
  }

  /**
   * The words of a copy, from or to root's home there: a name that begins with a colon is the
   * guest's.
   */
  String[] copy(String from, String to) {
    return secure("scp", "-P", there(from), there(to));
  }

  private static String there(String name) {
    return name.startsWith(":") ? "root@127.0.0.1" + name : name;
  }

  private String[] secure(String program, String portOption, String... words) {
    List<String> command = new ArrayList<>(List.of(program, portOption, Integer.toString(sshPort)));
    command.addAll(List.of("-i", folder.resolve("key").toString()));
    for (String option :
        List.of(
            "StrictHostKeyChecking=no",
            "UserKnownHostsFile=/dev/null",
            "LogLevel=ERROR",
            "BatchMode=yes",
            "ConnectTimeout=" + SSH_CONNECT_SECONDS)) {
      command.addAll(List.of("-o", option));
    }
    command.addAll(List.of(words));
    return command.toArray(String[]::new);
  }

  /**
   * Runs a program of the host, with nothing to read.
   *
   * @throws IOException if it does not come to its end in time
   */
  Ended host(Duration limit, String... command) throws IOException, InterruptedException {
    Path output = Files.createTempFile(folder, "host", ".txt");
    try {
      Process process =
          new ProcessBuilder(command)
              .redirectInput(Path.of("/dev/null").toFile())
              .redirectErrorStream(true)
              .redirectOutput(output.toFile())
              .start();
      if (!process.waitFor(limit.toSeconds(), TimeUnit.SECONDS)) {
        process.destroyForcibly();
        throw new IOException(
            command[0] + " had no end within " + limit.toSeconds() + " s:\n" + text(output));
      }
      return new Ended(process.exitValue(), text(output));
    } finally {
      Files.delete(output);
    }
  }

  private static String text(Path file) throws IOException {
    return Files.readString(file).strip();
  }

  @Override
  public void close() throws IOException {
    end();
  }
}
