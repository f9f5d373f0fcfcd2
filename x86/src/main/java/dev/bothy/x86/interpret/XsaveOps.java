package dev.bothy.x86.interpret;

import static dev.bothy.host.RawMemory.getInt;
import static dev.bothy.host.RawMemory.getLong;
import static dev.bothy.host.RawMemory.putInt;
import static dev.bothy.host.RawMemory.putLong;
import static dev.bothy.x86.interpret.XsaveLayout.AVX;
import static dev.bothy.x86.interpret.XsaveLayout.AVX_OFFSET;
import static dev.bothy.x86.interpret.XsaveLayout.AVX_SIZE;
import static dev.bothy.x86.interpret.XsaveLayout.COMPACTED;
import static dev.bothy.x86.interpret.XsaveLayout.FIXED_SIZE;
import static dev.bothy.x86.interpret.XsaveLayout.KEYS;
import static dev.bothy.x86.interpret.XsaveLayout.KEYS_OFFSET;
import static dev.bothy.x86.interpret.XsaveLayout.LEGACY_SIZE;
import static dev.bothy.x86.interpret.XsaveLayout.SSE;
import static dev.bothy.x86.interpret.XsaveLayout.X87;

import dev.bothy.core.cpu.CpuState;
import dev.bothy.x86.decode.Instruction;
import dev.bothy.x86.fpu.Extended;

/**
 * FXSAVE, FXRSTOR, XSAVE, XSAVEOPT, XSAVEC and XRSTOR: AMD64 APM volume 2, sections 11.4 and 11.5,
 * and volumes 4 and 5. The pointers to the last x87 instruction are saved only while an x87
 * exception is pending, else zeros, and always restored.
 */
final class XsaveOps {
  private static final int CR4_OSFXSR = 1 << 9;
  private static final int CR4_OSXSAVE = 1 << 18;
  private static final int CR0_TS = 1 << 3;

  // Offsets in the legacy area.
  private static final int STATUS = 2;
  private static final int TAGS = 4;
  private static final int OPCODE = 6;
  private static final int IP = 8;
  private static final int DP = 16;
  private static final int MXCSR = 24;
  private static final int MXCSR_MASK = 28;
  private static final int REGISTERS = 32;
  private static final int XMM = 160;

  // Offsets of the header's fields.
  private static final int XSTATE_BV = LEGACY_SIZE;
  private static final int XCOMP_BV = LEGACY_SIZE + 8;

  private XsaveOps() {}

  static void execute(Cpu cpu, Instruction i) {
    switch (i.op) {
      case FXSAVE -> fxsave(cpu, i);
      case FXRSTOR -> fxrstor(cpu, i);
      case XSAVE -> xsave(cpu, i, false);
      case XSAVEOPT -> xsave(cpu, i, true);
      case XSAVEC -> xsaveCompacted(cpu, i);
      case XRSTOR -> xrstor(cpu, i);
      default -> throw cpu.raise(GuestFault.UD);
    }
  }

  // FXSAVE and FXRSTOR.

  private static void fxsave(Cpu cpu, Instruction i) {
    cpu.requireX87Quietly();
    long at = aligned(cpu, i, LEGACY_SIZE, 16);
    // A fault on the second page is one at the last byte: so it is on AMD processors.
    cpu.probeStore(at, 1);
    cpu.probeStore(at + LEGACY_SIZE - 1, 1);
    saveX87(cpu, i, at);
    if (savesSse(cpu)) {
      saveMxcsr(cpu, at);
      saveXmm(cpu, i, at);
    }
  }

  private static void fxrstor(Cpu cpu, Instruction i) {
    cpu.requireX87Quietly();
    long at = aligned(cpu, i, LEGACY_SIZE, 16);
    touch(cpu, at, LEGACY_SIZE);
    boolean sse = savesSse(cpu);
    if (sse) {
      cpu.setMxcsr(loadMxcsr(cpu, at));
      restoreXmm(cpu, i, at);
    }
    restoreX87(cpu, i, at);
  }

  private static boolean savesSse(Cpu cpu) {
    return (getLong(cpu.state + CpuState.CR4) & CR4_OSFXSR) != 0;
  }

  private static long aligned(Cpu cpu, Instruction i, int size, int alignment) {
    long at = cpu.linear(i, size);
    if ((at & alignment - 1) != 0) {
      throw cpu.raise(GuestFault.GP, 0);
    }
    return at;
  }

  /** Faults now if any of up to 4096 bytes cannot be read. */
  private static void touch(Cpu cpu, long at, int size) {
    cpu.load8(at);
    cpu.load8(at + size - 1);
  }

