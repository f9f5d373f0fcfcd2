package dev.bothy.x86.interpret;

import static dev.bothy.host.RawMemory.getInt;
import static dev.bothy.host.RawMemory.getLong;
import static dev.bothy.host.RawMemory.putInt;
import static dev.bothy.host.RawMemory.putLong;

import dev.bothy.core.AddressSpace;
import dev.bothy.core.GuestMemory;
import dev.bothy.core.LocalInterruptController;
import dev.bothy.core.cpu.CpuState;
import dev.bothy.host.HostMemory;
import dev.bothy.host.RawMemory;

/**
 * The processor's view of memory: a software TLB in front of page walks, RAM by host address,
 * everything else through the bus. Follows AMD64 APM volume 2, chapter 5.
 *
 * <p>The TLB has one table for each way permissions can be judged: kernel, user, and kernel with
 * EFLAGS.AC set (SMAP off). An entry of 32 bytes holds a tag for reads, writes and fetches, and
 * what to add to a linear address to get the host's. A tag is the page's linear address with the
 * address-space generation in its low 12 bits, so that a CR3 write wipes nothing; an access that
 * leaves the page misses by the same compare. Only RAM is entered, and for writing only pages
 * without decoded code.
 */
abstract class PagingCpu extends Cpu {
  static final int READ = 0;
  static final int WRITE = 1;
  static final int FETCH = 2;

  static final int TLB_ENTRIES = 8192;
  private static final int TABLE_SIZE = TLB_ENTRIES * 32;
  private static final long INDEX_MASK = TLB_ENTRIES - 1;

  /** Bytes that the TLB needs behind the portable state. */
  static final long TLB_SIZE = 3L * TABLE_SIZE;

  static final int KERNEL = 0;
  static final int USER = 1;
  static final int KERNEL_AC = 2;

  private static final long PAGE = ~0xfffL;

  final GuestMemory memory;
  private final long lowHost;
  private final long lowSize;
  private final long highHost;
  private final long highSize;
  final AddressSpace mmio;
  final LocalInterruptController apic;
  final CodeMap codeMap;

  private final long tlbStart;

  /**
   * For each page of RAM, four bytes: which TLB entry lets stores through to it, counted from 1, or
   * {@link #SEVERAL}. Lets a page become a code page without a search of the TLB.
   */
  private final HostMemory writers;

  /** Table in use for explicit accesses at the present CPL and AC. */
  long tlb;

  /** Low 12 bits of every valid tag. */
  long generation = 1;

  /** Which PCID owns a generation; index is the generation. */
  private final int[] generationOfPcid = new int[4096];

  private int nextGeneration = 2;

  /** Regions of 1 GiB (hashed) that have large pages in the TLB: INVLPG there flushes all. */
  private final long[] largeRegions = new long[8];

  int cpl;

  /** CR0.PG. */
  boolean paging;

  /** EFER.LMA. */
  boolean longMode;

  private final PageWalker walker = new PageWalker(this);

  // Statistics.
  long walks;

  /**
   * Physical address of a data watchpoint's page etc. are kept out of the TLB while any is armed.
   */
  boolean watching;

  /** CR0.AM. */
  private boolean alignmentMask;

  /** User code's misaligned accesses fault; meanwhile none of its data is in the TLB. */
  private boolean checksAlignment;

  PagingCpu(
      CpuState cpuState,
      GuestMemory memory,
      AddressSpace mmio,
      LocalInterruptController apic,
      CodeMap codeMap) {
    super(cpuState.address());
    this.memory = memory;
    this.mmio = mmio;
    this.apic = apic;
    this.codeMap = codeMap;
    writers = HostMemory.allocate((memory.size() >>> 12) * 4);
    tlbStart = cpuState.address() + CpuState.PORTABLE_SIZE;
    tlb = tlbStart;
    var regions = memory.regions();
    lowHost = regions.get(0).hostAddress();
    lowSize = regions.get(0).length();
    highHost = regions.size() > 1 ? regions.get(1).hostAddress() : 0;
    highSize = regions.size() > 1 ? regions.get(1).length() : 0;
  }

  /** Gives back what the host lent; not used afterwards. */
  final void close() {
    writers.close();
  }

  // Physical memory.

  /** Host address of RAM at {@code physical}, or 0 if that is not RAM. */
  final long hostOf(long physical) {
    if (Long.compareUnsigned(physical, lowSize) < 0) {
      return lowHost + physical;
    }
    long high = physical - GuestMemory.HIGH_START;
    return Long.compareUnsigned(high, highSize) < 0 ? highHost + high : 0;
  }

