package dev.bothy.x86.interpret;

import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.bothy.core.cpu.CpuState;
import dev.bothy.x86.decode.Decoder;
import dev.bothy.x86.decode.Instruction;
import dev.bothy.x86.decode.InstructionTable;
import dev.bothy.x86.decode.Lowering;
import dev.bothy.x86.decode.TableEntry;
import dev.bothy.x86.oracle.Tolerance;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.SplittableRandom;
import java.util.TreeMap;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * Every x87 and MMX instruction on random and on awkward operands, bit for bit against the host's
 * processor.
 */
final class X87OracleTest {
  private static final long SEED = Long.getLong("bothy.test.seed", 87);
  private static final int CASES = Integer.getInteger("bothy.test.x87", 120_000);
  private static final int SIGFPE = 8;

  private static final long[] SIGNIFICANDS = {
    0,
    1,
    2,
    0x7fff_ffff_ffff_ffffL,
    0x8000_0000_0000_0000L,
    0x8000_0000_0000_0001L,
    0x8000_0000_0000_0400L,
    0x8000_0000_0000_0800L,
    0x8000_0080_0000_0000L,
    0xc000_0000_0000_0000L,
    0xbfff_ffff_ffff_ffffL,
    0xffff_ffff_ffff_ffffL,
    0xffff_ffff_ffff_f800L,
    0xffff_ffff_ffff_fc00L,
    0xffff_ff00_0000_0000L,
    0xffff_ff80_0000_0000L,
    0xfffe_0000_0000_0000L,
    0xa000_0000_0000_0000L,
    0xe000_0000_0000_0000L
  };
  private static final int[] EXPONENTS = {
    0, 1, 2, 64, 0x3c01, 0x3c00, 0x3bcd, 0x3f81, 0x3f80, 0x3f6a, 0x3fbf, 0x3ffd, 0x3ffe, 0x3fff,
    0x4000, 0x4001, 0x400d, 0x400e, 0x401d, 0x401e, 0x403d, 0x403e, 0x403f, 0x407e, 0x407f, 0x43fe,
    0x43ff, 0x7ffe, 0x7fff, 0x7fff, 0x7fff
  };

  private final SplittableRandom random = new SplittableRandom(SEED);

  @TempDir private Path folder;

  @Test
  void everyX87InstructionLeavesWhatTheHostLeaves() throws IOException, InterruptedException {
    compareWithHost(Lowering.X87, CASES);
  }

  @Test
  void everyMmxInstructionLeavesWhatTheHostLeaves() throws IOException, InterruptedException {
    compareWithHost(Lowering.MMX, CASES / 2);
  }

  private void compareWithHost(Lowering kind, int cases) throws IOException, InterruptedException {
    X87Oracle oracle = new X87Oracle(folder);
    Map<String, List<String>> mismatches = new TreeMap<>();
    Set<TableEntry> seen = new HashSet<>();
    Instruction instruction = new Instruction();
    try (FlatCpu cpu = new FlatCpu()) {
      for (int done = 0; done < cases; done += 20_000) {
        ByteBuffer records = records(kind, Math.min(20_000, cases - done));
        ByteBuffer expected = oracle.run(records);
        for (int at = 0; at < records.capacity(); at += X87Oracle.RECORD) {
          ByteBuffer before = record(records, at);
          ByteBuffer host = record(expected, at);
          int decoded = Decoder.decode(records.array(), at, at + before.get(15), 64, instruction);
          if (decoded != Decoder.OK) {
            continue;
          }
          seen.add(instruction.entry);
          String difference = compare(cpu, instruction, before, host);
          if (difference != null) {
            mismatches
                .computeIfAbsent(instruction.op.toString(), k -> new ArrayList<>())
                .add(difference);
          }
        }
      }
    }
    assertEquals(List.of(), uncovered(kind, seen), "instructions that were not tried");
    StringBuilder report = new StringBuilder();
    mismatches.forEach(
        (op, list) -> {
          report.append(op).append(": ").append(list.size()).append('\n');
          list.stream().limit(4).forEach(d -> report.append("  ").append(d).append('\n'));
        });
    assertEquals("", report.toString(), "seed " + SEED);
  }

