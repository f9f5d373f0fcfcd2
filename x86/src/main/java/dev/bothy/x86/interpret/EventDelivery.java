package dev.bothy.x86.interpret;

import static dev.bothy.host.RawMemory.getInt;
import static dev.bothy.host.RawMemory.getLong;
import static dev.bothy.host.RawMemory.putInt;
import static dev.bothy.host.RawMemory.putLong;

import dev.bothy.core.cpu.CpuState;
import dev.bothy.core.cpu.SvmState;

/** Delivery of exceptions and interrupts in every mode: AMD64 APM volume 2, sections 8.6 to 8.9. */
final class EventDelivery {
  private static final int CONTRIBUTORY =
      1 << GuestFault.DE
          | 1 << GuestFault.TS
          | 1 << GuestFault.NP
          | 1 << GuestFault.SS
          | 1 << GuestFault.GP
          | 1 << GuestFault.CP;
  private static final int WITH_ERROR_CODE =
      1 << GuestFault.DF
          | 1 << GuestFault.TS
          | 1 << GuestFault.NP
          | 1 << GuestFault.SS
          | 1 << GuestFault.GP
          | 1 << GuestFault.PF
          | 1 << GuestFault.AC
          | 1 << GuestFault.CP;

  private static final int EXT = 1;

  private EventDelivery() {}

  /** An exception raised by an instruction, RIP at that instruction (traps: behind it). */
  static void exception(Processor cpu, int vector, int errorCode) {
    boolean fault = vector != GuestFault.DB && vector != GuestFault.BP && vector != GuestFault.OF;
    cpu.svm.raised(vector, errorCode);
    if (vector == GuestFault.PF) {
      putLong(cpu.state + CpuState.CR2, cpu.faultAddress);
    }
    deliver(cpu, vector, errorCode, hasCode(vector), true, fault ? Bits.RF : 0);
  }

  /** An external interrupt or NMI. */
  static void interrupt(Processor cpu, int vector) {
    deliver(cpu, vector, 0, false, false, 0);
  }

  private static boolean hasCode(int vector) {
    return (WITH_ERROR_CODE >>> vector & 1) != 0;
  }

  /** What a guest's host wants delivered; {@code type} as {@link Svm} has them. */
  static void inject(Processor cpu, int vector, int type, boolean hasCode, int errorCode) {
    if (type == Svm.TYPE_SOFTWARE) {
      try {
        cpu.svm.delivers(type, vector, false, 0);
        transfer(cpu, vector, 0, true, false, false, 0);
        cpu.svm.delivering = 0;
      } catch (GuestFault f) {
        exception(cpu, f.vector, f.errorCode);
      }
      return;
    }
    boolean exception = type == Svm.TYPE_EXCEPTION;
    deliver(cpu, vector, errorCode, hasCode, exception, 0);
  }

  /** INT n, INT3, INTO: gate privilege is checked; RIP is behind the instruction already. */
  static void software(Processor cpu, int vector) {
    if (cpu.debug.trace != null) {
      cpu.debug.trace.software(vector);
    }
    transfer(cpu, vector, 0, true, false, false, 0);
  }

  /** INT1: like {@link #software}, but the gate's privilege is not checked. */
  static void icebp(Processor cpu) {
    cpu.svm.raised(GuestFault.DB, 0);
    transfer(cpu, GuestFault.DB, 0, false, false, true, 0);
  }

  /** #DB as a trap, with the causes in {@code bits}. */
  static void debugTrap(Processor cpu, int bits) {
    DebugRegisters.report(cpu, bits);
    cpu.exceptions++;
    cpu.exceptionsByVector[GuestFault.DB]++;
    cpu.svm.raised(GuestFault.DB, 0);
    deliver(cpu, GuestFault.DB, 0, false, true, 0);
  }

  /** #DB as a fault before the instruction at RIP. */
  static void codeBreakpoint(Processor cpu) {
    cpu.svm.raised(GuestFault.DB, 0);
    deliver(cpu, GuestFault.DB, 0, false, true, Bits.RF);
  }

