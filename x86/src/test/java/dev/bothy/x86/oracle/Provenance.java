package dev.bothy.x86.oracle;

import static dev.bothy.core.cpu.CpuState.FS;
import static dev.bothy.core.cpu.CpuState.GS;
import static dev.bothy.core.cpu.CpuState.RBP;
import static dev.bothy.core.cpu.CpuState.RBX;
import static dev.bothy.core.cpu.CpuState.RCX;
import static dev.bothy.core.cpu.CpuState.RSI;
import static dev.bothy.core.cpu.CpuState.RSP;
import static dev.bothy.x86.decode.TableEntry.BITSTRING;

import dev.bothy.core.cpu.CpuState;
import dev.bothy.x86.decode.Instruction;
import dev.bothy.x86.decode.Lowering;
import dev.bothy.x86.decode.Op;
import dev.bothy.x86.decode.TableEntry;
import java.util.Arrays;

/**
 * What is known of the general registers and flags along a sequence, so that every address that the
 * host will use is one that we chose, and no result depends on an undefined flag.
 *
 * <p>A register starts free: its first value can still be chosen when an instruction turns out to
 * need an address or a small number in it. Whatever else is written into it makes it unknown.
 */
final class Provenance {
  /** Not written yet; may become an address or a small number. */
  static final int FREE = 0;

  /** The first value of {@link #origin} plus about {@link #delta}. */
  static final int ADDRESS = 1;

  /** 0 to about 60. */
  static final int SMALL = 2;

  /** The address of a landing place. */
  static final int TARGET = 3;

  static final int UNKNOWN = 4;

  private final int[] kind = new int[16];
  private final int[] origin = new int[16];
  private final long[] delta = new long[16];

  /** What a register must hold at the start: FREE is anything. */
  final int[] role = new int[16];

  /** Addresses of which all 64 bits count, by origin. */
  final boolean[] wide = new boolean[16];

  /** RCX counts a repetition. */
  boolean counted;

  private int undefinedFlags;
  private boolean gsLost;
  private boolean rolesFixed;

  // Needs of the instruction under examination.
  private int needAddress;
  private int needWide;
  private int needSmall;
  private int needTarget;

  /** Starts a new sequence; the stack pointer is an address from the beginning. */
  void reset() {
    Arrays.fill(role, FREE);
    Arrays.fill(wide, false);
    role[RSP] = ADDRESS;
    wide[RSP] = true;
    counted = false;
    rolesFixed = false;
    start();
  }

  /** Starts a part of the same sequence anew: what the registers hold at the start is fixed. */
  void replay() {
    rolesFixed = true;
    start();
  }

  private void start() {
    undefinedFlags = 0;
    gsLost = false;
    for (int r = 0; r < 16; r++) {
      kind[r] = rolesFixed && role[r] == FREE ? UNKNOWN : role[r];
      origin[r] = r;
      delta[r] = 0;
    }
  }

  int kind(int register) {
    return kind[register];
  }

  int origin(int register) {
    return origin[register];
  }

  long delta(int register) {
    return delta[register];
  }

  int undefinedFlags() {
    return undefinedFlags;
  }

  /** Appends an instruction to the sequence; false, with nothing changed, if it does not fit. */
  boolean accept(Instruction in) {
    if ((Effects.flagsRead(in) & undefinedFlags) != 0) {
      return false;
    }
    needAddress = 0;
    needWide = 0;
    needSmall = 0;
    needTarget = 0;
    if (!memoryOperand(in) || !implicitOperands(in) || !met()) {
      return false;
    }
    counted |= in.repeat != 0 && Effects.strings(in);
    apply(in);
    undefinedFlags = undefinedFlags & ~Effects.flagsSettled(in) | in.entry.flagsUndefined();
    return true;
  }

  private void needAddress(int register, boolean allBits) {
    needAddress |= 1 << register;
    needWide |= allBits ? 1 << register : 0;
  }

