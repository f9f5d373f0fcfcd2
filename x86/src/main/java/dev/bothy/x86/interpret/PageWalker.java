package dev.bothy.x86.interpret;

import static dev.bothy.host.RawMemory.compareAndExchangeInt;
import static dev.bothy.host.RawMemory.compareAndExchangeLong;
import static dev.bothy.host.RawMemory.getInt;
import static dev.bothy.host.RawMemory.getLong;
import static dev.bothy.host.RawMemory.putLong;

import dev.bothy.core.cpu.CpuState;

/**
 * Walks of page tables: 32-bit, PAE, 4-level and 5-level, with every page size; AMD64 APM volume 2,
 * chapter 5. Accessed and dirty bits are set by compare-and-swap on the entry that was judged,
 * after the access is known to be allowed.
 */
final class PageWalker {
  private static final long PAGE = ~0xfffL;

  // What a walk finds, see {@link #walked}.
  static final int WRITABLE = 1;
  static final int USER_PAGE = 2;
  static final int NX = 4;
  static final int DIRTY = 8;
  static final int LARGE = 16;

  /** The same in every address space. */
  static final int GLOBAL = 32;

  /** A shadow stack's: nobody else may write to it, and all above the last entry may be written. */
  private static final int SHADOW = 64;

  private final PagingCpu cpu;

  /** Bits that physical addresses have, and those above them that entries must not have. */
  private final long addressBits;

  private final long reservedHigh;

  /** These are tables for nested paging, whose root is {@link #root}. */
  private final boolean second;

  private long root;

  /** The tables' own addresses, and those that they lead to, are found by these; or null. */
  private NestedPaging nested;

  private boolean paging;
  private boolean longMode;
  private boolean fiveLevels;
  private boolean pae;
  private boolean pse;
  private boolean pge;
  private boolean writeProtect;
  private boolean smep;
  private boolean smap;
  private boolean nxe;

  /** Pages have protection keys: those of user code, those of the supervisor. */
  private boolean userKeys;

  private boolean supervisorKeys;

  /** Rights and kind of the page that the last successful {@link #walk} found. */
  private int walked;

  PageWalker(PagingCpu cpu, boolean second) {
    this.cpu = cpu;
    this.second = second;
    addressBits = (1L << cpu.physicalBits) - 1;
    reservedHigh = 0x000f_ffff_ffff_ffffL & ~addressBits;
  }

  /** The root of tables for nested paging. */
  void setRoot(long root) {
    this.root = root;
  }

  /** Walks go through {@code nested} from now on, unless that is null. */
  void nest(NestedPaging nested) {
    this.nested = nested;
  }

  /** Takes over the paging mode. */
  void update(long cr0, long cr4, long efer) {
    paging = (cr0 & Bits.CR0_PG) != 0;
    longMode = (efer & Bits.EFER_LMA) != 0;
    fiveLevels = longMode && (cr4 & Bits.CR4_LA57) != 0;
    pae = (cr4 & Bits.CR4_PAE) != 0;
    pse = (cr4 & Bits.CR4_PSE) != 0;
    pge = (cr4 & Bits.CR4_PGE) != 0;
    writeProtect = (cr0 & Bits.CR0_WP) != 0;
    smep = (cr4 & Bits.CR4_SMEP) != 0;
    smap = (cr4 & Bits.CR4_SMAP) != 0;
    nxe = (efer & Bits.EFER_NXE) != 0 && pae;
    if (second) {
      return;
    }
    userKeys = (cr4 & Bits.CR4_PKE) != 0;
    supervisorKeys = (cr4 & Bits.CR4_PKS) != 0;
    describe();
  }

