package dev.bothy.x86.verify;

import dev.bothy.core.Exit;
import dev.bothy.core.cpu.CpuState;
import dev.bothy.host.RawMemory;
import dev.bothy.x86.decode.Decoder;
import dev.bothy.x86.decode.Disassembler;
import dev.bothy.x86.decode.Instruction;
import dev.bothy.x86.decode.TableEntry;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/**
 * What the two processors did differently in a stretch, found out by running it again from its
 * beginning: the reference one instruction at a time, both with fewer and fewer instructions.
 */
final class Investigation {
  /** Lines of a kind in a report. */
  private static final int MOST_LINES = 40;

  /** Instructions shown before the one after which the difference is first seen. */
  private static final int BEFORE = 64;

  private final Lockstep lockstep;
  private final List<String> code = new ArrayList<>();

  /** Arithmetic flags that nobody defines at the end of the stretch. */
  private int undefinedFlags;

  /** Undefined flags that were stored or pushed: bits that may differ anywhere by now. */
  private long leaked;

  Investigation(Lockstep lockstep) {
    this.lockstep = lockstep;
  }

  /**
   * The report of what differs after the stretch; null if all of it is undefined, and the subject
   * was given the reference's.
   */
  Exit difference() {
    long count = lockstep.executed;
    if (lockstep.endAlike()) {
      List<Integer> offsets = differingBytes();
      trace(count, false);
      if (tolerable(offsets) && pagesTolerable()) {
        for (int i = 0; i < lockstep.memory.count(); i++) {
          lockstep.memory.copy(lockstep.memory.page(i));
        }
        lockstep.copyState();
        return null;
      }
    }
    String seen = describe();
    trace(count, true);
    long first = narrow(count);
    StringBuilder out =
        new StringBuilder("verify: the translator and the interpreter differ after ")
            .append(lockstep.verified + (first > 0 ? first : count))
            .append(" instructions\n");
    if (first > 0) {
      out.append(describe());
      if (first < count) {
        out.append("and ").append(count - first).append(" instructions later:\n").append(seen);
      }
    } else {
      out.append(seen)
          .append("They agree when the stretch is run again with empty TLBs: a stale translation,")
          .append(" or chance.\n");
    }
    out.append("what the interpreter executed");
    int end = first > 0 ? (int) Math.min(first, code.size()) : code.size();
    int begin = Math.max(0, end - BEFORE);
    if (begin > 0) {
      out.append(" (after ").append(begin).append(" others)");
    }
    out.append(first > 0 ? "; the difference is there after the last one:\n" : ":\n");
    for (String line : code.subList(begin, end)) {
      out.append(line).append('\n');
    }
    return new Exit.Failed(out.toString());
  }

  /** What differs now. */
  private String describe() {
    StringBuilder out = new StringBuilder();
    if (lockstep.referenceExit().getClass() != lockstep.subjectExit().getClass()
        || lockstep.executed != lockstep.subjectExecuted()) {
      out.append("the interpreter ")
          .append(ending(lockstep.referenceExit(), lockstep.executed))
          .append(", the translator ")
          .append(ending(lockstep.subjectExit(), lockstep.subjectExecuted()))
          .append('\n');
    }
    if (lockstep.subjectTape.divergence() != null) {
      out.append("the translator made a ")
          .append(lockstep.subjectTape.divergence().getMessage())
          .append('\n');
    } else if (lockstep.notAsked() != null) {
      out.append("the translator made no ").append(lockstep.notAsked()).append('\n');
    }
    List<String> registers = Registers.differences(lockstep.referenceState, lockstep.subjectState);
    if (!registers.isEmpty()) {
      out.append("%-18s %16s   %16s\n".formatted("", "interpreter", "translator"));
      append(out, registers);
    }
    append(out, memory());
    out.append("interpreter:\n").append(Registers.dump(lockstep.referenceState));
    out.append("translator:\n").append(Registers.dump(lockstep.subjectState));
    if (lockstep.subjectExit() instanceof Exit.Failed(String report)
        && lockstep.subjectTape.divergence() == null) {
      out.append("translator's failure:\n").append(report.strip()).append('\n');
    }
    return out.toString();
  }

