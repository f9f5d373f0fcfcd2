package dev.bothy.x86.interpret;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;

import dev.bothy.core.cpu.CpuState;
import dev.bothy.x86.decode.Decoder;
import dev.bothy.x86.decode.Instruction;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HexFormat;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * FXSAVE, XSAVE and their kin on random states and areas against the host's processor.
 *
 * <p>A record: 16 bytes of code (the last is their length), EAX, the area's offset in memory, the
 * signal that the instruction ended with, padding to 64 bytes; the state as FXSAVE has it, then the
 * upper halves of the YMM registers, before and after; 1024 bytes of memory.
 */
final class XsaveOracleTest {
  private static final int RAX = 16;
  private static final int OFFSET = 24;
  private static final int SIGNAL = 32;
  private static final int STATE = 64;
  private static final int UPPER = 576;
  private static final int UPPER_SIZE = 256;
  private static final int MEMORY = UPPER + UPPER_SIZE;
  private static final int MEMORY_SIZE = 1024;
  private static final int RECORD = MEMORY + MEMORY_SIZE;
  private static final int CASES = 6_000;
  private static final long SEED = Long.getLong("bothy.test.seed", 13);

  /** Offsets in a legacy area. */
  private static final int MXCSR = 24;

  private static final int MXCSR_MASK = 28;
  private static final int MEANINGFUL = 416;

  /** FXSAVE, FXRSTOR, XSAVE, XRSTOR, XSAVEOPT, XSAVEC at [RDI], after an optional REX.W. */
  private static final String[] CODES = {
    "0fae07", "0fae0f", "0fae27", "0fae2f", "0fae37", "0fc727"
  };

  private final SplittableRandom random = new SplittableRandom(SEED);

  /** What records have room for; protection keys are the kernel's to allow. */
  private static final int UNITS = XsaveLayout.X87 | XsaveLayout.SSE | XsaveLayout.AVX;

  /** Components that the host has of ours. */
  private final int components = hostHasAvx() ? UNITS : UNITS & ~XsaveLayout.AVX;

  private static boolean hostHasAvx() {
    try {
      return Files.readString(Path.of("/proc/cpuinfo")).contains(" avx ");
    } catch (IOException e) {
      return false;
    }
  }

  @TempDir private Path folder;

  @Test
  void everyFormLeavesWhatTheHostLeaves() throws IOException, InterruptedException {
    X87Oracle oracle = new X87Oracle(folder, "xsave-oracle.c");
    ByteBuffer records = ByteBuffer.allocate(CASES * RECORD).order(ByteOrder.LITTLE_ENDIAN);
    for (int n = 0; n < CASES; n++) {
      fill(records.slice(n * RECORD, RECORD).order(ByteOrder.LITTLE_ENDIAN));
    }
    ByteBuffer expected = oracle.run(records);
    Instruction instruction = new Instruction();
    try (FlatCpu cpu = new FlatCpu()) {
      for (int at = 0; at < records.capacity(); at += RECORD) {
        ByteBuffer before = records.slice(at, RECORD).order(ByteOrder.LITTLE_ENDIAN);
        ByteBuffer host = expected.slice(at, RECORD).order(ByteOrder.LITTLE_ENDIAN);
        Decoder.decode(records.array(), at, at + before.get(15), 64, instruction);
        String difference = compare(cpu, instruction, before, host);
        assertNull(difference, () -> "case " + describe(before) + " of seed " + SEED);
      }
    }
  }

  private void fill(ByteBuffer record) {
    byte[] bytes = new byte[RECORD - STATE];
    random.nextBytes(bytes);
    record.put(STATE, bytes);
    if (components != UNITS || random.nextInt(4) == 0) {
      record.put(UPPER, new byte[UPPER_SIZE]);
    }
    byte[] code = HexFormat.of().parseHex(CODES[random.nextInt(CODES.length)]);
    int at = 0;
    if (random.nextBoolean()) {
      record.put(at++, (byte) 0x48);
    }
    record.put(at, code);
    record.put(15, (byte) (at + code.length));
    record.putLong(RAX, random.nextInt() & components);
    record.putLong(OFFSET, random.nextInt(16) == 0 ? random.nextInt(64) : 64 * random.nextInt(4));
    sanitize(record, STATE, true);
    int area = MEMORY + (int) record.getLong(OFFSET);
    sanitize(record, area, random.nextInt(8) != 0);
    long present = random.nextInt() & components;
    boolean compacted = random.nextBoolean();
    record.putLong(area + 512, present);
    record.putLong(area + 520, compacted ? 1L << 63 | components : 0);
    for (int n = 16; n < 64; n += 8) {
      record.putLong(area + 512 + n, 0);
    }
    switch (random.nextInt(24)) {
      case 0 -> record.putLong(area + 512, random.nextLong());
      case 1 -> record.putLong(area + 520, random.nextInt(4));
      case 2 -> record.putLong(area + 520, 1L << 63 | random.nextInt() & components);
      case 3 -> record.put(area + 528 + random.nextInt(48), (byte) 1);
      default -> {}
    }
  }

