package dev.bothy.machine.acpi;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.bothy.core.GuestMemory;
import dev.bothy.machine.MachineOptions;
import dev.bothy.machine.MemoryMap;
import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;

class AcpiTablesTest {
  private static final int RSDP_LENGTH = 36;
  private static final int HEADER_LENGTH = 36;
  private static final List<Integer> ALL_DEVICES = IntStream.range(0, 32).boxed().toList();

  private static int sum(GuestMemory memory, long address, int length) {
    int sum = 0;
    for (int i = 0; i < length; i++) {
      sum += memory.readByte(address + i);
    }
    return sum & 0xff;
  }

  private static String signature(GuestMemory memory, long address) {
    byte[] bytes = new byte[4];
    memory.read(address, bytes, 0, 4);
    return new String(bytes, StandardCharsets.US_ASCII);
  }

  /** Address by signature, of what the root table names and what those name. */
  private static Map<String, Long> tables(GuestMemory memory, long rsdp) {
    Map<String, Long> found = new HashMap<>();
    long xsdt = memory.readLong(rsdp + 24);
    found.put(signature(memory, xsdt), xsdt);
    for (int i = HEADER_LENGTH; i < memory.readInt(xsdt + 4); i += 8) {
      long table = memory.readLong(xsdt + i);
      found.put(signature(memory, table), table);
    }
    long dsdt = memory.readLong(found.get("FACP") + 140);
    found.put(signature(memory, dsdt), dsdt);
    return found;
  }

  @Test
  void everyTableAddsUpToZeroAndLiesInTheFirmwareArea() {
    try (GuestMemory memory = new GuestMemory(2 << 20)) {
      long rsdp = AcpiTables.write(memory, MachineOptions.MAX_CPUS, ALL_DEVICES, true, true);
      assertEquals(0, rsdp % 16);
      assertEquals(0, sum(memory, rsdp, 20));
      assertEquals(0, sum(memory, rsdp, RSDP_LENGTH));
      Map<String, Long> tables = tables(memory, rsdp);
      assertEquals(
          java.util.Set.of("XSDT", "FACP", "APIC", "MCFG", "DMAR", "DSDT"), tables.keySet());
      tables.forEach(
          (name, address) -> {
            int length = memory.readInt(address + 4);
            assertEquals(0, sum(memory, address, length), name);
            assertTrue(address >= MemoryMap.FIRMWARE_START, name);
            assertTrue(address + length <= MemoryMap.REAL_MODE_RESET, name);
          });
    }
  }

  @Test
  void theOldRootTableNamesTheSameTables() {
    try (GuestMemory memory = new GuestMemory(2 << 20)) {
      long rsdp = AcpiTables.write(memory, 1, List.of(0), false, false);
      long rsdt = memory.readInt(rsdp + 16);
      long xsdt = memory.readLong(rsdp + 24);
      assertEquals(0, sum(memory, rsdt, memory.readInt(rsdt + 4)));
      for (int i = 0; i < (memory.readInt(xsdt + 4) - HEADER_LENGTH) / 8; i++) {
        assertEquals(
            memory.readLong(xsdt + HEADER_LENGTH + 8L * i),
            memory.readInt(rsdt + HEADER_LENGTH + 4L * i));
      }
    }
  }

  @Test
  void oneLocalApicIsListedForEachProcessor() {
    try (GuestMemory memory = new GuestMemory(2 << 20)) {
      long madt = tables(memory, AcpiTables.write(memory, 3, List.of(0), false, false)).get("APIC");
      int processors = 0;
      int end = memory.readInt(madt + 4);
      int at = 44;
      while (at < end) {
        if (memory.readByte(madt + at) == 0) {
          assertEquals(processors, memory.readByte(madt + at + 3), "APIC id");
          processors++;
        }
        at += memory.readByte(madt + at + 1);
      }
      assertEquals(end, at);
      assertEquals(3, processors);
    }
  }

  @Test
  void lengthsAreEncodedInOneTwoOrThreeBytes() {
    // PkgLength counts itself: 0x3f is the longest of one byte, 0xfff of two.
    assertArrayEquals(
        new byte[] {0x10, 0x3f}, java.util.Arrays.copyOf(Aml.scope("ABCD", new byte[0x3f - 5]), 2));
    assertArrayEquals(
        new byte[] {0x10, 0x41, 0x04},
        java.util.Arrays.copyOf(Aml.scope("ABCD", new byte[0x41 - 6]), 3));
    assertArrayEquals(
        new byte[] {0x10, 0x4f, (byte) 0xff},
        java.util.Arrays.copyOf(Aml.scope("ABCD", new byte[0xfff - 6]), 3));
    assertArrayEquals(
        new byte[] {0x10, (byte) 0x81, 0x00, 0x01},
        java.util.Arrays.copyOf(Aml.scope("ABCD", new byte[0x1001 - 7]), 4));
  }

  @Test
  void eisaIdsAreCompressed() {
    assertArrayEquals(new byte[] {0x0c, 0x41, (byte) 0xd0, 0x0a, 0x03}, Aml.eisaId("PNP0A03"));
  }
}
