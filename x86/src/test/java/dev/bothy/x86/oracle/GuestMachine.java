package dev.bothy.x86.oracle;

import static dev.bothy.x86.oracle.Layout.*;

import dev.bothy.core.AddressSpace;
import dev.bothy.core.Engine;
import dev.bothy.core.Exit;
import dev.bothy.core.GuestMemory;
import dev.bothy.core.SilentInterruptController;
import dev.bothy.core.StoppedClock;
import dev.bothy.core.Vcpu;
import dev.bothy.core.cpu.CpuModel;
import dev.bothy.core.cpu.CpuState;
import dev.bothy.host.RawMemory;
import java.lang.foreign.MemorySegment;
import java.util.function.Function;

/**
 * The guest side of the oracle: a processor in 64-bit user mode as Linux sets it up, with the pages
 * of {@link Layout} at their linear addresses. Exceptions end in a handler that loops, where the
 * frame tells what happened.
 */
final class GuestMachine implements AutoCloseable {
  // Guest-physical addresses.
  private static final long PML4 = 0x1000;
  private static final long LOW_PDPT = 0x2000;
  private static final long LOW_PD = 0x3000;
  private static final long CODE_PT = 0x4000;
  private static final long DATA_PT = 0x5000;
  private static final long HIGH_PDPT = 0x6000;
  private static final long HIGH_PD = 0x7000;
  private static final long HIGH_PT = 0x8000;
  private static final long GDT = 0x1_0000;
  private static final long TSS = 0x1_1000;
  private static final long IDT = 0x1_2000;
  private static final long HANDLERS = 0x1_3000;
  private static final long STACK_TOP = 0x1_8000;
  private static final long CODE_RAM = 0x10_0000;
  private static final long DATA_RAM = 0x20_0000;
  private static final long READ_ONLY_RAM = 0x21_0000;

  /** Linear address of guest-physical 0 for the supervisor. */
  private static final long KERNEL = 0xffff_8000_0000_0000L;

  private static final int HANDLER_SIZE = 16;

  private static final long PRESENT = 1;
  private static final long WRITABLE = 2;
  private static final long USER = 4;
  private static final long ACCESSED = 0x20;
  private static final long DIRTY = 0x40;
  private static final long NO_EXECUTE = 1L << 63;

  private final GuestMemory memory = new GuestMemory(4 << 20);
  private final Engine engine;
  private final Vcpu cpu;
  private final long state;

  GuestMachine(Function<Engine.Environment, Engine> engines) {
    engine =
        engines.apply(
            new Engine.Environment(
                memory,
                new AddressSpace("ports"),
                new AddressSpace("mmio"),
                new StoppedClock(0),
                CpuModel.MAX,
                1,
                true,
                vcpu -> {}));
    cpu = engine.createVcpu(0, new SilentInterruptController(0));
    state = cpu.state().address();
    writeTables();
    writeDescriptors();
  }

  private void writeTables() {
    long table = PRESENT | WRITABLE | USER | ACCESSED;
    memory.writeLong(PML4, LOW_PDPT | table);
    memory.writeLong(PML4 + 8 * 256, HIGH_PDPT | table);
    memory.writeLong(LOW_PDPT, LOW_PD | table);
    memory.writeLong(LOW_PD + 8 * (CODE >> 21), CODE_PT | table);
    memory.writeLong(LOW_PD + 8 * (DATA >> 21), DATA_PT | table);
    memory.writeLong(HIGH_PDPT, HIGH_PD | table);
    memory.writeLong(HIGH_PD, HIGH_PT | table);
    long user = PRESENT | USER | ACCESSED | DIRTY;
    for (int at = 0; at < CODE_SIZE; at += PAGE) {
      page(CODE_PT, CODE + at, CODE_RAM + at, user | WRITABLE);
    }
    for (int at = 0; at < DATA_SIZE; at += PAGE) {
      page(DATA_PT, DATA + at, DATA_RAM + at, user | WRITABLE | NO_EXECUTE);
    }
    page(DATA_PT, READ_ONLY, READ_ONLY_RAM, user | NO_EXECUTE);
    for (long at = 0; at < 0x2_0000; at += PAGE) {
      page(HIGH_PT, KERNEL + at, at, PRESENT | WRITABLE | ACCESSED | DIRTY);
    }
  }

