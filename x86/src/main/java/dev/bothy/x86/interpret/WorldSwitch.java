package dev.bothy.x86.interpret;

import static dev.bothy.host.RawMemory.getByte;
import static dev.bothy.host.RawMemory.getInt;
import static dev.bothy.host.RawMemory.getLong;
import static dev.bothy.host.RawMemory.getShort;
import static dev.bothy.host.RawMemory.putByte;
import static dev.bothy.host.RawMemory.putInt;
import static dev.bothy.host.RawMemory.putLong;

import dev.bothy.core.cpu.CpuState;
import dev.bothy.core.cpu.SvmState;
import java.util.Arrays;

/**
 * VMRUN and #VMEXIT: AMD64 APM volume 2, sections 15.5 and 15.6. The host's state is kept in {@link
 * SvmState}, not in the area that VM_HSAVE_PA names. The clean bits of a control block are not
 * looked at: everything is read each time.
 *
 * <p>What is known of a guest's address space is kept while its host runs, and is good for it again
 * if neither its identifier nor anything that it depends on has changed, and no flush is asked for.
 */
final class WorldSwitch {
  private static final long DR6_FIXED = 0xffff_0ff0L;
  private static final long DR7_FIXED = 0x400;
  private static final int BREAKPOINTS = 0xff;
  private static final int RFLAGS_KNOWN = 0x3f_7fd7;

  /** The two fields of the word for virtual interrupts that a guest changes. */
  private static final int CHANGED_INTERRUPT = 0x1ff;

  private static final int SPACE_WORDS = 9;

  private final Processor cpu;
  private final Svm svm;
  private final long state;

  /** What the translations of the guest's address space depend on, as it was when it was left. */
  private final long[] space = new long[SPACE_WORDS];

  private final long[] wanted = new long[SPACE_WORDS];

  WorldSwitch(Processor cpu, Svm svm) {
    this.cpu = cpu;
    this.svm = svm;
    state = cpu.state;
  }

  private long get(int offset) {
    return getLong(state + offset);
  }

  private void put(int offset, long value) {
    putLong(state + offset, value);
  }

  // VMRUN.

  /**
   * Enters the guest that the control block at {@code physical} describes; RIP behind VMRUN is in
   * {@link Processor#branchTo}, and where execution goes on comes to be there.
   */
  void run(long physical) {
    long block = cpu.pageToWrite(physical);
    if (!GuestChecks.legal(cpu, block)) {
      putLong(block + ControlBlock.EXIT_EVENT, 0);
      tell(block, VirtualExit.INVALID, 0, 0, 0);
      cpu.pageWritten(physical);
      putInt(state + SvmState.INTERRUPTS_HELD, 1);
      return;
    }
    saveHost();
    put(SvmState.VMCB, physical);
    takeControls(block);
    boolean keep = spaceHolds(block);
    long event = getLong(block + ControlBlock.EVENT);
    putLong(block + ControlBlock.EVENT, 0);
    cpu.enterGuest(keep);
    svm.nest();
    loadGuest(block);
    long next = getLong(block + ControlBlock.NEXT_RIP);
    cpu.pageWritten(physical);
    svm.hold(false);
    cpu.stepOnlyIf(false);
    cpu.resumeFlagLoaded();
    if ((event & Svm.VALID) != 0) {
      try {
        inject(event, next);
      } catch (VirtualExit e) {
        leave(e);
      }
    }
    cpu.branchTo = get(CpuState.RIP);
  }

  private void saveHost() {
    put(SvmState.HOST_RAX, cpu.gpr(CpuState.RAX));
    put(SvmState.HOST_RSP, cpu.gpr(CpuState.RSP));
    put(SvmState.HOST_RIP, cpu.branchTo);
    put(SvmState.HOST_RFLAGS, cpu.rflags() & 0xffff_ffffL);
    put(SvmState.HOST_CR0, get(CpuState.CR0));
    put(SvmState.HOST_CR3, get(CpuState.CR3));
    put(SvmState.HOST_CR4, get(CpuState.CR4));
    put(SvmState.HOST_EFER, get(CpuState.EFER));
    put(SvmState.HOST_PAT, get(CpuState.PAT));
    for (int i = 0; i < CONTROL_FLOW.length; i++) {
      put(HOST_CONTROL_FLOW[i], get(CONTROL_FLOW[i]));
    }
    for (int at = 0; at < 0x20; at += 8) {
      put(SvmState.HOST_TABLES + at, get(CpuState.GDTR_BASE + at));
    }
    for (int at = 0; at < ControlBlock.SEGMENTS * CpuState.SEGMENT_SIZE; at += 8) {
      put(SvmState.HOST_SEGMENTS + at, get(CpuState.SEGMENTS + at));
    }
    putInt(state + SvmState.HOST_NMI_BLOCKED, cpu.nmiBlocked ? 1 : 0);
  }

