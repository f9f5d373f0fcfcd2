package dev.bothy.core.cpu;

import static dev.bothy.host.RawMemory.getByte;
import static dev.bothy.host.RawMemory.getInt;
import static dev.bothy.host.RawMemory.getLong;
import static dev.bothy.host.RawMemory.putByte;
import static dev.bothy.host.RawMemory.putInt;
import static dev.bothy.host.RawMemory.putLong;

import dev.bothy.core.state.StateException;
import dev.bothy.core.state.StateReader;
import dev.bothy.core.state.StateWriter;
import dev.bothy.host.HostMemory;

/**
 * The architectural state of one vCPU, off-heap, so that Java, generated code and KVM marshalling
 * work on the same bytes. The constants are byte offsets from {@link #address()}. Bytes from {@link
 * #PORTABLE_SIZE} on belong to the engine (TLB, jump cache) and are neither saved nor handed to
 * another engine.
 *
 * <p>Owned by the vCPU's thread, but for {@link #ATTENTION}. The constants follow AMD64 APM volume
 * 2, chapters 1 to 4.
 */
public final class CpuState implements AutoCloseable {
  /** Sixteen general registers, RAX RCX RDX RBX RSP RBP RSI RDI R8 to R15, 8 bytes each. */
  public static final int GPR = 0x000;

  public static final int RAX = 0;
  public static final int RCX = 1;
  public static final int RDX = 2;
  public static final int RBX = 3;
  public static final int RSP = 4;
  public static final int RBP = 5;
  public static final int RSI = 6;
  public static final int RDI = 7;

  public static final int RIP = 0x080;

  /**
   * All of RFLAGS, current while the vCPU does not run; engines may keep the arithmetic flags
   * elsewhere meanwhile.
   */
  public static final int RFLAGS = 0x088;

  /** Eight bytes that are always zero: the absent base, index or segment of an address. */
  public static final int ZERO = 0x090;

  /** Bits of the attention word, set by any thread, see {@link #ATTENTION}. 4 bytes. */
  public static final int ATTENTION = 0x098;

  /** 1: MWAIT/HLT state; 2: waiting for start-up IPI; 3: shut down; 0: running. 4 bytes. */
  public static final int ACTIVITY = 0x09c;

  public static final int ACTIVITY_RUNNING = 0;
  public static final int ACTIVITY_HALTED = 1;
  public static final int ACTIVITY_WAIT_STARTUP = 2;
  public static final int ACTIVITY_SHUTDOWN = 3;

  /** ES CS SS DS FS GS, then LDTR, TR: {@link #SEGMENT_SIZE} bytes each. */
  public static final int SEGMENTS = 0x0a0;

  public static final int SEGMENT_SIZE = 24;

  /** In a segment: linear base, 8 bytes. */
  public static final int SEGMENT_BASE = 0;

  /** In a segment: limit in bytes, granularity applied, 4 bytes. */
  public static final int SEGMENT_LIMIT = 8;

  /** In a segment: selector, 4 bytes. */
  public static final int SEGMENT_SELECTOR = 12;

  /**
   * In a segment: attributes, 4 bytes, as descriptor bits 40 to 55: type 0-3, S 4, DPL 5-6, P 7,
   * AVL 12, L 13, D/B 14, G 15. An unusable (null) segment has P clear.
   */
  public static final int SEGMENT_ATTRIBUTES = 16;

  public static final int ES = 0;
  public static final int CS = 1;
  public static final int SS = 2;
  public static final int DS = 3;
  public static final int FS = 4;
  public static final int GS = 5;
  public static final int LDTR = 6;
  public static final int TR = 7;

  public static final int GDTR_BASE = 0x160;
  public static final int GDTR_LIMIT = 0x168;
  public static final int IDTR_BASE = 0x170;
  public static final int IDTR_LIMIT = 0x178;
  public static final int CR0 = 0x180;
  public static final int CR2 = 0x188;
  public static final int CR3 = 0x190;
  public static final int CR4 = 0x198;

  /** XCR0. */
  public static final int XCR0 = 0x1a0;

  /** DR0 to DR7, 8 bytes each (4 and 5 unused). */
  public static final int DR = 0x1a8;

