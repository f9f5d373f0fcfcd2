package dev.bothy.x86.interpret;

import static dev.bothy.host.RawMemory.getInt;
import static dev.bothy.host.RawMemory.getLong;
import static dev.bothy.host.RawMemory.putInt;
import static dev.bothy.host.RawMemory.putLong;
import static dev.bothy.host.RawMemory.putShort;

import dev.bothy.core.Engine;
import dev.bothy.core.LocalInterruptController;
import dev.bothy.core.cpu.CpuState;
import dev.bothy.x86.decode.Instruction;

/**
 * Flags, the mode the processor is in, segments and the stack. Follows AMD64 APM volume 2, chapter
 * 4.
 *
 * <p>Arithmetic flags are kept lazily in two words: {@link #flagResult}, the sign-extended result,
 * and {@link #flagAux}: bit 63 CF, bit 62 CF xor OF, bit 3 AF, bit 0 turns SF over, bits 8 to 15
 * are xored into the result's low byte for PF.
 */
abstract class SegmentingCpu extends PagingCpu {
  /** PAUSE instructions for each that lets others run. */
  private static final int PAUSES = 15;

  private static final int AVX_STATE = XsaveLayout.SSE | XsaveLayout.AVX;

  long flagResult = 1;
  long flagAux;

  /** RFLAGS but for the arithmetic flags; bit 1 is always set. */
  int systemFlags = 2;

  /** Code size in bits: 16, 32 or 64. */
  int codeBits = 16;

  /** CR0.PE. */
  boolean protectedMode;

  /** Stack pointer bits: 0xffff, 0xffffffff or all. */
  long stackMask = 0xffff;

  /**
   * Part of a block's key: code size, stack size, whether DS, ES and SS are flat, and what {@link
   * ControlFlow} enforces.
   */
  int blockMode;

  /** CR4.CET, and U_CET or S_CET says what is enforced. */
  private boolean enforces;

  SegmentingCpu(
      CpuState cpuState,
      Engine.Environment machine,
      LocalInterruptController apic,
      CodeMap codeMap) {
    super(cpuState, machine, apic, codeMap);
  }

  // Flags.

  final boolean cf() {
    return flagAux < 0;
  }

  final boolean of() {
    return (flagAux ^ flagAux << 1) < 0;
  }

  final boolean zf() {
    return flagResult == 0;
  }

  final boolean sf() {
    return (flagResult ^ flagAux << 63) < 0;
  }

  final boolean pf() {
    return (Integer.bitCount((int) (flagResult ^ flagAux >>> 8) & 0xff) & 1) == 0;
  }

  /** SF != OF. */
  final boolean less() {
    return (flagResult ^ flagAux << 63 ^ flagAux ^ flagAux << 1) < 0;
  }

  @Override
  final int arithmeticFlags() {
    return (cf() ? Bits.CF : 0)
        | (pf() ? Bits.PF : 0)
        | ((flagAux & 8) != 0 ? Bits.AF : 0)
        | (zf() ? Bits.ZF : 0)
        | (sf() ? Bits.SF : 0)
        | (of() ? Bits.OF : 0);
  }

  @Override
  final void setArithmeticFlags(int f) {
    boolean zero = (f & Bits.ZF) != 0;
    boolean parity = (f & Bits.PF) != 0;
    long carry = f & 1;
    long overflow = f >>> 11 & 1;
    flagResult = zero ? 0 : 1;
    flagAux =
        carry << 63
            | (carry ^ overflow) << 62
            | ((f & Bits.AF) != 0 ? 8 : 0)
            | (f >>> 7 & 1)
            | (zero == parity ? 0 : 0x100);
  }

  final void setCarry(boolean carry) {
    // OF is the difference of bits 63 and 62: both turn over with CF.
    if (carry != cf()) {
      flagAux ^= 0xc000_0000_0000_0000L;
    }
  }

  final int rflags() {
    return systemFlags | arithmeticFlags();
  }

  /** Loads all flags at once, without any privilege rule. */
  final void setRflags(int value) {
    setArithmeticFlags(value);
    int old = systemFlags;
    systemFlags = value & ~Bits.ARITHMETIC & 0x3f_7fd7 | 2;
    systemFlagsChanged(old);
  }

