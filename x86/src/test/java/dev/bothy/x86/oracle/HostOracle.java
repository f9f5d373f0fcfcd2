package dev.bothy.x86.oracle;

import static dev.bothy.host.RawMemory.getLong;
import static dev.bothy.host.RawMemory.putLong;
import static dev.bothy.x86.oracle.Layout.*;

import dev.bothy.core.Engine;
import dev.bothy.core.cpu.CpuModel;
import dev.bothy.host.RawMemory;
import dev.bothy.x86.decode.InstructionTable;
import dev.bothy.x86.decode.TableEntry;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.function.Function;

/**
 * The host-CPU differential test: runs random instructions with random states on the processor
 * under us and on an engine, and compares everything. One process, one thread: {@link OracleRun}
 * starts several.
 */
final class HostOracle implements AutoCloseable {
  /** States that an instruction is run with before the next one is chosen. */
  private static final int STATES = 8;

  private static final int REPORTS_PER_ROW = 2;

  /** End of the addresses that Linux gives to processes. */
  private static final long USER_END = 0x7fff_ffff_f000L;

  /** What a run found. */
  record Result(long cases, long failures, long signals, Map<String, Long> failuresByRow) {}

  private final HostProcess host = new HostProcess();
  private final GuestMachine guest;
  private final List<Encoding> encodings = new ArrayList<>();
  private final int skippedRows;
  private final Dice dice = new Dice(0);
  private final Snippet snippet = new Snippet(dice);
  private final Comparison comparison = new Comparison();
  private final Map<String, Long> failures = new TreeMap<>();
  private final long[] runs = new long[InstructionTable.entries().size()];
  private final boolean[] runnable = new boolean[runs.length];
  private long cases;
  private long signals;

  HostOracle(Function<Engine.Environment, Engine> engines, String filter) {
    guest = new GuestMachine(engines);
    byte[] page = new byte[PAGE];
    for (int i = 0; i < PAGE; i++) {
      page[i] = (byte) (i * 37 >>> 3);
    }
    host.fillReadOnlyPage(page);
    guest.fillReadOnlyPage(page);
    for (int slot = 0; slot < SLOTS; slot++) {
      long at = CODE + (long) slot * SLOT_SIZE;
      write(at + SLOT_BACK, leave(modeOf(slot), at + SLOT_BACK, Trampoline.EXIT_BACK));
      write(at + SLOT_FORWARD, leave(modeOf(slot), at + SLOT_FORWARD, Trampoline.EXIT_FORWARD));
    }
    putLong(INPUT + FS_BASE, host.fsBase());
    Coverage coverage = new Coverage(CpuModel.V2);
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

  /** Code of {@code mode} at {@code address} that leaves the test. */
  private byte[] leave(int mode, long address, int landing) {
    CodeBuffer code = new CodeBuffer(address);
    if (mode == 32) {
      return code.hex("ea").int32(host.exit(landing)).hex("3300").bytes(); // jmp far 0x33:exit
    }
    return code.jump("e9", host.exit(landing)).bytes();
  }

  private void write(long address, byte[] code) {
    HostProcess.write(address, code);
    guest.writeCode(address, code);
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

  /** Runs about {@code count} cases, the same for the same seed. */
  Result run(long seed, long count) {
    long first = cases;
    for (long n = 0; cases - first < count; n++) {
      dice.reseed(seed * 0x9e37_79b9_7f4a_7c15L + n);
      // Every row in turn, so that each gets its share.
      Encoding encoding = encodings.get((int) (n % encodings.size()));
      int slot = slotFor(encoding.entry);
      if (!snippet.choose(encoding, slot, modeOf(slot)) || !runnable(snippet)) {
        continue;
      }
      writeCode();
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
    long end = snippet.address + length;
    byte[] jump = leave(snippet.instruction.mode, end, Trampoline.EXIT_NEXT);
    byte[] bytes = new byte[length + jump.length];
    System.arraycopy(snippet.code, 0, bytes, 0, length);
    System.arraycopy(jump, 0, bytes, length, jump.length);
    write(snippet.address, bytes);
  }

  private void runCase(long seed, long n) {
    snippet.newState();
    guest.dataSegment().copyFrom(RawMemory.segment(DATA, DATA_SIZE));
    host.run(snippet.instruction.mode);
    normalizeHost();
    guest.run(snippet.instruction.mode);
    cases++;
    if (!comparison.agree(snippet.instruction, guest.dataSegment())) {
      fail(seed, n);
    }
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
        long vector = getLong(NATIVE + VECTOR);
        long cr2 = getLong(NATIVE + CR2);
        if (vector != 14) {
          putLong(NATIVE + CR2, 0);
        } else if (Long.compareUnsigned(cr2, USER_END) >= 0) {
          // Linux says of every page of its own that it is present.
          putLong(NATIVE + ERROR_CODE, getLong(NATIVE + ERROR_CODE) & ~1);
        }
        boolean trap = rip == snippet.address + snippet.instruction.length;
        if (rip != snippet.address && !trap) {
          // The fetch at a branch target faulted: the branch itself was done.
          putLong(NATIVE + VECTOR, -1);
          putLong(NATIVE + ERROR_CODE, 0);
          putLong(NATIVE + CR2, 0);
        }
      }
    }
    putLong(NATIVE + RIP, rip);
  }

  private void fail(long seed, long n) {
    String row = Coverage.name(snippet.instruction.entry);
    long before = failures.merge(row, 1L, Long::sum);
    if (before > REPORTS_PER_ROW) {
      return;
    }
    // Once more, with nothing else in between: what is shown is one instruction and its states.
    byte[] after = Snippet.data();
    String report = comparison.report(snippet.instruction, guest.dataSegment(), after);
    System.out.printf(
        "MISMATCH seed %d snippet %d: %s%n  bytes %s operand %x fcw %x fsw %x mxcsr %x flags"
            + " %x%n%s",
        seed,
        n,
        row,
        snippet.hex(),
        snippet.operand,
        RawMemory.getShort(INPUT + FX) & 0xffff,
        RawMemory.getShort(INPUT + FX + 2) & 0xffff,
        RawMemory.getInt(INPUT + FX_MXCSR),
        getLong(INPUT + RFLAGS),
        report);
  }

  @Override
  public void close() {
    guest.close();
  }
}
