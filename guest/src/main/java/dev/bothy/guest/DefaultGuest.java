package dev.bothy.guest;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.channels.FileChannel;
import java.nio.channels.FileLock;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.locks.ReentrantLock;
import java.util.regex.MatchResult;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import java.util.zip.CRC32;

/**
 * The guest for those who bring none: Debian's cloud kernel and a root of busybox in memory that
 * ends in a shell on the first serial port.
 *
 * @param kernel a bzImage
 * @param initrd a cpio archive, not compressed
 * @param commandLine for the kernel
 */
public record DefaultGuest(Path kernel, Path initrd, String commandLine) {
  /** Debian's kernel for virtual machines; depends on the current one. */
  public static final String CLOUD_KERNEL = "linux-image-cloud-amd64";

  private static final String BUSYBOX_PACKAGE = "busybox-static";
  private static final Pattern KERNEL_DEPENDENCY = Pattern.compile("linux-image-[0-9][a-z0-9.+-]*");

  /** What newer kernels' packages are made of, those of Debian 14 for one: they have no files. */
  private static final Pattern BINARY_DEPENDENCY =
      Pattern.compile("linux-binary-[0-9][a-z0-9.+-]*");

  private static final Pattern MODULES_DEPENDENCY =
      Pattern.compile("linux-modules-[0-9][a-z0-9.+-]*");

  /** Where packages have a kernel, and its release. */
  private static final Pattern KERNEL_FILE =
      Pattern.compile("boot/vmlinuz-([^/]+)|(?:usr/)?lib/modules/([^/]+)/vmlinuz");

  /**
   * With flow control (r), so that Linux holds input back that nobody reads instead of dropping it.
   */
  private static final String COMMAND_LINE = "console=ttyS0,115200n8r";

  /** One preparation at a time in this process; file locks only keep processes apart. */
  private static final ReentrantLock PREPARING = new ReentrantLock();

  /**
   * Prepares it in the user's cache folder: {@code $XDG_CACHE_HOME/bothy} or {@code
   * ~/.cache/bothy}. The first time, two or three packages are fetched with the host's apt; after
   * that it needs no network. Any thread, any number of processes.
   *
   * @throws GuestException if it cannot be had here
   */
  public static DefaultGuest prepare(Progress progress) throws IOException {
    return prepare(cacheFolder(), progress);
  }

  /**
   * As {@link #prepare(Progress)}, with another of Debian's kernels under the same root, in a cache
   * folder of its own.
   *
   * @param kernelPackage that depends on the kernel: "linux-image-amd64"
   */
  public static DefaultGuest withKernel(String kernelPackage, Progress progress)
      throws IOException {
    return prepare(cacheFolder().resolve(kernelPackage), kernelPackage, progress);
  }

  /** True if {@link #prepare(Progress)} has nothing left to do. */
  public static boolean isPrepared() throws IOException {
    return Files.isDirectory(cacheFolder().resolve("guest-" + recipe()));
  }

  /** Where prepared guests are kept for this user. */
  public static Path cacheFolder() {
    String cache = System.getenv("XDG_CACHE_HOME");
    Path base =
        cache == null || cache.isEmpty() || !Path.of(cache).isAbsolute()
            ? Path.of(System.getProperty("user.home"), ".cache")
            : Path.of(cache);
    return base.resolve("bothy");
  }

  /** As {@link #prepare(Progress)}, in a folder of the caller's choice. */
  public static DefaultGuest prepare(Path folder, Progress progress) throws IOException {
    return prepare(folder, CLOUD_KERNEL, progress);
  }

  private static DefaultGuest prepare(Path folder, String kernelPackage, Progress progress)
      throws IOException {
    Path ready = folder.resolve("guest-" + recipe());
    DefaultGuest guest =
        new DefaultGuest(ready.resolve("vmlinuz"), ready.resolve("initrd"), COMMAND_LINE);
    if (Files.isDirectory(ready)) {
      return guest;
    }
    try {
      Files.createDirectories(folder);
    } catch (IOException e) {
      throw new GuestException("cannot make the cache folder " + folder, e);
    }
    PREPARING.lock();
    try (FileChannel lockFile =
            FileChannel.open(
                folder.resolve("lock"), StandardOpenOption.CREATE, StandardOpenOption.WRITE);
        FileLock _ = lockFile.lock()) {
      if (!Files.isDirectory(ready)) {
        make(folder, kernelPackage, ready, progress);
      }
      return guest;
    } catch (GuestException e) {
      throw e;
    } catch (IOException | UncheckedIOException e) {
      throw new GuestException("preparing it in " + folder + " failed: " + e.getMessage(), e);
    } finally {
      PREPARING.unlock();
    }
  }

