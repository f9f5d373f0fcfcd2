package dev.bothy.x86.oracle;

import static dev.bothy.host.RawMemory.getLong;
import static dev.bothy.host.RawMemory.putLong;
import static dev.bothy.x86.oracle.Layout.*;

import dev.bothy.core.cpu.CpuModel;
import dev.bothy.host.RawMemory;
import dev.bothy.x86.decode.Instruction;
import dev.bothy.x86.decode.InstructionTable;
import dev.bothy.x86.decode.TableEntry;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/**
 * The host-CPU differential test: runs random instructions with random states on the processor
 * under us and on an engine, and compares everything. One process, one thread: {@link OracleRun}
 * starts several.
 */
final class HostOracle {
  /** States that an instruction is run with before the next one is chosen. */
  private static final int STATES = 8;

  private static final int REPORTS_PER_ROW = 2;

  /** Behind the instruction the guest spins: so many more do no harm, and no block is cut. */
  private static final int SLACK = 8;

  /** What a run found. */
  record Result(long cases, long failed, long signals, Map<String, Long> failures) {}

  private final Processors processors;
  private final boolean trace;
  private final List<Encoding> encodings = new ArrayList<>();
  private final int skippedRows;
  private final Dice dice = new Dice(0);
  private final Snippet snippet = new Snippet(dice, new RandomState(dice));
  private final Comparison comparison = new Comparison();
  private final Map<String, Long> failures = new TreeMap<>();
  private final long[] runs = new long[InstructionTable.entries().size()];
  private final boolean[] runnable = new boolean[runs.length];
  private long cases;
  private long signals;

  HostOracle(Processors processors, String filter, boolean trace) {
    this.processors = processors;
    this.trace = trace;
    for (int slot = 0; slot < SLOTS; slot++) {
      long at = CODE + (long) slot * SLOT_SIZE;
      landing(at + SLOT_BACK, modeOf(slot), Trampoline.EXIT_BACK);
      landing(at + SLOT_FORWARD, modeOf(slot), Trampoline.EXIT_FORWARD);
    }
    Coverage coverage = new Coverage(CpuModel.MAX);
    int skipped = 0;
    for (TableEntry entry : InstructionTable.entries()) {
      boolean covered = coverage.reason(entry).isEmpty();
      runnable[entry.index()] = covered && coverage.onThisHost(entry);
      if (!covered || !Coverage.name(entry).matches(filter)) {
        continue;
      }
      if (coverage.onThisHost(entry)) {
        encodings.add(new Encoding(entry));
      } else {
        skipped++;
      }
    }
    skippedRows = skipped;
  }

  /** One slot in four is for 32-bit code. */
  private static int modeOf(int slot) {
    return slot % 4 == 3 ? 32 : 64;
  }

  /** A slot of a mode in which the row exists. */
  private int slotFor(TableEntry entry) {
    int slot = dice.below(SLOTS);
    if (entry.has(TableEntry.I64)) {
      return slot | 3;
    }
    return entry.has(TableEntry.O64) ? slot & ~3 : slot;
  }

  private void landing(long at, int mode, int landing) {
    processors.write(at, processors.leave(mode, at, landing), Processors.spin(mode, at, landing));
  }

  /** Rows under test. */
  List<Encoding> encodings() {
    return encodings;
  }

  /** Rows under test, and rows that this host's processor does not have. */
  int rows() {
    return encodings.size();
  }

  int skippedRows() {
    return skippedRows;
  }

  /** Rows under test that no case has run yet. */
  List<String> rowsNotRun() {
    return encodings.stream()
        .map(e -> e.entry)
        .filter(e -> runs[e.index()] == 0)
        .map(Coverage::name)
        .toList();
  }

  /** Runs about {@code count} cases, the same for the same seed, from instruction {@code first}. */
  Result run(long seed, long first, long count) {
    long before = cases;
    for (long n = first; cases - before < count; n++) {
      dice.reseed(seed, n);
      // Every row in turn, so that each gets its share.
      Encoding encoding = encodings.get((int) (n % encodings.size()));
      int slot = slotFor(encoding.entry);
      if (!snippet.choose(encoding, slot, modeOf(slot)) || !runnable(snippet)) {
        continue;
      }
      writeCode();
      if (trace) {
        System.out.printf("instruction %d: %s %s%n", n, snippet.hex(), snippet.instruction);
      }
      runs[snippet.instruction.entry.index()] += STATES;
      for (int i = 0; i < STATES; i++) {
        runCase(seed, n);
      }
    }
    long failed = failures.values().stream().mapToLong(Long::longValue).sum();
    return new Result(cases, failed, signals, failures);
  }

