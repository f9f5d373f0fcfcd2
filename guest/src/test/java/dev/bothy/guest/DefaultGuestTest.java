package dev.bothy.guest;

import static dev.bothy.guest.DebianPackageTest.bytes;
import static dev.bothy.guest.DebianPackageTest.module;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class DefaultGuestTest {
  @TempDir Path folder;

  @Test
  void isFetchedOnceAndThenNeedsNothing() throws IOException {
    assumeTrue(Files.isExecutable(Path.of("/usr/bin/apt-get")), "this host has no apt-get");
    List<String> steps = new ArrayList<>();
    DefaultGuest guest;
    try {
      guest = DefaultGuest.prepare(folder, (what, fraction) -> steps.add(what));
    } catch (GuestException e) {
      assertOneHelpfulLine(e);
      assumeTrue(false, "apt cannot fetch the packages here: " + e.getMessage());
      return;
    }
    assertTrue(steps.contains("fetching busybox-static"), steps.toString());
    byte[] kernel = Files.readAllBytes(guest.kernel());
    // "HdrS" of the Linux boot protocol.
    assertEquals("HdrS", new String(kernel, 0x202, 4, StandardCharsets.US_ASCII));
    byte[] root = Files.readAllBytes(guest.initrd());

    steps.clear();
    assertEquals(guest, DefaultGuest.prepare(folder, (what, fraction) -> steps.add(what)));
    assertEquals(List.of(), steps);

    // Another recipe is made from the packages that are there, to the same bytes.
    Files.delete(guest.initrd());
    Files.delete(guest.kernel());
    Files.delete(guest.kernel().getParent());
    assertEquals(guest, DefaultGuest.prepare(folder, (what, fraction) -> steps.add(what)));
    assertTrue(steps.stream().noneMatch(step -> step.startsWith("fetching")), steps.toString());
    assertArrayEquals(root, Files.readAllBytes(guest.initrd()));
    try (Stream<Path> left = Files.list(folder)) {
      assertEquals(3, left.count(), "the lock, the packages and the guest");
    }
  }

  /** As Debian 14 has it: the kernel's package is empty, and two others have what it had. */
  @Test
  void kernelsWhoseModulesHaveAPackageOfTheirOwnAreTaken() throws IOException {
    Path packages = Files.createDirectories(folder.resolve("packages"));
    String release = "7.3.4+deb14-cloud-amd64";
    deb(packages.resolve("busybox.deb"), Map.of("./usr/bin/busybox", bytes("busybox")));
    deb(
        packages.resolve("kernel.deb"),
        Map.of("./usr/lib/modules/" + release + "/vmlinuz", bytes("kernel")));
    deb(
        packages.resolve("modules.deb"),
        Map.of("./usr/lib/modules/" + release + "/kernel/a/virtio_blk.ko", module("")));
    DefaultGuest guest = DefaultGuest.prepare(folder, Progress.NONE);
    assertEquals("kernel", Files.readString(guest.kernel()));
    String root = Files.readString(guest.initrd(), StandardCharsets.ISO_8859_1);
    assertTrue(root.contains("lib/modules/" + release + "/kernel/a/virtio_blk.ko"), root);
  }

  private static void deb(Path file, Map<String, byte[]> files) throws IOException {
    DebianPackageTest.deb(file, "data.tar", DebianPackageTest.tar(files));
  }

  @Test
  void damagedPackagesAreForgotten() throws IOException {
    Path packages = Files.createDirectories(folder.resolve("packages"));
    Files.writeString(packages.resolve("busybox.deb"), "!<arch>\nnonsense");
    Files.writeString(packages.resolve("kernel.deb"), "nonsense");
    GuestException e =
        assertThrows(GuestException.class, () -> DefaultGuest.prepare(folder, Progress.NONE));
    assertOneHelpfulLine(e);
    assertTrue(Files.notExists(packages));
  }

  @Test
  void unwritableCacheFolderIsNamed() throws IOException {
    Path file = Files.writeString(folder.resolve("file"), "");
    GuestException e =
        assertThrows(
            GuestException.class, () -> DefaultGuest.prepare(file.resolve("x"), Progress.NONE));
    assertOneHelpfulLine(e);
  }

  private static void assertOneHelpfulLine(GuestException e) {
    assertTrue(e.getMessage().contains("--kernel and --initrd"), e.getMessage());
    assertTrue(e.getMessage().lines().count() == 1, e.getMessage());
  }
}
