package dev.bothy.kvm;

import dev.bothy.core.cpu.CpuidLeaf;
import dev.bothy.host.FileCalls;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.function.BooleanSupplier;

/** What this host's KVM can do, found out by asking it and by running a few instructions on it. */
public final class KvmHost {
  private static final int FEATURES = 1;
  private static final int CX16 = 1 << 13;
  private static final int XSAVE = 1 << 26;
  private static final long LIMIT_MILLIS = 2000;

  // Names of trials that are kept.
  private static final String COMPLETE = "complete";
  private static final String LOCAL_APICS = "local APICs";

  /**
   * Something that kernels do and that a KVM may fail at.
   *
   * @param feature bit of ECX of leaf 1 without which it is not tried; 0: always
   * @param code ends with HLT
   */
  private record Probe(String name, int feature, int... code) {}

  /** mov eax, WELL; hlt. */
  private static final int[] WELL = {0xb8, 0x0d, 0x60, 0, 0, 0xf4};

  private static final List<Probe> PROBES =
      List.of(
          // mov rbx, DATA; lock cmpxchg [rbx], rbx; lock xadd [rbx], rbx
          new Probe(
              "locked instructions in kernel mode",
              0,
              then(
                  0xbb, 0, 0x30, 0, 0, 0xf0, 0x48, 0x0f, 0xb1, 0x1b, 0xf0, 0x48, 0x0f, 0xc1, 0x1b)),
          // mov edi, DATA; xor edx, edx; lock cmpxchg16b [rdi]
          new Probe(
              "cmpxchg16b in kernel mode",
              CX16,
              then(0xbf, 0, 0x30, 0, 0, 0x31, 0xd2, 0xf0, 0x48, 0x0f, 0xc7, 0x0f)),
          new Probe("int3", 0, then(0xcc)),
          // mov rax, [80000000000h]'s page fault: mov rax, rdi with bit 43 set; mov rax, [rax]
          new Probe(
              "page faults", 0, then(0x31, 0xc0, 0x48, 0x0f, 0xba, 0xe8, 43, 0x48, 0x8b, 0x00)),
          // mov edi, DATA; fxsave [rdi]; fxrstor [rdi]; pxor xmm0, xmm0; movups [rdi], xmm0
          new Probe(
              "SSE in kernel mode",
              0,
              then(
                  0xbf, 0, 0x30, 0, 0, 0x0f, 0xae, 0x07, 0x0f, 0xae, 0x0f, 0x66, 0x0f, 0xef, 0xc0,
                  0x0f, 0x11, 0x07)),
          // mov rax, cr4; bts rax, 18; mov cr4, rax; mov edi, DATA; mov eax, 3; xor edx, edx;
          // xsave [rdi]; xrstor [rdi]
          new Probe(
              "XSAVE in kernel mode",
              XSAVE,
              then(
                  0x0f, 0x20, 0xe0, 0x48, 0x0f, 0xba, 0xe8, 18, 0x0f, 0x22, 0xe0, 0xbf, 0, 0x30, 0,
                  0, 0xb8, 3, 0, 0, 0, 0x31, 0xd2, 0x0f, 0xae, 0x27, 0x0f, 0xae, 0x2f)),
          // XCR0 is KVM's to switch, which it does only if it hears of XSETBV: mov rax, cr4; bts
          // rax,
          // 18; mov cr4, rax; xor ecx, ecx; mov eax, 3; xor edx, edx; xsetbv; mov edi, DEVICE; mov
          // ebx, [rdi]; xgetbv; cmp eax, 3; je over; hlt
          new Probe(
              "keeping XCR0",
              XSAVE,
              then(
                  0x0f, 0x20, 0xe0, 0x48, 0x0f, 0xba, 0xe8, 18, 0x0f, 0x22, 0xe0, 0x31, 0xc9, 0xb8,
                  3, 0, 0, 0, 0x31, 0xd2, 0x0f, 0x01, 0xd1, 0xbf, 0, 0, 0, 0xd0, 0x8b, 0x1f, 0x0f,
                  0x01, 0xd0, 0x83, 0xf8, 3, 0x74, 0x01, 0xf4)),
          // mov ecx, KERNEL_GS_BASE; mov eax, DATA; xor edx, edx; wrmsr; swapgs;
          // mov dword gs:[0], 7; swapgs
          new Probe(
              "SWAPGS",
              0,
              then(
                  0xb9, 0x02, 0x01, 0, 0xc0, 0xb8, 0, 0x30, 0, 0, 0x31, 0xd2, 0x0f, 0x30, 0x0f,
                  0x01, 0xf8, 0x65, 0xc7, 0x04, 0x25, 0, 0, 0, 0, 7, 0, 0, 0, 0x0f, 0x01, 0xf8)),
          // mov edi, DEVICE; mov esi, DATA; mov ecx, 4; cld; rep movsb; mov ecx, [DEVICE]
          new Probe(
              "strings to devices",
              0,
              then(
                  0xbf, 0, 0, 0, 0xd0, 0xbe, 0, 0x30, 0, 0, 0xb9, 4, 0, 0, 0, 0xfc, 0xf3, 0xa4,
                  0x31, 0xd2, 0xbf, 0, 0, 0, 0xd0, 0x8b, 0x0f)),
          // mov ecx, TSC; xor eax, eax; mov edx, 256; wrmsr; rdtsc; cmp edx, 256; je over; hlt
          new Probe(
              "setting the time-stamp counter",
              0,
              then(
                  0xb9, 0x10, 0, 0, 0, 0x31, 0xc0, 0xba, 0, 1, 0, 0, 0x0f, 0x30, 0x0f, 0x31, 0x81,
                  0xfa, 0, 1, 0, 0, 0x74, 0x01, 0xf4)),
          // mov ecx, STAR; xor eax, eax; mov edx, 00130008h; wrmsr; mov ecx, LSTAR; lea rax,
          // [back];
          // xor edx, edx; wrmsr; mov ecx, SFMASK; xor eax, eax; wrmsr; lea rcx, [user];
          // mov r11d, 2; sysretq; user: syscall; back:
          new Probe(
              "SYSCALL and SYSRET",
              0,
              then(
                  0xb9, 0x81, 0, 0, 0xc0, 0x31, 0xc0, 0xba, 0x08, 0, 0x13, 0, 0x0f, 0x30, 0xb9,
                  0x82, 0, 0, 0xc0, 0x48, 0x8d, 0x05, 0x1f, 0, 0, 0, 0x31, 0xd2, 0x0f, 0x30, 0xb9,
                  0x84, 0, 0, 0xc0, 0x31, 0xc0, 0x0f, 0x30, 0x48, 0x8d, 0x0d, 0x09, 0, 0, 0, 0x41,
                  0xbb, 2, 0, 0, 0, 0x48, 0x0f, 0x07, 0x0f, 0x05)));