  private static int memoryIndex(Instruction in) {
    for (int i = 0; i < in.operands; i++) {
      if (in.kind[i] == Instruction.MEMORY) {
        return i;
      }
    }
    return -1;
  }

  /** True if the memory operand is only named. */
  private static boolean addressOnly(Instruction in) {
    return in.op == Op.LEA || in.entry.lowering() == Lowering.NOP;
  }

  private boolean memoryOperand(Instruction in) {
    if (memoryIndex(in) < 0 || addressOnly(in)) {
      return true;
    }
    if (in.addressSize == 2 || in.segment == FS || in.segment == GS && (gsLost || in.mode == 32)) {
      return false;
    }
    if (in.entry.has(BITSTRING) && in.kind[1] == Instruction.GPR) {
      needSmall |= 1 << in.register[1];
    }
    boolean all = in.addressSize == 8;
    boolean absolute = in.displacement >= DISPLACED;
    if (in.base < 0 || in.base == Instruction.RIP_BASE) {
      if (in.index >= 0) {
        needSmall |= 1 << in.index;
      }
      return true;
    }
    if (absolute) {
      needSmall |= 1 << in.base;
      needSmall |= in.index >= 0 ? 1 << in.index : 0;
      return true;
    }
    needAddress(in.base, all);
    needSmall |= in.index >= 0 ? 1 << in.index : 0;
    return true;
  }

  /** A displacement from here on is an address by itself. */
  static final long DISPLACED = 1 << 24;

  private boolean implicitOperands(Instruction in) {
    boolean all = in.addressSize == 8;
    boolean source = false;
    boolean destination = in.entry.has(TableEntry.RDI);
    for (int i = 0; i < in.operands; i++) {
      source |= in.kind[i] == Instruction.STRING_SOURCE;
      destination |= in.kind[i] == Instruction.STRING_DESTINATION;
    }
    if (source || destination) {
      boolean gs = in.segment == GS && (gsLost || in.mode == 32);
      if (in.addressSize == 2 || in.segment == FS || gs) {
        return false;
      }
    }
    if (source) {
      needAddress(RSI, all);
    }
    if (destination) {
      needAddress(CpuState.RDI, all);
    }
    // Which of two operands faults first is nobody's promise: not both from one strange address.
    if (source && destination && origin[RSI] == origin[CpuState.RDI]) {
      return false;
    }
    if (in.repeat != 0 && Effects.strings(in)) {
      needSmall |= 1 << RCX;
    }
    switch (in.op) {
      case PUSH, POP, PUSHF, PUSHA, POPA, CALL, RET -> needAddress(RSP, true);
      case ENTER -> {
        needAddress(RSP, true);
        if ((in.immediate2 & 31) != 0) {
          needAddress(RBP, true);
        }
      }
      case LEAVE -> needAddress(RBP, true);
      default -> {}
    }
    if (in.op == Op.JMP || in.op == Op.CALL) {
      if (in.kind[0] == Instruction.GPR) {
        needTarget |= 1 << in.register[0];
      }
    }
    if (in.entry.lowering() == Lowering.CONTROL) {
      // Where these lead is in memory, or on the first pages.
      return in.op != Op.RET && in.kind[0] != Instruction.MEMORY && in.operandSize != 2;
    }
    return true;
  }

  private boolean met() {
    if ((needAddress & needSmall) != 0 || (needTarget & (needAddress | needSmall)) != 0) {
      return false;
    }
    for (int r = 0; r < 16; r++) {
      int need = need(r);
      if (need != FREE && kind[r] != need && kind[r] != FREE) {
        return false;
      }
    }
    for (int r = 0; r < 16; r++) {
      int need = need(r);
      if (need != FREE) {
        if (kind[r] == FREE) {
          kind[r] = need;
          role[r] = need;
        }
        wide[origin[r]] |= (needWide >> r & 1) != 0;
      }
    }
    return true;
  }

