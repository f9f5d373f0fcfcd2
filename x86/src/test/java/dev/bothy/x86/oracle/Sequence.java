package dev.bothy.x86.oracle;

import static dev.bothy.host.RawMemory.getInt;
import static dev.bothy.host.RawMemory.getLong;
import static dev.bothy.host.RawMemory.putInt;
import static dev.bothy.host.RawMemory.putLong;
import static dev.bothy.x86.oracle.Layout.*;

import dev.bothy.core.cpu.CpuState;
import dev.bothy.x86.decode.Disassembler;
import dev.bothy.x86.decode.Instruction;
import dev.bothy.x86.decode.Lowering;
import dev.bothy.x86.decode.Op;
import dev.bothy.x86.decode.TableEntry;
import java.util.ArrayList;
import java.util.BitSet;
import java.util.HexFormat;
import java.util.List;
import java.util.stream.Stream;

/**
 * A straight line of random instructions, and the random states it is run with. The last one may
 * branch elsewhere; other branches in it lead to the next instruction. Reused; belongs to one
 * thread.
 */
final class Sequence {
  static final int MOST = 12;

  private static final int TRIES = 24;
  private static final int LANDING_SIZE = 8;

  private static final int WARM_UP = 64;

  /** Instructions from {@link #warm} to {@link #start}. */
  static final int WARM_UP_LENGTH = 5;

  /** Room for the longest one with its landing places. */
  private static final int SPAN = MOST * 15 + 4 * LANDING_SIZE + WARM_UP;

  private final Dice dice;
  private final RandomState random;
  private final Provenance known = new Provenance();
  private final List<Encoding> integers = new ArrayList<>();
  private final List<Encoding> others = new ArrayList<>();
  private final List<Encoding> branches = new ArrayList<>();
  private final List<Encoding> faults = new ArrayList<>();
  private final BitSet covered = new BitSet();
  private final List<Step> spare = new ArrayList<>();

  /** The instructions, in order. */
  final List<Step> steps = new ArrayList<>();

  int mode;

  /** Linear address of the first instruction. */
  long start;

  /** Where the guest may start instead: code that touches the data pages and goes on there. */
  long warm;

  /** Linear addresses behind the last one, and where branches land. */
  long end;

  long forward;
  long back;

  private boolean branchesBack;
  private long gsBase;

  Sequence(Dice dice, RandomState random, Iterable<Encoding> rows) {
    this.dice = dice;
    this.random = random;
    for (Encoding row : rows) {
      sort(row);
    }
  }

  private void sort(Encoding row) {
    TableEntry entry = row.entry;
    if (entry.has(TableEntry.VSIB)) {
      return; // addresses from vectors
    }
    covered.set(entry.index());
    boolean user = entry.test().equals("user") || entry.test().equals("mode");
    switch (entry.lowering()) {
      case CONTROL -> {
        if (entry.op() != Op.RET) {
          branches.add(row);
        }
      }
      case SYSTEM -> {
        switch (entry.op()) {
          case CLFLUSH, CLFLUSHOPT, CLWB, PUSHF, RDFSBASE, RDGSBASE, WRGSBASE -> others.add(row);
          case INT3, UD2, HLT, CLI, STI, RDMSR, MOV -> {
            if (!entry.has(TableEntry.LOADSEGMENT)) {
              faults.add(row);
            }
          }
          default -> {}
        }
      }
      case PLAIN, FLAGS, STACK, STRING -> {
        if (!entry.has(TableEntry.IOPL)) {
          integers.add(row);
        }
      }
      default -> {
        if (user) {
          others.add(row);
        }
      }
    }
  }

  /** Rows that a sequence may have. */
  Stream<Encoding> rows() {
    return Stream.of(integers, others, branches, faults).flatMap(List::stream);
  }

  /** Chooses instructions; where they are and how many is random too. */
  void choose() {
    mode = dice.below(4) == 0 ? 32 : 64;
    start = SEQUENCES + WARM_UP + dice.below(SEQUENCES_SIZE - SPAN);
    gsBase = mode == 64 && dice.chance(50) ? (dice.below(64) - 32) * 16L : 0;
    branchesBack = dice.chance(50);
    known.reset();
    spare.addAll(steps);
    steps.clear();
    int wanted = 2 + dice.below(MOST - 1);
    boolean ending = dice.chance(30);
    for (int tries = 0; steps.size() < wanted && tries < TRIES * wanted; tries++) {
      boolean atEnd = steps.size() == wanted - 1;
      Step step = spare.isEmpty() ? new Step() : spare.removeLast();
      if (step.choose(dice, row(ending && atEnd), mode, known)
          && fits(step.in, atEnd)
          && known.accept(step.in)) {
        steps.add(step);
      } else {
        spare.add(step);
      }
    }
    if (!place(steps)) {
      spare.add(steps.removeLast());
      place(steps);
    }
  }