  // What each world has of its own of control-flow enforcement: in the state, for the host, and in
  // a
  // block.
  private static final int[] CONTROL_FLOW = {
    CpuState.S_CET, CpuState.SSP, CpuState.INTERRUPT_SSP_TABLE
  };
  private static final int[] HOST_CONTROL_FLOW = {
    SvmState.HOST_S_CET, SvmState.HOST_SSP, SvmState.HOST_INTERRUPT_SSP_TABLE
  };
  private static final int[] GUEST_CONTROL_FLOW = {
    ControlBlock.S_CET, ControlBlock.SSP, ControlBlock.INTERRUPT_SSP_TABLE
  };

  private void takeControls(long block) {
    putInt(state + SvmState.GUEST, 1);
    for (int word = 0; word < SvmState.INTERCEPT_WORDS; word++) {
      putInt(
          state + SvmState.INTERCEPTS + 4L * word,
          getInt(block + ControlBlock.INTERCEPTS + 4L * word));
    }
    put(SvmState.PORT_MAP, getLong(block + ControlBlock.PORT_MAP) & ~0xfffL);
    put(SvmState.MSR_MAP, getLong(block + ControlBlock.MSR_MAP) & ~0xfffL);
    long offset = getLong(block + ControlBlock.TSC_OFFSET);
    put(SvmState.TSC_OFFSET, offset);
    put(CpuState.TSC_OFFSET, get(CpuState.TSC_OFFSET) + offset);
    put(SvmState.VIRTUAL_INTERRUPT, getLong(block + ControlBlock.VIRTUAL_INTERRUPT));
    put(SvmState.NESTED_CONTROL, getLong(block + ControlBlock.NESTED_CONTROL));
    put(SvmState.NESTED_CR3, getLong(block + ControlBlock.NESTED_CR3));
    putInt(state + SvmState.PAUSES, getShort(block + ControlBlock.PAUSE_COUNT) & 0xffff);
    putInt(state + SvmState.ASID, getInt(block + ControlBlock.ASID));
  }

  /** What the translations of a guest's address space depend on. */
  private void describeSpace(long[] words, long cr0, long cr3, long cr4, long efer) {
    words[0] = getInt(state + SvmState.ASID) & 0xffff_ffffL;
    words[1] = get(SvmState.NESTED_CONTROL) & 1;
    words[2] = get(SvmState.NESTED_CR3);
    words[3] = get(SvmState.HOST_EFER);
    words[4] = get(SvmState.HOST_CR4);
    words[5] = cr0;
    words[6] = cr3;
    words[7] = cr4;
    words[8] = efer;
  }

  private boolean spaceHolds(long block) {
    describeSpace(
        wanted,
        getLong(block + ControlBlock.CR0),
        getLong(block + ControlBlock.CR3),
        getLong(block + ControlBlock.CR4),
        getLong(block + ControlBlock.EFER));
    return getByte(block + ControlBlock.TLB_CONTROL) == 0 && Arrays.equals(space, wanted);
  }

  private void loadGuest(long block) {
    long cr0 = getLong(block + ControlBlock.CR0) & ControlRegisters.CR0_KNOWN | Bits.CR0_ET;
    long efer = getLong(block + ControlBlock.EFER) & ~Bits.EFER_LMA;
    if ((efer & Bits.EFER_LME) != 0 && (cr0 & Bits.CR0_PG) != 0) {
      efer |= Bits.EFER_LMA;
    }
    for (int segment = CpuState.ES; segment <= CpuState.DS; segment++) {
      long at = block + ControlBlock.ES + 16L * segment;
      ControlBlock.loadSegment(cpu, segment, at, getLong(at + ControlBlock.BASE));
    }
    ControlBlock.loadTable(cpu, CpuState.GDTR_BASE, block + ControlBlock.GDTR);
    ControlBlock.loadTable(cpu, CpuState.IDTR_BASE, block + ControlBlock.IDTR);
    put(CpuState.CR2, getLong(block + ControlBlock.CR2));
    if (ControlFlow.known(cpu.model)) {
      for (int i = 0; i < CONTROL_FLOW.length; i++) {
        put(CONTROL_FLOW[i], getLong(block + GUEST_CONTROL_FLOW[i]));
      }
    }
    if ((get(SvmState.NESTED_CONTROL) & 1) != 0) {
      put(CpuState.PAT, getLong(block + ControlBlock.PAT));
    }
    cpu.setGpr(CpuState.RAX, getLong(block + ControlBlock.RAX));
    cpu.setGpr(CpuState.RSP, getLong(block + ControlBlock.RSP));
    put(CpuState.RIP, getLong(block + ControlBlock.RIP));
    int flags = (int) getLong(block + ControlBlock.RFLAGS);
    boolean isProtected = (cr0 & Bits.CR0_PE) != 0;
    int level =
        !isProtected ? 0 : (flags & Bits.VM) != 0 ? 3 : getByte(block + ControlBlock.CPL) & 3;
    long cr3 = getLong(block + ControlBlock.CR3);
    load(
        cr0,
        (efer & Bits.EFER_LMA) != 0 ? cr3 : cr3 & 0xffff_ffffL,
        getLong(block + ControlBlock.CR4),
        efer,
        flags,
        level);
    put(CpuState.RIP, cpu.wrapRip(get(CpuState.RIP)));
    loadDebug(
        getLong(block + ControlBlock.DR6) | DR6_FIXED,
        getLong(block + ControlBlock.DR7) | DR7_FIXED);
    cpu.nmiBlocked = false;
    if ((getLong(block + ControlBlock.SHADOW) & 1) != 0) {
      cpu.shadow(false);
    }
    if ((flags & (Bits.TF | Bits.RF)) != 0) {
      cpu.setAttention(Processor.ATTENTION_STEP);
    }
  }

