package dev.bothy.x86.interpret;

import static dev.bothy.host.RawMemory.getInt;
import static dev.bothy.host.RawMemory.getLong;
import static dev.bothy.host.RawMemory.putInt;
import static dev.bothy.host.RawMemory.putLong;

import dev.bothy.core.cpu.CpuState;

/** Far jumps, calls, returns and IRET: AMD64 APM volume 2, sections 4.11 and 8.9; volume 3. */
final class FarTransfer {
  private FarTransfer() {}

  /** CS in real and virtual-8086 mode; limit and attributes stay, as unreal-mode code expects. */
  static void setRealModeCs(Processor cpu, int selector) {
    long at = cpu.state + CpuState.segment(CpuState.CS, 0);
    putInt(at + CpuState.SEGMENT_SELECTOR, selector & 0xffff);
    putLong(at + CpuState.SEGMENT_BASE, (long) (selector & 0xffff) << 4);
    if (cpu.virtual8086()) {
      putInt(at + CpuState.SEGMENT_LIMIT, 0xffff);
      putInt(at + CpuState.SEGMENT_ATTRIBUTES, 0xfb);
    }
    cpu.updateMode();
  }

  private static void checkTarget(Processor cpu, long target, long descriptor) {
    boolean toLong = cpu.longMode && (Descriptor.attributes(descriptor) & Descriptor.LONG) != 0;
    if (toLong ? !cpu.canonical(target) : target > (Descriptor.limit(descriptor) & 0xffff_ffffL)) {
      throw cpu.gp();
    }
  }

  /** Rights of a direct far jump or call to a code segment. */
  private static void checkDirect(Processor cpu, int selector, int attributes) {
    int dpl = Descriptor.dpl(attributes);
    boolean bad =
        (attributes & Descriptor.CONFORMING) != 0
            ? dpl > cpu.cpl
            : (selector & 3) > cpu.cpl || dpl != cpu.cpl;
    if (bad) {
      throw cpu.raise(GuestFault.GP, selector & 0xfffc);
    }
    SegmentChecks.requireOneSize(cpu, selector, attributes);
    if ((attributes & Descriptor.PRESENT) == 0) {
      throw cpu.raise(GuestFault.NP, selector & 0xfffc);
    }
  }

  private static void loadCs(Processor cpu, int selector, long descriptor, int cpl) {
    cpu.setAccessed(selector, descriptor);
    cpu.loadFromDescriptor(CpuState.CS, selector & ~3 | cpl, descriptor);
    cpu.updateMode();
    cpu.setCpl(cpl);
  }

  static void jump(Processor cpu, int selector, long offset, int size) {
    if (!cpu.usesDescriptors()) {
      if (offset > (cpu.segmentLimit(CpuState.CS) & 0xffff_ffffL)) {
        throw cpu.gp();
      }
      setRealModeCs(cpu, selector);
      cpu.branchTo = offset;
      return;
    }
    if ((selector & 0xfffc) == 0) {
      throw cpu.gp();
    }
    long descriptor = cpu.readDescriptor(selector, GuestFault.GP);
    int attributes = Descriptor.attributes(descriptor);
    if (Descriptor.isCode(attributes)) {
      checkDirect(cpu, selector, attributes);
      checkTarget(cpu, offset, descriptor);
      ShadowStack.jump(cpu, descriptor);
      loadCs(cpu, selector, descriptor, cpu.cpl);
      cpu.branchTo = offset;
      return;
    }
    if (TaskSwitch.branch(cpu, selector, descriptor, false)) {
      return;
    }
    Gate gate = callGate(cpu, selector, descriptor, attributes);
    int dpl = Descriptor.dpl(gate.codeAttributes);
    boolean conforming = (gate.codeAttributes & Descriptor.CONFORMING) != 0;
    if (conforming ? dpl > cpu.cpl : dpl != cpu.cpl) {
      throw cpu.raise(GuestFault.GP, gate.selector & 0xfffc);
    }
    if ((gate.codeAttributes & Descriptor.PRESENT) == 0) {
      throw cpu.raise(GuestFault.NP, gate.selector & 0xfffc);
    }
    checkTarget(cpu, gate.offset, gate.descriptor);
    ShadowStack.jump(cpu, gate.descriptor);
    loadCs(cpu, gate.selector, gate.descriptor, cpu.cpl);
    cpu.branchTo = gate.offset;
    ControlFlow.entered(cpu);
  }