  final void setSystemFlag(int mask, boolean on) {
    int old = systemFlags;
    systemFlags = on ? old | mask : old & ~mask;
    systemFlagsChanged(old);
  }

  /** Reacts to IF, TF, AC changing. */
  final void systemFlagsChanged(int old) {
    int changed = old ^ systemFlags;
    if ((changed & Bits.AC) != 0) {
      selectTable();
    }
    if ((changed & (Bits.IF | Bits.TF)) != 0) {
      requestAttention();
    }
  }

  /** Something that is looked at only with attention set may have changed. */
  abstract void requestAttention();

  @Override
  final boolean alignmentFlag() {
    return (systemFlags & Bits.AC) != 0;
  }

  final int iopl() {
    return systemFlags >>> 12 & 3;
  }

  /** Condition code 0 to 15 as in Jcc. */
  final boolean condition(int code) {
    boolean value =
        switch (code >> 1 & 7) {
          case 0 -> of();
          case 1 -> cf();
          case 2 -> zf();
          case 3 -> cf() || zf();
          case 4 -> sf();
          case 5 -> pf();
          case 6 -> less();
          default -> less() || zf();
        };
    return value ^ (code & 1) != 0;
  }

  // What x87, MMX and SSE instructions ask first.

  @Override
  final void requireSse() {
    long cr0 = getLong(state + CpuState.CR0);
    if ((cr0 & Bits.CR0_EM) != 0 || (getLong(state + CpuState.CR4) & Bits.CR4_OSFXSR) == 0) {
      throw raise(GuestFault.UD);
    }
    if ((cr0 & Bits.CR0_TS) != 0) {
      throw raise(GuestFault.NM);
    }
  }

  @Override
  final void requireAvx() {
    if ((getLong(state + CpuState.CR4) & Bits.CR4_OSXSAVE) == 0
        || (getLong(state + CpuState.XCR0) & AVX_STATE) != AVX_STATE
        || !usesDescriptors()) {
      throw raise(GuestFault.UD);
    }
    if ((getLong(state + CpuState.CR0) & Bits.CR0_TS) != 0) {
      throw raise(GuestFault.NM);
    }
  }

  @Override
  final void requireX87() {
    requireX87Quietly();
    checkX87Error();
  }

  /** The part of {@link #requireX87} that non-waiting instructions share. */
  @Override
  final void requireX87Quietly() {
    if ((getLong(state + CpuState.CR0) & (Bits.CR0_EM | Bits.CR0_TS)) != 0) {
      throw raise(GuestFault.NM);
    }
  }

  private void checkX87Error() {
    if ((getInt(state + CpuState.X87_STATUS) & 0x80) != 0) {
      // With CR0.NE clear it would go out as FERR# and come back as IRQ 13 on real boards; this
      // board has no such wire.
      throw raise(GuestFault.MF);
    }
  }

  @Override
  final void requireMmx() {
    long cr0 = getLong(state + CpuState.CR0);
    if ((cr0 & Bits.CR0_EM) != 0) {
      throw raise(GuestFault.UD);
    }
    if ((cr0 & Bits.CR0_TS) != 0) {
      throw raise(GuestFault.NM);
    }
    checkX87Error();
  }

  @Override
  final boolean simdExceptionsEnabled() {
    return (getLong(state + CpuState.CR4) & Bits.CR4_OSXMMEXCPT) != 0;
  }

  @Override
  final boolean nativeX87Errors() {
    return (getLong(state + CpuState.CR0) & Bits.CR0_NE) != 0;
  }

  // Segments.

  final long segmentBase(int segment) {
    return getLong(state + CpuState.segment(segment, CpuState.SEGMENT_BASE));
  }

  final int segmentLimit(int segment) {
    return getInt(state + CpuState.segment(segment, CpuState.SEGMENT_LIMIT));
  }

  final int segmentSelector(int segment) {
    return getInt(state + CpuState.segment(segment, CpuState.SEGMENT_SELECTOR));
  }

