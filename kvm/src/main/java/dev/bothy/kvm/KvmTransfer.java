package dev.bothy.kvm;

import static dev.bothy.kvm.KvmHeader.*;
import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;
import static java.lang.foreign.ValueLayout.JAVA_SHORT;

import dev.bothy.core.LocalInterruptController;
import dev.bothy.core.cpu.CpuState;
import dev.bothy.host.RawMemory;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/**
 * Between {@link CpuState} and a vCPU of KVM that does not run: everything but the time-stamp
 * counter. Not thread-safe.
 */
final class KvmTransfer implements AutoCloseable {
  /** In {@link CpuState}'s order: RAX RCX RDX RBX RSP RBP RSI RDI; R8 to R15 follow. */
  private static final int[] LEGACY_REGISTERS = {
    KvmRegs.RAX,
    KvmRegs.RCX,
    KvmRegs.RDX,
    KvmRegs.RBX,
    KvmRegs.RSP,
    KvmRegs.RBP,
    KvmRegs.RSI,
    KvmRegs.RDI
  };

  /** In {@link CpuState}'s order: ES CS SS DS FS GS LDTR TR. */
  private static final int[] SEGMENTS = {
    KvmSregs.ES,
    KvmSregs.CS,
    KvmSregs.SS,
    KvmSregs.DS,
    KvmSregs.FS,
    KvmSregs.GS,
    KvmSregs.LDT,
    KvmSregs.TR
  };

  // Attributes of a segment.
  private static final int PRESENT = 1 << 7;

  // The standard format of XSAVE: AMD64 APM volume 2, section 11.5.
  private static final int X87_CONTROL = 0;
  private static final int X87_STATUS = 2;
  private static final int X87_TAGS = 4;
  private static final int X87_OPCODE = 6;
  private static final int X87_IP = 8;
  private static final int X87_DP = 16;
  private static final int MXCSR = 24;
  private static final int X87_REGISTERS = 32;
  private static final int XMM = 160;
  private static final int COMPONENTS = 512;
  private static final int YMM_HIGH = 576;
  private static final int HAS_X87 = 1;
  private static final int HAS_SSE = 2;
  private static final int HAS_AVX = 4;
  private static final int X87_CONTROL_INITIAL = 0x37f;

  private static final int XCR0 = 0;

  /** See {@link CpuState#NMI_PENDING}. */
  private static final int MOST_NMIS = 2;

  private final int vcpu;
  private final CpuState state;
  private final MsrList msrs;
  private final boolean xsave;
  private final boolean xcrs;

  /** The kernel has the local APIC, with its base and task priority. */
  private final boolean kernelApic;

  private final Arena arena = Arena.ofShared();
  private final MemorySegment regs = arena.allocate(KvmRegs.SIZE, 8);
  private final MemorySegment sregs = arena.allocate(KvmSregs.SIZE, 8);
  private final MemorySegment fpu = arena.allocate(KvmXsave.SIZE, 64);
  private final MemorySegment debug = arena.allocate(KvmDebugregs.SIZE, 8);
  private final MemorySegment xcr = arena.allocate(KvmXcrs.SIZE, 8);
  private final MemorySegment msrBuffer;

  /** Exceptions and interrupts on their way stay what they were when the state was read. */
  private final MemorySegment events = arena.allocate(KvmVcpuEvents.SIZE, 8);

  KvmTransfer(int vcpu, CpuState state, MsrList msrs, KvmDevice device, boolean kernelApic) {
    this.vcpu = vcpu;
    this.kernelApic = kernelApic;
    this.state = state;
    this.msrs = msrs;
    xsave = device.extension(KVM_CAP_XSAVE) != 0;
    xcrs = device.extension(KVM_CAP_XCRS) != 0;
    msrBuffer = arena.allocate(msrs.size(), 8);
  }

  /** Nothing is on its way into the guest: the state has been replaced. */
  void forgetEvents() {
    events.fill((byte) 0);
  }

  /** True if the guest is about to take no event. */
  boolean nothingOnItsWay() {
    return (events.get(JAVA_BYTE, KvmVcpuEvents.Exception.INJECTED)
            | events.get(JAVA_BYTE, KvmVcpuEvents.Exception.PENDING)
            | events.get(JAVA_BYTE, KvmVcpuEvents.Interrupt.INJECTED)
            | events.get(JAVA_BYTE, KvmVcpuEvents.Nmi.PENDING))
        == 0;
  }