  /**
   * {@link EngineArea#REFILL_FLAGS} but for what is beyond paging.
   *
   * @param fetches they may be refilled as well
   */
  int refillFlags(boolean fetches) {
    boolean plain =
        !(userKeys && ProtectionKeys.restrictFirst(cpu, CpuState.PKRU))
            && !(supervisorKeys && ProtectionKeys.restrictFirst(cpu, CpuState.PKRS));
    int allowed =
        fiveLevels
            ? EngineArea.REFILL_FIVE_LEVELS | (fetches ? EngineArea.REFILL_FIVE_LEVEL_FETCHES : 0)
            : EngineArea.REFILL_ALLOWED | (fetches ? EngineArea.REFILL_FETCHES : 0);
    return (longMode && nxe && plain ? allowed : 0)
        | (smep ? EngineArea.REFILL_SMEP : 0)
        | (smap ? EngineArea.REFILL_SMAP : 0)
        | (pge ? EngineArea.REFILL_GLOBAL : 0);
  }

  /** Tells generated code about page tables. Entries with another key than 0 are not its. */
  void describe() {
    long keys = userKeys || supervisorKeys ? ProtectionKeys.KEY : 0;
    putLong(cpu.state + EngineArea.REFILL_FRAME, addressBits & PAGE);
    putLong(cpu.state + EngineArea.REFILL_TABLE_BITS, reservedHigh | keys | 0xa1);
    putLong(cpu.state + EngineArea.REFILL_PAGE_BITS, reservedHigh | keys | 0x21);
  }

  boolean smap() {
    return smap;
  }

  /** Of a page fault's error code. */
  private static final int PROTECTION_KEY = 1 << 5;

  /** No address: a page fault. */
  static final long REFUSED = -1;

  /** No address: an entry changed meanwhile. */
  private static final long CHANGED = -2;

  int walked() {
    return walked;
  }

  /**
   * True if the page last found may be written without another walk by accesses of TLB table {@code
   * table}.
   */
  boolean mayWrite(int table) {
    if ((walked & DIRTY) == 0) {
      return false;
    }
    boolean writable = (walked & WRITABLE) != 0;
    return table == PagingCpu.USER
        ? writable && (walked & USER_PAGE) != 0
        : writable || !writeProtect;
  }

  /** The error code of the last page fault in tables for nested paging. */
  int refusal() {
    return refusal;
  }

  private int refusal;

  /** Notes a page fault. */
  private long refuse(long linear, int code, int access, boolean user) {
    int error = code | (writes(access) ? 2 : 0) | (user ? 4 : 0) | (shadow(access) ? 64 : 0);
    if (access == PagingCpu.FETCH && (nxe || smep)) {
      error |= 16;
    }
    if (second) {
      refusal = error;
      return REFUSED;
    }
    // CR2 changes only when the fault is delivered.
    cpu.faultAddress = linear;
    cpu.raise(GuestFault.PF, error);
    return REFUSED;
  }

  /**
   * Walks the page tables, sets accessed and dirty bits, judges rights; {@link #walked} tells the
   * page's.
   */
  long walk(long linear, int access, int table) {
    long found = find(linear, access, table);
    if (found == REFUSED) {
      throw cpu.fault;
    }
    return found;
  }

  /** The same, but a page fault is noted in {@link Cpu#fault} and {@link #REFUSED} returned. */
  long find(long linear, int access, int table) {
    cpu.walks++;
    for (; ; ) {
      long result =
          !paging
              ? unpaged(linear)
              : longMode || pae ? walkPae(linear, access, table) : walk32(linear, access, table);
      if (result != CHANGED) {
        return nested == null || result == REFUSED ? result : nestedPage(result, access);
      }
      // An entry changed under us: another processor's accessed bit or store. Look again.
    }
  }

  /** Every address is physical: what nested paging leads from in real mode. */
  private long unpaged(long linear) {
    walked = WRITABLE | USER_PAGE | DIRTY | GLOBAL;
    return linear & 0xffff_ffffL;
  }

  private static boolean shadow(int access) {
    return access >= PagingCpu.SHADOW_READ;
  }

  private static boolean writes(int access) {
    return access == PagingCpu.WRITE || access == PagingCpu.SHADOW_WRITE;
  }