  /** Control registers, flags and level, and what follows from them. */
  private void load(long cr0, long cr3, long cr4, long efer, int flags, int level) {
    long oldCr4 = get(CpuState.CR4);
    put(CpuState.CR0, cr0);
    put(CpuState.CR3, cr3);
    put(CpuState.CR4, cr4);
    put(CpuState.EFER, efer);
    cpu.setArithmeticFlags(flags);
    cpu.systemFlags = flags & ~Bits.ARITHMETIC & RFLAGS_KNOWN | 2;
    cpu.cpl = level;
    if (getInt(state + SvmState.GUEST) == 0) {
      cpu.leaveGuest();
    }
    cpu.updatePaging(false);
    cpu.updateEnforcement();
    cpu.updateMode();
    if (((oldCr4 ^ cr4) & Bits.CR4_PKE) != 0) {
      CpuidAnswers.forget(cpu);
    }
  }

  private void loadDebug(long dr6, long dr7) {
    long old = get(CpuState.DR + 8 * 7);
    put(CpuState.DR + 8 * 6, dr6);
    put(CpuState.DR + 8 * 7, dr7);
    if (((old | dr7) & BREAKPOINTS) != 0) {
      DebugRegisters.update(cpu);
    }
  }

  /** Calls the guest's handler for an event that its host wants (section 15.20). */
  private void inject(long event, long next) {
    int vector = (int) event & 0xff;
    int type = (int) (event >>> Svm.TYPE_SHIFT) & 7;
    boolean soft =
        type == Svm.TYPE_SOFTWARE
            || type == Svm.TYPE_EXCEPTION && (vector == GuestFault.BP || vector == GuestFault.OF);
    if (soft && next != 0) {
      put(CpuState.RIP, cpu.wrapRip(next));
    }
    if (type == Svm.TYPE_NMI) {
      vector = GuestFault.NMI;
      cpu.nmiBlocked = true;
    }
    boolean hasCode = (event & Svm.HAS_CODE) != 0 && type == Svm.TYPE_EXCEPTION;
    EventDelivery.inject(cpu, vector, type, hasCode, (int) (event >>> 32));
  }

  // #VMEXIT.

  /** Leaves the guest, whose state is that between two instructions. */
  void leave(VirtualExit exit) {
    // Looking at the instruction may make another of it.
    int code = exit.code;
    long information = exit.information;
    long information2 = exit.information2;
    long next = exit.next;
    long physical = get(SvmState.VMCB);
    long block = cpu.pageToWrite(physical);
    if (block != 0) {
      byte[] bytes = wantsCode(code, information) ? codeOnPage() : new byte[0];
      saveGuest(block);
      putLong(block + ControlBlock.EXIT_EVENT, svm.delivering);
      tell(block, code, information, information2, next);
      putByte(block + ControlBlock.CODE, (byte) bytes.length);
      for (int i = 0; i < 15; i++) {
        putByte(block + ControlBlock.CODE + 1 + i, i < bytes.length ? bytes[i] : 0);
      }
      cpu.pageWritten(physical);
    }
    svm.delivering = 0;
    describeSpace(
        space, get(CpuState.CR0), get(CpuState.CR3), get(CpuState.CR4), get(CpuState.EFER));
    boolean step = (get(SvmState.HOST_RFLAGS) & Bits.TF) != 0;
    loadHost();
    putInt(state + SvmState.INTERRUPTS_HELD, 1);
    cpu.forgetRun();
    // That the guest was stepped is not for the host's next instruction.
    cpu.stepOnlyIf(false);
    if (step) {
      // What TF makes of VMRUN comes when that is over.
      cpu.trapStep();
    }
  }