  private record Gate(
      int selector, long offset, long descriptor, int codeAttributes, int size, int parameters) {}

  /** Reads and checks the call gate at {@code selector}; other system descriptors are refused. */
  private static Gate callGate(Processor cpu, int selector, long low, int attributes) {
    int type = attributes & 0x1f;
    boolean known = type == Descriptor.CALL_GATE || type == Descriptor.CALL_GATE16 && !cpu.longMode;
    int code = selector & 0xfffc;
    if (!known) {
      throw cpu.raise(GuestFault.GP, code);
    }
    int dpl = Descriptor.dpl(attributes);
    if (dpl < cpu.cpl || dpl < (selector & 3)) {
      throw cpu.raise(GuestFault.GP, code);
    }
    long high = 0;
    if (cpu.longMode) {
      high = cpu.loadSystem(cpu.descriptorAddress(selector, 16, GuestFault.GP) + 8, 8);
      if ((high >>> 40 & 0x1f) != 0) {
        throw cpu.raise(GuestFault.GP, code);
      }
    }
    if ((attributes & Descriptor.PRESENT) == 0) {
      throw cpu.raise(GuestFault.NP, code);
    }
    int target = (int) (low >>> 16) & 0xffff;
    if ((target & 0xfffc) == 0) {
      throw cpu.gp();
    }
    long descriptor = cpu.readDescriptor(target, GuestFault.GP);
    int codeAttributes = Descriptor.attributes(descriptor);
    if (!Descriptor.isCode(codeAttributes)
        || Descriptor.dpl(codeAttributes) > cpu.cpl
        || cpu.longMode
            && (codeAttributes & (Descriptor.LONG | Descriptor.BIG)) != Descriptor.LONG) {
      throw cpu.raise(GuestFault.GP, target & 0xfffc);
    }
    boolean narrow = type == Descriptor.CALL_GATE16;
    long offset = narrow ? low & 0xffff : low & 0xffff | low >>> 32 & 0xffff_0000L;
    if (cpu.longMode) {
      offset |= high << 32;
    }
    int size = cpu.longMode ? 8 : narrow ? 2 : 4;
    return new Gate(target, offset, descriptor, codeAttributes, size, (int) (low >>> 32) & 31);
  }