  private int need(int register) {
    int bit = 1 << register;
    return (needAddress & bit) != 0
        ? ADDRESS
        : (needSmall & bit) != 0 ? SMALL : (needTarget & bit) != 0 ? TARGET : FREE;
  }

  private void apply(Instruction in) {
    int size = in.operandSize;
    switch (in.op) {
      case PUSH, PUSHF, CALL -> delta[RSP] -= size;
      case PUSHA -> delta[RSP] -= 8 * size;
      case POPA -> {
        delta[RSP] += 8 * size;
        forget(0xef);
      }
      case POP -> {
        delta[RSP] += size;
        forget(Effects.written(in) & ~(popsStackPointer(in) ? 0 : 1 << RSP));
      }
      case ENTER -> {
        delta[RSP] -= size;
        if (size == 2) {
          forget(1 << RBP);
        } else {
          copy(RBP, RSP, 0);
        }
        delta[RSP] -= (in.immediate2 & 31) * size + in.immediate;
      }
      case LEAVE -> {
        copy(RSP, RBP, size);
        forget(1 << RBP);
      }
      case MOVS, CMPS, STOS, SCAS -> {}
      case LODS -> forget(1);
      case WRGSBASE -> gsLost = true;
      default -> {
        if (!arithmetic(in)) {
          forget(Effects.written(in));
        }
      }
    }
  }

  private static boolean popsStackPointer(Instruction in) {
    return in.kind[0] == Instruction.GPR && in.register[0] == RSP;
  }

  /** Address arithmetic that real code does; false if the result is something else. */
  private boolean arithmetic(Instruction in) {
    if (in.operands == 0 || in.kind[0] != Instruction.GPR || in.size[0] < 4) {
      return false;
    }
    int to = in.register[0];
    switch (in.op) {
      case INC -> delta[to]++;
      case DEC -> {
        if (kind[to] != ADDRESS) {
          return false;
        }
        delta[to]--;
      }
      case ADD, SUB -> {
        boolean near = in.kind[1] == Instruction.IMMEDIATE && Math.abs(in.immediate) <= 256;
        if (kind[to] != ADDRESS || !near) {
          return false;
        }
        delta[to] += in.op == Op.ADD ? in.immediate : -in.immediate;
      }
      case MOV -> {
        if (in.kind[1] != Instruction.GPR || in.size[1] < 4) {
          return false;
        }
        int from = in.register[1];
        if (kind[from] != ADDRESS && kind[from] != SMALL) {
          return false;
        }
        copy(to, from, 0);
      }
      case LEA -> {
        boolean near = in.index < 0 && Math.abs(in.displacement) <= 1024 && in.addressSize > 2;
        if (in.base < 0 || in.base == Instruction.RIP_BASE || !near || kind[in.base] != ADDRESS) {
          return false;
        }
        copy(to, in.base, in.displacement);
      }
      default -> {
        return false;
      }
    }
    // A free register that was counted up is not what it was.
    if (kind[to] == FREE || kind[to] == TARGET) {
      kind[to] = UNKNOWN;
    }
    return true;
  }

  private void copy(int to, int from, long distance) {
    kind[to] = kind[from];
    origin[to] = origin[from];
    delta[to] = delta[from] + distance;
  }

  private void forget(int registers) {
    for (int r = 0; r < 16; r++) {
      if ((registers >> r & 1) != 0) {
        kind[r] = UNKNOWN;
      }
    }
  }

  /** The memory operand's place among the operands, -1 without one. */
  static int memory(Instruction in) {
    return memoryIndex(in);
  }

  /** True if it reads or writes its memory operand. */
  static boolean accesses(Instruction in) {
    return memoryIndex(in) >= 0 && !addressOnly(in);
  }

  /** XLAT's register is no part of the encoding. */
  static boolean fixedBase(Instruction in) {
    return in.entry.has(TableEntry.XLAT) && in.base == RBX;
  }
}
