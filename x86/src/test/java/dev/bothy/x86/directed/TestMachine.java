package dev.bothy.x86.directed;

import dev.bothy.core.AddressSpace;
import dev.bothy.core.BusDevice;
import dev.bothy.core.Engine;
import dev.bothy.core.Exit;
import dev.bothy.core.GuestMemory;
import dev.bothy.core.MachineClock;
import dev.bothy.core.StoppedClock;
import dev.bothy.core.Vcpu;
import dev.bothy.core.cpu.CpuModel;
import dev.bothy.core.cpu.CpuState;
import dev.bothy.x86.EngineUnderTest;
import dev.bothy.x86.assemble.Assembler;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Function;

/**
 * Sixteen MiB of RAM, vCPUs of one engine, and tables for every mode at fixed places. Memory is
 * mapped one to one, for everybody to write and execute; {@link #page} changes single pages of the
 * {@link #DATA} area. The handler of every vector is a HLT of its own, so that a run ends in {@link
 * Exit.Halted} where {@link #vector} tells which one.
 */
final class TestMachine implements AutoCloseable {
  // Guest-physical addresses.
  static final long HANDLERS = 0x3000;
  static final long GDT = 0x1_0000;
  static final long LDT = 0x1_1000;
  static final long IDT = 0x1_2000;
  static final long TSS = 0x1_4000;
  static final long PML4 = 0x2_0000;
  static final long PDPT = 0x2_1000;
  static final long PD = 0x2_2000;
  static final long DATA_PT = 0x2_3000;

  /** 32-bit page directory with 4 MiB pages but for {@link #DATA}. */
  static final long DIRECTORY = 0x2_4000;

  static final long DATA_TABLE32 = 0x2_5000;
  static final long PAE_PDPT = 0x2_6000;
  static final long CODE16 = 0x8000;
  static final long STACK16 = 0x7000;
  static final long KERNEL_STACK = 0x9_0000;
  static final long USER_STACK = 0xa_0000;
  static final long IST_STACK = 0xb_0000;
  static final long CODE = 0x10_0000;

  /** 2 MiB in 4 KiB pages. */
  static final long DATA = 0x20_0000;

  // Selectors.
  static final int CODE32 = 0x08;
  static final int CODE64 = 0x10;
  static final int FLAT = 0x18;
  static final int USER_CODE32 = 0x23;
  static final int USER_FLAT = 0x2b;
  static final int USER_CODE64 = 0x33;
  static final int CODE_16 = 0x38;
  static final int DATA_16 = 0x40;
  static final int TASK = 0x48;
  static final int LOCAL = 0x58;

  /** From here on descriptors are free for tests. */
  static final int FREE = 0x68;

  // Page bits.
  static final long P = 1;
  static final long W = 2;
  static final long U = 4;
  static final long A = 0x20;
  static final long D = 0x40;
  static final long LARGE = 0x80;
  static final long G = 0x100;
  static final long NX = 1L << 63;

  // Flags.
  static final int TF = 0x100;
  static final int IF = 0x200;
  static final int RF = 0x1_0000;
  static final int AC = 0x4_0000;

  static final int RAX = CpuState.RAX;
  static final int RCX = CpuState.RCX;
  static final int RDX = CpuState.RDX;
  static final int RBX = CpuState.RBX;
  static final int RSP = CpuState.RSP;
  static final int RBP = CpuState.RBP;
  static final int RSI = CpuState.RSI;
  static final int RDI = CpuState.RDI;

  /** PG AM WP NE ET MP PE. */
  static final long CR0_PAGING = 0x8005_0033L;

  /** PAE PGE OSFXSR OSXMMEXCPT. */
  static final long CR4_LONG = 0x6a0;

  /** One access to a port. */
  record PortAccess(boolean write, int port, int size, long value) {}

  final GuestMemory memory = new GuestMemory(16 << 20);
  final AddressSpace ports = new AddressSpace("ports");
  final AddressSpace mmio = new AddressSpace("mmio");
  final List<PortAccess> portAccesses = new ArrayList<>();
  final Engine engine;
  final Vcpu[] cpus;
  final StubApic[] apics;
  final Vcpu cpu;
  final StubApic apic;

  private final boolean counts;

  TestMachine(EngineUnderTest tested, int count) {
    this(tested, CpuModel.MAX, count);
  }

  TestMachine(EngineUnderTest tested, CpuModel model, int count) {
    this(tested::create, tested.counts(), new StoppedClock(1_000_000), true, model, count);
  }

  /** {@code counts}: {@link #run} sets a budget; else it only looks at the clock. */
  TestMachine(
      Function<Engine.Environment, Engine> maker,
      boolean counts,
      MachineClock clock,
      boolean deterministic,
      int count) {
    this(maker, counts, clock, deterministic, CpuModel.MAX, count);
  }

