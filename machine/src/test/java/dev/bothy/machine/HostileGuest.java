package dev.bothy.machine;

import dev.bothy.core.GuestMemory;
import dev.bothy.machine.boot.BootSource;
import dev.bothy.machine.boot.BootState;
import java.util.Random;

/**
 * Guests that mean harm, made from a seed: a driver that loads random values into all registers and
 * jumps into random code, in user or kernel mode, and to which every exception and interrupt leads
 * back. Random are the code, parts of the page tables, the descriptor tables and the control
 * registers. What the code does to the driver itself may end the machine at any time.
 */
final class HostileGuest {
  static final long MEMORY = 8 << 20;

  private static final int GDT = 0x20_0000;
  private static final int IDT = 0x20_1000;
  private static final int TSS = 0x20_2000;
  private static final int SETTINGS = 0x20_3000;
  private static final int DRIVER = 0x20_4000;
  private static final int VALUES = 0x20_5000;
  private static final int LDT = 0x20_7000;
  private static final int TABLES = 0x21_0000;
  private static final int RANDOM_TABLES = 0x22_0000;
  private static final int CODE = 0x30_0000;
  private static final int CODE_LENGTH = 0x4_0000;
  private static final int REAL_DRIVER = 0x600;
  private static final int REAL_VALUES = 0x6000;
  private static final int REAL_CODE = 0x1_0000;
  private static final int REAL_CODE_LENGTH = 0x5_0000;

  private static final int TSS_SELECTOR = 0x40;

  /** Loads tables and control registers from the settings; then the handler of every vector. */
  private static final String LONG_DRIVER =
      """
      bb0000e0fec783f0000000ff010000c783e00300000b000000c78320030000400002008b042540312000898380030000
      0f011425003020000f011c2510302000b8400000000f00d8b9800000c00f320b0425183120000f30488b042500312000
      0f22e0488b0425083120000f22c0488b0425103120000f22d80fba24250031200012730c31c931d2b8030000000f01d1
      eb00fc0f01cabc0000250048ff042520312000bbb000e0fec703000000000fc7f025f80f0000488b98005020000fc7f0
      25f80f0000488b88005020000fc7f025f80f0000488b90005020000fc7f025f80f0000488b98005020000fc7f025f80f
      0000488ba8005020000fc7f025f80f0000488bb0005020000fc7f025f80f0000488bb8005020000fc7f025f80f00004c
      8b80005020000fc7f025f80f00004c8b88005020000fc7f025f80f00004c8b90005020000fc7f025f80f00004c8b9800
      5020000fc7f025f80f00004c8ba0005020000fc7f025f80f00004c8ba8005020000fc7f025f80f00004c8bb000502000
      0fc7f025f80f00004c8bb8005020000fc7f025f00f00000f1080005020000f1088085020000fc7f08504252831200074
      406a3b0fc7f025f80f0000ffb0005020009c0fc7f023042530312000480904246a330fc7f025ffff0300050000300050
      0fc7f025f80f0000488b800050200048cf6a180fc7f025f80f0000ffb000502000a910000000740848c7042400002400
      9c0fc7f023042530312000480904246a100fc7f025ffff03000500003000500fc7f025f80f0000488b800050200048cf
      """;

  private static final int LONG_HANDLER = DRIVER + 0x92;

  private static final String PROTECTED_DRIVER =
      """
      bb0000e0fec783f0000000ff010000c783e00300000b000000c7832003000040000200a1403120008983800300000f01
      15003020000f011d10302000b8400000000f00d8b9800000c00f320b05183120000f30a1103120000f22d8a100312000
      0f22e0a1083120000f22c0eb00fcb8180000008ed88ed0bc00002500ff0520312000c705b000e0fe000000000fc7f025
      f80f00008b98005020008ec30fc7f025f80f00008b98005020008ee30fc7f025f80f00008b88005020000fc7f025f80f
      00008b90005020000fc7f025f80f00008b98005020000fc7f025f80f00008ba8005020000fc7f025f80f00008bb00050
      20000fc7f025f80f00008bb8005020000fc7f025f00f00000f1080005020000fc7f085052831200074356a3b0fc7f025
      f80f0000ffb0005020009c0fc7f02305303120000904246a330fc7f025ffff0300050000300050b83b0000008ed8cf9c
      0fc7f02305303120000904246a100fc7f025ffff03000500003000500fc7f025f80f00008b8000502000cf
      """;

  private static final int PROTECTED_HANDLER = DRIVER + 0x6d;

