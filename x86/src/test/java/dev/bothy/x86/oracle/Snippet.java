package dev.bothy.x86.oracle;

import static dev.bothy.host.RawMemory.getLong;
import static dev.bothy.host.RawMemory.putInt;
import static dev.bothy.host.RawMemory.putLong;
import static dev.bothy.host.RawMemory.putShort;
import static dev.bothy.x86.oracle.Layout.*;

import dev.bothy.core.cpu.CpuState;
import dev.bothy.host.RawMemory;
import dev.bothy.x86.decode.Decoder;
import dev.bothy.x86.decode.Instruction;
import dev.bothy.x86.decode.Lowering;
import dev.bothy.x86.decode.Op;
import dev.bothy.x86.decode.TableEntry;
import java.lang.foreign.ValueLayout;

/**
 * One instruction in its slot and the random states it is run with. Reused; belongs to one thread.
 */
final class Snippet {
  /** Null, kernel and user segments, system segments, the local table, beyond the table. */
  private static final int[] SELECTORS_TRIED = {
    0, 3, 0x08, 0x10, 0x18, 0x23, 0x2b, 0x2b, 0x33, 0x38, 0x40, 0x48, 0x50, 0x60, 0x0c, 0x80, 0x2b,
    0x23
  };

  final byte[] code = new byte[Encoding.SIZE];
  final Instruction instruction = new Instruction();

  /** Linear address of the instruction. */
  long address;

  /** Linear address of the memory operand, 0 without one. */
  long operand;

  private final Dice dice;
  private final RandomState random;

  Snippet(Dice dice, RandomState random) {
    this.dice = dice;
    this.random = random;
  }

  /**
   * Chooses random bytes of {@code encoding} for {@code slot}; false if they are no instruction of
   * the table.
   *
   * @param mode 32 or 64
   */
  boolean choose(Encoding encoding, int slot, int mode) {
    encoding.random(dice, mode, code);
    if (Decoder.decode(code, 0, 15, mode, instruction) != Decoder.OK) {
      return false;
    }
    address = CODE + (long) slot * SLOT_SIZE + SLOT_INSTRUCTION;
    operand = 0;
    // The host's own FS base is taken; GS is ours.
    putLong(INPUT + GS_BASE, mode == 64 && dice.chance(50) ? (dice.below(4096) - 2048) * 16L : 0);
    if (!reachable()) {
      return false;
    }
    aimBranch();
    aimAbsolute();
    return true;
  }

  /**
   * False if the segment base, which on the host is that of the C library's thread data, is so far
   * away that the operand would lie around it.
   */
  private boolean reachable() {
    if (instruction.entry.has(TableEntry.VSIB)
        && (instruction.segment == CpuState.FS
            || instruction.base < 0 && Math.abs(instruction.displacement) > 1 << 30)) {
      return false; // indices of 4 bytes do not reach that far
    }
    if (instruction.entry.has(TableEntry.BITSTRING) && memoryOperand() >= 0) {
      // The offset must be small: not an address at the same time.
      int offset = instruction.register[1];
      if (instruction.kind[1] == Instruction.GPR
          && (offset == CpuState.RSP
              || offset == instruction.base
              || offset == instruction.index)) {
        return false;
      }
    }
    if (instruction.base == CpuState.RSP && instruction.index >= 0) {
      // The stack itself must stay where it is: on the host it could be anybody's memory.
      switch (instruction.op) {
        case PUSH, POP, CALL -> {
          return false;
        }
        default -> {}
      }
    }
    if (instruction.addressSize == 2 && (instruction.op == Op.CMPS || instruction.op == Op.MOVS)) {
      return false; // both operands fault: the order is nobody's promise
    }
    if (instruction.mode == 32) {
      // What is left of a base behind a null selector is nobody's business.
      return instruction.segment != CpuState.FS && instruction.segment != CpuState.GS;
    }
    if (instruction.segment != CpuState.FS) {
      return true;
    }
    boolean register =
        memoryOperand() < 0
            || instruction.base >= 0 && instruction.base != Instruction.RIP_BASE
            || instruction.index >= 0;
    return register && instruction.addressSize == 8;
  }