  TestMachine(
      Function<Engine.Environment, Engine> maker,
      boolean counts,
      MachineClock clock,
      boolean deterministic,
      CpuModel model,
      int count) {
    this.counts = counts;
    ports.map("ports", 0x100, 0x1000, new Ports());
    engine =
        maker.apply(
            new Engine.Environment(
                memory, ports, mmio, clock, model, count, deterministic, vcpu -> {}));
    cpus = new Vcpu[count];
    apics = new StubApic[count];
    for (int i = 0; i < count; i++) {
      apics[i] = new StubApic(i);
      cpus[i] = engine.createVcpu(i, apics[i]);
    }
    cpu = cpus[0];
    apic = apics[0];
    descriptors();
    pageTables();
    for (int v = 0; v < 256; v++) {
      memory.writeByte(HANDLERS + 16 * v, 0xf4);
    }
  }

  private final class Ports implements BusDevice {
    @Override
    public long read(long offset, int size) {
      long value = 0x1122_3344;
      portAccesses.add(new PortAccess(false, (int) offset + 0x100, size, value));
      return value;
    }

    @Override
    public void write(long offset, int size, long value) {
      portAccesses.add(new PortAccess(true, (int) offset + 0x100, size, value));
    }
  }

  private void descriptors() {
    descriptor(CODE32, 0, 0xf_ffff, 0xc09b);
    descriptor(CODE64, 0, 0xf_ffff, 0xa09b);
    descriptor(FLAT, 0, 0xf_ffff, 0xc093);
    descriptor(USER_CODE32, 0, 0xf_ffff, 0xc0fb);
    descriptor(USER_FLAT, 0, 0xf_ffff, 0xc0f3);
    descriptor(USER_CODE64, 0, 0xf_ffff, 0xa0fb);
    descriptor(CODE_16, 0, 0xffff, 0x009b);
    descriptor(DATA_16, 0, 0xffff, 0x0093);
  }

  private void pageTables() {
    long all = P | W | U;
    memory.writeLong(PML4, PDPT | all);
    memory.writeLong(PDPT, PD | all);
    memory.writeLong(PAE_PDPT, PD | P);
    for (int i = 0; i < 8; i++) {
      memory.writeLong(PD + 8 * i, (long) i << 21 | all | LARGE);
    }
    memory.writeLong(PD + 8, DATA_PT | all);
    for (int i = 0; i < 512; i++) {
      memory.writeLong(DATA_PT + 8 * i, DATA + i * 4096L | all);
    }
    for (int i = 0; i < 4; i++) {
      memory.writeInt(DIRECTORY + 4 * i, (int) ((long) i << 22 | all | LARGE));
    }
    memory.writeInt(DIRECTORY, (int) (DATA_TABLE32 | all));
    for (int i = 0; i < 1024; i++) {
      memory.writeInt(DATA_TABLE32 + 4 * i, (int) (i * 4096L | all));
    }
  }

  /**
   * Writes a descriptor; {@code limit} as it stands there, {@code attributes} as in {@link
   * CpuState#SEGMENT_ATTRIBUTES}.
   */
  void descriptor(int selector, long base, long limit, int attributes) {
    long table = (selector & 4) != 0 ? LDT : GDT;
    memory.writeLong(
        table + (selector & ~7),
        limit & 0xffff
            | (base & 0xff_ffff) << 16
            | (attributes & 0xf0ffL) << 40
            | (limit >> 16 & 15) << 48
            | (base >> 24 & 0xff) << 56);
  }

  /** Writes a call gate of 32 bits (type 12) or 16 bits (type 4). */
  void callGate(int selector, int target, long offset, int type, int dpl, int parameters) {
    memory.writeLong(
        GDT + (selector & ~7),
        offset & 0xffff
            | (long) target << 16
            | (long) parameters << 32
            | (0x80L | dpl << 5 | type) << 40
            | (offset >> 16 & 0xffff) << 48);
  }

  /** A gate of the IDT for legacy protected mode. */
  void gate32(int vector, int selector, long offset, int attributes) {
    memory.writeLong(
        IDT + 8 * vector,
        offset & 0xffff
            | (long) selector << 16
            | (long) attributes << 40
            | (offset >> 16 & 0xffff) << 48);
  }

  /** A gate of the IDT for long mode. */
  void gate64(int vector, int selector, long offset, int attributes, int ist) {
    memory.writeLong(
        IDT + 16 * vector,
        offset & 0xffff
            | (long) selector << 16
            | (long) ist << 32
            | (long) attributes << 40
            | (offset >> 16 & 0xffff) << 48);
    memory.writeLong(IDT + 16 * vector + 8, offset >>> 32);
  }

