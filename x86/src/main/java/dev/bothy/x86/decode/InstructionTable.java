package dev.bothy.x86.decode;

import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.util.List;

/**
 * The instruction table, read once from the resource {@code instructions.table}, and the decoder's
 * way into it. Immutable.
 *
 * @see TableEntry
 */
public final class InstructionTable {
  /** Maps: one-byte, 0F, 0F38, 0F3A, then the same four with VEX. */
  static final int MAPS = 8;

  static final int VEX_MAPS = 4;

  private static final List<TableEntry> ENTRIES;
  private static final List<Form> FORMS;

  /** Rows by map and opcode, 256 opcodes a map; null where there are none. */
  private static final Form[][] BY_OPCODE = new Form[MAPS * 256][];

  /** Where an opcode has many rows: the same by the upper five bits of ModRM; else null. */
  private static final Form[][][] BY_MODRM = new Form[MAPS * 256][][];

  private static final int MANY = 8;

  static {
    byte[] text;
    try (InputStream in = InstructionTable.class.getResourceAsStream("instructions.table")) {
      if (in == null) {
        throw new IllegalStateException("instructions.table is missing from the module");
      }
      text = in.readAllBytes();
    } catch (IOException e) {
      throw new UncheckedIOException("instructions.table cannot be read", e);
    }
    TableParser parser = new TableParser();
    parser.parse(text);
    FORMS = List.copyOf(parser.forms);
    ENTRIES = List.copyOf(parser.entries);
    for (Form form : FORMS) {
      for (int i = 0; i < form.opcodes; i++) {
        int slot = form.map << 8 | form.opcode + i;
        BY_OPCODE[slot] = append(BY_OPCODE[slot], form);
      }
    }
    for (int slot = 0; slot < BY_OPCODE.length; slot++) {
      Form[] forms = BY_OPCODE[slot];
      if (forms == null || forms.length <= MANY || !forms[0].modrm) {
        continue;
      }
      Form[][] buckets = new Form[32][];
      for (int bucket = 0; bucket < 32; bucket++) {
        int key = modrmKey(bucket << 3) & (Form.ANY_MOD | Form.ANY_REG);
        for (Form form : forms) {
          if ((form.match & key) == key) {
            buckets[bucket] = append(buckets[bucket], form);
          }
        }
      }
      BY_MODRM[slot] = buckets;
    }
  }

  private InstructionTable() {}

  /** Every row, in the order of the table; each at its {@link TableEntry#index}. */
  public static List<TableEntry> entries() {
    return ENTRIES;
  }

  /** The rows as the decoder has them, in the order of the table. */
  static List<Form> forms() {
    return FORMS;
  }

  /** True if there is any row for this opcode. */
  static boolean has(int slot) {
    return BY_OPCODE[slot] != null;
  }

  /** True if this opcode, which has rows, has a ModRM byte. */
  static boolean hasModrm(int slot) {
    return BY_OPCODE[slot][0].modrm;
  }

  /** The first row of this opcode that has all bits of {@code key}, or null. */
  static Form find(int slot, int key, int modrm) {
    Form[][] buckets = BY_MODRM[slot];
    Form[] forms = buckets == null ? BY_OPCODE[slot] : buckets[modrm >> 3];
    if (forms != null) {
      for (Form form : forms) {
        if ((form.match & key) == key) {
          return form;
        }
      }
    }
    return null;
  }

  /** The part of the key that comes from ModRM. */
  static int modrmKey(int modrm) {
    return Form.KEY_REG << (modrm >> 3 & 7)
        | Form.KEY_RM << (modrm & 7)
        | (modrm >= 0xc0 ? Form.KEY_MOD << 1 : Form.KEY_MOD);
  }

  private static Form[] append(Form[] forms, Form form) {
    if (forms == null) {
      return new Form[] {form};
    }
    Form[] longer = new Form[forms.length + 1];
    System.arraycopy(forms, 0, longer, 0, forms.length);
    longer[forms.length] = form;
    return longer;
  }
}
