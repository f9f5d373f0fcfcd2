package dev.bothy.x86.interpret;

import static dev.bothy.host.RawMemory.getInt;
import static dev.bothy.host.RawMemory.getLong;
import static dev.bothy.host.RawMemory.putInt;
import static dev.bothy.host.RawMemory.putLong;

import dev.bothy.core.GuestMemory;
import dev.bothy.host.HostMemory;
import dev.bothy.x86.translate.JumpCache;
import java.util.Arrays;
import java.util.concurrent.ThreadLocalRandom;

/**
 * The software TLB's tables, off-heap where {@link EngineArea} says, and what keeps them true:
 * AMD64 APM volume 2, sections 5.5 and 5.5.1 (global pages, PCIDs, invalidation).
 *
 * <p>An entry holds a tag for reads, writes and fetches, and the host's address of the page. A tag
 * is the page's linear address, so that an access of {@code size} bytes hits if {@code linear ^
 * tag} is at most {@code 4096 - size}; one that leaves its page misses by the same compare. An
 * empty tag is a page of another entry, which nothing that is looked up here can equal.
 *
 * <p>One table serves supervisor accesses in all address spaces: global pages stay in it over CR3
 * writes, others leave it with their address space. Tables of user accesses, and of supervisor
 * accesses with EFLAGS.AC set, belong to one of {@link EngineArea#SPACES} slots, which remember
 * address spaces by PCID. What runs between VMRUN and #VMEXIT has three tables of its own, so that
 * its host finds everything as it was.
 *
 * <p>Owned by the vCPU's thread; {@link #dropWritesTo} also runs while that thread stands still.
 */
final class TranslationBuffer {
  private static final int ENTRIES = EngineArea.TLB_ENTRIES;
  private static final int TABLES = EngineArea.TLB_TABLES;
  private static final int GUEST = EngineArea.GUEST_SPACE;

  /** Words of 64 bits that have one for each entry of a table. */
  private static final int WORDS = ENTRIES / 64;

  private static final long PAGE = ~0xfffL;

  /** More than one TLB entry lets stores through to a page; see {@link #writers}. */
  private static final int SEVERAL = -1;

  /** Who keeps something by linear address or address-space number, too. */
  interface Listener {
    /** All translations of every address space were forgotten. */
    void allForgotten();

    /** Every number handed out before means nothing any more, or something else. */
    void addressSpacesForgotten();
  }

  private final Listener listener;
  private final long state;
  private final long start;
  private final GuestMemory memory;
  private final boolean wide;

  /**
   * For each entry of the guest's table of supervisor accesses a bit: its page is not global.
   * Generated code has no part in it, as opposed to {@link EngineArea#TLB_LOCAL}.
   */
  private final long[] guestLocal = new long[WORDS];

  /**
   * For each page of RAM, four bytes: which TLB entry lets stores through to it, counted from 1, or
   * {@link #SEVERAL}. Lets a page become a code page without a search of the TLB.
   */
  private final HostMemory writers;

  /** A page that no guest can have on its stack, for the stack copies to hold. */
  private final long noPage =
      (ThreadLocalRandom.current().nextLong() >>> 2 | 1L << 62) & ~(1L << 61) & PAGE;

  /**
   * @param state host address of the vCPU's state, with {@link EngineArea#SIZE} zero bytes behind
   *     it
   * @param wide linear addresses may have 57 bits
   */
  TranslationBuffer(Listener listener, long state, GuestMemory memory, boolean wide) {
    this.listener = listener;
    this.wide = wide;
    this.state = state;
    this.memory = memory;
    start = state + EngineArea.TLB;
    writers = HostMemory.allocate((memory.size() >>> 12) * 4);
    for (int table = 0; table < TABLES; table++) {
      emptyEntry(start + (long) table * EngineArea.TLB_TABLE);
    }
    for (int i = 0; i <= GUEST; i++) {
      setPcid(i, -1);
    }
    setPcid(0, 0);
    setNumber(0, 1);
    putInt(state + EngineArea.SPACE_NEXT, 2);
    putLong(state + EngineArea.NO_PAGE, noPage);
    putLong(state + EngineArea.TLB_WRITERS, writers.address());
    select(0);
    emptyStackCopies();
  }