  // Modes. Each leaves RIP at where code() put it.

  CpuState state() {
    return cpu.state();
  }

  /** Real mode; IVT with a HLT for each vector. */
  CpuState real() {
    CpuState s = state();
    s.setInt32(CpuState.ACTIVITY, 0);
    for (int v = 0; v < 256; v++) {
      memory.writeInt(4 * v, (int) HANDLERS + 16 * v);
    }
    s.set(CpuState.CR0, 0x10);
    s.set(CpuState.IDTR_BASE, 0);
    s.setInt32(CpuState.IDTR_LIMIT, 0x3ff);
    s.setSegment(CpuState.CS, 0, 0, 0xffff, 0x9b);
    for (int segment :
        new int[] {CpuState.ES, CpuState.SS, CpuState.DS, CpuState.FS, CpuState.GS}) {
      s.setSegment(segment, 0, 0, 0xffff, 0x93);
    }
    s.set(CpuState.GDTR_BASE, GDT);
    s.setInt32(CpuState.GDTR_LIMIT, 0xfff);
    s.setGpr(RSP, STACK16);
    s.set(CpuState.RFLAGS, 2);
    s.set(CpuState.RIP, CODE16);
    return s;
  }

  private void tables(CpuState s, boolean isLong) {
    s.setInt32(CpuState.ACTIVITY, 0);
    s.set(CpuState.GDTR_BASE, GDT);
    s.setInt32(CpuState.GDTR_LIMIT, 0xfff);
    s.set(CpuState.IDTR_BASE, IDT);
    s.setInt32(CpuState.IDTR_LIMIT, 0xfff);
    s.setSegment(CpuState.TR, TASK, TSS, 0x2067, 0x8b);
    s.setSegment(CpuState.LDTR, LOCAL, LDT, 0xfff, 0x82);
    descriptor(TASK, TSS, 0x2067, 0x8b);
    descriptor(LOCAL, LDT, 0xfff, 0x82);
    for (int v = 0; v < 256; v++) {
      // Software may call every vector.
      if (isLong) {
        gate64(v, CODE64, HANDLERS + 16 * v, 0xee, 0);
      } else {
        gate32(v, CODE32, HANDLERS + 16 * v, 0xee);
      }
    }
    if (isLong) {
      memory.writeLong(TSS + 4, KERNEL_STACK);
      memory.writeLong(TSS + 0x24, IST_STACK);
    } else {
      memory.writeInt(TSS + 4, (int) KERNEL_STACK);
      memory.writeInt(TSS + 8, FLAT);
    }
    memory.writeShort(TSS + 0x66, 0x68); // the I/O permission map follows
    for (int at = 0; at <= 0x2000; at += 4) {
      memory.writeInt(TSS + 0x68 + at, -1);
    }
  }

  /** 32-bit protected mode at a privilege level, without paging. */
  CpuState protected32(int cpl) {
    CpuState s = state();
    tables(s, false);
    s.set(CpuState.CR0, 0x31);
    s.set(CpuState.CR4, 0x600);
    s.set(CpuState.EFER, 0);
    flatSegments(s, cpl, cpl == 0 ? CODE32 : USER_CODE32, 0xc09b | cpl << 5);
    s.setGpr(RSP, cpl == 0 ? KERNEL_STACK : USER_STACK);
    s.set(CpuState.RFLAGS, 2);
    s.set(CpuState.RIP, CODE);
    return s;
  }

  /** 16-bit protected mode at CPL 0: code and stack segments of 64 KiB from address 0. */
  CpuState protected16() {
    CpuState s = protected32(0);
    s.setSegment(CpuState.CS, CODE_16, 0, 0xffff, 0x009b);
    s.setSegment(CpuState.SS, DATA_16, 0, 0xffff, 0x0093);
    s.setSegment(CpuState.DS, DATA_16, 0, 0xffff, 0x0093);
    s.setSegment(CpuState.ES, DATA_16, 0, 0xffff, 0x0093);
    s.setGpr(RSP, STACK16);
    s.set(CpuState.RIP, CODE16);
    return s;
  }

  /** 64-bit mode at a privilege level. */
  CpuState long64(int cpl) {
    return long64(cpu, cpl);
  }

  CpuState long64(Vcpu vcpu, int cpl) {
    CpuState s = vcpu.state();
    tables(s, true);
    s.set(CpuState.CR3, PML4);
    s.set(CpuState.CR4, CR4_LONG);
    s.set(CpuState.EFER, 0xd01);
    s.set(CpuState.CR0, CR0_PAGING);
    s.set(CpuState.STAR, 0x0023_0010L << 32);
    flatSegments(s, cpl, cpl == 0 ? CODE64 : USER_CODE64, 0xa09b | cpl << 5);
    s.setGpr(RSP, cpl == 0 ? KERNEL_STACK : USER_STACK);
    s.set(CpuState.RFLAGS, 2);
    s.set(CpuState.RIP, CODE);
    return s;
  }