  /**
   * The vector of an interrupt that the guest has not taken yet, though it is in service; or -1.
   */
  int interruptOnItsWay() {
    return events.get(JAVA_BYTE, KvmVcpuEvents.Interrupt.INJECTED) != 0
            && events.get(JAVA_BYTE, KvmVcpuEvents.Interrupt.SOFT) == 0
        ? events.get(JAVA_BYTE, KvmVcpuEvents.Interrupt.NR) & 0xff
        : -1;
  }

  /** From {@link CpuState} to KVM. */
  void load(LocalInterruptController apic) {
    loadSystemRegisters(apic);
    msrs.set(vcpu, msrBuffer, state);
    for (int i = 0; i < 16; i++) {
      regs.set(JAVA_LONG, register(i), state.gpr(i));
    }
    regs.set(JAVA_LONG, KvmRegs.RIP, state.get(CpuState.RIP));
    regs.set(JAVA_LONG, KvmRegs.RFLAGS, state.get(CpuState.RFLAGS));
    request("KVM_SET_REGS", KVM_SET_REGS, regs);
    if (xcrs) {
      xcr.fill((byte) 0);
      xcr.set(JAVA_INT, KvmXcrs.NR_XCRS, 1);
      xcr.set(JAVA_INT, KvmXcrs.XCRS + KvmXcr.XCR, XCR0);
      xcr.set(JAVA_LONG, KvmXcrs.XCRS + KvmXcr.VALUE, state.get(CpuState.XCR0));
      request("KVM_SET_XCRS", KVM_SET_XCRS, xcr);
    }
    loadFpu();
    debug.fill((byte) 0);
    for (int i = 0; i < 4; i++) {
      debug.set(JAVA_LONG, KvmDebugregs.DB + 8L * i, state.get(CpuState.DR + 8 * i));
    }
    debug.set(JAVA_LONG, KvmDebugregs.DR6, state.get(CpuState.DR + 8 * 6));
    debug.set(JAVA_LONG, KvmDebugregs.DR7, state.get(CpuState.DR + 8 * 7));
    request("KVM_SET_DEBUGREGS", KVM_SET_DEBUGREGS, debug);
    loadEvents();
  }

  private void loadSystemRegisters(LocalInterruptController apic) {
    long priority;
    long base;
    if (kernelApic) {
      request("KVM_GET_SREGS", KVM_GET_SREGS, sregs);
      priority = sregs.get(JAVA_LONG, KvmSregs.CR8);
      base = sregs.get(JAVA_LONG, KvmSregs.APIC_BASE);
    } else {
      priority = apic.taskPriority();
      base = apic.apicBase();
    }
    sregs.fill((byte) 0);
    for (int i = 0; i < SEGMENTS.length; i++) {
      int attributes = state.getInt32(CpuState.segment(i, CpuState.SEGMENT_ATTRIBUTES));
      MemorySegment s = sregs.asSlice(SEGMENTS[i], KvmSegment.SIZE);
      s.set(JAVA_LONG, KvmSegment.BASE, state.get(CpuState.segment(i, CpuState.SEGMENT_BASE)));
      s.set(
          JAVA_INT, KvmSegment.LIMIT, state.getInt32(CpuState.segment(i, CpuState.SEGMENT_LIMIT)));
      s.set(
          JAVA_SHORT,
          KvmSegment.SELECTOR,
          (short) state.getInt32(CpuState.segment(i, CpuState.SEGMENT_SELECTOR)));
      s.set(JAVA_BYTE, KvmSegment.TYPE, (byte) (attributes & 0xf));
      s.set(JAVA_BYTE, KvmSegment.S, bit(attributes, 4));
      s.set(JAVA_BYTE, KvmSegment.DPL, (byte) (attributes >>> 5 & 3));
      s.set(JAVA_BYTE, KvmSegment.PRESENT, bit(attributes, 7));
      s.set(JAVA_BYTE, KvmSegment.AVL, bit(attributes, 12));
      s.set(JAVA_BYTE, KvmSegment.L, bit(attributes, 13));
      s.set(JAVA_BYTE, KvmSegment.DB, bit(attributes, 14));
      s.set(JAVA_BYTE, KvmSegment.G, bit(attributes, 15));
      s.set(JAVA_BYTE, KvmSegment.UNUSABLE, (byte) (bit(attributes, 7) ^ 1));
    }
    table(KvmSregs.GDT, CpuState.GDTR_BASE, CpuState.GDTR_LIMIT);
    table(KvmSregs.IDT, CpuState.IDTR_BASE, CpuState.IDTR_LIMIT);
    sregs.set(JAVA_LONG, KvmSregs.CR0, state.get(CpuState.CR0));
    sregs.set(JAVA_LONG, KvmSregs.CR2, state.get(CpuState.CR2));
    sregs.set(JAVA_LONG, KvmSregs.CR3, state.get(CpuState.CR3));
    sregs.set(JAVA_LONG, KvmSregs.CR4, state.get(CpuState.CR4));
    sregs.set(JAVA_LONG, KvmSregs.EFER, state.get(CpuState.EFER));
    sregs.set(JAVA_LONG, KvmSregs.CR8, priority);
    sregs.set(JAVA_LONG, KvmSregs.APIC_BASE, base);
    request("KVM_SET_SREGS", KVM_SET_SREGS, sregs);
  }