  public static final int EFER = 0x1e8;
  public static final int STAR = 0x1f0;
  public static final int LSTAR = 0x1f8;
  public static final int CSTAR = 0x200;
  public static final int SFMASK = 0x208;
  public static final int KERNEL_GS_BASE = 0x210;
  public static final int SYSENTER_CS = 0x218;
  public static final int SYSENTER_ESP = 0x220;
  public static final int SYSENTER_EIP = 0x228;
  public static final int PAT = 0x230;

  /** Added to the machine's TSC. */
  public static final int TSC_OFFSET = 0x238;

  public static final int TSC_AUX = 0x240;
  public static final int TSC_ADJUST = 0x248;
  public static final int MISC_ENABLE = 0x250;
  public static final int SPEC_CTRL = 0x258;
  public static final int KVM_SYSTEM_TIME = 0x260;
  public static final int KVM_WALL_CLOCK = 0x268;
  public static final int MTRR_DEF_TYPE = 0x270;

  /** Eight pairs of PHYSBASE and PHYSMASK. */
  public static final int MTRR_VARIABLE = 0x278;

  /** Eleven fixed-range MTRRs. */
  public static final int MTRR_FIXED = 0x2f8;

  public static final int MCG_STATUS = 0x350;
  public static final int DEBUG_CTL = 0x358;

  /** Seed of the deterministic random generator. */
  public static final int RANDOM = 0x360;

  /** Interrupt shadow: 1 after STI, 2 after MOV SS / POP SS, for one instruction. 4 bytes. */
  public static final int INTERRUPT_SHADOW = 0x368;

  /** 1 while NMIs are blocked (from delivery to IRET). 4 bytes. */
  public static final int NMI_BLOCKED = 0x36c;

  /**
   * NMIs waiting: 0 to 2. As many as have come at once while none is served: two processors may
   * each send one. 4 bytes.
   */
  public static final int NMI_PENDING = 0x370;

  /** Debug exception causes (DR6 bits) held over for the next instruction boundary. 4 bytes. */
  public static final int PENDING_DEBUG = 0x374;

  /** Start-up IPI waiting: 0x100 | page, or 0. 4 bytes. */
  public static final int STARTUP_PENDING = 0x378;

  public static final int MXCSR = 0x37c;

  /** x87: control, status (TOP included), 4 bytes each. */
  public static final int X87_CONTROL = 0x380;

  public static final int X87_STATUS = 0x384;

  /** One bit a *physical* register, 1 = in use; the abridged form of FXSAVE. 4 bytes. */
  public static final int X87_TAGS = 0x388;

  /** Last opcode, 11 bits. 4 bytes. */
  public static final int X87_OPCODE = 0x38c;

  public static final int X87_IP = 0x390;
  public static final int X87_DP = 0x398;
  public static final int X87_CS = 0x3a0;
  public static final int X87_DS = 0x3a4;

  /** Rights by protection key, of user pages and of supervisor pages. 4 bytes each. */
  public static final int PKRU = 0x3a8;

  public static final int PKRS = 0x3ac;

  /**
   * Physical registers R0 to R7, 16 bytes each: significand 8 bytes, then sign and exponent 2
   * bytes, rest zero. MMX aliases them.
   */
  public static final int X87_REGISTERS = 0x3b0;

  /** Vector registers 0 to 31, 64 bytes each, of which XMM is the first 16 and YMM the first 32. */
  public static final int VECTORS = 0x440;

  public static final int VECTOR_SIZE = 64;

  /** Where the last branch came from and led to, and the last one before an exception. */
  public static final int LAST_BRANCH = 0xc40;

  /** Switches transactions off, or hides them. */
  public static final int TSX_CTRL = 0xc60;

  // Of Microsoft's hypervisor interface. The first three are the machine's, and in the first
  // processor's state.
  public static final int HYPERV_GUEST_OS_ID = 0xe00;
  public static final int HYPERV_HYPERCALL = 0xe08;
  public static final int HYPERV_REFERENCE_TSC = 0xe10;
  public static final int HYPERV_SCONTROL = 0xe18;
  public static final int HYPERV_SIEFP = 0xe20;
  public static final int HYPERV_SIMP = 0xe28;

  /** Sixteen synthetic interrupt sources. */
  public static final int HYPERV_SINT = 0xe30;

  /** Of four timers each. */
  public static final int HYPERV_TIMER_CONFIG = 0xeb0;

  public static final int HYPERV_TIMER_COUNT = 0xed0;

