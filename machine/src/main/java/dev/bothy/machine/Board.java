package dev.bothy.machine;

import dev.bothy.core.AddressSpace;
import dev.bothy.core.BusDevice;
import dev.bothy.core.Engine;
import dev.bothy.core.GuestMemory;
import dev.bothy.core.IrqLine;
import dev.bothy.core.Trace;
import dev.bothy.core.cpu.CpuFeature;
import dev.bothy.core.cpu.CpuModel;
import dev.bothy.core.cpu.CpuState;
import dev.bothy.core.state.Stateful;
import dev.bothy.device.interrupt.ApicBus;
import dev.bothy.device.interrupt.InterruptRouter;
import dev.bothy.device.interrupt.IoApic;
import dev.bothy.device.interrupt.Pic;
import dev.bothy.device.pci.BarAllocator;
import dev.bothy.device.pci.PciFunction;
import dev.bothy.device.pci.PciHost;
import dev.bothy.device.pci.Upstream;
import dev.bothy.device.platform.AcpiPm;
import dev.bothy.device.platform.DebugExit;
import dev.bothy.device.platform.FirmwareConfiguration;
import dev.bothy.device.platform.HypervTestDevice;
import dev.bothy.device.platform.I8042;
import dev.bothy.device.platform.PostPort;
import dev.bothy.device.platform.ResetControl;
import dev.bothy.device.platform.SystemControlPortA;
import dev.bothy.device.platform.TestDevice;
import dev.bothy.device.remapping.RemappingUnit;
import dev.bothy.device.serial.SerialOutput;
import dev.bothy.device.serial.Uart16550;
import dev.bothy.device.timer.Pit;
import dev.bothy.device.timer.Rtc;
import dev.bothy.device.virtio.VirtioPci;
import dev.bothy.device.virtio.VirtioRng;
import dev.bothy.machine.acpi.AcpiTables;
import dev.bothy.machine.boot.BootEnvironment;
import dev.bothy.machine.boot.BootState;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.function.IntConsumer;
import java.util.stream.IntStream;

/**
 * The devices of the machine and how they are wired; and what firmware would have done before it
 * starts a kernel.
 */
final class Board {
  private static final int COM1 = 0x3f8;
  private static final int COM1_IRQ = 4;

  /**
   * mov al, 0xFE; out 0x64, al; hlt; and again: pulls the machine's reset line through the 8042, in
   * any mode.
   */
  private static final byte[] RESET_STUB = {
    (byte) 0xb0, (byte) 0xfe, (byte) 0xe6, 0x64, (byte) 0xf4, (byte) 0xeb, (byte) 0xf9
  };

  private static final int RESET_VECTOR_OFFSET = 0xfff0;
  private static final long REAL_MODE_END = 0x10_0000;

  // Memory types of the range registers.
  private static final long UNCACHEABLE = 0;
  private static final long WRITE_BACK = 6;
  private static final long EIGHT_WRITE_BACK = 0x0606_0606_0606_0606L;
  private static final long MTRR_ENABLE = 1 << 11;
  private static final long MTRR_FIXED_ENABLE = 1 << 10;
  private static final long MTRR_VALID = 1 << 11;
  private static final int FIXED_MTRRS = 11;

  /** The one of the fixed range registers that covers 0xA0000 to 0xBFFFF. */
  private static final int DISPLAY_MTRR = 2;

  private static final BarAllocator BARS =
      new BarAllocator(
          new BarAllocator.Window(MemoryMap.PCI_PORTS_START, MemoryMap.PCI_PORTS_END),
          new BarAllocator.Window(MemoryMap.PCI_WINDOW_START, MemoryMap.PCI_WINDOW_END),
          new BarAllocator.Window(MemoryMap.PCI_HIGH_WINDOW_START, MemoryMap.PCI_HIGH_WINDOW_END));

  private final GuestMemory memory;
  private final int cpus;
  private final List<PciCard> cards;
  private final boolean firmwareConfiguration;
  private final ApicBus apics;
  private final InterruptRouter router;
  private final Uart16550 serial;
  private final AcpiPm pm;
  private final PciHost pci;
  private final Optional<HypervTestDevice> hypervTest;
  private final Optional<RemappingUnit> remapping;
  private final Optional<Trace> trace;
  private final List<Runnable> resets = new ArrayList<>();

  /** Of what goes on while the machine sleeps. */
  private final List<Runnable> coldResets = new ArrayList<>();

  private final List<Stateful> stateful = new ArrayList<>();

  /** What the guest can ask of the machine. Called on a vCPU's thread. */
  interface Requests extends AcpiPm.Power {
    void reset();

    void debugExit(int code);
  }

