package dev.bothy.x86.decode;

import dev.bothy.core.cpu.CpuFeature;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/**
 * Reads the text of the instruction table. Runs at start-up, so it scans once, and uses neither
 * regular expressions nor lambdas, whose first use takes longer than the table. A row that it does
 * not understand is a mistake in the table: {@link IllegalStateException} with the line.
 */
final class TableParser {
  private static final int COLUMNS = 10;

  final List<TableEntry> entries = new ArrayList<>(2048);
  final List<Form> forms = new ArrayList<>(2048);

  private final String[] column = new String[COLUMNS];
  private final Map<String, Op> ops = new HashMap<>(2048);
  private final Map<String, CpuFeature> features = new HashMap<>(256);
  private final Map<String, Lowering> lowerings = new HashMap<>();
  private final Map<String, Integer> flags = new HashMap<>();
  private final Map<String, List<String>> operandLists = new HashMap<>(512);
  private final Map<String, int[][]> operandSpecs = new HashMap<>(512);
  private final Map<String, Integer> attributeSets = new HashMap<>();
  private final Map<String, String> tests = new HashMap<>();
  private final Map<Integer, Op> fallbacks = new HashMap<>();

  // The encoding column of the row at hand.
  private int match;
  private int map;
  private int opcode;
  private int opcodes;
  private boolean modrm;

  TableParser() {
    for (Op op : Op.values()) {
      ops.put(op.name(), op);
    }
    for (CpuFeature feature : CpuFeature.values()) {
      features.put(feature.name(), feature);
    }
    for (Lowering lowering : Lowering.values()) {
      lowerings.put(lowering.name().toLowerCase(Locale.ROOT), lowering);
    }
    flags.put("cc", TableEntry.CF | TableEntry.PF | TableEntry.ZF | TableEntry.SF | TableEntry.OF);
  }

  void parse(byte[] text) {
    int p = 0;
    while (p < text.length) {
      int start = p;
      if (text[p] != ' ') {
        while (p < text.length && text[p] != '\n') {
          p++;
        }
        p++;
        continue;
      }
      // One pass over the row: n columns so far, the next one from first to last.
      int n = 0;
      int first = -1;
      int last = -1;
      for (; p < text.length; p++) {
        byte c = text[p];
        if (c == '|' || c == '\n') {
          if (n < COLUMNS && first >= 0) {
            column[n] = new String(text, first, last + 1 - first, StandardCharsets.ISO_8859_1);
          }
          n++;
          first = -1;
          if (c == '\n') {
            break;
          }
        } else if (c != ' ') {
          if (first < 0) {
            first = p;
          }
          last = p;
        }
      }
      try {
        row(n);
      } catch (RuntimeException e) {
        String line = new String(text, start, p - start, StandardCharsets.ISO_8859_1);
        throw new IllegalStateException("instruction table: ".concat(line), e);
      }
      p++;
    }
    for (Map.Entry<Integer, Op> fallback : fallbacks.entrySet()) {
      resolveFallback(fallback.getKey(), fallback.getValue());
    }
  }

  private void resolveFallback(int index, Op op) {
    Form form = forms.get(index);
    for (Form other : forms) {
      if (other.entry.op() == op && other.map == form.map && other.opcode == form.opcode) {
        TableEntry e = form.entry.withFallback(other.entry);
        entries.set(index, e);
        forms.set(
            index,
            new Form(
                e,
                form.match,
                form.map,
                form.opcode,
                1,
                form.modrm,
                form.source,
                form.size,
                form.fixed));
        return;
      }
    }
    throw new IllegalStateException("instruction table: no " + op + " beside " + form.entry);
  }

