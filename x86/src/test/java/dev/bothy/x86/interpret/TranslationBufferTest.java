package dev.bothy.x86.interpret;

import static dev.bothy.host.RawMemory.getLong;
import static dev.bothy.host.RawMemory.putLong;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.bothy.core.GuestMemory;
import dev.bothy.core.cpu.CpuState;
import java.util.HashSet;
import java.util.Set;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** What generated code relies on: words, tags and stack copies in the engine's area. */
class TranslationBufferTest {
  private static final long LINEAR = 0x7fff_1234_5000L;

  private final GuestMemory memory = new GuestMemory(1 << 20);
  private final CpuState cpuState = new CpuState(EngineArea.SIZE);
  private final long state = cpuState.address();
  private final Told told = new Told();
  private final TranslationBuffer buffer = new TranslationBuffer(told, state, memory, true);

  private static final class Told implements TranslationBuffer.Listener {
    int all;
    int spaces;

    @Override
    public void allForgotten() {
      all++;
    }

    @Override
    public void addressSpacesForgotten() {
      spaces++;
    }
  }

  @AfterEach
  void close() {
    buffer.close();
    cpuState.close();
    memory.close();
  }

  private long entry(int kind, long linear) {
    return getLong(state + EngineArea.TLB_KERNEL + 8 * kind)
        + (linear >>> 12 & EngineArea.TLB_ENTRIES - 1) * EngineArea.TLB_ENTRY;
  }

  private long enter(int kind, long linear, long physical, boolean global) {
    long entry = entry(kind, linear);
    long host = memory.regions().get(0).hostAddress() + physical;
    buffer.enter(entry, linear, PagingCpu.WRITE, physical, host, true, global, false);
    return entry;
  }

  private static boolean hits(long entry, int tag, long linear, int size) {
    return Long.compareUnsigned(linear ^ getLong(entry + tag), 4096 - size) <= 0;
  }

  private void fillStackCopies() {
    for (int copy : new int[] {EngineArea.STACK_USER, EngineArea.STACK_KERNEL}) {
      putLong(state + copy, LINEAR);
      putLong(state + copy + 8, 0x1000);
    }
  }

  private boolean emptied(int copy) {
    long tag = getLong(state + copy);
    if (tag == LINEAR) {
      assertEquals(0x1000, getLong(state + copy + 8));
      return false;
    }
    assertNotEquals(tag, tag << 16 >> 16, "no address has this tag");
    assertEquals(0, tag & 0xfff);
    assertEquals(state + EngineArea.SPARE_PAGE, getLong(state + copy + 8));
    return true;
  }

  @Test
  void emptyTagsAreHitByNothing() {
    long span = EngineArea.TLB_ENTRIES * 0x1000L;
    for (int table = 0; table < 1 + 2 * EngineArea.SPACES; table++) {
      for (int index = 0; index < EngineArea.TLB_ENTRIES; index++) {
        long entry =
            state
                + EngineArea.TLB
                + (long) table * EngineArea.TLB_TABLE
                + (long) index * EngineArea.TLB_ENTRY;
        for (long linear : new long[] {0, span, -span, 1L << 47}) {
          for (int tag = 0; tag < EngineArea.TLB_HOST; tag += 8) {
            assertTrue(!hits(entry, tag, linear + index * 0x1000L, 1), "entry " + index);
          }
        }
      }
    }
  }

  /** A kernel with five levels has large pages at the first; programs are at low addresses. */
  @Test
  void largePagesAtFarAddressesKeepNoneAtLowOnesFromBeingForgottenAlone() {
    long far = 0xff11_0000_0000_0000L;
    long host = memory.regions().get(0).hostAddress();
    buffer.enter(entry(PagingCpu.KERNEL, far), far, PagingCpu.READ, 0, host, false, true, true);
    assertTrue(buffer.flushPage(0x40_0000));
    assertTrue(!buffer.flushPage(far));
  }

  @Test
  void anAccessHitsOnlyInsideItsPage() {
    long entry = enter(PagingCpu.USER, LINEAR, 0x3000, false);
    assertTrue(hits(entry, EngineArea.TLB_READ, LINEAR, 8));
    assertTrue(hits(entry, EngineArea.TLB_WRITE, LINEAR + 0xff8, 8));
    assertTrue(!hits(entry, EngineArea.TLB_WRITE, LINEAR + 0xff9, 8));
    assertTrue(!hits(entry, EngineArea.TLB_READ, LINEAR + 0x1000, 1));
    assertTrue(!hits(entry, EngineArea.TLB_FETCH, LINEAR, 1));
  }

