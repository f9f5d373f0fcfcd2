package dev.bothy.core;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.bothy.core.Trace.Kind;
import dev.bothy.core.Trace.Range;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.junit.jupiter.api.Test;

class TraceTest {
  private static final long TOP = 0xffff_ffff_8000_0000L;

  private final List<String> lines = new ArrayList<>();

  private Trace trace(Kind kind, Range... ranges) {
    return new Trace(Map.of(kind, List.of(ranges)), lines::add);
  }

  private static final class Register implements BusDevice {
    private long value;

    @Override
    public long read(long offset, int size) {
      return value >>> 8 * offset;
    }

    @Override
    public void write(long offset, int size, long written) {
      value = written;
    }
  }

  @Test
  void filtersByNumbersWithoutASign() {
    Trace trace = trace(Kind.INSTRUCTIONS, new Range(0x1000, 0x1fff), new Range(TOP, TOP + 0xff));
    assertTrue(trace.wants(Kind.INSTRUCTIONS));
    assertFalse(trace.wants(Kind.MMIO));
    assertFalse(trace.wants(Kind.MMIO, 0x1000));
    assertFalse(trace.wants(Kind.INSTRUCTIONS, 0xfff));
    assertTrue(trace.wants(Kind.INSTRUCTIONS, 0x1000));
    assertTrue(trace.wants(Kind.INSTRUCTIONS, 0x1fff));
    assertFalse(trace.wants(Kind.INSTRUCTIONS, 0x2000));
    assertTrue(trace.wants(Kind.INSTRUCTIONS, TOP));
    assertFalse(trace.wants(Kind.INSTRUCTIONS, -1));
    assertTrue(trace.wants(Kind.INSTRUCTIONS, 0xfff, 2), "the last byte of two");
    assertTrue(trace(Kind.MSRS, Range.ALL).wants(Kind.MSRS, -1));
  }

  @Test
  void anAddressSpaceTellsOfEachAccessOnce() {
    AddressSpace space =
        AddressSpace.traced(
            "ports", Optional.of(trace(Kind.PORTS, new Range(0x3f8, 0x3ff))), Kind.PORTS);
    space.map("com1", 0x3f8, 8, new Register());
    Thread.currentThread().setName("bothy-cpu0");
    space.write(0x3f8, 1, 0x141);
    assertEquals(0x41, space.read(0x3f8, 4));
    space.read(0x3fe, 4);
    space.read(0x400, 1);
    space.write(0x3f7, 2, 0xffff);
    assertEquals(
        List.of(
            "0.000000000 cpu0 ports write 0x3f8 size 1 value 0x41 (com1)",
            "0.000000000 cpu0 ports read 0x3f8 size 4 value 0x41 (com1)",
            "0.000000000 cpu0 ports read 0x3fe size 4 value 0xffff0000 (com1)",
            "0.000000000 cpu0 ports write 0x3f7 size 2 value 0xffff (nobody)"),
        lines);
  }

  @Test
  void writesThatAreToldDoNotRingByThemselves() {
    AddressSpace space =
        AddressSpace.traced("mmio", Optional.of(trace(Kind.MMIO, Range.ALL)), Kind.MMIO);
    space.map("bell", 0x1000, 4, new RingingDevice(0, 4));
    space.watchDoorbells(bells -> assertEquals(List.of(), bells));
    space.write(0x1000, 4, 1);
    assertEquals(1, lines.size());
  }

  @Test
  void anAddressSpaceThatNobodyTracesIsAPlainOne() {
    Optional<Trace> trace = Optional.of(trace(Kind.PORTS, Range.ALL));
    assertSame(AddressSpace.class, AddressSpace.traced("mmio", trace, Kind.MMIO).getClass());
    assertSame(
        AddressSpace.class, AddressSpace.traced("ports", Optional.empty(), Kind.PORTS).getClass());
  }

  @Test
  void linesHaveTheMachinesTime() {
    Trace trace = trace(Kind.VIRTIO, Range.ALL).at(new StoppedClock(1_000_000_020L));
    Thread.currentThread().setName("main");
    trace.tell(Kind.VIRTIO, "text");
    assertEquals(List.of("1.000000020 main virtio text"), lines);
  }
}