  final int segmentAttributes(int segment) {
    return getInt(state + CpuState.segment(segment, CpuState.SEGMENT_ATTRIBUTES));
  }

  final void setSegment(int segment, int selector, long base, int limit, int attributes) {
    long at = state + CpuState.segment(segment, 0);
    putLong(at + CpuState.SEGMENT_BASE, base);
    putInt(at + CpuState.SEGMENT_LIMIT, limit);
    putInt(at + CpuState.SEGMENT_SELECTOR, selector);
    putInt(at + CpuState.SEGMENT_ATTRIBUTES, attributes);
  }

  final boolean virtual8086() {
    return (systemFlags & Bits.VM) != 0;
  }

  /** In protected mode proper: selectors are selectors. */
  final boolean usesDescriptors() {
    return protectedMode && !virtual8086();
  }

  /** Recomputes what follows from CS, SS, CR0 and EFER.LMA. */
  final void updateMode() {
    protectedMode = (getLong(state + CpuState.CR0) & Bits.CR0_PE) != 0;
    int cs = segmentAttributes(CpuState.CS);
    if (longMode && (cs & Descriptor.LONG) != 0) {
      codeBits = 64;
      stackMask = -1;
    } else {
      codeBits = (cs & Descriptor.BIG) != 0 ? 32 : 16;
      stackMask = (segmentAttributes(CpuState.SS) & Descriptor.BIG) != 0 ? 0xffff_ffffL : 0xffff;
    }
    int size = codeBits == 64 ? 2 : codeBits == 32 ? 1 : 0;
    boolean flat =
        codeBits == 64
            || codeBits == 32 && flat(CpuState.DS) && flat(CpuState.ES) && flat(CpuState.SS);
    blockMode = size | (stackMask == 0xffff ? 4 : 0) | (flat ? 8 : 0);
    if (enforces) {
      updateControlFlow();
    }
  }

  /** True while anything is enforced at some level. */
  final boolean enforces() {
    return enforces;
  }

  /**
   * True if a bit of U_CET or S_CET is set for {@code cpl} and in force; of virtual-8086 mode, if
   * it will be where {@code cpl} is, which is another mode.
   */
  final boolean enforces(int cpl, long bits) {
    return enforces
        && protectedMode
        && !(cpl == 3 && virtual8086())
        && (getLong(state + ControlFlow.register(cpl)) & bits) != 0;
  }

  /** Takes over CR4.CET, U_CET and S_CET after any of them changed. */
  final void updateEnforcement() {
    long controls = getLong(state + CpuState.U_CET) | getLong(state + CpuState.S_CET);
    enforces =
        (getLong(state + CpuState.CR4) & Bits.CR4_CET) != 0
            && (controls & (ControlFlow.SHADOW_STACK | ControlFlow.TRACKING)) != 0;
    updateControlFlow();
  }

  /** The same for CPL, and for what has become of the last indirect branch. */
  final void updateControlFlow() {
    blockMode &= 15;
    if (enforces && usesDescriptors()) {
      blockMode |= ControlFlow.mode(getLong(state + ControlFlow.register(cpl)));
    }
  }

  private boolean flat(int segment) {
    return segmentBase(segment) == 0 && flatButForBase(segment);
  }

  /** A data segment of 4 GiB that may be read and written, wherever it starts. */
  final boolean flatButForBase(int segment) {
    int attributes = segmentAttributes(segment);
    return segmentLimit(segment) == -1
        && (attributes
                & (Descriptor.PRESENT
                    | Descriptor.CODE_DATA
                    | Descriptor.CODE
                    | Descriptor.EXPAND_DOWN
                    | Descriptor.WRITABLE))
            == (Descriptor.PRESENT | Descriptor.CODE_DATA | Descriptor.WRITABLE);
  }

  /**
   * Offset part of the memory operand, address size applied. {@code ripEnd} is where the next
   * instruction starts.
   */
  final long offset(Instruction i) {
    long offset = i.displacement;
    if (i.base == Instruction.RIP_BASE) {
      offset += nextRip(i);
    } else if (i.base >= 0) {
      offset += gpr(i.base);
    }
    if (i.index >= 0) {
      offset += gpr(i.index) << i.scale;
    }
    return switch (i.addressSize) {
      case 2 -> offset & 0xffff;
      case 4 -> offset & 0xffff_ffffL;
      default -> offset;
    };
  }

