package dev.bothy.x86.oracle;

import dev.bothy.core.cpu.CpuModel;
import dev.bothy.x86.decode.Instruction;
import dev.bothy.x86.decode.Op;
import dev.bothy.x86.decode.TableEntry;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.EnumSet;
import java.util.HashSet;
import java.util.Locale;
import java.util.Optional;
import java.util.Set;

/** Which rows of the instruction table the oracle can run, and why not the others. */
final class Coverage {
  /** Rows the table sets apart for plain random tests, but which have a place in this one. */
  private static final Set<Op> CLOSELY_WATCHED =
      EnumSet.of(
          Op.PUSHF,
          Op.INT3,
          Op.INT,
          Op.RDGSBASE,
          Op.WRGSBASE,
          Op.RDFSBASE,
          Op.MOV,
          Op.PUSH,
          Op.POP,
          Op.LSS,
          Op.LFS,
          Op.LGS,
          Op.LAR,
          Op.LSL,
          Op.VERR,
          Op.VERW);

  private final CpuModel model;
  private final Set<String> hostFlags;

  Coverage(CpuModel model) {
    this.model = model;
    hostFlags = hostFlags();
  }

  /** True if this host has YMM registers. */
  static boolean hostHasAvx() {
    return hostFlags().contains("avx");
  }

  private static Set<String> hostFlags() {
    try {
      return Files.readAllLines(Path.of("/proc/cpuinfo")).stream()
          .filter(line -> line.startsWith("flags"))
          .findFirst()
          .map(line -> new HashSet<>(Arrays.asList(line.split("\\s+"))))
          .orElseGet(HashSet::new);
    } catch (IOException e) {
      return Set.of();
    }
  }

  /**
   * True if no model has the row: whatever it is, it raises #UD, which the decoder's tests look
   * after.
   */
  boolean nowhere(TableEntry entry) {
    return entry.absent() != null || entry.feature() != null && !model.has(entry.feature());
  }

  /** Why no host lets the row be tested; empty if it can be. Does not depend on this host. */
  Optional<String> reason(TableEntry entry) {
    if (nowhere(entry)) {
      return Optional.of("no model has it");
    }
    String test = entry.test().strip();
    boolean runs =
        switch (test) {
          case "user", "control", "privilege", "privileged", "iopl", "fault" -> true;
          case "mode" ->
              entry.op() != Op.SYSCALL && entry.op() != Op.CALL_FAR && entry.op() != Op.JMP_FAR;
          default -> CLOSELY_WATCHED.contains(entry.op());
        };
    return runs ? Optional.empty() : Optional.of(test);
  }

  /**
   * True for the few instructions of covered rows that must not run, or that processors differ in:
   * system calls; and LOOPE and LOOPNE with a repeat prefix, which has no meaning there, but makes
   * either of them the other on some of AMD's.
   */
  static boolean refused(Instruction instruction) {
    return switch (instruction.op) {
      case INT -> (instruction.immediate & 0xff) == 0x80;
      case LOOPE, LOOPNE -> instruction.repeat != 0;
      default -> false;
    };
  }

  /** True if this host has the row's feature. */
  boolean onThisHost(TableEntry entry) {
    return entry.feature() == null || hostFlags.contains(hostName(entry.feature().name()));
  }

  /** Linux's name of a feature in /proc/cpuinfo. */
  private static String hostName(String feature) {
    return switch (feature) {
      case "SSE3" -> "pni";
      case "LZCNT" -> "abm";
      case "SHA" -> "sha_ni";
      case "CLFSH" -> "clflush";
      case "PREFETCHW" -> "3dnowprefetch";
      default -> feature.toLowerCase(Locale.ROOT);
    };
  }

  /** A row as the list of uncovered ones names it. */
  static String name(TableEntry entry) {
    String encoding = entry.encoding().strip().replaceAll(" +", " ");
    return (entry.op() + " " + encoding + " " + String.join(",", entry.operands())).strip();
  }
}