  private static List<String> uncovered(Lowering kind, Set<TableEntry> seen) {
    return InstructionTable.entries().stream()
        .filter(e -> e.lowering() == kind && e.absent() == null && !seen.contains(e))
        .filter(e -> e.operands().stream().noneMatch(o -> o.startsWith("V") || o.startsWith("U")))
        .filter(e -> e.operands().stream().noneMatch(o -> o.startsWith("W")))
        .map(e -> e.encoding() + " " + e.op())
        .toList();
  }

  private static ByteBuffer record(ByteBuffer all, int at) {
    return all.slice(at, X87Oracle.RECORD).order(ByteOrder.LITTLE_ENDIAN);
  }

  // Cases.

  private ByteBuffer records(Lowering kind, int count) {
    ByteBuffer records =
        ByteBuffer.allocate(count * X87Oracle.RECORD).order(ByteOrder.LITTLE_ENDIAN);
    Instruction instruction = new Instruction();
    for (int n = 0; n < count; ) {
      ByteBuffer record = record(records, n * X87Oracle.RECORD);
      int length = kind == Lowering.MMX ? putMmxCode(record) : putX87Code(record);
      record.put(15, (byte) length);
      fillState(record);
      int at = n * X87Oracle.RECORD;
      boolean known =
          Decoder.decode(records.array(), at, at + record.get(15), 64, instruction) == Decoder.OK;
      if (known && instruction.entry.lowering() == kind && hasOnlyOurRegisters(instruction)) {
        record.put(15, (byte) instruction.length);
        n++;
      }
    }
    return records;
  }

  /** Neither an XMM register nor a change to the base register of the memory operand. */
  private static boolean hasOnlyOurRegisters(Instruction i) {
    for (int n = 0; n < i.operands; n++) {
      boolean general = i.kind[n] == Instruction.GPR && i.register[n] != CpuState.RAX;
      if (i.kind[n] == Instruction.XMM || general) {
        return false;
      }
    }
    return true;
  }

  private int putX87Code(ByteBuffer record) {
    int at = 0;
    if (random.nextInt(256) == 0) {
      record.put(at, (byte) 0x9b);
      return 1;
    }
    if (random.nextInt(16) == 0) {
      record.put(at++, (byte) 0x66);
    }
    record.put(at++, (byte) (0xd8 + random.nextInt(8)));
    int modrm = random.nextInt(256);
    if (modrm < 0xc0 || random.nextInt(3) == 0) {
      modrm = modrm & 0x38 | 7;
    } else if (random.nextInt(4) != 0) {
      modrm = modrm & 0xf8 | random.nextInt(3);
    }
    record.put(at++, (byte) modrm);
    return at;
  }

  /** Any opcode of the two- and three-byte maps; what is not MMX is thrown away. */
  private int putMmxCode(ByteBuffer record) {
    int at = 0;
    if (random.nextInt(8) == 0) {
      record.put(at++, (byte) 0x48);
    }
    record.put(at++, (byte) 0x0f);
    int map = random.nextInt(8);
    if (map < 6) {
      record.put(
          at++,
          (byte) (random.nextInt(4) == 0 ? 0x60 + random.nextInt(32) : 0xc0 + random.nextInt(64)));
    } else {
      record.put(at++, (byte) (map == 6 ? 0x38 : 0x3a));
      record.put(at++, (byte) random.nextInt(32));
    }
    int register = random.nextInt(8) << 3;
    record.put(at++, (byte) (register | (random.nextBoolean() ? 7 : 0xc0 | random.nextInt(8))));
    int immediate = random.nextInt(4) == 0 ? random.nextInt(256) : random.nextInt(20);
    record.put(at, (byte) immediate);
    return at + 1;
  }

