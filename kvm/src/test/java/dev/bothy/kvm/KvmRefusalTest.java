package dev.bothy.kvm;

import static dev.bothy.kvm.KvmHeader.*;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.bothy.core.AddressSpace;
import dev.bothy.core.Engine;
import dev.bothy.core.GuestMemory;
import dev.bothy.core.cpu.CpuModel;
import dev.bothy.host.DeviceCalls;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/**
 * What a kernel may answer that the one at hand does not: told in a line with what to do, and
 * nothing stays open. A device that is none stands for /dev/kvm.
 */
@Timeout(300)
class KvmRefusalTest {
  private static final Path DEVICE = Path.of("/dev/null");
  private static final int PAGE = 4096;
  private static final int ENOMEM = -12;
  private static final int EBUSY = -16;
  private static final int EINVAL = -22;
  private static final int EMFILE = -24;

  private long before;

  private static long descriptors() throws IOException {
    try (Stream<Path> all = Files.list(Path.of("/proc/self/fd"))) {
      return all.filter(KvmRefusalTest::isOurs).count();
    }
  }

  private static boolean isOurs(Path descriptor) {
    try {
      String target = Files.readSymbolicLink(descriptor).toString();
      return target.contains("kvm") || target.equals(DEVICE.toString());
    } catch (IOException e) {
      return false;
    }
  }

  @BeforeEach
  void count() throws IOException {
    before = descriptors();
  }

  @AfterEach
  void nothingStaysOpen() throws IOException {
    assertEquals(before, descriptors());
  }

  /** A kernel that does everything, but for what {@code answers} says of a request. */
  private static KvmDevice.Kernel kernel(Map<Long, Integer> answers) {
    return (_, request, _) ->
        answers.getOrDefault(
            request,
            request == KVM_GET_API_VERSION
                ? KVM_API_VERSION
                : request == KVM_GET_VCPU_MMAP_SIZE ? 3 * PAGE : 1);
  }

  private static String refusal(Map<Long, Integer> answers) {
    String line =
        assertThrows(KvmException.class, () -> KvmDevice.open(DEVICE, kernel(answers)))
            .getMessage();
    assertFalse(line.contains("\n"), line);
    return line;
  }

  @Test
  void anotherVersionOfTheInterfaceIsRefused() {
    String line = refusal(Map.of(KVM_GET_API_VERSION, 11));
    assertTrue(line.startsWith("/dev/null has version 11 of KVM's interface, not 12"), line);
  }

  @Test
  void aDeviceWithoutRoomForAVcpuIsRefused() {
    assertTrue(refusal(Map.of(KVM_GET_VCPU_MMAP_SIZE, EINVAL)).contains("Invalid argument"));
  }

  @Test
  void whatAnOldKernelLacksIsNamed() {
    String line = refusal(Map.of(KVM_CHECK_EXTENSION, 0));
    assertTrue(line.startsWith("this kernel's KVM lacks memory of the process"), line);
    assertTrue(line.contains("immediate exits (Linux 4.13): use a newer one"), line);
  }

  private static String refusedMachine(int error) {
    try (KvmDevice device = KvmDevice.open(DEVICE, kernel(Map.of(KVM_CREATE_VM, error)))) {
      return assertThrows(KvmException.class, device::createMachine).getMessage();
    }
  }

  @Test
  void aBusyProcessorAndAFullHostAreTold() {
    assertEquals(
        "/dev/null is busy: another hypervisor has the processor; end it", refusedMachine(EBUSY));
    assertTrue(refusedMachine(ENOMEM).contains("no memory left"), refusedMachine(ENOMEM));
    assertTrue(refusedMachine(EMFILE).contains("ulimit -n"), refusedMachine(EMFILE));
  }

  private static Engine.Environment environment(GuestMemory memory) {
    return new Engine.Environment(
        memory,
        new AddressSpace("ports"),
        new AddressSpace("mmio"),
        null,
        CpuModel.V2,
        1,
        false,
        vcpu -> {});
  }

  /** The local KVM, but for what it is to say of one request. */
  private static String refusedEngine(long request, int error) {
    TinyMachine.require();
    KvmDevice device =
        KvmDevice.open(
            KvmDevice.PATH,
            (descriptor, asked, argument) ->
                asked == request ? error : DeviceCalls.ioctl(descriptor, asked, argument));
    try (GuestMemory memory = new GuestMemory(2 << 20)) {
      return assertThrows(
              KvmException.class,
              () ->
                  new KvmEngine(
                      environment(memory),
                      index -> KvmTestCpuid.LEAVES,
                      KvmEngine.LocalApics.MACHINE,
                      device))
          .getMessage();
    }
  }

  @Test
  void memoryThatKvmDoesNotTakeIsTold() {
    assertEquals(
        "KVM does not take 2048 KiB of memory at 0x0 (Cannot allocate memory): give the machine"
            + " less memory, or another engine",
        refusedEngine(KVM_SET_USER_MEMORY_REGION, ENOMEM));
  }

  @Test
  void aMachineThatCannotBeMadeIsTold() {
    assertEquals(
        "/dev/kvm is busy: another hypervisor has the processor; end it",
        refusedEngine(KVM_CREATE_VM, EBUSY));
    assertEquals("KVM_SET_TSS_ADDR: Invalid argument", refusedEngine(KVM_SET_TSS_ADDR, EINVAL));
  }
}