  private long nestedPage(long physical, int access) {
    int plain = !shadow(access) ? access : writes(access) ? PagingCpu.WRITE : PagingCpu.READ;
    long page = nested.page(physical, plain);
    if (!nested.mayWrite()) {
      walked &= ~DIRTY;
    }
    return page;
  }

  /** Where the entry of these tables at {@code physical} is. */
  private long place(long physical) {
    return nested == null ? physical : nested.table(physical);
  }

  private long readEntry(long physical) {
    long host = cpu.hostOf(physical);
    return host == 0 ? -1L : getLong(host);
  }

  private boolean setBits(long physical, long old, long bits) {
    if ((old & bits) == bits) {
      return true;
    }
    long host = cpu.hostOf(physical);
    if (host == 0) {
      return true;
    }
    if (cpu.stores != null) {
      cpu.stores.mayBeWritten(physical & PAGE);
    }
    if (compareAndExchangeLong(host, old, old | bits) != old) {
      return false;
    }
    if (cpu.codeMap.hasCode(physical)) {
      cpu.codeMap.stored(cpu, physical, 8);
    }
    return true;
  }

  private long root() {
    return second ? root : getLong(cpu.state + CpuState.CR3);
  }

  private long walkPae(long linear, int access, int table) {
    boolean user = table == PagingCpu.USER;
    long at3 = 0;
    long e4 = -1;
    long at4 = 0;
    long e5 = -1;
    long at5 = 0;
    int rights = WRITABLE | USER_PAGE;
    long reserved = reservedHigh | (nxe ? 0 : 1L << 63);
    long cr3 = root();
    long e3;
    if (longMode) {
      long top = cr3;
      if (fiveLevels) {
        at5 = place((cr3 & addressBits & PAGE) + (linear >>> 48 & 511) * 8);
        e5 = readEntry(at5);
        if ((e5 & 1) == 0) {
          return refuse(linear, 0, access, user);
        }
        if ((e5 & (reserved | 0x80)) != 0) {
          return refuse(linear, 9, access, user);
        }
        rights = narrow(rights, e5);
        top = e5;
      }
      at4 = place((top & addressBits & PAGE) + (linear >>> 39 & 511) * 8);
      e4 = readEntry(at4);
      if ((e4 & 1) == 0) {
        return refuse(linear, 0, access, user);
      }
      if ((e4 & (reserved | 0x180)) != 0) {
        return refuse(linear, 9, access, user);
      }
      rights = narrow(rights, e4);
      at3 = place((e4 & addressBits & PAGE) + (linear >>> 30 & 511) * 8);
      e3 = readEntry(at3);
      if ((e3 & 1) == 0) {
        return refuse(linear, 0, access, user);
      }
      if ((e3 & reserved) != 0 || (e3 & 0x80) != 0 && (e3 & 0x3fff_e000L) != 0) {
        return refuse(linear, 9, access, user);
      }
      boolean huge = (e3 & 0x80) != 0;
      rights = huge ? last(rights, e3) : narrow(rights, e3);
      if (huge) {
        if (!judge(linear, access, table, rights, e3)) {
          return REFUSED;
        }
        if (!accessed(at5, e5) || !setBits(at4, e4, 0x20) || !finish(at3, e3, access)) {
          return CHANGED;
        }
        found(rights | LARGE, table, e3);
        return e3 & addressBits & ~0x3fff_ffffL | linear & 0x3fff_ffffL;
      }
    } else {
      // AMD processors read the four PDPTEs with each walk (APM 2, 5.2.3); they have no access
      // rights.
      at3 = place((cr3 & 0xffff_ffe0L) + (linear >>> 30 & 3) * 8);
      e3 = readEntry(at3);
      if ((e3 & 1) == 0) {
        return refuse(linear, 0, access, user);
      }
      if ((e3 & (reservedHigh | 0xfff0_0000_0000_01e6L)) != 0) {
        return refuse(linear, 9, access, user);
      }
    }
    long at2 = place((e3 & addressBits & PAGE) + (linear >>> 21 & 511) * 8);
    long e2 = readEntry(at2);
    if ((e2 & 1) == 0) {
      return refuse(linear, 0, access, user);
    }
    if ((e2 & reserved) != 0 || (e2 & 0x80) != 0 && (e2 & 0x1f_e000L) != 0) {
      return refuse(linear, 9, access, user);
    }
    boolean large = (e2 & 0x80) != 0;
    rights = large ? last(rights, e2) : narrow(rights, e2);
    long at1 = 0;
    long e1 = 0;
    if (!large) {
      at1 = place((e2 & addressBits & PAGE) + (linear >>> 12 & 511) * 8);
      e1 = readEntry(at1);
      if ((e1 & 1) == 0) {
        return refuse(linear, 0, access, user);
      }
      if ((e1 & reserved) != 0) {
        return refuse(linear, 9, access, user);
      }
      rights = last(rights, e1);
    }
    if (!judge(linear, access, table, rights, large ? e2 : e1)) {
      return REFUSED;
    }
    if (longMode && (!accessed(at5, e5) || !setBits(at4, e4, 0x20) || !setBits(at3, e3, 0x20))) {
      return CHANGED;
    }
    if (large) {
      if (!finish(at2, e2, access)) {
        return CHANGED;
      }
      found(rights | LARGE, table, e2);
      return e2 & addressBits & ~0x1f_ffffL | linear & 0x1f_ffffL;
    }
    if (!setBits(at2, e2, 0x20) || !finish(at1, e1, access)) {
      return CHANGED;
    }
    found(rights, table, e1);
    return e1 & addressBits & PAGE | linear & 0xfff;
  }