  /** Reference time at which they are due, 0 for those that are not. */
  public static final int HYPERV_TIMER_EXPIRY = 0xef0;

  /** One bit each: its message waits for its place. 4 bytes. */
  public static final int HYPERV_TIMER_MESSAGES = 0xf10;

  // Control-flow enforcement: the MSRs of these names, and the shadow stack's pointer.
  public static final int U_CET = 0xf20;
  public static final int S_CET = 0xf28;

  /** PL0_SSP to PL3_SSP. */
  public static final int LEVEL_SSP = 0xf30;

  public static final int INTERRUPT_SSP_TABLE = 0xf50;
  public static final int SSP = 0xf58;

  /** IA32_XSS. */
  public static final int XSS = 0xf60;

  /** End of what is saved; {@link SvmState} lies before it. */
  public static final int PORTABLE_SIZE = 0x1000;

  // Bits of the attention word.
  /** A maskable interrupt may be deliverable. */
  public static final int ATTENTION_INTERRUPT = 1;

  /** NMI, INIT or start-up IPI. */
  public static final int ATTENTION_EVENT = 2;

  /** {@code run} should return. */
  public static final int ATTENTION_KICK = 4;

  /** The engine's own requests (invalidation, exclusive sections). */
  public static final int ATTENTION_ENGINE = 8;

  private final HostMemory memory;
  private final long address;

  /**
   * @param engineSize bytes that the engine wants behind the portable part, zero-filled
   */
  public CpuState(long engineSize) {
    memory = HostMemory.allocate(PORTABLE_SIZE + engineSize);
    address = memory.address();
  }

  /** Host address of the first byte. */
  public long address() {
    return address;
  }

  public long gpr(int index) {
    return getLong(address + GPR + 8L * (index & 15));
  }

  public void setGpr(int index, long value) {
    putLong(address + GPR + 8L * (index & 15), value);
  }

  /** Eight bytes at {@code offset}, one of the constants. */
  public long get(int offset) {
    return getLong(address + checked(offset, 8));
  }

  public void set(int offset, long value) {
    putLong(address + checked(offset, 8), value);
  }

  public int getInt32(int offset) {
    return getInt(address + checked(offset, 4));
  }

  public void setInt32(int offset, int value) {
    putInt(address + checked(offset, 4), value);
  }

  /** Offset of a field of segment register {@code segment}. */
  public static int segment(int segment, int field) {
    return SEGMENTS + segment * SEGMENT_SIZE + field;
  }

  /** Loads a segment register's cache as it stands, without checks. */
  public void setSegment(int segment, int selector, long base, int limit, int attributes) {
    set(segment(segment, SEGMENT_BASE), base);
    setInt32(segment(segment, SEGMENT_LIMIT), limit);
    setInt32(segment(segment, SEGMENT_SELECTOR), selector);
    setInt32(segment(segment, SEGMENT_ATTRIBUTES), attributes);
  }

  private static int checked(int offset, int length) {
    if (offset < 0 || offset + length > PORTABLE_SIZE) {
      throw new IndexOutOfBoundsException("CPU state offset " + offset);
    }
    return offset;
  }

  /** Writes the portable part but for the attention word. */
  public void save(StateWriter out) {
    byte[] bytes = new byte[PORTABLE_SIZE];
    for (int i = 0; i < PORTABLE_SIZE; i++) {
      bytes[i] = i >= ATTENTION && i < ATTENTION + 4 ? 0 : getByte(address + i);
    }
    out.putBytes(bytes);
  }

  /** Reads what {@link #save} wrote. The attention word stays. */
  public void load(StateReader in) throws StateException {
    byte[] bytes = in.getBytes(PORTABLE_SIZE);
    if (bytes.length != PORTABLE_SIZE) {
      throw in.damaged("processor state of " + bytes.length + " bytes");
    }
    for (int i = 0; i < PORTABLE_SIZE; i++) {
      if (i < ATTENTION || i >= ATTENTION + 4) {
        putByte(address + i, i >= ZERO && i < ZERO + 8 ? 0 : bytes[i]);
      }
    }
  }

  /** All zeros but for the attention word. */
  public void clear() {
    for (int i = 0; i < PORTABLE_SIZE; i += 4) {
      if (i != ATTENTION) {
        putInt(address + i, 0);
      }
    }
  }

  @Override
  public void close() {
    memory.close();
  }
}