  private static final String REAL_DRIVER_CODE =
      """
      fcfa31c08ed0bc00708ed866ff060050660fc7f06625f80f0000678b98006000008ec3660fc7f06625f80f0000678b98
      006000008ee3660fc7f06625f80f000067668b8800600000660fc7f06625f80f000067668b9000600000660fc7f06625
      f80f000067668ba800600000660fc7f06625f80f000067668bb000600000660fc7f06625f80f000067668bb800600000
      660fc7f06625f80f000067668b9800600000660fc7f06625d540000050660fc7f025ff3f05001050660fc7f083e00f50
      660fc7f06625f80f000067668b80006000008ed8cf
      """;

  private final Random random;
  private final BootState.Mode mode;

  private HostileGuest(long seed, BootState.Mode mode) {
    this.random = new Random(seed);
    this.mode = mode;
  }

  /** The guest of {@code seed}, the same each time. */
  static BootSource of(long seed, BootState.Mode mode) {
    return environment -> new HostileGuest(seed, mode).load(environment.memory());
  }

  private BootState load(GuestMemory memory) {
    if (mode == BootState.Mode.REAL) {
      return loadReal(memory);
    }
    BootState state = new BootState(mode, DRIVER, 0, 0, 0, 0x25_0000);
    state.writeTables(memory);
    boolean longMode = mode == BootState.Mode.LONG;
    memory.write(DRIVER, MachineCode.bytes(longMode ? LONG_DRIVER : PROTECTED_DRIVER));
    writeDescriptors(memory, longMode);
    writeVectors(memory, longMode);
    writeTaskState(memory, longMode);
    writePageTables(memory, longMode);
    writeSettings(memory, longMode);
    writeValues(memory, VALUES);
    memory.write(CODE, randomCode(CODE_LENGTH));
    byte[] data = new byte[0x40_0000];
    random.nextBytes(data);
    memory.write(0x40_0000, data);
    return state;
  }

  private BootState loadReal(GuestMemory memory) {
    for (int vector = 0; vector < 256; vector++) {
      memory.writeInt(4L * vector, REAL_DRIVER);
    }
    memory.write(REAL_DRIVER, MachineCode.bytes(REAL_DRIVER_CODE));
    writeValues(memory, REAL_VALUES);
    memory.write(REAL_CODE, randomCode(REAL_CODE_LENGTH));
    return new BootState(BootState.Mode.REAL, REAL_DRIVER, 0, 0, 0, 0x7000);
  }

  private boolean oneIn(int n) {
    return random.nextInt(n) == 0;
  }

  private int oneOf(int... values) {
    return values[random.nextInt(values.length)];
  }

  private void writeDescriptors(GuestMemory memory, boolean longMode) {
    long flat = 0x000f_0000_0000_ffffL;
    long code = flat | (longMode ? 0xa09bL : 0xc09bL) << 40;
    memory.writeLong(GDT + 0x10, code);
    memory.writeLong(GDT + 0x18, flat | 0xc093L << 40);
    memory.writeLong(GDT + 0x20, flat | 0xc0fbL << 40);
    memory.writeLong(GDT + 0x30, code | 0x60L << 40);
    memory.writeLong(GDT + 0x38, flat | 0xc0f3L << 40);
    memory.writeLong(GDT + TSS_SELECTOR, system(TSS, 0x2ff, 0x89));
    memory.writeLong(GDT + 0x50, system(LDT, 0xff, 0x82));
    for (int i = 0x60; i < 0x1000; i += 8) {
      memory.writeLong(GDT + i, randomDescriptor());
    }
    for (int i = 0; i < 0x100; i += 8) {
      memory.writeLong(LDT + i, randomDescriptor());
    }
  }

  private static long system(long base, long limit, long type) {
    return limit | (base & 0xff_ffff) << 16 | type << 40 | (base >>> 24) << 56;
  }

  private long randomDescriptor() {
    if (oneIn(4)) {
      return random.nextLong();
    }
    long gate = CODE + random.nextInt(CODE_LENGTH);
    return switch (random.nextInt(4)) {
      // A gate into the code, a small segment, a flat one, a system segment.
      case 0 ->
          gate & 0xffff
              | 0x10L << 16
              | (long) oneOf(0x8c, 0xec, 0x85, 0xe5, 0x8e) << 40
              | gate >>> 16 << 48;
      case 1 ->
          system(random.nextInt(1 << 23), random.nextInt(1 << 16), 0x80 | random.nextInt(0x80));
      case 2 ->
          0x000f_0000_0000_ffffL
              | (long) (random.nextInt(0x100) | 0x90 | random.nextInt(16) << 12) << 40;
      default ->
          system(TSS, random.nextInt(0x200), 0x80 | oneOf(1, 2, 3, 9, 11) | random.nextInt(4) << 5);
    };
  }

