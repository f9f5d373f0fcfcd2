package dev.bothy.x86.oracle;

import static dev.bothy.host.RawMemory.getLong;
import static dev.bothy.host.RawMemory.putLong;
import static dev.bothy.x86.oracle.Layout.*;

import dev.bothy.host.RawMemory;
import dev.bothy.x86.decode.Instruction;
import dev.bothy.x86.decode.InstructionTable;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/** The host-CPU differential test of straight-line sequences with memory operands. */
final class SequenceOracle {
  /** States that a sequence is run with before the next one is chosen. */
  private static final int STATES = 8;

  /** What a guest may run beyond the sequence before it is stopped, so that none is cut. */
  private static final int SLACK = 20 + Sequence.WARM_UP_LENGTH;

  private static final int REPORTS = 20;

  private final Processors processors;
  private final boolean trace;
  private final Dice dice = new Dice(0);
  private final Sequence sequence;
  private final Comparison comparison = new Comparison();
  private final byte[] dataBefore = new byte[DATA_SIZE];
  private final Map<String, Long> failures = new TreeMap<>();
  private final long[] runs = new long[InstructionTable.entries().size()];
  private long cases;
  private long signals;
  private long failed;

  /** The guest has the data pages in its TLB when it comes to the sequence. */
  private boolean warm;

  SequenceOracle(Processors processors, List<Encoding> rows, boolean trace) {
    this.processors = processors;
    this.trace = trace;
    sequence = new Sequence(dice, new RandomState(dice), rows);
  }

  /** Runs about {@code count} cases, the same for the same seed, from sequence {@code first} on. */
  HostOracle.Result run(long seed, long first, long count) {
    long before = cases;
    for (long n = first; cases - before < count; n++) {
      dice.reseed(~seed, n);
      sequence.choose();
      write();
      if (trace) {
        System.out.printf("sequence %d:%n%s", n, sequence.listing());
      }
      for (Step step : sequence.steps) {
        runs[step.in.entry.index()] += STATES;
      }
      for (int i = 0; i < STATES; i++) {
        sequence.newState();
        warm = dice.chance(75);
        MemorySegment.copy(
            RawMemory.segment(DATA, DATA_SIZE), ValueLayout.JAVA_BYTE, 0, dataBefore, 0, DATA_SIZE);
        cases++;
        if (!agree()) {
          fail(seed, n, i);
          break;
        }
      }
    }
    return new HostOracle.Result(cases, failed, signals, failures);
  }

  /** Rows that no sequence has had yet, of those that one may have. */
  List<String> rowsNotRun() {
    return sequence
        .rows()
        .map(e -> e.entry)
        .filter(e -> runs[e.index()] == 0)
        .map(Coverage::name)
        .toList();
  }

  private void write() {
    processors.write(
        sequence.warm, sequence.code(processors::leave), sequence.code(Processors::spin));
  }

  /** Runs the sequence from the state that is set up; true if both come to the same. */
  private boolean agree() {
    long guestStart = warm ? sequence.warm : sequence.start;
    processors.run(sequence.mode, sequence.steps.size() + SLACK, guestStart);
    switch ((int) getLong(Trampoline.LANDING)) {
      case Trampoline.EXIT_NEXT -> putLong(NATIVE + RIP, sequence.end);
      case Trampoline.EXIT_BACK -> putLong(NATIVE + RIP, sequence.back);
      case Trampoline.EXIT_FORWARD -> putLong(NATIVE + RIP, sequence.forward);
      default -> {
        signals++;
        Processors.normalizeFault();
      }
    }
    int stop = sequence.stoppedAt();
    Instruction in = sequence.steps.get(stop).in;
    boolean faulted = getLong(NATIVE + VECTOR) >= 0;
    int undefined = sequence.undefinedFlags(stop + 1);
    if (faulted) {
      undefined |= sequence.undefinedFlags(stop);
    }
    return comparison.agree(in, undefined, processors.guest.dataSegment());
  }

  private void restore() {
    MemorySegment.copy(
        dataBefore, 0, RawMemory.segment(DATA, DATA_SIZE), ValueLayout.JAVA_BYTE, 0, DATA_SIZE);
  }

  private boolean agreeAgain() {
    restore();
    return agree();
  }

  private void fail(long seed, long n, int state) {
    failed++;
    boolean quiet = failed > REPORTS;
    String whole = quiet ? "" : sequence.listing() + differences();
    int length = sequence.steps.size();
    boolean repeats = !agreeAgain();
    if (repeats && !quiet) {
      shrink();
    }
    List<String> rows = new ArrayList<>();
    for (Step step : sequence.steps) {
      rows.add(step.in.op.toString());
    }
    failures.merge(quiet ? "further sequences" : String.join(" ", rows), 1L, Long::sum);
    if (quiet) {
      return;
    }
    boolean agrees = agreeAgain();
    System.out.printf(
        "MISMATCH seed %d sequence %d state %d (%s), %d-bit code, %d of %d instructions%n  %s%n",
        seed,
        n,
        state,
        warm ? "warm" : "cold",
        sequence.mode,
        sequence.steps.size(),
        length,
        Sequence.controls());
    if (agrees) {
      System.out.printf("it did not happen again:%n%s", whole);
    } else {
      System.out.printf("%s%sall of it:%n%s", sequence.listing(), differences(), whole);
    }
  }

  private String differences() {
    int stop = sequence.stoppedAt();
    return comparison.report(
        sequence.steps.get(stop).in,
        sequence.undefinedFlags(stop + 1) | sequence.undefinedFlags(stop),
        processors.guest.dataSegment(),
        dataBefore);
  }

  /** Leaves instructions out for as long as it goes on failing. */
  private void shrink() {
    boolean smaller = true;
    while (smaller) {
      smaller = false;
      for (int i = sequence.steps.size() - 1; i >= 0 && sequence.steps.size() > 1; i--) {
        List<Step> all = new ArrayList<>(sequence.steps);
        List<Step> fewer = new ArrayList<>(all);
        fewer.remove(i);
        if (attempt(fewer)) {
          smaller = true;
        } else if (!sequence.reduce(all)) {
          throw new IllegalStateException("a sequence that ran is none");
        } else {
          write();
        }
      }
    }
    write();
  }

  /** True if these instructions alone fail as well; then they are the sequence. */
  private boolean attempt(List<Step> fewer) {
    if (!sequence.reduce(fewer)) {
      return false;
    }
    write();
    return !agreeAgain();
  }
}
