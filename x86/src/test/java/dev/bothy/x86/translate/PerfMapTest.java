package dev.bothy.x86.translate;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class PerfMapTest {
  /** As perf reads it: start and size in hexadecimal, and the rest of the line. */
  private static final Pattern LINE = Pattern.compile("([0-9a-f]+) ([0-9a-f]+) (\\S.*)");

  private record Entry(long start, long size, String name) {}

  @TempDir Path folder;

  private static List<Entry> read(Path file) throws IOException {
    List<Entry> entries = new ArrayList<>();
    for (String line : Files.readAllLines(file)) {
      Matcher m = LINE.matcher(line);
      assertTrue(m.matches(), line);
      entries.add(
          new Entry(
              Long.parseUnsignedLong(m.group(1), 16),
              Long.parseUnsignedLong(m.group(2), 16),
              m.group(3)));
    }
    return entries;
  }

  private static void failOn(String trouble) {
    throw new AssertionError(trouble);
  }

  @Test
  void namesEachBlockAsSoonAsItIsMade() throws IOException {
    Path file = Files.writeString(folder.resolve("perf.map"), "what was there before");
    Path systemMap =
        Files.writeString(
            folder.resolve("System.map"), "ffffffff81000100 T start\nffffffff81000800 t other\n");
    GuestSymbols symbols = GuestSymbols.read(systemMap);
    try (var page = new TranslatedPage(new PerfMap(file, symbols, PerfMapTest::failOn))) {
      List<Entry> stubs = read(file);
      TranslatedBlock kernel = page.translate(0xffff_ffff_8100_0123L, Mode.LONG, "4801d8 c3");
      List<Entry> entries = read(file);
      assertEquals(stubs.size() + 1, entries.size());
      Entry entry = entries.getLast();
      assertEquals("start+0x23 [guest kernel]", entry.name());
      assertEquals(kernel.hostBytes, entry.size());
      assertTrue(kernel.farEntry >= entry.start(), "all entries are inside");
      assertTrue(kernel.stale < entry.start() + entry.size(), "and all ways out");

      page.translate(0x40_1000, Mode.LONG | Mode.USER, "ffc0 c3");
      page.translate(0x804_8200, Mode.USER | Mode.FLAT_FS_GS, "40 c3");
      page.translate(0xffff_ffff_8100_0800L, Mode.LONG, "ffc1 c3");
      entries = read(file);
      assertEquals(
          List.of("0x401000 [guest user]", "0x8048200 [guest user 32-bit]", "other [guest kernel]"),
          entries.subList(stubs.size() + 1, entries.size()).stream().map(Entry::name).toList());

      // Shared code comes first, everything has a size, and nothing overlaps.
      assertTrue(stubs.stream().allMatch(stub -> stub.name().endsWith(" [bothy]")));
      assertTrue(stubs.stream().anyMatch(stub -> stub.name().startsWith("leave: interpreter")));
      for (int i = 0; i < entries.size(); i++) {
        assertTrue(entries.get(i).size() > 0, entries.get(i).toString());
        if (i > 0) {
          Entry before = entries.get(i - 1);
          assertTrue(before.start() + before.size() <= entries.get(i).start(), before.toString());
        }
      }
    }
  }

  @Test
  void keepsNamesOfCodeThatWasThrownAway() throws IOException {
    Path file = folder.resolve("perf.map");
    try (var page = new TranslatedPage(new PerfMap(file, GuestSymbols.NONE, PerfMapTest::failOn))) {
      page.translate(0x1000, Mode.LONG, "ffc0 c3");
      page.clear();
      page.translate(0x2000, Mode.LONG, "ffc1 c3");
      List<Entry> entries = read(file);
      Entry older = entries.get(entries.size() - 2);
      assertEquals("0x1000 [guest kernel]", older.name());
      assertEquals("0x2000 [guest kernel]", entries.getLast().name());
      assertEquals(older.start(), entries.getLast().start());
    }
  }

  @Test
  void tellsOnceThatTheDiskIsFull() throws IOException {
    List<String> troubles = new ArrayList<>();
    Path full = Path.of("/dev/full");
    if (!Files.exists(full)) {
      return;
    }
    try (var page = new TranslatedPage(new PerfMap(full, GuestSymbols.NONE, troubles::add))) {
      assertEquals(1, troubles.size());
      assertTrue(page.translate(0x1000, Mode.LONG, "ffc0 c3").valid());
    }
    assertEquals(1, troubles.size(), troubles.toString());
  }

  @Test
  void symbolsComeFromSystemMapOrKallsyms() throws IOException {
    Path file =
        Files.writeString(
            folder.resolve("kallsyms"),
            """
            0000000000000000 A fixed_percpu_data
            ffffffff81000000 T startup_64
            ffffffff81000040 t inner
            ffffffff81000040 t alias
            ffffffff81000060 d data
            ffffffffc0001000 t module_function\t[some_module]
            """);
    GuestSymbols symbols = GuestSymbols.read(file);
    assertEquals("startup_64", symbols.nearest(0xffff_ffff_8100_0000L));
    assertEquals("startup_64+0x3f", symbols.nearest(0xffff_ffff_8100_003fL));
    assertEquals("inner+0x30", symbols.nearest(0xffff_ffff_8100_0070L));
    assertEquals("module_function+0x1", symbols.nearest(0xffff_ffff_c000_1001L));
    assertEquals(null, symbols.nearest(0xffff_ffff_80ff_ffffL), "before the first");
    assertEquals(null, symbols.nearest(0xffff_ffff_9000_0000L), "far behind any");
    assertEquals(null, symbols.nearest(0x40_1000), "user");
    assertEquals(0xffff_ffff_8100_0040L, symbols.address("alias").getAsLong());
    assertTrue(symbols.address("data").isEmpty());
  }

  @Test
  void filesWithoutSymbolsAreRefused() throws IOException {
    // What /boot has on Debian, and kallsyms as anybody may read it.
    Path dummy =
        Files.writeString(
            folder.resolve("dummy"),
            "ffffffffffffffff B The real System.map is in the linux-image-amd64-dbg package\n");
    assertThrows(IOException.class, () -> GuestSymbols.read(dummy));
    Path zeros =
        Files.writeString(
            folder.resolve("zeros"), "0000000000000000 T one\n0000000000000000 T two\n");
    assertThrows(IOException.class, () -> GuestSymbols.read(zeros));
    assertThrows(IOException.class, () -> GuestSymbols.read(folder.resolve("missing")));
  }
}