  static void call(Processor cpu, int selector, long offset, int size) {
    long returnTo = cpu.branchTo;
    if (!cpu.usesDescriptors()) {
      if (offset > (cpu.segmentLimit(CpuState.CS) & 0xffff_ffffL)) {
        throw cpu.gp();
      }
      pushTwo(cpu, size, cpu.segmentSelector(CpuState.CS), returnTo);
      setRealModeCs(cpu, selector);
      cpu.branchTo = offset;
      return;
    }
    if ((selector & 0xfffc) == 0) {
      throw cpu.gp();
    }
    long descriptor = cpu.readDescriptor(selector, GuestFault.GP);
    int attributes = Descriptor.attributes(descriptor);
    if (Descriptor.isCode(attributes)) {
      checkDirect(cpu, selector, attributes);
      checkTarget(cpu, offset, descriptor);
      cpu.setAccessed(selector, descriptor);
      long ssp = ShadowStack.call(cpu, descriptor, returnTo);
      pushTwo(cpu, size, cpu.segmentSelector(CpuState.CS), returnTo);
      ShadowStack.setPointer(cpu, ssp);
      loadCs(cpu, selector, descriptor, cpu.cpl);
      cpu.branchTo = offset;
      return;
    }
    if (TaskSwitch.branch(cpu, selector, descriptor, true)) {
      return;
    }
    Gate gate = callGate(cpu, selector, descriptor, attributes);
    if ((gate.codeAttributes & Descriptor.PRESENT) == 0) {
      throw cpu.raise(GuestFault.NP, gate.selector & 0xfffc);
    }
    int dpl = Descriptor.dpl(gate.codeAttributes);
    boolean inner = (gate.codeAttributes & Descriptor.CONFORMING) == 0 && dpl < cpu.cpl;
    checkTarget(cpu, gate.offset, gate.descriptor);
    if (!inner) {
      cpu.setAccessed(gate.selector, gate.descriptor);
      long ssp = ShadowStack.call(cpu, gate.descriptor, returnTo);
      pushTwo(cpu, gate.size, cpu.segmentSelector(CpuState.CS), returnTo);
      ShadowStack.setPointer(cpu, ssp);
      loadCs(cpu, gate.selector, gate.descriptor, cpu.cpl);
      cpu.branchTo = gate.offset;
      ControlFlow.entered(cpu);
      return;
    }
    if (cpu.longMode) {
      callInnerLong(cpu, gate, dpl, returnTo);
      return;
    }
    StackSwitch.Stack stack = StackSwitch.read(cpu, dpl, 0);
    int parameters = gate.parameters;
    StackSwitch.Frame frame = stack.frame(cpu, 4 + parameters, gate.size, dpl, 0);
    long[] copied = new long[parameters];
    for (int i = 0; i < parameters; i++) {
      copied[i] = cpu.peek(gate.size, i * gate.size);
    }
    frame.push(cpu.segmentSelector(CpuState.SS));
    frame.push(cpu.rsp());
    for (int i = parameters - 1; i >= 0; i--) {
      frame.push(copied[i]);
    }
    frame.push(cpu.segmentSelector(CpuState.CS));
    frame.push(returnTo);
    cpu.setAccessed(gate.selector, gate.descriptor);
    long ssp = ShadowStack.callInner(cpu, dpl, returnTo);
    ShadowStack.leaveUser(cpu, cpu.cpl);
    ShadowStack.setPointer(cpu, ssp);
    frame.install(cpu);
    loadCs(cpu, gate.selector, gate.descriptor, dpl);
    cpu.branchTo = gate.offset;
    ControlFlow.entered(cpu);
  }

  private static void callInnerLong(Processor cpu, Gate gate, int cpl, long returnTo) {
    int offset = 4 + cpl * 8;
    if (offset + 7 > (cpu.segmentLimit(CpuState.TR) & 0xffff_ffffL)) {
      throw cpu.raise(GuestFault.TS, cpu.segmentSelector(CpuState.TR) & 0xfffc);
    }
    long sp = cpu.loadSystem(cpu.segmentBase(CpuState.TR) + offset, 8);
    if (!cpu.canonical(sp - 32) || !cpu.canonical(sp - 1)) {
      throw cpu.raise(GuestFault.SS, 0);
    }
    int oldCpl = cpu.cpl;
    cpu.setCpl(cpl);
    try {
      cpu.probeStore(sp - 32, 32);
      cpu.store64(sp - 8, cpu.segmentSelector(CpuState.SS));
      cpu.store64(sp - 16, cpu.rsp());
      cpu.store64(sp - 24, cpu.segmentSelector(CpuState.CS));
      cpu.store64(sp - 32, returnTo);
    } finally {
      cpu.setCpl(oldCpl);
    }
    cpu.setAccessed(gate.selector, gate.descriptor);
    long ssp = ShadowStack.callInner(cpu, cpl, returnTo);
    ShadowStack.leaveUser(cpu, cpu.cpl);
    ShadowStack.setPointer(cpu, ssp);
    cpu.setSegment(CpuState.SS, cpl, 0, 0, cpl << 5);
    loadCs(cpu, gate.selector, gate.descriptor, cpl);
    cpu.setGpr(CpuState.RSP, sp - 32);
    cpu.branchTo = gate.offset;
    ControlFlow.entered(cpu);
  }

  private static void pushTwo(Processor cpu, int size, long first, long second) {
    long sp = cpu.rsp();
    long firstAt = cpu.stackLinear(sp - size, size, true);
    long secondAt = cpu.stackLinear(sp - 2L * size, size, true);
    cpu.probeStore(firstAt, size);
    cpu.probeStore(secondAt, size);
    cpu.storeSized(firstAt, size, first);
    cpu.storeSized(secondAt, size, second);
    cpu.setRsp(sp - 2L * size);
  }