  /** 32-bit compatibility mode at a privilege level. */
  CpuState compatibility(int cpl) {
    CpuState s = long64(cpl);
    flatSegments(s, cpl, cpl == 0 ? CODE32 : USER_CODE32, 0xc09b | cpl << 5);
    return s;
  }

  private void flatSegments(CpuState s, int cpl, int code, int codeAttributes) {
    int flat = cpl == 0 ? FLAT : USER_FLAT;
    s.setSegment(CpuState.CS, code, 0, -1, codeAttributes);
    for (int segment :
        new int[] {CpuState.ES, CpuState.SS, CpuState.DS, CpuState.FS, CpuState.GS}) {
      s.setSegment(segment, flat, 0, -1, 0xc093 | cpl << 5);
    }
  }

  /**
   * Sets the entry of a 4 KiB page in the data area, for PAE and long mode: {@code bits} 0 for
   * none.
   */
  void page(long linear, long physical, long bits) {
    memory.writeLong(entryOf(linear), physical | bits);
  }

  /** Where the page-table entry of a page in the data area is. */
  static long entryOf(long linear) {
    return DATA_PT + 8 * (linear >> 12 & 511);
  }

  // Running.

  Assembler assembler(int bits) {
    return new Assembler(bits, bits == 16 ? CODE16 : CODE);
  }

  /** Puts code where {@link #assembler} said. */
  void code(int bits, Assembler assembler) {
    memory.write(bits == 16 ? CODE16 : CODE, assembler.toBytes());
  }

  /** Runs until HLT; any other end fails the test, as does going on too long. */
  void run() {
    Exit exit = counts ? cpu.run(200_000) : runUncounted();
    if (!(exit instanceof Exit.Halted)) {
      throw new AssertionError(
          "ended with " + exit + " at " + Long.toHexString(state().get(CpuState.RIP)));
    }
  }

  private Exit runUncounted() {
    Thread watch =
        Thread.ofVirtual()
            .start(
                () -> {
                  try {
                    Thread.sleep(240_000);
                    cpu.kick();
                  } catch (InterruptedException e) {
                    // It has ended.
                  }
                });
    try {
      return cpu.run(Vcpu.UNLIMITED);
    } finally {
      watch.interrupt();
      join(watch);
    }
  }

  private static void join(Thread thread) {
    try {
      thread.join();
    } catch (InterruptedException e) {
      throw new AssertionError(e);
    }
  }

  /** Vector in whose handler the processor has halted, or -1 if elsewhere. */
  int vector() {
    CpuState s = state();
    long rip =
        s.get(CpuState.RIP)
            + s.get(CpuState.segment(CpuState.CS, CpuState.SEGMENT_BASE))
            - HANDLERS
            - 1;
    return rip >= 0 && rip < 256 * 16 && rip % 16 == 0 ? (int) rip / 16 : -1;
  }

  long gpr(int register) {
    return state().gpr(register);
  }

  long rsp() {
    return gpr(RSP);
  }

  long rip() {
    return state().get(CpuState.RIP);
  }

  /** The {@code n}th word of the stack, words of {@code size} bytes. */
  long stack(int size, int n) {
    CpuState s = state();
    long at =
        s.gpr(RSP) + s.get(CpuState.segment(CpuState.SS, CpuState.SEGMENT_BASE)) + (long) n * size;
    return switch (size) {
      case 2 -> memory.readShort(at) & 0xffff;
      case 4 -> memory.readInt(at) & 0xffff_ffffL;
      default -> memory.readLong(at);
    };
  }

  int selector(int segment) {
    return state().getInt32(CpuState.segment(segment, CpuState.SEGMENT_SELECTOR));
  }

  /** Where the state of the first vCPU and memory differ from another machine's; empty: nowhere. */
  String differencesFrom(TestMachine other) {
    StringBuilder out = new StringBuilder();
    for (int at = 0; at < CpuState.PORTABLE_SIZE; at += 8) {
      long own = state().get(at);
      long others = other.state().get(at);
      if (at != CpuState.ATTENTION && own != others) {
        out.append(String.format("state+%x: %x instead of %x%n", at, own, others));
      }
    }
    long at = memory.all().mismatch(other.memory.all());
    if (at >= 0) {
      out.append(
          String.format(
              "memory %x: %x instead of %x%n", at, memory.readLong(at), other.memory.readLong(at)));
    }
    return out.toString();
  }

  @Override
  public void close() {
    for (Vcpu vcpu : cpus) {
      if (vcpu != null) {
        vcpu.close();
      }
    }
    engine.close();
    memory.close();
  }
}