  /** Read once: others may write there, and the host would not take what was not checked. */
  private static int loadMxcsr(Cpu cpu, long at) {
    int value = cpu.load32(at + MXCSR);
    if ((value & ~XsaveLayout.MXCSR_MASK) != 0) {
      throw cpu.raise(GuestFault.GP, 0);
    }
    return value;
  }

  // Components.

  private static boolean wide(Instruction i) {
    return (i.rex & 8) != 0;
  }

  private static void saveX87(Cpu cpu, Instruction i, long at) {
    long state = cpu.state;
    int status = X87Stack.status(cpu);
    boolean pending = (status & Extended.ES) != 0;
    cpu.store16(at, X87Stack.control(cpu));
    cpu.store16(at + STATUS, status & 0xffff);
    cpu.store16(at + TAGS, getInt(state + CpuState.X87_TAGS));
    cpu.store16(at + OPCODE, pending ? getInt(state + CpuState.X87_OPCODE) : 0);
    long ip = pending ? getLong(state + CpuState.X87_IP) : 0;
    long dp = pending ? getLong(state + CpuState.X87_DP) : 0;
    if (pending && !wide(i)) {
      ip = ip & 0xffff_ffffL | (long) getInt(state + CpuState.X87_CS) << 32;
      dp = dp & 0xffff_ffffL | (long) getInt(state + CpuState.X87_DS) << 32;
    }
    cpu.store64(at + IP, ip);
    cpu.store64(at + DP, dp);
    for (int n = 0; n < 8; n++) {
      int r = X87Stack.physical(cpu, n);
      cpu.store64(at + REGISTERS + 16L * n, X87Stack.significand(cpu, r));
      cpu.store64(at + REGISTERS + 16L * n + 8, X87Stack.exponent(cpu, r));
    }
  }

  private static void restoreX87(Cpu cpu, Instruction i, long at) {
    long state = cpu.state;
    X87Stack.load(cpu, cpu.load16(at), cpu.load16(at + STATUS));
    putInt(state + CpuState.X87_TAGS, cpu.load8(at + TAGS) & 0xff);
    putInt(state + CpuState.X87_OPCODE, cpu.load16(at + OPCODE) & 0x7ff);
    long ip = cpu.load64(at + IP);
    long dp = cpu.load64(at + DP);
    boolean wide = wide(i);
    putLong(state + CpuState.X87_IP, wide ? ip : ip & 0xffff_ffffL);
    putLong(state + CpuState.X87_DP, wide ? dp : dp & 0xffff_ffffL);
    putInt(state + CpuState.X87_CS, wide ? 0 : (int) (ip >>> 32) & 0xffff);
    putInt(state + CpuState.X87_DS, wide ? 0 : (int) (dp >>> 32) & 0xffff);
    for (int n = 0; n < 8; n++) {
      long from = at + REGISTERS + 16L * n;
      int exponent = cpu.load16(from + 8) & 0xffff;
      X87Stack.set(cpu, X87Stack.physical(cpu, n), cpu.load64(from), exponent);
    }
  }

  private static void initializeX87(Cpu cpu) {
    X87Control.initialize(cpu);
    for (int r = 0; r < 8; r++) {
      X87Stack.set(cpu, r, 0, 0);
    }
  }

  private static boolean usesX87(Cpu cpu) {
    long state = cpu.state;
    long used =
        X87Stack.control(cpu) ^ Extended.INITIAL_CONTROL
            | X87Stack.status(cpu)
            | getInt(state + CpuState.X87_TAGS)
            | getInt(state + CpuState.X87_OPCODE)
            | getLong(state + CpuState.X87_IP)
            | getLong(state + CpuState.X87_DP);
    for (int r = 0; r < 8; r++) {
      used |= X87Stack.significand(cpu, r) | X87Stack.exponent(cpu, r);
    }
    return used != 0;
  }

  private static void saveMxcsr(Cpu cpu, long at) {
    cpu.store32(at + MXCSR, cpu.mxcsr());
    cpu.store32(at + MXCSR_MASK, XsaveLayout.MXCSR_MASK);
  }

  private static int xmmRegisters(Instruction i) {
    return i.mode == 64 ? 16 : 8;
  }

  private static void saveXmm(Cpu cpu, Instruction i, long at) {
    int count = xmmRegisters(i);
    for (int n = 0; n < count; n++) {
      cpu.store64(at + XMM + 16L * n, cpu.xmm(n, 0));
      cpu.store64(at + XMM + 16L * n + 8, cpu.xmm(n, 1));
    }
  }