  /** Random prefixes may have made another row of it. */
  private boolean runnable(Snippet snippet) {
    return runnable[snippet.instruction.entry.index()] && !Coverage.refused(snippet.instruction);
  }

  private void writeCode() {
    int length = snippet.instruction.length;
    int mode = snippet.instruction.mode;
    long end = snippet.address + length;
    processors.write(
        snippet.address,
        withLanding(processors.leave(mode, end, Trampoline.EXIT_NEXT)),
        withLanding(Processors.spin(mode, end, Trampoline.EXIT_NEXT)));
  }

  private byte[] withLanding(byte[] landing) {
    int length = snippet.instruction.length;
    byte[] bytes = new byte[length + landing.length];
    System.arraycopy(snippet.code, 0, bytes, 0, length);
    System.arraycopy(landing, 0, bytes, length, landing.length);
    return bytes;
  }

  private void runCase(long seed, long n) {
    snippet.newState();
    Instruction instruction = snippet.instruction;
    processors.run(instruction.mode, 1 + SLACK, snippet.address);
    normalizeHost();
    normalizeGuest();
    cases++;
    int undefined = instruction.entry.flagsUndefined();
    if (!comparison.agree(instruction, undefined, processors.guest.dataSegment())
        || (registersChanged() & ~Effects.written(instruction)) != 0) {
      fail(seed, n);
    }
  }

  /** General registers that the host has changed, a bit each. */
  private static int registersChanged() {
    int mask = 0;
    for (int i = 0; i < 16; i++) {
      boolean same = getLong(INPUT + GPR + 8 * i) == getLong(NATIVE + GPR + 8 * i);
      mask |= same ? 0 : 1 << i;
    }
    return mask;
  }

  /**
   * Where the host's instruction pointer would be without our landing places, and the fields that
   * mean nothing.
   */
  private void normalizeHost() {
    long rip = getLong(NATIVE + RIP);
    switch ((int) getLong(Trampoline.LANDING)) {
      case Trampoline.EXIT_NEXT -> rip = snippet.address + snippet.instruction.length;
      case Trampoline.EXIT_BACK -> rip = snippet.address - SLOT_INSTRUCTION + SLOT_BACK;
      case Trampoline.EXIT_FORWARD -> rip = snippet.address - SLOT_INSTRUCTION + SLOT_FORWARD;
      default -> {
        signals++;
        Processors.normalizeFault();
        if (behindBranch(NATIVE)) {
          forgetFault(NATIVE);
        }
      }
    }
    putLong(NATIVE + RIP, rip);
  }

  private void normalizeGuest() {
    if (getLong(GUEST + VECTOR) >= 0 && behindBranch(GUEST)) {
      forgetFault(GUEST);
    }
  }

  /** The fetch at a branch target faulted: the branch itself was done. */
  private boolean behindBranch(long record) {
    long rip = getLong(record + RIP);
    return rip != snippet.address && rip != snippet.address + snippet.instruction.length;
  }

  private static void forgetFault(long record) {
    putLong(record + VECTOR, -1);
    putLong(record + ERROR_CODE, 0);
    putLong(record + CR2, 0);
  }

  private void fail(long seed, long n) {
    String row = Coverage.name(snippet.instruction.entry);
    long before = failures.merge(row, 1L, Long::sum);
    if (before > REPORTS_PER_ROW) {
      return;
    }
    // Once more, with nothing else in between: what is shown is one instruction and its states.
    byte[] after = Snippet.data();
    String report =
        comparison.report(
            snippet.instruction,
            snippet.instruction.entry.flagsUndefined(),
            processors.guest.dataSegment(),
            after);
    System.out.printf(
        "MISMATCH seed %d instruction %d: %s%n  bytes %s operand %x fcw %x fsw %x mxcsr %x flags"
            + " %x, host changes registers %x%n%s",
        seed,
        n,
        row,
        snippet.hex(),
        snippet.operand,
        RawMemory.getShort(INPUT + FX) & 0xffff,
        RawMemory.getShort(INPUT + FX + 2) & 0xffff,
        RawMemory.getInt(INPUT + FX_MXCSR),
        getLong(INPUT + RFLAGS),
        registersChanged(),
        report);
  }
}
