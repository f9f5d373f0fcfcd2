package dev.bothy.core;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.TreeSet;
import org.junit.jupiter.api.Test;

class PageSetTest {
  private static List<Long> list(PageSet pages) {
    List<Long> list = new ArrayList<>();
    pages.forEach(list::add);
    return list;
  }

  @Test
  void hasWhatWasAdded() {
    Random random = new Random(7);
    for (int round = 0; round < 200; round++) {
      int limit = 1 + random.nextInt(300);
      PageSet pages = new PageSet(limit);
      TreeSet<Long> expected = new TreeSet<>();
      for (int i = 0; i < 5; i++) {
        long first = random.nextInt(limit + 10);
        long more = random.nextInt(150);
        pages.add(first, more);
        for (long page = first; page <= first + more && page < limit; page++) {
          expected.add(page);
        }
      }
      assertEquals(new ArrayList<>(expected), list(pages));
      assertEquals(expected.size(), pages.size());
      for (long page = -1; page <= limit; page++) {
        assertEquals(expected.contains(page), pages.contains(page));
      }
    }
  }

  @Test
  void drainingMovesAll() {
    PageSet from = new PageSet(130);
    PageSet to = new PageSet(130);
    from.add(63, 1);
    from.add(129, 0);
    to.add(5, 0);
    from.drainTo(to);
    assertEquals(List.of(5L, 63L, 64L, 129L), list(to));
    assertEquals(0, from.size());
    assertFalse(from.contains(64));
  }

  @Test
  void writesOfDevicesAndVcpusAreTakenTogetherUntilItIsClosed() {
    try (GuestMemory memory = new GuestMemory(1 << 20)) {
      List<String> calls = new ArrayList<>();
      DirtyLog log =
          new DirtyLog() {
            @Override
            public void begin() {
              calls.add("begin");
            }

            @Override
            public void collect(PageSet pages) {
              pages.add(200, 0);
            }

            @Override
            public void end() {
              calls.add("end");
            }
          };
      WrittenPages written = new WrittenPages(memory, log);
      memory.writeLong(0x1ffc, 1);
      memory.writeByte(1 << 20, 1);
      assertEquals(List.of(1L, 2L, 200L), list(written.take()));
      written.close();
      assertEquals(List.of("begin", "end"), calls);
      memory.writeByte(0, 1);
      assertTrue(!written.take().contains(0));
    }
  }
}
