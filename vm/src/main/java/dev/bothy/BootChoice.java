package dev.bothy;

import dev.bothy.guest.DefaultGuest;
import dev.bothy.guest.GuestException;
import dev.bothy.guest.Progress;
import dev.bothy.machine.boot.KernelBoot;
import java.io.IOException;
import java.nio.file.Path;
import java.util.Optional;

/** What a machine is to boot: a kernel of its user's, or the default guest. Not thread-safe. */
final class BootChoice {
  /** Null: the default guest. */
  Path kernel;

  /** Null: none, or the default guest's. */
  Path initrd;

  String append = "";
  Progress progress = Progress.NONE;

  /** True if the user has named no kernel. */
  boolean isDefaultGuest() {
    return kernel == null;
  }

  /**
   * What the machine is given to boot. The default guest is prepared if it has to be.
   *
   * @param guestWords of the kernel's command line, for the default guest alone
   * @throws GuestException if there is no default guest here
   */
  KernelBoot boot(String guestWords) throws IOException {
    if (!isDefaultGuest()) {
      return new KernelBoot(kernel, Optional.ofNullable(initrd), append);
    }
    DefaultGuest guest = DefaultGuest.prepare(progress);
    return new KernelBoot(
        guest.kernel(),
        Optional.of(initrd == null ? guest.initrd() : initrd),
        (guest.commandLine() + guestWords + " " + append).strip());
  }
}