  private void fillState(ByteBuffer record) {
    int control =
        random.nextInt(4) == 0 ? random.nextInt() & 0xfff : random.nextInt() & 0xf00 | 0x3f;
    int status = random.nextInt(4) == 0 ? random.nextInt() : random.nextInt() & 0x7f00;
    if (random.nextInt(8) != 0) {
      // Nothing pending, or nothing would run.
      status &= control | ~0x3f;
    }
    boolean full = random.nextInt(8) == 0;
    int tags = full ? 0 : 0xffff;
    int top = status >>> 11 & 7;
    int used = full ? 8 : random.nextInt(4) == 0 ? random.nextInt(8) : 2 + random.nextInt(6);
    for (int i = 0; i < used; i++) {
      tags &= ~(3 << 2 * (top + i & 7));
    }
    record.putInt(X87Oracle.STATE, 0xffff_0000 | control);
    record.putInt(X87Oracle.STATE + 4, 0xffff_0000 | status);
    record.putInt(X87Oracle.STATE + 8, 0xffff_0000 | tags);
    int base = random.nextInt(0x7fff);
    for (int i = 0; i < 8; i++) {
      putExtended(record, X87Oracle.STATE + 28 + 10 * i, base);
    }
    for (int i = 0; i < X87Oracle.MEMORY_SIZE; i += 8) {
      record.putLong(X87Oracle.MEMORY + i, random.nextLong());
    }
    fillOperand(record, base);
    record.putLong(X87Oracle.RAX, random.nextLong());
    record.putLong(X87Oracle.FLAGS, random.nextInt() & 0x8d5);
  }

  private void putExtended(ByteBuffer out, int at, int base) {
    long significand =
        switch (random.nextInt(6)) {
          case 0, 1 -> SIGNIFICANDS[random.nextInt(SIGNIFICANDS.length)];
          case 2 -> random.nextLong() | Long.MIN_VALUE;
          case 3 -> (random.nextLong() | Long.MIN_VALUE) & -1L << random.nextInt(64);
          case 4 -> Long.MIN_VALUE | random.nextLong() >>> 1 + random.nextInt(63);
          default -> random.nextLong() >>> random.nextInt(64);
        };
    int exponent =
        switch (random.nextInt(5)) {
          case 0 -> EXPONENTS[random.nextInt(EXPONENTS.length)];
          case 1 -> Math.floorMod(base + random.nextInt(140) - 70, 0x8000);
          case 2 -> 0x3fff + random.nextInt(130) - 65;
          case 3 -> random.nextInt(130);
          default -> random.nextInt(0x8000);
        };
    if (random.nextInt(3) != 0 && exponent != 0) {
      significand |= Long.MIN_VALUE;
    }
    out.putLong(at, significand);
    out.putShort(at + 8, (short) (exponent | random.nextInt(2) << 15));
  }

  private void fillOperand(ByteBuffer record, int base) {
    int at = X87Oracle.MEMORY;
    switch (random.nextInt(8)) {
      case 0 -> record.putInt(at, random.nextInt() & 0x8000_0000 | random.nextInt(512));
      case 1 -> record.putInt(at, random.nextInt() | 0x7f80_0000);
      case 2 -> record.putLong(at, random.nextLong() & 1L << 63 | random.nextLong() >>> 20);
      case 3 -> record.putLong(at, random.nextLong() | 0x7ffL << 52);
      case 4 -> record.putLong(at, Float.floatToIntBits(random.nextInt(20) - 10));
      case 5 -> record.putLong(at, Double.doubleToLongBits(random.nextInt(20) - 10));
      default -> putExtended(record, at, base);
    }
    if (record.get(0) == (byte) 0xdf && random.nextBoolean()) {
      for (int i = 0; i < 10; i++) {
        record.put(at + i, (byte) (random.nextInt(10) | random.nextInt(10) << 4));
      }
    }
  }