  /** RETF with {@code release} bytes of parameters. */
  static void ret(Processor cpu, int size, int release) {
    long ip = cpu.peek(size, 0);
    int selector = (int) cpu.peek(size, size) & 0xffff;
    if (!cpu.usesDescriptors()) {
      if (ip > (cpu.segmentLimit(CpuState.CS) & 0xffff_ffffL)) {
        throw cpu.gp();
      }
      cpu.setRsp(cpu.rsp() + 2L * size + release);
      setRealModeCs(cpu, selector);
      cpu.branchTo = ip;
      return;
    }
    long descriptor = returnDescriptor(cpu, selector);
    int cpl = selector & 3;
    checkTarget(cpu, ip, descriptor);
    if (cpl == cpu.cpl) {
      cpu.setAccessed(selector, descriptor);
      ShadowStack.setPointer(cpu, ShadowStack.farReturn(cpu, selector, descriptor, ip, false));
      cpu.setRsp(cpu.rsp() + 2L * size + release);
      loadCs(cpu, selector, descriptor, cpl);
      cpu.branchTo = ip;
      return;
    }
    long sp = cpu.peek(size, 2 * size + release);
    int ss = (int) cpu.peek(size, 3 * size + release) & 0xffff;
    boolean toLong = cpu.longMode && (Descriptor.attributes(descriptor) & Descriptor.LONG) != 0;
    long ssDescriptor = checkReturnSs(cpu, ss, cpl, toLong);
    markAccessed(cpu, selector, descriptor, ss, ssDescriptor);
    ShadowStack.setPointer(cpu, ShadowStack.farReturn(cpu, selector, descriptor, ip, false));
    loadCs(cpu, selector, descriptor, cpl);
    loadReturnSs(cpu, ss, cpl, ssDescriptor);
    cpu.updateMode();
    cpu.setRsp(sp + release);
    dropInnerSegments(cpu);
    cpu.updateMode();
    cpu.branchTo = ip;
  }

  private static long returnDescriptor(Processor cpu, int selector) {
    if ((selector & 0xfffc) == 0) {
      throw cpu.gp();
    }
    if ((selector & 3) < cpu.cpl) {
      throw cpu.raise(GuestFault.GP, selector & 0xfffc);
    }
    return SegmentChecks.code(cpu, selector, GuestFault.GP, 0);
  }

  /** The descriptor of the outer SS, or 0 for a null selector where that is allowed. */
  private static long checkReturnSs(Processor cpu, int ss, int cpl, boolean toLong) {
    if ((ss & 0xfffc) == 0) {
      if (toLong && cpl != 3 && (ss & 3) == cpl) {
        return 0;
      }
      throw cpu.gp();
    }
    return SegmentChecks.stack(cpu, ss, cpl, GuestFault.GP, 0);
  }

  /** What may fault while registers are loaded happens before any is. */
  private static void markAccessed(
      Processor cpu, int selector, long descriptor, int ss, long ssDescriptor) {
    if (ssDescriptor != 0) {
      cpu.setAccessed(ss, ssDescriptor);
    }
    cpu.setAccessed(selector, descriptor);
  }

  private static void loadReturnSs(Processor cpu, int ss, int cpl, long descriptor) {
    if (descriptor == 0) {
      cpu.setSegment(CpuState.SS, ss, 0, 0, cpl << 5);
    } else {
      cpu.setAccessed(ss, descriptor);
      cpu.loadFromDescriptor(CpuState.SS, ss, descriptor);
    }
  }

  /** After going to an outer level: data segments that it may not use become null. */
  private static void dropInnerSegments(Processor cpu) {
    for (int segment : new int[] {CpuState.ES, CpuState.DS, CpuState.FS, CpuState.GS}) {
      int attributes = cpu.segmentAttributes(segment);
      boolean conforming =
          (attributes & (Descriptor.CODE | Descriptor.CONFORMING))
              == (Descriptor.CODE | Descriptor.CONFORMING);
      if ((attributes & Descriptor.PRESENT) != 0
          && !conforming
          && Descriptor.dpl(attributes) < cpu.cpl) {
        // The base stays: kernels keep theirs in GS across a return that goes without SWAPGS.
        long at = cpu.state + CpuState.segment(segment, 0);
        putInt(at + CpuState.SEGMENT_SELECTOR, 0);
        putInt(at + CpuState.SEGMENT_ATTRIBUTES, 0);
      }
    }
  }

