package dev.bothy.x86.verify;

import dev.bothy.core.AddressSpace;
import dev.bothy.core.BusDevice;
import dev.bothy.core.Engine;
import dev.bothy.core.GuestMemory;
import dev.bothy.core.MachineClock;
import dev.bothy.core.SilentInterruptController;
import dev.bothy.core.Timer;
import dev.bothy.core.Vcpu;
import dev.bothy.core.cpu.CpuModel;
import dev.bothy.core.cpu.CpuState;
import dev.bothy.x86.assemble.Assembler;
import dev.bothy.x86.translate.TranslatorEngine;
import java.util.function.UnaryOperator;

/** One MiB, flat 32-bit code, and devices whose every answer is another. */
final class SmallMachine implements AutoCloseable {
  static final long CODE = 0x1_0000;
  static final long HANDLER = 0x4000;
  private static final long GDT = 0x1000;
  private static final long IDT = 0x2000;

  final GuestMemory memory = new GuestMemory(1 << 20);
  final VerifyEngine engine;
  final Vcpu cpu;
  final Requests apic = new Requests();
  long portReads;
  long portWrites;
  long mmioReads;
  long clockReads;

  SmallMachine(long stretch, long wholeEvery) {
    this(stretch, wholeEvery, CpuModel.V2);
  }

  SmallMachine(long stretch, long wholeEvery, CpuModel model) {
    this(stretch, wholeEvery, model, 1, UnaryOperator.identity());
  }

  /** With a translator for which the answer of every port is {@code answer}. */
  static SmallMachine withOtherPorts(long stretch, int answer) {
    var others = new AddressSpace("ports");
    others.map("constant", 0, 0x1_0000, new Constant(answer));
    return new SmallMachine(
        stretch,
        1 << 30,
        1,
        e ->
            new Engine.Environment(
                e.memory(),
                others,
                e.mmio(),
                e.clock(),
                e.model(),
                e.cpus(),
                e.deterministic(),
                e.wakeUp()));
  }

  SmallMachine(
      long stretch, long wholeEvery, int cpus, UnaryOperator<Engine.Environment> translatorSees) {
    this(stretch, wholeEvery, CpuModel.V2, cpus, translatorSees);
  }

  private SmallMachine(
      long stretch,
      long wholeEvery,
      CpuModel model,
      int cpus,
      UnaryOperator<Engine.Environment> translatorSees) {
    var ports = new AddressSpace("ports");
    var mmio = new AddressSpace("mmio");
    ports.map("counter", 0x40, 8, new Ports());
    mmio.map("counter", 0xf000_0000L, 0x1000, new Mmio());
    var environment =
        new Engine.Environment(memory, ports, mmio, new Clock(), model, cpus, false, vcpu -> {});
    try {
      engine =
          new VerifyEngine(
              environment,
              new VerifyEngine.Options(
                  stretch, wholeEvery, new TranslatorEngine.Options(0, 64, true, 8 << 20, false)),
              translatorSees);
    } catch (RuntimeException e) {
      memory.close();
      throw e;
    }
    cpu = engine.createVcpu(0, apic);
    CpuState s = cpu.state();
    s.set(CpuState.CR0, 0x31);
    s.setSegment(CpuState.CS, 8, 0, -1, 0xc09b);
    for (int segment :
        new int[] {CpuState.ES, CpuState.SS, CpuState.DS, CpuState.FS, CpuState.GS}) {
      s.setSegment(segment, 16, 0, -1, 0xc093);
    }
    memory.writeLong(GDT + 8, 0x00cf_9b00_0000_ffffL);
    memory.writeLong(GDT + 16, 0x00cf_9300_0000_ffffL);
    s.set(CpuState.GDTR_BASE, GDT);
    s.setInt32(CpuState.GDTR_LIMIT, 0xff);
    s.set(CpuState.IDTR_BASE, IDT);
    s.setInt32(CpuState.IDTR_LIMIT, 0x7ff);
    s.setGpr(CpuState.RSP, 0x9000);
    s.setGpr(CpuState.RAX, 0);
    s.setGpr(CpuState.RDX, 0);
    s.set(CpuState.RIP, CODE);
  }

  void code(Assembler assembler) {
    memory.write(CODE, assembler.toBytes());
  }

  /** Code for an interrupt, at {@link #HANDLER}. */
  void handler(int vector, Assembler assembler) {
    memory.write(HANDLER, assembler.toBytes());
    memory.writeLong(IDT + 8L * vector, HANDLER | 8L << 16 | 0x8e00L << 32);
  }

  CpuState state() {
    return cpu.state();
  }

  long counter(String name) {
    return cpu.counters().get(name);
  }

  private final class Ports implements BusDevice {
    @Override
    public long read(long offset, int size) {
      return 3 * ++portReads;
    }

    @Override
    public void write(long offset, int size, long value) {
      portWrites++;
    }
  }

  private record Constant(int value) implements BusDevice {
    @Override
    public long read(long offset, int size) {
      return value;
    }

    @Override
    public void write(long offset, int size, long written) {}
  }

  private final class Mmio implements BusDevice {
    @Override
    public long read(long offset, int size) {
      return 0x1001 * ++mmioReads;
    }

    @Override
    public void write(long offset, int size, long value) {}
  }

  private final class Clock implements MachineClock {
    @Override
    public long nanos() {
      return 7 * ++clockReads;
    }

    @Override
    public long wallNanos() {
      return 0;
    }

    @Override
    public Timer newTimer(String name, Runnable onExpiry) {
      throw new UnsupportedOperationException();
    }
  }

  /** Vector 0x40 whenever it is looked at, a number of times. */
  static final class Requests extends SilentInterruptController {
    int wanted;

    Requests() {
      super(0);
    }

    @Override
    public boolean interruptPending() {
      return wanted > 0;
    }

    @Override
    public int acknowledge() {
      wanted--;
      return 0x40;
    }
  }

  @Override
  public void close() {
    cpu.close();
    engine.close();
    memory.close();
  }
}
