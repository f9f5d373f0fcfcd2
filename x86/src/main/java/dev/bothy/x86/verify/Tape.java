package dev.bothy.x86.verify;

import dev.bothy.core.GuestMemory;

/**
 * One engine's hold on the journal: it records what it asks, or is given what was recorded. Owned
 * by the vCPU's thread.
 */
final class Tape {
  /** What becomes of a question. */
  enum Mode {
    /** Asked and not written down: between runs. */
    THROUGH,
    /** Neither asked nor written down: between runs of the engine that never asks. */
    MUTE,
    RECORD,
    REPLAY
  }

  /** The replaying engine did not ask what was recorded. */
  static final class Divergence extends RuntimeException {
    private static final long serialVersionUID = 1;

    Divergence(String message) {
      super(message);
    }
  }

  final Journal journal;
  private final GuestMemory memory;
  private final Mode idle;
  private Mode mode;
  private int next;
  private Divergence divergence;
  private int inDevice;

  /** An interrupt waits in the APIC: constant during a stretch until it is taken. */
  boolean pending;

  /** Physical address of the APIC's page, or -1. */
  long apicPage = -1;

  /**
   * @param memory what the engine has for RAM; devices' writes are repeated there
   * @param idle mode between stretches
   */
  Tape(Journal journal, GuestMemory memory, Mode idle) {
    this.journal = journal;
    this.memory = memory;
    this.idle = idle;
    mode = idle;
  }

  /** A stretch begins. */
  void start(Mode newMode) {
    mode = newMode;
    next = 0;
    divergence = null;
  }

  /** A stretch is over. */
  void stop() {
    mode = idle;
  }

  boolean asks() {
    return mode == Mode.THROUGH || mode == Mode.RECORD;
  }

  boolean running() {
    return mode == Mode.RECORD || mode == Mode.REPLAY;
  }

  /** The engine is inside a device that it has called. */
  boolean inDevice() {
    return inDevice > 0;
  }

  void enterDevice() {
    inDevice++;
  }

  void leaveDevice() {
    inDevice--;
  }

  /** What went otherwise than recorded, or null; a question that was left out is not among it. */
  Divergence divergence() {
    return divergence;
  }

  /** Entries of the journal that were asked for, of a replay. */
  int position() {
    return next;
  }

  /**
   * The entry for a question: a new one while recording (the caller puts the answer in), the
   * recorded one while replaying.
   */
  Journal.Entry turn(Journal.Kind kind, long address, int size, long operand) {
    if (mode == Mode.RECORD) {
      return journal.add(kind, address, size, operand);
    }
    if (mode != Mode.REPLAY) {
      Journal.Entry entry = new Journal.Entry();
      entry.kind = kind;
      return entry;
    }
    Journal.Entry entry = next < journal.size() ? journal.get(next) : null;
    if (entry == null || !entry.matches(kind, address, size, operand)) {
      divergence =
          new Divergence(
              Journal.describe(kind, address, size, operand)
                  + (entry == null ? ", where there was none" : " instead of " + entry));
      throw divergence;
    }
    next++;
    while (next < journal.size() && journal.get(next).kind == Journal.Kind.DEVICE_WRITE) {
      Journal.Entry write = journal.get(next++);
      memory.write(write.address, write.data);
    }
    return entry;
  }
}