  /**
   * Names what the root is made from besides the packages: a change of it makes a new root from the
   * same packages.
   */
  private static String recipe() throws IOException {
    CRC32 sum = new CRC32();
    sum.update(InitialRoot.scripts());
    sum.update(InitialRoot.MODULES.toString().getBytes(StandardCharsets.UTF_8));
    return "1-%08x".formatted(sum.getValue());
  }

  private static void make(Path folder, String kernelPackage, Path ready, Progress progress)
      throws IOException {
    Path packages = folder.resolve("packages");
    Path work = folder.resolve("work");
    delete(work);
    Files.createDirectories(work);
    try {
      if (!Files.isDirectory(packages)) {
        Path fetched = Files.createDirectories(work.resolve("packages"));
        fetch(kernelPackage, work.resolve("apt"), fetched, progress);
        Files.move(fetched, packages, StandardCopyOption.ATOMIC_MOVE);
      }
      Path made = Files.createDirectories(work.resolve("guest"));
      try {
        unpack(packages, made, progress);
      } catch (IOException e) {
        // Not checked again after the download: the next start fetches them anew.
        delete(packages);
        throw e;
      }
      Files.move(made, ready, StandardCopyOption.ATOMIC_MOVE);
    } finally {
      delete(work);
    }
  }

  private static void fetch(String kernelPackage, Path work, Path target, Progress progress)
      throws IOException {
    Apt apt = new Apt(work, progress);
    apt.update();
    String image =
        first(KERNEL_DEPENDENCY, apt.find(kernelPackage).depends())
            .orElseThrow(
                () -> new GuestException("the package " + kernelPackage + " here names no kernel"));
    apt.download(apt.find(BUSYBOX_PACKAGE), target.resolve("busybox.deb"));
    Apt.Available kernel = apt.find(image);
    Optional<String> binary = first(BINARY_DEPENDENCY, kernel.depends());
    Optional<String> modules = first(MODULES_DEPENDENCY, kernel.depends());
    if (binary.isPresent() && modules.isPresent()) {
      apt.download(apt.find(modules.get()), target.resolve("modules.deb"));
      kernel = apt.find(binary.get());
    }
    apt.download(kernel, target.resolve("kernel.deb"));
  }

  private static Optional<String> first(Pattern pattern, String in) {
    return pattern.matcher(in).results().map(MatchResult::group).findFirst();
  }

  private static void unpack(Path packages, Path target, Progress progress) throws IOException {
    progress.update("unpacking", 0);
    List<byte[]> busybox = new ArrayList<>();
    DebianPackage.visit(
        packages.resolve("busybox.deb"),
        (name, size, contents) -> {
          if (name.equals("bin/busybox") || name.equals("usr/bin/busybox")) {
            busybox.add(contents.read());
          }
        });
    progress.update("unpacking", 0.1);
    Path kernelPackage = packages.resolve("kernel.deb");
    List<String> releases = new ArrayList<>();
    DebianPackage.visit(
        kernelPackage,
        (name, size, contents) -> {
          Matcher file = KERNEL_FILE.matcher(name);
          if (releases.isEmpty() && file.matches()) {
            releases.add(file.group(1) == null ? file.group(2) : file.group(1));
            Files.write(target.resolve("vmlinuz"), contents.read());
          }
        });
    if (busybox.isEmpty() || releases.isEmpty()) {
      throw new IOException("the packages hold no kernel or no busybox");
    }
    progress.update("unpacking", 0.4);
    Path modulesPackage = packages.resolve("modules.deb");
    var modules =
        KernelModules.take(
            Files.exists(modulesPackage) ? modulesPackage : kernelPackage, InitialRoot.MODULES);
    progress.update("packing", 0.9);
    InitialRoot.write(target.resolve("initrd"), busybox.getFirst(), releases.getFirst(), modules);
    progress.update("packing", 1);
  }

  private static void delete(Path tree) throws IOException {
    if (!Files.exists(tree)) {
      return;
    }
    try (Stream<Path> all = Files.walk(tree)) {
      for (Path path : all.sorted(Comparator.reverseOrder()).toList()) {
        Files.deleteIfExists(path);
      }
    }
  }
}