  private void writeVectors(GuestMemory memory, boolean longMode) {
    boolean wild = oneIn(3);
    int stackTable = oneIn(3) ? 0 : 1;
    long handler = longMode ? LONG_HANDLER : PROTECTED_HANDLER;
    for (int vector = 0; vector < 256; vector++) {
      long gate =
          handler & 0xffff
              | 0x10L << 16
              | (long) (0x8e | random.nextInt(4) << 5) << 40
              | handler >>> 16 << 48;
      if (wild && oneIn(16)) {
        gate = oneIn(2) ? random.nextLong() : randomDescriptor();
      }
      if (longMode) {
        memory.writeLong(IDT + 16L * vector, gate | (long) stackTable << 32);
        memory.writeLong(IDT + 16L * vector + 8, wild && oneIn(16) ? random.nextLong() : 0);
      } else {
        memory.writeLong(IDT + 8L * vector, gate);
      }
    }
  }

  private void writeTaskState(GuestMemory memory, boolean longMode) {
    if (longMode) {
      for (int i = 4; i < 0x5c; i += 8) {
        memory.writeLong(TSS + i, 0x26_0000 + 0x1000L * i);
      }
    } else {
      memory.writeInt(TSS + 4, 0x26_0000);
      memory.writeInt(TSS + 8, 0x18);
    }
    memory.writeShort(TSS + 0x66, oneIn(2) ? 0x68 : random.nextInt(0x10000));
  }

  /**
   * Driver and devices are always mapped; a range of the rest has random attributes; 512 GiB and
   * the top are random.
   */
  private void writePageTables(GuestMemory memory, boolean longMode) {
    long pml4 = TABLES;
    long pdpt = TABLES + 0x1000;
    long low = TABLES + 0x2000;
    long devices = TABLES + 0x3000;
    boolean openTables = oneIn(4);
    boolean odd = oneIn(2);
    int user = 7;
    if (longMode) {
      memory.writeLong(pml4, pdpt | user);
      memory.writeLong(pml4 + 8, RANDOM_TABLES | user);
      memory.writeLong(pml4 + 511 * 8, RANDOM_TABLES | user);
    }
    int top = longMode ? user : 1;
    memory.writeLong(pdpt, low | top);
    memory.writeLong(pdpt + 8, longMode ? RANDOM_TABLES + 0x1000 | user : 0);
    memory.writeLong(pdpt + 24, devices | top);
    for (int i = 0; i < 512; i++) {
      memory.writeLong(low + 8L * i, (long) i << 21 | 0x80 | (i == 0 ? 3 : user));
      memory.writeLong(devices + 8L * i, 3L << 30 | (long) i << 21 | 0x80 | (oneIn(2) ? 3 : user));
    }
    // The same 4 KiB pages for PAE (8 bytes an entry) and for 32-bit paging (4 bytes).
    long directory = TABLES + 0x8000;
    for (int i = 0; i < 1024; i++) {
      memory.writeInt(directory + 4L * i, i << 22 | 0x80 | user);
    }
    memory.writeInt(directory, TABLES + 0x9000 | user);
    memory.writeInt(directory + 4, TABLES + 0xa000 | user);
    for (int page = 0; page < 2048; page++) {
      long at = (long) page << 12;
      boolean driver = at < 0x21_0000 || at >= TABLES && at < CODE && !openTables;
      long entry = at | (driver ? 3 : user);
      if (!driver && odd && oneIn(8)) {
        entry ^= random.nextInt(0x1000);
        entry |= oneIn(8) ? random.nextLong() & 0xfff0_0000_0000_0000L : 0;
      }
      if (page >= 512) {
        long table = TABLES + 0x4000 + 0x1000L * (page / 512 - 1);
        memory.writeLong(low + 8L * (page / 512), table | user);
        memory.writeLong(table + 8L * (page % 512), entry);
      }
      memory.writeInt(TABLES + 0x9000 + 4L * page, (int) entry);
    }
    for (int i = 0; i < 8 * 512; i++) {
      memory.writeLong(RANDOM_TABLES + 8L * i, randomEntry());
    }
  }

