package dev.bothy.device.pci;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;

import dev.bothy.core.AddressSpace;
import dev.bothy.core.BusDevice;
import java.util.List;
import org.junit.jupiter.api.Test;

class BarAllocatorTest {
  private final AddressSpace ports = new AddressSpace("ports");
  private final AddressSpace mmio = new AddressSpace("mmio");
  private final PciHost host = new PciHost(ports, mmio, (address, data) -> {});
  private final BarAllocator allocator =
      new BarAllocator(
          new BarAllocator.Window(0xc000, 0xc040),
          new BarAllocator.Window(0xc000_0000L, 0xc020_0000L),
          new BarAllocator.Window(0x80_0000_0000L, 0x80_8000_0000L));

  private static final class Card extends PciFunction implements BusDevice {
    Card() {
      super("card", 0x1234, 0x5678, 1, 0xff0000);
    }

    Card ports(int index, long size) {
      addPortBar(index, size, this);
      return this;
    }

    Card memory(int index, long size, boolean wide) {
      addMemoryBar(index, size, wide, wide, this);
      return this;
    }

    @Override
    public long read(long offset, int size) {
      return offset;
    }

    @Override
    public void write(long offset, int size, long value) {}
  }

  private Card add(int device, Card card) {
    host.add(device, 0, card);
    return card;
  }

  private static long bar(PciFunction card, int index, int size) {
    return card.readConfig(0x10 + 4 * index, size);
  }

  @Test
  void theLargestComesFirstAndEachIsAligned() {
    Card one = add(1, new Card().ports(0, 32).memory(1, 4096, false));
    Card two = add(2, new Card().memory(0, 1 << 20, false).memory(2, 1 << 16, true).ports(5, 4));
    allocator.assign(host.functions());
    assertEquals(0xc001, bar(one, 0, 4));
    assertEquals(0xc011_0000L, bar(one, 1, 4));
    assertEquals(0xc000_0000L, bar(two, 0, 4));
    assertEquals(0xc010_000cL, bar(two, 2, 8));
    assertEquals(0xc021, bar(two, 5, 4));
    assertEquals(0x10, mmio.read(0xc011_0010L, 1));
    assertEquals(3, ports.read(0xc023, 1));
    assertEquals(3, one.readConfig(4, 2));
  }

  @Test
  void wideRangesWithoutRoomBelowGoAbove() {
    Card one = add(1, new Card().memory(0, 1 << 30, true).memory(2, 1 << 20, true));
    allocator.assign(host.functions());
    assertEquals(0x80_0000_000cL, bar(one, 0, 8));
    assertEquals(0xc000_000cL, bar(one, 2, 8));
  }

  @Test
  void aFunctionWithoutRoomStaysOff() {
    Card one = add(1, new Card().memory(0, 1 << 22, false).ports(1, 16));
    Card two = add(2, new Card().ports(0, 16));
    allocator.assign(host.functions());
    assertEquals(0, bar(one, 0, 4));
    assertEquals(0, one.readConfig(4, 2));
    assertEquals(3, two.readConfig(4, 2));
    assertNull(mmio.find(0));
    assertEquals(List.of(two.stateName()), names(ports));
  }

  private static List<String> names(AddressSpace space) {
    return space.mappings().stream().map(AddressSpace.Mapping::device).toList();
  }
}
