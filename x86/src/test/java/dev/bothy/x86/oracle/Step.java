package dev.bothy.x86.oracle;

import static dev.bothy.x86.oracle.Layout.*;

import dev.bothy.x86.decode.Decoder;
import dev.bothy.x86.decode.Instruction;
import dev.bothy.x86.decode.Lowering;
import dev.bothy.x86.decode.Op;

/**
 * One instruction of a sequence: random bytes of a row of the table, changed so that its operands
 * can be reached with what {@link Provenance} knows.
 */
final class Step {
  /** Where the addresses of operands without registers gather. */
  private static final long MIDDLE = DATA + PAGE;

  final Instruction in = new Instruction();
  private final byte[] code = new byte[Encoding.SIZE];
  private int displacementAt;

  /** Where a RIP-relative operand lies, before the segment's base is added. */
  private long relativeTo;

  /** Linear address of the instruction, once it is placed. */
  long address;

  /**
   * Makes it random bytes of {@code encoding}; false if they are no instruction or its operands
   * cannot be reached.
   */
  boolean choose(Dice dice, Encoding encoding, int mode, Provenance known) {
    encoding.random(dice, mode, code);
    if (!decode(mode)) {
      return false;
    }
    boolean adapted = true;
    if (Provenance.accesses(in) && !Provenance.fixedBase(in)) {
      adapted = encoding.modrmAt < 0 ? moffs(dice) : modrm(dice, encoding.modrmAt, known);
    } else if (in.op == Op.LEA && encoding.modrmAt >= 0) {
      nearby(dice, encoding.modrmAt, known);
    } else if (in.op == Op.ENTER) {
      code[in.length - 3] = (byte) (dice.below(12) * 8);
      code[in.length - 2] = 0;
    }
    return adapted && decode(mode);
  }

  private boolean decode(int mode) {
    return Decoder.decode(code, 0, 15, mode, in) == Decoder.OK;
  }

  /** MOV with an absolute address in the instruction. */
  private boolean moffs(Dice dice) {
    if (in.addressSize == 2 || in.modrm >= 0 || (in.opcode & 0xfc) != 0xa0) {
      return false;
    }
    displacementAt = in.length - in.addressSize;
    patch(displacementAt, in.addressSize, absolute(dice));
    return true;
  }

  private long absolute(Dice dice) {
    if (dice.below(40) == 0) {
      return DATA + DATA_SIZE - dice.below(size() + 2);
    }
    boolean aligned = dice.chance(size() == 16 ? 95 : 60);
    return MIDDLE + (dice.below(64) - 32) * 16L + (aligned ? 0 : dice.below(16));
  }

  private int size() {
    return Math.max(1, in.size[Provenance.memory(in)]);
  }

  /** Chooses base, index and displacement. */
  private boolean modrm(Dice dice, int modrmAt, Provenance known) {
    if (in.addressSize == 2) {
      return false;
    }
    int mod = code[modrmAt] >> 6 & 3;
    boolean sib = (code[modrmAt] & 7) == 4;
    int baseAt = sib ? modrmAt + 1 : modrmAt;
    boolean relative = in.base == Instruction.RIP_BASE;
    boolean based = in.base >= 0 && !relative;
    boolean table = based && mod == 2 && known.kind(in.base) == Provenance.SMALL;
    if (based && !table && known.kind(in.base) != Provenance.ADDRESS) {
      int better = pick(dice, known, in.base & 8, Provenance.ADDRESS, mod == 0, !sib);
      if (better < 0) {
        return false;
      }
      code[baseAt] = (byte) (code[baseAt] & ~7 | better & 7);
    }
    if (in.index >= 0 && known.kind(in.index) != Provenance.SMALL) {
      int better = pick(dice, known, in.index & 8, Provenance.SMALL, false, true);
      if (better < 0 && in.index >= 8) {
        return false;
      }
      code[baseAt] = (byte) (code[baseAt] & ~0x38 | (better < 0 ? 4 : better & 7) << 3);
    }
    displacementAt = modrmAt + (sib ? 2 : 1);
    int length = mod == 1 ? 1 : mod == 2 || !based ? 4 : 0;
    if (relative) {
      relativeTo = absolute(dice);
    } else if (!based || table) {
      patch(displacementAt, 4, absolute(dice));
    } else if (length > 0) {
      if (!decode(in.mode)) {
        return false;
      }
      patch(displacementAt, length, displacement(dice, length, known.delta(in.base)));
    }
    return true;
  }

