package dev.bothy.x86.decode;

import java.io.ByteArrayOutputStream;

/** Makes the plainest encoding of a row, followed by zeros for its displacement and immediates. */
final class Encodings {
  private Encodings() {}

  /** Row {@code form} with opcode number {@code i} of its range. */
  static byte[] of(Form form, int i, int mode) {
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    int prefix = Integer.numberOfTrailingZeros(form.match / Form.KEY_PREFIX & 0xf);
    boolean w = (form.match & Form.ANY_W) == Form.KEY_W << 1;
    boolean l = (form.match & Form.ANY_L) == Form.KEY_L << 1;
    if (form.map >= InstructionTable.VEX_MAPS) {
      out.write(0xc4);
      out.write(0xe0 | form.map - InstructionTable.VEX_MAPS);
      out.write((w ? 0x80 : 0) | 0x78 | (l ? 4 : 0) | prefix);
    } else {
      switch (prefix) {
        case Form.P66 -> out.write(0x66);
        case Form.PF3 -> out.write(0xf3);
        case Form.PF2 -> out.write(0xf2);
        default -> {}
      }
      // Row 90+r with register 0 is NOP's.
      boolean b = form.entry.op() == Op.XCHG && form.opcodes == 8 && i == 0;
      if (w || b) {
        out.write(0x40 | (w ? 8 : 0) | (b ? 1 : 0));
      }
      if (form.map > 0) {
        out.write(0x0f);
      }
      if (form.map > 1) {
        out.write(form.map == 2 ? 0x38 : 0x3a);
      }
    }
    out.write(form.opcode + i);
    if (form.modrm) {
      int reg = Integer.numberOfTrailingZeros(form.match / Form.KEY_REG & 0xff);
      int rm = Integer.numberOfTrailingZeros(form.match / Form.KEY_RM & 0xff);
      boolean register =
          (form.match & Form.ANY_MOD) == Form.KEY_MOD << 1 || form.entry.has(TableEntry.ANYMOD);
      if (form.entry.op() == Op.PREFETCH) {
        reg = 2;
      } else if (form.opcode == 0x18 && form.entry.op() == Op.NOP) {
        reg = 4;
      }
      out.write((register ? 0xc0 : 0) | reg << 3 | rm);
    }
    out.writeBytes(new byte[12]);
    return out.toByteArray();
  }
}
