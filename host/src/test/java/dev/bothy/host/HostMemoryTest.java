package dev.bothy.host;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.HexFormat;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.parallel.Isolated;

@Isolated("switches native access off for a moment")
class HostMemoryTest {
  @AfterEach
  void nativeAgain() {
    System.clearProperty("bothy.native");
  }

  @Test
  void isZeroFilledAndAligned() {
    checkZeroThenClear();
  }

  @Test
  void worksWithoutNativeCalls() {
    System.setProperty("bothy.native", "off");
    checkZeroThenClear();
  }

  private static void checkZeroThenClear() {
    long size = (4 << 20) + 4096;
    try (HostMemory memory = HostMemory.allocate(size)) {
      assertEquals(size, memory.size());
      assertEquals(0, memory.address() & 0xfff);
      assertEquals(0, memory.segment().get(JAVA_BYTE, size - 1));
      RawMemory.putByte(memory.address() + size - 1, (byte) 7);
      assertEquals(7, memory.segment().get(JAVA_BYTE, size - 1));
      memory.clear();
      assertEquals(0, memory.segment().get(JAVA_BYTE, size - 1));
    }
  }

  @Test
  void moreThanTheHostHasIsRefusedInOneLine() {
    UncheckedIOException refusal =
        assertThrows(UncheckedIOException.class, () -> HostMemory.allocate(1L << 60));
    assertTrue(refusal.getMessage().startsWith("the host has no room for"), refusal::getMessage);
    assertTrue(refusal.getMessage().lines().count() == 1);
  }

  @Test
  void withoutNativeCallsCodeMemoryTellsWhyNot() {
    System.setProperty("bothy.native", "off");
    IOException refusal =
        assertThrows(IOException.class, () -> ExecutableMemory.allocate(4096).close());
    assertTrue(refusal.getMessage().contains("bothy.native"), refusal::getMessage);
  }

  @Test
  void codeRunsWhereItWasWrittenThroughTheOtherView() throws Throwable {
    assumeTrue(ExecutableMemory.refusal().isEmpty());
    try (ExecutableMemory memory = ExecutableMemory.allocate(8192)) {
      // lea rax, [rdi+rsi*2]; ret
      long code = memory.put(4096, HexFormat.of().parseHex("488d0477c3"));
      var function = NativeFunction.at(code, NativeFunction.longs(2));
      assertEquals(47L, (long) function.invokeExact(7L, 20L));
      memory.put(4096, HexFormat.of().parseHex("488d0437c3"));
      assertEquals(27L, (long) function.invokeExact(7L, 20L));
    }
  }
}