  /** Guest-physical address of a host address inside RAM. */
  final long physicalOfHost(long host) {
    long low = host - lowHost;
    return low >= 0 && low < lowSize ? low : host - highHost + GuestMemory.HIGH_START;
  }

  private boolean isApicPage(long physical) {
    long base = apic.baseAddress();
    return base >= 0 && (physical & PAGE) == base;
  }

  final long readPhysical(long physical, int size) {
    if (isApicPage(physical)) {
      return apic.read(physical & 0xfff, size);
    }
    long host = hostOf(physical);
    if (host != 0) {
      return switch (size) {
        case 1 -> RawMemory.loadByte(host) & 0xff;
        case 2 -> RawMemory.loadShort(host) & 0xffff;
        case 4 -> RawMemory.loadInt(host) & 0xffff_ffffL;
        default -> RawMemory.loadLong(host);
      };
    }
    return mmio.read(physical, size);
  }

  final void writePhysical(long physical, int size, long value) {
    if (isApicPage(physical)) {
      apic.write(physical & 0xfff, size, value);
      return;
    }
    long host = hostOf(physical);
    if (host == 0) {
      mmio.write(physical, size, value);
      return;
    }
    switch (size) {
      case 1 -> RawMemory.storeByte(host, (byte) value);
      case 2 -> RawMemory.storeShort(host, (short) value);
      case 4 -> RawMemory.storeInt(host, (int) value);
      default -> RawMemory.storeLong(host, value);
    }
    if (codeMap.hasCode(physical)) {
      codeMap.written(this, physical, size);
    }
  }

  // Mode.

  /**
   * Takes over CR0, CR4, EFER, CPL and AC after any of them changed; {@code flush} if old
   * translations may be wrong.
   */
  final void updatePaging(boolean flush) {
    long cr0 = getLong(state + CpuState.CR0);
    long cr4 = getLong(state + CpuState.CR4);
    long efer = getLong(state + CpuState.EFER);
    paging = (cr0 & Bits.CR0_PG) != 0;
    longMode = (efer & Bits.EFER_LMA) != 0;
    walker.update(cr0, cr4, efer);
    alignmentMask = (cr0 & Bits.CR0_AM) != 0;
    if (flush) {
      flushAll();
    }
    selectTable();
  }

  /** Picks the TLB table after CPL or AC changed. */
  final void selectTable() {
    boolean checks = cpl == 3 && alignmentMask && alignmentFlag();
    if (checks != checksAlignment) {
      checksAlignment = checks;
      if (checks) {
        // From now on every access of user code takes the slow path.
        flushAll();
      }
    }
    int table = cpl == 3 ? USER : alignmentFlag() && walker.smap() ? KERNEL_AC : KERNEL;
    tlb = tlbStart + (long) table * TABLE_SIZE;
  }

  /** RFLAGS.AC. */
  abstract boolean alignmentFlag();

  // TLB maintenance.

  final void flushAll() {
    for (int i = 0; i < generationOfPcid.length; i++) {
      generationOfPcid[i] = 0;
    }
    takeGeneration(currentPcid());
    for (int i = 0; i < largeRegions.length; i++) {
      largeRegions[i] = 0;
    }
  }

  private int currentPcid() {
    return (getLong(state + CpuState.CR4) & Bits.CR4_PCIDE) != 0
        ? (int) getLong(state + CpuState.CR3) & 0xfff
        : 0;
  }

  private void takeGeneration(int pcid) {
    if (nextGeneration > 0xfff) {
      for (long at = tlbStart; at < tlbStart + TLB_SIZE; at += 8) {
        putLong(at, 0);
      }
      java.util.Arrays.fill(generationOfPcid, 0);
      nextGeneration = 1;
    }
    generation = nextGeneration++;
    generationOfPcid[pcid] = (int) generation;
  }

  /** After a CR3 write: {@code keep} is the no-flush bit with PCIDs on. */
  final void switchAddressSpace(boolean keep) {
    int pcid = currentPcid();
    int known = generationOfPcid[pcid];
    if (keep && known != 0) {
      generation = known;
    } else {
      takeGeneration(pcid);
    }
  }

