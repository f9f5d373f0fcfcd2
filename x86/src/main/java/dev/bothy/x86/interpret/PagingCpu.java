package dev.bothy.x86.interpret;

import static dev.bothy.host.RawMemory.getLong;
import static dev.bothy.host.RawMemory.putLong;

import dev.bothy.core.Engine;
import dev.bothy.core.GuestMemory;
import dev.bothy.core.LocalInterruptController;
import dev.bothy.core.cpu.CpuFeature;
import dev.bothy.core.cpu.CpuState;
import dev.bothy.host.RawMemory;

/**
 * The processor's view of memory: a software TLB in front of page walks, RAM by host address,
 * everything else through the bus. Follows AMD64 APM volume 2, chapter 5.
 *
 * <p>Loads and stores look into the present table of the {@link TranslationBuffer}; its layout is
 * {@link EngineArea}'s. Only RAM is entered, and for writing only pages without decoded code.
 */
abstract class PagingCpu extends MemoryCpu implements TranslationBuffer.Listener {
  static final int READ = 0;
  static final int WRITE = 1;
  static final int FETCH = 2;

  // Of shadow stacks: never looked up in the TLB.
  static final int SHADOW_READ = 3;
  static final int SHADOW_WRITE = 4;

  private static final long INDEX_MASK = EngineArea.TLB_ENTRIES - 1;

  // Ways in which permissions are judged, and tables of the TLB.
  static final int KERNEL = 0;
  static final int USER = 1;
  static final int KERNEL_AC = 2;

  private final TranslationBuffer buffer;

  /** Table in use for explicit accesses at the present CPL and AC. */
  long tlb;

  int cpl;

  /** CR0.PG. */
  boolean paging;

  /** EFER.LMA. */
  boolean longMode;

  private final PageWalker walker = new PageWalker(this, false);

  /** Between VMRUN and #VMEXIT: a guest of the guest's runs. */
  boolean guestMode;

  /** What its physical addresses are to its host. */
  private final NestedPaging nested = new NestedPaging(this);

  /** They are looked up there. */
  private boolean nests;

  // Statistics.
  long walks;

  /**
   * Physical address of a data watchpoint's page etc. are kept out of the TLB while any is armed.
   */
  boolean watching;

  private boolean fiveLevels;
  private final boolean knowsFiveLevels;

  /** CR0.AM. */
  private boolean alignmentMask;

  /** User code's misaligned accesses fault; meanwhile none of its data is in the TLB. */
  private boolean checksAlignment;

  PagingCpu(
      CpuState cpuState,
      Engine.Environment machine,
      LocalInterruptController apic,
      CodeMap codeMap) {
    super(cpuState.address(), machine, apic, codeMap);
    knowsFiveLevels = machine.model().has(CpuFeature.LA57);
    buffer = new TranslationBuffer(this, cpuState.address(), memory, knowsFiveLevels);
    ProtectionKeys.forgetPages(this);
    tlb = buffer.table(KERNEL);
  }

  /** Tells generated code what it needs to walk page tables. */
  final void describeMemory() {
    putLong(state + EngineArea.RAM, lowHost);
    putLong(state + EngineArea.RAM_LOW_SIZE, lowSize);
    putLong(state + EngineArea.RAM_HIGH_START, GuestMemory.HIGH_START);
    putLong(state + EngineArea.RAM_HIGH_SIZE, highSize);
    putLong(state + EngineArea.CODE_PAGES, codeMap.address());
    walker.describe();
  }

  /** What generated code may do about pages that it misses, {@link EngineArea#REFILL_FLAGS}. */
  final int refillFlags() {
    long base = apic.baseAddress();
    // A guest's local pages are not noted as the kernel's are.
    boolean plain =
        paging
            && !guestMode
            && !watching
            && !checksAlignment
            && stores == null
            && (base < 0 || hostOf(base) == 0);
    return plain ? walker.refillFlags(!codeMap.breakpoints.any()) : 0;
  }

  /** Gives back what the host lent; not used afterwards. */
  final void close() {
    buffer.close();
  }

  @Override
  final void setUserKeys(int value) {
    ProtectionKeys.writeUsers(this, value);
  }

  // Mode.

  /** True for an address that paging has, of 48 bits, or of 57 with five levels of tables. */
  final boolean canonical(long address) {
    return address << 16 >> 16 == address || fiveLevels && address << 7 >> 7 == address;
  }

  /** The same for what registers take, whatever paging is in use. */
  final boolean canonicalHere(long address) {
    return address << 16 >> 16 == address || knowsFiveLevels && address << 7 >> 7 == address;
  }

