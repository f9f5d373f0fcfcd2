package dev.bothy.x86.decode;

import java.util.Set;

/** The conventions in which objdump's names differ from ours, all of them. */
final class ObjdumpNames {
  /** objdump shows prefixes as words of their own before the mnemonic. */
  private static final Set<String> PREFIXES =
      Set.of(
          "lock",
          "rep",
          "repz",
          "repnz",
          "data16",
          "data32",
          "addr16",
          "addr32",
          "cs",
          "ds",
          "es",
          "ss",
          "fs",
          "gs",
          "bnd",
          "notrack",
          "xacquire",
          "xrelease");

  private ObjdumpNames() {}

  /** The mnemonic of a line of objdump, behind its prefixes. */
  static String first(String text) {
    int start = start(text);
    int end = text.indexOf(' ', start);
    return end < 0 ? text.substring(start) : text.substring(start, end);
  }

  /** Where the mnemonic begins. */
  static int start(String text) {
    int start = 0;
    for (; ; ) {
      int end = text.indexOf(' ', start);
      String word = end < 0 ? text.substring(start) : text.substring(start, end);
      if (end < 0 || !PREFIXES.contains(word) && !word.startsWith("rex") && !word.isEmpty()) {
        return start;
      }
      start = end + 1;
    }
  }

  static boolean same(String text, Instruction in) {
    String theirs = first(text);
    String ours = Disassembler.mnemonic(in);
    return theirs.equals(ours) || normal(theirs, in).equals(ours);
  }

  /** Our name for what objdump calls {@code theirs}, where the two differ by convention only. */
  private static String normal(String theirs, Instruction in) {
    if (theirs.startsWith("cmp") && in.opcode == 0xc2 || theirs.startsWith("vcmp")) {
      // A predicate in the name instead of the immediate: cmpltps, vcmpneq_oqsd.
      return (theirs.startsWith("v") ? "vcmp" : "cmp") + theirs.substring(theirs.length() - 2);
    }
    if (in.opcode == 0x44 && theirs.endsWith("dq")) {
      return theirs.startsWith("v") ? "vpclmulqdq" : "pclmulqdq";
    }
    return switch (theirs) {
      case "movabs" -> "mov";
      case "xchg" -> in.op == Op.NOP ? "nop" : theirs;
      case "call" -> in.op == Op.CALL_FAR ? "call far" : theirs;
      case "jmp" -> in.op == Op.JMP_FAR ? "jmp far" : theirs;
      case "pushf", "popf", "pusha", "popa" ->
          theirs + (in.operandSize == 8 ? "q" : in.operandSize == 4 ? "d" : "w");
      case "fnsavew", "fnstenvw", "frstorw", "fldenvw" -> theirs.substring(0, theirs.length() - 1);
      case "iret" -> "iretd";
      case "retfq", "retfw" -> "retf";
      case "retw" -> "ret";
      case "callw" -> "call";
      case "jmpw" -> "jmp";
      case "pushw" -> "push";
      case "popw" -> "pop";
      case "leavew" -> "leave";
      case "enterw" -> "enter";
      case "sysretd", "sysretq" -> "sysret";
      case "sysexitd", "sysexitq" -> "sysexit";
      // VMMCALL with a prefix that only counts in an encrypted guest.
      case "vmgexit" -> "vmmcall";
      case "fndisi(8087" -> "fndisi";
      case "fneni(8087" -> "fneni";
      case "fnsetpm(287" -> "fnsetpm";
      // MPX is hint space to processors without it.
      case "bndldx",
          "bndstx",
          "bndmov",
          "bndcl",
          "bndcu",
          "bndcn",
          "bndmk",
          "cldemote",
          "rdsspd",
          "rdsspq",
          "nop/reserved" ->
          "nop";
      case "prefetchwt1" -> "prefetch";
      default ->
          theirs.startsWith("j") && theirs.endsWith("w")
              ? theirs.substring(0, theirs.length() - 1)
              : theirs;
    };
  }

  /** Why a line of objdump is no instruction to compare, or null. */
  static String notComparable(byte[] code, int length, String text) {
    int first = code[0] & 0xff;
    if (text.contains("(bad)") || text.startsWith(".byte")) {
      return "objdump does not know it either";
    }
    if (first == 0x9b && length > 1) {
      return "objdump joins FWAIT with the instruction behind it";
    }
    String name = first(text);
    if (name.startsWith("rex") || PREFIXES.contains(name)) {
      return "prefixes without an instruction";
    }
    if (text.startsWith("rex") && name.startsWith("v")) {
      return "REX before VEX is #UD";
    }
    if (first == 0x0f && (code[1] == 0x0f || code[1] == 0x0e)) {
      return "3DNow!, gone from processors since 2010";
    }
    if (first == 0x8f && length > 1 && (code[1] & 0x38) != 0) {
      return "XOP, gone from processors since 2017";
    }
    if (name.startsWith("frstpm")) {
      return "80287 only";
    }
    return null;
  }
}