  /** Gives back what the host lent; not used afterwards. */
  void close() {
    writers.close();
  }

  /** Host address of the present table for {@link PagingCpu#KERNEL} and so on. */
  long table(int kind) {
    return getLong(state + EngineArea.TLB_KERNEL + 8L * kind);
  }

  /** {@link PagingCpu#KERNEL} and so on, of a table at {@code address}. */
  int kindOf(long address) {
    int table = (int) ((address - start) / EngineArea.TLB_TABLE);
    return table == 0 || table == EngineArea.GUEST_KERNEL_TABLE
        ? PagingCpu.KERNEL
        : 2 - (table & 1);
  }

  /**
   * 1 to 2047: as long as it is the same, no translation of the present address space was forgotten
   * but single pages that INVLPG named. Comes back with an address space that was kept.
   */
  int addressSpaceNumber() {
    return getInt(state + EngineArea.SPACE_NUMBERS + 4L * slot());
  }

  // What the slots hold: generated code switches between them, too.

  private int slot() {
    return getInt(state + EngineArea.SPACE_SLOT);
  }

  private int pcid(int slot) {
    return getInt(state + EngineArea.SPACE_PCIDS + 4L * slot);
  }

  private void setPcid(int slot, int pcid) {
    putInt(state + EngineArea.SPACE_PCIDS + 4L * slot, pcid);
  }

  private void setNumber(int slot, int number) {
    putInt(state + EngineArea.SPACE_NUMBERS + 4L * slot, number);
  }

  private long lastUse(int slot) {
    return getLong(state + EngineArea.SPACE_USES + 8L * slot);
  }

  // Emptying.

  /** What no look-up of this entry equals: its index bits are another's. */
  private static long emptyTag(long index) {
    return index == 0 ? 0x1000 : 0;
  }

  private long indexOf(long entry) {
    return entry - start >>> 5 & ENTRIES - 1;
  }

  private void emptyEntry(long entry) {
    long empty = emptyTag(indexOf(entry));
    putLong(entry + EngineArea.TLB_READ, empty);
    putLong(entry + EngineArea.TLB_WRITE, empty);
    putLong(entry + EngineArea.TLB_FETCH, empty);
  }

  private void emptyTable(int table) {
    for (int word = table * WORDS; word < (table + 1) * WORDS; word++) {
      emptyEntries(word, used(word));
    }
  }

  /**
   * Empties those of 64 entries, used or not, that have a bit in {@code bits}; they are unused from
   * then on.
   *
   * @param word which 64, counted over all tables
   */
  private void emptyEntries(int word, long bits) {
    if (bits == 0) {
      return;
    }
    setUsed(word, used(word) & ~bits);
    for (long left = bits; left != 0; left &= left - 1) {
      emptyEntry(entry(word, Long.numberOfTrailingZeros(left)));
    }
  }

  private long entry(int word, int bit) {
    return start + (word * 64L + bit) * EngineArea.TLB_ENTRY;
  }

  private void emptyKernelTable() {
    emptyTable(0);
    for (int word = 0; word < WORDS; word++) {
      setLocal(word, 0);
    }
    putInt(state + EngineArea.LOCAL_PAGES, 0);
  }

  private void emptySlot(int which) {
    emptyTable(1 + 2 * which);
    emptyTable(2 + 2 * which);
    if (which == GUEST) {
      emptyTable(EngineArea.GUEST_KERNEL_TABLE);
      Arrays.fill(guestLocal, 0);
    }
  }

  /** 64 bits of {@link EngineArea#TLB_USED}. */
  private long used(int word) {
    return getLong(state + EngineArea.TLB_USED + 8L * word);
  }

  private void setUsed(int word, long bits) {
    putLong(state + EngineArea.TLB_USED + 8L * word, bits);
  }

  /** 64 bits of {@link EngineArea#TLB_LOCAL}. */
  private long local(int word) {
    return getLong(state + EngineArea.TLB_LOCAL + 8L * word);
  }

  private void setLocal(int word, long bits) {
    putLong(state + EngineArea.TLB_LOCAL + 8L * word, bits);
  }

