package dev.bothy.x86.translate;

import dev.bothy.x86.interpret.EngineArea;

/** What generated code counts when it is asked to, in words of its vCPU's state. */
public enum Event {
  /** A block was entered. */
  BLOCK("blocksExecuted"),

  /** A look into the TLB. */
  LOOK_UP("tlbLookUps"),

  /** An access that needed no look, since its place was found with another's. */
  SHARED_LOOK_UP("tlbSharedLookUps"),

  /** A look at the copy of the stack's TLB entry. */
  STACK_LOOK_UP("tlbStackLookUps"),

  /** That was another page's: a look into the TLB followed. */
  STACK_MISS("tlbStackMisses"),

  /** A look into the jump cache. */
  JUMP("jumpCacheLookUps");

  private final String counter;

  Event(String counter) {
    this.counter = counter;
  }

  /** Name of the counter in statistics. */
  public String counter() {
    return counter;
  }

  /** Offset of the counter, 8 bytes, from the state's start. */
  public int offset() {
    return EngineArea.COUNTERS + 8 * ordinal();
  }
}