  private void page(long table, long linear, long physical, long bits) {
    memory.writeLong(table + 8 * (linear >> 12 & 511), physical | bits);
  }

  private void writeDescriptors() {
    // As Linux has them: 32-bit kernel code, kernel code, kernel data, 32-bit user code, user data,
    // user code.
    long[] descriptors = {
      0x00cf_9b00_0000_ffffL,
      0x00af_9b00_0000_ffffL,
      0x00cf_9300_0000_ffffL,
      0x00cf_fb00_0000_ffffL,
      0x00cf_f300_0000_ffffL,
      0x00af_fb00_0000_ffffL
    };
    for (int i = 0; i < descriptors.length; i++) {
      memory.writeLong(GDT + 8 + 8 * i, descriptors[i]);
    }
    long tss = KERNEL + TSS;
    memory.writeLong(
        GDT + 0x40, 0x67 | (tss & 0xff_ffff) << 16 | 0x8bL << 40 | (tss >> 24 & 0xff) << 56);
    memory.writeLong(GDT + 0x48, tss >>> 32);
    memory.writeLong(TSS + 4, KERNEL + STACK_TOP);
    memory.writeShort(TSS + 0x66, 0xffff); // no I/O permission map
    for (int vector = 0; vector < 256; vector++) {
      long handler = KERNEL + HANDLERS + HANDLER_SIZE * vector;
      long type = vector == 3 || vector == 4 ? 0xee : 0x8e;
      memory.writeLong(
          IDT + 16 * vector,
          handler & 0xffff | 0x10L << 16 | type << 40 | (handler >> 16 & 0xffff) << 48);
      memory.writeLong(IDT + 16 * vector + 8, handler >>> 32);
      memory.writeShort(HANDLERS + HANDLER_SIZE * vector, 0xfeeb); // jmp to itself
    }
  }

  private void resetProcessor(int mode) {
    CpuState s = cpu.state();
    s.setSegment(CpuState.ES, 0, 0, 0, 0);
    s.setSegment(CpuState.DS, 0, 0, 0, 0);
    s.setSegment(CpuState.FS, 0, RawMemory.getLong(INPUT + FS_BASE), 0, 0);
    s.setSegment(CpuState.GS, 0, RawMemory.getLong(INPUT + GS_BASE), 0, 0);
    s.setSegment(CpuState.CS, USER_CODE64, 0, -1, 0xa0fb);
    if (mode == 32) {
      s.setSegment(CpuState.CS, USER_CODE32, 0, -1, 0xc0fb);
      s.setSegment(CpuState.DS, USER_DATA, 0, -1, 0xc0f3);
      s.setSegment(CpuState.ES, USER_DATA, 0, -1, 0xc0f3);
    }
    s.setSegment(CpuState.SS, USER_DATA, 0, -1, 0xc0f3);
    s.setSegment(CpuState.LDTR, 0, 0, 0, 0);
    s.setSegment(CpuState.TR, 0x40, KERNEL + TSS, 0x67, 0x8b);
    s.set(CpuState.GDTR_BASE, KERNEL + GDT);
    s.setInt32(CpuState.GDTR_LIMIT, 0x7f);
    s.set(CpuState.IDTR_BASE, KERNEL + IDT);
    s.setInt32(CpuState.IDTR_LIMIT, 0xfff);
    s.set(CpuState.CR0, 0x8005_0033L); // PG AM WP NE ET MP PE
    s.set(CpuState.CR2, 0);
    s.set(CpuState.CR3, PML4);
    s.set(CpuState.CR4, 0x5_0ea0L); // PAE PGE OSFXSR OSXMMEXCPT UMIP FSGSBASE OSXSAVE
    s.set(CpuState.EFER, 0xd01); // NXE LMA LME SCE
    s.set(CpuState.XCR0, 7);
    s.setInt32(CpuState.ACTIVITY, 0);
    s.setInt32(CpuState.INTERRUPT_SHADOW, 0);
    s.setInt32(CpuState.PENDING_DEBUG, 0);
  }