  private Encoding row(boolean ending) {
    List<Encoding> list = dice.chance(50) ? integers : others;
    if (!ending && dice.chance(5)) {
      list = branches;
    }
    if (ending) {
      list = dice.chance(85) ? branches : faults;
    }
    return list.get(dice.below(list.size()));
  }

  /** Keeps out what is tested alone, and makes rare what mostly faults. */
  private boolean fits(Instruction in, boolean atEnd) {
    // Random prefixes may have made another row of it.
    if (!covered.get(in.entry.index()) || Coverage.refused(in)) {
      return false;
    }
    TableEntry entry = in.entry;
    // A relative branch may stand anywhere: if it is not the last, it leads to the next
    // instruction.
    boolean branch = in.operands > 0 && in.kind[0] == Instruction.RELATIVE;
    boolean ends =
        entry.lowering() == Lowering.CONTROL && !branch
            || entry.has(TableEntry.CPL0)
            || entry.has(TableEntry.IOPL)
            || Effects.tolerated(in.op)
            || in.op == Op.INT3
            || in.op == Op.UD2;
    if (ends) {
      return atEnd;
    }
    for (int i = 0; i < in.operands; i++) {
      if (in.kind[i] == Instruction.SEGMENT_REGISTER && (i == 0 && in.op != Op.PUSH)) {
        return false;
      }
    }
    return switch (in.op) {
      case LAR, LSL, VERR, VERW, ARPL, BOUND, INTO, LES, LDS, LSS, LFS, LGS -> false;
      case DIV, IDIV -> dice.chance(25);
      case FLDENV, FRSTOR, FLDCW, LDMXCSR -> dice.chance(25);
      case AAM -> (in.immediate & 0xff) != 0 || dice.chance(10);
      default -> !in.lock || entry.has(TableEntry.LOCK);
    };
  }

  /** Gives the steps their addresses; false if a branch cannot reach its target. */
  private boolean place(List<Step> line) {
    long at = start;
    for (Step step : line) {
      step.place(at);
      at += step.in.length;
    }
    end = at;
    forward = end + LANDING_SIZE;
    back = start - 2 * LANDING_SIZE;
    warm = start - WARM_UP;
    for (Step step : line) {
      if (step.branchesRelative() && !step.aim(step.address + step.in.length)) {
        return false;
      }
    }
    if (line.isEmpty() || !line.getLast().branchesRelative()) {
      return true;
    }
    Step branch = line.getLast();
    return branchesBack && branch.aim(back) || branch.aim(forward);
  }

  /** Keeps only some of the instructions; false if they would not be a sequence of their own. */
  boolean reduce(List<Step> line) {
    known.replay();
    for (Step step : line) {
      if (!known.accept(step.in)) {
        return false;
      }
    }
    if (!place(line)) {
      return false;
    }
    if (line != steps) {
      steps.clear();
      steps.addAll(line);
    }
    return true;
  }

  /** All bytes from {@link #warm} on: warm-up, landing, instructions, landings. */
  byte[] code(Landing landing) {
    byte[] bytes = new byte[(int) (forward + LANDING_SIZE - warm)];
    put(bytes, warm, warmUp());
    put(bytes, back, landing.code(mode, back, Trampoline.EXIT_BACK));
    for (Step step : steps) {
      put(bytes, step.address, step.bytes());
    }
    put(bytes, end, landing.code(mode, end, Trampoline.EXIT_NEXT));
    put(bytes, forward, landing.code(mode, forward, Trampoline.EXIT_FORWARD));
    return bytes;
  }

  /** Exchanges a word of either page twice: nothing changes, not even flags. */
  private byte[] warmUp() {
    CodeBuffer code = new CodeBuffer(warm);
    for (int i = 0; i < WARM_UP_LENGTH - 1; i++) {
      code.at(mode == 64 ? "48870425" : "8705", DATA + i / 2 * PAGE); // xchg [page], rax
    }
    return code.jump("e9", start).bytes();
  }

  private void put(byte[] bytes, long address, byte[] part) {
    System.arraycopy(part, 0, bytes, (int) (address - warm), part.length);
  }

  /** Code that ends a test at an address: different on host and guest. */
  @FunctionalInterface
  interface Landing {
    byte[] code(int mode, long address, int landing);
  }

