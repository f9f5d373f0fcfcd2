package dev.bothy.device;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.bothy.core.AddressSpace;
import dev.bothy.core.state.StateException;
import dev.bothy.device.interrupt.LocalApic;
import dev.bothy.device.pci.PciFunction;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;

/** A guest that pokes every register of every device with every width. */
class HostileGuestTest {
  private static final int[] PORT_SIZES = {1, 2, 4};
  private static final int[] MEMORY_SIZES = {1, 2, 4, 8};

  private final Random random = new Random(20260314);

  private long value() {
    return switch (random.nextInt(4)) {
      case 0 -> random.nextLong();
      case 1 -> 1L << random.nextInt(64);
      case 2 -> random.nextInt(256);
      default -> random.nextBoolean() ? -1 : 0;
    };
  }

  private void poke(TestBoard board) {
    boolean memory = random.nextInt(3) == 0;
    AddressSpace space = memory ? board.mmio : board.ports;
    List<AddressSpace.Mapping> all = space.mappings();
    AddressSpace.Mapping range = all.get(random.nextInt(all.size()));
    long at = range.base() + random.nextLong(Math.min(range.length(), 0x1000) + 2) - 1;
    if (range.device().equals("ecam") && random.nextBoolean()) {
      at = range.base() + TestBoard.CARD_PLACE + random.nextInt(PciFunction.CONFIG_SIZE);
    }
    if (memory && random.nextBoolean()) {
      at &= ~0xfL;
    }
    int size = memory ? MEMORY_SIZES[random.nextInt(4)] : PORT_SIZES[random.nextInt(3)];
    if (random.nextBoolean()) {
      space.write(at, size, value());
    } else {
      space.read(at, size);
    }
  }

  private void step(TestBoard board) {
    poke(board);
    LocalApic apic = board.bus.localApic(random.nextInt(2));
    switch (random.nextInt(64)) {
      case 0 -> board.clock.advance(random.nextInt(10_000_000));
      case 1 -> board.clock.oversleep(random.nextInt(1_000_000_000));
      case 2 -> board.resets.get(random.nextInt(board.resets.size())).run();
      case 3, 4, 5 -> {
        apic.writeMsr(0x800 + random.nextInt(0x40), value());
        apic.readMsr(0x800 + random.nextInt(0x100));
      }
      case 6 -> apic.setApicBase(0xfee0_0000L | random.nextInt(16) << 8);
      case 7 -> apic.writeMsr(0x6e0, value());
      case 8 -> apic.setTscOffset(value());
      case 9 -> board.bus.send(0xfee0_0000L | random.nextInt(1 << 20), (int) value());
      case 10 -> board.uart.offer(new byte[300], 0, random.nextInt(300));
      case 11 -> apic.init();
      case 12 -> board.card.raise(random.nextBoolean());
      case 13 -> board.card.msix.signal(random.nextInt(72));
      case 14 -> board.card.msi.signal(random.nextInt(9));
      default -> {
        if (apic.interruptPending()) {
          int vector = apic.acknowledge();
          assertTrue(vector >= -1 && vector < 256);
        }
      }
    }
  }

  @Test
  void nothingEscapesFromAnyDevice() {
    TestBoard board = new TestBoard();
    for (int i = 0; i < 300_000; i++) {
      step(board);
    }
    assertTrue(board.uart.room() >= 0);
  }

  @Test
  void timersFireNoMoreOftenThanTheirBound() {
    TestBoard board = new TestBoard();
    for (int i = 0; i < 50_000; i++) {
      step(board);
      if (i % 1000 == 0) {
        // Two local APICs at 20 us, the counter at 50 us, the clock at 122 us, the rest seldom.
        assertTrue(board.clock.advance(10_000_000) < 2 * 500 + 200 + 82 + 50);
      }
    }
  }

  @Test
  void aSavedBoardGoesOnAlikeWhenLoaded() throws StateException {
    for (int round = 0; round < 30; round++) {
      TestBoard board = new TestBoard();
      for (int i = 0; i < 3_000; i++) {
        step(board);
      }
      board.clock.advance(1);
      TestBoard other = new TestBoard();
      other.clock.advance(board.clock.nanos());
      List<byte[]> saved = board.save();
      other.load(saved);
      assertSame(board, saved, other.save());
      long seed = random.nextLong();
      random.setSeed(seed);
      long reads = run(board);
      random.setSeed(seed);
      assertEquals(reads, run(other));
      assertSame(board, board.save(), other.save());
    }
  }

  private long run(TestBoard board) {
    long hash = 0;
    for (int i = 0; i < 500; i++) {
      board.clock.advance(random.nextInt(100_000));
      long at = List.of(0x20L, 0x40L, 0x60L, 0x70L, 0x3f8L, 0x600L).get(random.nextInt(6));
      at += random.nextInt(6);
      if (random.nextInt(3) == 0) {
        board.ports.write(at, 1, random.nextInt(256));
      } else {
        hash = hash * 31 + board.ports.read(at, 1);
      }
      if (board.bus.localApic(0).interruptPending()) {
        hash = hash * 31 + board.bus.localApic(0).acknowledge();
        board.mmio.write(0xfee0_00b0L, 4, 0);
      }
    }
    return hash;
  }

  private static void assertSame(TestBoard board, List<byte[]> expected, List<byte[]> actual) {
    for (int i = 0; i < expected.size(); i++) {
      assertArrayEquals(expected.get(i), actual.get(i), board.stateful.get(i).stateName());
    }
  }

  @Test
  void damagedStateIsRefusedOrHarmless() {
    TestBoard board = new TestBoard();
    for (int i = 0; i < 2_000; i++) {
      step(board);
    }
    List<byte[]> saved = board.save();
    for (int round = 0; round < 300; round++) {
      TestBoard other = new TestBoard();
      List<byte[]> damaged = saved.stream().map(byte[]::clone).toList();
      for (byte[] section : damaged) {
        if (random.nextBoolean()) {
          section[random.nextInt(section.length)] ^= (byte) (1 << random.nextInt(8));
        }
      }
      try {
        other.load(damaged);
      } catch (StateException e) {
        continue;
      }
      for (int i = 0; i < 300; i++) {
        step(other);
      }
    }
  }
}
