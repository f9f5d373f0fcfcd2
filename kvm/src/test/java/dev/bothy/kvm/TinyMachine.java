package dev.bothy.kvm;

import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.bothy.core.AddressSpace;
import dev.bothy.core.BusDevice;
import dev.bothy.core.Doorbell;
import dev.bothy.core.Engine;
import dev.bothy.core.GuestMemory;
import dev.bothy.core.MachineClock;
import dev.bothy.core.Timer;
import dev.bothy.core.Vcpu;
import dev.bothy.core.cpu.CpuModel;
import dev.bothy.core.cpu.CpuState;
import dev.bothy.core.cpu.CpuidLeaf;
import java.io.ByteArrayOutputStream;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.OptionalLong;
import java.util.Queue;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.IntStream;

/**
 * A vCPU of KVM, or two, two megabytes of RAM, a port that is heard, a port and a page of devices
 * that remember, and a {@link ScriptedApic}: no board.
 */
final class TinyMachine implements AutoCloseable {
  static final int MEMORY = 2 << 20;

  /** What is written here is {@link #output}. */
  static final int OUTPUT_PORT = 0x3f8;

  /** What is read here comes from {@link #input}, else all ones. */
  static final int INPUT_PORT = 0x60;

  /**
   * A write here ends {@link #cpu}'s run with a kick: a HLT is the kernel's, if it has the APIC.
   */
  static final int STOP_PORT = 0x99;

  /** A device with a doorbell at 4, two bytes. */
  static final long CHIME = 0xd200_0000L;

  /** Sixteen bytes that can be written and read. */
  static final long DEVICE = 0xd000_0000L;

  static final int CODE = 0x1000;
  static final int STACK = 0x8000;
  static final int GDT = 0x9000;

  // Attributes of flat segments, as CpuState has them.
  static final int CODE_32 = 0xc09b;
  static final int DATA = 0xc093;

  final GuestMemory memory;
  final AddressSpace ports = new AddressSpace("ports");
  final AddressSpace mmio = new AddressSpace("mmio");
  final ScriptedApic apic = new ScriptedApic();
  final ByteArrayOutputStream output = new ByteArrayOutputStream();
  final Queue<Long> input = new ConcurrentLinkedQueue<>();
  final MachineClock clock = new Clock();
  final byte[] device = new byte[16];
  final Chime chime = new Chime(1);
  final AddressSpace.Mapping chimeRange = mmio.map("chime", CHIME, Chime.LENGTH, chime);
  final KvmEngine engine;
  final Vcpu cpu;
  volatile int wakes;

  TinyMachine() {
    this(KvmTestCpuid.LEAVES);
  }

  TinyMachine(List<CpuidLeaf> cpuid) {
    this(cpuid, KvmEngine.LocalApics.MACHINE);
  }

  TinyMachine(List<CpuidLeaf> cpuid, KvmEngine.LocalApics localApics) {
    this(cpuid, localApics, KvmDevice.open());
  }

  TinyMachine(List<CpuidLeaf> cpuid, KvmEngine.LocalApics localApics, KvmDevice kvm) {
    memory = new GuestMemory(MEMORY);
    ports.map("output", OUTPUT_PORT, 1, new Output());
    ports.map("input", INPUT_PORT, 1, new Input());
    ports.map("stop", STOP_PORT, 1, new Stop());
    mmio.map("device", DEVICE, device.length, new Store());
    engine =
        new KvmEngine(
            new Engine.Environment(
                memory, ports, mmio, clock, CpuModel.V2, 2, false, vcpu -> wakes++),
            index -> cpuid,
            localApics,
            kvm);
    cpu = engine.createVcpu(0, apic);
    cpu.takeApic();
    apic.events = cpu;
  }

  /** Skips the test where KVM cannot be used. */
  static void require() {
    String refusal = "";
    try {
      KvmDevice.open().close();
    } catch (KvmException e) {
      refusal = e.getMessage();
    }
    assumeTrue(refusal.isEmpty(), refusal);
  }

  void code(int... bytes) {
    codeAt(CODE, bytes);
  }

  void codeAt(int address, int... bytes) {
    for (int i = 0; i < bytes.length; i++) {
      memory.writeByte(address + i, bytes[i]);
    }
  }