  /** Delivers; a fault on the way becomes another exception, #DF or shutdown. */
  private static void deliver(
      Processor cpu,
      int vector,
      int errorCode,
      boolean hasCode,
      boolean exception,
      int flagsToPush) {
    int first = exception ? vector : -1;
    int code = errorCode;
    int type =
        exception
            ? Svm.TYPE_EXCEPTION
            : vector == GuestFault.NMI ? Svm.TYPE_NMI : Svm.TYPE_INTERRUPT;
    for (; ; ) {
      try {
        cpu.svm.delivers(type, vector, hasCode, code);
        long from = getLong(cpu.ripAt);
        if (cpu.debug.trace != null) {
          cpu.debug.trace.event(vector, code, exception, hasCode);
        }
        // Whatever fails from here on was not asked for by the program.
        transfer(cpu, vector, code, false, hasCode, true, flagsToPush);
        cpu.svm.delivering = 0;
        BranchRecord.interrupted(cpu, from);
        return;
      } catch (GuestFault f) {
        int next = f.vector;
        code = f.errorCode;
        cpu.exceptions++;
        cpu.exceptionsByVector[next & 31]++;
        cpu.svm.raised(next, code);
        if (next == GuestFault.AC && first == GuestFault.AC) {
          // A handler at level 3 on a stack that is not aligned: processors try for ever. Here the
          // instruction does, so that whoever wants something of this processor is heard.
          cpu.svm.delivering = 0;
          return;
        }
        if (first == GuestFault.DF) {
          shutDown(cpu, "a fault while delivering a double fault");
        }
        boolean firstContributes = first >= 0 && (CONTRIBUTORY >>> first & 1) != 0;
        boolean nextContributes = (CONTRIBUTORY >>> next & 1) != 0;
        boolean doubled =
            firstContributes && nextContributes
                || first == GuestFault.PF && (nextContributes || next == GuestFault.PF);
        if (next == GuestFault.PF) {
          putLong(cpu.state + CpuState.CR2, cpu.faultAddress);
        }
        if (doubled) {
          cpu.svm.raised(GuestFault.DF, 0);
          first = GuestFault.DF;
          vector = GuestFault.DF;
          code = 0;
        } else {
          first = next;
          vector = next;
        }
        type = Svm.TYPE_EXCEPTION;
        hasCode = hasCode(vector);
        flagsToPush = Bits.RF;
      }
    }
  }

  private static void shutDown(Processor cpu, String why) {
    cpu.svm.delivering = 0;
    cpu.svm.leaveIf(VirtualExit.SHUTDOWN);
    cpu.shutdownReport = "triple fault: " + why + "\n" + CpuReport.of(cpu);
    throw Shutdown.SIGNAL;
  }

  private static void transfer(
      Processor cpu,
      int vector,
      int errorCode,
      boolean software,
      boolean hasCode,
      boolean external,
      int flagsToPush) {
    if (!cpu.protectedMode) {
      realMode(cpu, vector);
    } else if (cpu.longMode) {
      longMode(cpu, vector, errorCode, software, hasCode, external, flagsToPush);
    } else {
      protectedMode(cpu, vector, errorCode, software, hasCode, external, flagsToPush);
    }
  }

  private static void realMode(Processor cpu, int vector) {
    long base = getLong(cpu.state + CpuState.IDTR_BASE);
    int limit = getInt(cpu.state + CpuState.IDTR_LIMIT);
    if (vector * 4 + 3 > limit) {
      throw cpu.raise(GuestFault.GP, 0);
    }
    long vectorAt = base + vector * 4L & 0xffff_ffffL;
    int ip = (int) cpu.loadSystem(vectorAt, 2);
    int cs = (int) cpu.loadSystem(vectorAt + 2, 2);
    long sp = cpu.rsp();
    long flagsAt = cpu.stackLinear(sp - 2, 2, true);
    long csAt = cpu.stackLinear(sp - 4, 2, true);
    long ipAt = cpu.stackLinear(sp - 6, 2, true);
    cpu.store16(flagsAt, cpu.rflags());
    cpu.store16(csAt, cpu.segmentSelector(CpuState.CS));
    cpu.store16(ipAt, (int) getLong(cpu.ripAt));
    cpu.setRsp(sp - 6);
    cpu.setSystemFlag(Bits.IF | Bits.TF | Bits.AC | Bits.RF, false);
    FarTransfer.setRealModeCs(cpu, cs);
    putLong(cpu.ripAt, ip);
  }

