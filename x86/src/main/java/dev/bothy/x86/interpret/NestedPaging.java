package dev.bothy.x86.interpret;

import java.util.Arrays;

/**
 * Nested paging (AMD64 APM volume 2, section 15.25): the second walk, which leads from a guest's
 * physical addresses to its host's. Every access is a user's to these tables; reading an entry of
 * the guest's own tables counts as a write, since accessed and dirty bits may be set there.
 *
 * <p>Where pages of the guest's tables are is remembered until {@link #forget}: as with a
 * processor's own memory of them, the guest's changes of address space do not touch it, and its
 * host asks for a flush where it takes something away.
 */
final class NestedPaging {
  /** Of the first information word: the guest's own access, or an entry of its page tables. */
  private static final long FINAL = 1L << 32;

  private static final long TABLE = 1L << 33;

  private static final long PAGE = ~0xfffL;

  /** A power of two. */
  private static final int REMEMBERED = 1024;

  private final PagingCpu cpu;
  private final PageWalker walker;

  /** Pages of tables: the guest's address, with bit 0 set, and the host's at the same index. */
  private final long[] tables = new long[REMEMBERED];

  private final long[] places = new long[REMEMBERED];

  NestedPaging(PagingCpu cpu) {
    this.cpu = cpu;
    walker = new PageWalker(cpu, true);
  }

  /** Nothing found before holds any more. */
  void forget() {
    Arrays.fill(tables, 0);
  }

  /** The host's paging mode and the root of the guest's nested tables. */
  void start(long root, long cr0, long cr4, long efer) {
    walker.setRoot(root);
    walker.update(cr0, cr4, efer);
  }

  /** Where the entry of the guest's tables at its {@code physical} is to the host. */
  long table(long physical) {
    int index = (int) (physical >>> 12) & REMEMBERED - 1;
    if (tables[index] == (physical & PAGE | 1)) {
      return places[index] | physical & ~PAGE;
    }
    long found = walker.find(physical, PagingCpu.WRITE, PagingCpu.USER);
    if (found == PageWalker.REFUSED) {
      throw cpu.nestedFault(walker.refusal() | TABLE, physical);
    }
    tables[index] = physical & PAGE | 1;
    places[index] = found & PAGE;
    return found;
  }

  /** Where an access to the guest's {@code physical} goes to the host. */
  long page(long physical, int access) {
    long found = walker.find(physical, access, PagingCpu.USER);
    if (found == PageWalker.REFUSED) {
      throw cpu.nestedFault(walker.refusal() | FINAL, physical);
    }
    return found;
  }

  /** True if the page last found may be written without another walk. */
  boolean mayWrite() {
    return walker.mayWrite(PagingCpu.USER);
  }
}