  /** RIP behind the instruction being executed. */
  abstract long nextRip(Instruction i);

  @Override
  final long linear(Instruction i, int size) {
    return linear(i.segment, offset(i), size, MemoryWriters.writes(i));
  }

  @Override
  final long linear(int segment, long offset, int size, boolean write) {
    if (codeBits == 64) {
      long linear = segment >= CpuState.FS ? offset + segmentBase(segment) : offset;
      // AMD's processors want the offset canonical, too, even where the sum is.
      if (!canonical(linear) || !canonical(offset)) {
        throw raise(segment == CpuState.SS ? GuestFault.SS : GuestFault.GP, 0);
      }
      return linear;
    }
    checkSegment(segment, offset, size, write);
    return offset + segmentBase(segment) & 0xffff_ffffL;
  }

  private void checkSegment(int segment, long offset, int size, boolean write) {
    int attributes = segmentAttributes(segment);
    long limit = segmentLimit(segment) & 0xffff_ffffL;
    boolean bad;
    if (usesDescriptors()) {
      if ((attributes & Descriptor.PRESENT) == 0) {
        throw raise(segment == CpuState.SS ? GuestFault.SS : GuestFault.GP, 0);
      }
      boolean code = (attributes & Descriptor.CODE) != 0;
      boolean readWrite = (attributes & Descriptor.WRITABLE) != 0;
      if (write ? code || !readWrite : code && !readWrite) {
        throw raise(segment == CpuState.SS ? GuestFault.SS : GuestFault.GP, 0);
      }
    }
    long last = offset + Math.max(size, 1) - 1;
    if ((attributes & (Descriptor.CODE | Descriptor.EXPAND_DOWN)) == Descriptor.EXPAND_DOWN) {
      long top = (attributes & Descriptor.BIG) != 0 ? 0xffff_ffffL : 0xffff;
      bad = offset <= limit || last > top;
    } else {
      bad = last > limit;
    }
    if (bad) {
      throw raise(segment == CpuState.SS ? GuestFault.SS : GuestFault.GP, 0);
    }
  }

  @Override
  final GuestFault raiseNonCanonical() {
    GuestFault f = raise(GuestFault.GP, 0);
    f.nonCanonical = true;
    return f;
  }

  // Stack.

  final long rsp() {
    return getLong(state + CpuState.GPR + 8L * CpuState.RSP);
  }

  final void setRsp(long value) {
    long at = state + CpuState.GPR + 8L * CpuState.RSP;
    if (stackMask == -1) {
      putLong(at, value);
    } else if (stackMask == 0xffff) {
      putShort(at, (short) value);
    } else {
      putLong(at, value & 0xffff_ffffL);
    }
  }

  /** Linear address of stack offset {@code sp}, checked. */
  final long stackLinear(long sp, int size, boolean write) {
    return linear(CpuState.SS, sp & stackMask, size, write);
  }

  final void push(int size, long value) {
    long sp = rsp() - size;
    storeSized(stackLinear(sp, size, true), size, value);
    setRsp(sp);
  }

  final long pop(int size) {
    long value = loadSized(stackLinear(rsp(), size, false), size);
    setRsp(rsp() + size);
    return value;
  }

  /** The value {@code depth} bytes up the stack. */
  final long peek(int size, int depth) {
    return loadSized(stackLinear(rsp() + depth, size, false), size);
  }

  /** Zero-extended. */
  final long loadSized(long linear, int size) {
    return switch (size) {
      case 1 -> load8(linear);
      case 2 -> load16(linear);
      case 4 -> load32(linear) & 0xffff_ffffL;
      default -> load64(linear);
    };
  }

  final void storeSized(long linear, int size, long value) {
    switch (size) {
      case 1 -> store8(linear, (int) value);
      case 2 -> store16(linear, (int) value);
      case 4 -> store32(linear, (int) value);
      default -> store64(linear, value);
    }
  }

