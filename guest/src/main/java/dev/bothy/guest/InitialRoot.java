package dev.bothy.guest;

import java.io.BufferedOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.SortedMap;

/**
 * The root file system of the default guest, as a cpio archive that Linux unpacks into memory:
 * busybox under all its names, a few scripts and the modules for paravirtual devices.
 */
final class InitialRoot {
  /**
   * Modules that a guest may want later; those that a kernel has built in or lacks are left out.
   */
  static final List<String> MODULES =
      List.of(
          "virtio_pci",
          "virtio_mmio",
          "virtio_blk",
          "virtio_net",
          "virtio_console",
          "virtio_rng",
          "virtio_balloon",
          "virtio_scsi",
          "virtio_input",
          "virtiofs",
          "9p",
          "9pnet_virtio",
          "overlay",
          "vmw_vsock_virtio_transport");

  private static final Set<String> POWER = Set.of("poweroff", "reboot", "halt");

  private InitialRoot() {}

  /** The scripts' bytes, so that a cached root knows which ones it was made with. */
  static byte[] scripts() throws IOException {
    var all = new java.io.ByteArrayOutputStream();
    for (String name :
        List.of("inittab", "rc", "devices", "lease", "session", "terminal", "profile", "power")) {
      all.write(script(name));
    }
    return all.toByteArray();
  }

  /**
   * Writes the archive.
   *
   * @param release of the kernel: "6.1.0-56-cloud-amd64"
   */
  static void write(Path target, byte[] busybox, String release, SortedMap<String, byte[]> modules)
      throws IOException {
    OutputStream out = new BufferedOutputStream(Files.newOutputStream(target), 1 << 16);
    try (CpioWriter root = new CpioWriter(out)) {
      for (String folder : List.of("dev", "proc", "sys", "tmp", "run", "root", "mnt", "sbin")) {
        root.folder(folder);
      }
      root.characterDevice("dev/console", 5, 1);
      root.characterDevice("dev/null", 1, 3);
      root.file("bin/busybox", 0755, busybox);
      for (String applet : applets(busybox)) {
        if (!POWER.contains(applet) && !applet.equals("busybox")) {
          root.link("bin/" + applet, "busybox");
        }
      }
      for (String name : POWER.stream().sorted().toList()) {
        root.file("sbin/" + name, 0755, script("power"));
      }
      root.link("sbin/modprobe", "../bin/busybox");
      root.link("init", "bin/busybox");
      root.file("etc/inittab", 0644, script("inittab"));
      root.file("etc/rc", 0755, script("rc"));
      root.file("etc/devices", 0755, script("devices"));
      root.file("etc/lease", 0755, script("lease"));
      root.file("etc/session", 0755, script("session"));
      root.file("etc/terminal", 0755, script("terminal"));
      root.file("etc/profile", 0644, script("profile"));
      root.file("etc/passwd", 0644, text("root::0:0:root:/root:/bin/sh\n"));
      root.file("etc/group", 0644, text("root:x:0:\n"));
      root.file("etc/hostname", 0644, text("bothy\n"));
      root.file("etc/hosts", 0644, text("127.0.0.1 localhost bothy\n"));
      String folder = "lib/modules/" + release + "/";
      for (var module : modules.entrySet()) {
        root.file(folder + module.getKey(), 0644, module.getValue());
      }
      root.file(folder + "modules.dep", 0644, text(KernelModules.dependencyFile(modules)));
    }
  }

  /**
   * The names that a busybox program answers to, from the sorted table that it carries; "sh" alone
   * if it has none, and the guest's first script then makes the links.
   */
  static List<String> applets(byte[] busybox) {
    int at = KernelModules.indexOf(busybox, text("[\0[[\0"), 0);
    List<String> names = new ArrayList<>();
    while (at >= 0 && names.size() < 1000) {
      int end = at;
      while (end < busybox.length && busybox[end] > ' ' && busybox[end] < 0x7f) {
        end++;
      }
      if (end == at || end >= busybox.length || busybox[end] != 0 || end - at > 32) {
        break;
      }
      String name = new String(busybox, at, end - at, StandardCharsets.US_ASCII);
      if (!name.matches("[\\[a-z0-9._-]+")) {
        break;
      }
      names.add(name);
      at = end + 1;
    }
    if (!names.contains("sh") || !names.contains("mount")) {
      return List.of("sh", "mount", "mkdir", "ln", "setsid", "cttyhack", "init");
    }
    return names;
  }

  private static byte[] script(String name) throws IOException {
    try (InputStream in = InitialRoot.class.getResourceAsStream(name)) {
      return in.readAllBytes();
    }
  }

  private static byte[] text(String text) {
    return text.getBytes(StandardCharsets.US_ASCII);
  }
}
