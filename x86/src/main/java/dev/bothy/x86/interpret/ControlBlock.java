package dev.bothy.x86.interpret;

import static dev.bothy.host.RawMemory.getInt;
import static dev.bothy.host.RawMemory.getLong;
import static dev.bothy.host.RawMemory.getShort;
import static dev.bothy.host.RawMemory.putInt;
import static dev.bothy.host.RawMemory.putLong;
import static dev.bothy.host.RawMemory.putShort;

import dev.bothy.core.cpu.CpuFeature;
import dev.bothy.core.cpu.CpuState;

/**
 * The virtual machine control block: AMD64 APM volume 2, appendix B. Constants are offsets in the
 * page; 8 bytes unless said otherwise.
 */
final class ControlBlock {
  // Control area.

  /** Six words of 4 bytes. */
  static final int INTERCEPTS = 0x000;

  /** 2 bytes. */
  static final int PAUSE_COUNT = 0x03e;

  static final int PORT_MAP = 0x040;
  static final int MSR_MAP = 0x048;
  static final int TSC_OFFSET = 0x050;

  /**
   * Address-space identifier, 4 bytes, and behind it one byte: what of the TLB is to be flushed.
   */
  static final int ASID = 0x058;

  static final int TLB_CONTROL = 0x05c;
  static final int VIRTUAL_INTERRUPT = 0x060;
  static final int SHADOW = 0x068;
  static final int EXIT_CODE = 0x070;
  static final int INFORMATION = 0x078;
  static final int INFORMATION_2 = 0x080;
  static final int EXIT_EVENT = 0x088;
  static final int NESTED_CONTROL = 0x090;
  static final int EVENT = 0x0a8;
  static final int NESTED_CR3 = 0x0b0;
  static final int NEXT_RIP = 0x0c8;

  /** A count, then so many bytes of the instruction: 16 bytes. */
  static final int CODE = 0x0d0;

  // Save area.
  static final int ES = 0x400;
  static final int CS = 0x410;
  static final int SS = 0x420;
  static final int DS = 0x430;
  static final int FS = 0x440;
  static final int GS = 0x450;
  static final int GDTR = 0x460;
  static final int LDTR = 0x470;
  static final int IDTR = 0x480;
  static final int TR = 0x490;

  /** 1 byte. */
  static final int CPL = 0x4cb;

  static final int EFER = 0x4d0;
  static final int CR4 = 0x548;
  static final int CR3 = 0x550;
  static final int CR0 = 0x558;
  static final int DR7 = 0x560;
  static final int DR6 = 0x568;
  static final int RFLAGS = 0x570;
  static final int RIP = 0x578;
  static final int RSP = 0x5d8;
  static final int S_CET = 0x5e0;
  static final int SSP = 0x5e8;
  static final int INTERRUPT_SSP_TABLE = 0x5f0;
  static final int RAX = 0x5f8;
  static final int STAR = 0x600;
  static final int CR2 = 0x640;
  static final int PAT = 0x668;

  // Fields of a segment.
  static final int ATTRIBUTES = 2;
  static final int LIMIT = 4;
  static final int BASE = 8;

  /** ES, CS, SS and DS, which VMRUN and #VMEXIT move. */
  static final int SEGMENTS = 4;

  // What VMLOAD and VMSAVE move: segments, then registers that lie in the state as they do here.
  private static final int[] LOADED = {CpuState.FS, CpuState.GS, CpuState.TR, CpuState.LDTR};
  private static final int[] LOADED_AT = {FS, GS, TR, LDTR};

  private static final int[] REGISTERS = {
    CpuState.STAR,
    CpuState.LSTAR,
    CpuState.CSTAR,
    CpuState.SFMASK,
    CpuState.KERNEL_GS_BASE,
    CpuState.SYSENTER_CS,
    CpuState.SYSENTER_ESP,
    CpuState.SYSENTER_EIP
  };

  private ControlBlock() {}

  /** Of an address, the bits that the model's linear addresses have. */
  private static long canonical(Processor cpu, long address) {
    int unused = cpu.model.has(CpuFeature.LA57) ? 7 : 16;
    return address << unused >> unused;
  }

  /** Loads a segment register of {@code cpu} from {@code at}, a host address. */
  static void loadSegment(Processor cpu, int segment, long at, long base) {
    int attributes = getShort(at + ATTRIBUTES);
    cpu.setSegment(
        segment,
        getShort(at) & 0xffff,
        base,
        getInt(at + LIMIT),
        attributes & 0xff | (attributes & 0xf00) << 4);
  }

  static void storeSegment(Processor cpu, int segment, long at) {
    int attributes = cpu.segmentAttributes(segment);
    putShort(at, (short) cpu.segmentSelector(segment));
    putShort(at + ATTRIBUTES, (short) (attributes & 0xff | attributes >> 4 & 0xf00));
    putInt(at + LIMIT, cpu.segmentLimit(segment));
    putLong(at + BASE, cpu.segmentBase(segment));
  }

  /** Loads GDTR or IDTR, whose base is at {@code table} in the state. */
  static void loadTable(Processor cpu, int table, long at) {
    putLong(cpu.state + table, canonical(cpu, getLong(at + BASE)));
    putInt(cpu.state + table + 8, getInt(at + LIMIT) & 0xffff);
  }

  static void storeTable(long state, int table, long at) {
    putLong(at + BASE, getLong(state + table));
    putInt(at + LIMIT, getInt(state + table + 8) & 0xffff);
  }

  /** VMLOAD from the block at host address {@code block}. */
  static void load(Processor cpu, long block) {
    for (int i = 0; i < LOADED.length; i++) {
      long at = block + LOADED_AT[i];
      loadSegment(cpu, LOADED[i], at, canonical(cpu, getLong(at + BASE)));
    }
    for (int i = 0; i < REGISTERS.length; i++) {
      long value = getLong(block + STAR + 8L * i);
      boolean address =
          switch (REGISTERS[i]) {
            case CpuState.STAR, CpuState.SFMASK, CpuState.SYSENTER_CS -> false;
            default -> true;
          };
      if (REGISTERS[i] == CpuState.SFMASK) {
        value &= 0xffff_ffffL;
      }
      putLong(cpu.state + REGISTERS[i], address ? canonical(cpu, value) : value);
    }
  }

  /** VMSAVE to the block at host address {@code block}. */
  static void save(Processor cpu, long block) {
    for (int i = 0; i < LOADED.length; i++) {
      storeSegment(cpu, LOADED[i], block + LOADED_AT[i]);
    }
    for (int i = 0; i < REGISTERS.length; i++) {
      putLong(block + STAR + 8L * i, getLong(cpu.state + REGISTERS[i]));
    }
  }
}
