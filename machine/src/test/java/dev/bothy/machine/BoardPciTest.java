package dev.bothy.machine;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.bothy.core.AddressSpace;
import dev.bothy.core.GuestMemory;
import dev.bothy.device.interrupt.LocalApic;
import dev.bothy.x86.interpret.InterpreterEngine;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** PCI functions on the board: where their ranges are, and where their interrupts arrive. */
class BoardPciTest {
  private static final int CPUS = 2;
  private static final int LINK_GSI = 17;

  private final GuestMemory memory = new GuestMemory(4 << 20);
  private final AddressSpace ports = new AddressSpace("ports");
  private final AddressSpace mmio = new AddressSpace("mmio");
  private final List<TestCard> cards = new ArrayList<>();
  private Board board;

  @BeforeEach
  void build() {
    MachineOptions options =
        MachineOptions.of(4 << 20, InterpreterEngine::new, environment -> null, value -> {})
            .withCpus(CPUS);
    board =
        new Board(
            options,
            memory,
            ports,
            mmio,
            new CountedClock(20),
            value -> {},
            new Board.Requests() {
              @Override
              public void off() {}

              @Override
              public void reset() {}

              @Override
              public void debugExit(int code) {}
            });
    for (int i = 0; i < 5; i++) {
      cards.add(new TestCard());
      board.add(cards.get(i));
    }
    board.reset();
    ports.write(0x21, 1, 0xff);
    ports.write(0xa1, 1, 0xff);
    for (int i = 0; i < CPUS; i++) {
      apic(i).write(0xf0, 4, 0x1ff);
    }
  }

  @AfterEach
  void close() {
    memory.close();
  }

  private LocalApic apic(int cpu) {
    return board.apics().localApic(cpu);
  }

  private int interrupt(int cpu) {
    return apic(cpu).interruptPending() ? apic(cpu).acknowledge() : -1;
  }

  private void endOfInterrupt() {
    apic(0).write(0xb0, 4, 0);
  }

  private static long config(int device, int register) {
    return MemoryMap.PCI_CONFIG + (device << 15) + register;
  }

  /** Level-triggered, active low, to the first processor. */
  private void route(int pin, int vector) {
    mmio.write(0xfec0_0000L, 4, 0x10 + 2 * pin);
    mmio.write(0xfec0_0010L, 4, 0xa000 | vector);
  }

  private int capability(int device) {
    int at = (int) mmio.read(config(device, 0x34), 1);
    while (mmio.read(config(device, at), 1) != 0x11) {
      at = (int) mmio.read(config(device, at + 1), 1);
    }
    return at;
  }

  /** Enables MSI-X with one message; {@code address} as in the table. */
  private void message(int device, long address, int data) {
    long table = mmio.read(config(device, 0x14), 4);
    mmio.write(table, 8, address);
    mmio.write(table + 8, 8, data);
    mmio.write(config(device, 4), 2, 6);
    mmio.write(config(device, capability(device) + 2), 2, 0x8000);
  }

  @Test
  void everyRangeHasAPlaceInItsWindow() {
    Set<Long> places = new HashSet<>();
    for (int device = 1; device <= 5; device++) {
      assertEquals(3, mmio.read(config(device, 4), 2));
      for (int register : new int[] {0x10, 0x14, 0x18}) {
        long base = mmio.read(config(device, register), 4) & ~0xfL;
        assertTrue(base >= MemoryMap.PCI_WINDOW_START && base < MemoryMap.PCI_WINDOW_END);
        assertTrue(places.add(base));
      }
      long port = mmio.read(config(device, 0x20), 4) & ~3L;
      assertTrue(port >= MemoryMap.PCI_PORTS_START && port < MemoryMap.PCI_PORTS_END);
      assertEquals(TestCard.IDENTITY, ports.read(port, 4));
      assertEquals(TestCard.IDENTITY, mmio.read(mmio.read(config(device, 0x10), 4), 4));
    }
  }

  @Test
  void cardsOnOneWireShareALevelTriggeredInterrupt() {
    route(LINK_GSI, 0x51);
    TestCard one = cards.get(0);
    TestCard other = cards.get(4);
    one.raise(true);
    other.raise(true);
    assertEquals(0x51, interrupt(0));
    assertEquals(-1, interrupt(0));
    one.raise(false);
    endOfInterrupt();
    assertEquals(0x51, interrupt(0), "the other still wants it");
    other.raise(false);
    endOfInterrupt();
    assertEquals(-1, interrupt(0));
    cards.get(1).raise(true);
    assertEquals(-1, interrupt(0), "another wire");
  }

