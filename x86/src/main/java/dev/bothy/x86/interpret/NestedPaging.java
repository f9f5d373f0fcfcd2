package dev.bothy.x86.interpret;

/**
 * Nested paging (AMD64 APM volume 2, section 15.25): the second walk, which leads from a guest's
 * physical addresses to its host's. Every access is a user's to these tables; reading an entry of
 * the guest's own tables counts as a write, since accessed and dirty bits may be set there.
 */
final class NestedPaging {
  /** Of the first information word: the guest's own access, or an entry of its page tables. */
  private static final long FINAL = 1L << 32;

  private static final long TABLE = 1L << 33;

  private final PagingCpu cpu;
  private final PageWalker walker;

  NestedPaging(PagingCpu cpu) {
    this.cpu = cpu;
    walker = new PageWalker(cpu, true);
  }

  /** The host's paging mode and the root of the guest's nested tables. */
  void start(long root, long cr0, long cr4, long efer) {
    walker.setRoot(root);
    walker.update(cr0, cr4, efer);
  }

  /** Where the entry of the guest's tables at its {@code physical} is to the host. */
  long table(long physical) {
    long found = walker.find(physical, PagingCpu.WRITE, PagingCpu.USER);
    if (found == PageWalker.REFUSED) {
      throw cpu.nestedFault(walker.refusal() | TABLE, physical);
    }
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