  /** LEA: mostly of an address that is known, so that something can be done with the result. */
  private void nearby(Dice dice, int modrmAt, Provenance known) {
    boolean sib = (code[modrmAt] & 7) == 4;
    if (sib || in.base < 0 || in.base == Instruction.RIP_BASE || in.addressSize == 2) {
      return;
    }
    int mod = code[modrmAt] >> 6 & 3;
    int better = pick(dice, known, in.base & 8, Provenance.ADDRESS, mod == 0, true);
    if (better >= 0) {
      code[modrmAt] = (byte) (code[modrmAt] & ~7 | better & 7);
      if (mod != 0) {
        patch(modrmAt + 1, mod == 1 ? 1 : 4, displacement(dice, 1, 0));
      }
    }
  }

  /** A small displacement that mostly keeps the operand's alignment. */
  private long displacement(Dice dice, int length, long delta) {
    long near =
        switch (dice.below(length == 1 ? 4 : 5)) {
          case 0, 1 -> dice.below(32) - 16;
          case 2, 3 -> dice.below(224) - 112;
          default -> dice.below(1024) - 512;
        };
    boolean memory = Provenance.memory(in) >= 0;
    int size = memory ? Math.min(size(), 16) : 1;
    if (memory && dice.chance(size == 16 ? 95 : 60)) {
      near -= near + delta & Integer.highestOneBit(size) - 1;
    }
    return near;
  }

  /** A register of one half that is of a kind, or still free; -1 if there is none. */
  private static int pick(
      Dice dice, Provenance known, int half, int kind, boolean notBp, boolean notSp) {
    int found = -1;
    int weight = 0;
    for (int r = half; r < half + 8; r++) {
      if (notBp && (r & 7) == 5 || notSp && (r & 7) == 4) {
        continue;
      }
      int own = known.kind(r) == kind ? 3 : known.kind(r) == Provenance.FREE ? 1 : 0;
      weight += own;
      if (own > 0 && dice.below(weight) < own) {
        found = r;
      }
    }
    return found;
  }

  private void patch(int at, int size, long value) {
    for (int i = 0; i < size; i++) {
      code[at + i] = (byte) (value >> 8 * i);
    }
  }

  /** True for a branch whose target is in the instruction. */
  boolean branchesRelative() {
    return in.operands > 0 && in.kind[0] == Instruction.RELATIVE;
  }

  /** True for a branch to the address in a register. */
  boolean branchesToRegister() {
    return in.entry.lowering() == Lowering.CONTROL
        && in.operands > 0
        && in.kind[0] == Instruction.GPR;
  }

  /** Settles what depends on where it is: RIP-relative operands. */
  void place(long at) {
    address = at;
    if (Provenance.accesses(in) && in.base == Instruction.RIP_BASE) {
      patch(displacementAt, 4, relativeTo - at - in.length);
      decode(in.mode);
    }
  }

  /** Settles a relative branch's target; false if it is out of reach. */
  boolean aim(long target) {
    long displacement = target - address - in.length;
    boolean near = in.opcode >= 0xe8 && in.opcode <= 0xe9 || in.opcode >= 0x80 && in.opcode < 0x90;
    if (!near && (byte) displacement != displacement) {
      return false;
    }
    int size = near ? 4 : 1;
    patch(in.length - size, size, displacement);
    return decode(in.mode);
  }

  byte[] bytes() {
    return java.util.Arrays.copyOf(code, in.length);
  }
}