  private static int idtCode(int vector, boolean external) {
    return vector * 8 + 2 + (external ? EXT : 0);
  }

  /** A gate must be there, and is only for programs of its level that call for it themselves. */
  private static void checkGate(
      Processor cpu, int attributes, int vector, boolean software, boolean external) {
    if (software && Descriptor.dpl(attributes) < cpu.cpl) {
      throw cpu.raise(GuestFault.GP, idtCode(vector, external));
    }
    if ((attributes & Descriptor.PRESENT) == 0) {
      throw cpu.raise(GuestFault.NP, idtCode(vector, external));
    }
  }

  private static void longMode(
      Processor cpu,
      int vector,
      int errorCode,
      boolean software,
      boolean hasCode,
      boolean external,
      int flagsToPush) {
    int ext = external ? EXT : 0;
    long at = getLong(cpu.state + CpuState.IDTR_BASE) + vector * 16L;
    if (vector * 16 + 15 > (getInt(cpu.state + CpuState.IDTR_LIMIT) & 0xffff)) {
      throw cpu.raise(GuestFault.GP, idtCode(vector, external));
    }
    long low = cpu.loadSystem(at, 8);
    long high = cpu.loadSystem(at + 8, 8);
    int attributes = Descriptor.attributes(low);
    int type = attributes & 0x1f;
    if (type != Descriptor.INTERRUPT_GATE && type != Descriptor.TRAP_GATE) {
      throw cpu.raise(GuestFault.GP, idtCode(vector, external));
    }
    checkGate(cpu, attributes, vector, software, external);
    int selector = (int) (low >>> 16) & 0xffff;
    long target = low & 0xffff | low >>> 32 & 0xffff_0000L | high << 32;
    int ist = (int) (low >>> 32) & 7;
    if ((selector & 0xfffc) == 0) {
      throw cpu.raise(GuestFault.GP, ext);
    }
    long descriptor = SegmentChecks.read(cpu, selector, GuestFault.GP, ext);
    int code = Descriptor.attributes(descriptor);
    int dpl = Descriptor.dpl(code);
    if (!Descriptor.isCode(code)
        || dpl > cpu.cpl
        || (code & (Descriptor.LONG | Descriptor.BIG)) != Descriptor.LONG) {
      throw cpu.raise(GuestFault.GP, selector & 0xfffc | ext);
    }
    if ((code & Descriptor.PRESENT) == 0) {
      throw cpu.raise(GuestFault.NP, selector & 0xfffc | ext);
    }
    if (!cpu.canonical(target)) {
      throw cpu.raise(GuestFault.GP, ext);
    }
    boolean inner = (code & Descriptor.CONFORMING) == 0 && dpl < cpu.cpl;
    int newCpl = (code & Descriptor.CONFORMING) != 0 ? cpu.cpl : dpl;
    long sp = cpu.codeBits == 64 ? cpu.rsp() : cpu.rsp() & 0xffff_ffffL;
    if (ist != 0) {
      sp = tssStack(cpu, 0x24 + (ist - 1) * 8, ext);
    } else if (inner) {
      sp = tssStack(cpu, 4 + newCpl * 8, ext);
    }
    sp &= ~15L;
    int oldSs = cpu.segmentSelector(CpuState.SS);
    long oldSp = cpu.rsp();
    int bytes = hasCode ? 48 : 40;
    long bottom = sp - bytes;
    if (!cpu.canonical(bottom) || !cpu.canonical(sp - 1)) {
      throw cpu.raise(GuestFault.SS, ext);
    }
    cpu.setAccessed(selector, descriptor);
    // The new stack is written with the rights of the new CPL; SMAP looks at AC as it was.
    int oldCpl = cpu.cpl;
    cpu.cpl = newCpl;
    cpu.selectTable();
    long ssp;
    try {
      cpu.probeStore(bottom, bytes);
      long put = bottom;
      if (hasCode) {
        cpu.store64(put, errorCode & 0xffff_ffffL);
        put += 8;
      }
      cpu.store64(put, getLong(cpu.ripAt));
      cpu.store64(put + 8, cpu.segmentSelector(CpuState.CS));
      cpu.store64(put + 16, (cpu.rflags() | flagsToPush) & 0xffff_ffffL);
      cpu.store64(put + 24, oldSp);
      cpu.store64(put + 32, oldSs);
      ssp = ShadowStack.event(cpu, oldCpl, newCpl, ist);
    } catch (GuestFault | VirtualExit f) {
      cpu.cpl = oldCpl;
      cpu.selectTable();
      throw f;
    }
    if (newCpl != oldCpl) {
      ShadowStack.leaveUser(cpu, oldCpl);
    }
    ShadowStack.setPointer(cpu, ssp);
    cpu.loadFromDescriptor(CpuState.CS, selector & ~3 | newCpl, descriptor);
    if (newCpl != oldCpl) {
      cpu.setSegment(CpuState.SS, newCpl, 0, 0, newCpl << 5);
    }
    int clear = Bits.TF | Bits.NT | Bits.RF | Bits.VM;
    if (type == Descriptor.INTERRUPT_GATE) {
      clear |= Bits.IF;
    }
    cpu.systemFlags &= ~clear;
    cpu.updateMode();
    cpu.setCpl(newCpl);
    ControlFlow.entered(cpu);
    cpu.setGpr(CpuState.RSP, bottom);
    putLong(cpu.ripAt, target);
  }