  private void table(int at, int base, int limit) {
    sregs.set(JAVA_LONG, at + KvmDtable.BASE, state.get(base));
    sregs.set(JAVA_SHORT, at + KvmDtable.LIMIT, (short) state.getInt32(limit));
  }

  private static byte bit(int word, int number) {
    return (byte) (word >>> number & 1);
  }

  private static long register(int index) {
    return index < 8 ? LEGACY_REGISTERS[index] : KvmRegs.R8 + 8L * (index - 8);
  }

  private void loadFpu() {
    fpu.fill((byte) 0);
    int status = state.getInt32(CpuState.X87_STATUS);
    int top = status >>> 11 & 7;
    int controlAt = xsave ? X87_CONTROL : KvmFpu.FCW;
    int registers = xsave ? X87_REGISTERS : KvmFpu.FPR;
    int xmm = xsave ? XMM : KvmFpu.XMM;
    fpu.set(JAVA_SHORT, controlAt, (short) state.getInt32(CpuState.X87_CONTROL));
    fpu.set(JAVA_SHORT, controlAt + X87_STATUS, (short) status);
    fpu.set(JAVA_BYTE, controlAt + X87_TAGS, (byte) state.getInt32(CpuState.X87_TAGS));
    fpu.set(JAVA_SHORT, controlAt + X87_OPCODE, (short) state.getInt32(CpuState.X87_OPCODE));
    fpu.set(JAVA_LONG, controlAt + X87_IP, state.get(CpuState.X87_IP));
    fpu.set(JAVA_LONG, controlAt + X87_DP, state.get(CpuState.X87_DP));
    fpu.set(JAVA_INT, xsave ? MXCSR : KvmFpu.MXCSR, state.getInt32(CpuState.MXCSR));
    for (int i = 0; i < 8; i++) {
      copy(CpuState.X87_REGISTERS + 16 * (top + i & 7), registers + 16 * i, 10);
    }
    boolean avx = false;
    for (int i = 0; i < 16; i++) {
      int vector = CpuState.VECTORS + CpuState.VECTOR_SIZE * i;
      copy(vector, xmm + 16 * i, 16);
      if (xsave && (state.get(vector + 16) | state.get(vector + 24)) != 0) {
        copy(vector + 16, YMM_HIGH + 16 * i, 16);
        avx = true;
      }
    }
    if (xsave) {
      fpu.set(JAVA_LONG, COMPONENTS, HAS_X87 | HAS_SSE | (avx ? HAS_AVX : 0));
      request("KVM_SET_XSAVE", KVM_SET_XSAVE, fpu);
    } else {
      request("KVM_SET_FPU", KVM_SET_FPU, fpu);
    }
  }

  private void copy(int from, int to, int length) {
    MemorySegment.copy(RawMemory.segment(state.address() + from, length), 0, fpu, to, length);
  }

  private void loadEvents() {
    int shadow =
        switch (state.getInt32(CpuState.INTERRUPT_SHADOW)) {
          case 1 -> KVM_X86_SHADOW_INT_STI;
          case 2 -> KVM_X86_SHADOW_INT_MOV_SS;
          default -> 0;
        };
    events.set(JAVA_BYTE, KvmVcpuEvents.Interrupt.SHADOW, (byte) shadow);
    events.set(JAVA_BYTE, KvmVcpuEvents.Nmi.PENDING, (byte) state.getInt32(CpuState.NMI_PENDING));
    events.set(JAVA_BYTE, KvmVcpuEvents.Nmi.MASKED, (byte) state.getInt32(CpuState.NMI_BLOCKED));
    events.set(
        JAVA_INT,
        KvmVcpuEvents.FLAGS,
        KVM_VCPUEVENT_VALID_NMI_PENDING | KVM_VCPUEVENT_VALID_SHADOW);
    request("KVM_SET_VCPU_EVENTS", KVM_SET_VCPU_EVENTS, events);
  }

