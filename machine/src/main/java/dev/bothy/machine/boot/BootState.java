package dev.bothy.machine.boot;

import dev.bothy.core.GuestMemory;
import dev.bothy.core.cpu.CpuState;

/**
 * How the boot processor starts: the processor state that a boot protocol prescribes where it
 * differs from the state after RESET. Interrupts are off in every mode.
 *
 * @param entry address of the first instruction; in real mode a linear address below 1 MiB
 */
public record BootState(Mode mode, long entry, long rax, long rbx, long rsi, long rsp) {
  /** Selector of the flat code segment (Linux: __BOOT_CS). */
  public static final int CODE_SELECTOR = 0x10;

  /** Selector of the flat data segment (Linux: __BOOT_DS). */
  public static final int DATA_SELECTOR = 0x18;

  private static final int TASK_SELECTOR = 0x20;

  // Attributes as in CpuState.SEGMENT_ATTRIBUTES.
  private static final int CODE_64 = 0xa09b;
  private static final int CODE_32 = 0xc09b;
  private static final int DATA_32 = 0xc093;
  private static final int BUSY_TSS = 0x008b;
  private static final int REAL_CODE = 0x009b;
  private static final int REAL_DATA = 0x0093;

  private static final long CR0_PE = 1;
  private static final long CR0_ET = 1 << 4;
  private static final long CR0_PG = 1L << 31;
  private static final long CR4_PAE = 1 << 5;
  private static final long EFER_LME = 1 << 8;
  private static final long EFER_LMA = 1 << 10;

  /** How far the processor has been taken towards long mode. */
  public enum Mode {
    /** 16-bit real mode, segments at 0. */
    REAL,
    /** The same, but the code's segment begins at the entry: a guest that slept goes on. */
    WAKING,
    /** 32-bit protected mode, flat segments, paging off. */
    PROTECTED,
    /** 64-bit mode, flat segments, the first 4 GiB mapped one to one. */
    LONG
  }

  /** Protected mode as Multiboot and PVH want it. */
  static BootState protectedMode(long entry, long rax, long rbx) {
    return new BootState(Mode.PROTECTED, entry, rax, rbx, 0, LowMemory.STACK_TOP);
  }

  /** 64-bit mode as Linux wants it, with boot_params in RSI. */
  static BootState longMode(long entry, long bootParams) {
    return new BootState(Mode.LONG, entry, 0, 0, bootParams, LowMemory.STACK_TOP);
  }

  /** Writes the descriptor table and the page tables that the mode needs into low RAM. */
  public void writeTables(GuestMemory memory) {
    if (mode == Mode.REAL || mode == Mode.WAKING) {
      return;
    }
    memory.writeLong(LowMemory.GDT, 0);
    memory.writeLong(LowMemory.GDT + 8, 0);
    memory.writeLong(
        LowMemory.GDT + CODE_SELECTOR, descriptor(mode == Mode.LONG ? CODE_64 : CODE_32));
    memory.writeLong(LowMemory.GDT + DATA_SELECTOR, descriptor(DATA_32));
    memory.writeLong(LowMemory.GDT + TASK_SELECTOR, 0x67L | (long) BUSY_TSS << 40);
    memory.writeLong(LowMemory.GDT + TASK_SELECTOR + 8, 0);
    if (mode == Mode.LONG) {
      writeIdentityMap(memory);
    }
  }

  /** A flat segment from 0 to 4 GiB. */
  private static long descriptor(int attributes) {
    return 0x000f_0000_0000_ffffL | (long) attributes << 40;
  }

  private static void writeIdentityMap(GuestMemory memory) {
    long pml4 = LowMemory.PAGE_TABLES;
    long pdpt = pml4 + 0x1000;
    long directories = pdpt + 0x1000;
    int presentWritable = 0x3;
    int largePage = 0x80;
    for (int i = 0; i < 512; i++) {
      memory.writeLong(pml4 + 8L * i, i == 0 ? pdpt | presentWritable : 0);
      memory.writeLong(pdpt + 8L * i, i < 4 ? directories + 0x1000L * i | presentWritable : 0);
    }
    for (int i = 0; i < 4 * 512; i++) {
      memory.writeLong(directories + 8L * i, (long) i << 21 | presentWritable | largePage);
    }
  }

  /**
   * Changes {@code cpu}, which is in the state after RESET, into the state that this record
   * describes.
   */
  public void apply(CpuState cpu) {
    cpu.setGpr(CpuState.RAX, rax);
    cpu.setGpr(CpuState.RBX, rbx);
    cpu.setGpr(CpuState.RCX, 0);
    cpu.setGpr(CpuState.RDX, 0);
    cpu.setGpr(CpuState.RSI, rsi);
    cpu.setGpr(CpuState.RDI, 0);
    cpu.setGpr(CpuState.RBP, 0);
    cpu.setGpr(CpuState.RSP, rsp);
    cpu.set(CpuState.RFLAGS, 2);
    cpu.setInt32(CpuState.ACTIVITY, CpuState.ACTIVITY_RUNNING);
    cpu.set(CpuState.CR3, 0);
    cpu.set(CpuState.CR4, 0);
    cpu.set(CpuState.EFER, 0);
    switch (mode) {
      case REAL, WAKING -> {
        for (int segment = CpuState.ES; segment <= CpuState.GS; segment++) {
          cpu.setSegment(segment, 0, 0, 0xffff, segment == CpuState.CS ? REAL_CODE : REAL_DATA);
        }
        if (mode == Mode.WAKING) {
          cpu.setSegment(CpuState.CS, (int) (entry >> 4), entry & ~15L, 0xffff, REAL_CODE);
        }
        cpu.set(CpuState.CR0, CR0_ET);
      }
      case PROTECTED -> {
        flatSegments(cpu, CODE_32);
        cpu.set(CpuState.CR0, CR0_ET | CR0_PE);
      }
      default -> {
        flatSegments(cpu, CODE_64);
        cpu.set(CpuState.CR3, LowMemory.PAGE_TABLES);
        cpu.set(CpuState.CR4, CR4_PAE);
        cpu.set(CpuState.EFER, EFER_LME | EFER_LMA);
        cpu.set(CpuState.CR0, CR0_ET | CR0_PE | CR0_PG);
      }
    }
    cpu.set(CpuState.RIP, mode == Mode.WAKING ? entry & 15 : entry);
  }

  private static void flatSegments(CpuState cpu, int code) {
    for (int segment = CpuState.ES; segment <= CpuState.GS; segment++) {
      if (segment == CpuState.CS) {
        cpu.setSegment(segment, CODE_SELECTOR, 0, -1, code);
      } else {
        cpu.setSegment(segment, DATA_SELECTOR, 0, -1, DATA_32);
      }
    }
    cpu.setSegment(CpuState.TR, TASK_SELECTOR, 0, 0x67, BUSY_TSS);
    cpu.set(CpuState.GDTR_BASE, LowMemory.GDT);
    cpu.set(CpuState.GDTR_LIMIT, 0x2f);
    cpu.set(CpuState.IDTR_BASE, 0);
    cpu.set(CpuState.IDTR_LIMIT, 0);
  }
}