  private void row(int n) {
    if (n != COLUMNS) {
      throw new IllegalStateException(n + " columns");
    }
    match = Form.ANY;
    map = 0;
    opcode = -1;
    opcodes = 1;
    modrm = false;
    encoding(column[0]);
    Op op = known(ops, column[1]);
    List<String> operands = operandLists.get(column[2]);
    if (operands == null) {
      operands = operandList(column[2]);
      operandLists.put(column[2], operands);
      operandSpecs.put(column[2], specs(operands));
    }
    int[][] specs = operandSpecs.get(column[2]);
    String feature = column[6];
    boolean absent = feature.startsWith("(");
    String absentFeature = absent ? feature.substring(1, feature.length() - 1) : null;
    CpuFeature needed = absent || feature.equals("-") ? null : known(features, feature);
    Integer knownAttributes = attributeSets.get(column[8]);
    int attributes = knownAttributes == null ? attributes(column[8]) : knownAttributes;
    if ((attributes & TableEntry.I64) != 0) {
      match &= ~(Form.KEY_MODE << 2);
    }
    if ((attributes & TableEntry.O64) != 0) {
      match &= ~(3 * Form.KEY_MODE);
    }
    if ((attributes & TableEntry.VSIB) != 0) {
      match &= ~Form.ANY_RM | Form.KEY_RM << 4;
    }
    for (int source : specs[0]) {
      if (source == Form.M) {
        match &= ~(Form.KEY_MOD << 1);
      } else if (source == Form.R && (attributes & TableEntry.ANYMOD) == 0
          || source == Form.N
          || source == Form.U) {
        match &= ~Form.KEY_MOD;
      }
    }
    String test = tests.get(column[9]);
    if (test == null) {
      test = column[9];
      tests.put(test, test);
    }
    TableEntry entry =
        new TableEntry(
            entries.size(),
            op,
            column[0],
            operands,
            flags(column[3]),
            flags(column[4]),
            flags(column[5]),
            needed,
            absentFeature,
            known(lowerings, column[7]),
            attributes,
            test,
            null);
    entries.add(entry);
    forms.add(new Form(entry, match, map, opcode, opcodes, modrm, specs[0], specs[1], specs[2]));
  }

  private int attributes(String text) {
    if (text.equals("-")) {
      return 0;
    }
    int attributes = 0;
    boolean fallback = false;
    for (String word : text.split(" ")) {
      if (word.startsWith("else=")) {
        fallbacks.put(entries.size(), known(ops, word.substring(5)));
        fallback = true;
        continue;
      }
      int bit = TableEntry.ATTRIBUTES.indexOf(word);
      if (bit < 0) {
        throw new IllegalStateException("attribute " + word);
      }
      attributes |= 1 << bit;
    }
    if (!fallback) {
      attributeSets.put(text, attributes);
    }
    return attributes;
  }

  /** Reads tokens such as {@code 66 W1 0F 3A 16 /r mem} or {@code VEX.L0.F2.0F38 F5 /r}. */
  private void encoding(String text) {
    int bytes = 0;
    for (String token : text.split(" ")) {
      switch (token) {
        case "NP" -> prefix(1 << Form.NP);
        case "NF" -> prefix(1 << Form.NP | 1 << Form.P66);
        case "W0" -> match &= ~(Form.KEY_W << 1);
        case "W1" -> match &= ~Form.KEY_W;
        case "noB" -> match &= ~(Form.KEY_B << 1);
        case "mem" -> match &= ~(Form.KEY_MOD << 1);
        case "reg" -> match &= ~Form.KEY_MOD;
        case "/r" -> modrm = true;
        default -> {
          if (token.charAt(0) == '/') {
            modrm = true;
            match &= ~Form.ANY_REG | Form.KEY_REG << token.charAt(1) - '0';
          } else if (token.startsWith("VEX.")) {
            vex(token);
          } else {
            bytes = hexToken(token, bytes);
          }
        }
      }
    }
    if (opcode < 0) {
      throw new IllegalStateException("no opcode");
    }
  }

