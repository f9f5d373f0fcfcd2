package dev.bothy.machine.acpi;

import dev.bothy.core.GuestMemory;
import dev.bothy.device.interrupt.IoApic;
import dev.bothy.device.pci.PciHost;
import dev.bothy.device.platform.AcpiPm;
import dev.bothy.device.platform.FirmwareConfiguration;
import dev.bothy.device.platform.ResetControl;
import dev.bothy.device.remapping.RemappingUnit;
import dev.bothy.machine.MemoryMap;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;

/**
 * The tables by which an operating system learns what this board has. Follows "ACPI Specification
 * 6.5": chapter 5 for the tables; {@link Aml} encodes the differentiated system description table.
 */
public final class AcpiTables {
  private static final String OEM = "BOTHY ";
  private static final String TABLE_ID = "BOTHYPC ";
  private static final int HEADER = 36;
  private static final int FADT_SIZE = 276;
  private static final int FACS_SIZE = 64;
  private static final long FACS = MemoryMap.FIRMWARE_START + 64;
  private static final int WAKING_VECTOR = 12;
  private static final int RSDP_SIZE = 36;

  /** CMOS register of the century. */
  private static final int CENTURY_REGISTER = 0x32;

  // Fixed feature flags.
  private static final int WBINVD = 1;
  private static final int PROC_C1 = 1 << 2;
  private static final int SLP_BUTTON_ABSENT = 1 << 5;
  private static final int TMR_VAL_EXT = 1 << 8;
  private static final int RESET_REG_SUP = 1 << 10;

  // IA-PC boot architecture flags.
  private static final int LEGACY_DEVICES = 1;
  private static final int HAS_8042 = 1 << 1;
  private static final int NO_VGA = 1 << 2;

  private static final int RESET_VALUE = 0x06;
  private static final int SERIAL_PORT = 0x3f8;

  /** There is one bus, in the one segment. */
  private static final int PCI_SEGMENT = 0;

  private static final int PCI_BUS = 0;

  private AcpiTables() {}

  /**
   * Writes all tables into the firmware area.
   *
   * @param cpus number of processors
   * @param pciDevices numbers of the devices on PCI bus 0
   * @param firmwareConfiguration true if there is a {@link FirmwareConfiguration}
   * @param remapping true if there is a {@link RemappingUnit}
   * @return the address of the root pointer
   */
  public static long write(
      GuestMemory memory,
      int cpus,
      List<Integer> pciDevices,
      boolean firmwareConfiguration,
      boolean remapping) {
    long rsdp = MemoryMap.FIRMWARE_START;
    long facs = FACS;
    long next = facs + FACS_SIZE;

    byte[] dsdt = table("DSDT", 2, dsdt(pciDevices, firmwareConfiguration));
    long dsdtAddress = next;
    next = place(memory, next, dsdt);
    long fadtAddress = next;
    next = place(memory, next, fadt(facs, dsdtAddress));
    long madtAddress = next;
    next = place(memory, next, madt(cpus));
    long mcfgAddress = next;
    next = place(memory, next, mcfg());
    List<Long> tables = new ArrayList<>(List.of(fadtAddress, madtAddress, mcfgAddress));
    if (remapping) {
      tables.add(next);
      next = place(memory, next, dmar());
    }
    long rsdtAddress = next;
    next = place(memory, next, table("RSDT", 1, addresses(tables, 4)));
    long xsdtAddress = next;
    next = place(memory, next, table("XSDT", 1, addresses(tables, 8)));
    if (next > MemoryMap.REAL_MODE_RESET) {
      throw new IllegalStateException("the ACPI tables are too long");
    }
    memory.write(facs, facs());
    memory.write(rsdp, rsdp(rsdtAddress, xsdtAddress));
    return rsdp;
  }

  /** Where the guest's code goes on after sleep, as it has said; below 1 MiB, or nowhere. */
  public static long wakingVector(GuestMemory memory) {
    return memory.size() < MemoryMap.FIRMWARE_END
        ? 0
        : memory.readInt(FACS + WAKING_VECTOR) & 0xffff_ffffL;
  }

  private static byte[] addresses(List<Long> tables, int size) {
    byte[] all = {};
    for (long table : tables) {
      all = Aml.join(all, Aml.little(table, size));
    }
    return all;
  }

  private static long place(GuestMemory memory, long address, byte[] table) {
    memory.write(address, table);
    return address + table.length + 15 & -16L;
  }

