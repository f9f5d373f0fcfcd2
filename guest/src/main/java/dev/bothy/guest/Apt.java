package dev.bothy.guest;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.security.DigestInputStream;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;

/**
 * Downloads packages with the host's apt, as any user and without touching the host: package lists,
 * cache and the list of installed packages are our own, sources, mirrors, proxies and keys the
 * host's. Apt checks signatures of the lists; we check the packages against the lists.
 */
final class Apt {
  /** A package in the archive: the version that apt would take. */
  record Available(String name, String version, String depends, long size, String sha256) {}

  private final Path folder;
  private final Progress progress;

  /**
   * Uses the host's apt.
   *
   * @param folder where lists and temporary files may go; made if it is not there
   */
  Apt(Path folder, Progress progress) {
    this.folder = folder;
    this.progress = progress;
  }

  /**
   * Gets the package lists.
   *
   * @throws GuestException if there is no apt here
   */
  void update() throws IOException {
    for (String name : List.of("lists/partial", "archives/partial")) {
      Files.createDirectories(folder.resolve(name));
    }
    Files.writeString(folder.resolve("status"), "");
    Files.writeString(configuration(), configurationText());
    // Its status does not matter: one broken source of the host's many must not stop us, and
    // whether the packages are
    // there is seen next.
    run("reading the package lists", folder, "apt-get", "-q", "update");
  }

  private Path configuration() {
    return folder.resolve("apt.conf");
  }

  private String configurationText() {
    // Hooks are meant for the host's own lists and cache.
    return """
    #clear APT::Update::Pre-Invoke;
    #clear APT::Update::Post-Invoke;
    #clear APT::Update::Post-Invoke-Success;
    #clear APT::Architectures;
    APT::Architecture "amd64";
    APT::Architectures { "amd64"; };
    APT::Sandbox::User "root";
    APT::Status-Fd "1";
    Acquire::Languages "none";
    Acquire::Retries "2";
    Acquire::http::Timeout "30";
    Acquire::https::Timeout "30";
    Dir::State "%1$s";
    Dir::State::lists "%1$s/lists";
    Dir::State::status "%1$s/status";
    Dir::Cache "%1$s";
    Dir::Cache::archives "%1$s/archives";
    Dir::Log "%1$s/log";
    """
        .formatted(folder.toAbsolutePath());
  }

  /**
   * Looks a package up in the lists.
   *
   * @throws GuestException if the archive has none of that name
   */
  Available find(String name) throws IOException {
    Output output =
        run("looking for " + name, folder, "apt-cache", "show", "--no-all-versions", name);
    Map<String, String> fields = new HashMap<>();
    for (String line : output.lines) {
      int colon = line.indexOf(':');
      if (line.isEmpty() && fields.containsKey("Package")) {
        break;
      }
      if (colon > 0 && !Character.isWhitespace(line.charAt(0))) {
        fields.putIfAbsent(line.substring(0, colon), line.substring(colon + 1).strip());
      }
    }
    if (!name.equals(fields.get("Package")) || !fields.containsKey("SHA256")) {
      throw new GuestException(
          "the package archives that apt knows here offer no " + name + lastError(output));
    }
    return new Available(
        name,
        fields.getOrDefault("Version", ""),
        fields.getOrDefault("Depends", ""),
        Long.parseLong(fields.getOrDefault("Size", "-1")),
        fields.get("SHA256"));
  }

  /** Downloads a package, checks it and puts it at {@code target} in one step. */
  void download(Available wanted, Path target) throws IOException {
    Path into = Files.createDirectories(folder.resolve("download"));
    Output output =
        run(
            "fetching " + wanted.name,
            into,
            "apt-get",
            "-q",
            "download",
            wanted.name + "=" + wanted.version);
    try (Stream<Path> files = Files.list(into)) {
      Path file =
          files
              .filter(f -> f.getFileName().toString().startsWith(wanted.name + "_"))
              .findFirst()
              .orElseThrow(
                  () ->
                      new GuestException("apt could not fetch " + wanted.name + lastError(output)));
      check(wanted, file);
      Files.move(file, target, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
    }
  }

  private static void check(Available wanted, Path file) throws IOException {
    String found = sha256(file);
    if (Files.size(file) != wanted.size || !found.equalsIgnoreCase(wanted.sha256)) {
      Files.delete(file);
      throw new GuestException(
          "what apt fetched as " + wanted.name + " is not what the package lists say; try again");
    }
  }

  static String sha256(Path file) throws IOException {
    try (DigestInputStream in =
        new DigestInputStream(Files.newInputStream(file), MessageDigest.getInstance("SHA-256"))) {
      byte[] buffer = new byte[1 << 16];
      while (in.read(buffer) >= 0) {
        continue;
      }
      return HexFormat.of().formatHex(in.getMessageDigest().digest());
    } catch (NoSuchAlgorithmException e) {
      throw new AssertionError("every Java has SHA-256", e);
    }
  }

  private record Output(int status, List<String> lines) {}

  private static String lastError(Output output) {
    return output.lines.reversed().stream()
        .filter(line -> line.startsWith("E: "))
        .findFirst()
        .map(line -> " (" + line.substring(3) + ")")
        .orElse("");
  }

  private Output run(String what, Path directory, String program, String... arguments)
      throws IOException {
    List<String> command = new ArrayList<>(List.of(program, "-c", configuration().toString()));
    command.addAll(List.of(arguments));
    ProcessBuilder builder = new ProcessBuilder(command);
    builder.directory(directory.toFile()).redirectErrorStream(true);
    builder.environment().put("LC_ALL", "C.UTF-8");
    progress.update(what, 0);
    Process process;
    try {
      process = builder.start();
    } catch (IOException e) {
      throw new GuestException("this host has no " + program + " to fetch Debian packages with", e);
    }
    Thread endsWithUs = new Thread(process::destroy);
    Runtime.getRuntime().addShutdownHook(endsWithUs);
    try (InputStream out = process.getInputStream()) {
      process.getOutputStream().close();
      List<String> lines = readLines(what, out);
      return new Output(process.waitFor(), lines);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new GuestException("interrupted while " + what, e);
    } finally {
      end(process);
      removeHook(endsWithUs);
    }
  }

  private List<String> readLines(String what, InputStream out) throws IOException {
    List<String> lines = new ArrayList<>();
    BufferedReader reader = new BufferedReader(new InputStreamReader(out, StandardCharsets.UTF_8));
    for (String line = reader.readLine(); line != null; line = reader.readLine()) {
      // "dlstatus:FILE:PERCENT:TEXT": apt's README.progress-reporting.
      if (line.startsWith("dlstatus:")) {
        String[] fields = line.split(":", 4);
        if (fields.length == 4 && fields[2].matches("[0-9.]{1,9}")) {
          progress.update(what, Math.min(1, Double.parseDouble(fields[2]) / 100));
        }
      } else {
        lines.add(line);
      }
    }
    progress.update(what, 1);
    return lines;
  }

  private static void end(Process process) {
    process.destroy();
    try {
      if (!process.waitFor(2, TimeUnit.SECONDS)) {
        process.destroyForcibly();
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      process.destroyForcibly();
    }
  }

  private static void removeHook(Thread hook) {
    try {
      Runtime.getRuntime().removeShutdownHook(hook);
    } catch (IllegalStateException e) {
      // The JVM is going down; the hook does what it is for.
    }
  }
}
