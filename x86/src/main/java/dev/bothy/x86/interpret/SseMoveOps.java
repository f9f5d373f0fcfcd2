package dev.bothy.x86.interpret;

import dev.bothy.x86.decode.Instruction;
import dev.bothy.x86.decode.Op;
import dev.bothy.x86.simd.PackedInteger;

/**
 * SSE moves: whole registers and parts of them, between registers and memory; insertion,
 * extraction, widening (AMD64 APM volume 4). {@link #load}, {@link #store} and {@link #copy} move
 * 16 bytes, {@link #execute} has the other moves proper, {@link #executePart} the rest.
 */
final class SseMoveOps {
  private static final int MXCSR_RESERVED = ~0xffff;

  private SseMoveOps() {}

  private static long address(Cpu cpu, Instruction i) {
    return isUnaligned(i.op) ? cpu.linear(i, 16) : SseOperand.aligned(cpu, i);
  }

  /** May its 16-byte memory operand lie anywhere? */
  static boolean isUnaligned(Op op) {
    return op == Op.MOVUPS || op == Op.MOVDQU || op == Op.MOVUPD || op == Op.LDDQU;
  }

  /** 16 bytes from memory: MOVUPS, MOVDQA and kin. */
  static void load(Cpu cpu, Instruction i) {
    cpu.requireSse();
    long at = address(cpu, i);
    long low = cpu.load64(at);
    set(cpu, i.register[0], low, cpu.load64(at + 8));
  }

  /** 16 bytes to memory. */
  static void store(Cpu cpu, Instruction i) {
    cpu.requireSse();
    int s = i.register[1];
    cpu.store128(address(cpu, i), cpu.xmm(s, 0), cpu.xmm(s, 1));
  }

  /** 16 bytes from register to register. */
  static void copy(Cpu cpu, Instruction i) {
    cpu.requireSse();
    int s = i.register[1];
    set(cpu, i.register[0], cpu.xmm(s, 0), cpu.xmm(s, 1));
  }

  static void execute(Cpu cpu, Instruction i) {
    cpu.requireSse();
    switch (i.op) {
      case MOVSS, MOVNTSS -> {
        if (i.isMemory(0)) {
          cpu.store32(cpu.linear(i, 4), (int) cpu.xmm(i.register[1], 0));
        } else if (i.isMemory(1)) {
          int value = cpu.load32(cpu.linear(i, 4));
          set(cpu, i.register[0], value & 0xffff_ffffL, 0);
        } else {
          SseOperand.setLow32(cpu, i.register[0], (int) cpu.xmm(i.register[1], 0));
        }
      }
      case MOVSD, MOVNTSD -> {
        if (i.isMemory(0)) {
          cpu.store64(cpu.linear(i, 8), cpu.xmm(i.register[1], 0));
        } else if (i.isMemory(1)) {
          set(cpu, i.register[0], cpu.load64(cpu.linear(i, 8)), 0);
        } else {
          cpu.setXmm(i.register[0], 0, cpu.xmm(i.register[1], 0));
        }
      }
      case MOVLPS, MOVLPD -> {
        if (i.isMemory(0)) {
          cpu.store64(cpu.linear(i, 8), cpu.xmm(i.register[1], 0));
        } else {
          cpu.setXmm(i.register[0], 0, cpu.load64(cpu.linear(i, 8)));
        }
      }
      case MOVHPS, MOVHPD -> {
        if (i.isMemory(0)) {
          cpu.store64(cpu.linear(i, 8), cpu.xmm(i.register[1], 1));
        } else {
          cpu.setXmm(i.register[0], 1, cpu.load64(cpu.linear(i, 8)));
        }
      }
      case MOVHLPS -> cpu.setXmm(i.register[0], 0, cpu.xmm(i.register[1], 1));
      case MOVLHPS -> cpu.setXmm(i.register[0], 1, cpu.xmm(i.register[1], 0));
      case MOVDDUP -> {
        long value = SseOperand.read64(cpu, i, 1);
        set(cpu, i.register[0], value, value);
      }
      case MOVD, MOVQ -> general(cpu, i);
      default -> throw cpu.raise(GuestFault.UD);
    }
  }

  private static void set(Cpu cpu, int register, long low, long high) {
    cpu.setXmm(register, 0, low);
    cpu.setXmm(register, 1, high);
  }

  /** MOVD and MOVQ between XMM registers, general registers and memory. */
  static void general(Cpu cpu, Instruction i) {
    if (i.kind[0] == Instruction.XMM) {
      long value =
          switch (i.kind[1]) {
            case Instruction.GPR -> cpu.gpr(i.register[1]);
            case Instruction.XMM -> cpu.xmm(i.register[1], 0);
            default -> i.size[1] == 8 ? cpu.load64(cpu.linear(i, 8)) : cpu.load32(cpu.linear(i, 4));
          };
      boolean wide = i.size[1] == 8 || i.kind[1] == Instruction.XMM;
      set(cpu, i.register[0], wide ? value : value & 0xffff_ffffL, 0);
      return;
    }
    storeElement(cpu, i, cpu.xmm(i.register[1], 0));
  }