  private static byte[] rsdp(long rsdt, long xsdt) {
    ByteBuffer b = buffer(RSDP_SIZE);
    b.put(ascii("RSD PTR ")).put((byte) 0).put(ascii(OEM)).put((byte) 2);
    b.putInt((int) rsdt).putInt(RSDP_SIZE).putLong(xsdt);
    b.put(8, checksum(b.array(), 20));
    b.put(32, checksum(b.array(), RSDP_SIZE));
    return b.array();
  }

  private static byte[] facs() {
    ByteBuffer b = buffer(FACS_SIZE);
    b.put(ascii("FACS")).putInt(FACS_SIZE);
    b.put(32, (byte) 2);
    return b.array();
  }

  private static byte[] fadt(long facs, long dsdt) {
    ByteBuffer b = buffer(FADT_SIZE);
    b.putInt(36, (int) facs);
    b.putInt(40, (int) dsdt);
    b.put(45, (byte) 1); // desktop
    b.putShort(46, (short) AcpiPm.SCI_IRQ);
    // No SMI command port: the machine is in ACPI mode from the start.
    b.putInt(56, AcpiPm.BASE + AcpiPm.PM1A_EVENT);
    b.putInt(64, AcpiPm.BASE + AcpiPm.PM1A_CONTROL);
    b.putInt(76, AcpiPm.BASE + AcpiPm.PM_TIMER);
    b.putInt(80, AcpiPm.BASE + AcpiPm.GPE0);
    b.put(88, (byte) 4);
    b.put(89, (byte) 2);
    b.put(91, (byte) 4);
    b.put(92, (byte) 4);
    b.putShort(96, (short) 0xfff); // latencies too long to be of use: no C2, no C3
    b.putShort(98, (short) 0xfff);
    b.put(108, (byte) CENTURY_REGISTER);
    b.putShort(109, (short) (LEGACY_DEVICES | HAS_8042 | NO_VGA));
    b.putInt(112, WBINVD | PROC_C1 | SLP_BUTTON_ABSENT | TMR_VAL_EXT | RESET_REG_SUP);
    port(b, 116, 8, ResetControl.PORT, 1);
    b.put(128, (byte) RESET_VALUE);
    b.put(131, (byte) 5);
    b.putLong(140, dsdt);
    port(b, 148, 32, AcpiPm.BASE + AcpiPm.PM1A_EVENT, 2);
    port(b, 172, 16, AcpiPm.BASE + AcpiPm.PM1A_CONTROL, 2);
    port(b, 208, 32, AcpiPm.BASE + AcpiPm.PM_TIMER, 3);
    port(b, 220, 32, AcpiPm.BASE + AcpiPm.GPE0, 1);
    return finish("FACP", 6, b.array());
  }

  /** A generic address in system I/O space. {@code access} 1 byte, 2 word, 3 double word. */
  private static void port(ByteBuffer b, int at, int bits, int port, int access) {
    b.put(at, (byte) 1);
    b.put(at + 1, (byte) bits);
    b.put(at + 3, (byte) access);
    b.putLong(at + 4, port);
  }

  private static byte[] madt(int cpus) {
    byte[] body = Aml.join(Aml.little(MemoryMap.LOCAL_APIC, 4), Aml.little(1, 4));
    for (int i = 0; i < cpus; i++) {
      body = Aml.join(body, Aml.bytes(0, 8, i, i), Aml.little(1, 4));
    }
    return table(
        "APIC",
        5,
        Aml.join(
            body,
            Aml.join(Aml.bytes(1, 12, 0, 0), Aml.little(IoApic.BASE, 4), Aml.little(0, 4)),
            // The timer is wired to pin 2; the system control interrupt is level-triggered, active
            // high.
            sourceOverride(0, 2, 0),
            sourceOverride(AcpiPm.SCI_IRQ, AcpiPm.SCI_IRQ, 0x0d),
            Aml.bytes(4, 6, 0xff, 0, 0, 1)));
  }

  private static byte[] sourceOverride(int irq, int gsi, int flags) {
    return Aml.join(Aml.bytes(2, 10, 0, irq), Aml.little(gsi, 4), Aml.little(flags, 2));
  }

  /** Where configuration spaces are in memory (PCI Firmware Specification 3.3, 4.1.2). */
  private static byte[] mcfg() {
    return table(
        "MCFG",
        1,
        Aml.join(
            Aml.little(0, 8),
            Aml.little(MemoryMap.PCI_CONFIG, 8),
            Aml.little(PCI_SEGMENT, 2),
            Aml.bytes(PCI_BUS, PCI_BUS),
            Aml.little(0, 4)));
  }

