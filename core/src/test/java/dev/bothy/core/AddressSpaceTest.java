package dev.bothy.core;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.function.Consumer;
import org.junit.jupiter.api.Test;

class AddressSpaceTest {
  private final AddressSpace space = new AddressSpace("test");

  /** Reads its number in the high half of a byte and the offset in the low half. */
  private record Numbered(int number, List<String> written) implements BusDevice {
    Numbered(int number) {
      this(number, new ArrayList<>());
    }

    @Override
    public long read(long offset, int size) {
      long value = 0;
      for (int i = 0; i < size; i++) {
        value |= (number << 4 | offset + i & 0xf) << (8 * i);
      }
      return value;
    }

    @Override
    public void write(long offset, int size, long value) {
      written.add(offset + ":" + size + "=" + Long.toHexString(value));
    }
  }

  @Test
  void nothingThereReadsAllOnes() {
    assertEquals(0xffff, space.read(0x100, 2));
    assertEquals(-1, space.read(0x100, 8));
    assertEquals(0xff, space.read(-1, 1));
    space.write(0x100, 4, 1);
    assertEquals(3, space.unclaimedReads());
    assertEquals(1, space.unclaimedWrites());
  }

  @Test
  void theLastMappedWinsAmongEqualsAndTheHighestRankAmongAll() {
    AddressSpace.Mapping wide = space.map("wide", 0x100, 0x100, new Numbered(1));
    AddressSpace.Mapping later = space.map("later", 0x140, 0x10, new Numbered(2));
    space.map("low", 0x130, 0x100, new Numbered(3), -1);
    assertEquals(0x10, space.read(0x100, 1));
    assertEquals(0x20, space.read(0x140, 1));
    assertEquals(0x10, space.read(0x150, 1));
    assertEquals(0x30, space.read(0x200, 1));
    wide.moveTo(0x100);
    assertEquals(0x10, space.read(0x140, 1));
    wide.unmap();
    wide.unmap();
    assertSame(later, space.find(0x140));
    assertEquals(0x30, space.read(0x150, 1));
    assertNull(space.find(0x100));
  }

  @Test
  void accessesOverTheEndOfARangeGoToBothSides() {
    Numbered low = new Numbered(1);
    Numbered next = new Numbered(2);
    space.map("low", 0x100, 0x10, low);
    space.map("next", 0x110, 4, next);
    assertEquals(0x2120_1f1eL, space.read(0x10e, 4));
    assertEquals(0xffff_2322L, space.read(0x112, 4));
    assertEquals(0x1110_ffffL, space.read(0xfe, 4));
    space.write(0x10f, 2, 0xbbaa);
    assertEquals(List.of("15:1=aa"), low.written);
    assertEquals(List.of("0:1=bb"), next.written);
    space.write(0x110, 4, 0x1234_5678_9abcL);
    assertEquals("0:4=56789abc", next.written.get(1));
  }

  /** The address register of PCI and the reset control register in the middle of it. */
  @Test
  void aRangeInsideAnotherTakesOnlyAccessesThatBeginInIt() {
    space.map("outer", 0x100, 8, new Numbered(1));
    space.map("inner", 0x101, 1, new Numbered(2));
    assertEquals(0x1312_1110L, space.read(0x100, 4));
    assertEquals(0x20, space.read(0x101, 1));
    assertEquals(0x1220, space.read(0x101, 2));
  }

  @Test
  void aRangeMustNotBeEmptyOrWrapAround() {
    assertThrows(IllegalArgumentException.class, () -> space.map("x", 0, 0, new Numbered(0)));
    assertThrows(IllegalArgumentException.class, () -> space.map("x", -1, 1, new Numbered(0)));
    assertThrows(
        IllegalArgumentException.class, () -> space.map("x", Long.MAX_VALUE, 1, new Numbered(0)));
    space.map("all", 0, Long.MAX_VALUE, new Numbered(1));
    assertEquals(0x1e, space.read(Long.MAX_VALUE - 1, 1));
  }

  /** Against asking every range in turn. */
  @Test
  void manyOverlappingRangesAnswerAsOneByOne() {
    Random random = new Random(7);
    List<AddressSpace.Mapping> mapped = new ArrayList<>();
    List<Integer> ranks = new ArrayList<>();
    for (int round = 0; round < 300; round++) {
      if (random.nextInt(3) > 0 || mapped.isEmpty()) {
        int rank = random.nextInt(3) - 1;
        int base = random.nextInt(200);
        mapped.add(space.map("m", base, 1 + random.nextInt(60), new Numbered(1), rank));
        ranks.add(rank);
      } else {
        int victim = random.nextInt(mapped.size());
        mapped.remove(victim).unmap();
        ranks.remove(victim);
      }
      for (int address = 0; address < 270; address++) {
        AddressSpace.Mapping best = null;
        int bestRank = -9;
        for (int i = 0; i < mapped.size(); i++) {
          AddressSpace.Mapping m = mapped.get(i);
          if (address >= m.base() && address < m.base() + m.length() && ranks.get(i) >= bestRank) {
            best = m;
            bestRank = ranks.get(i);
          }
        }
        assertSame(best, space.find(address));
      }
    }
  }

  @Test
  void watchersKnowWhereDoorbellsAreReached() {
    List<Long> seen = new ArrayList<>();
    Consumer<List<AddressSpace.PlacedDoorbell>> watcher =
        bells -> {
          seen.clear();
          bells.forEach(placed -> seen.add(placed.address()));
        };
    RingingDevice device = new RingingDevice(8, 2);
    AddressSpace.Mapping range = space.map("bell", 0x100, 16, device);
    space.watchDoorbells(watcher);
    assertEquals(List.of(0x108L), seen);
    range.moveTo(0x200);
    assertEquals(List.of(0x208L), seen);
    AddressSpace.Mapping cover = space.map("cover", 0x208, 1, new Numbered(1));
    assertEquals(List.of(), seen);
    cover.unmap();
    assertEquals(List.of(0x208L), seen);
    new AddressSpace.PlacedDoorbell(device.bell, 0x208, range).ring(3);
    assertEquals(1, device.rung.get());
    assertEquals(3, range.writes());
    range.unmap();
    assertEquals(List.of(), seen);
    space.forget(watcher);
    range.moveTo(0x100);
    assertEquals(List.of(), seen);
  }
}
