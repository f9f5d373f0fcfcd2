package dev.bothy.kvm;

import dev.bothy.core.AddressSpace;
import dev.bothy.core.BusDevice;
import dev.bothy.core.Engine;
import dev.bothy.core.EngineApics;
import dev.bothy.core.Exit;
import dev.bothy.core.GuestMemory;
import dev.bothy.core.StopCause;
import dev.bothy.core.StopPoints;
import dev.bothy.core.StoppedClock;
import dev.bothy.core.Vcpu;
import dev.bothy.core.cpu.CpuModel;
import dev.bothy.core.cpu.CpuState;
import dev.bothy.core.cpu.CpuidLeaf;
import java.util.List;
import java.util.Set;

/**
 * A machine of one vCPU and one megabyte whose kernel is a few instructions in 64-bit mode: runs
 * them, and sees whether they did what they should. There is nothing to interrupt it.
 */
final class ProbeGuest implements AutoCloseable {
  private static final int MEMORY = 1 << 20;

  /** What is tried begins here; all of the first two megabytes may be used by user code, too. */
  static final int CODE = 0x1000;

  /** Room for what is tried. */
  static final int DATA = 0x3000;

  /** A device of four bytes that can be written and read. */
  static final long DEVICE = 0xd000_0000L;

  /** A device that ends the guest when it is written to. */
  static final long END = 0xd100_0000L;

  /** In RAX, before the HLT or that write: all is well. */
  static final int WELL = 0x600d;

  private static final int STACK = 0x7f00;
  private static final int INTERRUPT_STACK = 0x8f00;
  private static final int GDT = 0x9000;
  private static final int TSS = 0xa000;
  static final int IDT = 0xb000;
  static final int HANDLERS = 0xc000;
  private static final int PAGE_TABLES = 0x1_0000;
  private static final int TABLE = 0x1000;

  static final int CODE_SELECTOR = 8;
  static final int DATA_SELECTOR = 16;
  static final int USER_DATA_SELECTOR = 24 | 3;
  static final int USER_CODE_SELECTOR = 32 | 3;
  private static final int TSS_SELECTOR = 40;

  // Attributes as CpuState has them.
  private static final int CODE_64 = 0xa09b;
  private static final int FLAT_DATA = 0xc093;
  private static final int USER = 3 << 5;
  private static final int BUSY_TSS = 0x8b;

  private static final int PRESENT_WRITABLE_USER = 7;
  private static final int LARGE = 0x80;
  private static final long CR0 = 0x8001_0033L;
  private static final long CR4 = 1 << 5 | 1 << 9 | 1 << 10;
  private static final long EFER = 1 | 1 << 8 | 1 << 10;

  private static final int BREAKPOINT = 3;
  private static final int PAGE_FAULT = 14;

  /** Returns from a breakpoint. */
  private static final int[] RETURN = {0x48, 0xcf};

  /** add rsp, 8; add qword [rsp], 3; iretq: goes on behind an instruction of three bytes. */
  private static final int[] SKIP = {
    0x48, 0x83, 0xc4, 0x08, 0x48, 0x83, 0x04, 0x24, 0x03, 0x48, 0xcf
  };

  private static final int APIC = 0xfee0_0000;
  private static final int VECTOR = 0x40;

  /** inc ebx; mov dword [rdi + EOI], 0; iretq. */
  private static final int[] COUNT = {
    0xff, 0xc3, 0xc7, 0x87, 0xb0, 0, 0, 0, 0, 0, 0, 0, 0x48, 0xcf
  };

