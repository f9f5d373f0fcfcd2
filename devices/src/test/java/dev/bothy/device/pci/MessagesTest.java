package dev.bothy.device.pci;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.bothy.core.AddressSpace;
import dev.bothy.core.state.StateException;
import dev.bothy.core.state.StateReader;
import dev.bothy.core.state.StateWriter;
import dev.bothy.device.TestWire;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** MSI and MSI-X as a guest programs them. */
class MessagesTest {
  private static final int VECTORS = 70;
  private static final long TABLE = 0xd000_0000L;
  private static final int MEMORY_AND_MASTER = 6;

  private final AddressSpace ports = new AddressSpace("ports");
  private final AddressSpace mmio = new AddressSpace("mmio");
  private final List<String> sent = new ArrayList<>();
  private final PciHost host =
      new PciHost(
          ports,
          mmio,
          (address, data) -> sent.add(Long.toHexString(address) + "=" + Integer.toHexString(data)));
  private final Card card = new Card();
  private final TestWire wire = new TestWire();
  private int msi;
  private int msix;

  private static final class Card extends PciFunction {
    final Msi msi = addMsi(8);
    final Msix msix = addMsix(2, VECTORS);

    Card() {
      super("card", 0x1234, 0x5678, 1, 0xff0000);
      setInterruptPin(0);
    }

    void raise(boolean high) {
      interrupt(high);
    }
  }

  @BeforeEach
  void plug() {
    card.connectInterrupt(wire, 10);
    host.add(1, 0, card);
    card.reset();
    msi = (int) card.readConfig(0x34, 1);
    msix = (int) card.readConfig(msi + 1, 1);
    card.writeConfig(0x18, 4, TABLE);
    card.writeConfig(4, 2, MEMORY_AND_MASTER);
  }

  private List<String> sent() {
    List<String> now = List.copyOf(sent);
    sent.clear();
    return now;
  }

  /** Fills in entry {@code vector}: a message to its own address, data 0x40 and the number. */
  private void program(int vector, boolean masked) {
    long entry = TABLE + 16L * vector;
    mmio.write(entry, 4, 0xfee0_0000L + (vector << 12));
    mmio.write(entry + 4, 4, 0);
    mmio.write(entry + 8, 4, 0x40 + vector);
    mmio.write(entry + 12, 4, masked ? 1 : 0);
  }

  private void control(int value) {
    card.writeConfig(msix + 2, 2, value);
  }

  private boolean pending(int vector) {
    long at = TABLE + (card.readConfig(msix + 8, 4) & ~7L) + vector / 8;
    return (mmio.read(at, 1) >> vector % 8 & 1) != 0;
  }

  @Test
  void theCapabilityTellsSizeAndPlaceOfTableAndPendingBits() {
    assertEquals(0x11, card.readConfig(msix, 1));
    assertEquals(VECTORS - 1, card.readConfig(msix + 2, 2));
    assertEquals(2, card.readConfig(msix + 4, 4));
    assertEquals(0x802, card.readConfig(msix + 8, 4));
    control(0xffff);
    assertEquals(0xc000 | VECTORS - 1, card.readConfig(msix + 2, 2));
    card.writeConfig(0x18, 4, -1);
    assertEquals(0xffff_f000L, card.readConfig(0x18, 4));
  }

  @Test
  void aLargeTableGetsAsMuchRoomAsItNeeds() {
    Msix large = new Msix(Msix.MAX_VECTORS);
    assertEquals(0x8000, large.pendingOffset());
    assertEquals(0x1_0000, large.rangeSize());
    assertEquals(4096, new Msix(128).rangeSize());
    assertEquals(8192, new Msix(129).rangeSize());
    assertThrows(IllegalArgumentException.class, () -> new Msix(2049));
    assertThrows(IllegalArgumentException.class, () -> new Msix(0));
  }

  @Test
  void entriesAreMaskedAfterReset() {
    assertEquals(1, mmio.read(TABLE + 12, 4));
    mmio.write(TABLE, 8, -1);
    mmio.write(TABLE + 8, 8, -1);
    assertEquals(0xffff_ffff_ffff_fffcL, mmio.read(TABLE, 8));
    assertEquals(0x1_ffff_ffffL, mmio.read(TABLE + 8, 8));
    card.reset();
    card.writeConfig(0x18, 4, TABLE);
    card.writeConfig(4, 2, MEMORY_AND_MASTER);
    assertEquals(0, mmio.read(TABLE, 8));
    assertEquals(0x1_0000_0000L, mmio.read(TABLE + 8, 8));
  }

  @Test
  void eachVectorSendsItsOwnMessage() {
    program(0, false);
    program(69, false);
    card.msix.signal(0);
    assertEquals(List.of(), sent(), "off");
    control(0x8000);
    assertEquals(List.of(), sent(), "nothing is kept while it is off");
    card.msix.signal(69);
    card.msix.signal(0);
    card.msix.signal(0);
    card.msix.signal(70);
    card.msix.signal(-1);
    card.msix.signal(0xffff);
    assertEquals(List.of("fee45000=85", "fee00000=40", "fee00000=40"), sent());
  }