  /** Forgets translations of {@code pcid}, current or not. */
  final void flushPcid(int pcid) {
    if (pcid == currentPcid()) {
      takeGeneration(pcid);
    } else {
      generationOfPcid[pcid] = 0;
    }
  }

  /** INVLPG: in every table and address space. */
  final void flushPage(long linear) {
    int region = (int) (linear >>> 30) & 511;
    if ((largeRegions[region >>> 6] & 1L << region) != 0) {
      flushAll();
      return;
    }
    long entry = tlbStart + ((linear >>> 12 & INDEX_MASK) << 5);
    for (int table = 0; table < 3; table++, entry += TABLE_SIZE) {
      for (int kind = 0; kind < 3; kind++) {
        putLong(entry + 8L * kind, 0);
      }
    }
  }

  /**
   * The page at {@code physical} has decoded code from now on: no TLB entry may let stores pass
   * unseen.
   */
  final void dropWritesTo(long physical) {
    long noteAt = noteAt(physical);
    int note = getInt(noteAt);
    putInt(noteAt, 0);
    long host = hostOf(physical & PAGE);
    if (note > 0) {
      dropWrite(tlbStart + (note - 1) * 32L, host);
    } else if (note == SEVERAL) {
      for (long entry = tlbStart; entry < tlbStart + TLB_SIZE; entry += 32) {
        dropWrite(entry, host);
      }
    }
  }

  private static void dropWrite(long entry, long host) {
    if (writes(entry, host)) {
      putLong(entry + 8, 0);
    }
  }

  /**
   * True if {@code entry} lets stores through to the page at {@code host}, in whatever address
   * space.
   */
  private static boolean writes(long entry, long host) {
    long tag = getLong(entry + 8);
    return tag != 0 && (tag & PAGE) + getLong(entry + 24) == host;
  }

  /** More than one TLB entry lets stores through to a page; see {@link #writers}. */
  private static final int SEVERAL = -1;

  private long noteAt(long physical) {
    return writers.address() + (memory.offsetOf(physical) >>> 12) * 4;
  }

  /** Remembers that {@code entry} lets stores through to {@code physical}'s page. */
  private void noteWriter(long entry, long physical, long host) {
    long noteAt = noteAt(physical);
    int note = getInt(noteAt);
    int index = (int) (entry - tlbStart >>> 5) + 1;
    if (note == 0 || note > 0 && note != index && !writes(tlbStart + (note - 1) * 32L, host)) {
      putInt(noteAt, index);
    } else if (note != index) {
      putInt(noteAt, SEVERAL);
    }
  }

  // Loads and stores.

  @Override
  final int load8(long linear) {
    long entry = tlb + ((linear >>> 12 & INDEX_MASK) << 5);
    return getLong(entry) == (linear & PAGE | generation)
        ? RawMemory.loadByte(linear + getLong(entry + 24)) & 0xff
        : (int) loadSlow(linear, 1);
  }

  @Override
  final int load16(long linear) {
    long entry = tlb + ((linear >>> 12 & INDEX_MASK) << 5);
    return getLong(entry) == (linear + 1 & PAGE | generation)
        ? RawMemory.loadShort(linear + getLong(entry + 24)) & 0xffff
        : (int) loadSlow(linear, 2);
  }

  @Override
  final int load32(long linear) {
    long entry = tlb + ((linear >>> 12 & INDEX_MASK) << 5);
    return getLong(entry) == (linear + 3 & PAGE | generation)
        ? RawMemory.loadInt(linear + getLong(entry + 24))
        : (int) loadSlow(linear, 4);
  }

  @Override
  final long load64(long linear) {
    long entry = tlb + ((linear >>> 12 & INDEX_MASK) << 5);
    return getLong(entry) == (linear + 7 & PAGE | generation)
        ? RawMemory.loadLong(linear + getLong(entry + 24))
        : loadSlow(linear, 8);
  }

  @Override
  final void store8(long linear, int value) {
    long entry = tlb + ((linear >>> 12 & INDEX_MASK) << 5);
    if (getLong(entry + 8) == (linear & PAGE | generation)) {
      RawMemory.storeByte(linear + getLong(entry + 24), (byte) value);
    } else {
      storeSlow(linear, 1, value);
    }
  }

  @Override
  final void store16(long linear, int value) {
    long entry = tlb + ((linear >>> 12 & INDEX_MASK) << 5);
    if (getLong(entry + 8) == (linear + 1 & PAGE | generation)) {
      RawMemory.storeShort(linear + getLong(entry + 24), (short) value);
    } else {
      storeSlow(linear, 2, value);
    }
  }