  @Test
  void withoutTheIoApicThe8259PairGetsTheInterrupt() {
    assertEquals(11, mmio.read(config(1, 0x3c), 1));
    assertEquals(10, mmio.read(config(2, 0x3c), 1));
    // ICW1 to ICW4 of both, the second at 0x28; level-triggered 10 and 11; all else masked.
    for (int[] write :
        new int[][] {
          {0x20, 0x11},
          {0xa0, 0x11},
          {0x21, 0x20},
          {0xa1, 0x28},
          {0x21, 4},
          {0xa1, 2},
          {0x21, 1},
          {0xa1, 1},
          {0x4d1, 0x0c},
          {0x21, 0xfb},
          {0xa1, 0xf3}
        }) {
      ports.write(write[0], 1, write[1]);
    }
    apic(0).write(0x350, 4, 0x700); // LINT0: ExtINT
    cards.get(0).raise(true);
    cards.get(2).raise(true);
    assertEquals(0x2b, interrupt(0));
    cards.get(0).raise(false);
    ports.write(0xa0, 1, 0x20);
    ports.write(0x20, 1, 0x20);
    assertEquals(0x2b, interrupt(0), "another link, the same input");
    cards.get(2).raise(false);
    ports.write(0xa0, 1, 0x20);
    ports.write(0x20, 1, 0x20);
    assertEquals(-1, interrupt(0));
    cards.get(1).raise(true);
    assertEquals(0x2a, interrupt(0));
  }

  @Test
  void messagesGoToTheProcessorTheyName() {
    message(1, 0xfee0_1000L, 0x61);
    cards.get(0).msix.signal(0);
    assertEquals(-1, interrupt(0));
    assertEquals(0x61, interrupt(1));
    // Flat logical destinations.
    apic(0).write(0xd0, 4, 1 << 24);
    apic(1).write(0xd0, 4, 2 << 24);
    message(2, 0xfee0_0004L | 3 << 12, 0x62);
    cards.get(1).msix.signal(0);
    assertEquals(0x62, interrupt(0));
    assertEquals(-1, interrupt(0));
    apic(1).write(0xb0, 4, 0);
    assertEquals(0x62, interrupt(1));
  }

  @Test
  void aMessageOfLowestPriorityGoesToTheProcessorThatDoesTheLeast() {
    apic(0).write(0xd0, 4, 1 << 24);
    apic(1).write(0xd0, 4, 2 << 24);
    apic(0).setTaskPriority(5);
    message(3, 0xfee0_000cL | 3 << 12, 0x163);
    cards.get(2).msix.signal(0);
    assertEquals(-1, interrupt(0));
    assertEquals(0x63, interrupt(1));
    apic(1).setTaskPriority(7);
    cards.get(2).msix.signal(0);
    assertEquals(0x63, interrupt(0));
  }

  @Test
  void messagesToNobodyAreDropped() {
    message(1, 0x1000, 0x61);
    cards.get(0).msix.signal(0);
    message(1, 0x1_fee0_0000L, 0x61);
    cards.get(0).msix.signal(0);
    assertFalse(apic(0).interruptPending() || apic(1).interruptPending());
    assertEquals(0, memory.readInt(0x1000));
  }

  @Test
  void afterAllSlotsFurtherFunctionsFollow() {
    for (int i = 5; i < 33; i++) {
      board.add(new TestCard());
    }
    assertEquals(0x0de0_1234L, mmio.read(config(31, 0), 4));
    assertEquals(0x0de0_1234L, mmio.read(config(1, 0x1000), 4));
    assertEquals(0x0de0_1234L, mmio.read(config(2, 0x1000), 4));
    assertEquals(0xffff_ffffL, mmio.read(config(3, 0x1000), 4));
    assertEquals(0x80, mmio.read(config(2, 0x0e), 1));
    assertEquals(0, mmio.read(config(3, 0x0e), 1));
  }

  @Test
  void aMachineTakesNoMoreCardsThanThereArePlaces() {
    MachineOptions options =
        MachineOptions.of(4 << 20, InterpreterEngine::new, environment -> null, value -> {});
    for (int i = 0; i < MachineOptions.MAX_CARDS; i++) {
      options = options.withCard(host -> new TestCard());
    }
    MachineOptions full = options;
    assertThrows(IllegalArgumentException.class, () -> full.withCard(host -> new TestCard()));
  }
}
