package dev.bothy;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class MemorySizeTest {
  @ParameterizedTest
  @CsvSource({
    "0,0",
    "1,1",
    "4K,4096",
    "512m,536870912",
    "1G,1073741824",
    "2GiB,2147483648",
    "1T,1099511627776"
  })
  void unitsArePowersOfTwo(String text, long bytes) {
    assertEquals(bytes, MemorySize.parse(text));
  }

  @ParameterizedTest
  @ValueSource(strings = {"", "G", "1P", "-1", "1.5G", "0x10", "1 G", "99999999999G", "1e9"})
  void everythingElseIsRefused(String text) {
    assertThrows(IllegalArgumentException.class, () -> MemorySize.parse(text));
  }

  @Test
  void sizesAreShownInTheLargestWholeUnit() {
    assertEquals("1 GiB", MemorySize.format(1L << 30));
    assertEquals("1536 MiB", MemorySize.format(1536L << 20));
    assertEquals("4097 bytes", MemorySize.format(4097));
    assertEquals("1 byte", MemorySize.format(1));
    assertEquals("0 bytes", MemorySize.format(0));
  }
}
