package dev.bothy.x86.translate;

import dev.bothy.core.cpu.CpuState;
import dev.bothy.x86.decode.Decoder;
import dev.bothy.x86.decode.Disassembler;
import dev.bothy.x86.decode.Instruction;
import dev.bothy.x86.interpret.EngineArea;
import java.lang.reflect.Field;
import java.util.HashMap;
import java.util.Map;
import java.util.NavigableMap;
import java.util.Set;
import java.util.TreeMap;
import java.util.function.Consumer;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * Shows blocks as text, the guest's code beside the host's, as soon as they are made: those that
 * have a byte of code at one linear address. Words of the vCPU's state have their names.
 */
public final class BlockListing implements BlockListener {
  /** The same code may be translated again and again. */
  private static final int MOST = 16;

  private static final int LEFT = 62;

  /** A word of the state: an index with its scale, and the displacement. */
  private static final Pattern STATE =
      Pattern.compile("\\[rbp(\\+[a-z0-9]+\\*[1248])?([+-])0x([0-9a-f]+)\\]");

  private static final Pattern TARGET = Pattern.compile("((?:j[a-z]+|call) )0x([0-9a-f]+)");
  private static final Map<Integer, String> WORDS = words();

  private final long wanted;
  private final GuestSymbols symbols;
  private final Consumer<String> out;
  private NavigableMap<Long, String> stubs = new TreeMap<>();
  private int shown;

  /**
   * Shows what lies at a linear address.
   *
   * @param out gets each listing, several lines
   */
  public BlockListing(long wanted, GuestSymbols symbols, Consumer<String> out) {
    this.wanted = wanted;
    this.symbols = symbols;
    this.out = out;
  }

  @Override
  public void shared(NavigableMap<Long, String> names, long end) {
    stubs = names;
  }

  @Override
  public void translated(Translation t) {
    if (shown < MOST && t.covers(wanted)) {
      shown++;
      out.accept(text(t, symbols, stubs));
    }
  }

  @Override
  public void cleared() {}

  @Override
  public void closed() {}

  /** The listing of one block; {@code stubs} are names of code that it may go to. */
  static String text(Translation t, GuestSymbols symbols, Map<Long, String> stubs) {
    TranslatedBlock block = t.block();
    StringBuilder text = new StringBuilder();
    text.append(
        "block at %s (linear 0x%x, physical 0x%x), %s: %d instructions, %d bytes -> %d bytes at 0x%x%n"
            .formatted(
                symbols.name(t.linear()),
                t.linear(),
                block.physical,
                t.mode(),
                block.count(),
                block.to - block.from,
                t.code().length,
                t.address()));
    int entry = (int) (block.entry - t.address());
    int bits = Mode.is(block.mode, Mode.LONG) ? 64 : 32;
    int at = host(text, t, stubs, "(far entry)", farEntry(t), entry);
    at = host(text, t, stubs, "(entry)", at, start(t, 0));
    for (int k = 0; k < block.count(); k++) {
      at = host(text, t, stubs, guest(t, k, bits), at, start(t, k + 1));
    }
    host(text, t, stubs, "(ways out)", at, t.code().length);
    return text.toString();
  }

  private static int farEntry(Translation t) {
    return (int) (t.block().farEntry - t.address());
  }

  /** Where the code of instruction {@code index} begins, or what follows the last one's. */
  private static int start(Translation t, int index) {
    return (int) (t.block().retryAt(index) - t.address());
  }

  private static String guest(Translation t, int index, int bits) {
    Instruction i = new Instruction();
    int offset = t.block().offset(index);
    String address = "%x  ".formatted(t.linear(index));
    if (Decoder.decode(t.page(), offset, t.page().length, bits, i) != Decoder.OK) {
      return address + "(bad)";
    }
    return address + Disassembler.format(i, t.linear(index));
  }