  private static void restoreXmm(Cpu cpu, Instruction i, long at) {
    int count = xmmRegisters(i);
    for (int n = 0; n < count; n++) {
      cpu.setXmm(n, 0, cpu.load64(at + XMM + 16L * n));
      cpu.setXmm(n, 1, cpu.load64(at + XMM + 16L * n + 8));
    }
  }

  private static void initializeXmm(Cpu cpu, Instruction i) {
    int count = xmmRegisters(i);
    for (int n = 0; n < count; n++) {
      cpu.setXmm(n, 0, 0);
      cpu.setXmm(n, 1, 0);
    }
  }

  private static boolean usesSse(Cpu cpu, Instruction i) {
    int count = xmmRegisters(i);
    long used = cpu.mxcsr() ^ XsaveLayout.MXCSR_INITIAL;
    for (int n = 0; n < count; n++) {
      used |= cpu.xmm(n, 0) | cpu.xmm(n, 1);
    }
    return used != 0;
  }

  /** Host address of half {@code half} of the upper 16 bytes of YMM register {@code n}. */
  private static long ymm(Cpu cpu, int n, int half) {
    return cpu.state + CpuState.VECTORS + (long) n * CpuState.VECTOR_SIZE + 16 + 8L * half;
  }

  private static void saveYmm(Cpu cpu, Instruction i, long at) {
    int count = xmmRegisters(i);
    for (int n = 0; n < count; n++) {
      cpu.store64(at + 16L * n, getLong(ymm(cpu, n, 0)));
      cpu.store64(at + 16L * n + 8, getLong(ymm(cpu, n, 1)));
    }
  }

  private static void restoreYmm(Cpu cpu, Instruction i, long at) {
    int count = xmmRegisters(i);
    for (int n = 0; n < count; n++) {
      putLong(ymm(cpu, n, 0), cpu.load64(at + 16L * n));
      putLong(ymm(cpu, n, 1), cpu.load64(at + 16L * n + 8));
    }
  }

  private static void initializeYmm(Cpu cpu, Instruction i) {
    int count = xmmRegisters(i);
    for (int n = 0; n < count; n++) {
      putLong(ymm(cpu, n, 0), 0);
      putLong(ymm(cpu, n, 1), 0);
    }
  }

  private static boolean usesAvx(Cpu cpu, Instruction i) {
    int count = xmmRegisters(i);
    long used = 0;
    for (int n = 0; n < count; n++) {
      used |= getLong(ymm(cpu, n, 0)) | getLong(ymm(cpu, n, 1));
    }
    return used != 0;
  }

  /**
   * Components that are not in their initial state: XINUSE, and what XGETBV with ECX 1 reports of
   * those enabled in XCR0.
   */
  static int inUse(Cpu cpu, Instruction i) {
    return (usesX87(cpu) ? X87 : 0)
        | (usesSse(cpu, i) ? SSE : 0)
        | (usesAvx(cpu, i) ? AVX : 0)
        | (getInt(cpu.state + CpuState.PKRU) != 0 ? KEYS : 0);
  }

  // XSAVE and its kin.

  private static void requireXsave(Cpu cpu) {
    if ((getLong(cpu.state + CpuState.CR4) & CR4_OSXSAVE) == 0) {
      throw cpu.raise(GuestFault.UD);
    }
    if ((getLong(cpu.state + CpuState.CR0) & CR0_TS) != 0) {
      throw cpu.raise(GuestFault.NM);
    }
  }

  /** The components asked for in EDX:EAX. */
  static long mask(Cpu cpu) {
    return cpu.gpr(CpuState.RDX) << 32 | cpu.gpr(CpuState.RAX) & 0xffff_ffffL;
  }

  /** Those of them that XCR0 enables. */
  private static int requested(Cpu cpu) {
    return (int) (mask(cpu) & getLong(cpu.state + CpuState.XCR0));
  }

  /** XSAVE; with {@code optimized} components in their initial state are not written. */
  private static void xsave(Cpu cpu, Instruction i, boolean optimized) {
    requireXsave(cpu);
    int requested = requested(cpu);
    int size = XsaveLayout.standardSize(requested);
    long at = aligned(cpu, i, size, 64);
    cpu.probeStore(at, size);
    int used = inUse(cpu, i) & requested;
    int written = optimized ? used : requested;
    long components = cpu.load64(at + XSTATE_BV);
    if ((written & X87) != 0) {
      saveX87(cpu, i, at);
    }
    if ((requested & (SSE | AVX)) != 0) {
      saveMxcsr(cpu, at);
    }
    if ((written & SSE) != 0) {
      saveXmm(cpu, i, at);
    }
    if ((written & AVX) != 0) {
      saveYmm(cpu, i, at + AVX_OFFSET);
    }
    if ((written & KEYS) != 0) {
      saveKeys(cpu, at + KEYS_OFFSET);
    }
    cpu.store64(at + XSTATE_BV, components & ~(long) requested | used);
  }