  /** From KVM to {@link CpuState}. */
  void store(LocalInterruptController apic) {
    request("KVM_GET_REGS", KVM_GET_REGS, regs);
    for (int i = 0; i < 16; i++) {
      state.setGpr(i, regs.get(JAVA_LONG, register(i)));
    }
    state.set(CpuState.RIP, regs.get(JAVA_LONG, KvmRegs.RIP));
    state.set(CpuState.RFLAGS, regs.get(JAVA_LONG, KvmRegs.RFLAGS));
    storeSystemRegisters();
    msrs.get(vcpu, msrBuffer, state);
    if (xcrs) {
      request("KVM_GET_XCRS", KVM_GET_XCRS, xcr);
      state.set(CpuState.XCR0, xcr.get(JAVA_LONG, KvmXcrs.XCRS + KvmXcr.VALUE));
    }
    storeFpu();
    request("KVM_GET_DEBUGREGS", KVM_GET_DEBUGREGS, debug);
    for (int i = 0; i < 4; i++) {
      state.set(CpuState.DR + 8 * i, debug.get(JAVA_LONG, KvmDebugregs.DB + 8L * i));
    }
    state.set(CpuState.DR + 8 * 6, debug.get(JAVA_LONG, KvmDebugregs.DR6));
    state.set(CpuState.DR + 8 * 7, debug.get(JAVA_LONG, KvmDebugregs.DR7));
    storeEvents(apic);
  }

  private void storeSystemRegisters() {
    request("KVM_GET_SREGS", KVM_GET_SREGS, sregs);
    for (int i = 0; i < SEGMENTS.length; i++) {
      MemorySegment s = sregs.asSlice(SEGMENTS[i], KvmSegment.SIZE);
      int attributes =
          s.get(JAVA_BYTE, KvmSegment.TYPE) & 0xf
              | (s.get(JAVA_BYTE, KvmSegment.S) & 1) << 4
              | (s.get(JAVA_BYTE, KvmSegment.DPL) & 3) << 5
              | (s.get(JAVA_BYTE, KvmSegment.PRESENT) & 1) << 7
              | (s.get(JAVA_BYTE, KvmSegment.AVL) & 1) << 12
              | (s.get(JAVA_BYTE, KvmSegment.L) & 1) << 13
              | (s.get(JAVA_BYTE, KvmSegment.DB) & 1) << 14
              | (s.get(JAVA_BYTE, KvmSegment.G) & 1) << 15;
      if (s.get(JAVA_BYTE, KvmSegment.UNUSABLE) != 0) {
        attributes &= ~PRESENT;
      }
      state.setSegment(
          i,
          s.get(JAVA_SHORT, KvmSegment.SELECTOR) & 0xffff,
          s.get(JAVA_LONG, KvmSegment.BASE),
          s.get(JAVA_INT, KvmSegment.LIMIT),
          attributes);
    }
    state.set(CpuState.GDTR_BASE, sregs.get(JAVA_LONG, KvmSregs.GDT + KvmDtable.BASE));
    state.setInt32(
        CpuState.GDTR_LIMIT, sregs.get(JAVA_SHORT, KvmSregs.GDT + KvmDtable.LIMIT) & 0xffff);
    state.set(CpuState.IDTR_BASE, sregs.get(JAVA_LONG, KvmSregs.IDT + KvmDtable.BASE));
    state.setInt32(
        CpuState.IDTR_LIMIT, sregs.get(JAVA_SHORT, KvmSregs.IDT + KvmDtable.LIMIT) & 0xffff);
    state.set(CpuState.CR0, sregs.get(JAVA_LONG, KvmSregs.CR0));
    state.set(CpuState.CR2, sregs.get(JAVA_LONG, KvmSregs.CR2));
    state.set(CpuState.CR3, sregs.get(JAVA_LONG, KvmSregs.CR3));
    state.set(CpuState.CR4, sregs.get(JAVA_LONG, KvmSregs.CR4));
    state.set(CpuState.EFER, sregs.get(JAVA_LONG, KvmSregs.EFER));
  }