  Board(
      MachineOptions options,
      GuestMemory memory,
      AddressSpace ports,
      AddressSpace mmio,
      GuestClock clock,
      SerialOutput output,
      Requests requests) {
    this.memory = memory;
    this.cpus = options.cpus();
    trace = options.trace();
    cards = options.cards();
    // Guests that end with a status, or want test devices, are conformance guests: they ask this
    // device for the number of processors.
    firmwareConfiguration = options.debugExit() || options.testDevice();
    apics = new ApicBus(clock, cpus);
    for (int i = 0; i < cpus; i++) {
      stateful.add(apics.localApic(i));
      resets.add(apics.localApic(i)::reset);
    }
    remapping =
        options.testDevice() ? Optional.of(new RemappingUnit(memory, apics)) : Optional.empty();
    remapping.ifPresent(
        unit -> {
          mmio.map("remapping", RemappingUnit.BASE, RemappingUnit.LENGTH, unit);
          stateful.add(unit);
          resets.add(unit::reset);
        });
    Pic pic = new Pic(apics);
    pic.attach(ports);
    IoApic ioApic = new IoApic(apics, 0);
    mmio.map("ioapic", IoApic.BASE, IoApic.LENGTH, ioApic);
    router = new InterruptRouter(pic, ioApic);
    Pit pit = new Pit(clock, router.isa(0));
    pit.attach(ports);
    pm = new AcpiPm(clock, router.isa(AcpiPm.SCI_IRQ), requests);
    ports.map("acpi-pm", AcpiPm.BASE, AcpiPm.LENGTH, pm);
    Rtc rtc = new Rtc(clock, clockInterrupt(router.isa(8)));
    rtc.attach(ports);
    rtc.setMemorySize(
        Math.min(memory.size(), GuestMemory.LOW_LIMIT),
        Math.max(0, memory.size() - GuestMemory.LOW_LIMIT));
    I8042 i8042 = new I8042(router.isa(1), router.isa(12), requests::reset);
    i8042.attach(ports);
    serial = new Uart16550("com1", clock, router.isa(COM1_IRQ), output);
    ports.map("com1", COM1, 8, serial);
    pci = new PciHost(ports, mmio, upstream(remapping, apics));
    ports.map("pci-host", PciHost.PORT, PciHost.LENGTH, pci);
    mmio.map("pci-config", MemoryMap.PCI_CONFIG, PciHost.ECAM_LENGTH, pci.ecam());
    ResetControl resetControl = new ResetControl(requests::reset);
    ports.map("reset-control", ResetControl.PORT, 1, resetControl);
    SystemControlPortA port92 = new SystemControlPortA(requests::reset);
    ports.map("port92", SystemControlPortA.PORT, 1, port92);
    PostPort post = new PostPort();
    ports.map("post", PostPort.PORT, 1, post);
    mmio.map("rom", MemoryMap.ROM_START, MemoryMap.ROM_LENGTH, new Rom());

    stateful.addAll(
        List.of(pic, ioApic, router, pit, rtc, i8042, serial, pm, pci, resetControl, port92, post));
    stateful.addAll(pci.functions());
    resets.addAll(
        List.of(
            pic::reset,
            ioApic::reset,
            pit::reset,
            i8042::reset,
            serial::reset,
            pci::reset,
            resetControl::reset,
            port92::reset,
            post::reset));
    coldResets.addAll(List.of(rtc::reset, pm::reset));
    if (options.debugExit()) {
      IntConsumer exit = requests::debugExit;
      ports.map("debug-exit", DebugExit.PORT, DebugExit.LENGTH, new DebugExit(exit));
    }
    if (firmwareConfiguration) {
      FirmwareConfiguration configuration = new FirmwareConfiguration(memory, cpus);
      ports.map("fw-cfg", FirmwareConfiguration.BASE, FirmwareConfiguration.LENGTH, configuration);
      stateful.add(configuration);
      resets.add(configuration::reset);
    }
    if (options.testDevice()) {
      TestDevice test =
          new TestDevice(IntStream.range(0, TestDevice.LINES).mapToObj(router::any).toList());
      test.attach(ports, mmio);
      stateful.add(test);
      resets.add(test::reset);
    }
    boolean hyperv = options.testDevice() && options.model().has(CpuFeature.HYPERV);
    hypervTest = hyperv ? Optional.of(new HypervTestDevice()) : Optional.empty();
    hypervTest.ifPresent(
        device -> {
          device.attach(ports);
          stateful.add(device);
          resets.add(device::reset);
        });
  }

  /** Gives devices what they want of the engine that runs the machine from now on. */
  void connect(Engine engine) {
    hypervTest.ifPresent(device -> device.connect(engine.syntheticInterrupts(device)));
  }

  /** Makes the machine's PCI functions, and the entropy device behind them; before it starts. */
  void addCards(PciCard.Host host) {
    cards.forEach(card -> add(card.create(host)));
    add(new VirtioPci(new VirtioRng(memory, host.reproducible())));
  }

  private void traceRequests(VirtioPci card, int device) {
    trace
        .filter(wanted -> wanted.wants(Trace.Kind.VIRTIO, device))
        .ifPresent(wanted -> card.trace(text -> wanted.tell(Trace.Kind.VIRTIO, text)));
  }