  /** A stack pointer from the 64-bit TSS at {@code offset}. */
  private static long tssStack(Processor cpu, int offset, int ext) {
    long limit = cpu.segmentLimit(CpuState.TR) & 0xffff_ffffL;
    if (offset + 7 > limit) {
      throw cpu.raise(GuestFault.TS, cpu.segmentSelector(CpuState.TR) & 0xfffc | ext);
    }
    return cpu.loadSystem(cpu.segmentBase(CpuState.TR) + offset, 8);
  }

  private static void protectedMode(
      Processor cpu,
      int vector,
      int errorCode,
      boolean software,
      boolean hasCode,
      boolean external,
      int flagsToPush) {
    int ext = external ? EXT : 0;
    if (vector * 8 + 7 > (getInt(cpu.state + CpuState.IDTR_LIMIT) & 0xffff)) {
      throw cpu.raise(GuestFault.GP, idtCode(vector, external));
    }
    long gate =
        cpu.loadSystem(getLong(cpu.state + CpuState.IDTR_BASE) + vector * 8L & 0xffff_ffffL, 8);
    int attributes = Descriptor.attributes(gate);
    int type = attributes & 0x1f;
    boolean is32 = (type & 8) != 0;
    if (type != Descriptor.TASK_GATE
        && type != Descriptor.INTERRUPT_GATE
        && type != Descriptor.TRAP_GATE
        && type != Descriptor.INTERRUPT_GATE16
        && type != Descriptor.TRAP_GATE16) {
      throw cpu.raise(GuestFault.GP, idtCode(vector, external));
    }
    checkGate(cpu, attributes, vector, software, external);
    int selector = (int) (gate >>> 16) & 0xffff;
    if (type == Descriptor.TASK_GATE) {
      int flags = cpu.rflags() | flagsToPush;
      TaskSwitch.interrupt(cpu, vector, selector, flags, hasCode, errorCode, ext);
      return;
    }
    long target = is32 ? gate & 0xffff | gate >>> 32 & 0xffff_0000L : gate & 0xffff;
    if ((selector & 0xfffc) == 0) {
      throw cpu.raise(GuestFault.GP, ext);
    }
    long descriptor = SegmentChecks.read(cpu, selector, GuestFault.GP, ext);
    int code = Descriptor.attributes(descriptor);
    int dpl = Descriptor.dpl(code);
    if (!Descriptor.isCode(code) || dpl > cpu.cpl) {
      throw cpu.raise(GuestFault.GP, selector & 0xfffc | ext);
    }
    if ((code & Descriptor.PRESENT) == 0) {
      throw cpu.raise(GuestFault.NP, selector & 0xfffc | ext);
    }
    boolean conforming = (code & Descriptor.CONFORMING) != 0;
    int size = is32 ? 4 : 2;
    long limit = Descriptor.limit(descriptor) & 0xffff_ffffL;
    boolean wasVirtual = cpu.virtual8086();
    if (!conforming && dpl < cpu.cpl) {
      if (wasVirtual && dpl != 0) {
        throw cpu.raise(GuestFault.GP, selector & 0xfffc | ext);
      }
      StackSwitch.Stack stack = StackSwitch.read(cpu, dpl, ext);
      if (target > limit) {
        throw cpu.raise(GuestFault.GP, ext);
      }
      int words = (hasCode ? 6 : 5) + (wasVirtual ? 4 : 0);
      StackSwitch.Frame frame = stack.frame(cpu, words, size, dpl, ext);
      if (wasVirtual) {
        frame.push(cpu.segmentSelector(CpuState.GS));
        frame.push(cpu.segmentSelector(CpuState.FS));
        frame.push(cpu.segmentSelector(CpuState.DS));
        frame.push(cpu.segmentSelector(CpuState.ES));
      }
      frame.push(cpu.segmentSelector(CpuState.SS));
      frame.push(cpu.rsp());
      frame.push((cpu.rflags() | flagsToPush) & 0xffff_ffffL);
      frame.push(cpu.segmentSelector(CpuState.CS));
      frame.push(getLong(cpu.ripAt));
      if (hasCode) {
        frame.push(errorCode);
      }
      cpu.setAccessed(selector, descriptor);
      int old = cpu.cpl;
      long ssp = ShadowStack.event(cpu, old, dpl, 0);
      ShadowStack.leaveUser(cpu, old);
      ShadowStack.setPointer(cpu, ssp);
      if (wasVirtual) {
        cpu.systemFlags &= ~Bits.VM;
        cpu.cpl = 0;
        for (int segment : new int[] {CpuState.GS, CpuState.FS, CpuState.DS, CpuState.ES}) {
          cpu.loadNull(segment, 0);
        }
      }
      cpu.loadFromDescriptor(CpuState.CS, selector & ~3 | dpl, descriptor);
      frame.install(cpu);
      finish(cpu, type, dpl, target);
      return;
    }
    if (wasVirtual) {
      throw cpu.raise(GuestFault.GP, selector & 0xfffc | ext);
    }
    if (!conforming && dpl != cpu.cpl) {
      throw cpu.raise(GuestFault.GP, selector & 0xfffc | ext);
    }
    if (target > limit) {
      throw cpu.raise(GuestFault.GP, ext);
    }
    long sp = cpu.rsp();
    int words = hasCode ? 4 : 3;
    // All of the frame is checked before any of it is written.
    cpu.probeStore(cpu.stackLinear(sp - size, size, true), size);
    cpu.probeStore(cpu.stackLinear(sp - (long) words * size, size, true), size);
    sp = pushAt(cpu, sp, size, (cpu.rflags() | flagsToPush) & 0xffff_ffffL);
    sp = pushAt(cpu, sp, size, cpu.segmentSelector(CpuState.CS));
    sp = pushAt(cpu, sp, size, getLong(cpu.ripAt));
    if (hasCode) {
      sp = pushAt(cpu, sp, size, errorCode);
    }
    cpu.setAccessed(selector, descriptor);
    ShadowStack.setPointer(cpu, ShadowStack.event(cpu, cpu.cpl, cpu.cpl, 0));
    cpu.setRsp(sp);
    cpu.loadFromDescriptor(CpuState.CS, selector & ~3 | cpu.cpl, descriptor);
    finish(cpu, type, cpu.cpl, target);
  }