  /**
   * mov edi, APIC; mov dword [rdi + SPURIOUS_VECTOR], 1FFh; sti; mov dword [rdi + COMMAND], 44040h
   * (to itself); one: cmp ebx, 1; jb one; then the timer's division, table entry and count: mov
   * dword [rdi + 3E0h], 0Bh; mov dword [rdi + 320h], 40h; mov dword [rdi + 380h], 20000; two: cli;
   * cmp ebx, 2; jae done; sti; hlt; jmp two; done: mov eax, WELL; mov ecx, END; mov [rcx], eax; jmp
   * $.
   */
  private static final int[] USE_APIC = {
    0xbf, 0, 0, 0xe0, 0xfe, 0xc7, 0x87, 0xf0, 0, 0, 0, 0xff, 0x01, 0, 0, 0xfb, //
    0xc7, 0x87, 0, 3, 0, 0, 0x40, 0x40, 4, 0, 0x83, 0xfb, 1, 0x72, 0xfb, //
    0xc7, 0x87, 0xe0, 3, 0, 0, 0x0b, 0, 0, 0, 0xc7, 0x87, 0x20, 3, 0, 0, 0x40, 0, 0, 0, //
    0xc7, 0x87, 0x80, 3, 0, 0, 0x20, 0x4e, 0, 0, //
    0xfa, 0x83, 0xfb, 2, 0x73, 0x04, 0xfb, 0xf4, 0xeb, 0xf6, //
    0xb8, 0x0d, 0x60, 0, 0, 0xb9, 0, 0, 0, 0xd1, 0x89, 0x01, 0xeb, 0xfe
  };

  private final GuestMemory memory = new GuestMemory(MEMORY);
  private final KvmEngine engine;
  private final Vcpu vcpu;
  private final NoInterrupts apic = new NoInterrupts();
  private int word;

  /** Where KVM has no local APIC. */
  ProbeGuest(List<CpuidLeaf> cpuid) {
    this(cpuid, KvmEngine.LocalApics.MACHINE);
  }

  ProbeGuest(List<CpuidLeaf> cpuid, KvmEngine.LocalApics localApics) {
    AddressSpace mmio = new AddressSpace("mmio");
    mmio.map("word", DEVICE, 4, new Word());
    mmio.map("end", END, 4, new End());
    Engine.Environment environment =
        new Engine.Environment(
            memory,
            new AddressSpace("ports"),
            mmio,
            new StoppedClock(0),
            CpuModel.V2,
            1,
            false,
            vcpu -> {});
    try {
      engine = new KvmEngine(environment, index -> cpuid, localApics);
    } catch (RuntimeException e) {
      memory.close();
      throw e;
    }
    try {
      vcpu = engine.createVcpu(0, apic);
      vcpu.takeApic();
    } catch (RuntimeException e) {
      engine.close();
      memory.close();
      throw e;
    }
  }

  /** True if {@code code}, which ends with HLT, comes to its end with {@link #WELL} in RAX. */
  boolean works(int... code) {
    begin(code);
    Exit exit = vcpu.run(Vcpu.UNLIMITED);
    return exit instanceof Exit.Halted
        && vcpu.state().get(CpuState.RIP) == CODE + code.length
        && vcpu.state().gpr(CpuState.RAX) == WELL;
  }

  private void begin(int... code) {
    memory.clear();
    vcpu.reset();
    CpuState state = vcpu.state();
    enterLongMode(memory, state);
    state.setInt32(CpuState.ACTIVITY, CpuState.ACTIVITY_RUNNING);
    gate(BREAKPOINT, HANDLERS, RETURN);
    gate(PAGE_FAULT, HANDLERS + 0x100, SKIP);
    put(CODE, code);
  }

  /**
   * True if the kernel's local APIC sends itself an interrupt, its timer ends a HLT, and the ends
   * of interrupts are told that a pin waits for.
   */
  boolean apicWorks() {
    begin(USE_APIC);
    gate(VECTOR, HANDLERS + 0x200, COUNT);
    EngineApics apics = engine.apics().orElseThrow();
    apics.watchPin(0, APIC, 1 << 15 | VECTOR);
    Exit exit = vcpu.run(Vcpu.UNLIMITED);
    return exit instanceof Exit.Kicked
        && vcpu.state().gpr(CpuState.RAX) == WELL
        && apic.ended() == VECTOR;
  }

  /** True if a debugger's breakpoint is met; not used for anything else then. */
  boolean breaks() {
    begin(0x90, 0xf4); // nop; hlt
    engine.stopAt(new StopPoints(Set.of(CODE + 1L), List.of()));
    return vcpu.run(Vcpu.UNLIMITED) instanceof Exit.DebugStop(StopCause.Breakpoint _);
  }