  private KvmHost() {}

  private static int[] then(int... code) {
    int[] all = java.util.Arrays.copyOf(code, code.length + WELL.length);
    System.arraycopy(WELL, 0, all, code.length, WELL.length);
    return all;
  }

  /**
   * Why this host's KVM cannot be asked for a machine, and what to do about it; empty if it can be.
   * What {@link #refusal} says besides is told when a machine is made.
   */
  public static Optional<String> deviceRefusal() {
    try (KvmDevice _ = KvmDevice.open()) {
      return Optional.empty();
    } catch (KvmException e) {
      return Optional.of(e.getMessage());
    }
  }

  /** Why no machine can be made here, and what to do about it; empty if one can. */
  public static Optional<String> refusal() {
    try (KvmDevice device = KvmDevice.open()) {
      // Another hypervisor's processor is noticed only here.
      FileCalls.close(device.createMachine());
      return Optional.empty();
    } catch (KvmException e) {
      return Optional.of(e.getMessage());
    }
  }

  /**
   * What is left of a processor's answers to CPUID here.
   *
   * @throws KvmException if there is no KVM
   */
  public static List<CpuidLeaf> filter(List<CpuidLeaf> cpuid) {
    try (KvmDevice device = KvmDevice.open()) {
      return new CpuidTable(cpuid)
          .filtered(device.supportedCpuid(), KvmEngine.ownFeatures(device), 0)
          .leaves();
    }
  }

  /**
   * What this KVM fails at, in words: kernels that do these things do not run. It takes some
   * milliseconds, or two seconds for each thing that never ends.
   *
   * @param cpuid what {@link #filter} left of the processor's; what it does not have is not tried
   * @param folder where it is kept that nothing fails, if it is to be: see {@link KeptTrials}
   * @throws KvmException if there is no KVM
   */
  public static List<String> failures(List<CpuidLeaf> cpuid, Optional<Path> folder) {
    Optional<KeptTrials> kept = folder.map(KeptTrials::in);
    if (kept.isPresent() && kept.get().wentWell(COMPLETE, cpuid)) {
      return List.of();
    }
    List<String> failures = failures(cpuid);
    if (failures.isEmpty()) {
      kept.ifPresent(trials -> trials.keep(COMPLETE, cpuid));
    }
    return failures;
  }