  /** Fills {@link Layout#INPUT} and {@link Layout#DATA} with a new random state. */
  void newState() {
    random.data();
    random.floating(90);
    putLong(INPUT + GS_BASE, gsBase);
    putLong(INPUT + RIP, start);
    putLong(INPUT + RFLAGS, 0x202 | dice.next() & (dice.chance(25) ? 0xcd5 : 0x8d5));
    int odd = dice.chance(12) ? dice.below(mode == 64 ? 16 : 8) : -1;
    for (int r = 0; r < 16; r++) {
      long value =
          switch (known.role[r]) {
            case Provenance.ADDRESS -> anchor(r, r == odd);
            case Provenance.SMALL -> small(r);
            case Provenance.TARGET -> branchesBack ? back : forward;
            default -> Values.integer(dice);
          };
      putLong(INPUT + GPR + 8 * r, value);
      if (mode == 32) {
        putInt(INPUT + GPR + 8 * r + 4, 0);
      }
    }
    for (Step step : steps) {
      if (Provenance.accesses(step.in) && dice.chance(60)) {
        random.operand(step.in, step.in.size[Provenance.memory(step.in)], operand(step.in));
      }
    }
  }

  private long small(int register) {
    if (register == CpuState.RCX && known.counted && dice.chance(95)) {
      return dice.below(9);
    }
    return dice.chance(70) ? dice.below(4) * 16L : dice.below(60);
  }

  private long anchor(int register, boolean odd) {
    long middle = DATA + PAGE;
    if (register == CpuState.RSP) {
      return odd ? strange() : middle + (dice.below(64) - 32) * 16L + (dice.chance(20) ? 8 : 0);
    }
    long value =
        odd
            ? strange()
            : middle + (dice.below(64) - 32) * 16L + (dice.chance(8) ? dice.below(16) : 0);
    return known.wide[register] ? value : value & 0xffff_ffffL | dice.next() << 32;
  }

  /** Ends of what is mapped, what may only be read, nothing at all, no address. */
  private long strange() {
    return switch (dice.below(6)) {
      case 0, 1 -> DATA + DATA_SIZE - dice.below(32);
      case 2 -> DATA + dice.below(32);
      case 3 -> READ_ONLY + PAGE / 2;
      case 4 -> DATA + 6L * PAGE;
      default -> known.wide[CpuState.RSP] && mode == 64 ? 0x0000_8000_0000_0000L + 0x4000 : DATA;
    };
  }

  /** Where an operand would be if no instruction before had changed its registers. */
  private long operand(Instruction in) {
    long address = in.segment == CpuState.GS ? gsBase : 0;
    address += in.displacement;
    if (in.base == Instruction.RIP_BASE) {
      return -1;
    }
    if (in.base >= 0) {
      address += getLong(INPUT + GPR + 8 * in.base);
    }
    if (in.index >= 0) {
      address += getLong(INPUT + GPR + 8 * in.index) << in.scale;
    }
    return in.addressSize == 4 ? address & 0xffff_ffffL : address;
  }

  /** Which step the host ended at, by {@link Layout#NATIVE}; the last one if it came through. */
  int stoppedAt() {
    long vector = getLong(NATIVE + VECTOR);
    long rip = getLong(NATIVE + RIP);
    boolean trap = vector == 3 || vector == 4;
    for (int i = 0; vector >= 0 && i < steps.size(); i++) {
      Step step = steps.get(i);
      if (rip == step.address + (trap ? step.in.length : 0)) {
        return i;
      }
    }
    return steps.size() - 1;
  }

  /** Flags that the first {@code n} steps leave undefined. */
  int undefinedFlags(int n) {
    int undefined = 0;
    for (int i = 0; i < n; i++) {
      Instruction in = steps.get(i).in;
      undefined = undefined & ~Effects.flagsSettled(in) | in.entry.flagsUndefined();
    }
    return undefined;
  }

  /** Addresses, bytes and instructions, line by line. */
  String listing() {
    StringBuilder out = new StringBuilder();
    for (Step step : steps) {
      out.append(
          String.format(
              "  %x  %-30s %s%n",
              step.address,
              HexFormat.of().formatHex(step.bytes()),
              Disassembler.format(step.in, step.address)));
    }
    return out.toString();
  }

  /** What was in x87, MXCSR and flags before. */
  static String controls() {
    return String.format(
        "fcw %x fsw %x mxcsr %x flags %x gs base %x",
        getInt(INPUT + FX) & 0xffff,
        getInt(INPUT + FX) >>> 16,
        getInt(INPUT + FX_MXCSR),
        getLong(INPUT + RFLAGS),
        getLong(INPUT + GS_BASE));
  }
}
