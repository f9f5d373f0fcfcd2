package dev.bothy.x86.translate;

import dev.bothy.core.cpu.CpuState;
import dev.bothy.x86.decode.Instruction;
import dev.bothy.x86.decode.Op;

/**
 * What is known of the general registers within a block: each holds a value by number plus a
 * constant. Registers with the same number differ by their constants, whatever the number stands
 * for.
 *
 * <p>Accesses go unchecked by what is said here, so instructions are known one by one; an unknown
 * one changes all registers.
 */
final class Values {
  /** Value number of nothing: 0. */
  static final int ZERO = 0;

  /** Value number of the linear address of the block's page. */
  static final int PAGE = 1;

  private final int[] number = new int[16];
  private final long[] constant = new long[16];
  private int numbers;
  private int wide;

  /** At a block's start. {@code wide}: bytes of an address. */
  void start(int wide) {
    this.wide = wide;
    numbers = PAGE + 1;
    forgetAll();
  }

  int numberOf(int gpr) {
    return number[gpr];
  }

  long constantOf(int gpr) {
    return constant[gpr];
  }

  private void forget(int gpr) {
    number[gpr] = numbers++;
    constant[gpr] = 0;
  }

  private void forgetAll() {
    for (int gpr = 0; gpr < 16; gpr++) {
      forget(gpr);
    }
  }

  private void add(int gpr, long by) {
    constant[gpr] += by;
    // Sums of 32-bit code wrap; differences of what lies on one page do not.
    if (constant[gpr] != (int) constant[gpr]) {
      forget(gpr);
    }
  }

  private void copy(int to, int from, long by) {
    number[to] = number[from];
    constant[to] = constant[from];
    add(to, by);
  }

  /** Follows {@code i}; false if it may have changed anything at all. */
  boolean follow(Instruction i) {
    switch (i.entry.lowering()) {
      case PLAIN, FLAGS, STACK, CONTROL -> {
        return followInteger(i);
      }
      case NOP -> {
        return true;
      }
      case SSE, AVX -> {
        switch (i.op) {
          case PCMPESTRI, PCMPISTRI, PCMPESTRM, PCMPISTRM, LDMXCSR, MASKMOVDQU -> {}
          case VPCMPESTRI, VPCMPISTRI, VPCMPESTRM, VPCMPISTRM, VLDMXCSR, VMASKMOVDQU -> {}
          default -> {
            writtenIfRegister(i, 0);
            return true;
          }
        }
      }
      default -> {}
    }
    forgetAll();
    return false;
  }

  private boolean followInteger(Instruction i) {
    switch (i.op) {
      case CMP, TEST, BT, JCC, JMP, CLC, STC, CMC -> {}
      case MOV -> {
        if (isWhole(i, 0) && isWhole(i, 1)) {
          copy(i.register[0], i.register[1], 0);
        } else if (i.kind[0] == Instruction.GPR || i.kind[0] == Instruction.GPR_HIGH) {
          forget(i.register[0]);
        } else if (i.kind[0] != Instruction.MEMORY) {
          forgetAll();
          return false;
        }
      }
      case ADD, SUB -> {
        if (isWhole(i, 0) && i.kind[1] == Instruction.IMMEDIATE) {
          add(i.register[0], i.op == Op.ADD ? i.immediate : -i.immediate);
        } else {
          writtenIfRegister(i, 0);
        }
      }
      case INC, DEC -> {
        if (isWhole(i, 0)) {
          add(i.register[0], i.op == Op.INC ? 1 : -1);
        } else {
          writtenIfRegister(i, 0);
        }
      }
      case LEA -> {
        if (isWhole(i, 0)
            && i.addressSize == wide
            && i.base >= 0
            && i.base < 16
            && i.index < 0
            && i.displacement == (int) i.displacement) {
          copy(i.register[0], i.base, i.displacement);
        } else {
          writtenIfRegister(i, 0);
        }
      }
      case OR,
          ADC,
          SBB,
          AND,
          XOR,
          NEG,
          NOT,
          MOVZX,
          MOVSX,
          MOVSXD,
          ROL,
          ROR,
          RCL,
          RCR,
          SHL,
          SHR,
          SAR,
          SHLD,
          SHRD,
          BSWAP,
          SETCC,
          CMOVCC,
          BSF,
          BSR,
          TZCNT,
          LZCNT,
          POPCNT,
          ADCX,
          ADOX,
          ANDN,
          BEXTR,
          BLSI,
          BLSMSK,
          BLSR,
          BZHI,
          PDEP,
          PEXT,
          RORX,
          SARX,
          SHLX,
          SHRX ->
          writtenIfRegister(i, 0);
      case MULX -> {
        writtenIfRegister(i, 0);
        writtenIfRegister(i, 1);
      }
      case BTS, BTR, BTC -> writtenIfRegister(i, 0);
      case IMUL -> {
        if (i.operands == 1) {
          forget(CpuState.RAX);
          forget(CpuState.RDX);
        } else {
          writtenIfRegister(i, 0);
        }
      }
      case MUL, DIV, IDIV, CBW, CWD -> {
        forget(CpuState.RAX);
        forget(CpuState.RDX);
      }
      case XCHG, XADD -> {
        writtenIfRegister(i, 0);
        writtenIfRegister(i, 1);
      }
      case CMPXCHG -> {
        forget(CpuState.RAX);
        writtenIfRegister(i, 0);
      }
      case PUSH -> add(CpuState.RSP, -i.operandSize);
      case POP -> {
        add(CpuState.RSP, i.operandSize);
        writtenIfRegister(i, 0);
      }
      case LEAVE -> {
        copy(CpuState.RSP, CpuState.RBP, i.operandSize);
        forget(CpuState.RBP);
      }
      default -> {
        forgetAll();
        return false;
      }
    }
    return true;
  }

  /** Operand {@code n} is a register of an address's size. */
  private boolean isWhole(Instruction i, int n) {
    return i.kind[n] == Instruction.GPR && i.size[n] == wide;
  }

  private void writtenIfRegister(Instruction i, int n) {
    if (n < i.operands && (i.kind[n] == Instruction.GPR || i.kind[n] == Instruction.GPR_HIGH)) {
      forget(i.register[n]);
    }
  }
}
