package dev.bothy.x86.verify;

import dev.bothy.core.Exit;
import dev.bothy.core.LocalInterruptController;
import dev.bothy.core.Vcpu;
import dev.bothy.core.cpu.CpuState;
import dev.bothy.host.RawMemory;
import dev.bothy.x86.interpret.InterpreterEngine;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/**
 * Runs two processors by stretches of instructions, the reference first, and compares what they
 * did. The reference asks the machine and is recorded; the subject is told the same. Interrupts,
 * NMIs and IPIs arrive where a stretch begins. Owned by the vCPU's thread.
 */
final class Lockstep implements AutoCloseable {
  private static final long STATE_SIZE = CpuState.PORTABLE_SIZE;

  private final VerifyEngine.Options options;
  final InterpreterEngine referenceEngine;
  final Vcpu reference;
  final Vcpu subject;
  private final LocalInterruptController apic;
  final Journal journal;
  final Tape referenceTape;
  final Tape subjectTape;
  final TwinMemory memory;

  /** Host addresses of the states. */
  final long referenceState;

  final long subjectState;

  private final Arena arena = Arena.ofShared();

  /** The state before the stretch. */
  private final MemorySegment saved = arena.allocate(STATE_SIZE, 64);

  // The stretch at hand.
  private long apicPage;
  private boolean pending;
  private int signals;

  /** Instructions that the reference executed in the stretch. */
  long executed;

  private Exit referenceExit;

  /** The most that the stretch was allowed. */
  private long most;

  /** Entries of the journal that the reference has asked for. */
  private int asked;

  private boolean kickedMeanwhile;
  private Exit subjectExit;
  private long subjectExecuted;

  private long random = 1;
  private long untilWhole;

  // Statistics.
  long stretches;
  long verified;
  long unverified;
  long tolerated;
  long accessedBits;
  long wholeComparisons;

  Lockstep(
      VerifyEngine.Options options,
      InterpreterEngine referenceEngine,
      Vcpu reference,
      Vcpu subject,
      LocalInterruptController apic,
      Journal journal,
      Tape referenceTape,
      Tape subjectTape,
      TwinMemory memory) {
    this.options = options;
    this.referenceEngine = referenceEngine;
    this.reference = reference;
    this.subject = subject;
    this.apic = apic;
    this.journal = journal;
    this.referenceTape = referenceTape;
    this.subjectTape = subjectTape;
    this.memory = memory;
    referenceState = reference.state().address();
    subjectState = subject.state().address();
    untilWhole = options.wholeEvery();
  }

  /** Makes the subject what the reference is, RAM included. */
  void synchronize() {
    memory.equalize();
    copyState();
    referenceTape.apicPage = apic.baseAddress();
    memory.forget(referenceEngine::observeAgain);
  }

  /** The reference's state becomes the subject's; both forget what they have cached. */
  void copyState() {
    reference.state();
    subject.state();
    put(subjectState, RawMemory.segment(referenceState, STATE_SIZE));
  }

  private static void put(long state, MemorySegment from) {
    int after = CpuState.ATTENTION + 4;
    MemorySegment.copy(from, 0, RawMemory.segment(state, STATE_SIZE), 0, CpuState.ATTENTION);
    MemorySegment.copy(
        from, after, RawMemory.segment(state, STATE_SIZE), after, STATE_SIZE - after);
  }

  /** Instructions in the next stretch: never the same for long, so that loops are cut anywhere. */
  private long length() {
    random = random * 6364136223846793005L + 1442695040888963407L;
    return options.stretch() / 2 + (random >>> 33) % options.stretch();
  }

  /**
   * Runs at most {@code limit} instructions.
   *
   * @param newSignals what both processors are sent before, see {@link Signals}
   * @return why the reference stopped, or {@link Exit.Failed} with a report of what differs
   */
  Exit run(long limit, int newSignals) {
    most = Math.min(limit, length());
    memory.takeForeign();
    MemorySegment.copy(RawMemory.segment(referenceState, STATE_SIZE), 0, saved, 0, STATE_SIZE);
    signals = newSignals;
    pending = apic.interruptPending();
    apicPage = referenceTape.apicPage;
    journal.clear();
    runReference(Tape.Mode.RECORD, most);
    if (referenceExit instanceof Exit.Failed) {
      return referenceExit;
    }
    boolean kicked = referenceExit instanceof Exit.Kicked;
    runSubject(kicked ? executed : most);
    stretches++;
    if (!agree(kicked)) {
      if (kicked) {
        // It may have stopped inside an instruction, where the subject cannot be sent.
        unverified++;
        synchronize();
      } else {
        Exit difference = new Investigation(this).difference();
        if (difference != null) {
          return difference;
        }
        tolerated++;
        if (kickedMeanwhile) {
          kickedMeanwhile = false;
          reference.kick();
        }
      }
    }
    subjectTape.stop();
    verified += executed;
    untilWhole -= executed;
    memory.forget(referenceEngine::observeAgain);
    if (untilWhole <= 0 || !(referenceExit instanceof Exit.BudgetSpent) && worthwhile()) {
      untilWhole = options.wholeEvery();
      wholeComparisons++;
      String text = new Investigation(this).wholeMemory();
      if (!text.isEmpty()) {
        return new Exit.Failed(text);
      }
    }
    return referenceExit;
  }

