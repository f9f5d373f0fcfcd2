package dev.bothy.x86.interpret;

import dev.bothy.core.cpu.CpuState;

/**
 * The engines' private part of a vCPU's memory, behind the portable state: words that generated
 * code keeps at hand, and the TLB. Offsets count from {@link CpuState#address}; those of the words
 * lie within a signed byte of {@link #CENTRE}, where generated code has its base register.
 */
public final class EngineArea {
  /** Where generated code's base register points. */
  public static final int CENTRE = CpuState.PORTABLE_SIZE + 0x80;

  private static final int WORDS = CENTRE - 0x80;

  /** Which exit generated code took: block number * 256 + index. 4 bytes. */
  public static final int EXIT = WORDS;

  /** Linear address that a jump leads to which generated code could not follow. */
  public static final int TARGET = WORDS + 8;

  /**
   * Not 0: an interrupt waits for RFLAGS.IF, or NMIs are blocked ({@link #NMIS_BLOCKED}); then what
   * sets IF is Java's. 4 bytes.
   */
  public static final int INTERRUPT_WAITS = WORDS + 0x10;

  public static final int NMIS_BLOCKED = 2;

  /** Linear address of the page that the running code lies on. */
  public static final int PAGE_BASE = WORDS + 0x20;

  /** Host address of the TLB table for supervisor accesses with SMAP in force. */
  public static final int TLB_KERNEL = WORDS + 0x28;

  /** Host address of the present address space's TLB table for user accesses. */
  public static final int TLB_USER = WORDS + 0x30;

  /** Host address of the present address space's TLB table for supervisor accesses with AC set. */
  public static final int TLB_AC = WORDS + 0x38;

  /**
   * The stack page last written by user code: tag as in a TLB entry's write tag, then its host
   * page, 8 bytes each.
   */
  public static final int STACK_USER = WORDS + 0x40;

  /** The same for supervisor code. */
  public static final int STACK_KERNEL = WORDS + 0x50;

  /** Arithmetic flags as LAHF and SETO leave them in AX. 4 bytes. */
  public static final int FLAGS = WORDS + 0x60;

  /** RFLAGS but for the arithmetic flags. 4 bytes. */
  public static final int SYSTEM_FLAGS = WORDS + 0x64;

  /**
   * Bit 0: XMM registers and MXCSR are the guest's; bit 1: the x87's are; bit 2: the upper halves
   * of the YMM registers are, too. 4 bytes.
   */
  public static final int LOADED = WORDS + 0x68;

  /** MXCSR of the host. 4 bytes. */
  public static final int HOST_MXCSR = WORDS + 0x6c;

  /** Xored into what the jump cache is asked for: mode and address space. */
  public static final int JUMP_KEY = WORDS + 0x70;

  /** Instructions left of the budget, when they are counted. */
  public static final int BUDGET = WORDS + 0x78;

  /** Linear address of the access that missed the TLB. */
  public static final int MISS_ADDRESS = WORDS + 0x80;

  /** x87 control word of the host. 4 bytes. */
  public static final int HOST_X87_CONTROL = WORDS + 0xec;

  /** Offsets of the last two x87 instructions' operands, by turns. 8 bytes each. */
  public static final int X87_OPERAND = WORDS + 0xf0;

  /** Where FXSAVE and FXRSTOR find the x87's state. 512 bytes. */
  public static final int X87_IMAGE = WORDS + 0xe00;

  /** Scratch words of generated code. */
  public static final int SCRATCH = WORDS + 0x90;

  /** More scratch words of the shared stubs, 8 bytes each. */
  public static final int STUB_SCRATCH = WORDS + 0x98;

  public static final int STUB_SCRATCH_2 = WORDS + 0x88;

  /** Host addresses that accesses of the running block have found: eight of 8 bytes. */
  public static final int SPANS = WORDS + 0xa0;

  /** A word that is never written by generated code's hot paths: counters, by their own offsets. */
  public static final int COUNTERS = WORDS + 0x100;

  // Words that generated code needs less often.

  /**
   * What {@link #JUMP_KEY} becomes with a change between supervisor mode, user mode and supervisor
   * mode with AC set; nothing else of the mode changes there.
   */
  public static final int KEY_KERNEL = WORDS + 0x200;

  public static final int KEY_USER = WORDS + 0x208;
  public static final int KEY_AC = WORDS + 0x210;

  /** PAUSE instructions until the next one that lets others run. 4 bytes. */
  public static final int PAUSES = WORDS + 0x218;

  /** Host address of the frame that IRET takes. */
  public static final int RETURN_FRAME = WORDS + 0x220;

  /** As {@link #KEY_KERNEL} and the two behind it, while a tracked branch waits for its target. */
  public static final int KEY_WAITING = WORDS + 0x228;

  /**
   * Code segment that IRET has last returned to in 64-bit supervisor code, as the following
   * constants have it; and {@link #RETURN_STACK} behind it, the stack segment.
   */
  public static final int RETURN_KERNEL = WORDS + 0x240;

