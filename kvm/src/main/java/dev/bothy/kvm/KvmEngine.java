package dev.bothy.kvm;

import static dev.bothy.kvm.KvmHeader.*;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import dev.bothy.core.Debugging;
import dev.bothy.core.DirtyLog;
import dev.bothy.core.Engine;
import dev.bothy.core.EngineApics;
import dev.bothy.core.GuestMemory;
import dev.bothy.core.LocalInterruptController;
import dev.bothy.core.MachineClock;
import dev.bothy.core.StopPoints;
import dev.bothy.core.Vcpu;
import dev.bothy.core.cpu.CpuidLeaf;
import dev.bothy.host.DeviceCalls;
import dev.bothy.host.FileCalls;
import dev.bothy.host.HostMemory;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.function.IntFunction;

/**
 * The engine that lets the kernel run guest code: Linux' Documentation/virt/kvm/api.rst. KVM has
 * the processors, their TSC and paravirtual clock, memory, and the local APICs if it is to; all
 * other interrupt controllers and timers are the machine's own. {@link #createVcpu} before the
 * first run; vCPUs may then run on a thread each.
 *
 * <p>It counts no instructions: budgets are refused, and so are machines that want to be
 * reproducible.
 */
public final class KvmEngine implements Engine {
  /** Three pages that VT-x needs somewhere, and one for its page table: nobody's addresses. */
  private static final long TSS_ADDRESS = 0xfffb_d000L;

  private static final long IDENTITY_MAP_ADDRESS = 0xfffb_c000L;

  /** The page that holds the reset vector: KVM runs no code from devices. */
  private static final long RESET_PAGE = 0xffff_f000L;

  private static final int PAGE = 4096;

  /** Of CPUID, with {@link #AUTOMATIC_IBRS} in EAX. */
  private static final int SPECULATION = 0x8000_0021;

  private static final int AUTOMATIC_IBRS = 1 << 8;
  private static final long EFER_AUTOMATIC_IBRS = 1 << 21;

  /** Registers of the local APIC and of time, which are the machine's: exits. */
  private static final List<Integer> INTERCEPTED =
      List.of(MsrList.TSC, MsrList.TSC_ADJUST, MsrList.APIC_BASE, MsrList.TSC_DEADLINE);

  /** How many of them are not the local APIC's. */
  private static final int INTERCEPTED_TIME = 2;

  /** Who has the local APICs. */
  public enum LocalApics {
    /** The machine: {@link LocalInterruptController}. */
    MACHINE,
    /** The kernel; what the machine has must be able to {@link LocalInterruptController#moveTo}. */
    KERNEL
  }

  private final Environment environment;
  private final IntFunction<List<CpuidLeaf>> cpuid;
  private final KvmDevice device;
  private final int machine;
  private final int ownFeatures;
  private final CpuidTable supported;
  private final int[] savedMsrs;
  private final Optional<EngineApics> apics;

  /** Null where the kernel offers none. */
  private final KvmDoorbells doorbells;

  private HostMemory resetPage;
  private MsrList msrs;

  /** Of every vCPU, once there is one. */
  private int tscKhz;

  /** What guest time was ahead of the host's when the paravirtual clock was set; guarded. */
  private OptionalLong clockOffset = OptionalLong.empty();

  private volatile StopPoints stopPoints = StopPoints.NONE;

  /** Whether breakpoints are met, once that has been asked; guarded. */
  private Optional<Boolean> breaks = Optional.empty();

  /** Whether accesses to what is watched are told, once that has been asked; guarded. */
  private Optional<Boolean> watches = Optional.empty();

  private boolean closed;

  /** Makes a machine in the kernel that has its local APICs itself. See the other constructor. */
  public KvmEngine(Environment environment, IntFunction<List<CpuidLeaf>> cpuid) {
    this(environment, cpuid, LocalApics.MACHINE);
  }