  /**
   * Makes a legacy area loadable: pointers canonical, MXCSR's reserved bits clear if {@code valid}.
   */
  private void sanitize(ByteBuffer record, int at, boolean valid) {
    record.putLong(at + 8, random.nextLong() >>> 17);
    record.putLong(at + 16, random.nextLong() >>> 17);
    record.putInt(
        at + MXCSR, random.nextInt() & 0xffff | (valid ? 0 : 1 << 18 + random.nextInt(14)));
    if (random.nextInt(3) != 0) {
      // Nothing pending.
      record.putShort(at + 2, (short) (record.getShort(at + 2) & 0x7f00));
    }
  }

  private static String compare(FlatCpu cpu, Instruction i, ByteBuffer before, ByteBuffer host) {
    load(cpu, before);
    boolean faulted = false;
    try {
      XsaveOps.execute(cpu, i);
    } catch (GuestFault f) {
      faulted = f.vector == GuestFault.GP;
    }
    boolean signalled = host.getLong(SIGNAL) != 0;
    if (signalled || faulted) {
      return signalled == faulted
          ? null
          : "host's signal " + host.getLong(SIGNAL) + ", fault " + faulted;
    }
    for (int n = 0; n < MEMORY_SIZE; n++) {
      int ours = cpu.load8(FlatCpu.PAGE + MEMORY + n);
      boolean mask =
          n == (int) before.getLong(OFFSET) + MXCSR_MASK + 2 && host.get(MEMORY + n) == 2;
      if (!mask && ours != (host.get(MEMORY + n) & 0xff)) {
        return "byte " + n + " of memory: " + ours + ", host " + host.get(MEMORY + n);
      }
    }
    ByteBuffer state = saved(cpu);
    for (int n = 0; n < MEANINGFUL; n++) {
      if (n != MXCSR_MASK + 2 && state.get(n) != host.get(STATE + n)) {
        return "byte " + n + " of state: " + state.get(n) + ", host " + host.get(STATE + n);
      }
    }
    for (int n = 0; n < UPPER_SIZE; n += 8) {
      long ours = cpu.xmm(n >> 4, 2 + (n >> 3 & 1));
      if (ours != host.getLong(UPPER + n)) {
        return "byte " + n + " of upper halves: " + ours + ", host " + host.getLong(UPPER + n);
      }
    }
    return null;
  }

  private static void load(FlatCpu cpu, ByteBuffer record) {
    CpuState state = cpu.cpuState();
    state.set(CpuState.CR4, 1 << 9 | 1 << 18);
    state.set(CpuState.XCR0, UNITS);
    for (int n = 0; n < RECORD; n += 8) {
      cpu.store64(FlatCpu.PAGE + n, record.getLong(n));
    }
    int at = STATE;
    X87Stack.load(cpu, record.getShort(at) & 0xffff, record.getShort(at + 2) & 0xffff);
    state.setInt32(CpuState.X87_TAGS, record.get(at + 4) & 0xff);
    state.setInt32(CpuState.X87_OPCODE, record.getShort(at + 6) & 0x7ff);
    state.set(CpuState.X87_IP, record.getLong(at + 8));
    state.set(CpuState.X87_DP, record.getLong(at + 16));
    state.setInt32(CpuState.X87_CS, 0);
    state.setInt32(CpuState.X87_DS, 0);
    cpu.setMxcsr(record.getInt(at + MXCSR));
    for (int n = 0; n < 8; n++) {
      int from = at + 32 + 16 * n;
      X87Stack.set(
          cpu, X87Stack.physical(cpu, n), record.getLong(from), record.getShort(from + 8) & 0xffff);
    }
    for (int n = 0; n < 16; n++) {
      cpu.setXmm(n, 0, record.getLong(at + 160 + 16 * n));
      cpu.setXmm(n, 1, record.getLong(at + 168 + 16 * n));
      cpu.setXmm(n, 2, record.getLong(UPPER + 16 * n));
      cpu.setXmm(n, 3, record.getLong(UPPER + 16 * n + 8));
    }
    state.setGpr(CpuState.RAX, record.getLong(RAX));
    state.setGpr(CpuState.RDX, 0);
    state.setGpr(CpuState.RDI, FlatCpu.PAGE + MEMORY + record.getLong(OFFSET));
  }