  private void storeFpu() {
    if (xsave) {
      request("KVM_GET_XSAVE", KVM_GET_XSAVE, fpu);
    } else {
      request("KVM_GET_FPU", KVM_GET_FPU, fpu);
    }
    // What is not among the components is as after a reset, whatever is in its place.
    long components = xsave ? fpu.get(JAVA_LONG, COMPONENTS) : HAS_X87 | HAS_SSE;
    int controlAt = xsave ? X87_CONTROL : KvmFpu.FCW;
    int registers = xsave ? X87_REGISTERS : KvmFpu.FPR;
    int xmm = xsave ? XMM : KvmFpu.XMM;
    if ((components & HAS_X87) == 0) {
      fpu.asSlice(0, MXCSR).fill((byte) 0);
      fpu.asSlice(X87_REGISTERS, XMM - X87_REGISTERS).fill((byte) 0);
      fpu.set(JAVA_SHORT, X87_CONTROL, (short) X87_CONTROL_INITIAL);
    }
    if ((components & HAS_SSE) == 0) {
      fpu.asSlice(XMM, 16 * 16).fill((byte) 0);
    }
    int status = fpu.get(JAVA_SHORT, controlAt + X87_STATUS) & 0xffff;
    int top = status >>> 11 & 7;
    state.setInt32(CpuState.X87_CONTROL, fpu.get(JAVA_SHORT, controlAt) & 0xffff);
    state.setInt32(CpuState.X87_STATUS, status);
    state.setInt32(CpuState.X87_TAGS, fpu.get(JAVA_BYTE, controlAt + X87_TAGS) & 0xff);
    state.setInt32(CpuState.X87_OPCODE, fpu.get(JAVA_SHORT, controlAt + X87_OPCODE) & 0x7ff);
    state.set(CpuState.X87_IP, fpu.get(JAVA_LONG, controlAt + X87_IP));
    state.set(CpuState.X87_DP, fpu.get(JAVA_LONG, controlAt + X87_DP));
    state.setInt32(CpuState.MXCSR, fpu.get(JAVA_INT, xsave ? MXCSR : KvmFpu.MXCSR));
    for (int i = 0; i < 8; i++) {
      copyBack(registers + 16 * i, CpuState.X87_REGISTERS + 16 * (top + i & 7), 10);
    }
    for (int i = 0; i < 16; i++) {
      int vector = CpuState.VECTORS + CpuState.VECTOR_SIZE * i;
      copyBack(xmm + 16 * i, vector, 16);
      boolean avx = xsave && (components & HAS_AVX) != 0;
      state.set(vector + 16, avx ? fpu.get(JAVA_LONG, YMM_HIGH + 16L * i) : 0);
      state.set(vector + 24, avx ? fpu.get(JAVA_LONG, YMM_HIGH + 16L * i + 8) : 0);
    }
  }

  private void copyBack(int from, int to, int length) {
    MemorySegment.copy(fpu, from, RawMemory.segment(state.address() + to, length), 0, length);
  }

  private void storeEvents(LocalInterruptController apic) {
    request("KVM_GET_VCPU_EVENTS", KVM_GET_VCPU_EVENTS, events);
    int shadow = events.get(JAVA_BYTE, KvmVcpuEvents.Interrupt.SHADOW);
    boolean byStack = (shadow & KVM_X86_SHADOW_INT_MOV_SS) != 0;
    state.setInt32(CpuState.INTERRUPT_SHADOW, shadow == 0 ? 0 : byStack ? 2 : 1);
    boolean injected = events.get(JAVA_BYTE, KvmVcpuEvents.Nmi.INJECTED) != 0;
    // One that is on its way blocks the next already, but has not arrived.
    events.set(JAVA_BYTE, KvmVcpuEvents.Nmi.INJECTED, (byte) 0);
    int waiting = (events.get(JAVA_BYTE, KvmVcpuEvents.Nmi.PENDING) & 0xff) + (injected ? 1 : 0);
    state.setInt32(CpuState.NMI_PENDING, Math.min(MOST_NMIS, waiting));
    state.setInt32(
        CpuState.NMI_BLOCKED, injected ? 0 : events.get(JAVA_BYTE, KvmVcpuEvents.Nmi.MASKED) & 1);
    int vector = interruptOnItsWay();
    // One of an APIC in the kernel stays on its way.
    if (vector >= 0 && apic.giveBack(vector)) {
      events.set(JAVA_BYTE, KvmVcpuEvents.Interrupt.INJECTED, (byte) 0);
    }
  }

  private void request(String name, long request, MemorySegment argument) {
    KvmRequest.require(vcpu, name, request, argument.address());
  }

  @Override
  public void close() {
    arena.close();
  }
}