  /** In long mode, tables have five levels. */
  final boolean fiveLevels() {
    return fiveLevels;
  }

  /**
   * A guest begins to run: its registers come next, then {@link #updatePaging}.
   *
   * @param keep what was known of its address space still holds
   */
  final void enterGuest(boolean keep) {
    guestMode = true;
    if (!keep) {
      nested.forget();
    }
    buffer.enterGuest(keep);
  }

  /** Its physical addresses lead through tables of a host whose registers are these. */
  final void nest(long root, long cr0, long cr4, long efer) {
    nested.start(root, cr0, cr4, efer);
    nests = true;
    walker.nest(nested);
  }

  /** No guest runs any more; the host's CR3 and CR4 are in place. */
  final void leaveGuest() {
    guestMode = false;
    buffer.leaveGuest(currentPcid());
    endNesting();
  }

  /** The address space is a host's, whatever was before; all is to be forgotten after that. */
  final void endNesting() {
    nests = false;
    walker.nest(null);
  }

  /** Forgets what is known of a guest while its host runs. */
  final void forgetGuest() {
    nested.forget();
    buffer.forgetGuest();
  }

  /** Leaves for an access that nested paging refuses. */
  abstract VirtualExit nestedFault(long information, long physical);

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
    fiveLevels = longMode && (cr4 & Bits.CR4_LA57) != 0;
    walker.update(cr0, cr4, efer);
    alignmentMask = (cr0 & Bits.CR0_AM) != 0;
    if (flush) {
      flushSpaces();
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
    tlb = buffer.table(cpl == 3 ? USER : alignmentFlag() && walker.smap() ? KERNEL_AC : KERNEL);
  }

  /** CR4.SMAP. */
  final boolean smap() {
    return walker.smap();
  }

  /** RFLAGS.AC. */
  abstract boolean alignmentFlag();

  /** Which of {@link #KERNEL}, {@link #USER} and {@link #KERNEL_AC} is in use. */
  final int tlbKind() {
    return buffer.kindOf(tlb);
  }

  // TLB maintenance.

  // What {@link #fill} has found.
  static final int FILLED = 0;

  /** A page fault, which is noted in {@link #fault} and {@link #faultAddress}. */
  static final int PAGE_FAULT = 1;

  static final int UNUSUAL = 2;

  /**
   * Looks {@code linear} up for generated code that missed it: {@link #FILLED}, {@link
   * #PAGE_FAULT}, or {@link #UNUSUAL} if the access is one for the interpreter.
   */
  final int fill(long linear, boolean write) {
    if (longMode && !canonical(linear)) {
      return UNUSUAL;
    }
    int access = write ? WRITE : READ;
    int table = buffer.kindOf(tlb);
    long physical;
    try {
      physical = walks() ? walker.find(linear, access, table) : linear & 0xffff_ffffL;
    } catch (VirtualExit e) {
      return UNUSUAL;
    }
    if (physical == PageWalker.REFUSED) {
      return PAGE_FAULT;
    }
    long entry = tlb + ((linear >>> 12 & INDEX_MASK) << 5);
    enter(linear, access, entry, table, physical);
    return getLong(entry + (write ? EngineArea.TLB_WRITE : EngineArea.TLB_READ)) == (linear & PAGE)
        ? FILLED
        : UNUSUAL;
  }

  /** Addresses are looked up in tables, be they only those for nested paging. */
  private boolean walks() {
    return paging || nests;
  }

  /**
   * Forgets what the program that runs may ask to be forgotten: a guest does not see its host's.
   */
  final void flushSpaces() {
    if (guestMode) {
      buffer.flushGuest();
    } else {
      flushAll();
    }
  }

  /** Forgets all translations, of every address space. */
  final void flushAll() {
    nested.forget();
    buffer.flushAll(currentPcid());
    ProtectionKeys.forgetPages(this);
  }

  private int currentPcid() {
    return (getLong(state + CpuState.CR4) & Bits.CR4_PCIDE) != 0
        ? (int) getLong(state + CpuState.CR3) & 0xfff
        : 0;
  }

  /** After a CR3 write: {@code keep} is the no-flush bit with PCIDs on. */
  final void switchAddressSpace(boolean keep) {
    if (guestMode) {
      buffer.switchGuest();
    } else {
      buffer.switchTo(currentPcid(), keep);
    }
    selectTable();
  }

  /** Forgets translations of {@code pcid}, current or not. */
  final void flushPcid(int pcid) {
    if (guestMode) {
      buffer.switchGuest();
    } else {
      buffer.flushPcid(pcid);
    }
  }

