package dev.bothy.kvm;

import static dev.bothy.kvm.KvmHeader.*;

import dev.bothy.host.DeviceCalls;
import dev.bothy.host.FileCalls;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/**
 * /dev/kvm, open: what it is able to do, and where machines come from. Thread-safe until closed.
 */
final class KvmDevice implements AutoCloseable {
  /** Where it is on every Linux host. */
  static final Path PATH = Path.of("/dev/kvm");

  /** Rows of CPUID that a kernel tells at most: it knows 256 at present. */
  private static final int CPUID_LIMIT = 1024;

  private static final int MSR_LIMIT = 4096;
  private static final int E2BIG = -7;

  /**
   * Something without which no machine is made.
   *
   * @param what in words
   */
  private record Need(int extension, String what) {}

  private static final List<Need> NEEDS =
      List.of(
          new Need(KVM_CAP_USER_MEMORY, "memory of the process as guest memory"),
          new Need(KVM_CAP_SYNC_MMU, "guest memory that follows the process's"),
          new Need(KVM_CAP_SET_TSS_ADDR, "a place for its task state segment"),
          new Need(KVM_CAP_EXT_CPUID, "CPUID as we want it"),
          new Need(KVM_CAP_USER_NMI, "NMIs"),
          new Need(KVM_CAP_MP_STATE, "processors that wait"),
          new Need(KVM_CAP_VCPU_EVENTS, "pending events in saved state"),
          new Need(KVM_CAP_DEBUGREGS, "debug registers in saved state"),
          new Need(KVM_CAP_GET_TSC_KHZ, "the rate of the time-stamp counter"),
          new Need(KVM_CAP_ADJUST_CLOCK, "a paravirtual clock that can be set"),
          new Need(KVM_CAP_IMMEDIATE_EXIT, "immediate exits (Linux 4.13)"));

  /** Who answers requests; a test may stand for the kernel. Any thread. */
  @FunctionalInterface
  interface Kernel {
    /** As {@link DeviceCalls#ioctl}. */
    int ioctl(int descriptor, long request, long argument);
  }

  private final Kernel kernel;
  private final Path path;
  private final int descriptor;
  private final int runSize;

  private KvmDevice(Kernel kernel, Path path, int descriptor, int runSize) {
    this.kernel = kernel;
    this.path = path;
    this.descriptor = descriptor;
    this.runSize = runSize;
  }

  /**
   * Opens the host's.
   *
   * @throws KvmException if there is none, if it may not be used, or if it is not what we need; the
   *     message says what to do
   */
  static KvmDevice open() {
    return open(PATH);
  }

  /** As {@link #open()}, of another name. */
  static KvmDevice open(Path path) {
    return open(path, DeviceCalls::ioctl);
  }

  /** As {@link #open()}, of another name and another kernel. */
  static KvmDevice open(Path path, Kernel kernel) {
    String architecture = System.getProperty("os.arch");
    if (!FileCalls.available()) {
      throw new KvmException("KVM needs Linux and calls into the C library");
    }
    if (!architecture.equals("amd64") && !architecture.equals("x86_64")) {
      throw new KvmException("KVM runs guests of the host's kind, and this one is " + architecture);
    }
    int descriptor = FileCalls.open(path, FileCalls.O_RDWR | FileCalls.O_CLOEXEC, 0);
    if (descriptor < 0) {
      throw new KvmException(DeviceRefusal.of(path, -descriptor));
    }
    try {
      int version = kernel.ioctl(descriptor, KVM_GET_API_VERSION, 0);
      if (version < 0) {
        throw new KvmException(path + " is not KVM's device");
      }
      if (version != KVM_API_VERSION) {
        throw new KvmException(
            path
                + " has version "
                + version
                + " of KVM's interface, not "
                + KVM_API_VERSION
                + ": use a kernel since 2.6.22");
      }
      int runSize = kernel.ioctl(descriptor, KVM_GET_VCPU_MMAP_SIZE, 0);
      if (runSize < KvmRun.Internal.DATA + 16 * 8) {
        throw KvmException.of("KVM_GET_VCPU_MMAP_SIZE", runSize);
      }
      KvmDevice device = new KvmDevice(kernel, path, descriptor, runSize);
      List<String> missing = new ArrayList<>();
      for (Need need : NEEDS) {
        if (device.extension(need.extension) == 0) {
          missing.add(need.what);
        }
      }
      if (!missing.isEmpty()) {
        throw new KvmException(
            "this kernel's KVM lacks " + String.join(", ", missing) + ": use a newer one");
      }
      return device;
    } catch (KvmException e) {
      FileCalls.close(descriptor);
      throw e;
    }
  }

  /** What the kernel says of one of the KVM_CAP_ constants: 0 if it does not have it. */
  int extension(int number) {
    return Math.max(0, kernel.ioctl(descriptor, KVM_CHECK_EXTENSION, number));
  }

  /** A request to something that this device has made: what it answers, or a negative error. */
  int ask(int made, long request, long argument) {
    return kernel.ioctl(made, request, argument);
  }

  /** Bytes that a vCPU shares with its thread. */
  int runSize() {
    return runSize;
  }

  /** Makes a machine; the descriptor is the caller's to close. */
  int createMachine() {
    int machine = kernel.ioctl(descriptor, KVM_CREATE_VM, 0);
    if (machine < 0) {
      throw new KvmException(DeviceRefusal.ofMachine(path, -machine));
    }
    return machine;
  }

  /** Every bit of CPUID that a guest may be shown, as rows of {@link CpuidTable}. */
  CpuidTable supportedCpuid() {
    try (Arena arena = Arena.ofConfined()) {
      for (int rows = 128; ; rows *= 2) {
        MemorySegment list = arena.allocate(KvmCpuid2.SIZE + (long) rows * KvmCpuidEntry2.SIZE, 8);
        list.set(ValueLayout.JAVA_INT, KvmCpuid2.NENT, rows);
        int result = kernel.ioctl(descriptor, KVM_GET_SUPPORTED_CPUID, list.address());
        if (result >= 0) {
          return CpuidTable.of(list);
        }
        if (result != E2BIG || rows >= CPUID_LIMIT) {
          throw KvmException.of("KVM_GET_SUPPORTED_CPUID", result);
        }
      }
    }
  }

  /** The model-specific registers that are part of a vCPU's state. */
  int[] savedMsrs() {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment list = arena.allocate(KvmMsrList.SIZE + 4L * MSR_LIMIT, 8);
      list.set(ValueLayout.JAVA_INT, KvmMsrList.NMSRS, MSR_LIMIT);
      KvmRequest.granted(
          "KVM_GET_MSR_INDEX_LIST",
          kernel.ioctl(descriptor, KVM_GET_MSR_INDEX_LIST, list.address()));
      int count = list.get(ValueLayout.JAVA_INT, KvmMsrList.NMSRS);
      return list.asSlice(KvmMsrList.INDICES, 4L * count).toArray(ValueLayout.JAVA_INT);
    }
  }

  @Override
  public void close() {
    FileCalls.close(descriptor);
  }
}
