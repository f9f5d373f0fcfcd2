package dev.bothy.x86.directed;

import static dev.bothy.x86.directed.TestMachine.*;

import dev.bothy.core.cpu.CpuState;
import dev.bothy.core.cpu.SvmState;
import dev.bothy.x86.assemble.Assembler;

/**
 * A guest for the processor of a {@link TestMachine} to run by VMRUN: its control block, with the
 * state of the machine's {@link TestMachine#long64} at another place. Unless a test says otherwise
 * VMMCALL ends it. Offsets are those of AMD64 APM volume 2, appendix B.
 */
final class NestedGuest {
  static final long BLOCK = 0xd0_0000;
  static final long CODE_AT = 0x18_0000;
  static final long STACK_AT = 0x9_8000;
  static final long PORT_MAP = 0xd1_0000;
  static final long MSR_MAP = 0xd2_0000;

  /** Tables for nested paging: 2 MiB pages, but for the {@link TestMachine#DATA} area. */
  static final long NESTED = 0xd3_0000;

  // Fields of the block.
  static final int PAUSES = 0x3e;
  static final int TSC = 0x50;
  static final int ASID = 0x58;
  static final int TLB = 0x5c;
  static final int VIRTUAL_INTERRUPT = 0x60;
  static final int SHADOW = 0x68;
  static final int EXIT = 0x70;
  static final int INFORMATION = 0x78;
  static final int INFORMATION_2 = 0x80;
  static final int EXIT_EVENT = 0x88;
  static final int NESTED_CONTROL = 0x90;
  static final int EVENT = 0xa8;
  static final int NESTED_CR3 = 0xb0;
  static final int NEXT_RIP = 0xc8;
  static final int BYTES = 0xd0;
  static final int CS = 0x410;
  static final int SS = 0x420;
  static final int IDTR = 0x480;
  static final int CPL = 0x4cb;
  static final int EFER = 0x4d0;
  static final int CR4 = 0x548;
  static final int CR3 = 0x550;
  static final int CR0 = 0x558;
  static final int DR7 = 0x560;
  static final int DR6 = 0x568;
  static final int RFLAGS = 0x570;
  static final int RIP = 0x578;
  static final int RSP_FIELD = 0x5d8;
  static final int RAX_FIELD = 0x5f8;
  static final int CR2 = 0x640;
  static final int PAT = 0x668;

  // Exits.
  static final int INTR = 0x60;
  static final int NMI = 0x61;
  static final int VINTR = 0x64;
  static final int SHUTDOWN = 0x7f;
  static final int VMRUN = 0x80;
  static final int VMMCALL = 0x81;
  static final int PAGE_FAULT = 0x400;

  static final String RUN = "0f 01 d8";
  static final String CALL = "0f 01 d9";

  static final long SVME = 1 << 12;

  final TestMachine machine;

  /** Sets up host and guest: 64-bit code at level 0 both, in the same tables. */
  NestedGuest(TestMachine machine) {
    this.machine = machine;
    CpuState s = machine.long64(0);
    s.set(CpuState.EFER, s.get(CpuState.EFER) | SVME);
    s.set(SvmState.HOST_SAVE_AREA, 0xdf_0000);
    s.setGpr(RAX, BLOCK);
    for (int segment = 0; segment < 4; segment++) {
      int attributes = s.getInt32(CpuState.segment(segment, CpuState.SEGMENT_ATTRIBUTES));
      long at = BLOCK + 0x400 + 16 * segment;
      machine.memory.writeShort(
          at, (short) s.getInt32(CpuState.segment(segment, CpuState.SEGMENT_SELECTOR)));
      machine.memory.writeShort(at + 2, (short) (attributes & 0xff | attributes >> 4 & 0xf00));
      machine.memory.writeInt(at + 4, -1);
    }
    table(0x460, GDT);
    table(IDTR, IDT);
    set(EFER, s.get(CpuState.EFER));
    set(CR0, s.get(CpuState.CR0));
    set(CR3, s.get(CpuState.CR3));
    set(CR4, s.get(CpuState.CR4));
    set(RFLAGS, 2);
    set(RIP, CODE_AT);
    set(RSP_FIELD, STACK_AT);
    set(DR6, 0xffff_0ff0L);
    set(DR7, 0x400);
    set(PAT, 0x0007_0406_0007_0406L);
    set(0x40, PORT_MAP);
    set(0x48, MSR_MAP);
    machine.memory.writeInt(BLOCK + ASID, 1);
    intercept(VMRUN);
    intercept(VMMCALL);
  }

  private void table(int field, long base) {
    machine.memory.writeInt(BLOCK + field + 4, 0xfff);
    set(field + 8, base);
  }

  void set(int field, long value) {
    machine.memory.writeLong(BLOCK + field, value);
  }

  long get(int field) {
    return machine.memory.readLong(BLOCK + field);
  }

  int get32(int field) {
    return machine.memory.readInt(BLOCK + field);
  }

  void intercept(int code) {
    long at = BLOCK + code / 32 * 4;
    machine.memory.writeInt(at, machine.memory.readInt(at) | 1 << code % 32);
  }

  void release(int code) {
    long at = BLOCK + code / 32 * 4;
    machine.memory.writeInt(at, machine.memory.readInt(at) & ~(1 << code % 32));
  }

  /** What the guest runs. */
  void code(Assembler code) {
    machine.memory.write(CODE_AT, code.toBytes());
  }

  Assembler assembler() {
    return new Assembler(64, CODE_AT);
  }

  /** Nested paging, every page where it is. */
  void nest() {
    long all = P | W | U;
    machine.memory.writeLong(NESTED, NESTED + 0x1000 | all);
    machine.memory.writeLong(NESTED + 0x1000, NESTED + 0x2000 | all);
    for (int i = 0; i < 8; i++) {
      machine.memory.writeLong(NESTED + 0x2000 + 8 * i, (long) i << 21 | all | LARGE);
    }
    machine.memory.writeLong(NESTED + 0x2008, NESTED + 0x3000 | all);
    for (int i = 0; i < 512; i++) {
      machine.memory.writeLong(NESTED + 0x3000 + 8 * i, DATA + i * 4096L | all);
    }
    set(NESTED_CONTROL, 1);
    set(NESTED_CR3, NESTED);
  }

  /** Where the nested entry of a page of the data area is. */
  static long nestedEntry(long physical) {
    return NESTED + 0x3000 + 8 * (physical - DATA >> 12);
  }

  /** Runs the guest once, up to a HLT behind the host's VMRUN; its exit code. */
  long run() {
    CpuState s = machine.state();
    s.setInt32(CpuState.ACTIVITY, 0);
    s.set(CpuState.RIP, CODE);
    s.setGpr(RAX, BLOCK);
    machine.code(64, machine.assembler(64).hex(RUN).hlt());
    machine.run();
    return get(EXIT);
  }
}