  /** IRET in real, protected and long mode. */
  static void interruptReturn(Processor cpu, int size) {
    if (!cpu.protectedMode || cpu.virtual8086()) {
      realReturn(cpu, size);
      return;
    }
    if ((cpu.systemFlags & Bits.NT) != 0) {
      if (cpu.longMode) {
        throw cpu.gp();
      }
      TaskSwitch.back(cpu);
      return;
    }
    long ip = cpu.peek(size, 0);
    int selector = (int) cpu.peek(size, size) & 0xffff;
    int flags = (int) cpu.peek(size, 2 * size);
    if (!cpu.longMode && size == 4 && (flags & Bits.VM) != 0 && cpu.cpl == 0) {
      toVirtual8086(cpu, ip, selector, flags);
      return;
    }
    long descriptor = returnDescriptor(cpu, selector);
    int newCpl = selector & 3;
    checkTarget(cpu, ip, descriptor);
    boolean toLong = cpu.longMode && (Descriptor.attributes(descriptor) & Descriptor.LONG) != 0;
    if (newCpl != cpu.cpl || cpu.codeBits == 64) {
      long sp = cpu.peek(size, 3 * size);
      int ss = (int) cpu.peek(size, 4 * size) & 0xffff;
      long ssDescriptor = checkReturnSs(cpu, ss, newCpl, toLong);
      int oldCpl = cpu.cpl;
      markAccessed(cpu, selector, descriptor, ss, ssDescriptor);
      ShadowStack.setPointer(cpu, ShadowStack.farReturn(cpu, selector, descriptor, ip, true));
      setReturnFlags(cpu, flags, size);
      loadCs(cpu, selector, descriptor, newCpl);
      loadReturnSs(cpu, ss, newCpl, ssDescriptor);
      cpu.updateMode();
      cpu.setRsp(sp);
      if (newCpl != oldCpl) {
        dropInnerSegments(cpu);
        cpu.updateMode();
      }
      if (toLong) {
        ReturnTargets.remember(cpu, newCpl, selector, descriptor, ss, ssDescriptor);
      }
    } else {
      cpu.setAccessed(selector, descriptor);
      ShadowStack.setPointer(cpu, ShadowStack.farReturn(cpu, selector, descriptor, ip, true));
      cpu.setRsp(cpu.rsp() + 3L * size);
      setReturnFlags(cpu, flags, size);
      loadCs(cpu, selector, descriptor, newCpl);
    }
    cpu.nmiBlocked = false;
    cpu.requestAttention();
    cpu.branchTo = ip;
  }

  /** Flags from the stack as CPL and IOPL allow. */
  static void setReturnFlags(Processor cpu, int flags, int size) {
    int mask = Bits.ARITHMETIC | Bits.TF | Bits.DF | Bits.NT;
    if (size > 2) {
      mask |= Bits.RF | Bits.AC | Bits.ID;
    }
    if (cpu.cpl == 0) {
      mask |= Bits.IOPL;
      if (size > 2) {
        mask |= Bits.VIF | Bits.VIP;
      }
    }
    if (cpu.cpl <= cpu.iopl()) {
      mask |= Bits.IF;
    }
    // Without breakpoints RF is of no use: most faults return with it.
    boolean resume = size > 2 && (flags & Bits.RF) != 0 && cpu.breakpoints;
    int value = cpu.rflags() & ~mask | flags & mask;
    if (!resume) {
      value &= ~Bits.RF;
    }
    cpu.setArithmeticFlags(value);
    int old = cpu.systemFlags;
    cpu.systemFlags = value & ~Bits.ARITHMETIC | 2;
    cpu.systemFlagsChanged(old);
    if (resume) {
      cpu.resumeFlagLoaded();
    }
  }