  /** Real mode, at {@link #CODE}, all segments at 0. */
  CpuState real() {
    CpuState state = cpu.state();
    for (int s = CpuState.ES; s <= CpuState.GS; s++) {
      state.setSegment(s, 0, 0, 0xffff, s == CpuState.CS ? 0x9b : 0x93);
    }
    state.set(CpuState.RIP, CODE);
    state.setGpr(CpuState.RSP, STACK);
    return state;
  }

  /** 32-bit protected mode, flat, without paging. */
  CpuState protectedMode() {
    memory.writeLong(GDT, 0);
    memory.writeLong(GDT + 8, descriptor(CODE_32));
    memory.writeLong(GDT + 16, descriptor(DATA));
    CpuState state = cpu.state();
    flat(state, CODE_32);
    state.set(CpuState.CR0, 0x11);
    return state;
  }

  /** 64-bit mode; see {@link ProbeGuest#enterLongMode}. */
  CpuState longMode() {
    CpuState state = cpu.state();
    ProbeGuest.enterLongMode(memory, state);
    return state;
  }

  private static long descriptor(int attributes) {
    return 0x000f_0000_0000_ffffL | (long) attributes << 40;
  }

  private static void flat(CpuState state, int code) {
    for (int s = CpuState.ES; s <= CpuState.GS; s++) {
      boolean isCode = s == CpuState.CS;
      state.setSegment(s, isCode ? 8 : 16, 0, -1, isCode ? code : DATA);
    }
    state.setSegment(CpuState.TR, 40, 0xa000, 0x67, 0x8b);
    state.set(CpuState.GDTR_BASE, GDT);
    state.setInt32(CpuState.GDTR_LIMIT, 23);
    state.set(CpuState.RIP, CODE);
    state.setGpr(CpuState.RSP, STACK);
  }

  String said() {
    return output.toString(StandardCharsets.ISO_8859_1);
  }

  @Override
  public void close() {
    cpu.close();
    engine.close();
    memory.close();
  }

  /** Counts what is written to it and how often its doorbells, four bytes each, ring. */
  static final class Chime implements BusDevice {
    static final int LENGTH = 4096;

    final AtomicInteger written = new AtomicInteger();
    final AtomicInteger rung = new AtomicInteger();
    private final List<Doorbell> bells;

    Chime(int bells) {
      this.bells =
          IntStream.rangeClosed(1, bells)
              .mapToObj(i -> new Doorbell(4 * i, 2, rung::incrementAndGet))
              .toList();
    }

    @Override
    public long read(long offset, int size) {
      return 0;
    }

    @Override
    public void write(long offset, int size, long value) {
      written.incrementAndGet();
    }

    @Override
    public List<Doorbell> doorbells() {
      return bells;
    }
  }

  private final class Output implements BusDevice {
    @Override
    public long read(long offset, int size) {
      return 0;
    }

    @Override
    public void write(long offset, int size, long value) {
      output.write((int) value);
    }
  }

  private final class Stop implements BusDevice {
    @Override
    public long read(long offset, int size) {
      return -1;
    }

    @Override
    public void write(long offset, int size, long value) {
      cpu.kick();
    }
  }

  private final class Input implements BusDevice {
    @Override
    public long read(long offset, int size) {
      Long value = input.poll();
      return value == null ? -1 : value;
    }

    @Override
    public void write(long offset, int size, long value) {}
  }

  private final class Store implements BusDevice {
    @Override
    public long read(long offset, int size) {
      long value = 0;
      for (int i = 0; i < size; i++) {
        value |= (device[(int) offset + i] & 0xffL) << (8 * i);
      }
      return value;
    }

    @Override
    public void write(long offset, int size, long value) {
      for (int i = 0; i < size; i++) {
        device[(int) offset + i] = (byte) (value >>> (8 * i));
      }
    }
  }

  /** Guest time is the host's; nobody needs a timer. */
  private static final class Clock implements MachineClock {
    private final long origin = System.nanoTime();

    @Override
    public long nanos() {
      return System.nanoTime() - origin;
    }

    @Override
    public OptionalLong hostOffset() {
      return OptionalLong.of(-origin);
    }

    @Override
    public long wallNanos() {
      return nanos();
    }

    @Override
    public Timer newTimer(String name, Runnable onExpiry) {
      throw new UnsupportedOperationException();
    }
  }
}
