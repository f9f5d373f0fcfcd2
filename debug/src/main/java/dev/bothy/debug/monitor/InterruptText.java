package dev.bothy.debug.monitor;

import dev.bothy.core.AddressSpace;
import dev.bothy.device.interrupt.IoApic;
import dev.bothy.device.interrupt.LocalApic;
import dev.bothy.device.interrupt.Pic;
import dev.bothy.machine.Machine;
import java.util.List;

/** Interrupt controllers, by what a guest would read of them. */
final class InterruptText {
  // Registers of a local APIC: Intel SDM volume 3, table 11-1.
  private static final int TASK_PRIORITY = 0x80;
  private static final int IN_SERVICE = 0x100;
  private static final int REQUESTS = 0x200;
  private static final List<String> LOCAL =
      List.of("timer", "thermal", "performance", "lint0", "lint1", "error");
  private static final int LOCAL_VECTORS = 0x320;

  // The I/O APIC's: its data sheet, chapter 3.
  private static final int WINDOW = 0x10;
  private static final int REDIRECTIONS = 0x10;
  private static final int VECTOR = 0xff;
  private static final int LEVEL = 1 << 15;
  private static final int MASKED = 1 << 16;

  private InterruptText() {}

  static String of(Machine machine) {
    return machine.whileStanding(
        () -> {
          StringBuilder out = new StringBuilder();
          for (int i = 0; i < machine.options().cpus(); i++) {
            append(out, i, machine.localApic(i));
          }
          appendIoApic(out, machine.spaces().getLast());
          AddressSpace ports = machine.spaces().getFirst();
          out.append(
              "8259s: masks %02x %02x%n"
                  .formatted(
                      ports.read(Pic.MASTER_PORT + 1, 1), ports.read(Pic.SLAVE_PORT + 1, 1)));
          return out.toString();
        });
  }

  private static void append(StringBuilder out, int index, LocalApic apic) {
    out.append(
        "local APIC %d: base %x, task priority %02x, requests%s, in service%s%n"
            .formatted(
                index,
                apic.apicBase(),
                apic.read(TASK_PRIORITY, 4),
                vectors(apic, REQUESTS),
                vectors(apic, IN_SERVICE)));
    for (int i = 0; i < LOCAL.size(); i++) {
      int entry = (int) apic.read(LOCAL_VECTORS + 16L * i, 4);
      if ((entry & MASKED) == 0) {
        out.append("  %s: %05x%n".formatted(LOCAL.get(i), entry));
      }
    }
  }

  /** The vectors of a set of eight registers. */
  private static String vectors(LocalApic apic, int register) {
    StringBuilder out = new StringBuilder();
    for (int vector = 0; vector < 256; vector++) {
      if ((apic.read(register + vector / 32 * 16L, 4) >>> vector % 32 & 1) != 0) {
        out.append(" %02x".formatted(vector));
      }
    }
    return out.isEmpty() ? " none" : out.toString();
  }

  private static void appendIoApic(StringBuilder out, AddressSpace mmio) {
    // The register that the guest has chosen stays chosen.
    long chosen = mmio.read(IoApic.BASE, 4);
    for (int pin = 0; pin < IoApic.PINS; pin++) {
      mmio.write(IoApic.BASE, 4, REDIRECTIONS + 2 * pin);
      int low = (int) mmio.read(IoApic.BASE + WINDOW, 4);
      mmio.write(IoApic.BASE, 4, REDIRECTIONS + 2 * pin + 1);
      int high = (int) mmio.read(IoApic.BASE + WINDOW, 4);
      if ((low & MASKED) == 0) {
        out.append(
            "I/O APIC pin %d: vector %02x, %s, destination %02x (%05x)%n"
                .formatted(
                    pin,
                    low & VECTOR,
                    (low & LEVEL) != 0 ? "level" : "edge",
                    high >>> 24,
                    low & 0x1_ffff));
      }
    }
    mmio.write(IoApic.BASE, 4, chosen);
  }
}