  @Override
  final void store32(long linear, int value) {
    long entry = tlb + ((linear >>> 12 & INDEX_MASK) << 5);
    if (getLong(entry + 8) == (linear + 3 & PAGE | generation)) {
      RawMemory.storeInt(linear + getLong(entry + 24), value);
    } else {
      storeSlow(linear, 4, value);
    }
  }

  @Override
  final void store64(long linear, long value) {
    long entry = tlb + ((linear >>> 12 & INDEX_MASK) << 5);
    if (getLong(entry + 8) == (linear + 7 & PAGE | generation)) {
      RawMemory.storeLong(linear + getLong(entry + 24), value);
    } else {
      storeSlow(linear, 8, value);
    }
  }

  /**
   * Host address at which {@code size} bytes may be read and written, or 0 when they must go
   * through {@link #loadForUpdate} and {@link #storeSlow}: they cross a page, are not RAM, or lie
   * on a page with code. Raises what a store would.
   */
  final long updateAddress(long linear, int size) {
    long entry = tlb + ((linear >>> 12 & INDEX_MASK) << 5);
    if (getLong(entry + 8) == (linear + size - 1 & PAGE | generation)) {
      return linear + getLong(entry + 24);
    }
    return updateAddressSlow(linear, size);
  }

  /**
   * Host address from which the bytes up to the page's end may be read, or 0 if they are not plain
   * RAM.
   */
  final long readAddress(long linear) {
    long entry = tlb + ((linear >>> 12 & INDEX_MASK) << 5);
    if (getLong(entry) != (linear & PAGE | generation)) {
      translate(linear, READ);
      if (getLong(entry) != (linear & PAGE | generation)) {
        return 0;
      }
    }
    return linear + getLong(entry + 24);
  }

  private long updateAddressSlow(long linear, int size) {
    probeStore(linear, size);
    long entry = tlb + ((linear >>> 12 & INDEX_MASK) << 5);
    return getLong(entry + 8) == (linear + size - 1 & PAGE | generation)
        ? linear + getLong(entry + 24)
        : 0;
  }

  /** The load of a read-modify-write that {@link #updateAddress} sent here. */
  final long loadForUpdate(long linear, int size) {
    probeStore(linear, size);
    return loadSlow(linear, size);
  }

  /**
   * An access that runs into the hole of non-canonical addresses raises that before any page fault.
   */
  private void refuseHole(long last, int access) {
    if (longMode && last << 16 >> 16 != last) {
      translate(last, access);
    }
  }

  private static long wrap(long linear, boolean longMode) {
    return longMode ? linear : linear & 0xffff_ffffL;
  }

  final long loadSlow(long linear, int size) {
    if (watching) {
      watch(linear, size, false);
    }
    int inFirst = (int) (0x1000 - (linear & 0xfff));
    if (size <= inFirst) {
      long physical = translate(linear, READ);
      checkAlignment(linear, size);
      return readPhysical(physical, size);
    }
    refuseHole(linear + inFirst, READ);
    long first = translate(linear, READ);
    long second = translate(wrap(linear + inFirst, longMode), READ);
    checkAlignment(linear, size);
    long value = 0;
    for (int i = 0; i < size; i++) {
      long at = i < inFirst ? first + i : second + i - inFirst;
      value |= readPhysical(at, 1) << (8 * i);
    }
    return value;
  }

  final void storeSlow(long linear, int size, long value) {
    int inFirst = (int) (0x1000 - (linear & 0xfff));
    if (size <= inFirst) {
      long physical = translate(linear, WRITE);
      checkAlignment(linear, size);
      if (watching) {
        watch(linear, size, true);
      }
      writePhysical(physical, size, value);
      return;
    }
    refuseHole(linear + inFirst, WRITE);
    long first = translate(linear, WRITE);
    long second = translate(wrap(linear + inFirst, longMode), WRITE);
    checkAlignment(linear, size);
    if (watching) {
      watch(linear, size, true);
    }
    for (int i = 0; i < size; i++) {
      writePhysical(i < inFirst ? first + i : second + i - inFirst, 1, value >>> (8 * i) & 0xff);
    }
  }

  /** #AC of user code; the processor's own accesses to tables are made at level 0. */
  private void checkAlignment(long linear, int size) {
    if (checksAlignment && cpl == 3 && (linear & size - 1) != 0) {
      throw raise(GuestFault.AC, 0);
    }
  }

