package dev.bothy.kvm;

import dev.bothy.core.cpu.CpuidLeaf;
import dev.bothy.host.PrivateFolder;
import java.io.IOException;
import java.net.URI;
import java.nio.ByteBuffer;
import java.nio.channels.Channels;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.zip.CRC32C;

/**
 * Trials of this host's KVM that went well, kept for later runs, as each costs a start
 * milliseconds. Good for as long as the host is not booted anew, its device is the same (which
 * another KVM module replaces), and Bothy and the processor that was tried are the same. One that
 * did not go well is never kept: the reason may have been a busy host. A file that cannot be read
 * or written costs the trial. Any number of threads and processes.
 */
final class KeptTrials {
  private static final String SUFFIX = ".trial";

  /** Some hundreds of them. */
  private static final long MOST_BYTES = 1 << 16;

  /** No file is longer. */
  private static final int LONGEST = 1024;

  private final PrivateFolder folder;
  private final Optional<String> host;

  private KeptTrials(Path folder, Optional<String> host) {
    this.folder = new PrivateFolder(folder);
    this.host = host;
  }

  /** Those in {@code folder}, which need not exist. */
  static KeptTrials in(Path folder) {
    return new KeptTrials(folder, ThisHost.DESCRIPTION);
  }

  /** The same on a host of that description; nothing is kept if there is none. */
  static KeptTrials in(Path folder, Optional<String> host) {
    return new KeptTrials(folder, host);
  }

  /** True if {@code trial} is known to go well with a processor that answers CPUID so. */
  boolean wentWell(String trial, List<CpuidLeaf> cpuid) {
    if (host.isEmpty()) {
      return false;
    }
    byte[] text = text(trial, cpuid);
    try {
      Optional<FileChannel> found = folder.open(fileName(text));
      if (found.isEmpty()) {
        return false;
      }
      try (FileChannel channel = found.get()) {
        return channel.size() == text.length
            && ByteBuffer.wrap(text)
                .equals(ByteBuffer.wrap(Channels.newInputStream(channel).readNBytes(LONGEST)));
      }
    } catch (IOException e) {
      return false;
    }
  }

  /** {@code trial} went well. */
  void keep(String trial, List<CpuidLeaf> cpuid) {
    if (host.isEmpty()) {
      return;
    }
    byte[] text = text(trial, cpuid);
    try {
      folder.create();
      folder.write(fileName(text), channel -> channel.write(ByteBuffer.wrap(text)));
      folder.bound(SUFFIX, MOST_BYTES);
    } catch (IOException e) {
      // The next run tries again.
    }
  }

  private byte[] text(String trial, List<CpuidLeaf> cpuid) {
    StringBuilder text = new StringBuilder(trial).append('\n').append(host.orElseThrow());
    ByteBuffer answers = ByteBuffer.allocate(7 * Integer.BYTES * cpuid.size());
    for (CpuidLeaf leaf : cpuid) {
      answers.putInt(leaf.leaf()).putInt(leaf.subleaf()).putInt(leaf.hasSubleaves() ? 1 : 0);
      answers.putInt(leaf.eax()).putInt(leaf.ebx()).putInt(leaf.ecx()).putInt(leaf.edx());
    }
    text.append('\n').append(sum(answers.array()));
    byte[] bytes = text.append('\n').toString().getBytes(StandardCharsets.UTF_8);
    return bytes.length <= LONGEST ? bytes : java.util.Arrays.copyOf(bytes, LONGEST);
  }

  private static String fileName(byte[] text) {
    return sum(text) + SUFFIX;
  }

  private static String sum(byte[] bytes) {
    CRC32C sum = new CRC32C();
    sum.update(bytes);
    return Long.toHexString(sum.getValue());
  }

  /** Read once: a start on KVM asks for it for each of its trials. */
  private static final class ThisHost {
    /** What a trial's result depends on besides the processor; empty if that cannot be told. */
    static final Optional<String> DESCRIPTION = describe();

    private static Optional<String> describe() {
      try {
        var source = KeptTrials.class.getProtectionDomain().getCodeSource();
        if (source == null || source.getLocation() == null) {
          return Optional.empty();
        }
        Path jar = Path.of(URI.create(source.getLocation().toString()));
        if (!Files.isRegularFile(jar)) {
          return Optional.empty();
        }
        Map<String, Object> device = Files.readAttributes(KvmDevice.PATH, "unix:ino,rdev,ctime");
        return Optional.of(
            new StringBuilder(Files.readString(Path.of("/proc/sys/kernel/random/boot_id")))
                .append(device.get("ino"))
                .append(' ')
                .append(device.get("rdev"))
                .append(' ')
                .append(((FileTime) device.get("ctime")).toMillis())
                .append('\n')
                .append(jar)
                .append(' ')
                .append(Files.size(jar))
                .append(' ')
                .append(Files.getLastModifiedTime(jar).toMillis())
                .toString());
      } catch (IOException | RuntimeException e) {
        return Optional.empty();
      }
    }
  }
}