  private long randomEntry() {
    long frame =
        switch (random.nextInt(8)) {
          case 0 -> random.nextLong() & 0xf_ffff_ffff_f000L;
          case 1 -> 0xfee0_0000L;
          case 2 -> (MEMORY >> 12) + random.nextInt(3) - 1 << 12;
          case 3, 4, 5 -> RANDOM_TABLES + 0x1000L * random.nextInt(8);
          default -> (long) random.nextInt((int) (MEMORY >> 12)) << 12;
        };
    long flags = oneIn(4) ? random.nextInt(0x1000) : oneOf(7, 0x67, 0x87, 0xe7, 0x1e7, 5, 3);
    return frame | flags | (oneIn(8) ? Long.MIN_VALUE : 0);
  }

  private void writeSettings(GuestMemory memory, boolean longMode) {
    memory.writeShort(SETTINGS, oneOf(0xfff, 0x5f));
    memory.writeLong(SETTINGS + 2, GDT);
    memory.writeShort(SETTINGS + 0x10, 0xfff);
    memory.writeLong(SETTINGS + 0x12, IDT);
    long cr4 = 0x600;
    for (int bit : new int[] {2, 3, 4, 6, 7, 8, 11, 16, 17, 18, 20, 21}) {
      if (bit == 17 && !longMode) {
        continue;
      }
      cr4 |= oneIn(bit == 20 || bit == 21 ? 6 : 2) ? 1L << bit : 0;
    }
    boolean pae = longMode || oneIn(2);
    boolean paging = longMode || !oneIn(4);
    cr4 |= pae ? 0x20 : 0x10;
    memory.writeLong(SETTINGS + 0x100, cr4);
    long cr0 =
        0x11
            | (paging ? 1L << 31 : 0)
            | (long) random.nextInt(2) << 16
            | random.nextInt(2) << 18
            | random.nextInt(2) << 5
            | 2;
    memory.writeLong(SETTINGS + 0x108, cr0);
    memory.writeLong(SETTINGS + 0x110, longMode ? TABLES : pae ? TABLES + 0x1000 : TABLES + 0x8000);
    memory.writeLong(SETTINGS + 0x118, oneOf(0x801, 0x801, 0, 0x5801) | (longMode ? 0x100 : 0));
    memory.writeInt(SETTINGS + 0x140, oneOf(0, 5000, 100_000));
    memory.writeLong(SETTINGS + 0x128, oneOf(0, 0x1000, 0x3000, -1));
    memory.writeLong(
        SETTINGS + 0x130, oneOf(0xcd5, 0x3cd5, 0x4_0ed5, 0x5dd5, 0x21_0cd5, 0x25_7fd5));
  }

  private void writeValues(GuestMemory memory, int at) {
    for (int i = 0; i < 514; i++) {
      memory.writeLong(at + 8L * i, value());
    }
  }

  private long value() {
    int[] msrs = {
      0x1b,
      0x10,
      0x3b,
      0x174,
      0x175,
      0x176,
      0x1a0,
      0x1d9,
      0x277,
      0x2ff,
      0x200,
      0x250,
      0x6e0,
      0x802,
      0x808,
      0x80b,
      0x80f,
      0x830,
      0x832,
      0x838,
      0x83e,
      0x83f,
      0xc000_0080,
      0xc000_0081,
      0xc000_0082,
      0xc000_0100,
      0xc000_0102,
      0xc000_0103,
      0x4b56_4d00,
      0x4b56_4d01,
      0x11,
      0x12,
      0x4b56_4d04,
      0xc001_0015,
      0x48,
      0x49,
      0x8b,
      0xe7
    };
    return switch (random.nextInt(20)) {
      case 0 -> random.nextInt(16);
      case 1 -> -random.nextInt(16) - 1;
      case 2, 17, 18, 19 -> 0x40_0000 + random.nextInt(0x40_0000);
      case 3 -> 0x40_0000 + random.nextInt(0x400) * 0x1000L - random.nextInt(16);
      case 4 -> CODE + random.nextInt(CODE_LENGTH);
      case 5 -> MEMORY - random.nextInt(32);
      case 6 -> 0xfee0_0000L + 16 * random.nextInt(0x40) + (oneIn(8) ? random.nextInt(16) : 0);
      case 7 ->
          oneOf(0xfec0_0000, 0xfec0_0010, 0xffff_fff0, 0xa_0000, 0xc_0000, 0xc000_0000, 0xfed0_0000)
              & 0xffff_ffffL;
      case 8 -> (oneIn(2) ? 1L << 39 : -1L << 39) + (random.nextLong() & 0x7f_ffff_ffffL);
      case 9 -> (long) random.nextInt() << 32 | random.nextInt();
      case 10 ->
          oneOf(
              0x10,
              0x18,
              0x23,
              0x28,
              0x33,
              0x3b,
              0x40,
              0x50,
              4 + random.nextInt(64) * 4,
              random.nextInt(0x1000));
      case 11, 12 -> msrs[random.nextInt(msrs.length)];
      case 13 -> (oneIn(2) ? TABLES : RANDOM_TABLES) + random.nextInt(0x8000);
      case 14 ->
          oneOf(
              0x3f8, 0x20, 0x21, 0x40, 0x43, 0x60, 0x64, 0x70, 0x71, 0x92, 0xa0, 0xcf8, 0xcfc,
              0x608);
      default -> 1L << random.nextInt(64);
    };
  }