  /**
   * Drops decoded code that overlaps {@code length} bytes at {@code physical}; on this vCPU's
   * thread.
   */
  abstract void dropCode(long physical, long length);

  /** The same, from another thread: done before this vCPU runs guest code again. */
  abstract void postDropCode(long physical, long length);

  /** Checks data breakpoints. */
  abstract void watch(long linear, int size, boolean write);

  @Override
  final void probeStore(long linear, int size) {
    refuseHole(linear + size - 1, WRITE);
    translate(linear, WRITE);
    long last = wrap(linear + size - 1, longMode);
    if (((linear ^ last) & PAGE) != 0) {
      translate(last & PAGE, WRITE);
    }
  }

  /** Like {@link #probeStore} for a load. */
  final void probeLoad(long linear, int size) {
    refuseHole(linear + size - 1, READ);
    translate(linear, READ);
    long last = wrap(linear + size - 1, longMode);
    if (((linear ^ last) & PAGE) != 0) {
      translate(last & PAGE, READ);
    }
  }

  // Implicit supervisor accesses: descriptor tables, TSS, interrupt stacks' checks.

  final long loadSystem(long linear, int size) {
    long saved = tlb;
    int savedCpl = cpl;
    cpl = 0;
    tlb = tlbStart;
    try {
      return switch (size) {
        case 1 -> load8(linear);
        case 2 -> load16(linear);
        case 4 -> load32(linear) & 0xffff_ffffL;
        default -> load64(linear);
      };
    } finally {
      tlb = saved;
      cpl = savedCpl;
    }
  }

  final void storeSystem(long linear, int size, long value) {
    long saved = tlb;
    int savedCpl = cpl;
    cpl = 0;
    tlb = tlbStart;
    try {
      switch (size) {
        case 1 -> store8(linear, (int) value);
        case 2 -> store16(linear, (int) value);
        case 4 -> store32(linear, (int) value);
        default -> store64(linear, value);
      }
    } finally {
      tlb = saved;
      cpl = savedCpl;
    }
  }

  // Translation.

  /**
   * Guest-physical address behind {@code linear} for {@code access} by the present table's rights.
   */
  final long translate(long linear, int access) {
    long entry = tlb + ((linear >>> 12 & INDEX_MASK) << 5);
    if (getLong(entry + 8L * access) == (linear & PAGE | generation)) {
      return physicalOfHost(linear + getLong(entry + 24));
    }
    return translateSlow(linear, access, entry);
  }

  private long translateSlow(long linear, int access, long entry) {
    int table = (int) ((tlb - tlbStart) / TABLE_SIZE);
    if (longMode && linear << 16 >> 16 != linear) {
      throw raiseNonCanonical();
    }
    long physical = paging ? walker.walk(linear, access, table) : linear & 0xffff_ffffL;
    if (access != FETCH && (watching && watchesPage(linear) || checksAlignment && cpl == 3)) {
      return physical;
    }
    long page = physical & PAGE;
    long host = isApicPage(page) ? 0 : hostOf(page);
    if (host != 0) {
      long tag = linear & PAGE | generation;
      long addend = host - (linear & PAGE);
      if (getLong(entry + 24) != addend
          || !sameOrNone(getLong(entry), tag)
          || !sameOrNone(getLong(entry + 8), tag)
          || !sameOrNone(getLong(entry + 16), tag)) {
        putLong(entry, 0);
        putLong(entry + 8, 0);
        putLong(entry + 16, 0);
        putLong(entry + 24, addend);
      }
      if (access == FETCH) {
        putLong(entry + 16, tag);
      } else {
        putLong(entry, tag);
        if ((!paging || walker.mayWrite(table)) && !codeMap.hasCode(page)) {
          putLong(entry + 8, tag);
          noteWriter(entry, page, host);
        }
      }
      if (paging && (walker.walked() & PageWalker.LARGE) != 0) {
        int region = (int) (linear >>> 30) & 511;
        largeRegions[region >>> 6] |= 1L << region;
      }
    }
    return physical;
  }

  private static boolean sameOrNone(long tag, long wanted) {
    return tag == 0 || tag == wanted;
  }

  abstract boolean watchesPage(long linear);

  abstract GuestFault raiseNonCanonical();

  /** Linear address of the page fault being raised. */
  long faultAddress;
}
