package dev.bothy.bench;

import dev.bothy.guest.CpioWriter;
import dev.bothy.guest.DefaultGuest;
import dev.bothy.guest.Progress;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;

/**
 * What is booted: the default guest's kernel, and its busybox root with an init of our own laid
 * over it, which says a line and powers off. The kernel unpacks concatenated archives one after the
 * other.
 */
record BootGuest(Path kernel, Path initrd) {
  static final String COMMAND_LINE = "console=ttyS0 quiet";

  /** The first line of init. */
  static final String LINE = "init is running";

  private static final String INIT = "#!/bin/sh\necho " + LINE + "\n/bin/busybox poweroff -f\n";

  /** With {@code --kernel} and {@code --busybox-root} in place of the default guest's. */
  static BootGuest prepare(Options options, Path folder) throws IOException {
    DefaultGuest guest = DefaultGuest.prepare(Progress.NONE);
    Path kernel = options.file("kernel", guest.kernel());
    byte[] root = Files.readAllBytes(options.file("busybox-root", guest.initrd()));
    ByteArrayOutputStream overlay = new ByteArrayOutputStream();
    overlay.writeBytes(root);
    overlay.writeBytes(new byte[-root.length & 3]);
    try (CpioWriter cpio = new CpioWriter(overlay)) {
      cpio.file("init", 0755, INIT.getBytes(StandardCharsets.US_ASCII));
    }
    Path initrd = folder.resolve("boot-initrd");
    Files.write(initrd, overlay.toByteArray());
    return new BootGuest(kernel, initrd);
  }
}
