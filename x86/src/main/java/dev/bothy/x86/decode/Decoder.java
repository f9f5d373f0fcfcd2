package dev.bothy.x86.decode;

/**
 * Decodes machine code into {@link Instruction}s by the instruction table: Intel SDM volume 2,
 * chapter 2, and AMD64 APM volume 3, chapter 1, with AMD's rules where vendors differ (0x66 on near
 * branches in 64-bit code makes them 16-bit).
 *
 * <p>Does not look at CPUID: the caller checks {@link TableEntry#feature}, and takes {@link
 * TableEntry#fallback} where there is one. Stateless, allocates nothing, and never throws for any
 * bytes.
 */
public final class Decoder {
  /** Decoded. */
  public static final int OK = 0;

  /** No such instruction: #UD. {@code length} is as far as decoding went. */
  public static final int INVALID = 1;

  /** The bytes end before the instruction does. */
  public static final int TRUNCATED = 2;

  /** Longer than 15 bytes: #GP(0). */
  public static final int TOO_LONG = 3;

  /** Bytes of the longest instruction. */
  public static final int MAX_LENGTH = 15;

  /**
   * Legacy prefixes by byte: 1 segment override, 2 operand size, 3 address size, 4 LOCK, 5 repeat;
   * else 0.
   */
  private static final byte[] PREFIX = new byte[256];

  private static final int SEGMENT_PREFIX = 1;
  private static final int OPERAND_PREFIX = 2;
  private static final int ADDRESS_PREFIX = 3;
  private static final int LOCK_PREFIX = 4;
  private static final int REPEAT_PREFIX = 5;

  static {
    for (int b : new int[] {0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65}) {
      PREFIX[b] = SEGMENT_PREFIX;
    }
    PREFIX[0x66] = OPERAND_PREFIX;
    PREFIX[0x67] = ADDRESS_PREFIX;
    PREFIX[0xf0] = LOCK_PREFIX;
    PREFIX[0xf2] = REPEAT_PREFIX;
    PREFIX[0xf3] = REPEAT_PREFIX;
  }

  /** Prefix bytes by their place in a row's key. */
  private static final int[] PREFIX_BYTE = {0, 0x66, 0xf3, 0xf2};

  private Decoder() {}