  private void vex(String token) {
    map = InstructionTable.VEX_MAPS;
    for (String part : token.substring(4).split("\\.")) {
      switch (part) {
        case "L0" -> match &= ~(Form.KEY_L << 1);
        case "L1" -> match &= ~Form.KEY_L;
        case "W0" -> match &= ~(Form.KEY_W << 1);
        case "W1" -> match &= ~Form.KEY_W;
        case "NP" -> prefix(1 << Form.NP);
        case "66" -> prefix(1 << Form.P66);
        case "F3" -> prefix(1 << Form.PF3);
        case "F2" -> prefix(1 << Form.PF2);
        case "0F" -> map += 1;
        case "0F38" -> map += 2;
        case "0F3A" -> map += 3;
        default -> throw new IllegalStateException("VEX part " + part);
      }
    }
  }

  private void prefix(int which) {
    match &= ~Form.ANY_PREFIX | which * Form.KEY_PREFIX;
  }

  /** A byte of the encoding; {@code bytes} says how many opcode bytes came before it. */
  private int hexToken(String token, int bytes) {
    int value = Integer.parseInt(token, 0, 2, 16);
    if (opcode >= 0) {
      // A fixed ModRM byte.
      modrm = true;
      match &= ~Form.KEY_MOD;
      match &= ~Form.ANY_REG | Form.KEY_REG << (value >> 3 & 7);
      if (token.length() == 2) {
        match &= ~Form.ANY_RM | Form.KEY_RM << (value & 7);
      }
      return bytes;
    }
    if (map < InstructionTable.VEX_MAPS) {
      if (bytes == 0 && token.equals("66")) {
        prefix(1 << Form.P66);
        return bytes;
      }
      if (bytes == 0 && token.equals("F3")) {
        prefix(1 << Form.PF3);
        return bytes;
      }
      if (bytes == 0 && token.equals("F2")) {
        prefix(1 << Form.PF2);
        return bytes;
      }
      if (bytes == 0 && value == 0x0f) {
        map = 1;
        return 1;
      }
      if (bytes == 1 && map == 1 && (value == 0x38 || value == 0x3a)) {
        map = value == 0x38 ? 2 : 3;
        return 2;
      }
    }
    opcode = value;
    if (token.endsWith("+r")) {
      opcodes = 8;
    } else if (token.endsWith("+cc")) {
      opcodes = 16;
    } else if (token.length() != 2) {
      throw new IllegalStateException("token " + token);
    }
    return bytes + 1;
  }

  private static List<String> operandList(String text) {
    return text.equals("-") ? List.of() : List.of(text.split(","));
  }

  /** Sources, sizes and fixed registers of an operand list. */
  private static int[][] specs(List<String> operands) {
    int n = operands.size();
    int[][] specs = new int[3][n];
    for (int i = 0; i < n; i++) {
      String operand = operands.get(i);
      if (!fixed(operand, specs, i)) {
        specs[0][i] = source(operand.charAt(0));
        specs[1][i] = size(operand.substring(1));
      }
    }
    return specs;
  }

  private static boolean fixed(String operand, int[][] specs, int i) {
    switch (operand) {
      case "AL" -> set(specs, i, Form.GPR_FIXED, 1, 0);
      case "CL" -> set(specs, i, Form.GPR_FIXED, 1, 1);
      case "AX" -> set(specs, i, Form.GPR_FIXED, 2, 0);
      case "DX" -> set(specs, i, Form.GPR_FIXED, 2, 2);
      case "rAX" -> set(specs, i, Form.GPR_FIXED, Form.SIZE_V, 0);
      case "eAX" -> set(specs, i, Form.GPR_FIXED, Form.SIZE_Z, 0);
      case "ES" -> set(specs, i, Form.SEGMENT_FIXED, 2, 0);
      case "CS" -> set(specs, i, Form.SEGMENT_FIXED, 2, 1);
      case "SS" -> set(specs, i, Form.SEGMENT_FIXED, 2, 2);
      case "DS" -> set(specs, i, Form.SEGMENT_FIXED, 2, 3);
      case "FS" -> set(specs, i, Form.SEGMENT_FIXED, 2, 4);
      case "GS" -> set(specs, i, Form.SEGMENT_FIXED, 2, 5);
      case "ST0" -> set(specs, i, Form.ST_FIXED, 10, 0);
      case "STi" -> set(specs, i, Form.ST_RM, 10, 0);
      case "XMM0" -> set(specs, i, Form.XMM_FIXED, 16, 0);
      case "sIb" -> set(specs, i, Form.SIGNED_BYTE, Form.SIZE_V, 0);
      case "I2b" -> set(specs, i, Form.SECOND_BYTE, 1, 0);
      case "Bb" -> set(specs, i, Form.TRANSLATE, 1, 0);
      case "1" -> set(specs, i, Form.ONE, 1, 0);
      default -> {
        return false;
      }
    }
    return true;
  }