  private static String ending(Exit exit, long executed) {
    return switch (exit) {
          case Exit.Halted _ -> "halted";
          case Exit.Shutdown _ -> "shut down";
          case Exit.Failed _ -> "failed";
          case Exit.BudgetSpent _ -> "went on";
          default -> exit.getClass().getSimpleName();
        }
        + " after "
        + executed
        + " instructions";
  }

  private static void append(StringBuilder out, List<String> lines) {
    for (int i = 0; i < lines.size() && i < MOST_LINES; i++) {
      out.append(lines.get(i)).append('\n');
    }
    if (lines.size() > MOST_LINES) {
      out.append("and ").append(lines.size() - MOST_LINES).append(" more\n");
    }
  }

  // Memory.

  /** Differences of RAM, of a few pages word by word. */
  private List<String> memory() {
    List<String> lines = new ArrayList<>();
    lockstep.memory.differences(
        page -> {
          if (lines.size() > MOST_LINES || lockstep.alike(page)) {
            return;
          }
          TwinMemory memory = lockstep.memory;
          long offset = memory.real.offsetOf(page);
          for (int at = 0; at < TwinMemory.PAGE; at += 8) {
            long one = memory.real.all().get(ValueLayout.JAVA_LONG, offset + at);
            long other = memory.twin.all().get(ValueLayout.JAVA_LONG, offset + at);
            if (one != other && lines.size() <= MOST_LINES) {
              lines.add("RAM at %-10x  %16x   %16x".formatted(page + at, one, other));
            }
          }
        });
    return lines;
  }

  /** Compares all of RAM; a report, or nothing. */
  String wholeMemory() {
    List<String> lines = memory();
    if (lines.isEmpty()) {
      return "";
    }
    StringBuilder out =
        new StringBuilder("verify: the translator's RAM differs from the interpreter's after ")
            .append(lockstep.verified)
            .append(" instructions, on a page that the interpreter has not written lately\n");
    append(out, lines);
    return out.append(Registers.dump(lockstep.referenceState)).toString();
  }

  // Which instruction.

  /**
   * Runs the reference again, one instruction at a time, and notes what it executes, in words if
   * {@code written}. It ends as it did before.
   */
  private void trace(long count, boolean written) {
    lockstep.beginAgain();
    Instruction instruction = new Instruction();
    long eventsBefore = events();
    for (long n = 0; n < count; n++) {
      long rip = RawMemory.getLong(lockstep.referenceState + CpuState.RIP);
      int bits = codeBits();
      int inPage = (int) (0x1000 - (rip & 0xfff));
      byte[] bytes = fetch(Math.min(15, inPage));
      int status = Decoder.decode(bytes, 0, bytes.length, bits, instruction);
      if (status == Decoder.TRUNCATED && inPage < 15) {
        bytes = fetch(15);
        status = Decoder.decode(bytes, 0, bytes.length, bits, instruction);
      }
      boolean known = status == Decoder.OK;
      int length = known ? instruction.length : Math.min(bytes.length, 15);
      int undefinedBefore = undefinedFlags;
      if (known) {
        weigh(instruction.entry);
      }
      lockstep.step();
      long next = RawMemory.getLong(lockstep.referenceState + CpuState.RIP);
      boolean elsewhere = !known || next != rip + length;
      if (elsewhere) {
        long events = events();
        if (events != eventsBefore) {
          // An exception or interrupt has pushed the flags.
          leaked |= undefinedBefore;
          eventsBefore = events;
        }
      }
      if (written) {
        StringBuilder hex = new StringBuilder();
        for (int i = 0; i < length; i++) {
          hex.append("%02x ".formatted(bytes[i]));
        }
        code.add(
            "%5d %16x: %-30s %s%s"
                .formatted(
                    n + 1,
                    rip,
                    hex,
                    known ? Disassembler.format(instruction, rip) : "(bad)",
                    elsewhere ? "  -> " + Long.toHexString(next) : ""));
      }
    }
    lockstep.referenceTape.stop();
    lockstep.memory.keepOld();
  }

