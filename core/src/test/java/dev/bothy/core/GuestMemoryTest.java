package dev.bothy.core;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;

class GuestMemoryTest {
  /** Observers look at the last byte, which is another page's, or none of RAM. */
  @Test
  void writesOfNothingAreToldToNobody() {
    List<String> told = new ArrayList<>();
    try (GuestMemory memory = new GuestMemory(1 << 20)) {
      memory.observeWrites((address, length) -> told.add(address + "+" + length));
      memory.write(0x2000, new byte[0]);
      memory.write(1 << 20, new byte[0]);
      assertEquals(List.of(), told);
      memory.write(0x2000, new byte[3]);
      assertEquals(List.of("8192+3"), told);
    }
  }
}