  /** True if a debugger hears of an access to what it watches; not used for anything else then. */
  boolean watches() {
    // mov edi, DATA; mov [rdi], eax; hlt
    begin(0xbf, 0, 0x30, 0, 0, 0x89, 0x07, 0xf4);
    StopPoints.Watchpoint point = new StopPoints.Watchpoint(DATA, 4, false, true);
    engine.stopAt(new StopPoints(Set.of(), List.of(point)));
    return vcpu.run(Vcpu.UNLIMITED) instanceof Exit.DebugStop(StopCause.Watched _);
  }

  /** Ends what runs too long. Any thread. */
  void giveUp() {
    vcpu.kick();
  }

  private void put(int address, int... bytes) {
    for (int i = 0; i < bytes.length; i++) {
      memory.writeByte(address + i, bytes[i]);
    }
  }

  private void gate(int vector, int address, int... code) {
    put(address, code);
    memory.writeLong(IDT + 16 * vector, address | (long) CODE_SELECTOR << 16 | 0x8e00L << 32);
  }

  /**
   * 64-bit mode at {@link #CODE}, flat, the lowest 4 GiB mapped one to one, user code allowed
   * everywhere; an IDT without entries.
   */
  static void enterLongMode(GuestMemory memory, CpuState state) {
    memory.writeLong(GDT, 0);
    memory.writeLong(GDT + CODE_SELECTOR, descriptor(CODE_64));
    memory.writeLong(GDT + DATA_SELECTOR, descriptor(FLAT_DATA));
    memory.writeLong(GDT + (USER_DATA_SELECTOR & ~3), descriptor(FLAT_DATA | USER));
    memory.writeLong(GDT + (USER_CODE_SELECTOR & ~3), descriptor(CODE_64 | USER));
    memory.writeLong(GDT + TSS_SELECTOR, 0x67L | (long) TSS << 16 | (long) BUSY_TSS << 40);
    memory.writeLong(TSS + 4, INTERRUPT_STACK);
    memory.writeLong(PAGE_TABLES, PAGE_TABLES + TABLE | PRESENT_WRITABLE_USER);
    for (int i = 0; i < 4; i++) {
      long directory = PAGE_TABLES + (2L + i) * TABLE;
      memory.writeLong(PAGE_TABLES + TABLE + 8L * i, directory | PRESENT_WRITABLE_USER);
      for (int j = 0; j < 512; j++) {
        memory.writeLong(directory + 8L * j, (512L * i + j) << 21 | LARGE | PRESENT_WRITABLE_USER);
      }
    }
    for (int i = 0; i < 16; i++) {
      state.setGpr(i, 0);
    }
    for (int s = CpuState.ES; s <= CpuState.GS; s++) {
      boolean code = s == CpuState.CS;
      state.setSegment(s, code ? CODE_SELECTOR : DATA_SELECTOR, 0, -1, code ? CODE_64 : FLAT_DATA);
    }
    state.setSegment(CpuState.LDTR, 0, 0, 0, 0);
    state.setSegment(CpuState.TR, TSS_SELECTOR, TSS, 0x67, BUSY_TSS);
    state.set(CpuState.GDTR_BASE, GDT);
    state.setInt32(CpuState.GDTR_LIMIT, TSS_SELECTOR + 15);
    state.set(CpuState.IDTR_BASE, IDT);
    state.setInt32(CpuState.IDTR_LIMIT, 0xfff);
    state.set(CpuState.CR3, PAGE_TABLES);
    state.set(CpuState.CR4, CR4);
    state.set(CpuState.EFER, EFER);
    state.set(CpuState.CR0, CR0);
    state.set(CpuState.RFLAGS, 2);
    state.set(CpuState.RIP, CODE);
    state.setGpr(CpuState.RSP, STACK);
  }

  private static long descriptor(int attributes) {
    return 0x000f_0000_0000_ffffL | (long) attributes << 40;
  }

  @Override
  public void close() {
    vcpu.close();
    engine.close();
    memory.close();
  }

  private final class End implements BusDevice {
    @Override
    public long read(long offset, int size) {
      return 0;
    }

    @Override
    public void write(long offset, int size, long value) {
      giveUp();
    }
  }

  private final class Word implements BusDevice {
    @Override
    public long read(long offset, int size) {
      return word & 0xffff_ffffL;
    }

    @Override
    public void write(long offset, int size, long value) {
      word = (int) value;
    }
  }
}
