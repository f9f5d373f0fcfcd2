package dev.bothy.x86.translate;

import dev.bothy.core.cpu.CpuState;
import dev.bothy.x86.decode.Instruction;
import dev.bothy.x86.decode.Op;
import dev.bothy.x86.decode.TableEntry;

/**
 * Which accesses of a block go to the same few bytes: those whose addresses differ by constants.
 * The first of them, the leader, looks for all of these bytes at once, and keeps the host address
 * of the lowest in a word; the others, its followers, take it from there without looking. If the
 * bytes are not all on one page, or one of them cannot be written that somebody writes, the leader
 * leaves for a block whose accesses all look for themselves.
 *
 * <p>No look is needed again: a block is left for good before anything that removes a page from the
 * TLB can happen.
 */
final class Spans {
  /** Words for host addresses. */
  static final int WORDS = 16;

  /** No part of a span. */
  private static final int NONE = -1;

  /** Bytes of a span at most: longer ones cross a page too often. */
  private static final int LONGEST = 512;

  private static final int MOST = 2 * BlockWriter.MOST;

  private final Values values = new Values();

  // The accesses of the block in their order: operands, and what push, pop and the like do.
  private int accesses;
  private final int[] base = new int[MOST];
  private final int[] index = new int[MOST];
  private final int[] scale = new int[MOST];
  private final int[] segment = new int[MOST];
  private final long[] place = new long[MOST];
  private final int[] size = new int[MOST];
  private final boolean[] writes = new boolean[MOST];
  private final int[] instruction = new int[MOST];
  private final boolean[] mayLead = new boolean[MOST];

  /** How many instructions of which nothing is known came before. */
  private final int[] era = new int[MOST];

  private int presentEra;

  // What was planned for them.
  private final int[] word = new int[MOST];
  private final boolean[] leads = new boolean[MOST];
  private final int[] ahead = new int[MOST];
  private final int[] length = new int[MOST];
  private final boolean[] written = new boolean[MOST];

  /** For each instruction: its access by operand, its access to the stack, or {@link #NONE}. */
  private final int[] operand = new int[BlockWriter.MOST];

  private final int[] stack = new int[BlockWriter.MOST];

  private boolean any;

  /** For each instruction, how many conditional jumps come before it. */
  private final int[] jumpsBefore = new int[BlockWriter.MOST];

  /** The last instruction that needs the word. */
  private final int[] busyUntil = new int[WORDS];

  /** Plans for a block of the first {@code count} instructions; for none if {@code narrow}. */
  void plan(Instruction[] instructions, int[] offsets, int count, boolean is64, boolean narrow) {
    accesses = 0;
    any = false;
    java.util.Arrays.fill(operand, 0, count, NONE);
    java.util.Arrays.fill(stack, 0, count, NONE);
    if (narrow || hasX87(instructions, count)) {
      return;
    }
    int wide = is64 ? 8 : 4;
    values.start(wide);
    boolean known = true;
    presentEra = 0;
    for (int k = 0, jumps = 0; k < count; k++) {
      Instruction i = instructions[k];
      jumpsBefore[k] = jumps;
      if (i.addressSize == wide && takesPart(i)) {
        operand[k] = addOperand(i, offsets[k] + i.length, k, known);
      }
      addStack(i, wide, k, known);
      if (i.op == Op.JCC) {
        jumps++;
      }
      known = values.follow(i);
      if (!known) {
        presentEra++;
      }
    }
    groupAll();
  }

  private static boolean hasX87(Instruction[] instructions, int count) {
    for (int k = 0; k < count; k++) {
      switch (instructions[k].entry.lowering()) {
        case X87, MMX -> {
          return true;
        }
        default -> {}
      }
    }
    return false;
  }