  /** The state as FXSAVE would write it, put together from the registers. */
  private static ByteBuffer saved(FlatCpu cpu) {
    ByteBuffer out = ByteBuffer.allocate(512).order(ByteOrder.LITTLE_ENDIAN);
    CpuState state = cpu.cpuState();
    int status = X87Stack.status(cpu);
    out.putShort(0, (short) X87Stack.control(cpu));
    out.putShort(2, (short) status);
    out.put(4, (byte) state.getInt32(CpuState.X87_TAGS));
    if ((status & 0x80) != 0) {
      out.putShort(6, (short) state.getInt32(CpuState.X87_OPCODE));
      out.putLong(8, state.get(CpuState.X87_IP));
      out.putLong(16, state.get(CpuState.X87_DP));
    }
    out.putInt(MXCSR, cpu.mxcsr());
    out.putInt(MXCSR_MASK, 0xffff);
    for (int n = 0; n < 8; n++) {
      int r = X87Stack.physical(cpu, n);
      out.putLong(32 + 16 * n, X87Stack.significand(cpu, r));
      out.putLong(40 + 16 * n, X87Stack.exponent(cpu, r));
    }
    for (int n = 0; n < 16; n++) {
      out.putLong(160 + 16 * n, cpu.xmm(n, 0));
      out.putLong(168 + 16 * n, cpu.xmm(n, 1));
    }
    return out;
  }

  private static String describe(ByteBuffer record) {
    byte[] code = new byte[record.get(15)];
    record.get(0, code);
    int area = MEMORY + (int) record.getLong(OFFSET);
    return HexFormat.of().formatHex(code)
        + " eax "
        + record.getLong(RAX)
        + " offset "
        + record.getLong(OFFSET)
        + " header "
        + Long.toHexString(record.getLong(area + 512))
        + " "
        + Long.toHexString(record.getLong(area + 520))
        + " mxcsr "
        + Integer.toHexString(record.getInt(area + MXCSR));
  }

  @Test
  void componentsInTheirInitialStateAreNotWrittenByTheOptimizingForms() {
    try (FlatCpu cpu = new FlatCpu()) {
      CpuState state = cpu.cpuState();
      state.set(CpuState.CR4, 1 << 9 | 1 << 18);
      state.set(CpuState.XCR0, 7);
      X87Control.initialize(cpu);
      cpu.setMxcsr(0x1f80);
      cpu.setXmm(3, 1, 5);
      state.setGpr(CpuState.RAX, 7);
      state.setGpr(CpuState.RDI, FlatCpu.PAGE);
      for (int n = 0; n < 1024; n += 8) {
        cpu.store64(FlatCpu.PAGE + n, n >= 512 && n < 576 ? 0 : -1);
      }
      Instruction i = new Instruction();
      byte[] xsaveopt = HexFormat.of().parseHex("480fae37");
      Decoder.decode(xsaveopt, 0, xsaveopt.length, 64, i);
      XsaveOps.execute(cpu, i);
      assertEquals(XsaveLayout.SSE, cpu.load64(FlatCpu.PAGE + 512));
      assertEquals(-1, cpu.load64(FlatCpu.PAGE), "x87");
      assertEquals(5, cpu.load64(FlatCpu.PAGE + 160 + 3 * 16 + 8));
      assertEquals(-1, cpu.load64(FlatCpu.PAGE + 576), "AVX");

      cpu.setXmm(3, 1, 0);
      X87Stack.fill(cpu, 0, 7, 7);
      byte[] xrstor = HexFormat.of().parseHex("480fae2f");
      Decoder.decode(xrstor, 0, xrstor.length, 64, i);
      XsaveOps.execute(cpu, i);
      assertEquals(5, cpu.xmm(3, 1));
      assertEquals(0, X87Stack.significand(cpu, 0));
      assertEquals(0, state.getInt32(CpuState.X87_TAGS));
    }
  }
}
