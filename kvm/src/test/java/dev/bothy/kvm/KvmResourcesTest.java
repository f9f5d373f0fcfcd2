package dev.bothy.kvm;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.bothy.core.Exit;
import dev.bothy.core.Vcpu;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFileAttributes;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

@Timeout(300)
class KvmResourcesTest {
  @TempDir Path folder;

  /** Those of KVM, and those by which doorbells are heard. */
  private static long descriptors() throws IOException {
    try (Stream<Path> list = Files.list(Path.of("/proc/self/fd"))) {
      return list.filter(KvmResourcesTest::isKvm).count();
    }
  }

  private static boolean isKvm(Path descriptor) {
    try {
      String target = Files.readSymbolicLink(descriptor).toString();
      return target.contains("kvm") || target.contains("[event");
    } catch (IOException e) {
      return false;
    }
  }

  private static long mappings() throws IOException {
    try (Stream<String> lines = Files.lines(Path.of("/proc/self/maps"))) {
      return lines.filter(l -> l.contains("kvm")).count();
    }
  }

  @Test
  void aThousandMachinesLeaveNothingBehind() throws IOException {
    TinyMachine.require();
    long before = descriptors();
    long mappedBefore = mappings();
    for (int i = 0; i < 1000; i++) {
      try (TinyMachine machine = new TinyMachine()) {
        if (i % 100 == 0) {
          // mov [CHIME + 4], ax: a doorbell; hlt
          machine.code(0x66, 0xa3, 4, 0, 0, 0xd2, 0xf4);
          machine.protectedMode();
          assertInstanceOf(Exit.Halted.class, machine.cpu.run(Vcpu.UNLIMITED));
          assertTrue(descriptors() > before);
          assertEquals(1, machine.chime.written.get());
        }
      }
    }
    assertEquals(before, descriptors());
    assertEquals(mappedBefore, mappings());
  }

  @Test
  void noDeviceIsToldWithWhatToDo() {
    KvmException e = assertThrows(KvmException.class, () -> KvmDevice.open(folder.resolve("kvm")));
    assertTrue(e.getMessage().startsWith("there is no " + folder.resolve("kvm")), e.getMessage());
    assertTrue(
        e.getMessage().contains("modprobe") || e.getMessage().contains("firmware"), e.getMessage());
  }

  @Test
  void anotherDeviceIsRefused() throws IOException {
    long before = descriptors();
    KvmException e = assertThrows(KvmException.class, () -> KvmDevice.open(Path.of("/dev/null")));
    assertEquals("/dev/null is not KVM's device", e.getMessage());
    assertEquals(before, descriptors());
  }

  @Test
  void noPermissionNamesTheGroup() throws IOException {
    Path device = Files.createFile(folder.resolve("kvm"));
    Files.setPosixFilePermissions(device, PosixFilePermissions.fromString("rw-rw----"));
    String group = Files.readAttributes(device, PosixFileAttributes.class).group().getName();
    String text = DeviceRefusal.of(device, 13);
    assertTrue(text.contains("usermod -aG " + group + " "), text);
    Files.setPosixFilePermissions(device, PosixFilePermissions.fromString("rw-------"));
    assertTrue(DeviceRefusal.of(device, 13).contains("chmod"));
  }

  @Test
  void aBusyProcessorIsTold() {
    assertTrue(DeviceRefusal.of(Path.of("/dev/kvm"), 16).contains("another hypervisor"));
  }
}