  /**
   * The hardware that remaps, for all of PCI bus 0, and where the I/O APIC is to it ("Intel
   * Virtualization Technology for Directed I/O", revision 3.1, 8.1 and 8.3).
   */
  private static byte[] dmar() {
    byte[] ioApic = Aml.bytes(3, 8, 0, 0, 0, RemappingUnit.IO_APIC_BUS, 0, 0);
    byte[] unit =
        Aml.join(
            Aml.little(0, 2),
            Aml.little(16 + ioApic.length, 2),
            Aml.bytes(1, 0),
            Aml.little(PCI_SEGMENT, 2),
            Aml.little(RemappingUnit.BASE, 8),
            ioApic);
    byte[] header = Aml.bytes(RemappingUnit.ADDRESS_BITS - 1, 1);
    return table("DMAR", 1, Aml.join(header, new byte[10], unit));
  }

  private static byte[] dsdt(List<Integer> pciDevices, boolean firmwareConfiguration) {
    return Aml.join(
        sleepState("_S3", AcpiPm.SLEEP_TYPE_S3),
        sleepState("_S5", AcpiPm.SLEEP_TYPE_S5),
        PciRootBridge.interruptMode(),
        Aml.scope(
            "\\_SB",
            PciRootBridge.device(pciDevices),
            isaDevice("RTC", "PNP0B00", Aml.ports(0x70, 2), Aml.interrupt(8)),
            isaDevice("KBD", "PNP0303", Aml.ports(0x60, 1), Aml.ports(0x64, 1), Aml.interrupt(1)),
            isaDevice("MOU", "PNP0F13", Aml.interrupt(12)),
            Aml.device(
                "COM1",
                Aml.name("_HID", Aml.eisaId("PNP0501")),
                Aml.name("_UID", Aml.integer(1)),
                Aml.name("_STA", Aml.integer(0xf)),
                Aml.name("_CRS", Aml.resources(Aml.ports(SERIAL_PORT, 8), Aml.interrupt(4)))),
            isaDevice(
                "MBRD",
                "PNP0C02",
                Aml.ports(0x92, 1),
                Aml.ports(0x4d0, 2),
                Aml.memory(MemoryMap.PCI_CONFIG, PciHost.ECAM_LENGTH),
                Aml.ports(AcpiPm.BASE, AcpiPm.LENGTH)),
            firmwareConfiguration ? firmwareConfiguration() : new byte[0]));
  }

  private static byte[] sleepState(String name, int type) {
    return Aml.name(
        name, Aml.packageOf(Aml.integer(type), Aml.integer(0), Aml.integer(0), Aml.integer(0)));
  }

  /** As drivers look for it. */
  private static byte[] firmwareConfiguration() {
    return Aml.device(
        "FWCF",
        Aml.name("_HID", Aml.string("QEMU0002")),
        Aml.name("_STA", Aml.integer(0xb)),
        Aml.name(
            "_CRS",
            Aml.resources(Aml.ports(FirmwareConfiguration.BASE, FirmwareConfiguration.LENGTH))));
  }

  private static byte[] isaDevice(String name, String id, byte[]... resources) {
    return Aml.device(
        name,
        Aml.name("_HID", Aml.eisaId(id)),
        Aml.name("_STA", Aml.integer(0xf)),
        Aml.name("_CRS", Aml.resources(resources)));
  }

  private static byte[] table(String signature, int revision, byte[] body) {
    return finish(signature, revision, Aml.join(new byte[HEADER], body));
  }

  /** Fills in the header at the start of {@code table}. */
  private static byte[] finish(String signature, int revision, byte[] table) {
    ByteBuffer b = ByteBuffer.wrap(table).order(ByteOrder.LITTLE_ENDIAN);
    b.put(ascii(signature)).putInt(table.length).put((byte) revision).put((byte) 0);
    b.put(ascii(OEM)).put(ascii(TABLE_ID)).putInt(1).put(ascii("BTHY")).putInt(1);
    b.put(9, checksum(table, table.length));
    return table;
  }

  /** The value that makes the first {@code length} bytes add up to 0. */
  private static byte checksum(byte[] bytes, int length) {
    int sum = 0;
    for (int i = 0; i < length; i++) {
      sum += bytes[i];
    }
    return (byte) -sum;
  }

  private static ByteBuffer buffer(int size) {
    return ByteBuffer.allocate(size).order(ByteOrder.LITTLE_ENDIAN);
  }

  private static byte[] ascii(String text) {
    return text.getBytes(StandardCharsets.US_ASCII);
  }
}