  /**
   * Mostly what looks like instructions: prefixes, an opcode of one of the maps, operands that
   * point somewhere.
   */
  private byte[] randomCode(int length) {
    byte[] code = new byte[length];
    random.nextBytes(code);
    int at = 0;
    while (at < length - 32) {
      if (oneIn(12)) {
        at += 1 + random.nextInt(8);
        continue;
      }
      at = instruction(code, at);
    }
    if (!oneIn(8)) {
      // An early HLT with interrupts off would be the end of most.
      for (int i = 0; i < length; i++) {
        code[i] = code[i] == (byte) 0xf4 ? (byte) 0x90 : code[i];
      }
    }
    return code;
  }

  private static final String[] SYSTEM = {
    "0f20", "0f22", "0f21", "0f23", "0f01", "0f00", "0f30", "0f32", "0f05", "0f07", "0f34", "0f35",
    "0fae", "0fc7", "cf", "48cf", "ca", "cb", "9a", "ea", "ff", "8e", "cd", "cc", "f1", "0fa2",
    "0f31", "0f01f9", "0f01d0", "0f01d1", "0f3882", "f30fc7", "e4", "e5", "e6", "e7", "ec", "ed",
    "ee", "ef", "6c", "6d", "6e", "6f", "f36c", "f36f", "fa", "fb", "0f02", "0f03", "0fb2", "0fb4",
    "c4", "c5", "c8", "0f09", "0f06", "f4", "9d", "9c", "07", "1f", "17", "0fa1", "0fa9", "0f0b",
    "0f01f8", "0f01ca", "0f01cb", "f30fae", "0f0d", "0f18", "0f1f", "f390", "0f77", "0fc7",
    "660fc7", "480fc7", "0f01c8"
  };

  private int instruction(byte[] code, int start) {
    int at = start;
    if (oneIn(12)) {
      for (byte b : MachineCode.bytes(SYSTEM[random.nextInt(SYSTEM.length)])) {
        code[at++] = b;
      }
    } else {
      if (oneIn(6)) {
        code[at++] = 0x66;
      }
      if (oneIn(6)) {
        code[at++] = (byte) oneOf(0xf2, 0xf3);
      }
      if (oneIn(12)) {
        code[at++] = (byte) oneOf(0xf0, 0x67, 0x2e, 0x26, 0x36, 0x3e, 0x64, 0x65);
      }
      if (mode == BootState.Mode.LONG && oneIn(2)) {
        code[at++] = (byte) (0x40 + random.nextInt(16));
      }
      int map = random.nextInt(20);
      if (map >= 11) {
        code[at++] = 0x0f;
      }
      if (map >= 18) {
        code[at++] = (byte) (map == 18 ? 0x38 : 0x3a);
      }
      code[at++] = (byte) random.nextInt(256);
    }
    int modRm = random.nextInt(256);
    code[at++] = (byte) modRm;
    if ((modRm & 7) == 4 && modRm < 0xc0) {
      code[at++] = (byte) random.nextInt(256);
    }
    int displacement =
        oneIn(3)
            ? random.nextInt()
            : oneIn(2) ? 0x40_0000 + random.nextInt(0x1000) : random.nextInt(256) - 128;
    for (int i = 0; i < 4 && modRm < 0xc0 && (modRm & 0xc0) != 0; i++) {
      code[at++] = (byte) (displacement >> 8 * i);
    }
    return at + (oneIn(3) ? 1 : 0);
  }
}