  /** Puts a PCI function into the next free place and wires its interrupt pin. */
  void add(PciFunction card) {
    int number = pci.functions().size() - 1;
    int slots = PciHost.DEVICES - 1;
    int device = 1 + number % slots;
    int pin = card.interruptPin();
    if (pin >= 0) {
      card.connectInterrupt(router.pci(device, pin), InterruptRouter.pciInterruptLine(device, pin));
    }
    pci.add(device, number / slots, card);
    stateful.add(card);
    if (card instanceof VirtioPci virtio) {
      traceRequests(virtio, device);
    }
  }

  /** Lets devices go on that do things by themselves. */
  void resume() {
    pci.functions().forEach(PciFunction::resume);
  }

  /** Brings them to a stand; no vCPU runs. */
  void pause() {
    pci.functions().forEach(PciFunction::pause);
  }

  /** Gives back what the host lent to devices. They are paused. */
  void close() {
    pci.functions().forEach(PciFunction::close);
  }

  ApicBus apics() {
    return apics;
  }

  Uart16550 serial() {
    return serial;
  }

  private static Upstream upstream(Optional<RemappingUnit> remapping, ApicBus apics) {
    return remapping.isPresent() ? remapping.get() : Upstream.direct(apics);
  }

  /** The clock's interrupt, which power management hears of, too. */
  private IrqLine clockInterrupt(IrqLine line) {
    return level -> {
      line.set(level);
      if (level) {
        pm.clockInterrupts();
      }
    };
  }

  /** True while the guest sleeps: processors do not run, the clock does. */
  boolean asleep() {
    return pm.asleep();
  }

  /** True if something has happened that ends this. */
  boolean wakes() {
    return pm.wakes();
  }

  /** Where a guest that sleeps goes on, in real mode; 0 if it has not said. */
  long wakingVector() {
    long vector = AcpiTables.wakingVector(memory);
    return vector < REAL_MODE_END ? vector : 0;
  }

  /**
   * What firmware does when the machine wakes up (ACPI specification, 7.4.2 and 16.3.2): where the
   * boot processor goes on. Empty, and nothing happened, if it does not, or has nowhere to go.
   */
  Optional<BootState> wake() {
    long vector = wakes() ? wakingVector() : 0;
    if (vector == 0) {
      return Optional.empty();
    }
    resetDevices();
    pm.awake();
    return Optional.of(new BootState(BootState.Mode.WAKING, vector, 0, 0, 0, 0));
  }

  private void resetDevices() {
    resets.forEach(Runnable::run);
    apics.localApic(0).enterVirtualWireMode();
    BARS.assign(pci.functions());
  }

  void pressPowerButton() {
    pm.pressPowerButton();
  }

  /** Everything here that has state, in the order it is saved. */
  List<Stateful> stateful() {
    return List.copyOf(stateful);
  }

  /** All devices as after power-on, and what firmware would leave behind. */
  BootEnvironment reset() {
    coldResets.forEach(Runnable::run);
    resetDevices();
    if (memory.size() < MemoryMap.FIRMWARE_END) {
      return new BootEnvironment(memory, MemoryMap.ranges(memory), 0);
    }
    memory.writeShort(MemoryMap.BDA_EBDA_SEGMENT, (int) (MemoryMap.BASE_MEMORY_END >> 4));
    memory.writeShort(MemoryMap.BDA_BASE_MEMORY_KIB, (int) (MemoryMap.BASE_MEMORY_END >> 10));
    memory.write(MemoryMap.REAL_MODE_RESET, RESET_STUB);
    long rsdp =
        AcpiTables.write(memory, cpus, pci.devices(), firmwareConfiguration, remapping.isPresent());
    return new BootEnvironment(memory, MemoryMap.ranges(memory), rsdp);
  }

  /**
   * The memory type ranges as firmware sets them on every processor: write-back, but for devices.
   */
  static void setMemoryTypes(CpuState cpu, CpuModel model) {
    cpu.set(CpuState.MTRR_DEF_TYPE, MTRR_ENABLE | MTRR_FIXED_ENABLE | WRITE_BACK);
    for (int i = 0; i < FIXED_MTRRS; i++) {
      cpu.set(CpuState.MTRR_FIXED + 8 * i, i == DISPLAY_MTRR ? UNCACHEABLE : EIGHT_WRITE_BACK);
    }
    long deviceLength = GuestMemory.HIGH_START - GuestMemory.LOW_LIMIT;
    long physicalMask = (1L << model.physicalBits()) - 1;
    cpu.set(CpuState.MTRR_VARIABLE, GuestMemory.LOW_LIMIT | UNCACHEABLE);
    cpu.set(CpuState.MTRR_VARIABLE + 8, physicalMask & -deviceLength | MTRR_VALID);
  }

  /**
   * Where the reset vector points: there is no firmware, so all it holds is the way to a proper
   * reset.
   */
  private static final class Rom implements BusDevice {
    @Override
    public long read(long offset, int size) {
      long value = 0;
      for (int i = 0; i < size; i++) {
        int at = (int) (offset + i) - RESET_VECTOR_OFFSET;
        int b = at >= 0 && at < RESET_STUB.length ? RESET_STUB[at] & 0xff : 0xff;
        value |= (long) b << (8 * i);
      }
      return value;
    }

    @Override
    public void write(long offset, int size, long value) {}
  }
}
