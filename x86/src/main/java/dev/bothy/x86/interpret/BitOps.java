package dev.bothy.x86.interpret;

import static dev.bothy.host.RawMemory.putByte;

import dev.bothy.core.cpu.CpuState;
import dev.bothy.x86.decode.Instruction;
import dev.bothy.x86.decode.Op;

/**
 * Bit scans, BMI, ADX, byte swaps, flag instructions, decimal adjustment and the rest of the
 * general instructions.
 */
final class BitOps {
  private BitOps() {}

  static void execute(Processor cpu, Instruction i) {
    switch (i.op) {
      case BSF, BSR, TZCNT, LZCNT, POPCNT -> scan(cpu, i);
      case BSWAP -> swap(cpu, i);
      case MOVBE -> {
        long value = Operands.read(cpu, i, 1);
        Operands.write(cpu, i, 0, Long.reverseBytes(value) >>> 64 - 8 * i.size[0]);
      }
      case ANDN, BLSR, BLSMSK, BLSI, BEXTR, BZHI, PDEP, PEXT, SHLX, SHRX, SARX, RORX -> bmi(cpu, i);
      case ADCX, ADOX -> addWithOneFlag(cpu, i);
      case CRC32 -> {
        int crc = (int) Operands.read(cpu, i, 0);
        cpu.setGpr(i.register[0], crc32(crc, Operands.read(cpu, i, 1), i.size[1]));
      }
      case CMC -> cpu.setCarry(!cpu.cf());
      case CLC -> cpu.setCarry(false);
      case STC -> cpu.setCarry(true);
      case CLD -> cpu.systemFlags &= ~Bits.DF;
      case STD -> cpu.systemFlags |= Bits.DF;
      case LAHF ->
          putByte(
              cpu.state + CpuState.GPR + 1,
              (byte)
                  (cpu.arithmeticFlags() & (Bits.SF | Bits.ZF | Bits.AF | Bits.PF | Bits.CF) | 2));
      case SAHF -> {
        int ah = (int) cpu.gpr(CpuState.RAX) >>> 8;
        int mask = Bits.SF | Bits.ZF | Bits.AF | Bits.PF | Bits.CF;
        cpu.setArithmeticFlags(ah & mask | cpu.arithmeticFlags() & Bits.OF);
      }
      case XLAT -> {
        long offset = Operands.mask(cpu.offset(i) + (cpu.gpr(CpuState.RAX) & 0xff), i.addressSize);
        long value = cpu.loadSized(cpu.linear(i.segment, offset, 1, false), 1);
        putByte(cpu.state + CpuState.GPR, (byte) value);
      }
      case DAA, DAS, AAA, AAS, AAM, AAD, SALC -> decimal(cpu, i);
      case NOP,
          ENDBR64,
          ENDBR32,
          PREFETCHNTA,
          PREFETCHT0,
          PREFETCHT1,
          PREFETCHT2,
          PREFETCHW,
          PREFETCH,
          LFENCE,
          SFENCE -> {}
      case MFENCE -> java.lang.invoke.VarHandle.fullFence();
      case PAUSE -> {
        cpu.refuseInTransaction();
        if (cpu.guestMode) {
          Intercepts.pause(cpu, i);
        }
        cpu.pause();
      }
      case CLFLUSH, CLFLUSHOPT, CLWB -> cpu.probeLoad(cpu.linear(i, 1), 1);
      default -> throw cpu.ud();
    }
  }

  /** CRC-32C (polynomial 0x11EDC6F41, bits reflected) of {@code size} more bytes. */
  private static long crc32(int crc, long data, int size) {
    for (int n = 0; n < size; n++) {
      crc ^= (int) (data >>> 8 * n) & 0xff;
      for (int bit = 0; bit < 8; bit++) {
        crc = crc >>> 1 ^ 0x82f6_3b78 & -(crc & 1);
      }
    }
    return crc & 0xffff_ffffL;
  }