  /** True if the operand of {@code i} is translated by {@link Memory#place}. */
  static boolean takesPart(Instruction i) {
    int rm = Rewriting.rm(i);
    if (rm < 0 || i.kind[rm] != Instruction.MEMORY) {
      return false;
    }
    for (int n = 0; n < i.operands; n++) {
      if (i.kind[n] == Instruction.GPR_HIGH) {
        return false;
      }
    }
    switch (i.entry.lowering()) {
      case PLAIN, FLAGS -> {
        return switch (i.op) {
          case ADD,
              OR,
              ADC,
              SBB,
              AND,
              SUB,
              XOR,
              CMP,
              TEST,
              INC,
              DEC,
              NEG,
              NOT,
              MOVZX,
              MOVSX,
              MOVSXD,
              ROL,
              ROR,
              RCL,
              RCR,
              SHL,
              SHR,
              SAR,
              SHLD,
              SHRD,
              TZCNT,
              BSF,
              LZCNT,
              BSR,
              POPCNT,
              CMOVCC,
              SETCC,
              XCHG,
              XADD,
              ADCX,
              ADOX,
              ANDN,
              BEXTR,
              BLSI,
              BLSMSK,
              BLSR,
              BZHI,
              MULX,
              PDEP,
              PEXT,
              RORX,
              SARX,
              SHLX,
              SHRX ->
              true;
          case IMUL -> i.operands > 1;
          case MOV -> i.kind[1 - rm] == Instruction.GPR || i.kind[1 - rm] == Instruction.IMMEDIATE;
          default -> false;
        };
      }
      case SSE -> {
        return switch (i.op) {
          case LDMXCSR, STMXCSR, PCMPESTRI, PCMPESTRM, PCMPISTRI, PCMPISTRM, MASKMOVDQU -> false;
          default -> true;
        };
      }
      case AVX -> {
        return AvxInstructions.rewrites(i.op);
      }
      default -> {
        return false;
      }
    }
  }

  private int addOperand(Instruction i, int next, int k, boolean known) {
    if (Math.abs(i.displacement) > Integer.MAX_VALUE - LONGEST || Memory.addsToRegisters(i)) {
      return NONE;
    }
    int rm = Rewriting.rm(i);
    int a = accesses;
    long at = i.displacement;
    int from = Values.ZERO;
    if (i.base == Instruction.RIP_BASE) {
      from = Values.PAGE;
      at += next;
    } else if (i.base >= 0) {
      from = values.numberOf(i.base);
      at += values.constantOf(i.base);
    }
    index[a] = Values.ZERO;
    scale[a] = 0;
    if (i.index >= 0) {
      index[a] = values.numberOf(i.index);
      scale[a] = i.scale;
      at += values.constantOf(i.index) << i.scale;
    }
    segment[a] = i.segment >= CpuState.FS ? i.segment : 0;
    add(from, at, i.size[rm], Rewriting.writes(i, rm), k, known);
    return a;
  }

  private void addStack(Instruction i, int wide, int k, boolean known) {
    int by;
    switch (i.op) {
      case PUSH, CALL -> by = -wide;
      case POP, RET -> by = 0;
      default -> {
        return;
      }
    }
    if (i.operandSize != wide || i.op == Op.POP && i.kind[0] != Instruction.GPR) {
      return;
    }
    int a = accesses;
    index[a] = Values.ZERO;
    scale[a] = 0;
    segment[a] = 0;
    add(
        values.numberOf(CpuState.RSP),
        values.constantOf(CpuState.RSP) + by,
        wide,
        by != 0,
        k,
        // Else a miss would not tell which of the two accesses it was.
        known && (i.operands == 0 || i.kind[0] != Instruction.MEMORY));
    stack[k] = a;
  }

  private void add(int from, long at, int bytes, boolean write, int k, boolean known) {
    int a = accesses++;
    base[a] = from;
    place[a] = at;
    size[a] = bytes;
    writes[a] = write;
    instruction[a] = k;
    mayLead[a] = known;
    era[a] = presentEra;
    word[a] = NONE;
    leads[a] = false;
  }

  private void groupAll() {
    java.util.Arrays.fill(busyUntil, NONE);
    for (int a = 0; a < accesses; a++) {
      if (word[a] == NONE && mayLead[a]) {
        group(a);
      }
    }
  }