  /**
   * Decodes the bytes {@code code[offset..limit)} as {@code mode}-bit code (16, 32 or 64) into
   * {@code out}. Anything but OK leaves {@code out} without meaning but for its length; after
   * INVALID its entry is null, or a row that no processor model has.
   *
   * @return {@link #OK}, {@link #INVALID}, {@link #TRUNCATED} or {@link #TOO_LONG}
   * @throws IndexOutOfBoundsException if the range is not inside {@code code}
   */
  public static int decode(byte[] code, int offset, int limit, int mode, Instruction out) {
    int end = Math.min(limit, offset + MAX_LENGTH);
    out.entry = null;
    out.op = null;
    out.mode = mode;
    out.vex = 0;
    out.vexRegister = 0;
    out.vexL = false;
    out.modrm = -1;
    out.operands = 0;
    out.base = -1;
    out.index = -1;
    out.scale = 0;
    out.displacement = 0;
    out.immediate = 0;
    out.immediate2 = 0;
    out.lock = false;

    int p = offset;
    int rex = 0;
    int repeat = 0;
    int segment = -1;
    boolean dataSegment = false;
    boolean operandPrefix = false;
    boolean addressPrefix = false;
    int b;
    for (; ; ) {
      if (p >= end) {
        return ends(p, offset, out);
      }
      b = code[p++] & 0xff;
      int kind = PREFIX[b];
      if (kind == 0) {
        if (mode == 64 && (b & 0xf0) == 0x40) {
          rex = b;
          continue;
        }
        break;
      }
      rex = 0;
      switch (kind) {
        case SEGMENT_PREFIX -> {
          if (b >= 0x64) {
            segment = b - 0x60;
          } else if (mode != 64) {
            segment = b >> 3 & 3;
          }
          dataSegment |= b == 0x3e;
        }
        case OPERAND_PREFIX -> operandPrefix = true;
        case ADDRESS_PREFIX -> addressPrefix = true;
        case LOCK_PREFIX -> out.lock = true;
        default -> repeat = b;
      }
    }
    out.segmentOverride = segment >= 0;
    out.noTrack = dataSegment && segment == (mode == 64 ? -1 : ModRm.DS);
    out.segment = segment >= 0 ? segment : ModRm.DS;
    out.operandSizePrefix = operandPrefix;
    if (mode == 64) {
      out.addressSize = addressPrefix ? 4 : 8;
    } else {
      out.addressSize = (mode == 32) == addressPrefix ? 2 : 4;
    }

    // The opcode: map, and selecting prefix.
    int map;
    int prefix;
    int vvvv = 0;
    if (b == 0x0f) {
      if (p >= end) {
        return ends(p, offset, out);
      }
      b = code[p++] & 0xff;
      map = 1;
      if (b == 0x38 || b == 0x3a) {
        map = b == 0x38 ? 2 : 3;
        if (p >= end) {
          return ends(p, offset, out);
        }
        b = code[p++] & 0xff;
      }
      prefix = select(repeat, operandPrefix);
    } else if (b == 0xc4 || b == 0xc5 || b == 0x62) {
      if (p >= end) {
        return ends(p, offset, out);
      }
      if (mode == 64 || (code[p] & 0xc0) == 0xc0) {
        if (b == 0x62) {
          return VectorLength.evex(code, p, end, offset, mode, out);
        }
        if ((rex | repeat) != 0 || operandPrefix || out.lock) {
          out.length = p - offset;
          return INVALID;
        }
        int first = code[p++] & 0xff;
        int second = first;
        map = 1;
        rex = ~first >> 5 & 4;
        if (b == 0xc4) {
          if (p >= end) {
            return ends(p, offset, out);
          }
          second = code[p++] & 0xff;
          map = first & 0x1f;
          rex = ~first >> 5 & 7 | second >> 4 & 8;
        }
        if (mode != 64) {
          rex &= 8;
        }
        if (p >= end) {
          return ends(p, offset, out);
        }
        b = code[p++] & 0xff;
        out.vex = 1;
        out.vexL = (second & 4) != 0;
        vvvv = ~second >> 3 & 15;
        out.vexRegister = mode == 64 ? vvvv : vvvv & 7;
        // VEX.pp counts as the key does: none, 66, F3, F2.
        prefix = second & 3;
        if (map < 1 || map > 3 || !InstructionTable.has(map + InstructionTable.VEX_MAPS << 8 | b)) {
          return VectorLength.vex(code, p, end, offset, map, b, out);
        }
        map += InstructionTable.VEX_MAPS;
      } else {
        map = 0;
        prefix = select(repeat, operandPrefix);
      }
    } else {
      map = 0;
      prefix = select(repeat, operandPrefix);
    }
    out.opcode = b;
    out.rex = out.vex == 0 ? rex : 0;
    boolean w = (rex & 8) != 0;
    out.w = w;

    // The row.
    int slot = map << 8 | b;
    if (!InstructionTable.has(slot)) {
      out.length = p - offset;
      return INVALID;
    }
    int key =
        Form.KEY_PREFIX << prefix
            | Form.KEY_MODE << (mode >> 5)
            | (w ? Form.KEY_W << 1 : Form.KEY_W)
            | (out.vexL ? Form.KEY_L << 1 : Form.KEY_L)
            | ((rex & 1) != 0 ? Form.KEY_B << 1 : Form.KEY_B);
    int modrm = 0;
    boolean hasModrm = InstructionTable.hasModrm(slot);
    if (hasModrm) {
      if (p >= end) {
        return ends(p, offset, out);
      }
      modrm = code[p++] & 0xff;
      out.modrm = modrm;
      key |= InstructionTable.modrmKey(modrm);
    }
    Form form = InstructionTable.find(slot, key, modrm);
    if (form == null || out.vex != 0 && !form.vvvv && vvvv != 0) {
      if (out.vex != 0) {
        return VectorLength.vex(code, p - 1, end, offset, map - InstructionTable.VEX_MAPS, b, out);
      }
      out.length = p - offset;
      return INVALID;
    }
    int attributes = form.attributes;
    out.entry = form.entry;
    out.op = form.entry.op();
    out.repeat = form.mandatoryPrefix ? 0 : repeat;
    out.map = map & InstructionTable.VEX_MAPS - 1;
    out.mandatoryPrefix = form.mandatoryPrefix ? PREFIX_BYTE[prefix] : 0;
    out.operandSize = operandSize(mode, w, operandPrefix, attributes);

    // The operands.
    if (hasModrm && modrm < 0xc0 && (attributes & TableEntry.ANYMOD) == 0) {
      p = ModRm.memory(code, p, end, modrm, rex, out);
      if (p < 0) {
        return ends(end, offset, out);
      }
    }
    if ((attributes & TableEntry.RDI) != 0) {
      out.base = 7;
    }
    p = Operands.fill(code, p, end, form, modrm, rex, out);
    if (p < 0) {
      return ends(end, offset, out);
    }
    out.length = p - offset;
    if (form.entry.absent() != null || out.lock && !lockable(attributes, out)) {
      return INVALID;
    }
    if ((attributes & (TableEntry.CR8LOCK | TableEntry.LOADSEGMENT | TableEntry.ANYMOD)) != 0
        || out.kind[0] == Instruction.SEGMENT_REGISTER
        || out.operands > 1 && out.kind[1] == Instruction.SEGMENT_REGISTER) {
      return systemRegister(attributes, out);
    }
    return OK;
  }

