package dev.bothy.x86.translate;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;

class BlockListingTest {
  private static final long KERNEL = 0xffff_ffff_8100_0120L;

  /** add rax,rbx; mov ecx,[rdi+8]; nop; jmp to the start. */
  private static final String CODE = "4801d8 8b4f08 90 ebf7";

  private static BlockListing listing(long wanted, List<String> texts) {
    return new BlockListing(wanted, GuestSymbols.NONE, texts::add);
  }

  /** The line with {@code text} on its left, and what follows it up to the next with a left. */
  private static List<String> beside(List<String> lines, String text) {
    List<String> found = new ArrayList<>();
    for (String line : lines) {
      int bar = line.indexOf('|');
      if (bar < 0) {
        continue;
      }
      String left = line.substring(0, bar).strip();
      if (left.contains(text) || !found.isEmpty() && left.isEmpty()) {
        found.add(line.substring(bar + 1).strip());
      } else if (!found.isEmpty()) {
        break;
      }
    }
    return found;
  }

  @Test
  void showsGuestCodeBesideHostCode() throws IOException {
    List<String> texts = new ArrayList<>();
    try (var page = new TranslatedPage(listing(KERNEL, texts))) {
      TranslatedBlock block = page.translate(KERNEL, Mode.LONG, CODE);
      assertEquals(1, texts.size());
      List<String> lines = texts.getFirst().lines().toList();
      assertTrue(lines.getFirst().contains("linear 0xffffffff81000120"), lines.getFirst());
      assertTrue(lines.getFirst().contains("physical 0x200120"), lines.getFirst());
      assertTrue(lines.getFirst().contains("4 instructions, 9 bytes"), lines.getFirst());

      // What each becomes, whatever else the block has: RAX lives in R10.
      List<String> add = beside(lines, "ffffffff81000120  add rax,rbx");
      assertTrue(add.getFirst().endsWith("add r10,rbx"), add.toString());
      List<String> load = beside(lines, "ffffffff81000123  mov ecx,dword ptr [rdi+0x8]");
      assertTrue(load.stream().anyMatch(line -> line.contains("[tlb_kernel]")), load.toString());
      assertEquals(List.of(""), beside(lines, "ffffffff81000126  nop"));
      assertTrue(
          beside(lines, "(entry)").getFirst().contains("[attention]"), "the entry looks at it");
      List<String> out = beside(lines, "(ways out)");
      assertTrue(
          out.stream().anyMatch(line -> line.endsWith("call leave: TLB miss of a read")),
          out.toString());
      assertTrue(out.stream().noneMatch(line -> line.contains("(bad)")), out.toString());

      // Every byte from the first entry to the end belongs to one line.
      int last = -1;
      for (String line : lines.subList(1, lines.size())) {
        String host = line.substring(line.indexOf('|') + 1).strip();
        if (!host.isEmpty()) {
          int offset = Integer.parseInt(host.substring(1, 4), 16);
          assertTrue(offset > last && offset - Math.max(last, 0) <= 15, line);
          last = offset;
        }
      }
      assertTrue(block.hostBytes - last <= 15);
    }
  }

  @Test
  void showsOnlyBlocksWithTheAddress() throws IOException {
    for (int offset = -1; offset <= 9; offset++) {
      List<String> texts = new ArrayList<>();
      try (var page = new TranslatedPage(listing(KERNEL + offset, texts))) {
        page.translate(KERNEL, Mode.LONG, CODE);
        assertEquals(offset >= 0 && offset < 9 ? 1 : 0, texts.size(), "offset " + offset);
      }
    }
  }

  @Test
  void sixteenListingsAreEnough() throws IOException {
    List<String> texts = new ArrayList<>();
    try (var page = new TranslatedPage(listing(KERNEL, texts))) {
      for (int i = 0; i < 20; i++) {
        page.translate(KERNEL, Mode.LONG, CODE);
        page.clear();
      }
    }
    assertEquals(16, texts.size());
  }
}