  /** INVLPG: in every table and address space. */
  final void flushPage(long linear) {
    if (buffer.flushPage(linear)) {
      pageForgotten(linear);
    } else {
      flushSpaces();
    }
  }

  /** Times that all were forgotten, or an address space began or went on without any. */
  final long tlbFlushes() {
    return buffer.flushes();
  }

  /** True if supervisor code on the page of {@code linear} is there in every address space. */
  final boolean fetchesGlobally(long linear) {
    return buffer.fetchesGlobally(linear);
  }

  /**
   * 1 to 2047, for what else is known by linear address: as long as it is the same, translations of
   * the present address space, the kernel's included, hold but for what {@link #pageForgotten}
   * names. It changes with the address space and comes back with one that was kept.
   */
  final int addressSpaceId() {
    return buffer.addressSpaceNumber();
  }

  /** The page of {@code linear} was forgotten in every address space. */
  void pageForgotten(long linear) {}

  @Override
  public void allForgotten() {}

  /** Every {@link #addressSpaceId} handed out before means nothing any more, or something else. */
  @Override
  public void addressSpacesForgotten() {}

  /**
   * The page at {@code physical} has decoded code from now on: no TLB entry may let stores pass
   * unseen.
   */
  final void dropWritesTo(long physical) {
    buffer.dropWritesTo(physical, hostOf(physical & PAGE));
  }

  // Loads and stores.

  @Override
  final int load8(long linear) {
    long entry = tlb + ((linear >>> 12 & INDEX_MASK) << 5);
    long at = linear ^ getLong(entry);
    return Long.compareUnsigned(at, 4096 - 1) <= 0
        ? RawMemory.loadByte(getLong(entry + EngineArea.TLB_HOST) + at) & 0xff
        : (int) loadSlow(linear, 1);
  }

  @Override
  final int load16(long linear) {
    long entry = tlb + ((linear >>> 12 & INDEX_MASK) << 5);
    long at = linear ^ getLong(entry);
    return Long.compareUnsigned(at, 4096 - 2) <= 0
        ? RawMemory.loadShort(getLong(entry + EngineArea.TLB_HOST) + at) & 0xffff
        : (int) loadSlow(linear, 2);
  }

  @Override
  final int load32(long linear) {
    long entry = tlb + ((linear >>> 12 & INDEX_MASK) << 5);
    long at = linear ^ getLong(entry);
    return Long.compareUnsigned(at, 4096 - 4) <= 0
        ? RawMemory.loadInt(getLong(entry + EngineArea.TLB_HOST) + at)
        : (int) loadSlow(linear, 4);
  }

  @Override
  final long load64(long linear) {
    long entry = tlb + ((linear >>> 12 & INDEX_MASK) << 5);
    long at = linear ^ getLong(entry);
    return Long.compareUnsigned(at, 4096 - 8) <= 0
        ? RawMemory.loadLong(getLong(entry + EngineArea.TLB_HOST) + at)
        : loadSlow(linear, 8);
  }

  @Override
  final void store8(long linear, int value) {
    long entry = tlb + ((linear >>> 12 & INDEX_MASK) << 5);
    long at = linear ^ getLong(entry + EngineArea.TLB_WRITE);
    if (Long.compareUnsigned(at, 4096 - 1) <= 0) {
      RawMemory.storeByte(getLong(entry + EngineArea.TLB_HOST) + at, (byte) value);
    } else {
      storeSlow(linear, 1, value);
    }
  }

  @Override
  final void store16(long linear, int value) {
    long entry = tlb + ((linear >>> 12 & INDEX_MASK) << 5);
    long at = linear ^ getLong(entry + EngineArea.TLB_WRITE);
    if (Long.compareUnsigned(at, 4096 - 2) <= 0) {
      RawMemory.storeShort(getLong(entry + EngineArea.TLB_HOST) + at, (short) value);
    } else {
      storeSlow(linear, 2, value);
    }
  }

  @Override
  final void store32(long linear, int value) {
    long entry = tlb + ((linear >>> 12 & INDEX_MASK) << 5);
    long at = linear ^ getLong(entry + EngineArea.TLB_WRITE);
    if (Long.compareUnsigned(at, 4096 - 4) <= 0) {
      RawMemory.storeInt(getLong(entry + EngineArea.TLB_HOST) + at, value);
    } else {
      storeSlow(linear, 4, value);
    }
  }