  /**
   * Makes a machine in the kernel.
   *
   * @param cpuid what CPUID is to answer on a vCPU, as far as the host can do it
   * @throws KvmException if that is not possible; the message says why
   */
  public KvmEngine(
      Environment environment, IntFunction<List<CpuidLeaf>> cpuid, LocalApics localApics) {
    this(environment, cpuid, localApics, KvmDevice.open());
  }

  /** With a device of its own, which it closes. */
  KvmEngine(
      Environment environment,
      IntFunction<List<CpuidLeaf>> cpuid,
      LocalApics localApics,
      KvmDevice device) {
    this.environment = environment;
    this.cpuid = cpuid;
    this.device = device;
    int made = -1;
    try {
      if (environment.deterministic()) {
        throw new KvmException(
            "KVM counts no instructions: give another engine, or the host's clock");
      }
      int most = device.extension(KVM_CAP_MAX_VCPUS);
      if (environment.cpus() > most) {
        throw new KvmException("this KVM runs at most " + most + " processors a machine");
      }
      made = device.createMachine();
      machine = made;
      supported = device.supportedCpuid();
      savedMsrs = device.savedMsrs();
      ownFeatures = ownFeatures(device);
      placeInternals();
      boolean kernel = localApics == LocalApics.KERNEL;
      apics = kernel ? Optional.of(new KernelApics(machine)) : Optional.empty();
      if (leavesMsrs(device)) {
        interceptMsrs(kernel ? INTERCEPTED.subList(0, INTERCEPTED_TIME) : INTERCEPTED);
      }
      int slot = 0;
      for (GuestMemory.Region region : environment.memory().regions()) {
        setMemory(slot++, 0, region);
      }
      if (device.extension(KVM_CAP_READONLY_MEM) != 0) {
        resetPage = HostMemory.allocate(PAGE);
        GuestMemory.Region page = new GuestMemory.Region(RESET_PAGE, PAGE, resetPage.address());
        setMemory(slot, KVM_MEM_READONLY, page);
      }
      doorbells =
          device.extension(KVM_CAP_IOEVENTFD) != 0
              ? new KvmDoorbells(device, machine, environment.mmio())
              : null;
    } catch (RuntimeException e) {
      if (made >= 0) {
        FileCalls.close(made);
      }
      if (resetPage != null) {
        resetPage.close();
      }
      device.close();
      throw e;
    }
  }

  /**
   * What the APIC adds to ECX of leaf 1 of CPUID: all its registers, if the kernel has it, or
   * leaves MSRs to us.
   */
  static int ownFeatures(KvmDevice device) {
    return leavesMsrs(device) || KernelApics.offered(device)
        ? CpuidTable.X2APIC | CpuidTable.TSC_DEADLINE
        : 0;
  }

  private static boolean leavesMsrs(KvmDevice device) {
    return device.extension(KVM_CAP_X86_USER_SPACE_MSR) != 0
        && device.extension(KVM_CAP_X86_MSR_FILTER) != 0;
  }

  private void placeInternals() {
    try (Arena arena = Arena.ofConfined()) {
      if (device.extension(KVM_CAP_SET_IDENTITY_MAP_ADDR) != 0) {
        request(
            "KVM_SET_IDENTITY_MAP_ADDR",
            KVM_SET_IDENTITY_MAP_ADDR,
            arena.allocateFrom(JAVA_LONG, IDENTITY_MAP_ADDRESS).address());
      }
      request("KVM_SET_TSS_ADDR", KVM_SET_TSS_ADDR, TSS_ADDRESS);
    }
  }