  private void group(int leader) {
    int free = freeWord(instruction[leader]);
    if (free == NONE) {
      return;
    }
    long low = place[leader];
    long high = low + size[leader];
    boolean write = writes[leader];
    int last = NONE;
    for (int a = leader + 1; a < accesses; a++) {
      if (word[a] != NONE || !isLike(leader, a)) {
        continue;
      }
      // A page that is never written to shall not be asked for writing.
      boolean certain = jumpsBefore[instruction[a]] == jumpsBefore[instruction[leader]];
      long lower = Math.min(low, place[a]);
      long higher = Math.max(high, place[a] + size[a]);
      if (writes[a] && !write && !certain || !fits(leader, lower, higher)) {
        continue;
      }
      low = lower;
      high = higher;
      write |= writes[a];
      word[a] = free;
      last = a;
    }
    if (last == NONE) {
      return;
    }
    word[leader] = free;
    leads[leader] = true;
    any = true;
    busyUntil[free] = instruction[last];
    for (int a = leader; a <= last; a++) {
      if (word[a] == free && instruction[a] >= instruction[leader]) {
        ahead[a] = (int) (place[a] - low);
        length[a] = (int) (high - low);
        written[a] = write;
      }
    }
  }

  private int freeWord(int k) {
    for (int w = 0; w < WORDS; w++) {
      if (busyUntil[w] < k) {
        return w;
      }
    }
    return NONE;
  }

  private boolean isLike(int a, int b) {
    return base[a] == base[b]
        && index[a] == index[b]
        && scale[a] == scale[b]
        && segment[a] == segment[b]
        && era[a] == era[b];
  }

  private boolean fits(int leader, long low, long high) {
    if (high - low > LONGEST
        || low != (int) low
        || low - place[leader] != (int) (low - place[leader])) {
      return false;
    }
    // Where the place within the page is known, so is whether a page is crossed.
    boolean fixed =
        base[leader] <= Values.PAGE && index[leader] == Values.ZERO && segment[leader] == 0;
    return !fixed || low >> 12 == high - 1 >> 12;
  }

  // The plan.

  /** True if there is a span at all. */
  boolean any() {
    return any;
  }

  private int access(int k, boolean ofStack) {
    int a = ofStack ? stack[k] : operand[k];
    return a == NONE || word[a] == NONE ? NONE : a;
  }

  /** True if the access looks for a span. */
  boolean leads(int k, boolean ofStack) {
    int a = access(k, ofStack);
    return a != NONE && leads[a];
  }

  /** True if the access goes where its leader has found a span. */
  boolean follows(int k, boolean ofStack) {
    int a = access(k, ofStack);
    return a != NONE && !leads[a];
  }

  /** Displacement of the span's word. */
  int word(int k, boolean ofStack) {
    return Home.span(word[access(k, ofStack)]);
  }

  /** Bytes of the span before the access. */
  int ahead(int k, boolean ofStack) {
    return ahead[access(k, ofStack)];
  }

  /** Bytes of the span. */
  int length(int k, boolean ofStack) {
    return length[access(k, ofStack)];
  }

  /** True if somebody writes to the span. */
  boolean written(int k, boolean ofStack) {
    return written[access(k, ofStack)];
  }

  /** True if the instruction only reads where its look-up is for writing. */
  boolean readsFirst(int k) {
    return leads(k, false) && written[operand[k]] && !writes[operand[k]]
        || leads(k, true) && written[stack[k]] && !writes[stack[k]];
  }

  /** Bytes between what the instruction looks up and what it accesses. */
  int lookedAhead(int k) {
    return leads(k, false) ? ahead(k, false) : leads(k, true) ? ahead(k, true) : 0;
  }

  /** True if instruction {@code k}, whose accesses all follow, cannot leave and keeps the flags. */
  boolean isQuiet(int k, Instruction i) {
    switch (i.entry.lowering()) {
      case PLAIN, FLAGS -> {
        return follows(k, false) && !i.lock && i.op != Op.XCHG && !i.entry.has(TableEntry.RDI);
      }
      case STACK -> {
        return (i.op == Op.PUSH && i.kind[0] != Instruction.MEMORY || i.op == Op.POP)
            && follows(k, true);
      }
      default -> {
        return false;
      }
    }
  }
}