  /** What the kernel's table has of the address space that is left or flushed. */
  private void emptyLocal() {
    if (getInt(state + EngineArea.LOCAL_PAGES) == 0) {
      return;
    }
    putInt(state + EngineArea.LOCAL_PAGES, 0);
    for (int word = 0; word < WORDS; word++) {
      long bits = local(word);
      if (bits != 0) {
        emptyEntries(word, bits);
        setLocal(word, 0);
      }
    }
  }

  private void emptyStackCopies() {
    emptyStackCopy(EngineArea.STACK_USER);
    emptyStackCopy(EngineArea.STACK_KERNEL);
  }

  /** Who guesses the tag reaches a page that nobody uses. */
  private void emptyStackCopy(int copy) {
    putLong(state + copy, noPage);
    putLong(state + copy + 8, state + EngineArea.SPARE_PAGE);
  }

  // Address spaces.

  private void select(int which) {
    long time = getLong(state + EngineArea.SPACE_TIME) + 1;
    putInt(state + EngineArea.SPACE_SLOT, which);
    putLong(state + EngineArea.SPACE_TIME, time);
    putLong(state + EngineArea.SPACE_USES + 8L * which, time);
    long table = start + (1 + 2L * which) * EngineArea.TLB_TABLE;
    long kernel = which == GUEST ? EngineArea.GUEST_KERNEL_TABLE : 0;
    putLong(state + EngineArea.TLB_KERNEL, start + kernel * EngineArea.TLB_TABLE);
    putLong(state + EngineArea.TLB_USER, table);
    putLong(state + EngineArea.TLB_AC, table + EngineArea.TLB_TABLE);
  }

  /** Times that all were forgotten, or an address space began or went on without any. */
  long flushes() {
    return getLong(state + EngineArea.SPACE_FLUSHES);
  }

  private void countFlush() {
    putLong(state + EngineArea.SPACE_FLUSHES, flushes() + 1);
  }

  /** A number for the present slot, which is empty. */
  private void takeNumber() {
    int number = getInt(state + EngineArea.SPACE_NEXT);
    boolean again = number == EngineArea.MOST_NUMBERS;
    if (again) {
      forgetOthers();
      emptyKernelTable();
      number = 1;
    }
    setNumber(slot(), number);
    putInt(state + EngineArea.SPACE_NEXT, number + 1);
    if (again) {
      listener.addressSpacesForgotten();
    }
  }

  private void forgetOthers() {
    int present = slot();
    for (int i = 0; i <= GUEST; i++) {
      if (i != present && pcid(i) >= 0) {
        emptySlot(i);
        setPcid(i, -1);
      }
    }
  }

  private int slotOf(int pcid) {
    for (int i = 0; i < EngineArea.SPACES; i++) {
      if (pcid(i) == pcid) {
        return i;
      }
    }
    return -1;
  }

  /** An unused slot, or the one that was left longest ago. */
  private int slotToTake() {
    int oldest = 0;
    for (int i = 0; i < EngineArea.SPACES; i++) {
      if (pcid(i) < 0) {
        return i;
      }
      if (lastUse(i) < lastUse(oldest)) {
        oldest = i;
      }
    }
    return oldest;
  }

  /** {@code pcid} is the present address space from now on; {@code keep} what is known of it. */
  void switchTo(int pcid, boolean keep) {
    int to = slotOf(pcid);
    if (to == slot() && keep) {
      return;
    }
    emptyLocal();
    emptyStackCopies();
    boolean known = to >= 0 && keep;
    if (to < 0) {
      to = slotToTake();
      setPcid(to, pcid);
    }
    if (!known) {
      countFlush();
      emptySlot(to);
    }
    select(to);
    if (!known) {
      takeNumber();
    }
  }

  // Guests.

  /** Goes to a guest's address space, of which nothing is known any more unless {@code keep}. */
  void enterGuest(boolean keep) {
    boolean known = keep && pcid(GUEST) >= 0;
    select(GUEST);
    if (!known) {
      flushGuest();
    } else {
      emptyStackCopies();
    }
  }

  /** The guest, which is the present one, goes to another address space: its global pages stay. */
  void switchGuest() {
    countFlush();
    emptyTable(1 + 2 * GUEST);
    emptyTable(2 + 2 * GUEST);
    int first = EngineArea.GUEST_KERNEL_TABLE * WORDS;
    for (int word = 0; word < WORDS; word++) {
      emptyEntries(first + word, guestLocal[word]);
    }
    Arrays.fill(guestLocal, 0);
    emptyStackCopies();
    takeNumber();
  }