  /** Sets A in the entry of the fifth level, if there is one. */
  private boolean accessed(long at, long entry) {
    return !fiveLevels || setBits(at, entry, 0x20);
  }

  private static int narrow(int rights, long entry) {
    if ((entry & 2) == 0) {
      rights &= ~WRITABLE;
    }
    if ((entry & 4) == 0) {
      rights &= ~USER_PAGE;
    }
    return entry < 0 ? rights | NX : rights;
  }

  /** {@link #narrow} for the last entry. */
  private static int last(int rights, long entry) {
    boolean shadow = (entry & 0x42) == 0x40 && (rights & WRITABLE) != 0;
    return narrow(rights, entry) | (shadow ? SHADOW : 0);
  }

  /** What the last entry says to {@link #walked}. */
  private int kept(int entry) {
    return ((entry & 0x40) != 0 ? DIRTY : 0) | (pge && (entry & 0x100) != 0 ? GLOBAL : 0);
  }

  /** Sets A and, for a write, D in the last entry; starts {@link #walked}. */
  private boolean finish(long at, long entry, int access) {
    long bits = access == PagingCpu.WRITE ? 0x60 : 0x20;
    walked = kept((int) (entry | bits));
    return setBits(at, entry, bits);
  }

  /** Completes {@link #walked}: what the key forbids is written with a walk each time. */
  private void found(int rights, int table, long entry) {
    walked |= rights;
    if (userKeys && (rights & USER_PAGE) != 0) {
      ProtectionKeys.notePage(cpu, entry);
    }
    if (keyRefuses(PagingCpu.WRITE, table, rights, entry)) {
      walked &= ~DIRTY;
    }
  }

  /** True if the protection key of a page's last entry forbids the access. */
  private boolean keyRefuses(int access, int table, int rights, long entry) {
    if (!userKeys && !supervisorKeys || !longMode || access == PagingCpu.FETCH) {
      return false;
    }
    boolean userPage = (rights & USER_PAGE) != 0;
    if (userPage ? !userKeys : !supervisorKeys) {
      return false;
    }
    int register = getInt(cpu.state + (userPage ? CpuState.PKRU : CpuState.PKRS));
    boolean protect = table == PagingCpu.USER || writeProtect;
    return ProtectionKeys.refuses(register, entry, writes(access), protect);
  }