  // Descriptors.

  /**
   * Linear address of the descriptor of {@code selector}, {@code bytes} of it inside the table;
   * else {@code vector}.
   */
  final long descriptorAddress(int selector, int bytes, int vector) {
    long base;
    long limit;
    if ((selector & 4) != 0) {
      if ((segmentAttributes(CpuState.LDTR) & Descriptor.PRESENT) == 0) {
        throw raise(vector, selector & 0xfffc);
      }
      base = segmentBase(CpuState.LDTR);
      limit = segmentLimit(CpuState.LDTR) & 0xffff_ffffL;
    } else {
      base = getLong(state + CpuState.GDTR_BASE);
      limit = getInt(state + CpuState.GDTR_LIMIT) & 0xffffL;
    }
    int index = selector & 0xfff8;
    if (index + bytes - 1 > limit) {
      throw raise(vector, selector & 0xfffc);
    }
    return longMode ? base + index : base + index & 0xffff_ffffL;
  }

  final long readDescriptor(int selector, int vector) {
    return loadSystem(descriptorAddress(selector, 8, vector), 8);
  }

  /** Sets the accessed bit of a code or data descriptor in its table. */
  final void setAccessed(int selector, long descriptor) {
    if ((descriptor & Descriptor.ACCESSED_IN_TABLE) == 0) {
      storeSystem(
          descriptorAddress(selector, 8, GuestFault.GP) + 5, 1, descriptor >>> 40 & 0xff | 1);
    }
  }

  final void loadFromDescriptor(int segment, int selector, long descriptor) {
    setSegment(
        segment,
        selector,
        Descriptor.base(descriptor),
        Descriptor.limit(descriptor),
        Descriptor.attributes(descriptor) | Descriptor.ACCESSED);
  }

  /** MOV/POP/LxS to ES, SS, DS, FS or GS. */
  final void loadSegmentRegister(int segment, int selector) {
    selector &= 0xffff;
    if (!usesDescriptors()) {
      long at = state + CpuState.segment(segment, 0);
      putLong(at + CpuState.SEGMENT_BASE, (long) selector << 4);
      putInt(at + CpuState.SEGMENT_SELECTOR, selector);
      if (virtual8086()) {
        putInt(at + CpuState.SEGMENT_LIMIT, 0xffff);
        putInt(at + CpuState.SEGMENT_ATTRIBUTES, 0xf3);
      }
      updateMode();
      return;
    }
    if ((selector & 0xfffc) == 0) {
      if (segment == CpuState.SS && (codeBits != 64 || cpl == 3 || (selector & 3) != cpl)) {
        throw raise(GuestFault.GP, 0);
      }
      loadNull(segment, selector);
      updateMode();
      return;
    }
    loadSegment(
        segment, selector, SegmentChecks.stackOrData(this, segment, selector, GuestFault.GP, 0));
  }

  /** A segment register gets a descriptor that has been checked. */
  final void loadSegment(int segment, int selector, long descriptor) {
    setAccessed(selector, descriptor);
    loadFromDescriptor(segment, selector, descriptor);
    updateMode();
  }

  /**
   * A null selector: unusable. AMD processors clear base and limit of all but FS and GS in 64-bit
   * mode.
   */
  final void loadNull(int segment, int selector) {
    long at = state + CpuState.segment(segment, 0);
    putInt(at + CpuState.SEGMENT_SELECTOR, selector);
    putInt(at + CpuState.SEGMENT_ATTRIBUTES, segment == CpuState.SS ? cpl << 5 : 0);
    putLong(at + CpuState.SEGMENT_BASE, 0);
    putInt(at + CpuState.SEGMENT_LIMIT, 0);
  }

  /** PAUSE: whom the guest waits for may need this host processor. */
  void pause() {
    int left = getInt(state + EngineArea.PAUSES) - 1;
    if (left < 0) {
      putInt(state + EngineArea.PAUSES, PAUSES);
      Thread.yield();
    } else {
      putInt(state + EngineArea.PAUSES, left);
      Thread.onSpinWait();
    }
  }
}
