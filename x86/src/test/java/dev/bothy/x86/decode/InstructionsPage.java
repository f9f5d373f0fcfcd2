package dev.bothy.x86.decode;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/** The page of supported instructions, {@code docs/INSTRUCTIONS.md}, from the instruction table. */
final class InstructionsPage {
  private static final String HEAD =
      """
      # Instructions

      Every instruction that Bothy knows, by CPUID feature. This page is generated from the instruction table
      (`x86/src/main/resources/dev/bothy/x86/decode/instructions.table`), whose header explains encodings and operands;
      change it there, then run the tests of room `x86` with `-Dbothy.regenerate=true`.

      An instruction whose feature a CPU model lacks raises #UD, as does everything that is not on this page. *Where* says
      what it takes to run: `64` only in 64-bit code, `not 64` only outside it, `protected` not in real mode, `CPL 0`
      privileged, `IOPL` subject to IOPL or the I/O permission map, `UMIP` privileged while CR4.UMIP is set. `LOCK` marks
      instructions that take the LOCK prefix with a memory destination.
      """;

  private InstructionsPage() {}

  static String text() {
    Map<String, List<TableEntry>> features = new LinkedHashMap<>();
    Map<String, List<TableEntry>> absent = new TreeMap<>();
    features.put("Base", new ArrayList<>());
    for (TableEntry entry : InstructionTable.entries()) {
      if (entry.absent() != null) {
        absent.computeIfAbsent(entry.absent(), f -> new ArrayList<>()).add(entry);
      } else {
        String feature = entry.feature() == null ? "Base" : entry.feature().name();
        features.computeIfAbsent(feature, f -> new ArrayList<>()).add(entry);
      }
    }
    StringBuilder out = new StringBuilder(HEAD);
    features.forEach((feature, entries) -> section(feature, entries, out));
    out.append("\n## Known by length only\n\n");
    out.append("No CPU model has these features; their instructions raise #UD.\n\n");
    out.append("| Feature | Instructions |\n|---|---|\n");
    absent.forEach(
        (feature, entries) ->
            out.append("| ")
                .append(feature)
                .append(" | ")
                .append(
                    String.join(", ", entries.stream().map(e -> name(e.op())).distinct().toList()))
                .append(" |\n"));
    out.append("| AVX-512 and other EVEX and VEX opcodes | all others |\n");
    return out.toString();
  }

  private static void section(String feature, List<TableEntry> entries, StringBuilder out) {
    out.append("\n## ").append(feature).append("\n\n");
    out.append("| Instruction | Encodings | Where |\n|---|---|---|\n");
    Map<Op, List<TableEntry>> byOp = new LinkedHashMap<>();
    for (TableEntry entry : entries) {
      byOp.computeIfAbsent(entry.op(), o -> new ArrayList<>()).add(entry);
    }
    byOp.forEach(
        (op, rows) -> {
          out.append("| ").append(name(op)).append(" | ");
          for (int i = 0; i < rows.size(); i++) {
            TableEntry row = rows.get(i);
            out.append(i == 0 ? "`" : ", `").append(row.encoding()).append('`');
            if (!row.operands().isEmpty()) {
              out.append(' ').append(String.join(",", row.operands()));
            }
          }
          out.append(" | ").append(where(rows)).append(" |\n");
        });
  }

  private static String name(Op op) {
    return switch (op) {
      case JCC -> "Jcc";
      case SETCC -> "SETcc";
      case CMOVCC -> "CMOVcc";
      case CALL_FAR -> "CALL far";
      case JMP_FAR -> "JMP far";
      case RET_FAR -> "RET far";
      case CBW -> "CBW, CWDE, CDQE";
      case CWD -> "CWD, CDQ, CQO";
      default -> op.name();
    };
  }

  private static String where(List<TableEntry> rows) {
    List<String> words = new ArrayList<>();
    add(words, rows, TableEntry.O64, "64");
    add(words, rows, TableEntry.I64, "not 64");
    add(words, rows, TableEntry.PROTECTED, "protected");
    add(words, rows, TableEntry.CPL0, "CPL 0");
    add(words, rows, TableEntry.IOPL, "IOPL");
    add(words, rows, TableEntry.UMIP, "UMIP");
    if (rows.stream().anyMatch(e -> e.has(TableEntry.LOCK))) {
      words.add("LOCK");
    }
    return String.join(", ", words);
  }

  private static void add(List<String> words, List<TableEntry> rows, int attribute, String word) {
    if (rows.stream().allMatch(e -> e.has(attribute))) {
      words.add(word);
    }
  }
}
