package dev.bothy.x86.interpret;

import static dev.bothy.host.RawMemory.getInt;
import static dev.bothy.host.RawMemory.getLong;
import static dev.bothy.host.RawMemory.putInt;
import static dev.bothy.host.RawMemory.putLong;

import dev.bothy.core.cpu.CpuState;
import dev.bothy.x86.decode.Instruction;
import dev.bothy.x86.fpu.Extended;
import dev.bothy.x86.simd.FloatEnvironment;

/**
 * What the semantics of instructions see of their processor: registers, flags, memory through
 * segmentation and paging, and faults. Belongs to the vCPU's thread.
 *
 * <p>A fault leaves the instruction by a {@link GuestFault}; the architectural state must then be
 * as before the instruction, so semantics read and probe everything that can fault before they
 * change anything.
 */
public abstract class Cpu {
  /** Host address of the {@link CpuState}. */
  final long state;

  final GuestFault fault = new GuestFault();

  /** Operand from memory and result of the running x87 instruction. */
  final Extended x87Operand = new Extended();

  final Extended x87 = new Extended();

  /** Rounding and exceptions of the SSE instruction at hand. */
  final FloatEnvironment floats = new FloatEnvironment();

  /** Where pure functions leave 128-bit results. */
  final long[] vector = new long[2];

  /** Operands and result of the AVX instruction at hand: four longs each, the lowest first. */
  final long[] vectorA = new long[4];

  final long[] vectorB = new long[4];
  final long[] vectorC = new long[4];
  final long[] vectorResult = new long[4];

  Cpu(long state) {
    this.state = state;
  }

  // Registers.

  /** Loads PKRU. */
  void setUserKeys(int value) {
    putInt(state + CpuState.PKRU, value);
  }

  final long gpr(int index) {
    return getLong(state + CpuState.GPR + 8L * index);
  }

  final void setGpr(int index, long value) {
    putLong(state + CpuState.GPR + 8L * index, value);
  }

  /** Writes the low 32 bits and clears the rest. */
  final void setGpr32(int index, int value) {
    putLong(state + CpuState.GPR + 8L * index, value & 0xffff_ffffL);
  }

  /** Eight bytes of a vector register: {@code half} 0 and 1 are XMM's, 2 and 3 the rest of YMM. */
  final long xmm(int register, int half) {
    return getLong(state + CpuState.VECTORS + (long) register * CpuState.VECTOR_SIZE + 8L * half);
  }

  final void setXmm(int register, int half, long value) {
    putLong(state + CpuState.VECTORS + (long) register * CpuState.VECTOR_SIZE + 8L * half, value);
  }

  final int mxcsr() {
    return getInt(state + CpuState.MXCSR);
  }

  final void setMxcsr(int value) {
    putInt(state + CpuState.MXCSR, value);
  }

  /**
   * Sets CF PF AF ZF SF OF from their RFLAGS positions; the other bits of {@code rflags} are
   * ignored.
   */
  abstract void setArithmeticFlags(int rflags);

  /** CF PF AF ZF SF OF at their RFLAGS positions. */
  abstract int arithmeticFlags();

  // Memory. Linear addresses; faults are raised as the paging mode and CPL say.

  /**
   * Linear address of the memory operand for an access of {@code size} bytes, with segment base
   * added and limit, type and canonical form checked (#GP(0), #SS(0)).
   */
  abstract long linear(Instruction instruction, int size);

  /**
   * The same of {@code offset} in {@code segment}.
   *
   * @param write it is to be written to, too
   */
  abstract long linear(int segment, long offset, int size, boolean write);

  /** Offset part of the memory operand, address size applied. */
  abstract long offset(Instruction instruction);

  /** RIP behind the instruction being executed. */
  abstract long nextRip(Instruction instruction);

  /**
   * In protected or long mode, where segment registers hold selectors; false in real and
   * virtual-8086 mode.
   */
  abstract boolean usesDescriptors();

  abstract int load8(long linear);

  abstract int load16(long linear);

  abstract int load32(long linear);

  abstract long load64(long linear);

  abstract void store8(long linear, int value);

  abstract void store16(long linear, int value);

  abstract void store32(long linear, int value);

  abstract void store64(long linear, long value);

  /** Raises now whatever a store of {@code size} bytes (at most 4096) would raise. */
  abstract void probeStore(long linear, int size);

  /** Stores 16 bytes, all or (on a fault) none. */
  final void store128(long linear, long low, long high) {
    probeStore(linear, 16);
    store64(linear, low);
    store64(linear + 8, high);
  }

  // Faults. Used as "throw cpu.raise(...)".

  /** An exception without error code. */
  final GuestFault raise(int vector) {
    return raise(vector, 0);
  }

  final GuestFault raise(int vector, int errorCode) {
    fault.vector = vector;
    fault.errorCode = errorCode;
    fault.nonCanonical = false;
    fault.ofNextTask = false;
    return fault;
  }

  /**
   * #UD or #NM if the present CR0 and CR4 forbid SSE instructions (EM, OSFXSR, TS). Called before
   * every SSE instruction.
   */
  abstract void requireSse();

  /**
   * #UD outside protected mode and unless CR4.OSXSAVE and XCR0 enable AVX, #NM with CR0.TS. Called
   * before every AVX instruction.
   */
  abstract void requireAvx();

  /**
   * #NM (EM or TS), then #MF if an unmasked x87 exception is pending: the start of every waiting
   * x87 instruction.
   */
  abstract void requireX87();

  /**
   * The #NM part of {@link #requireX87}: the start of instructions that do not wait (FNINIT,
   * FNSTSW...).
   */
  abstract void requireX87Quietly();

  /** #UD (EM), #NM (TS), then #MF if pending: the start of every MMX instruction. */
  abstract void requireMmx();

  /** CR4.OSXMMEXCPT: an unmasked SIMD exception raises #XM if true, #UD if not. */
  abstract boolean simdExceptionsEnabled();

  /** FERR#: CR0.NE clear sends unmasked x87 exceptions to IRQ 13 instead of #MF. */
  abstract boolean nativeX87Errors();
}