  /** Relative branches go to the slot's landing places. */
  private void aimBranch() {
    for (int i = 0; i < instruction.operands; i++) {
      if (instruction.kind[i] == Instruction.RELATIVE) {
        long slot = address - SLOT_INSTRUCTION;
        long target = slot + (dice.chance(50) ? SLOT_BACK : SLOT_FORWARD);
        long displacement = target - address - instruction.length;
        boolean far = instruction.opcode >= 0xe8 && instruction.opcode <= 0xe9;
        boolean conditional = instruction.opcode >= 0x80 && instruction.opcode < 0x90;
        if (!far && !conditional) {
          code[instruction.length - 1] = (byte) displacement;
        } else {
          // AMD: with 66 the displacement has 2 bytes, and the target loses its upper 48 bits.
          patch(instruction.length, instruction.operandSize == 2 ? 2 : 4, displacement);
        }
        redecode();
      }
    }
  }

  /** Addresses without registers are part of the code. */
  private void aimAbsolute() {
    if (memoryOperand() < 0) {
      return;
    }
    boolean relative = instruction.base == Instruction.RIP_BASE;
    if (!relative && (instruction.base >= 0 || instruction.index >= 0)) {
      return;
    }
    operand = DATA + PAGE + (dice.below(256) - 128 << 4) + (dice.chance(30) ? dice.below(16) : 0);
    if (dice.chance(10)) {
      operand = DATA + DATA_SIZE - dice.below(memorySize() + 2);
    }
    long displacement = operand - segmentBase();
    if (relative) {
      displacement -= address + instruction.length;
    }
    if (instruction.addressSize == 2) {
      return;
    }
    boolean moffs = (instruction.opcode & 0xfc) == 0xa0 && instruction.modrm < 0;
    int size = moffs ? instruction.addressSize : 4;
    int immediates = moffs ? 0 : immediateBytes();
    patch(instruction.length - immediates, size, displacement);
    redecode();
  }

  private int immediateBytes() {
    // Where the displacement ends: its place does not depend on its value, so change it and look.
    for (int immediates = 0; immediates <= 8; immediates++) {
      int at = instruction.length - immediates - 4;
      byte saved = code[at];
      long before = instruction.displacement;
      code[at] ^= 1;
      redecode();
      boolean found = (instruction.displacement ^ before) == 1;
      code[at] = saved;
      redecode();
      if (found) {
        return immediates;
      }
    }
    throw new IllegalStateException("no displacement in " + instruction.entry);
  }

  private void patch(int end, int size, long value) {
    for (int i = 0; i < size; i++) {
      code[end - size + i] = (byte) (value >> 8 * i);
    }
  }

  private void redecode() {
    if (Decoder.decode(code, 0, 15, instruction.mode, instruction) != Decoder.OK) {
      throw new IllegalStateException("displacement changed the instruction");
    }
  }

  private int memoryOperand() {
    for (int i = 0; i < instruction.operands; i++) {
      if (instruction.kind[i] == Instruction.MEMORY) {
        return i;
      }
    }
    return -1;
  }

  private int memorySize() {
    return Math.max(1, instruction.size[memoryOperand()]);
  }

  private long segmentBase() {
    return switch (instruction.segment) {
      case CpuState.FS -> getLong(INPUT + FS_BASE);
      case CpuState.GS -> getLong(INPUT + GS_BASE);
      default -> 0;
    };
  }

  /**
   * An address for {@code size} bytes: aligned or not, across the page boundary, at the ends, or
   * outside.
   */
  private long target(int size) {
    int where = dice.below(64);
    long middle = DATA + PAGE;
    if (where < 40) {
      return middle + (dice.below(256) - 128 << 4);
    }
    if (where < 52) {
      return middle + dice.below(4096) - 2048;
    }
    if (where < 58) {
      return middle - dice.below(size + 1);
    }
    return switch (where) {
      case 58 -> DATA + DATA_SIZE - dice.below(size + 2);
      case 59 -> DATA - dice.below(size + 1);
      case 60 -> READ_ONLY + (dice.below(64) << 4);
      case 61 -> DATA + DATA_SIZE - size;
      case 62 -> dice.chance(50) ? 0x0000_8000_0000_0000L + dice.below(99) * 16L : DATA;
      default -> DATA + 3L * PAGE;
    };
  }

