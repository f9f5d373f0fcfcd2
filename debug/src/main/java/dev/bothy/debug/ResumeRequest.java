package dev.bothy.debug;

/**
 * What vCPUs are to do next, as vCont says: for each, the first action counts that names it.
 *
 * @param running one bit for each that goes on
 * @param steps those of them that execute one instruction
 */
record ResumeRequest(long running, long steps) {
  /** All threads. */
  static final int ALL = -1;

  /** Any thread. */
  private static final int ANY = 0;

  /**
   * Reads what follows {@code vCont}: {@code ;c:1;s}. Threads are counted from 1.
   *
   * @throws IllegalArgumentException if it is something else
   */
  static ResumeRequest parse(String text, int cpus) {
    long decided = 0;
    long running = 0;
    long steps = 0;
    if (!text.startsWith(";")) {
      throw new IllegalArgumentException(text);
    }
    for (String action : text.substring(1).split(";")) {
      String[] parts = action.split(":");
      long who = parts.length < 2 ? bits(ALL, cpus) : bits(thread(parts[1]), cpus);
      who &= ~decided;
      decided |= who;
      switch (parts[0].isEmpty() ? ' ' : parts[0].charAt(0)) {
        case 'c', 'C' -> running |= who;
        case 's', 'S' -> {
          running |= who;
          steps |= who;
        }
        case 't' -> {}
        default -> throw new IllegalArgumentException(action);
      }
    }
    return new ResumeRequest(running, steps);
  }

  /** All go on, but for thread {@code stepping}, which executes one instruction. */
  static ResumeRequest stepping(int stepping, int cpus) {
    return new ResumeRequest(bits(stepping, cpus), bits(stepping, cpus));
  }

  static ResumeRequest all(int cpus) {
    return new ResumeRequest(bits(ALL, cpus), 0);
  }

  /** A thread's number, or {@link #ALL}; 0 for any. */
  static int thread(String text) {
    return text.equals("-1") ? ALL : Integer.parseUnsignedInt(text, 16);
  }

  private static long bits(int thread, int cpus) {
    if (thread == ALL) {
      return -1L >>> 64 - cpus;
    }
    int number = thread == ANY ? 1 : thread;
    if (number < 1 || number > cpus) {
      throw new IllegalArgumentException("thread " + number);
    }
    return 1L << number - 1;
  }
}
