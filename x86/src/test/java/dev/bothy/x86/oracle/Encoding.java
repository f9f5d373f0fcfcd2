package dev.bothy.x86.oracle;

import dev.bothy.x86.decode.Lowering;
import dev.bothy.x86.decode.TableEntry;

/**
 * Makes random bytes that fit an entry's encoding column. The tail (displacement, immediates) is
 * random.
 */
final class Encoding {
  /** Always this long, whatever the instruction's own length. */
  static final int SIZE = 32;

  final TableEntry entry;
  private int mandatory;
  private boolean noPrefix;
  private boolean noRepeat;
  private int w = -1;
  private int[] vex;
  private final int[] opcode = new int[5];
  private int opcodes;
  private int registers;
  private boolean modrm;
  private int digit = -1;
  private int mod = -1;
  private boolean noB;

  Encoding(TableEntry entry) {
    this.entry = entry;
    for (String token : entry.encoding().strip().split(" +")) {
      parse(token);
    }
  }

  private void parse(String token) {
    switch (token) {
      case "NP" -> noPrefix = true;
      case "NF" -> noRepeat = true;
      case "66", "F2", "F3" -> {
        if (opcodes == 0 && vex == null) {
          mandatory = Integer.parseInt(token, 16);
        } else {
          opcode[opcodes++] = Integer.parseInt(token, 16);
        }
      }
      case "W0" -> w = 0;
      case "W1" -> w = 1;
      case "mem" -> mod = 0;
      case "reg" -> mod = 3;
      case "noB" -> noB = true;
      case "/r" -> modrm = true;
      default -> {
        if (token.startsWith("/")) {
          modrm = true;
          digit = Integer.parseInt(token.substring(1));
        } else if (token.startsWith("VEX")) {
          parseVex(token.split("\\."));
        } else {
          String[] parts = token.split("\\+");
          opcode[opcodes++] = Integer.parseInt(parts[0], 16);
          if (parts.length > 1) {
            registers = parts[1].equals("cc") ? 15 : 7;
          }
        }
      }
    }
  }

  private void parseVex(String[] parts) {
    vex = new int[] {-1, 0, 1};
    for (String part : parts) {
      switch (part) {
        case "L0" -> vex[0] = 0;
        case "L1" -> vex[0] = 1;
        case "66" -> vex[1] = 1;
        case "F3" -> vex[1] = 2;
        case "F2" -> vex[1] = 3;
        case "0F38" -> vex[2] = 2;
        case "0F3A" -> vex[2] = 3;
        case "W0" -> w = 0;
        case "W1" -> w = 1;
        default -> {}
      }
    }
  }

  /** Where {@link #random} last put the ModRM byte, -1 without one. */
  int modrmAt;

  /**
   * Fills {@code out} with prefixes, opcode and ModRM that fit, then random bytes. {@code mode} is
   * 32 or 64.
   */
  void random(Dice dice, int mode, byte[] out) {
    for (int i = 0; i < SIZE; i += 8) {
      long random = dice.next();
      for (int j = 0; j < 8; j++) {
        out[i + j] = (byte) (random >>> 8 * j);
      }
    }
    int at = prefixes(dice, out);
    if (vex != null) {
      at = vexPrefix(dice, mode, out, at);
    } else if (mode == 64 && (w == 1 || dice.chance(50))) {
      int rex = 0x40 | (int) dice.next() & (noB ? 14 : 15);
      if (w >= 0) {
        rex = rex & ~8 | w << 3;
      } else if (dice.chance(30)) {
        rex &= ~8;
      }
      out[at++] = (byte) rex;
    }
    for (int i = 0; i < opcodes; i++) {
      out[at++] = (byte) opcode[i];
    }
    if (registers != 0) {
      out[at - 1] |= (byte) (dice.next() & registers);
    }
    modrmAt = modrm ? at : -1;
    if (modrm) {
      int value = (int) dice.next() & 0xff;
      if (digit >= 0) {
        value = value & ~0x38 | digit << 3;
      }
      if (entry.has(TableEntry.VSIB)) {
        value = value & ~7 | 4;
      }
      if (mod == 3) {
        value |= 0xc0;
      } else if (mod == 0 && value >= 0xc0) {
        value ^= 0x40 << dice.below(2);
      } else if (mod < 0 && dice.chance(20)) {
        value |= 0xc0;
      }
      out[at] = (byte) value;
    }
  }

  private int prefixes(Dice dice, byte[] out) {
    int at = 0;
    if (dice.chance(10)) {
      int[] segments = {0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65, 0x64, 0x65};
      out[at++] = (byte) segments[dice.below(8)];
    }
    if (dice.chance(15)) {
      out[at++] = 0x67;
    }
    boolean locked = entry.has(TableEntry.LOCK) && dice.chance(25);
    if (locked || dice.below(300) == 0) {
      out[at++] = (byte) 0xf0;
    }
    boolean repeats = entry.has(TableEntry.REP) || entry.has(TableEntry.REPE);
    // Repeat prefixes that mean nothing: not on branches, where processors differ.
    boolean plain =
        !noPrefix && !noRepeat && mandatory == 0 && entry.lowering() != Lowering.CONTROL;
    if (repeats ? dice.chance(60) : plain && dice.chance(1)) {
      out[at++] = (byte) (0xf2 + dice.below(2));
    }
    if (vex != null) {
      return at;
    }
    if (mandatory == 0) {
      if (!noPrefix && dice.chance(25)) {
        out[at++] = 0x66;
      }
    } else {
      if (mandatory != 0x66 && dice.chance(5)) {
        out[at++] = 0x66;
      }
      out[at++] = (byte) mandatory;
    }
    return at;
  }

  private int vexPrefix(Dice dice, int mode, byte[] out, int at) {
    int random = (int) dice.next();
    int length = vex[0] >= 0 ? vex[0] : random >> 8 & 1;
    int wide = w >= 0 ? w : random >> 9 & 1;
    out[at++] = (byte) 0xc4;
    // In 32-bit code the first two bits must be ones: it is LES otherwise.
    out[at++] = (byte) (vex[2] | (mode == 64 ? random & 0xe0 : 0xc0 | random & 0x20));
    boolean named = entry.operands().stream().anyMatch(o -> "BH".indexOf(o.charAt(0)) >= 0);
    // A register that no operand names must be 15.
    int register = named || dice.chance(5) ? random >> 16 & 0x78 : 0x78;
    out[at++] = (byte) (wide << 7 | register | length << 2 | vex[1]);
    return at;
  }
}