  /** Fills {@link Layout#INPUT} and {@link Layout#DATA} with a new random state. */
  void newState() {
    random.data();
    for (int i = 0; i < 16; i++) {
      putLong(INPUT + GPR + 8 * i, Values.integer(dice));
    }
    long stack = DATA + PAGE + (dice.below(128) - 64) * 8L;
    if (dice.below(64) == 0) {
      stack = target(8);
    }
    putLong(INPUT + GPR + 8 * CpuState.RSP, stack);
    if (instruction.mode == 32) {
      for (int i = 0; i < 16; i++) {
        putInt(INPUT + GPR + 8 * i + 4, 0);
      }
    }
    putLong(INPUT + RIP, address);
    putLong(INPUT + RFLAGS, 0x202 | dice.next() & 0xcd5);
    random.floating(75);
    implicitOperands();
    if (memoryOperand() >= 0) {
      aimOperand();
      random.operand(instruction, memorySize(), operand);
    }
    aimIndirectBranch();
    chooseSelector();
  }

  /** Selectors of every kind in the places where one is loaded from. */
  private void chooseSelector() {
    int size;
    switch (instruction.op) {
      case MOV, POP -> {
        if (instruction.kind[0] != Instruction.SEGMENT_REGISTER) {
          return;
        }
        size = 0;
      }
      case LAR, LSL, VERR, VERW -> size = 0;
      case LES, LDS, LSS, LFS, LGS -> size = instruction.operandSize;
      default -> {
        return;
      }
    }
    int selector =
        SELECTORS_TRIED[dice.below(SELECTORS_TRIED.length)] | dice.below(4) * dice.below(2);
    if (selector < 4) {
      selector = 0; // Linux does not keep the RPL of null selectors across a context switch
    }
    int last = instruction.operands - 1;
    long at = instruction.op == Op.POP ? getLong(INPUT + GPR + 8 * CpuState.RSP) : operand;
    if (instruction.op != Op.POP && instruction.kind[last] == Instruction.GPR) {
      if (instruction.register[last] != CpuState.RSP) {
        putShort(INPUT + GPR + 8 * instruction.register[last], (short) selector);
      }
    } else if (at >= DATA && at <= DATA + DATA_SIZE - size - 2) {
      putShort(at + size, (short) selector);
    }
  }

  /** Targets that come from a register, memory or the stack: mostly a landing place. */
  private void aimIndirectBranch() {
    if (instruction.entry.lowering() != Lowering.CONTROL || dice.chance(10)) {
      return;
    }
    long target = address - SLOT_INSTRUCTION + (dice.chance(50) ? SLOT_BACK : SLOT_FORWARD);
    if (instruction.op == Op.RET) {
      long stack = getLong(INPUT + GPR + 8 * CpuState.RSP);
      if (stack >= DATA && stack <= DATA + DATA_SIZE - 8) {
        putLong(stack, target);
      }
    } else if (instruction.operands > 0 && instruction.kind[0] == Instruction.GPR) {
      putLong(INPUT + GPR + 8 * instruction.register[0], target);
    } else if (memoryOperand() >= 0 && operand >= DATA && operand <= DATA + DATA_SIZE - 8) {
      putLong(operand, target);
    }
  }

  /** Strings, bit strings and counts whose addresses come from fixed registers. */
  private void implicitOperands() {
    TableEntry entry = instruction.entry;
    boolean source = false;
    boolean destination = entry.has(TableEntry.RDI);
    for (int i = 0; i < instruction.operands; i++) {
      source |= instruction.kind[i] == Instruction.STRING_SOURCE;
      destination |= instruction.kind[i] == Instruction.STRING_DESTINATION;
    }
    if (source) {
      aimRegister(CpuState.RSI, target(8) - segmentBase());
    }
    if (destination) {
      long base = entry.has(TableEntry.RDI) ? segmentBase() : 0;
      // Which of two operands faults first is nobody's promise: one of them is always good.
      boolean free = !source || dice.chance(50);
      aimRegister(CpuState.RDI, free ? target(8) - base : DATA + PAGE + dice.below(512));
      if (source && free) {
        aimRegister(CpuState.RSI, DATA + PAGE + dice.below(512) - segmentBase());
      }
    }
    if (instruction.repeat != 0) {
      aimRegister(CpuState.RCX, dice.below(dice.chance(90) ? 9 : 300));
    }
    if (instruction.op == Op.ENTER || instruction.op == Op.LEAVE) {
      putLong(INPUT + GPR + 8 * CpuState.RBP, DATA + PAGE + dice.below(512));
    }
    if (entry.has(TableEntry.BITSTRING)) {
      int register = instruction.register[1];
      long offset = dice.below(4096) - 2048;
      int size = instruction.operandSize;
      long kept = size == 8 ? 0 : getLong(INPUT + GPR + 8 * register) & -1L << 8 * size;
      long low = size == 8 ? offset : offset & (1L << 8 * size) - 1;
      if (register != CpuState.RSP) {
        putLong(INPUT + GPR + 8 * register, kept | low);
      }
    }
  }