  private static void set(int[][] specs, int i, int source, int size, int register) {
    specs[0][i] = source;
    specs[1][i] = size;
    specs[2][i] = register;
  }

  private static int source(char letter) {
    return switch (letter) {
      case 'E' -> Form.E;
      case 'G' -> Form.G;
      case 'Z' -> Form.Z;
      case 'M' -> Form.M;
      case 'R' -> Form.R;
      case 'B' -> Form.B;
      case 'P' -> Form.P;
      case 'Q' -> Form.Q;
      case 'N' -> Form.N;
      case 'V' -> Form.V;
      case 'W' -> Form.W;
      case 'U' -> Form.U;
      case 'H' -> Form.H;
      case 'L' -> Form.L;
      case 'S' -> Form.SEGMENT;
      case 'C' -> Form.CONTROL;
      case 'D' -> Form.DEBUG;
      case 'I' -> Form.IMMEDIATE;
      case 'J' -> Form.RELATIVE;
      case 'A' -> Form.FAR;
      case 'O' -> Form.OFFSET;
      case 'X' -> Form.SOURCE;
      case 'Y' -> Form.DESTINATION;
      default -> throw new IllegalStateException("operand " + letter);
    };
  }

  private static int size(String text) {
    return switch (text) {
      case "" -> 0;
      case "b" -> 1;
      case "w" -> 2;
      case "d", "ss" -> 4;
      case "q", "sd" -> 8;
      case "t" -> 10;
      case "dq" -> 16;
      case "qq" -> 32;
      case "512" -> 512;
      case "v" -> Form.SIZE_V;
      case "z" -> Form.SIZE_Z;
      case "y" -> Form.SIZE_Y;
      case "x" -> Form.SIZE_X;
      case "h" -> Form.SIZE_H;
      case "o" -> Form.SIZE_O;
      case "f" -> Form.SIZE_F;
      case "p" -> Form.SIZE_P;
      case "s" -> Form.SIZE_S;
      case "a" -> Form.SIZE_A;
      case "env" -> Form.SIZE_ENV;
      case "fpu" -> Form.SIZE_FPU;
      default -> throw new IllegalStateException("size " + text);
    };
  }

  private int flags(String text) {
    Integer known = flags.get(text);
    if (known != null) {
      return known;
    }
    int bits = 0;
    if (!text.equals("-")) {
      for (int i = 0; i < text.length(); i++) {
        bits |=
            switch (text.charAt(i)) {
              case 'O' -> TableEntry.OF;
              case 'D' -> TableEntry.DF;
              case 'I' -> TableEntry.IF;
              case 'T' -> TableEntry.TF;
              case 'S' -> TableEntry.SF;
              case 'Z' -> TableEntry.ZF;
              case 'A' -> TableEntry.AF;
              case 'P' -> TableEntry.PF;
              case 'C' -> TableEntry.CF;
              case 'N' -> TableEntry.NT;
              case 'R' -> TableEntry.RF;
              case 'X' -> TableEntry.AC;
              case '*' -> TableEntry.ALL_FLAGS;
              default -> throw new IllegalStateException("flags " + text);
            };
      }
    }
    flags.put(text, bits);
    return bits;
  }

  private static <T> T known(Map<String, T> names, String name) {
    T value = names.get(name);
    if (value == null) {
      throw new IllegalStateException("unknown name " + name);
    }
    return value;
  }
}