  /**
   * Operand 0, memory or general register: as many low bytes of {@code value} as it has,
   * zero-extended in a register.
   */
  private static void storeElement(Cpu cpu, Instruction i, long value) {
    int size = i.size[0];
    if (i.kind[0] == Instruction.GPR) {
      cpu.setGpr(i.register[0], size == 8 ? value : value & 0xffff_ffffL);
      return;
    }
    long at = cpu.linear(i, size);
    switch (size) {
      case 1 -> cpu.store8(at, (int) value & 0xff);
      case 2 -> cpu.store16(at, (int) value & 0xffff);
      case 4 -> cpu.store32(at, (int) value);
      default -> cpu.store64(at, value);
    }
  }

  /** Memory, general or XMM register operand {@code n} of {@code size} bytes, zero-extended. */
  static long element(Cpu cpu, Instruction i, int n, int size) {
    long value =
        switch (i.kind[n]) {
          case Instruction.GPR -> cpu.gpr(i.register[n]);
          case Instruction.XMM -> cpu.xmm(i.register[n], 0);
          default -> {
            long at = cpu.linear(i, size);
            yield switch (size) {
              case 1 -> cpu.load8(at);
              case 2 -> cpu.load16(at);
              case 4 -> cpu.load32(at);
              default -> cpu.load64(at);
            };
          }
        };
    return size == 8 ? value : value & (1L << 8 * size) - 1;
  }

  static void executePart(Cpu cpu, Instruction i) {
    cpu.requireSse();
    int d = i.register[0];
    int control = (int) i.immediate & 0xff;
    switch (i.op) {
      case MOVMSKPS -> {
        int s = i.register[1];
        cpu.setGpr32(d, signs(cpu.xmm(s, 0)) | signs(cpu.xmm(s, 1)) << 2);
      }
      case MOVMSKPD -> {
        int s = i.register[1];
        cpu.setGpr32(d, (int) (cpu.xmm(s, 0) >>> 63 | cpu.xmm(s, 1) >>> 63 << 1));
      }
      case PMOVMSKB -> {
        int s = i.register[1];
        cpu.setGpr32(
            d, PackedInteger.pmovmskb(cpu.xmm(s, 0)) | PackedInteger.pmovmskb(cpu.xmm(s, 1)) << 8);
      }
      case PINSRB -> insert(cpu, i, 1, control & 15);
      case PINSRW -> insert(cpu, i, 2, control & 7);
      case PINSRD -> insert(cpu, i, 4, control & 3);
      case PINSRQ -> insert(cpu, i, 8, control & 1);
      case PEXTRB, PEXTRW, PEXTRD, EXTRACTPS, PEXTRQ -> extract(cpu, i, i.op);
      case INSERTPS -> insertSingle(cpu, i, control);
      case PTEST -> test(cpu, i);
      case MASKMOVDQU -> maskedStore(cpu, i);
      case LDMXCSR -> loadMxcsr(cpu, i);
      case STMXCSR -> cpu.store32(cpu.linear(i, 4), cpu.mxcsr());
      case EXTRQ, INSERTQ -> bitField(cpu, i);
      default -> widen(cpu, i);
    }
  }

  static void loadMxcsr(Cpu cpu, Instruction i) {
    int value = cpu.load32(cpu.linear(i, 4));
    if ((value & MXCSR_RESERVED) != 0) {
      throw cpu.raise(GuestFault.GP, 0);
    }
    cpu.setMxcsr(value);
  }

  /** PEXTRB and kin, or the VEX form of {@code op}. */
  static void extract(Cpu cpu, Instruction i, Op op) {
    int size =
        switch (op) {
          case PEXTRB -> 1;
          case PEXTRW -> 2;
          case PEXTRQ -> 8;
          default -> 4;
        };
    int position = (int) i.immediate & 16 / size - 1;
    storeElement(cpu, i, extracted(cpu, i.register[1], size, position));
  }

  /** Sign bits of two singles. */
  static int signs(long a) {
    return (int) (a >>> 31 & 1 | a >>> 63 << 1);
  }

  private static void insert(Cpu cpu, Instruction i, int size, int position) {
    long value = element(cpu, i, 1, size);
    insert(cpu, i.register[0], value, size, position);
  }

  static void insert(Cpu cpu, int register, long value, int size, int position) {
    int half = position * size >> 3;
    int shift = (position * size & 7) << 3;
    long mask = size == 8 ? -1L : (1L << 8 * size) - 1 << shift;
    cpu.setXmm(register, half, cpu.xmm(register, half) & ~mask | value << shift);
  }

  static long extracted(Cpu cpu, int register, int size, int position) {
    long half = cpu.xmm(register, position * size >> 3) >>> ((position * size & 7) << 3);
    return size == 8 ? half : half & (1L << 8 * size) - 1;
  }