  /** The same for user code. */
  public static final int RETURN_USER = WORDS + 0x2c0;

  public static final int RETURN_STACK = 0x40;

  /** The selector, 8 bytes; -1 for none. */
  public static final int RETURN_SELECTOR = 0;

  /** Offset of the descriptor's last byte in the GDT, 8 bytes. */
  public static final int RETURN_LAST_BYTE = 8;

  /** Offset of the descriptor in the GDT, 8 bytes. */
  public static final int RETURN_OFFSET = 0x10;

  /** The descriptor as it is in memory. */
  public static final int RETURN_DESCRIPTOR = 0x18;

  /** What the segment register holds with it. */
  public static final int RETURN_SEGMENT = 0x20;

  /** Five words of 8 bytes in which string instructions keep registers and addresses. */
  public static final int STRING_WORDS = WORDS + 0x340;

  /** 1 if the host's monotonic clock and {@link #CLOCK_OFFSET} make guest time. 4 bytes. */
  public static final int CLOCK_KNOWN = WORDS + 0x370;

  /** What guest time adds to the host's monotonic clock. */
  public static final int CLOCK_OFFSET = WORDS + 0x378;

  /** Where translations are found by the host address of their guest code. */
  public static final int BLOCK_INDEX = WORDS + 0x380;

  /** Not 0: the jump cache has supervisor code that is the present address space's alone. */
  public static final int LOCAL_KERNEL_JUMPS = WORDS + 0x388;

  // What generated code needs to walk page tables.

  /** {@link #REFILL_ALLOWED} and so on. 4 bytes. */
  public static final int REFILL_FLAGS = WORDS + 0x600;

  /** It may: 4-level tables, NX in force, nothing that looks at each access. */
  public static final int REFILL_ALLOWED = 1;

  public static final int REFILL_SMEP = 2;
  public static final int REFILL_SMAP = 4;

  /** Fetches may be refilled as well. */
  public static final int REFILL_FETCHES = 8;

  /** The same as {@link #REFILL_ALLOWED} and {@link #REFILL_FETCHES} with 5-level tables. */
  public static final int REFILL_FIVE_LEVELS = 0x10;

  public static final int REFILL_FIVE_LEVEL_FETCHES = 0x20;

  /** CR4.PGE, at the place of the bit that makes a page global. */
  public static final int REFILL_GLOBAL = 0x100;

  /** Times that it did. */
  public static final int REFILLS = WORDS + 0x608;

  /** The last miss that it looked for, and of the same exit the one before. */
  public static final int REFILL_ADDRESS = WORDS + 0x610;

  public static final int REFILL_BEFORE = WORDS + 0x618;

  /** The exit: as in {@link #EXIT}. 4 bytes. */
  public static final int REFILL_EXIT = WORDS + 0x620;

  /** Bits of an entry that must be as in a plain one that leads to another table. */
  public static final int REFILL_TABLE_BITS = WORDS + 0x628;

  /** The same where it leads to a page of 4 KiB. */
  public static final int REFILL_PAGE_BITS = WORDS + 0x630;

  /** Bits of an entry that are a frame's address. */
  public static final int REFILL_FRAME = WORDS + 0x638;

  /** Host address of RAM; the low region's size, where the high one starts, and its size. */
  public static final int RAM = WORDS + 0x640;

  public static final int RAM_LOW_SIZE = WORDS + 0x648;
  public static final int RAM_HIGH_START = WORDS + 0x650;
  public static final int RAM_HIGH_SIZE = WORDS + 0x658;

  /** Host address of four bytes a page of RAM: not 0 where there is code. */
  public static final int CODE_PAGES = WORDS + 0x660;

  /** Host address of four bytes a page of RAM: which TLB entries let stores through. */
  public static final int TLB_WRITERS = WORDS + 0x668;

  /** What a stack copy holds as its tag while it is empty. */
  public static final int NO_PAGE = WORDS + 0x670;

  /**
   * The bits of PKRU that something in the TLB depends on, those of key 0 always: as long as no
   * other changes, a new value is just stored. 4 bytes.
   */
  public static final int PAGE_KEYS = WORDS + 0x678;

  // Address spaces, for generated code to switch between.

  /** The PCID of each slot, or -1; 4 bytes each. The last slot is {@link #GUEST_SPACE}. */
  public static final int SPACE_PCIDS = WORDS + 0xaa0;

  /** The number of each slot's address space, 4 bytes each. */
  public static final int SPACE_NUMBERS = WORDS + 0xad0;

  /** When each slot was last switched to, 8 bytes each. */
  public static final int SPACE_USES = WORDS + 0xa00;

  /** The last of these times. */
  public static final int SPACE_TIME = WORDS + 0xa80;

  /** The present address space's slot. 4 bytes. */
  public static final int SPACE_SLOT = WORDS + 0xa88;

