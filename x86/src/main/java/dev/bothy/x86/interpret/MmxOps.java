package dev.bothy.x86.interpret;

import static dev.bothy.host.RawMemory.putInt;

import dev.bothy.core.cpu.CpuState;
import dev.bothy.x86.decode.Instruction;
import dev.bothy.x86.simd.PackedInteger;

/**
 * Instructions on MMX registers alone, those that came with SSE, SSE2 and SSSE3 among them: AMD64
 * APM volume 5, part 1.
 */
final class MmxOps {
  private MmxOps() {}

  static void execute(Cpu cpu, Instruction i) {
    cpu.requireMmx();
    switch (i.op) {
      case EMMS -> {
        SseMmxOps.useMmx(cpu);
        putInt(cpu.state + CpuState.X87_TAGS, 0);
      }
      case MOVD, MOVQ, MOVNTQ -> move(cpu, i);
      case PSLLW, PSLLD, PSLLQ, PSRLW, PSRLD, PSRLQ, PSRAW, PSRAD -> shift(cpu, i);
      case PEXTRW -> {
        long value = SseMmxOps.mmx(cpu, i.register[1]) >>> ((i.immediate & 3) << 4) & 0xffff;
        SseMmxOps.useMmx(cpu);
        cpu.setGpr32(i.register[0], (int) value);
      }
      case PMOVMSKB -> {
        int mask = PackedInteger.pmovmskb(SseMmxOps.mmx(cpu, i.register[1]));
        SseMmxOps.useMmx(cpu);
        cpu.setGpr32(i.register[0], mask);
      }
      case PINSRW -> insert(cpu, i);
      case MASKMOVQ -> maskedStore(cpu, i);
      default -> {
        int d = i.register[0];
        long b = source(cpu, i);
        SseMmxOps.setMmx(cpu, d, combine(i, SseMmxOps.mmx(cpu, d), b));
      }
    }
  }

  /** Operand 1, 4 bytes of it zero-extended where that is its size. */
  private static long source(Cpu cpu, Instruction i) {
    if (i.kind[1] == Instruction.MMX) {
      return SseMmxOps.mmx(cpu, i.register[1]);
    }
    int size = i.size[1];
    long at = cpu.linear(i, size);
    return size == 4 ? cpu.load32(at) & 0xffff_ffffL : cpu.load64(at);
  }

  private static long combine(Instruction i, long a, long b) {
    return switch (i.op) {
      case PUNPCKLBW -> PackedInteger.punpcklbw(a, b);
      case PUNPCKLWD -> PackedInteger.punpcklwd(a, b);
      case PUNPCKLDQ -> PackedInteger.punpckldq(a, b);
      case PUNPCKHBW -> PackedInteger.punpckhbw(a, b);
      case PUNPCKHWD -> PackedInteger.punpckhwd(a, b);
      case PUNPCKHDQ -> PackedInteger.punpckhdq(a, b);
      case PACKSSWB -> PackedInteger.packsswb(a, b);
      case PACKUSWB -> PackedInteger.packuswb(a, b);
      case PACKSSDW -> PackedInteger.packssdw(a, b);
      case PSHUFW -> PackedInteger.pshufw(b, (int) i.immediate);
      case PSHUFB -> PackedInteger.pshufb(a, b);
      case PALIGNR -> PackedInteger.palignr(a, b, (int) i.immediate & 0xff);
      case PHADDW -> PackedInteger.phaddw(a, b);
      case PHADDD -> PackedInteger.phaddd(a, b);
      case PHADDSW -> PackedInteger.phaddsw(a, b);
      case PHSUBW -> PackedInteger.phsubw(a, b);
      case PHSUBD -> PackedInteger.phsubd(a, b);
      case PHSUBSW -> PackedInteger.phsubsw(a, b);
      default -> SseIntegerOps.half(i.op, a, b);
    };
  }

  private static void move(Cpu cpu, Instruction i) {
    int size = i.size[i.kind[0] == Instruction.MMX ? 1 : 0];
    if (i.kind[0] == Instruction.MMX) {
      long value =
          switch (i.kind[1]) {
            case Instruction.GPR -> cpu.gpr(i.register[1]);
            default -> source(cpu, i);
          };
      SseMmxOps.setMmx(cpu, i.register[0], size == 4 ? value & 0xffff_ffffL : value);
      return;
    }
    long value = SseMmxOps.mmx(cpu, i.register[1]);
    if (i.kind[0] == Instruction.GPR) {
      cpu.setGpr(i.register[0], size == 4 ? value & 0xffff_ffffL : value);
    } else if (size == 4) {
      cpu.store32(cpu.linear(i, 4), (int) value);
    } else {
      cpu.store64(cpu.linear(i, 8), value);
    }
    SseMmxOps.useMmx(cpu);
  }

  private static void shift(Cpu cpu, Instruction i) {
    long count = i.kind[1] == Instruction.IMMEDIATE ? i.immediate & 0xff : source(cpu, i);
    int d = i.register[0];
    SseMmxOps.setMmx(cpu, d, SseIntegerOps.shifted(i.op, SseMmxOps.mmx(cpu, d), count));
  }

  private static void insert(Cpu cpu, Instruction i) {
    long word =
        i.kind[1] == Instruction.GPR ? cpu.gpr(i.register[1]) : cpu.load16(cpu.linear(i, 2));
    int at = (int) (i.immediate & 3) << 4;
    int d = i.register[0];
    long rest = SseMmxOps.mmx(cpu, d) & ~(0xffffL << at);
    SseMmxOps.setMmx(cpu, d, rest | (word & 0xffff) << at);
  }

  /** MASKMOVQ: the decoder gives the implicit operand at rDI as the memory operand. */
  private static void maskedStore(Cpu cpu, Instruction i) {
    long value = SseMmxOps.mmx(cpu, i.register[0]);
    int mask = PackedInteger.pmovmskb(SseMmxOps.mmx(cpu, i.register[1]));
    // AMD's processors are in MMX mode by the time the store faults.
    SseMmxOps.useMmx(cpu);
    long at = cpu.linear(i, 8);
    cpu.probeStore(at, 8);
    for (int n = 0; n < 8; n++) {
      if ((mask >> n & 1) != 0) {
        cpu.store8(at + n, (int) (value >>> 8 * n) & 0xff);
      }
    }
  }
}