  private static int ends(int p, int offset, Instruction out) {
    out.length = p - offset;
    return p - offset >= MAX_LENGTH ? TOO_LONG : TRUNCATED;
  }

  private static int select(int repeat, boolean operandPrefix) {
    if (repeat != 0) {
      return repeat == 0xf3 ? Form.PF3 : Form.PF2;
    }
    return operandPrefix ? Form.P66 : Form.NP;
  }

  private static int operandSize(int mode, boolean w, boolean operandPrefix, int attributes) {
    int size;
    if (mode == 64) {
      if ((attributes & TableEntry.F64) != 0 || w) {
        size = 8;
      } else if (operandPrefix) {
        size = 2;
      } else {
        size = (attributes & TableEntry.D64) != 0 ? 8 : 4;
      }
    } else if ((attributes & TableEntry.F64) != 0) {
      size = 4;
    } else {
      size = (mode == 32) == operandPrefix ? 2 : 4;
    }
    return (attributes & TableEntry.Z32) != 0 && size == 8 ? 4 : size;
  }

  private static boolean lockable(int attributes, Instruction out) {
    if ((attributes & TableEntry.LOCK) != 0) {
      return out.kind[0] == Instruction.MEMORY;
    }
    return (attributes & TableEntry.CR8LOCK) != 0;
  }

  /**
   * Checks segment, control and debug register numbers; LOCK makes CR0 CR8 (AMD64 APM volume 3, MOV
   * CRn).
   */
  private static int systemRegister(int attributes, Instruction out) {
    for (int i = 0; i < out.operands; i++) {
      int register = out.register[i];
      switch (out.kind[i]) {
        case Instruction.SEGMENT_REGISTER -> {
          if (register > 5
              || i == 0 && register == 1 && (attributes & TableEntry.LOADSEGMENT) != 0) {
            return INVALID;
          }
        }
        case Instruction.CONTROL_REGISTER -> {
          if (out.lock) {
            if (register != 0) {
              return INVALID;
            }
            out.register[i] = 8;
          } else if (register == 1 || register > 4 && register != 8) {
            return INVALID;
          }
        }
        case Instruction.DEBUG_REGISTER -> {
          if (register > 7) {
            return INVALID;
          }
        }
        default -> {}
      }
    }
    return OK;
  }
}