  /** Not 0: some bit of {@link #TLB_LOCAL} may be set. 4 bytes. */
  public static final int LOCAL_PAGES = WORDS + 0xa8c;

  /** The number of the next address space, if it is below {@link #MOST_NUMBERS}. 4 bytes. */
  public static final int SPACE_NEXT = WORDS + 0xa90;

  /** Address-space numbers are below this. */
  public static final int MOST_NUMBERS = 2048;

  /** Times that all were forgotten, or an address space began or went on without any. */
  public static final int SPACE_FLUSHES = WORDS + 0xa98;

  /** Bits of {@link #JUMP_KEY} below the number of the address space. */
  public static final int KEY_SPACE_SHIFT = 48;

  /** Bits of {@link #JUMP_KEY} below the number of the mode. */
  public static final int KEY_MODE_SHIFT = 59;

  /** For each number of a mode, {@link #MODE_TABLE} and {@link #MODE_KEY}. */
  public static final int MODES = WORDS + 0x400;

  /** Where the address of the TLB table is, counted from {@link #CENTRE}. */
  public static final int MODE_TABLE = 0;

  /** What the mode is to a look for a block. */
  public static final int MODE_KEY = 8;

  /** Eight more like {@link #SPANS}. */
  public static final int MORE_SPANS = WORDS + 0x390;

  // The TLB.

  /** Entries of a table. */
  public static final int TLB_ENTRIES = 8192;

  /** Bytes of an entry: read tag, write tag, fetch tag, host page; 8 each. */
  public static final int TLB_ENTRY = 32;

  public static final int TLB_TABLE = TLB_ENTRIES * TLB_ENTRY;

  public static final int TLB_READ = 0;
  public static final int TLB_WRITE = 8;
  public static final int TLB_FETCH = 16;
  public static final int TLB_HOST = 24;

  /** Address spaces whose translations are kept. */
  public static final int SPACES = 8;

  /** The slot of the address space that a guest of the guest's has: no PCIDs are kept of it. */
  public static final int GUEST_SPACE = SPACES;

  /** Its third table, for supervisor accesses: it shares none with its host. */
  public static final int GUEST_KERNEL_TABLE = 1 + 2 * (SPACES + 1);

  public static final int TLB_TABLES = GUEST_KERNEL_TABLE + 1;

  /** Start of the TLB: the kernel's table, then a user and an AC table for each space. */
  public static final int TLB = CpuState.PORTABLE_SIZE + 0x1000;

  public static final int TLB_SIZE = TLB_TABLE * TLB_TABLES;

  /** A bit for each entry of the kernel's table: it is some address space's, no global page. */
  public static final int TLB_LOCAL = TLB + TLB_SIZE;

  /** A bit for each entry of each table: it may not be empty. */
  public static final int TLB_USED = TLB_LOCAL + TLB_ENTRIES / 8;

  /** Regions of 1 GiB (hashed) that have large pages in the TLB: 512 bits. */
  public static final int TLB_LARGE_REGIONS = TLB_USED + TLB_TABLES * TLB_ENTRIES / 8;

  // The jump cache.

  public static final int JUMP_ENTRIES = 1 << 16;

  /**
   * Entries of 16 bytes: the linear address xor {@link #JUMP_KEY}, then the host address of code.
   */
  public static final int JUMPS = TLB_LARGE_REGIONS + 64;

  /** Number of bits in {@link #JUMP_PAGES}. */
  public static final int JUMP_PAGES_BITS = 1 << 16;

  /** A bit for each page, by the low bits of its number: it may have entries in the jump cache. */
  public static final int JUMP_PAGES = JUMPS + 16 * JUMP_ENTRIES;

  /** A page that nobody uses, behind the stack copies while they are empty. */
  public static final int SPARE_PAGE = JUMP_PAGES + JUMP_PAGES_BITS / 8;

  /** Results of atomic stubs. 64 bytes. */
  public static final int STUB_RESULTS = SPARE_PAGE + 0x1000;

  // What CPUID has answered.

  /** An answer: leaf, subleaf, 1 if there is one, 4 bytes unused; EAX, EBX, ECX, EDX; 4 each. */
  public static final int CPUID_ANSWER = 32;

  /** Answers of leaves that have no subleaves, then of those that do, each by a hash. */
  public static final int CPUID_LEAVES = STUB_RESULTS + 64;

  public static final int CPUID_LEAVES_COUNT = 64;
  public static final int CPUID_SUBLEAVES = CPUID_LEAVES + CPUID_LEAVES_COUNT * CPUID_ANSWER;
  public static final int CPUID_SUBLEAVES_COUNT = 128;

  /** XCR0, which the answers depend on, as it was with them. */
  public static final int CPUID_XCR0 = CPUID_SUBLEAVES + CPUID_SUBLEAVES_COUNT * CPUID_ANSWER;

  /** Bytes behind the portable state. */
  public static final int SIZE = CPUID_XCR0 + 8 - CpuState.PORTABLE_SIZE;

  private EngineArea() {}
}
