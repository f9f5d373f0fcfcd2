package dev.bothy.x86.decode;

import java.util.Locale;
import java.util.regex.Pattern;

/** Operands of a line of disassembly, brought to one form for comparison. */
final class OperandText {
  private static final Pattern NO_INDEX = Pattern.compile("[+]?[re]iz\\*[1248]");
  private static final Pattern ZERO = Pattern.compile("[+]0x0(?=])");
  private static final Pattern BARE_ST = Pattern.compile("\\bst(?!\\()");
  private static final Pattern POINTER =
      Pattern.compile("\\b(byte|word|dword|fword|qword|tbyte|xmmword|ymmword) ptr ");

  private static final Pattern NEGATIVE_RIP = Pattern.compile("ip[+]0x([f]{8}[0-9a-f]{8})");

  private OperandText() {}

  /** True if the line {@code text} of objdump at {@code address} has the operands of {@code in}. */
  static boolean same(String address, String text, Instruction in) {
    String name = ObjdumpNames.first(text);
    if (in.operands == 0
        || text.contains("[riz")
        || text.contains("[eiz")
        || name.startsWith("bnd")
        || in.kind[0] == Instruction.RELATIVE && in.operandSize == 2
        || selector(in)) {
      // Implicit operands, absolute addresses, branch targets that objdump does not wrap to 16
      // bits, selectors that it
      // shows as whole registers.
      return true;
    }
    String theirs = of(text.substring(ObjdumpNames.start(text)));
    StringBuilder operands = new StringBuilder("x");
    Disassembler.operands(in, Long.parseUnsignedLong(address, 16), operands);
    String ours = of(operands.toString());
    if (theirs.equals(ours) || unsized(in) && loose(theirs).equals(loose(ours))) {
      return true;
    }
    // A predicate in the name in place of the immediate.
    boolean predicate =
        name.startsWith("cmp") || name.startsWith("vcmp") || name.contains("pclmul");
    if (predicate && ours.startsWith(theirs + ",0x")) {
      return true;
    }
    return in.kind[0] == Instruction.ST && ours.equals("st(0)," + theirs);
  }

  private static boolean selector(Instruction in) {
    return switch (in.op) {
      case LAR, LSL, LLDT, LTR, VERR, VERW, LMSW, ARPL -> in.modrm >= 0xc0;
      case MOV -> in.kind[0] == Instruction.SEGMENT_REGISTER && in.modrm >= 0xc0;
      default -> false;
    };
  }

  /** objdump leaves out, or makes up, the size of these memory operands. */
  private static boolean unsized(Instruction in) {
    return in.size[0] == 0
        || in.operands > 1 && in.size[1] == 0
        || in.op == Op.MOV && in.modrm < 0
        || in.op == Op.JMP_FAR
        || in.op == Op.CALL_FAR
        || in.op == Op.SGDT
        || in.op == Op.SIDT
        || in.op == Op.LGDT
        || in.op == Op.LIDT
        || in.op == Op.INVPCID;
  }

  /** Everything behind the first word. */
  private static String of(String instruction) {
    String s = instruction;
    int comment = s.indexOf('#');
    if (comment >= 0) {
      s = s.substring(0, comment);
    }
    int symbol = s.indexOf('<');
    if (symbol >= 0) {
      s = s.substring(0, symbol);
    }
    s = s.strip();
    int space = s.indexOf(' ');
    if (space < 0) {
      return "";
    }
    s = s.substring(space).strip().toLowerCase(Locale.ROOT).replace("oword ptr", "xmmword ptr");
    if (s.indexOf("iz*") >= 0) {
      s = NO_INDEX.matcher(s).replaceAll("");
    }
    if (s.indexOf("+0x0]") >= 0) {
      s = ZERO.matcher(s).replaceAll("");
    }
    if (s.indexOf("st") >= 0) {
      s = BARE_ST.matcher(s).replaceAll("st(0)");
    }
    if (s.indexOf("ip+0xffffffff") >= 0) {
      s =
          NEGATIVE_RIP
              .matcher(s)
              .replaceAll(m -> "ip-0x" + Long.toHexString(-Long.parseUnsignedLong(m.group(1), 16)));
    }
    if (s.endsWith(",1")) {
      s = s.substring(0, s.length() - 1) + "0x1";
    }
    if (s.startsWith("0x")) {
      s = s.substring(2);
    }
    return s;
  }

  /** Without sizes of memory operands. */
  private static String loose(String s) {
    return POINTER.matcher(s).replaceAll("");
  }
}