  @Test
  void aMaskedVectorIsSentOnceWhenItsMaskGoes() {
    program(3, true);
    program(65, true);
    control(0x8000);
    card.msix.signal(3);
    card.msix.signal(3);
    card.msix.signal(65);
    assertTrue(pending(3) && pending(65));
    assertFalse(pending(4));
    mmio.write(TABLE + 65 * 16 + 12, 4, 0);
    assertEquals(List.of("fee41000=81"), sent());
    assertFalse(pending(65));
    mmio.write(TABLE + 3 * 16 + 8, 1, 0x99);
    assertEquals(List.of(), sent());
    mmio.write(TABLE + 3 * 16 + 12, 1, 0xfe);
    assertEquals(List.of("fee03000=99"), sent());
    assertFalse(pending(3));
  }

  @Test
  void theFunctionMaskHoldsAllAndLetsThemGo() {
    program(0, false);
    program(1, true);
    program(64, false);
    control(0xc000);
    card.msix.signal(64);
    card.msix.signal(1);
    card.msix.signal(0);
    assertEquals(List.of(), sent());
    control(0x8000);
    assertEquals(List.of("fee00000=40", "fee40000=80"), sent());
    assertTrue(pending(1));
    control(0);
    assertFalse(pending(1));
  }

  @Test
  void nothingIsSentByAFunctionThatMustNotMasterTheBus() {
    program(0, false);
    control(0x8000);
    card.writeConfig(4, 2, 2);
    card.msix.signal(0);
    assertEquals(List.of(), sent());
    card.writeConfig(4, 2, MEMORY_AND_MASTER);
    assertEquals(List.of("fee00000=40"), sent());
  }

  @Test
  void thePinIsSilentWhileThereAreMessages() {
    card.raise(true);
    assertTrue(wire.high);
    control(0x8000);
    assertFalse(wire.high);
    control(0);
    assertTrue(wire.high);
    card.writeConfig(msi + 2, 2, 1);
    assertFalse(wire.high);
  }

  @Test
  void messagesOfMsiFoldOverToHowManyAreAllowed() {
    assertEquals(0x0186, card.readConfig(msi + 2, 2));
    card.writeConfig(msi + 4, 8, 0x1_fee0_3003L);
    card.writeConfig(msi + 12, 2, 0x4f);
    card.msi.signal(0);
    assertEquals(List.of(), sent());
    card.writeConfig(msi + 2, 2, 0x21); // four of eight
    card.msi.signal(0);
    card.msi.signal(6);
    card.msi.signal(8);
    assertEquals(List.of("1fee03000=4c", "1fee03000=4e"), sent());
    card.writeConfig(msi + 2, 2, 0x71); // more than there are
    card.msi.signal(7);
    assertEquals(List.of("1fee03000=4f"), sent());
  }

  @Test
  void maskedMessagesOfMsiWait() {
    card.writeConfig(msi + 4, 8, 0xfee0_0000L);
    card.writeConfig(msi + 12, 2, 0x40);
    card.writeConfig(msi + 2, 2, 0x31);
    card.writeConfig(msi + 16, 4, -1);
    assertEquals(0xff, card.readConfig(msi + 16, 4));
    card.msi.signal(1);
    card.msi.signal(7);
    assertEquals(0x82, card.readConfig(msi + 20, 4));
    card.writeConfig(msi + 16, 4, 0x80);
    assertEquals(List.of("fee00000=41"), sent());
    assertEquals(0x80, card.readConfig(msi + 20, 4));
    card.writeConfig(msi + 2, 2, 0);
    assertEquals(0, card.readConfig(msi + 20, 4));
  }

  @Test
  void whatIsMaskedAndPendingIsSaved() throws StateException {
    program(2, true);
    program(69, false);
    control(0xc000);
    card.msix.signal(2);
    card.msix.signal(69);
    StateWriter out = new StateWriter();
    card.save(out);
    Card other = new Card();
    PciHost otherHost = new PciHost(ports, mmio, host.upstream());
    otherHost.add(1, 0, other);
    StateReader in = new StateReader(other.stateName(), out.toByteArray());
    other.load(in);
    in.end();
    StateWriter again = new StateWriter();
    other.save(again);
    assertArrayEquals(out.toByteArray(), again.toByteArray());
    assertEquals(List.of(), sent());
    other.writeConfig(msix + 2, 2, 0x8000);
    assertEquals(List.of("fee45000=85"), sent());
  }

  @Test
  void garbageInTableAndRegistersNeverEscapes() {
    Random random = new Random(11);
    int[] sizes = {1, 2, 4, 8};
    for (int i = 0; i < 200_000; i++) {
      int size = sizes[random.nextInt(4)];
      long at = TABLE - 8 + random.nextInt(4096 + 16);
      switch (random.nextInt(8)) {
        case 0, 1, 2 -> mmio.write(at, size, random.nextLong());
        case 3 -> mmio.read(at, size);
        case 4 -> card.writeConfig(msi + random.nextInt(32), size, random.nextLong());
        case 5 -> card.msi.signal(random.nextInt(34) - 1);
        case 6 -> card.writeConfig(4, 2, random.nextBoolean() ? 2 : 6);
        default -> card.msix.signal(random.nextInt(VECTORS + 2) - 1);
      }
    }
    assertTrue(sent().size() > 1000);
  }
}