  /** Writes code bytes into the page of {@link Layout#CODE}. */
  void writeCode(long linear, byte[] bytes) {
    memory.write(linear - CODE + CODE_RAM, bytes);
  }

  /** Host address of the guest's copy of {@link Layout#DATA}. */
  long data() {
    return memory.hostAddressOf(DATA_RAM);
  }

  void fillReadOnlyPage(byte[] bytes) {
    memory.write(READ_ONLY_RAM, bytes);
  }

  /**
   * Runs {@code instructions} of {@code mode} from the state in {@link Layout#INPUT}, but for RIP;
   * fills {@link Layout#GUEST}.
   */
  void run(int mode, int instructions, long start) {
    resetProcessor(mode);
    for (int i = 0; i < 18; i++) {
      // General registers, RIP, RFLAGS lie alike in both.
      RawMemory.putLong(state + CpuState.GPR + 8L * i, RawMemory.getLong(INPUT + GPR + 8L * i));
    }
    RawMemory.putLong(state + CpuState.RIP, start);
    FloatingState.load(INPUT + FX, state);
    Exit exit = cpu.run(instructions);
    RawMemory.segment(GUEST, RECORD_SIZE).fill((byte) 0);
    for (int i = 0; i < 18; i++) {
      RawMemory.putLong(GUEST + GPR + 8L * i, RawMemory.getLong(state + CpuState.GPR + 8L * i));
    }
    FloatingState.save(state, GUEST + FX);
    RawMemory.putLong(
        GUEST + GS_BASE, cpu.state().get(CpuState.segment(CpuState.GS, CpuState.SEGMENT_BASE)));
    int[] segments = {CpuState.CS, CpuState.SS, CpuState.DS, CpuState.ES, CpuState.FS, CpuState.GS};
    for (int i = 0; i < segments.length; i++) {
      RawMemory.putShort(
          GUEST + SELECTORS + 2 * i,
          (short) cpu.state().getInt32(CpuState.segment(segments[i], CpuState.SEGMENT_SELECTOR)));
    }
    RawMemory.putLong(GUEST + VECTOR, -1);
    if (!(exit instanceof Exit.BudgetSpent)) {
      RawMemory.putLong(GUEST + VECTOR, -2);
      return;
    }
    long handler = RawMemory.getLong(GUEST + RIP) - KERNEL - HANDLERS;
    if (handler >= 0 && handler < 256 * HANDLER_SIZE) {
      unwind((int) (handler / HANDLER_SIZE));
    }
  }

  /** Takes the state at the fault from the exception's stack frame. */
  private void unwind(int vector) {
    RawMemory.putLong(GUEST + VECTOR, vector);
    long frame = cpu.state().gpr(CpuState.RSP) - KERNEL;
    boolean hasCode = vector == 8 || vector >= 10 && vector <= 14 || vector == 17;
    if (hasCode) {
      RawMemory.putLong(GUEST + ERROR_CODE, memory.readLong(frame));
      frame += 8;
    }
    RawMemory.putLong(GUEST + RIP, memory.readLong(frame));
    RawMemory.putShort(GUEST + SELECTORS, (short) memory.readShort(frame + 8));
    RawMemory.putLong(GUEST + RFLAGS, memory.readLong(frame + 16));
    RawMemory.putLong(GUEST + GPR + 8 * CpuState.RSP, memory.readLong(frame + 24));
    RawMemory.putShort(GUEST + SELECTORS + 2, (short) memory.readShort(frame + 32));
    if (vector == 14) {
      RawMemory.putLong(GUEST + CR2, cpu.state().get(CpuState.CR2));
    }
  }

  /** All of the guest's copy of {@link Layout#DATA}. */
  MemorySegment dataSegment() {
    return RawMemory.segment(data(), DATA_SIZE);
  }

  @Override
  public void close() {
    cpu.close();
    engine.close();
    memory.close();
  }
}