  /** As the other one, keeping nothing. */
  static List<String> failures(List<CpuidLeaf> cpuid) {
    int features = new CpuidTable(cpuid).find(FEATURES, 0).map(CpuidLeaf::ecx).orElse(0);
    List<String> failures = new ArrayList<>();
    ProbeGuest guest = null;
    try {
      for (Probe probe : PROBES) {
        if (probe.feature == 0 || (features & probe.feature) != 0) {
          // To make a machine and to give it back takes longer than what is tried.
          ProbeGuest tried = guest != null ? guest : new ProbeGuest(cpuid);
          guest = tried;
          if (!inTime(tried, () -> tried.works(probe.code))) {
            failures.add(probe.name);
            // A vCPU that KVM gave up on is not used again.
            guest.close();
            guest = null;
          }
        }
      }
    } finally {
      if (guest != null) {
        guest.close();
      }
    }
    return failures;
  }

  /**
   * Who is to have the local APICs of machines here: the kernel if it offers to, and does what it
   * offers. It takes some milliseconds.
   *
   * @param cpuid of the processor that is wanted
   * @param folder where it is kept that it does, if it is to be: see {@link KeptTrials}
   * @throws KvmException if no machine can be made
   */
  public static KvmEngine.LocalApics localApics(List<CpuidLeaf> cpuid, Optional<Path> folder) {
    try (KvmDevice device = KvmDevice.open()) {
      if (!KernelApics.offered(device)) {
        return KvmEngine.LocalApics.MACHINE;
      }
    }
    Optional<KeptTrials> kept = folder.map(KeptTrials::in);
    if (kept.isPresent() && kept.get().wentWell(LOCAL_APICS, cpuid)) {
      return KvmEngine.LocalApics.KERNEL;
    }
    KvmEngine.LocalApics found = tryLocalApics(cpuid);
    if (found == KvmEngine.LocalApics.KERNEL) {
      kept.ifPresent(trials -> trials.keep(LOCAL_APICS, cpuid));
    }
    return found;
  }

  private static KvmEngine.LocalApics tryLocalApics(List<CpuidLeaf> cpuid) {
    try (ProbeGuest guest = new ProbeGuest(cpuid, KvmEngine.LocalApics.KERNEL)) {
      return inTime(guest, guest::apicWorks)
          ? KvmEngine.LocalApics.KERNEL
          : KvmEngine.LocalApics.MACHINE;
    } catch (KvmException e) {
      if (refusal().isPresent()) {
        throw e;
      }
      return KvmEngine.LocalApics.MACHINE;
    }
  }

  /**
   * True if vCPUs stop at a debugger's breakpoints: the KVM inside a machine of QEMU's TCG takes
   * them, and they have no effect. It takes some milliseconds.
   *
   * @param cpuid of the processor
   * @throws KvmException if there is no KVM
   */
  static boolean breaks(List<CpuidLeaf> cpuid) {
    try (ProbeGuest guest = new ProbeGuest(cpuid)) {
      return inTime(guest, guest::breaks);
    }
  }

  /**
   * True if vCPUs stop at accesses to what a debugger watches. It takes some milliseconds.
   *
   * @param cpuid of the processor
   * @throws KvmException if there is no KVM
   */
  static boolean watches(List<CpuidLeaf> cpuid) {
    try (ProbeGuest guest = new ProbeGuest(cpuid)) {
      return inTime(guest, guest::watches);
    }
  }

  /** As {@code trial} says, or false if {@code guest} has to be stopped. */
  private static boolean inTime(ProbeGuest guest, BooleanSupplier trial) {
    Thread watch =
        Thread.ofPlatform()
            .daemon()
            .name("bothy-kvm-trial")
            .start(
                () -> {
                  try {
                    Thread.sleep(LIMIT_MILLIS);
                    guest.giveUp();
                  } catch (InterruptedException e) {
                    // In time.
                  }
                });
    try {
      return trial.getAsBoolean();
    } finally {
      watch.interrupt();
      dev.bothy.host.Uninterrupted.join(watch);
    }
  }
}