  // Running.

  private static String compare(FlatCpu cpu, Instruction i, ByteBuffer before, ByteBuffer host) {
    load(cpu, before);
    boolean faulted = false;
    int fault = 0;
    try {
      if (i.entry.lowering() == Lowering.MMX) {
        MmxOps.execute(cpu, i);
      } else {
        X87Ops.execute(cpu, i);
      }
    } catch (GuestFault f) {
      faulted = true;
      fault = f.vector;
    }
    long signal = host.getLong(X87Oracle.SIGNAL);
    if (signal != 0 || faulted) {
      return signal == SIGFPE && fault == GuestFault.MF
          ? null
          : describe(before) + ": signal " + signal + ", but fault " + fault;
    }
    ByteBuffer ours = store(cpu, before);
    String difference = difference(i, host, ours);
    return difference == null
        ? null
        : describe(before)
            + "\n     -> host "
            + describeState(host)
            + "\n        ours "
            + describeState(ours)
            + " "
            + difference;
  }

  private static void load(FlatCpu cpu, ByteBuffer record) {
    int at = X87Oracle.STATE;
    X87Stack.load(cpu, record.getInt(at) & 0xffff, record.getInt(at + 4) & 0xffff);
    int tags = 0;
    for (int r = 0; r < 8; r++) {
      if ((record.getInt(at + 8) >>> 2 * r & 3) != 3) {
        tags |= 1 << r;
      }
      int from = at + 28 + 10 * r;
      X87Stack.set(
          cpu, X87Stack.physical(cpu, r), record.getLong(from), record.getShort(from + 8) & 0xffff);
    }
    CpuState state = cpu.cpuState();
    state.setInt32(CpuState.X87_TAGS, tags);
    X87Control.clearPointers(cpu);
    for (int i = 0; i < X87Oracle.RECORD; i += 8) {
      cpu.store64(X87Oracle.ADDRESS + i, record.getLong(i));
    }
    state.setGpr(CpuState.RDI, X87Oracle.ADDRESS + X87Oracle.MEMORY);
    state.setGpr(CpuState.RAX, record.getLong(X87Oracle.RAX));
    cpu.setArithmeticFlags((int) record.getLong(X87Oracle.FLAGS));
  }

  private static ByteBuffer store(FlatCpu cpu, ByteBuffer before) {
    ByteBuffer out = ByteBuffer.allocate(X87Oracle.RECORD).order(ByteOrder.LITTLE_ENDIAN);
    CpuState state = cpu.cpuState();
    int at = X87Oracle.STATE;
    out.putInt(at, 0xffff_0000 | X87Stack.control(cpu));
    out.putInt(at + 4, 0xffff_0000 | X87Stack.status(cpu));
    out.putInt(at + 8, 0xffff_0000 | X87Control.tagWord(cpu));
    out.putInt(at + 12, (int) state.get(CpuState.X87_IP));
    out.putInt(
        at + 16, state.getInt32(CpuState.X87_CS) | state.getInt32(CpuState.X87_OPCODE) << 16);
    out.putInt(at + 20, (int) state.get(CpuState.X87_DP));
    out.putInt(at + 24, 0xffff_0000 | state.getInt32(CpuState.X87_DS));
    for (int r = 0; r < 8; r++) {
      int physical = X87Stack.physical(cpu, r);
      out.putLong(at + 28 + 10 * r, X87Stack.significand(cpu, physical));
      out.putShort(at + 36 + 10 * r, (short) X87Stack.exponent(cpu, physical));
    }
    for (int i = 0; i < X87Oracle.MEMORY_SIZE; i += 8) {
      out.putLong(X87Oracle.MEMORY + i, cpu.load64(X87Oracle.ADDRESS + X87Oracle.MEMORY + i));
    }
    out.putLong(X87Oracle.RAX, state.gpr(CpuState.RAX));
    out.putLong(X87Oracle.FLAGS, cpu.arithmeticFlags());
    return out;
  }