  private static void flags(Processor cpu, int clear, int set) {
    cpu.setArithmeticFlags(cpu.arithmeticFlags() & ~clear | set);
  }

  private static void scan(Processor cpu, Instruction i) {
    int size = i.size[0];
    int bits = 8 * size;
    long a = Operands.read(cpu, i, 1);
    switch (i.op) {
      case BSF, BSR -> {
        // A zero source leaves the destination alone (AMD documents what both vendors do); OF SF AF
        // PF CF are undefined.
        if (a == 0) {
          flags(cpu, 0, Bits.ZF);
        } else {
          long r =
              i.op == Op.BSF ? Long.numberOfTrailingZeros(a) : 63 - Long.numberOfLeadingZeros(a);
          Operands.write(cpu, i, 0, r);
          flags(cpu, Bits.ZF, 0);
        }
      }
      case TZCNT, LZCNT -> {
        long r =
            a == 0
                ? bits
                : i.op == Op.TZCNT
                    ? Long.numberOfTrailingZeros(a)
                    : Long.numberOfLeadingZeros(a) - (64 - bits);
        Operands.write(cpu, i, 0, r);
        flags(cpu, Bits.ZF | Bits.CF, (a == 0 ? Bits.CF : 0) | (r == 0 ? Bits.ZF : 0));
      }
      default -> {
        Operands.write(cpu, i, 0, Long.bitCount(a));
        flags(cpu, Bits.ARITHMETIC, a == 0 ? Bits.ZF : 0);
      }
    }
  }

  private static void swap(Processor cpu, Instruction i) {
    long a = Operands.read(cpu, i, 0);
    // With a 16-bit operand the result is undefined; processors clear the register's low half.
    long r = i.operandSize == 2 ? 0 : Long.reverseBytes(a) >>> 64 - 8 * i.operandSize;
    Operands.write(cpu, i, 0, r);
  }

  private static void bmi(Processor cpu, Instruction i) {
    int size = i.size[0];
    int bits = 8 * size;
    int shift = 64 - bits;
    switch (i.op) {
      case ANDN -> {
        long r = ~Operands.read(cpu, i, 1) & Operands.read(cpu, i, 2);
        Operands.write(cpu, i, 0, r);
        bmiFlags(cpu, r << shift >> shift, false);
      }
      case BLSR, BLSMSK, BLSI -> {
        long a = Operands.read(cpu, i, 1);
        long r =
            switch (i.op) {
              case BLSR -> a & a - 1;
              case BLSMSK -> a ^ a - 1;
              default -> a & -a;
            };
        Operands.write(cpu, i, 0, r);
        bmiFlags(cpu, r << shift >> shift, i.op == Op.BLSI ? a != 0 : a == 0);
      }
      case BEXTR -> {
        long a = Operands.read(cpu, i, 1);
        int control = (int) Operands.read(cpu, i, 2);
        int start = control & 0xff;
        int length = control >>> 8 & 0xff;
        long r = start >= bits ? 0 : a >>> start;
        if (length < 64) {
          r &= (1L << length) - 1;
        }
        Operands.write(cpu, i, 0, r);
        bmiFlags(cpu, r << shift >> shift, false);
      }
      case BZHI -> {
        long a = Operands.read(cpu, i, 1);
        int n = (int) Operands.read(cpu, i, 2) & 0xff;
        long r = n < bits ? a & (1L << n) - 1 : a;
        Operands.write(cpu, i, 0, r);
        bmiFlags(cpu, r << shift >> shift, n >= bits);
      }
      case PDEP ->
          Operands.write(
              cpu, i, 0, Long.expand(Operands.read(cpu, i, 1), Operands.read(cpu, i, 2)));
      case PEXT ->
          Operands.write(
              cpu, i, 0, Long.compress(Operands.read(cpu, i, 1), Operands.read(cpu, i, 2)));
      case SHLX -> Operands.write(cpu, i, 0, Operands.read(cpu, i, 1) << count(cpu, i, bits));
      case SHRX -> Operands.write(cpu, i, 0, Operands.read(cpu, i, 1) >>> count(cpu, i, bits));
      case SARX ->
          Operands.write(
              cpu, i, 0, Operands.read(cpu, i, 1) << shift >> shift >> count(cpu, i, bits));
      default -> {
        long a = Operands.read(cpu, i, 1);
        int n = (int) i.immediate & bits - 1;
        Operands.write(cpu, i, 0, n == 0 ? a : a >>> n | a << bits - n);
      }
    }
  }