  @Override
  final void store64(long linear, long value) {
    long entry = tlb + ((linear >>> 12 & INDEX_MASK) << 5);
    long at = linear ^ getLong(entry + EngineArea.TLB_WRITE);
    if (Long.compareUnsigned(at, 4096 - 8) <= 0) {
      RawMemory.storeLong(getLong(entry + EngineArea.TLB_HOST) + at, value);
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
    long at = linear ^ getLong(entry + EngineArea.TLB_WRITE);
    return Long.compareUnsigned(at, 4096 - size) <= 0
        ? getLong(entry + EngineArea.TLB_HOST) + at
        : updateAddressSlow(linear, size);
  }

  /**
   * Host address from which the bytes up to the page's end may be read, or 0 if they are not plain
   * RAM.
   */
  final long readAddress(long linear) {
    long entry = tlb + ((linear >>> 12 & INDEX_MASK) << 5);
    if (getLong(entry) != (linear & PAGE)) {
      translate(linear, READ);
      if (getLong(entry) != (linear & PAGE)) {
        return 0;
      }
    }
    return getLong(entry + EngineArea.TLB_HOST) + (linear & 0xfff);
  }

  private long updateAddressSlow(long linear, int size) {
    probeStore(linear, size);
    long entry = tlb + ((linear >>> 12 & INDEX_MASK) << 5);
    long at = linear ^ getLong(entry + EngineArea.TLB_WRITE);
    return Long.compareUnsigned(at, 4096 - size) <= 0
        ? getLong(entry + EngineArea.TLB_HOST) + at
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
    if (longMode && !canonical(last)) {
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

  /**
   * Where a shadow stack's access goes, for which pages are judged as for nothing else; #GP(0), or
   * a page fault.
   */
  final long translateShadow(long linear, boolean write, boolean user) {
    if (!longMode) {
      linear &= 0xffff_ffffL;
    } else if (!canonical(linear)) {
      throw raise(GuestFault.GP, 0);
    }
    int access = write ? SHADOW_WRITE : SHADOW_READ;
    return walks() ? walker.walk(linear, access, user ? USER : KERNEL) : linear;
  }

  // Implicit supervisor accesses: descriptor tables, TSS, interrupt stacks' checks.

  final long loadSystem(long linear, int size) {
    long saved = tlb;
    int savedCpl = cpl;
    cpl = 0;
    tlb = buffer.table(KERNEL);
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
    tlb = buffer.table(KERNEL);
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
    long at = linear ^ getLong(entry + 8L * access);
    if (Long.compareUnsigned(at, 4096) < 0) {
      return physicalOfHost(getLong(entry + EngineArea.TLB_HOST) + at);
    }
    return translateSlow(linear, access, entry);
  }

  private long translateSlow(long linear, int access, long entry) {
    int table = buffer.kindOf(tlb);
    if (longMode && !canonical(linear)) {
      throw raiseNonCanonical();
    }
    long physical = walks() ? walker.walk(linear, access, table) : linear & 0xffff_ffffL;
    enter(linear, access, entry, table, physical);
    return physical;
  }

  /** Enters what the walk has found, if it may be. */
  private void enter(long linear, int access, long entry, int table, long physical) {
    if (access == FETCH && codeMap.breakpoints.any()) {
      codeMap.breakpoints.fetched(this, linear, physical);
    }
    if (access != FETCH && (watching && watchesPage(linear) || checksAlignment && cpl == 3)) {
      if (stores != null && access == WRITE && hostOf(physical) != 0) {
        stores.mayBeWritten(physical & PAGE);
      }
      return;
    }
    long page = physical & PAGE;
    long host = isApicPage(page) ? 0 : hostOf(page);
    if (host != 0) {
      boolean write =
          access != FETCH
              && (!walks() || walker.mayWrite(table))
              && !codeMap.hasCode(page)
              && transaction == null;
      if (stores != null && (write || access == WRITE)) {
        stores.mayBeWritten(page);
      }
      // Without paging nothing depends on the address space.
      int found = walks() ? walker.walked() : PageWalker.GLOBAL;
      buffer.enter(
          entry,
          linear,
          access,
          page,
          host,
          write,
          (found & PageWalker.GLOBAL) != 0,
          (found & PageWalker.LARGE) != 0);
    }
  }

  /**
   * Has every store at the present CPL come by {@link #storeSlow}, until pages are entered anew.
   */
  final void dropWrites() {
    buffer.dropWrites(tlb);
  }

  abstract boolean watchesPage(long linear);

  abstract GuestFault raiseNonCanonical();

  /** Linear address of the page fault being raised. */
  long faultAddress;
}