  private static void insertSingle(Cpu cpu, Instruction i, int control) {
    long value =
        i.isMemory(1)
            ? cpu.load32(cpu.linear(i, 4)) & 0xffff_ffffL
            : extracted(cpu, i.register[1], 4, control >> 6);
    int d = i.register[0];
    insert(cpu, d, value, 4, control >> 4 & 3);
    for (int n = 0; n < 4; n++) {
      if ((control >> n & 1) != 0) {
        insert(cpu, d, 0, 4, n);
      }
    }
  }

  private static void test(Cpu cpu, Instruction i) {
    long low;
    long high;
    if (i.kind[1] == Instruction.XMM) {
      low = cpu.xmm(i.register[1], 0);
      high = cpu.xmm(i.register[1], 1);
    } else {
      long at = SseOperand.aligned(cpu, i);
      low = cpu.load64(at);
      high = cpu.load64(at + 8);
    }
    long aLow = cpu.xmm(i.register[0], 0);
    long aHigh = cpu.xmm(i.register[0], 1);
    int zero = (aLow & low | aHigh & high) == 0 ? 0x40 : 0;
    int carry = (~aLow & low | ~aHigh & high) == 0 ? 0x01 : 0;
    cpu.setArithmeticFlags(zero | carry);
  }

  /** MASKMOVDQU: the decoder gives the implicit operand at rDI as the memory operand. */
  static void maskedStore(Cpu cpu, Instruction i) {
    int d = i.register[0];
    int s = i.register[1];
    int mask = PackedInteger.pmovmskb(cpu.xmm(s, 0)) | PackedInteger.pmovmskb(cpu.xmm(s, 1)) << 8;
    long at = cpu.linear(i, 16);
    // AMD's processors want all sixteen bytes writable, whatever the mask.
    cpu.probeStore(at, 16);
    for (int n = 0; n < 16; n++) {
      if ((mask >> n & 1) != 0) {
        cpu.store8(at + n, (int) (cpu.xmm(d, n >> 3) >>> ((n & 7) << 3)) & 0xff);
      }
    }
  }

  /** EXTRQ and INSERTQ of SSE4A: length and position are 6 bits each, a length of 0 means 64. */
  private static void bitField(Cpu cpu, Instruction i) {
    int d = i.register[0];
    boolean insert = i.op == Op.INSERTQ;
    long source = i.kind[1] == Instruction.XMM ? cpu.xmm(i.register[1], 0) : 0;
    int length;
    int position;
    if (i.operands > 2 || i.kind[1] != Instruction.XMM) {
      length = (int) i.immediate & 63;
      position = (int) i.immediate2 & 63;
    } else {
      long field = insert ? cpu.xmm(i.register[1], 1) : source;
      length = (int) field & 63;
      position = (int) (field >> 8) & 63;
    }
    long mask = length == 0 ? -1L : (1L << length) - 1;
    long a = cpu.xmm(d, 0);
    long result =
        insert ? a & ~(mask << position) | (source & mask) << position : a >>> position & mask;
    // What is above is undefined, and zero on AMD's processors.
    set(cpu, d, result, 0);
  }

  /** PMOVSX and PMOVZX. */
  private static void widen(Cpu cpu, Instruction i) {
    int form = widening(i.op);
    if (form == 0) {
      throw cpu.raise(GuestFault.UD);
    }
    int bytes = sourceBytes(form);
    long source = element(cpu, i, 1, 2 * bytes);
    set(cpu, i.register[0], widened(source, form), widened(source >>> 8 * bytes, form));
  }

  private static final int SIGNED = 0x100;

  /** What PMOVSX or PMOVZX {@code op} does: bytes of an element before and after; or 0. */
  static int widening(Op op) {
    return switch (op) {
      case PMOVSXBW -> 0x12 | SIGNED;
      case PMOVZXBW -> 0x12;
      case PMOVSXBD -> 0x14 | SIGNED;
      case PMOVZXBD -> 0x14;
      case PMOVSXBQ -> 0x18 | SIGNED;
      case PMOVZXBQ -> 0x18;
      case PMOVSXWD -> 0x24 | SIGNED;
      case PMOVZXWD -> 0x24;
      case PMOVSXWQ -> 0x28 | SIGNED;
      case PMOVZXWQ -> 0x28;
      case PMOVSXDQ -> 0x48 | SIGNED;
      case PMOVZXDQ -> 0x48;
      default -> 0;
    };
  }

  /** Bytes of the source that 8 bytes of the result come from. */
  static int sourceBytes(int form) {
    return 8 / (form & 15) * (form >> 4 & 15);
  }

  /** 8 bytes of the result, from the low bytes of {@code source}. */
  static long widened(long source, int form) {
    return widened(source, form >> 4 & 15, form & 15, (form & SIGNED) != 0);
  }

  private static long widened(long source, int from, int to, boolean signed) {
    int spare = 64 - 8 * from;
    long mask = to == 8 ? -1L : (1L << 8 * to) - 1;
    long result = 0;
    for (int n = 0; n < 8 / to; n++) {
      long top = source >>> 8 * from * n << spare;
      long value = signed ? top >> spare : top >>> spare;
      result |= (value & mask) << 8 * to * n;
    }
    return result;
  }
}