  private static void tell(long block, int code, long information, long information2, long next) {
    putLong(block + ControlBlock.EXIT_CODE, code);
    putLong(block + ControlBlock.INFORMATION, information);
    putLong(block + ControlBlock.INFORMATION_2, information2);
    putLong(block + ControlBlock.NEXT_RIP, next);
  }

  /** The bytes of an instruction whose data access has failed are part of the answer. */
  private static boolean wantsCode(int code, long information) {
    return (code == VirtualExit.NESTED_PAGE_FAULT || code == VirtualExit.EXCEPTION + GuestFault.PF)
        && (information & 16) == 0;
  }

  /** Up to 15 bytes at RIP, none of another page than the first one's. */
  private byte[] codeOnPage() {
    long rip = get(CpuState.RIP);
    long linear = cpu.codeBits == 64 ? rip : cpu.segmentBase(CpuState.CS) + rip & 0xffff_ffffL;
    return CpuReport.code(cpu, (int) Math.min(15, 0x1000 - (linear & 0xfff)));
  }

  private void saveGuest(long block) {
    for (int segment = CpuState.ES; segment <= CpuState.DS; segment++) {
      ControlBlock.storeSegment(cpu, segment, block + ControlBlock.ES + 16L * segment);
    }
    ControlBlock.storeTable(state, CpuState.GDTR_BASE, block + ControlBlock.GDTR);
    ControlBlock.storeTable(state, CpuState.IDTR_BASE, block + ControlBlock.IDTR);
    putLong(block + ControlBlock.EFER, get(CpuState.EFER));
    putLong(block + ControlBlock.CR4, get(CpuState.CR4));
    putLong(block + ControlBlock.CR3, get(CpuState.CR3));
    putLong(block + ControlBlock.CR0, get(CpuState.CR0));
    putLong(block + ControlBlock.CR2, get(CpuState.CR2));
    if (ControlFlow.known(cpu.model)) {
      for (int i = 0; i < CONTROL_FLOW.length; i++) {
        putLong(block + GUEST_CONTROL_FLOW[i], get(CONTROL_FLOW[i]));
      }
    }
    putLong(block + ControlBlock.DR7, get(CpuState.DR + 8 * 7));
    putLong(block + ControlBlock.DR6, get(CpuState.DR + 8 * 6));
    putLong(block + ControlBlock.RFLAGS, cpu.rflags() & 0xffff_ffffL);
    putLong(block + ControlBlock.RIP, get(CpuState.RIP));
    putLong(block + ControlBlock.RSP, cpu.gpr(CpuState.RSP));
    putLong(block + ControlBlock.RAX, cpu.gpr(CpuState.RAX));
    putByte(block + ControlBlock.CPL, (byte) cpu.cpl);
    if ((get(SvmState.NESTED_CONTROL) & 1) != 0) {
      putLong(block + ControlBlock.PAT, get(CpuState.PAT));
    }
    putLong(block + ControlBlock.SHADOW, cpu.shadowed() ? 1 : 0);
    long at = block + ControlBlock.VIRTUAL_INTERRUPT;
    putInt(
        at,
        getInt(at) & ~CHANGED_INTERRUPT
            | getInt(state + SvmState.VIRTUAL_INTERRUPT) & CHANGED_INTERRUPT);
  }

  private void loadHost() {
    svm.endGuest();
    for (int at = 0; at < 0x20; at += 8) {
      put(CpuState.GDTR_BASE + at, get(SvmState.HOST_TABLES + at));
    }
    for (int at = 0; at < ControlBlock.SEGMENTS * CpuState.SEGMENT_SIZE; at += 8) {
      put(CpuState.SEGMENTS + at, get(SvmState.HOST_SEGMENTS + at));
    }
    put(CpuState.PAT, get(SvmState.HOST_PAT));
    for (int i = 0; i < CONTROL_FLOW.length; i++) {
      put(CONTROL_FLOW[i], get(HOST_CONTROL_FLOW[i]));
    }
    cpu.setGpr(CpuState.RAX, get(SvmState.HOST_RAX));
    cpu.setGpr(CpuState.RSP, get(SvmState.HOST_RSP));
    put(CpuState.RIP, get(SvmState.HOST_RIP));
    load(
        get(SvmState.HOST_CR0),
        get(SvmState.HOST_CR3),
        get(SvmState.HOST_CR4),
        get(SvmState.HOST_EFER),
        (int) get(SvmState.HOST_RFLAGS) & ~Bits.VM,
        0);
    loadDebug(get(CpuState.DR + 8 * 6), DR7_FIXED);
    cpu.nmiBlocked = getInt(state + SvmState.HOST_NMI_BLOCKED) != 0;
    cpu.shadowAt = -1;
    cpu.pendingDebug = 0;
    putInt(state + CpuState.ACTIVITY, CpuState.ACTIVITY_RUNNING);
  }
}