  /** Host code from {@code from} to {@code to}, the first line beside {@code left}. */
  private static int host(
      StringBuilder text, Translation t, Map<Long, String> stubs, String left, int from, int to) {
    Instruction i = new Instruction();
    String beside = left;
    int at = from;
    while (at < to) {
      int status = Decoder.decode(t.code(), at, to, 64, i);
      String host =
          status == Decoder.OK
              ? named(Disassembler.format(i, t.address() + at), t, stubs)
              : "(bad) %02x".formatted(t.code()[at]);
      line(text, beside, "+%03x  %s".formatted(at, host));
      at += status == Decoder.OK ? i.length : 1;
      beside = "";
    }
    if (!beside.isEmpty() && from == to && !beside.startsWith("(")) {
      line(text, beside, "");
    }
    return Math.max(at, to);
  }

  private static void line(StringBuilder text, String left, String right) {
    text.append(("%-" + LEFT + "s| %s").formatted(left, right).stripTrailing()).append('\n');
  }

  /** Names for words of the state, and for where jumps go. */
  private static String named(String instruction, Translation t, Map<Long, String> stubs) {
    Matcher state = STATE.matcher(instruction);
    String text =
        state.replaceAll(
            m -> {
              long by = Long.parseLong(m.group(3), 16);
              long offset = EngineArea.CENTRE + (m.group(2).equals("-") ? -by : by);
              String index = m.group(1) == null ? "" : m.group(1);
              return Matcher.quoteReplacement("[" + word((int) offset) + index + "]");
            });
    return TARGET
        .matcher(text)
        .replaceAll(
            m -> {
              long target = Long.parseUnsignedLong(m.group(2), 16);
              long inside = target - t.address();
              String name =
                  inside >= 0 && inside < t.code().length
                      ? "+%03x".formatted(inside)
                      : stubs.getOrDefault(target, "0x" + m.group(2));
              return Matcher.quoteReplacement(m.group(1) + name);
            });
  }

  /** A name for the word at {@code offset} of the state. */
  private static String word(int offset) {
    String name = WORDS.get(offset);
    if (name != null) {
      return name;
    }
    int gpr = offset - CpuState.GPR;
    if (gpr >= 0 && gpr < 128) {
      return "guest " + Registers.NAMES[gpr >> 3] + (gpr % 8 == 0 ? "" : "+" + gpr % 8);
    }
    int vector = offset - CpuState.VECTORS;
    if (vector >= 0 && vector < 16 * CpuState.VECTOR_SIZE) {
      int rest = vector % CpuState.VECTOR_SIZE;
      return "guest xmm" + vector / CpuState.VECTOR_SIZE + (rest == 0 ? "" : "+" + rest);
    }
    return "state+0x" + Integer.toHexString(offset);
  }

  private static final class Registers {
    static final String[] NAMES =
        "rax rcx rdx rbx rsp rbp rsi rdi r8 r9 r10 r11 r12 r13 r14 r15".split(" ");
    static final String[] SEGMENTS = {"es", "cs", "ss", "ds", "fs", "gs"};
  }

  private static Map<Integer, String> words() {
    Map<Integer, String> words = new HashMap<>();
    Set<String> sizes = Set.of("CENTRE", "SIZE");
    for (Field field : EngineArea.class.getFields()) {
      try {
        int offset = field.getInt(null);
        boolean word = offset >= CpuState.PORTABLE_SIZE && offset < EngineArea.TLB;
        if (word && !sizes.contains(field.getName())) {
          words.put(offset, field.getName().toLowerCase(java.util.Locale.ROOT));
        }
      } catch (IllegalAccessException e) {
        throw new AssertionError(e);
      }
    }
    words.put(CpuState.RIP, "guest rip");
    words.put(CpuState.ATTENTION, "attention");
    words.put(CpuState.MXCSR, "guest mxcsr");
    words.put(CpuState.CR0, "guest cr0");
    words.put(CpuState.CR2, "guest cr2");
    words.put(CpuState.CR3, "guest cr3");
    words.put(CpuState.CR4, "guest cr4");
    for (int s = 0; s < Registers.SEGMENTS.length; s++) {
      words.put(
          CpuState.segment(s, CpuState.SEGMENT_BASE), "guest " + Registers.SEGMENTS[s] + " base");
    }
    return words;
  }
}