  /** Puts a piece of memory into a slot, or changes what is noted of that piece. */
  void setMemory(int slot, int flags, GuestMemory.Region memory) {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment region = arena.allocate(KvmUserspaceMemoryRegion.SIZE, 8);
      region.set(JAVA_INT, KvmUserspaceMemoryRegion.SLOT, slot);
      region.set(JAVA_INT, KvmUserspaceMemoryRegion.FLAGS, flags);
      region.set(JAVA_LONG, KvmUserspaceMemoryRegion.GUEST_PHYS_ADDR, memory.start());
      region.set(JAVA_LONG, KvmUserspaceMemoryRegion.MEMORY_SIZE, memory.length());
      region.set(JAVA_LONG, KvmUserspaceMemoryRegion.USERSPACE_ADDR, memory.hostAddress());
      int result = device.ask(machine, KVM_SET_USER_MEMORY_REGION, region.address());
      if (result < 0) {
        throw new KvmException(
            String.format(
                "KVM does not take %d KiB of memory at 0x%x (%s): give the machine less memory, or"
                    + " another engine",
                memory.length() >> 10, memory.start(), FileCalls.message(-result)));
      }
    }
  }

  /** Accesses to what the kernel does not have, and to what it is not to have, become exits. */
  private void interceptMsrs(List<Integer> registers) {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment enable = arena.allocate(KvmEnableCap.SIZE, 8);
      enable.set(JAVA_INT, KvmEnableCap.CAP, KVM_CAP_X86_USER_SPACE_MSR);
      enable.set(
          JAVA_LONG,
          KvmEnableCap.ARGS,
          KVM_MSR_EXIT_REASON_INVAL | KVM_MSR_EXIT_REASON_UNKNOWN | KVM_MSR_EXIT_REASON_FILTER);
      request("KVM_ENABLE_CAP", KVM_ENABLE_CAP, enable.address());
      // Bits of zero: to be denied, that is, asked for here.
      MemorySegment denied = arena.allocate(8, 8);
      MemorySegment filter = arena.allocate(KvmMsrFilter.SIZE, 8);
      for (int i = 0; i < registers.size(); i++) {
        boolean counter = registers.get(i) == MsrList.TSC;
        long at = KvmMsrFilter.RANGES + (long) i * KvmMsrFilterRange.SIZE;
        filter.set(
            JAVA_INT,
            at + KvmMsrFilterRange.FLAGS,
            // The kernel knows what the counter shows.
            counter ? KVM_MSR_FILTER_WRITE : KVM_MSR_FILTER_READ | KVM_MSR_FILTER_WRITE);
        filter.set(JAVA_INT, at + KvmMsrFilterRange.NMSRS, 1);
        filter.set(JAVA_INT, at + KvmMsrFilterRange.BASE, registers.get(i));
        filter.set(JAVA_LONG, at + KvmMsrFilterRange.BITMAP, denied.address());
      }
      request("KVM_X86_SET_MSR_FILTER", KVM_X86_SET_MSR_FILTER, filter.address());
    }
  }

  /** A request to the machine. */
  void request(String name, long request, long argument) {
    KvmRequest.granted(name, device.ask(machine, request, argument));
  }

  @Override
  public String name() {
    return "kvm";
  }

  @Override
  public Optional<EngineApics> apics() {
    return apics;
  }

  @Override
  public Optional<DirtyLog> dirtyLog() {
    return Optional.of(new KvmDirtyPages(this, environment.memory().regions()));
  }

  @Override
  public Optional<Debugging> debugging() {
    return KvmDebug.possible(device) ? Optional.of(new Points()) : Optional.empty();
  }

  /** By the processor's debug registers: there are four, if they have an effect on guests. */
  private final class Points implements Debugging {
    @Override
    public boolean takes(StopPoints points) {
      return DebugRegisters.of(points).isPresent()
          && (points.breakpoints().isEmpty() || breaks())
          && (points.watchpoints().isEmpty() || watches());
    }

    @Override
    public void stopAt(StopPoints points) {
      KvmEngine.this.stopAt(points);
    }

    @Override
    public void end() {
      KvmEngine.this.stopAt(StopPoints.NONE);
    }
  }

  /** A KVM in software may know no breakpoints. */
  private synchronized boolean breaks() {
    if (breaks.isEmpty()) {
      breaks = Optional.of(KvmHost.breaks(cpuid.apply(0)));
    }
    return breaks.get();
  }

  /** Nor watchpoints. */
  private synchronized boolean watches() {
    if (watches.isEmpty()) {
      watches = Optional.of(KvmHost.watches(cpuid.apply(0)));
    }
    return watches.get();
  }

  void stopAt(StopPoints points) {
    stopPoints = points;
  }

  /** Where vCPUs are to stop. */
  StopPoints stopPoints() {
    return stopPoints;
  }

  @Override
  public void ringDoorbells() {
    if (doorbells != null) {
      doorbells.ringAll();
    }
  }

  /** A vCPU's write to a device at {@code address} has been an exit. */
  void written(long address) {
    if (doorbells != null) {
      doorbells.written(address);
    }
  }

  /** Adds what is the machine's, not a vCPU's. */
  void count(Map<String, Long> counters) {
    if (doorbells != null) {
      doorbells.count(counters);
    }
  }

  @Override
  public Vcpu createVcpu(int index, LocalInterruptController apic) {
    int vcpu = KvmRequest.require(machine, "KVM_CREATE_VCPU", KVM_CREATE_VCPU, index);
    try {
      tscKhz = tscRate(vcpu);
      CpuidTable table = table(index, tscKhz);
      try (Arena arena = Arena.ofConfined()) {
        MemorySegment rows = table.toSegment(arena);
        KvmRequest.require(vcpu, "KVM_SET_CPUID2", KVM_SET_CPUID2, rows.address());
      }
      synchronized (this) {
        if (msrs == null) {
          msrs = MsrList.of(vcpu, savedMsrs);
        }
      }
      return new KvmVcpu(
          this, environment, index, apic, vcpu, tscKhz, device, msrs, apics.isPresent());
    } catch (RuntimeException e) {
      FileCalls.close(vcpu);
      throw e;
    }
  }

  private CpuidTable table(int index, int tscKhz) {
    return new CpuidTable(cpuid.apply(index)).filtered(supported, ownFeatures, tscKhz);
  }

  /** Lets the TSC run as in other engines if the host can do that; kHz at which it does. */
  private int tscRate(int vcpu) {
    if (device.extension(KVM_CAP_TSC_CONTROL) != 0) {
      // A refusal leaves the host's rate.
      DeviceCalls.ioctl(vcpu, KVM_SET_TSC_KHZ, MachineClock.TSC_HZ / 1000);
    }
    int khz = DeviceCalls.ioctl(vcpu, KVM_GET_TSC_KHZ, 0);
    if (khz <= 0) {
      throw KvmException.of("KVM_GET_TSC_KHZ", khz);
    }
    return khz;
  }

  @Override
  public List<CpuidLeaf> cpuid(int index) {
    return table(index, tscKhz).leaves();
  }

  /**
   * The bits of EFER that a state from another engine may bring: not automatic IBRS where the
   * host's processor does not have it, which changes nothing but how it speculates.
   */
  long settableEfer() {
    boolean automaticIbrs =
        supported
            .find(SPECULATION, 0)
            .map(leaf -> (leaf.eax() & AUTOMATIC_IBRS) != 0)
            .orElse(false);
    return automaticIbrs ? -1 : ~EFER_AUTOMATIC_IBRS;
  }

  /** The reset vector's page is what the board has there. */
  void fillResetPage() {
    if (resetPage != null) {
      for (int i = 0; i < PAGE; i += 8) {
        resetPage.segment().set(JAVA_LONG, i, environment.mmio().read(RESET_PAGE + i, 8));
      }
    }
  }

  /** Brings the paravirtual clock back to guest time, if that has stood meanwhile. */
  synchronized void alignClock() {
    OptionalLong offset = environment.clock().hostOffset();
    if (offset.equals(clockOffset)) {
      return;
    }
    clockOffset = offset;
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment data = arena.allocate(KvmClockData.SIZE, 8);
      data.set(JAVA_LONG, KvmClockData.CLOCK, environment.clock().nanos());
      request("KVM_SET_CLOCK", KVM_SET_CLOCK, data.address());
    }
  }

  @Override
  public void close() {
    if (!closed) {
      closed = true;
      if (doorbells != null) {
        doorbells.close();
      }
      FileCalls.close(machine);
      device.close();
      if (resetPage != null) {
        resetPage.close();
      }
    }
  }
}