  private static String difference(Instruction i, ByteBuffer host, ByteBuffer ours) {
    boolean tolerant = Tolerance.transcendental(i.op);
    int at = X87Oracle.STATE;
    // The processor forgets the pointers when the host's kernel switches to another thread.
    boolean forgotten = (host.getInt(at + 12) | host.getInt(at + 16) | host.getInt(at + 20)) == 0;
    for (int n = 0; n < (forgotten ? 12 : 28); n += 4) {
      int ignored = tolerant && n == 4 ? 0x200 : 0;
      if ((n == 16 || n == 24) && (host.getInt(at + n) & 0xffff) == 0) {
        // The selectors do not survive the 64-bit forms of XSAVE that the kernel uses.
        ignored = 0xffff;
      }
      if (((host.getInt(at + n) ^ ours.getInt(at + n)) & ~ignored) != 0) {
        return "environment word " + n / 4;
      }
    }
    for (int n = 0; n < 8; n++) {
      int r = at + 28 + 10 * n;
      if (host.getLong(r) != ours.getLong(r) || host.getShort(r + 8) != ours.getShort(r + 8)) {
        if (!tolerant || distance(host, ours, r) > 1) {
          return "ST" + n;
        }
      }
    }
    for (int n = 0; n < X87Oracle.MEMORY_SIZE; n++) {
      if (host.get(X87Oracle.MEMORY + n) != ours.get(X87Oracle.MEMORY + n)) {
        return "memory at " + n;
      }
    }
    if (host.getLong(X87Oracle.RAX) != ours.getLong(X87Oracle.RAX)) {
      return "RAX";
    }
    return host.getLong(X87Oracle.FLAGS) != ours.getLong(X87Oracle.FLAGS) ? "flags" : null;
  }

  /** Of two values of the same sign, in units of the last place. */
  private static long distance(ByteBuffer host, ByteBuffer ours, int at) {
    int exponentA = host.getShort(at + 8);
    int exponentB = ours.getShort(at + 8);
    long a = host.getLong(at);
    long b = ours.getLong(at);
    if (exponentA == exponentB) {
      return Math.abs(a - b);
    }
    if (exponentA == exponentB + 1) {
      return Math.abs((a << 1) - b);
    }
    return exponentB == exponentA + 1 ? Math.abs((b << 1) - a) : Long.MAX_VALUE;
  }

  private static String describe(ByteBuffer record) {
    byte[] code = new byte[record.get(15)];
    record.get(0, code);
    byte[] operand = new byte[10];
    record.get(X87Oracle.MEMORY, operand);
    HexFormat hex = HexFormat.of();
    return hex.formatHex(code)
        + " "
        + describeState(record)
        + " memory "
        + hex.formatHex(operand)
        + " flags "
        + Long.toHexString(record.getLong(X87Oracle.FLAGS));
  }

  private static String describeState(ByteBuffer record) {
    int at = X87Oracle.STATE;
    StringBuilder text = new StringBuilder();
    text.append(
        String.format(
            "cw %04x sw %04x tw %04x ip %x op/cs %x dp %x",
            record.getInt(at) & 0xffff,
            record.getInt(at + 4) & 0xffff,
            record.getInt(at + 8) & 0xffff,
            record.getInt(at + 12),
            record.getInt(at + 16),
            record.getInt(at + 20)));
    for (int n = 0; n < 3; n++) {
      text.append(
          String.format(
              " %04x.%016x",
              record.getShort(at + 36 + 10 * n) & 0xffff, record.getLong(at + 28 + 10 * n)));
    }
    return text.append(" flags ")
        .append(Long.toHexString(record.getLong(X87Oracle.FLAGS)))
        .toString();
  }
}