  /** False, with the fault noted, if rights or the key of the last entry forbid the access. */
  private boolean judge(long linear, int access, int table, int rights, long entry) {
    if (!keyRefuses(access, table, rights, entry)) {
      return judge(linear, access, table, rights);
    }
    refuse(linear, 1 | PROTECTION_KEY, access, table == PagingCpu.USER);
    return false;
  }

  /** False, with the fault noted, if the rights do not allow the access. */
  private boolean judge(long linear, int access, int table, int rights) {
    boolean user = table == PagingCpu.USER;
    boolean userPage = (rights & USER_PAGE) != 0;
    boolean refuse;
    if (shadow(access)) {
      refuse = (rights & SHADOW) == 0 || userPage != user;
    } else if (user) {
      refuse =
          !userPage
              || access == PagingCpu.WRITE && (rights & WRITABLE) == 0
              || access == PagingCpu.FETCH && (rights & NX) != 0 && nxe;
    } else {
      refuse =
          access == PagingCpu.WRITE && writeProtect && (rights & WRITABLE) == 0
              || access == PagingCpu.FETCH && (rights & NX) != 0 && nxe
              || userPage && access == PagingCpu.FETCH && smep
              || userPage && access != PagingCpu.FETCH && smap && table != PagingCpu.KERNEL_AC;
    }
    if (refuse) {
      refuse(linear, 1, access, user);
    }
    return !refuse;
  }

  private boolean setBits32(long physical, int old, int bits) {
    if ((old & bits) == bits) {
      return true;
    }
    long host = cpu.hostOf(physical);
    if (host == 0) {
      return true;
    }
    if (cpu.stores != null) {
      cpu.stores.mayBeWritten(physical & PAGE);
    }
    if (compareAndExchangeInt(host, old, old | bits) != old) {
      return false;
    }
    if (cpu.codeMap.hasCode(physical)) {
      cpu.codeMap.stored(cpu, physical, 4);
    }
    return true;
  }

  private int readEntry32(long physical) {
    long host = cpu.hostOf(physical);
    return host == 0 ? -1 : getInt(host);
  }

  private long walk32(long linear, int access, int table) {
    boolean user = table == PagingCpu.USER;
    long at2 = place((root() & 0xffff_f000L) + (linear >>> 22 & 1023) * 4);
    int e2 = readEntry32(at2);
    if ((e2 & 1) == 0) {
      return refuse(linear, 0, access, user);
    }
    boolean large = (e2 & 0x80) != 0 && pse;
    int all = WRITABLE | USER_PAGE;
    int rights = large ? last(all, e2 & 0x7f) : narrow(all, e2 & 7);
    if (large) {
      long high = (long) (e2 >>> 13 & 0xff) << 32;
      if ((e2 & 1 << 21) != 0 || (high & ~addressBits) != 0) {
        return refuse(linear, 9, access, user);
      }
      if (!judge(linear, access, table, rights)) {
        return REFUSED;
      }
      int bits = access == PagingCpu.WRITE ? 0x60 : 0x20;
      if (!setBits32(at2, e2, bits)) {
        return CHANGED;
      }
      walked = rights | LARGE | kept(e2 | bits);
      return e2 & 0xffc0_0000L | high | linear & 0x3f_ffff;
    }
    long at1 = place((e2 & 0xffff_f000L) + (linear >>> 12 & 1023) * 4);
    int e1 = readEntry32(at1);
    if ((e1 & 1) == 0) {
      return refuse(linear, 0, access, user);
    }
    rights = last(rights, e1 & 0x7f);
    if (!judge(linear, access, table, rights)) {
      return REFUSED;
    }
    int bits = access == PagingCpu.WRITE ? 0x60 : 0x20;
    if (!setBits32(at2, e2, 0x20) || !setBits32(at1, e1, bits)) {
      return CHANGED;
    }
    walked = rights | kept(e1 | bits);
    return e1 & 0xffff_f000L | linear & 0xfff;
  }
}