  /** Forgets what is known of the guest's address space, which is the present one. */
  void flushGuest() {
    countFlush();
    setPcid(GUEST, 0);
    emptySlot(GUEST);
    emptyStackCopies();
    takeNumber();
  }

  /** Forgets what is known of a guest's address space, which is not the present one. */
  void forgetGuest() {
    if (pcid(GUEST) >= 0) {
      emptySlot(GUEST);
      setPcid(GUEST, -1);
    }
  }

  /** Back to the host's address space, {@code pcid}, as it was left. */
  void leaveGuest(int pcid) {
    emptyStackCopies();
    int to = slotOf(pcid);
    if (to >= 0) {
      select(to);
      return;
    }
    // All was forgotten meanwhile.
    to = slotToTake();
    setPcid(to, pcid);
    countFlush();
    emptySlot(to);
    select(to);
    takeNumber();
  }

  /** Forgets everything; {@code pcid} is the present address space. */
  void flushAll(int pcid) {
    countFlush();
    forgetOthers();
    emptySlot(slot());
    emptyKernelTable();
    for (int word = 0; word < 8; word++) {
      putLong(state + EngineArea.TLB_LARGE_REGIONS + 8L * word, 0);
    }
    emptyStackCopies();
    setPcid(slot(), pcid);
    takeNumber();
    listener.allForgotten();
  }

  /** Forgets translations of {@code pcid} but for global pages. */
  void flushPcid(int pcid) {
    int which = slotOf(pcid);
    if (which == slot()) {
      switchTo(pcid, false);
    } else if (which >= 0) {
      countFlush();
      emptySlot(which);
      setPcid(which, -1);
    }
  }

  private int region(long linear) {
    return (int) (linear >>> 30 ^ linear >>> 39 ^ (wide ? linear >>> 48 : 0)) & 511;
  }

  /** INVLPG flushes all where there are large pages. */
  private long largeRegionWord(int region) {
    return state + EngineArea.TLB_LARGE_REGIONS + (region >>> 6) * 8L;
  }

  /**
   * Forgets the page of {@code linear} in every table and address space; false if that page may be
   * larger than 4 KiB, and nothing was done.
   */
  boolean flushPage(long linear) {
    int region = region(linear);
    if ((getLong(largeRegionWord(region)) & 1L << region) != 0) {
      return false;
    }
    int index = (int) (linear >>> 12) & ENTRIES - 1;
    for (int table = 0; table < TABLES; table++) {
      int word = table * WORDS + (index >>> 6);
      emptyEntries(word, used(word) & 1L << index);
    }
    setLocal(index >>> 6, local(index >>> 6) & ~(1L << index));
    guestLocal[index >>> 6] &= ~(1L << index);
    emptyStackCopies();
    return true;
  }

  // Entering.

  /**
   * Enters what a walk has found: {@code access} to {@code linear} goes to the RAM page at {@code
   * host}, which is {@code physical} to the guest; stores, too, if {@code write}. Fetches only
   * where generated code may run, which takes what it finds there.
   *
   * @param entry host address of the entry, in one of the present tables
   * @param global the page is the same in every address space
   * @param large the page is larger than 4 KiB
   */
  void enter(
      long entry,
      long linear,
      int access,
      long physical,
      long host,
      boolean write,
      boolean global,
      boolean large) {
    int number = (int) (entry - start >>> 5);
    int word = number >>> 6;
    long bit = 1L << number;
    long tag = linear & PAGE;
    int ofGuest = word - EngineArea.GUEST_KERNEL_TABLE * WORDS;
    if ((used(word) & bit) != 0 && !holds(entry, tag, host)) {
      emptyEntries(word, bit);
      if (number < ENTRIES) {
        setLocal(word, local(word) & ~bit);
        emptyStackCopy(EngineArea.STACK_KERNEL);
      } else if (ofGuest >= 0) {
        guestLocal[ofGuest] &= ~bit;
        emptyStackCopy(EngineArea.STACK_KERNEL);
      } else {
        emptyStackCopy(EngineArea.STACK_USER);
      }
    }
    setUsed(word, used(word) | bit);
    if (!global && number < ENTRIES) {
      setLocal(word, local(word) | bit);
      putInt(state + EngineArea.LOCAL_PAGES, 1);
    } else if (!global && ofGuest >= 0) {
      guestLocal[ofGuest] |= bit;
    }
    if (large) {
      int region = region(linear);
      long at = largeRegionWord(region);
      putLong(at, getLong(at) | 1L << region);
    }
    putLong(entry + EngineArea.TLB_HOST, host);
    if (access == PagingCpu.FETCH) {
      if (JumpCache.knows(linear)) {
        putLong(entry + EngineArea.TLB_FETCH, tag);
      }
      return;
    }
    putLong(entry + EngineArea.TLB_READ, tag);
    if (write) {
      putLong(entry + EngineArea.TLB_WRITE, tag);
      noteWriter(entry, physical, host);
    }
  }