  private static void realReturn(Processor cpu, int size) {
    VirtualMode.checkFlagAccess(cpu, size);
    long ip = cpu.peek(size, 0);
    int selector = (int) cpu.peek(size, size) & 0xffff;
    int flags = (int) cpu.peek(size, 2 * size);
    if (ip > (cpu.segmentLimit(CpuState.CS) & 0xffff_ffffL)) {
      throw cpu.gp();
    }
    boolean virtual = VirtualMode.takesFlags(cpu, flags);
    cpu.setRsp(cpu.rsp() + 3L * size);
    if (virtual) {
      VirtualMode.loadFlags(cpu, flags);
    } else {
      setReturnFlags(cpu, flags, size);
    }
    setRealModeCs(cpu, selector);
    cpu.nmiBlocked = false;
    cpu.requestAttention();
    cpu.branchTo = ip;
  }

  private static void toVirtual8086(Processor cpu, long ip, int selector, int flags) {
    long sp = cpu.peek(4, 12);
    int[] segments = {CpuState.SS, CpuState.ES, CpuState.DS, CpuState.FS, CpuState.GS};
    int[] selectors = new int[segments.length];
    for (int i = 0; i < segments.length; i++) {
      selectors[i] = (int) cpu.peek(4, 16 + 4 * i) & 0xffff;
    }
    if (ip > 0xffff || ControlFlow.forUser(cpu)) {
      throw cpu.gp();
    }
    ShadowStack.returnToVirtual8086(cpu);
    cpu.setRflags(flags);
    for (int i = 0; i < segments.length; i++) {
      cpu.setSegment(segments[i], selectors[i], (long) selectors[i] << 4, 0xffff, 0xf3);
    }
    cpu.setCpl(3);
    setRealModeCs(cpu, selector);
    cpu.setGpr(CpuState.RSP, sp & 0xffff_ffffL);
    if ((flags & Bits.RF) != 0 && cpu.breakpoints) {
      cpu.resumeFlagLoaded();
    }
    cpu.nmiBlocked = false;
    cpu.requestAttention();
    cpu.branchTo = ip;
  }

  // Fast system calls: AMD64 APM volume 3.

  static void syscall(Processor cpu) {
    long efer = getLong(cpu.state + CpuState.EFER);
    if ((efer & Bits.EFER_SCE) == 0 || !cpu.protectedMode) {
      throw cpu.ud();
    }
    ShadowStack.systemCall(cpu);
    long star = getLong(cpu.state + CpuState.STAR);
    int cs = (int) (star >>> 32) & 0xfffc;
    if (cpu.longMode) {
      cpu.setGpr(CpuState.RCX, cpu.branchTo);
      cpu.setGpr(11, cpu.rflags() & ~Bits.RF & 0xffff_ffffL);
      long target = getLong(cpu.state + (cpu.codeBits == 64 ? CpuState.LSTAR : CpuState.CSTAR));
      int mask = (int) getLong(cpu.state + CpuState.SFMASK);
      setFlatCs(cpu, cs, 0, true);
      setFlatSs(cpu, cs + 8, 0);
      cpu.setRflags(cpu.rflags() & ~mask & ~Bits.RF);
      cpu.branchTo = target;
    } else {
      cpu.setGpr(CpuState.RCX, cpu.branchTo & 0xffff_ffffL);
      setFlatCs(cpu, cs, 0, false);
      setFlatSs(cpu, cs + 8, 0);
      cpu.setRflags(cpu.rflags() & ~(Bits.VM | Bits.IF | Bits.RF));
      cpu.branchTo = star & 0xffff_ffffL;
    }
    cpu.updateMode();
    cpu.setCpl(0);
    ControlFlow.entered(cpu);
    cpu.stepOnlyIf((cpu.systemFlags & Bits.TF) != 0);
  }