  /** Enough has happened since RAM was compared for doing it before the machine may stop. */
  private boolean worthwhile() {
    return !(referenceExit instanceof Exit.Halted)
        && untilWhole < options.wholeEvery() - Math.min(options.wholeEvery() / 2, 1 << 20);
  }

  private void begin(Tape tape, Vcpu vcpu, Tape.Mode mode) {
    tape.pending = pending;
    tape.apicPage = apicPage;
    tape.start(mode);
    Signals.send(signals, vcpu);
  }

  private void runReference(Tape.Mode mode, long limit) {
    begin(referenceTape, reference, mode);
    long before = reference.instructions();
    referenceExit = reference.run(limit);
    executed = reference.instructions() - before;
    while (mode == Tape.Mode.REPLAY && referenceExit instanceof Exit.Kicked) {
      kickedMeanwhile = true;
      referenceExit = reference.run(limit - executed);
      executed = reference.instructions() - before;
    }
    referenceTape.stop();
    memory.keepOld();
    asked = mode == Tape.Mode.REPLAY ? referenceTape.position() : journal.size();
  }

  /** The next instruction of the reference, after {@link #beginAgain}. */
  void step() {
    while (reference.run(1) instanceof Exit.Kicked) {
      kickedMeanwhile = true;
    }
  }

  private void runSubject(long limit) {
    begin(subjectTape, subject, Tape.Mode.REPLAY);
    long before = subject.instructions();
    subjectExit = subject.run(limit);
    subjectExecuted = subject.instructions() - before;
  }

  /** Brings the reference back to where the stretch began. */
  private void rewind() {
    memory.restore();
    reference.state();
    put(referenceState, saved);
    referenceTape.apicPage = apicPage;
  }

  /**
   * Runs both {@code count} instructions from where the stretch began, the whole stretch if it had
   * no more; true if they agree.
   */
  boolean again(long count, long whole) {
    rewind();
    memory.equalize();
    copyState();
    long limit = count < whole ? count : most;
    runReference(Tape.Mode.REPLAY, limit);
    runSubject(limit);
    return agree(false);
  }

  /** Begins to run the reference alone from where the stretch began. */
  void beginAgain() {
    rewind();
    begin(referenceTape, reference, Tape.Mode.REPLAY);
    // Takes the state over.
    reference.run(0);
  }

  /** True if both have ended in the same way, and asked the same on their way. */
  boolean endAlike() {
    return referenceExit.getClass() == subjectExit.getClass()
        && executed == subjectExecuted
        && subjectTape.divergence() == null
        && subjectTape.position() == asked;
  }

  /** What the reference asked and the subject did not, or null. */
  Journal.Entry notAsked() {
    return subjectTape.position() < asked ? journal.get(subjectTape.position()) : null;
  }

  Exit referenceExit() {
    return referenceExit;
  }

  Exit subjectExit() {
    return subjectExit;
  }

  long subjectExecuted() {
    return subjectExecuted;
  }

  /**
   * True if both did the same.
   *
   * @param kicked the reference was sent away somewhere
   */
  private boolean agree(boolean kicked) {
    return (kicked || referenceExit.getClass() == subjectExit.getClass())
        && executed == subjectExecuted
        && subjectTape.divergence() == null
        && (kicked || subjectTape.position() == asked)
        && Registers.alike(referenceState, subjectState)
        && pagesAlike();
  }

  private boolean pagesAlike() {
    for (int i = 0; i < memory.count(); i++) {
      if (!alike(memory.page(i))) {
        return false;
      }
    }
    return true;
  }

  /** True if a page is alike, perhaps after the subject was given the reference's accessed bits. */
  boolean alike(long page) {
    if (memory.difference(page) < 0) {
      return true;
    }
    if (memory.differsInAccessedOnly(page)) {
      memory.copy(page);
      accessedBits++;
      return true;
    }
    return false;
  }

  @Override
  public void close() {
    arena.close();
  }
}