  /** Exceptions and interrupts that the reference has taken. */
  private long events() {
    Map<String, Long> counters = lockstep.reference.counters();
    return counters.get("exceptions") + counters.get("interrupts");
  }

  private byte[] fetch(int most) {
    return lockstep.referenceEngine.codeAt(lockstep.reference, most);
  }

  private int codeBits() {
    int attributes =
        RawMemory.getInt(
            lockstep.referenceState + CpuState.segment(CpuState.CS, CpuState.SEGMENT_ATTRIBUTES));
    boolean isLong = (RawMemory.getLong(lockstep.referenceState + CpuState.EFER) & 0x400) != 0;
    return isLong && (attributes & 0x2000) != 0 ? 64 : (attributes & 0x4000) != 0 ? 32 : 16;
  }

  /** Notes what {@code entry} leaves undefined. */
  private void weigh(TableEntry entry) {
    switch (entry.op()) {
      case PUSHF, SYSCALL, INT, INT3, INTO, INT1 -> leaked |= undefinedFlags;
      case LAHF -> leaked |= (long) undefinedFlags << 8;
      default -> {}
    }
    // Flags read and written may survive: those of a shift by CL.
    int replaced = entry.flagsWritten() & ~entry.flagsRead();
    undefinedFlags = undefinedFlags & ~replaced | entry.flagsUndefined();
    undefinedFlags &= TableEntry.ARITHMETIC;
  }

  private List<Integer> differingBytes() {
    List<Integer> offsets = new ArrayList<>();
    for (int at = 0; at < CpuState.PORTABLE_SIZE; at++) {
      if ((at < CpuState.ATTENTION || at >= CpuState.ATTENTION + 4)
          && RawMemory.getByte(lockstep.referenceState + at)
              != RawMemory.getByte(lockstep.subjectState + at)) {
        offsets.add(at);
      }
    }
    return offsets;
  }

  /** True if nothing in the state differs but what is undefined. */
  private boolean tolerable(List<Integer> offsets) {
    for (int at : offsets) {
      int word = at & -8;
      long difference =
          RawMemory.getLong(lockstep.referenceState + word)
              ^ RawMemory.getLong(lockstep.subjectState + word);
      boolean flags = word == CpuState.RFLAGS && (difference & ~(undefinedFlags | leaked)) == 0;
      boolean general =
          word < CpuState.GPR + 16 * 8 && word >= CpuState.GPR && (difference & ~leaked) == 0;
      if (!flags && !general) {
        return false;
      }
    }
    return true;
  }

  /** True if nothing in the pages written differs but bits that may. */
  private boolean pagesTolerable() {
    long bits = leaked | leaked << 32;
    for (int i = 0; i < lockstep.memory.count(); i++) {
      long page = lockstep.memory.page(i);
      if (!lockstep.alike(page) && !lockstep.memory.differsInBitsOnly(page, bits)) {
        return false;
      }
    }
    return true;
  }

  /**
   * The least number of instructions after which they differ when run again; 0 if they no longer
   * do.
   */
  private long narrow(long count) {
    if (lockstep.again(count, count)) {
      return 0;
    }
    long alike = 0;
    long differ = count;
    while (differ - alike > 1) {
      long middle = alike + differ >>> 1;
      if (lockstep.again(middle, count)) {
        alike = middle;
      } else {
        differ = middle;
      }
    }
    lockstep.again(differ, count);
    return differ;
  }
}