  /** True if every tag of a used entry is {@code tag} or empty, and its page at {@code host}. */
  private static boolean holds(long entry, long tag, long host) {
    return getLong(entry + EngineArea.TLB_HOST) == host
        && (getLong(entry + EngineArea.TLB_READ) == tag
            || getLong(entry + EngineArea.TLB_FETCH) == tag);
  }

  /** True if supervisor code on the page of {@code linear} is there in every address space. */
  boolean fetchesGlobally(long linear) {
    int index = (int) (linear >>> 12) & ENTRIES - 1;
    return getLong(start + (long) index * EngineArea.TLB_ENTRY + EngineArea.TLB_FETCH)
            == (linear & PAGE)
        && (local(index >>> 6) & 1L << index) == 0;
  }

  // Stores to pages with code.

  /**
   * Lets no store pass to the page at {@code physical}, {@code host} to the host, whatever the
   * address space.
   */
  void dropWritesTo(long physical, long host) {
    long noteAt = noteAt(physical);
    int note = getInt(noteAt);
    putInt(noteAt, 0);
    if (note > 0) {
      dropWrite(start + (note - 1L) * EngineArea.TLB_ENTRY, host);
    } else if (note == SEVERAL) {
      for (int word = 0; word < TABLES * WORDS; word++) {
        for (long bits = used(word); bits != 0; bits &= bits - 1) {
          dropWrite(entry(word, Long.numberOfTrailingZeros(bits)), host);
        }
      }
    }
  }

  /** Lets no store pass through the table at {@code address}. */
  void dropWrites(long address) {
    int first = (int) ((address - start) / EngineArea.TLB_TABLE) * WORDS;
    for (int word = first; word < first + WORDS; word++) {
      for (long bits = used(word); bits != 0; bits &= bits - 1) {
        long number = word * 64L + Long.numberOfTrailingZeros(bits);
        long entry = start + number * EngineArea.TLB_ENTRY;
        putLong(entry + EngineArea.TLB_WRITE, emptyTag(indexOf(entry)));
      }
    }
    emptyStackCopies();
  }

  private void dropWrite(long entry, long host) {
    if (writes(entry, host)) {
      putLong(entry + EngineArea.TLB_WRITE, emptyTag(indexOf(entry)));
      emptyStackCopies();
    }
  }

  /**
   * True if {@code entry} lets stores through to the page at {@code host}, in whatever address
   * space.
   */
  private boolean writes(long entry, long host) {
    return getLong(entry + EngineArea.TLB_HOST) == host
        && getLong(entry + EngineArea.TLB_WRITE) != emptyTag(indexOf(entry));
  }

  private long noteAt(long physical) {
    return writers.address() + (memory.offsetOf(physical) >>> 12) * 4;
  }

  /** Remembers that {@code entry} lets stores through to {@code physical}'s page. */
  private void noteWriter(long entry, long physical, long host) {
    long noteAt = noteAt(physical);
    int note = getInt(noteAt);
    int number = (int) (entry - start >>> 5) + 1;
    if (note == 0
        || note > 0
            && note != number
            && !writes(start + (note - 1L) * EngineArea.TLB_ENTRY, host)) {
      putInt(noteAt, number);
    } else if (note != number) {
      putInt(noteAt, SEVERAL);
    }
  }
}