  private static void xsaveCompacted(Cpu cpu, Instruction i) {
    saveCompacted(cpu, i, requested(cpu), inUse(cpu, i));
  }

  /**
   * Saves components in the compacted format but for the supervisor's, for which it leaves room;
   * the area's address.
   *
   * @param used components that are not in their initial state
   */
  static long saveCompacted(Cpu cpu, Instruction i, int requested, int used) {
    requireXsave(cpu);
    int size = XsaveLayout.compactedSize(requested);
    long at = aligned(cpu, i, size, 64);
    cpu.probeStore(at, size);
    int written = used & requested;
    if ((written & X87) != 0) {
      saveX87(cpu, i, at);
    }
    if ((written & SSE) != 0) {
      saveMxcsr(cpu, at);
      saveXmm(cpu, i, at);
    }
    if ((written & AVX) != 0) {
      saveYmm(cpu, i, at + FIXED_SIZE);
    }
    if ((written & KEYS) != 0) {
      saveKeys(cpu, at + XsaveLayout.compactedKeys(requested));
    }
    cpu.store64(at + XSTATE_BV, written);
    cpu.store64(at + XCOMP_BV, COMPACTED | requested);
    return at;
  }

  private static void saveKeys(Cpu cpu, long at) {
    cpu.store64(at, getInt(cpu.state + CpuState.PKRU) & 0xffff_ffffL);
  }

  private static void xrstor(Cpu cpu, Instruction i) {
    restoreFrom(cpu, i, area(cpu, i), requested(cpu), getLong(cpu.state + CpuState.XCR0));
  }

  /** The address of XRSTOR's operand, whose header can be read. */
  static long area(Cpu cpu, Instruction i) {
    requireXsave(cpu);
    long at = aligned(cpu, i, FIXED_SIZE, 64);
    touch(cpu, at, FIXED_SIZE);
    return at;
  }

  static long present(Cpu cpu, long at) {
    return cpu.load64(at + XSTATE_BV);
  }

  static long format(Cpu cpu, long at) {
    return cpu.load64(at + XCOMP_BV);
  }

  /** Loads components from the area at {@code at} but for the supervisor's. */
  static void restoreFrom(Cpu cpu, Instruction i, long at, int requested, long enabled) {
    long present = present(cpu, at);
    long format = format(cpu, at);
    boolean compacted = format < 0;
    long allowed = compacted ? format & ~COMPACTED : enabled;
    boolean bad =
        (allowed & ~enabled) != 0 || (present & ~allowed) != 0 || !compacted && format != 0;
    for (int n = 16; n < (compacted ? 64 : 24); n += 8) {
      bad |= cpu.load64(at + LEGACY_SIZE + n) != 0;
    }
    if (bad) {
      throw cpu.raise(GuestFault.GP, 0);
    }
    int loaded = (int) present & requested;
    boolean loadsMxcsr = compacted ? (loaded & SSE) != 0 : (requested & (SSE | AVX)) != 0;
    int mxcsr = loadsMxcsr ? loadMxcsr(cpu, at) : XsaveLayout.MXCSR_INITIAL;
    if ((loaded & AVX) != 0) {
      touch(cpu, at + AVX_OFFSET, AVX_SIZE);
    }
    int keys = 0;
    if ((loaded & KEYS) != 0) {
      keys = cpu.load32(at + (compacted ? XsaveLayout.compactedKeys(format) : KEYS_OFFSET));
    }
    restore(cpu, i, at, requested, loaded);
    if (loadsMxcsr || (requested & SSE) != 0) {
      cpu.setMxcsr(mxcsr);
    }
    if ((requested & KEYS) != 0) {
      // The last: the area itself is read with the rights there were.
      cpu.setUserKeys(keys);
    }
  }

  /**
   * Loads or initializes each requested component; those below AVX have the same place in both
   * formats.
   */
  private static void restore(Cpu cpu, Instruction i, long at, int requested, int loaded) {
    if ((loaded & X87) != 0) {
      restoreX87(cpu, i, at);
    } else if ((requested & X87) != 0) {
      initializeX87(cpu);
    }
    if ((loaded & SSE) != 0) {
      restoreXmm(cpu, i, at);
    } else if ((requested & SSE) != 0) {
      initializeXmm(cpu, i);
    }
    if ((loaded & AVX) != 0) {
      restoreYmm(cpu, i, at + AVX_OFFSET);
    } else if ((requested & AVX) != 0) {
      initializeYmm(cpu, i);
    }
  }
}