  /** Gives a register the address of something; what lies above the address size is random. */
  private void aimRegister(int register, long value) {
    if (instruction.mode == 32) {
      value &= 0xffff_ffffL;
    } else if (instruction.addressSize == 4) {
      value = value & 0xffff_ffffL | dice.next() << 32;
    }
    putLong(INPUT + GPR + 8 * register, value);
  }

  /** Chooses base and indices so that each element lies at a target of its own. */
  private void aimGather() {
    long base = instruction.displacement + segmentBase();
    if (instruction.base >= 0) {
      long offset = dice.below(512) * 8L;
      aimRegister(instruction.base, DATA + offset - base);
      base = DATA + offset;
    }
    boolean quads = (instruction.opcode & 1) != 0;
    long spread = dice.chance(70) ? DATA + PAGE + dice.below(64) : 0;
    for (int n = 0; n < (quads ? 4 : 8); n++) {
      long place = spread != 0 ? spread + dice.below(1024) : target(memorySize());
      long index = Math.floorDiv(place - base, 1L << instruction.scale);
      if (quads) {
        putLong(element(8 * n), index);
      } else {
        putInt(element(4 * n), (int) index);
      }
    }
  }

  /** Where byte {@code at} of the index register is. */
  private long element(int at) {
    long register = 16L * instruction.index + (at & 15);
    return INPUT + (at < 16 ? FX_XMM : YMM_UPPER) + register;
  }

  /** Chooses registers so that the memory operand lies at a target. */
  private void aimOperand() {
    if (instruction.entry.has(TableEntry.VSIB)) {
      operand = 0;
      aimGather();
      return;
    }
    int base = instruction.base;
    int index = instruction.index;
    if (base == Instruction.RIP_BASE || base < 0 && index < 0) {
      return;
    }
    long target = target(memorySize());
    if (base == index && target >> 32 != 0) {
      target = DATA;
    }
    long wanted = target - segmentBase() - instruction.displacement;
    if (base < 0) {
      aimRegister(index, floor(wanted, 1L << instruction.scale));
    } else if (index < 0) {
      aimRegister(base, instruction.entry.has(TableEntry.XLAT) ? wanted - 128 : wanted);
    } else if (base == index) {
      aimRegister(base, floor(wanted, (1L << instruction.scale) + 1));
    } else {
      long scaled = getLong(INPUT + GPR + 8 * index) << instruction.scale;
      aimRegister(base, wanted - scaled);
    }
    long effective = instruction.displacement;
    effective += getLong(INPUT + GPR + 8 * base(base));
    if (base < 0) {
      effective = instruction.displacement;
    }
    if (index >= 0) {
      effective += getLong(INPUT + GPR + 8 * index) << instruction.scale;
    }
    if (instruction.addressSize == 4) {
      effective &= 0xffff_ffffL;
    }
    operand = effective + segmentBase();
  }

  private static int base(int register) {
    return Math.max(register, 0);
  }

  private long floor(long value, long divisor) {
    return instruction.addressSize == 4
        ? (value & 0xffff_ffffL) / divisor
        : Math.floorDiv(value, divisor);
  }

  /** The instruction's bytes in hexadecimal. */
  String hex() {
    return java.util.HexFormat.of().formatHex(code, 0, instruction.length);
  }

  /** The data as it is now, to look at after a failure. */
  static byte[] data() {
    return RawMemory.segment(DATA, DATA_SIZE).toArray(ValueLayout.JAVA_BYTE);
  }
}