  static void sysret(Processor cpu, int size) {
    if ((getLong(cpu.state + CpuState.EFER) & Bits.EFER_SCE) == 0 || !cpu.protectedMode) {
      throw cpu.ud();
    }
    cpu.requireCpl0();
    long star = getLong(cpu.state + CpuState.STAR);
    int base = (int) (star >>> 48) & 0xffff;
    long target = cpu.gpr(CpuState.RCX);
    if (cpu.codeBits == 64) {
      int flags = (int) cpu.gpr(11);
      if (size == 8) {
        // AMD processors do not look at the target: a bad one faults in user mode.
        setFlatCs(cpu, base + 16 | 3, 3, true);
      } else {
        setFlatCs(cpu, base | 3, 3, false);
        target &= 0xffff_ffffL;
      }
      sysretSs(cpu, base + 8);
      cpu.setRflags(flags & ~(Bits.RF | Bits.VM));
    } else {
      setFlatCs(cpu, base | 3, 3, false);
      sysretSs(cpu, base + 8);
      cpu.setSystemFlag(Bits.IF, true);
      target &= 0xffff_ffffL;
    }
    cpu.updateMode();
    cpu.setCpl(3);
    ShadowStack.systemReturn(cpu);
    cpu.branchTo = target;
    // Unlike IRET and POPF, SYSRET traps when it has loaded TF, before the next instruction.
    boolean step = (cpu.systemFlags & Bits.TF) != 0;
    cpu.stepOnlyIf(step);
    if (step) {
      cpu.trapStep();
    }
  }

  /** AMD's SYSRET loads SS's selector only; base, limit and attributes stay, but CPL is 3. */
  private static void sysretSs(Processor cpu, int selector) {
    long at = cpu.state + CpuState.segment(CpuState.SS, 0);
    putInt(at + CpuState.SEGMENT_SELECTOR, selector | 3);
    putInt(at + CpuState.SEGMENT_ATTRIBUTES, getInt(at + CpuState.SEGMENT_ATTRIBUTES) | 0x60);
  }

  private static void setFlatCs(Processor cpu, int selector, int dpl, boolean isLong) {
    int attributes =
        0x9b | dpl << 5 | Descriptor.GRANULAR | (isLong ? Descriptor.LONG : Descriptor.BIG);
    cpu.setSegment(CpuState.CS, selector & 0xffff, 0, -1, attributes);
  }

  private static void setFlatSs(Processor cpu, int selector, int dpl) {
    cpu.setSegment(
        CpuState.SS,
        selector & 0xffff,
        0,
        -1,
        0x93 | dpl << 5 | Descriptor.GRANULAR | Descriptor.BIG);
  }

  /** Legacy mode only on AMD. */
  static void sysenter(Processor cpu) {
    if (cpu.longMode) {
      throw cpu.ud();
    }
    int cs = (int) getLong(cpu.state + CpuState.SYSENTER_CS) & 0xfffc;
    if (!cpu.protectedMode || cs == 0) {
      throw cpu.gp();
    }
    ShadowStack.systemCall(cpu);
    setFlatCs(cpu, cs, 0, false);
    setFlatSs(cpu, cs + 8, 0);
    cpu.setSystemFlag(Bits.VM | Bits.IF | Bits.RF, false);
    cpu.updateMode();
    cpu.setCpl(0);
    ControlFlow.entered(cpu);
    cpu.setGpr(CpuState.RSP, getLong(cpu.state + CpuState.SYSENTER_ESP) & 0xffff_ffffL);
    cpu.branchTo = getLong(cpu.state + CpuState.SYSENTER_EIP) & 0xffff_ffffL;
  }

  static void sysexit(Processor cpu) {
    if (cpu.longMode) {
      throw cpu.ud();
    }
    int cs = (int) getLong(cpu.state + CpuState.SYSENTER_CS) & 0xfffc;
    if (!cpu.protectedMode || cs == 0 || cpu.cpl != 0) {
      throw cpu.gp();
    }
    setFlatCs(cpu, cs + 16 | 3, 3, false);
    setFlatSs(cpu, cs + 24 | 3, 3);
    cpu.updateMode();
    cpu.setCpl(3);
    ShadowStack.systemReturn(cpu);
    cpu.branchTo = cpu.gpr(CpuState.RDX) & 0xffff_ffffL;
    cpu.setGpr(CpuState.RSP, cpu.gpr(CpuState.RCX) & 0xffff_ffffL);
  }
}