  @ParameterizedTest
  @CsvSource({
    // What happens, and which copies it empties: user's, kernel's
    "nothing, false, false",
    "fill, false, false",
    "flushAll, true, true",
    "flush, true, true",
    "switch, true, true",
    "page, true, true",
    "code, true, true",
    "replaceUser, true, false",
    "replaceKernel, false, true"
  })
  void stackCopiesGoWithWhatTheyCopy(String event, boolean user, boolean kernel) {
    enter(PagingCpu.USER, LINEAR, 0x3000, false);
    enter(PagingCpu.KERNEL, LINEAR, 0x3000, true);
    fillStackCopies();
    long other = LINEAR + EngineArea.TLB_ENTRIES * 0x1000L;
    switch (event) {
      case "fill" -> enter(PagingCpu.USER, LINEAR + 0x1000, 0x4000, false);
      case "flushAll" -> buffer.flushAll(0);
      case "flush" -> buffer.switchTo(0, false);
      case "switch" -> buffer.switchTo(1, true);
      case "page" -> assertTrue(buffer.flushPage(LINEAR));
      case "code" -> buffer.dropWritesTo(0x3000, memory.regions().get(0).hostAddress() + 0x3000);
      case "replaceUser" -> enter(PagingCpu.USER, other, 0x5000, false);
      case "replaceKernel" -> enter(PagingCpu.KERNEL, other, 0x5000, false);
      default -> {}
    }
    assertEquals(user, emptied(EngineArea.STACK_USER));
    assertEquals(kernel, emptied(EngineArea.STACK_KERNEL));
  }

  @Test
  void aPageThatBecomesCodeTakesNoStoresThroughAnyTable() {
    long[] entries = new long[10];
    for (int space = 0; space < 8; space++) {
      buffer.switchTo(space, true);
      entries[space] = enter(space % 2 + 1, LINEAR, 0x3000, false);
    }
    entries[8] = enter(PagingCpu.KERNEL, LINEAR, 0x3000, true);
    entries[9] = enter(PagingCpu.KERNEL, 0, 0x3000, true);
    buffer.dropWritesTo(0x3000, memory.regions().get(0).hostAddress() + 0x3000);
    for (int i = 0; i < entries.length; i++) {
      long linear = i == 9 ? 0 : LINEAR;
      assertTrue(hits(entries[i], EngineArea.TLB_READ, linear, 1), "entry " + i);
      assertTrue(!hits(entries[i], EngineArea.TLB_WRITE, linear, 1), "entry " + i);
    }
  }

  @Test
  void numbersComeBackOnlyWithWhatWasKept() {
    int first = buffer.addressSpaceNumber();
    buffer.switchTo(5, true);
    int second = buffer.addressSpaceNumber();
    assertNotEquals(first, second);
    buffer.switchTo(0, true);
    assertEquals(first, buffer.addressSpaceNumber());
    buffer.flushPcid(5);
    buffer.switchTo(5, true);
    assertNotEquals(second, buffer.addressSpaceNumber());
    assertNotEquals(first, buffer.addressSpaceNumber());
    second = buffer.addressSpaceNumber();
    buffer.flushAll(5);
    assertEquals(1, told.all);
    assertNotEquals(second, buffer.addressSpaceNumber());
    buffer.switchTo(0, true);
    assertNotEquals(first, buffer.addressSpaceNumber());
  }

  @Test
  void numbersThatRunOutTakeEverythingWithThem() {
    Set<Integer> seen = new HashSet<>();
    seen.add(buffer.addressSpaceNumber());
    buffer.switchTo(1, true);
    long kept = enter(PagingCpu.USER, LINEAR, 0x3000, false);
    long kernel = enter(PagingCpu.KERNEL, LINEAR, 0x3000, true);
    seen.add(buffer.addressSpaceNumber());
    while (told.spaces == 0) {
      assertTrue(hits(kept, EngineArea.TLB_READ, LINEAR, 1));
      buffer.switchTo(2, false);
      assertTrue(buffer.addressSpaceNumber() > 0 && buffer.addressSpaceNumber() < 2048);
      assertEquals(told.spaces == 0, seen.add(buffer.addressSpaceNumber()));
    }
    assertEquals(2047, seen.size());
    assertTrue(!hits(kept, EngineArea.TLB_READ, LINEAR, 1));
    assertTrue(!hits(kernel, EngineArea.TLB_READ, LINEAR, 1));
    int present = buffer.addressSpaceNumber();
    buffer.switchTo(1, true);
    assertNotEquals(present, buffer.addressSpaceNumber());
  }
}