  private static long pushAt(Processor cpu, long sp, int size, long value) {
    cpu.storeSized(cpu.stackLinear(sp - size, size, true), size, value);
    return sp - size;
  }

  private static void finish(Processor cpu, int type, int cpl, long target) {
    int clear = Bits.TF | Bits.NT | Bits.RF | Bits.VM;
    if (type == Descriptor.INTERRUPT_GATE || type == Descriptor.INTERRUPT_GATE16) {
      clear |= Bits.IF;
    }
    cpu.systemFlags &= ~clear;
    cpu.updateMode();
    cpu.setCpl(cpl);
    ControlFlow.entered(cpu);
    putLong(cpu.ripAt, target);
  }

  /** INIT and start-up IPIs that wait. */
  static void processSignals(Processor cpu) {
    int pending = cpu.signals.take();
    if ((pending & ProcessorSignals.NMI) != 0) {
      int come = (pending & ProcessorSignals.NMI_AGAIN) != 0 ? 2 : 1;
      int waiting = getInt(cpu.state + CpuState.NMI_PENDING) + come;
      putInt(cpu.state + CpuState.NMI_PENDING, Math.min(waiting, cpu.nmiBlocked ? 1 : 2));
    }
    if ((pending & ProcessorSignals.TIMER) != 0 && cpu.hyperv != null) {
      cpu.hyperv.timers.expire();
    }
    if ((pending & ProcessorSignals.SMI) != 0) {
      putInt(cpu.state + SvmState.SMI_PENDING, 1);
      cpu.requestAttention();
    }
    if ((pending & ProcessorSignals.INIT) != 0 && (cpu.guestMode || cpu.svm.held())) {
      putInt(cpu.state + SvmState.INIT_PENDING, 1);
      cpu.requestAttention();
    } else if ((pending & ProcessorSignals.INIT) != 0) {
      ResetState.init(cpu);
      pending |= cpu.signals.take();
    }
    if ((pending & ProcessorSignals.STARTUP) != 0) {
      putInt(cpu.state + CpuState.STARTUP_PENDING, 0x100 | pending & 0xff);
    }
    int startup = getInt(cpu.state + CpuState.STARTUP_PENDING);
    putInt(cpu.state + CpuState.STARTUP_PENDING, 0);
    if (startup != 0 && getInt(cpu.state + CpuState.ACTIVITY) == CpuState.ACTIVITY_WAIT_STARTUP) {
      int page = startup & 0xff;
      cpu.setSegment(CpuState.CS, page << 8, (long) page << 12, 0xffff, 0x9b);
      putLong(cpu.ripAt, 0);
      putInt(cpu.state + CpuState.ACTIVITY, CpuState.ACTIVITY_RUNNING);
      cpu.updateMode();
    }
  }

  /** INT n and its kin: RIP behind the instruction is what the handler returns to. */
  static void softwareInterrupt(Processor cpu, int vector) {
    instruction(cpu, () -> software(cpu, vector));
  }

  /** INT1: #DB as a trap without a cause in DR6, but for what a MOV SS before it has put off. */
  static void trap(Processor cpu) {
    int putOff = cpu.pendingDebug;
    cpu.pendingDebug = 0;
    if (putOff != 0) {
      DebugRegisters.report(cpu, putOff);
    }
    instruction(cpu, () -> icebp(cpu));
  }

  /** The instruction under way does {@code delivery}, with RIP behind itself. */
  static void instruction(Processor cpu, Runnable delivery) {
    long start = getLong(cpu.ripAt);
    putLong(cpu.ripAt, cpu.branchTo);
    try {
      delivery.run();
    } catch (GuestFault f) {
      if (!f.ofNextTask) {
        putLong(cpu.ripAt, start);
        throw f;
      }
      exception(cpu, f.vector, f.errorCode);
    } catch (VirtualExit e) {
      putLong(cpu.ripAt, start);
      throw e;
    }
    cpu.stepOnlyIf(false);
    cpu.branchTo = getLong(cpu.ripAt);
  }
}
