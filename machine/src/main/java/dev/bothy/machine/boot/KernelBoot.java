package dev.bothy.machine.boot;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.Objects;
import java.util.Optional;

/**
 * Boots a kernel file: a Linux bzImage, a Multiboot kernel or an ELF kernel with a PVH note, told
 * apart by what the file holds.
 *
 * @param kernel the kernel's file
 * @param initrd initial RAM disk; the first module under Multiboot
 * @param commandLine handed to the kernel as it is
 * @param unpack who unpacks a bzImage
 * @param cache folder where unpacked kernels are kept for the next time, if they are
 */
public record KernelBoot(
    Path kernel, Optional<Path> initrd, String commandLine, Unpack unpack, Optional<Path> cache)
    implements BootSource {
  /** Who unpacks the kernel inside a bzImage. */
  public enum Unpack {
    /** Bothy, before the guest starts; the guest's own code if the format is not known. */
    HOST,
    /** The guest's own code, which may also move the kernel to a random address. */
    GUEST
  }

  public KernelBoot {
    Objects.requireNonNull(kernel);
    Objects.requireNonNull(initrd);
    Objects.requireNonNull(commandLine);
    Objects.requireNonNull(unpack);
    Objects.requireNonNull(cache);
  }

  public KernelBoot(Path kernel, Optional<Path> initrd, String commandLine, Unpack unpack) {
    this(kernel, initrd, commandLine, unpack, Optional.empty());
  }

  public KernelBoot(Path kernel, Optional<Path> initrd, String commandLine) {
    this(kernel, initrd, commandLine, Unpack.HOST);
  }

  /** The same with a folder where unpacked kernels are kept. */
  public KernelBoot withCache(Optional<Path> folder) {
    return new KernelBoot(kernel, initrd, commandLine, unpack, folder);
  }

  @Override
  public BootState load(BootEnvironment environment) throws BootException {
    if (environment.memory().size() < 1 << 20) {
      throw new BootException(
          "kernel " + kernel + " needs more than 1 MiB of memory: give the machine more");
    }
    try (KernelFile file = KernelFile.open("kernel", kernel)) {
      return load(environment, file);
    } catch (IOException e) {
      throw new BootException(
          "kernel "
              + kernel
              + " is damaged or cannot be read ("
              + e.getMessage()
              + "): get the file anew or name another kernel",
          e);
    }
  }

  private BootState load(BootEnvironment environment, KernelFile file)
      throws IOException, BootException {
    byte[] head = file.head(MultibootKernel.SEARCH_LIMIT);
    BootState state;
    if (LinuxKernel.isLinux(head)) {
      state = new LinuxKernel(file, head).load(this, environment);
    } else if (MultibootKernel.isMultiboot(head)) {
      state = new MultibootKernel(file, head).load(this, environment);
    } else if (ElfImage.isElf(head)) {
      state = new PvhKernel(file).load(this, environment);
    } else {
      throw new BootException(
          file.name()
              + " is not a kernel that this machine can start ("
              + guess(head)
              + "): give a Linux bzImage for x86-64, an ELF kernel with a PVH note, or a Multiboot"
              + " kernel");
    }
    state.writeTables(environment.memory());
    return state;
  }

  private static String guess(byte[] head) {
    if (startsWith(head, 0x38, "ARM\u0064")) {
      return "it is a kernel for ARM";
    }
    if (startsWith(head, 0x30, "RISCV")) {
      return "it is a kernel for RISC-V";
    }
    if (KernelPayload.Format.of(head).isPresent()) {
      return "it is compressed data";
    }
    if (startsWith(head, 0, "!<arch>")) {
      return "it is an archive or a Debian package";
    }
    if (startsWith(head, 0, "MZ")) {
      return "it is an EFI or DOS program, or a kernel for another processor";
    }
    if (head.length < 0x202) {
      return "it has only " + head.length + " bytes";
    }
    return "its format is not known";
  }

  private static boolean startsWith(byte[] head, int offset, String text) {
    byte[] bytes = text.getBytes(StandardCharsets.ISO_8859_1);
    for (int i = 0; i < bytes.length; i++) {
      if (offset + i >= head.length || head[offset + i] != bytes[i]) {
        return false;
      }
    }
    return true;
  }

  /**
   * Writes the command line into low RAM, zero-terminated.
   *
   * @param limit longest that the kernel takes, without the final zero
   * @return its address
   */
  static long writeCommandLine(String text, long limit, BootEnvironment environment)
      throws BootException {
    writeCommandLine(text, limit, environment, LowMemory.COMMAND_LINE);
    return LowMemory.COMMAND_LINE;
  }

  /** The same, written to {@code address}. */
  static void writeCommandLine(String text, long limit, BootEnvironment environment, long address)
      throws BootException {
    byte[] line = text.getBytes(StandardCharsets.UTF_8);
    long longest = Math.min(limit, LowMemory.COMMAND_LINE_LIMIT - 1);
    if (line.length > longest) {
      throw new BootException(
          "the kernel's command line has "
              + line.length
              + " bytes, this kernel takes at most "
              + longest
              + ": shorten it");
    }
    for (byte b : line) {
      if (b == 0) {
        throw new BootException("the kernel's command line holds a zero character: remove it");
      }
    }
    environment.memory().write(address, line);
    environment.memory().writeByte(address + line.length, 0);
  }
}
