package dev.bothy.device;

import dev.bothy.core.AddressSpace;
import dev.bothy.core.BusDevice;
import dev.bothy.core.state.StateException;
import dev.bothy.core.state.StateReader;
import dev.bothy.core.state.StateWriter;
import dev.bothy.core.state.Stateful;
import dev.bothy.device.interrupt.ApicBus;
import dev.bothy.device.interrupt.InterruptRouter;
import dev.bothy.device.interrupt.IoApic;
import dev.bothy.device.interrupt.Pic;
import dev.bothy.device.pci.Msi;
import dev.bothy.device.pci.Msix;
import dev.bothy.device.pci.PciFunction;
import dev.bothy.device.pci.PciHost;
import dev.bothy.device.platform.AcpiPm;
import dev.bothy.device.platform.DebugExit;
import dev.bothy.device.platform.I8042;
import dev.bothy.device.platform.PostPort;
import dev.bothy.device.platform.ResetControl;
import dev.bothy.device.platform.SystemControlPortA;
import dev.bothy.device.platform.TestDevice;
import dev.bothy.device.serial.Uart16550;
import dev.bothy.device.timer.Pit;
import dev.bothy.device.timer.Rtc;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.IntStream;

/** Every device, wired as on a board with two processors. */
final class TestBoard {
  /** Where the card's configuration space is in what ECAM reaches. */
  static final int CARD_PLACE = 1 << 15;

  final TestClock clock = new TestClock();
  final AddressSpace ports = new AddressSpace("ports");
  final AddressSpace mmio = new AddressSpace("mmio");
  final ApicBus bus = new ApicBus(clock, 2);
  final Pic pic = new Pic(bus);
  final IoApic ioApic = new IoApic(bus, 0);
  final InterruptRouter router = new InterruptRouter(pic, ioApic);
  final PciHost pci = new PciHost(ports, mmio, bus);
  final TestCard card = new TestCard();
  final Uart16550 uart;
  final List<Stateful> stateful = new ArrayList<>();
  final List<Runnable> resets = new ArrayList<>();
  int endings;
  long bytesOut;

  TestBoard() {
    Pit pit = new Pit(clock, router.isa(0));
    Rtc rtc = new Rtc(clock, router.isa(8));
    I8042 i8042 = new I8042(router.isa(1), router.isa(12), () -> endings++);
    uart = new Uart16550("serial0", clock, router.isa(4), value -> bytesOut++);
    AcpiPm pm = new AcpiPm(clock, router.isa(9), () -> endings++);
    ResetControl resetControl = new ResetControl(() -> endings++);
    SystemControlPortA portA = new SystemControlPortA(() -> endings++);
    PostPort post = new PostPort();
    TestDevice test = new TestDevice(IntStream.range(0, 24).mapToObj(router::any).toList());
    card.connectInterrupt(router.pci(1, 0), InterruptRouter.pciInterruptLine(1, 0));
    pci.add(1, 0, card);
    pic.attach(ports);
    pit.attach(ports);
    rtc.attach(ports);
    i8042.attach(ports);
    ports.map("serial0", 0x3f8, Uart16550.LENGTH, uart);
    ports.map("acpi-pm", AcpiPm.BASE, AcpiPm.LENGTH, pm);
    ports.map("pci", PciHost.PORT, PciHost.LENGTH, pci);
    ports.map("reset", ResetControl.PORT, 1, resetControl);
    ports.map("port92", SystemControlPortA.PORT, 1, portA);
    ports.map("post", PostPort.PORT, 1, post);
    test.attach(ports, mmio);
    ports.map("debug-exit", DebugExit.PORT, DebugExit.LENGTH, new DebugExit(code -> endings++));
    mmio.map("ecam", 0xfeb0_0000L, PciHost.ECAM_LENGTH, pci.ecam());
    mmio.map("ioapic", IoApic.BASE, IoApic.LENGTH, ioApic);
    mmio.map("apic0", 0xfee0_0000L, 0x1000, bus.localApic(0));
    mmio.map("apic1", 0xfee0_1000L, 0x1000, bus.localApic(1));
    stateful.addAll(List.of(bus.localApic(0), bus.localApic(1), pic, ioApic, router));
    stateful.addAll(List.of(pit, rtc, i8042, uart, pm, pci, resetControl, portA, post));
    stateful.addAll(pci.functions());
    stateful.add(test);
    resets.addAll(List.of(bus.localApic(0)::reset, bus.localApic(1)::reset, pic::reset));
    resets.addAll(List.of(ioApic::reset, pit::reset, rtc::reset, i8042::reset, uart::reset));
    resets.addAll(List.of(pm::reset, pci::reset, resetControl::reset, portA::reset, post::reset));
    resets.add(test::reset);
  }

  List<byte[]> save() {
    List<byte[]> sections = new ArrayList<>();
    for (Stateful device : stateful) {
      StateWriter out = new StateWriter();
      device.save(out);
      sections.add(out.toByteArray());
    }
    return sections;
  }

  void load(List<byte[]> sections) throws StateException {
    for (int i = 0; i < stateful.size(); i++) {
      StateReader in = new StateReader(stateful.get(i).stateName(), sections.get(i));
      stateful.get(i).load(in);
      in.end();
    }
  }

  /** A card with ports and memory that remembers what was written. */
  static final class TestCard extends PciFunction implements BusDevice {
    final Msi msi;
    final Msix msix;
    long last;

    TestCard() {
      super("card", 0x1234, 0x5678, 1, 0xff0000);
      addPortBar(0, 32, this);
      addMemoryBar(1, 4096, false, false, this);
      addMemoryBar(2, 1 << 20, true, true, this);
      msi = addMsi(4);
      msix = addMsix(4, 70);
      setInterruptPin(0);
      int capability = addCapability(9, 8);
      setWritable(capability + 4, 4, 0xff);
    }

    void raise(boolean high) {
      interrupt(high);
    }

    @Override
    public long read(long offset, int size) {
      return last + offset;
    }

    @Override
    public void write(long offset, int size, long value) {
      last = value;
    }
  }
}