  private static int count(Processor cpu, Instruction i, int bits) {
    return (int) Operands.read(cpu, i, 2) & bits - 1;
  }

  /** OF clear, SF and ZF from the result; AF and PF are undefined. */
  private static void bmiFlags(Processor cpu, long r, boolean carry) {
    flags(
        cpu,
        Bits.ARITHMETIC,
        (r == 0 ? Bits.ZF : 0) | (r < 0 ? Bits.SF : 0) | (carry ? Bits.CF : 0));
  }

  private static void addWithOneFlag(Processor cpu, Instruction i) {
    long a = Operands.read(cpu, i, 0);
    long b = Operands.read(cpu, i, 1);
    int flag = i.op == Op.ADCX ? Bits.CF : Bits.OF;
    int flags = cpu.arithmeticFlags();
    long carry = (flags & flag) != 0 ? 1 : 0;
    long r = a + b + carry;
    boolean out = i.size[0] == 8 ? (a & b | (a | b) & ~r) < 0 : r >>> 32 != 0;
    Operands.write(cpu, i, 0, r);
    cpu.setArithmeticFlags(out ? flags | flag : flags & ~flag);
  }

  private static void decimal(Processor cpu, Instruction i) {
    int ax = (int) cpu.gpr(CpuState.RAX) & 0xffff;
    int al = ax & 0xff;
    int flags = cpu.arithmeticFlags();
    boolean carry = (flags & Bits.CF) != 0;
    boolean half = (flags & Bits.AF) != 0;
    switch (i.op) {
      case DAA, DAS -> {
        int sign = i.op == Op.DAA ? 1 : -1;
        int old = al;
        boolean newCarry = false;
        boolean low = (old & 15) > 9 || half;
        if (low) {
          int sum = al + 6 * sign;
          newCarry = carry || sum < 0 || sum > 0xff;
          al = sum & 0xff;
        }
        if (old > 0x99 || carry) {
          al = al + 0x60 * sign & 0xff;
          newCarry = true;
        } else if (i.op == Op.DAA) {
          newCarry = false;
        }
        putByte(cpu.state + CpuState.GPR, (byte) al);
        Alu.logic(cpu, al, 56);
        flags(cpu, Bits.AF | Bits.CF, (low ? Bits.AF : 0) | (newCarry ? Bits.CF : 0));
      }
      case AAA, AAS -> {
        boolean adjust = (al & 15) > 9 || half;
        if (adjust) {
          ax = i.op == Op.AAA ? ax + 0x106 : ax - 0x106;
        }
        ax = ax & 0xff0f;
        Operands.setGpr(cpu, CpuState.RAX, 2, ax);
        Alu.logic(cpu, ax & 0xff, 56);
        flags(cpu, Bits.AF | Bits.CF, adjust ? Bits.AF | Bits.CF : 0);
      }
      case AAM -> {
        int base = (int) i.immediate & 0xff;
        if (base == 0) {
          throw cpu.raise(GuestFault.DE);
        }
        Operands.setGpr(cpu, CpuState.RAX, 2, (long) (al / base) << 8 | al % base);
        Alu.logic(cpu, al % base, 56);
      }
      case AAD -> {
        int r = al + (ax >>> 8) * ((int) i.immediate & 0xff) & 0xff;
        Operands.setGpr(cpu, CpuState.RAX, 2, r);
        Alu.logic(cpu, r, 56);
      }
      default -> putByte(cpu.state + CpuState.GPR, (byte) (carry ? 0xff : 0));
    }
  }
}
