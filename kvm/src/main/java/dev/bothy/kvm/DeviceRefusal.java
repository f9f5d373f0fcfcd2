package dev.bothy.kvm;

import dev.bothy.host.FileCalls;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFileAttributes;
import java.nio.file.attribute.PosixFilePermission;
import java.util.Locale;
import java.util.Optional;

/** Why /dev/kvm cannot be opened, and what to do about it. */
final class DeviceRefusal {
  private static final int ENOMEM = 12;
  private static final int EBUSY = 16;
  private static final int ENFILE = 23;
  private static final int EMFILE = 24;
  private static final int ENODEV = 19;

  private DeviceRefusal() {}

  /** One line. */
  static String of(Path device, int error) {
    return switch (error) {
      case FileCalls.ENOENT -> "there is no " + device + ": " + load();
      case FileCalls.EACCES, FileCalls.EPERM ->
          "you may not use " + device + ": " + permission(device);
      case ENODEV, FileCalls.ENXIO -> device + " has no KVM behind it: " + load();
      case EBUSY -> busy(device);
      default -> device + " cannot be opened: " + FileCalls.message(error);
    };
  }

  /** Why a device that is open makes no machine. */
  static String ofMachine(Path device, int error) {
    return switch (error) {
      case EBUSY -> busy(device);
      case ENOMEM -> device + " makes no machine: the kernel has no memory left; end something";
      case EMFILE, ENFILE ->
          device + " makes no machine: too many files are open; raise the limit ('ulimit -n')";
      default -> device + " makes no machine: " + FileCalls.message(error);
    };
  }

  private static String busy(Path device) {
    return device + " is busy: another hypervisor has the processor; end it";
  }

  private static String load() {
    String cpu = processor();
    if (cpu.contains(" svm")) {
      return "let root run 'modprobe kvm-amd'";
    }
    if (cpu.contains(" vmx")) {
      return "let root run 'modprobe kvm-intel'";
    }
    return "this processor shows neither SVM nor VT-x; switch virtualization on in the firmware,"
        + " or nested virtualization in the hypervisor around this host";
  }

  private static String processor() {
    try (var lines = Files.lines(Path.of("/proc/cpuinfo"))) {
      return lines
          .filter(l -> l.startsWith("flags"))
          .findFirst()
          .orElse("")
          .toLowerCase(Locale.ROOT);
    } catch (IOException e) {
      return "";
    }
  }

  private static String permission(Path device) {
    Optional<String> group = group(device);
    return group.isPresent()
        ? "let root run 'usermod -aG " + group.get() + " $USER', and log in again"
        : "let root run 'chmod 666 " + device + "'";
  }

  /** The group whose members may use it, if there is one. */
  private static Optional<String> group(Path device) {
    try {
      PosixFileAttributes attributes =
          Files.readAttributes(device, PosixFileAttributes.class, LinkOption.NOFOLLOW_LINKS);
      return attributes.permissions().contains(PosixFilePermission.GROUP_WRITE)
          ? Optional.of(attributes.group().getName())
          : Optional.empty();
    } catch (IOException | UnsupportedOperationException e) {
      return Optional.empty();
    }
  }
}
