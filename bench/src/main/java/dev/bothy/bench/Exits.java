package dev.bothy.bench;

import dev.bothy.core.AddressSpace;
import dev.bothy.core.BusDevice;
import dev.bothy.core.Doorbell;
import dev.bothy.core.Engine;
import dev.bothy.core.Exit;
import dev.bothy.core.GuestMemory;
import dev.bothy.core.MachineClock;
import dev.bothy.core.Timer;
import dev.bothy.core.Vcpu;
import dev.bothy.core.cpu.CpuModel;
import dev.bothy.core.cpu.CpuState;
import dev.bothy.device.interrupt.ApicBus;
import dev.bothy.kvm.KvmEngine;
import dev.bothy.machine.boot.BootState;
import dev.bothy.x86.interpret.CpuidLeaves;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.Set;

/**
 * What the KVM engine adds to an exit, beside a plain loop in C on the same /dev/kvm, and a user's
 * loop in a guest beside the same loop outside: {@code bench/exits}.
 */
final class Exits {
  private static final int CODE = 0x2_0000;
  private static final int TASK_STATE = 0x3_0000;
  private static final int INTERRUPT_TABLE = 0x3_1000;
  private static final int END = 0x3_2000;
  private static final int STACK = 0x3_8000;
  private static final int TURNS_OF_EXIT = 5000;
  private static final int WARM_UP = 6;
  private static final int STARTS = 21;
  private static final int ANSWER = 0x3_4000;
  private static final long BELL = 0xd100_0000L;

  /** Page table entries: user code may use what they map. */
  private static final int USER = 4;

  /** What a round measures. */
  private enum Kind {
    PORT("a byte to a port", new int[] {0xe6, 0x99, 0x49, 0x75, 0xfb, 0xf4}),
    MEMORY("a byte to a device in memory", new int[] {0xa2, 0, 0, 0, 0xd0, 0x49, 0x75, 0xf8, 0xf4}),
    // again: mov [BELL], ax; dec ecx; jnz again; hlt
    DOORBELL(
        "a notification that the kernel hears",
        new int[] {0x66, 0xa3, 0, 0, 0, 0xd1, 0x49, 0x75, 0xf7, 0xf4}),
    // again: mov [BELL], ax; wait: pause; cmp [ANSWER], ecx; jne wait; dec ecx; jnz again; hlt
    ANSWER(
        "the same until its device has answered in memory",
        new int[] {
          0x66, 0xa3, 0, 0, 0, 0xd1, 0xf3, 0x90, 0x39, 0x0d, 0, 0x40, 0x03, 0, 0x75, 0xf6, 0x49,
          0x75, 0xed, 0xf4
        }),
    // again: imul rax, rax, 3; inc rax; rol rax, 7; xor rax, rcx; dec rcx; jnz again; ud2
    COMPUTE(
        "a turn of a loop of user code",
        new int[] {
          0x48, 0x6b, 0xc0, 0x03, 0x48, 0xff, 0xc0, 0x48, 0xc1, 0xc0, 0x07, 0x48, 0x31, 0xc8, 0x48,
          0xff, 0xc9, 0x75, 0xed, 0x0f, 0x0b
        });

    final String words;
    final int[] code;

    Kind(String words, int... code) {
      this.words = words;
      this.code = code;
    }

    boolean inQemu() {
      return this == PORT || this == MEMORY;
    }
  }

  private Exits() {}

  static void run(Path home, Path folder, String[] arguments) throws Exception {
    Options options =
        new Options(arguments, "bench/exits [--rounds N] [--count N]", Set.of("rounds", "count"));
    int rounds = options.number("rounds", 41);
    int count = options.number("count", 5000);
    Path program = compile(home, folder);
    HostReport.print("Exits of a guest on KVM");
    System.out.println(
        "Nanoseconds each, in turn with a plain loop in C (the loop of user code: natively),"
            + " medians of "
            + rounds
            + " rounds; differences with the 95 % confidence interval of their median.\n");
    System.out.println(
        "| what | C | QEMU | Bothy | above C | | above QEMU | |\n"
            + "|---|---:|---:|---:|---:|---:|---:|---:|");
    for (Kind kind : Kind.values()) {
      int turns = kind == Kind.COMPUTE ? count * TURNS_OF_EXIT : count;
      List<Double> plain = new ArrayList<>();
      List<Double> ours = new ArrayList<>();
      List<Double> qemu = new ArrayList<>();
      List<Double> abovePlain = new ArrayList<>();
      List<Double> aboveQemu = new ArrayList<>();
      try (Guest guest = new Guest()) {
        warmUp(guest, kind, turns);
        for (int i = 0; i < rounds; i++) {
          plain.add(plain(program, kind, turns));
          ours.add(guest.measure(kind, turns));
          abovePlain.add(ours.getLast() - plain.getLast());
          if (kind.inQemu()) {
            Optional<Double> other = ExitsInQemu.measure(folder, turns, kind.code);
            other.ifPresent(qemu::add);
            other.ifPresent(nanos -> aboveQemu.add(ours.getLast() - nanos));
          }
        }
      }
      System.out.printf(
          "| %s | %s | %s | %s | %s | %s |%n",
          kind.words,
          median(plain),
          median(qemu),
          median(ours),
          difference(abovePlain),
          difference(aboveQemu));
    }
    StartTime.print(home, folder, "kvm", Math.min(rounds, STARTS));
  }

  /** Until the compilers have done what they will do. */
  private static void warmUp(Guest guest, Kind kind, int turns) throws IOException {
    for (int i = 0; i < WARM_UP; i++) {
      guest.measure(kind, turns);
    }
  }

  private static String median(List<Double> values) {
    return values.isEmpty() ? "-" : Measured.fixed(2, Measured.of(values).median());
  }

  private static String difference(List<Double> values) {
    return values.isEmpty()
        ? "- | -"
        : median(values) + " | " + Measured.of(values).interval().text(2);
  }

  private static Path compile(Path home, Path folder) throws IOException, InterruptedException {
    Path program = folder.resolve("exits");
    Process gcc =
        new ProcessBuilder(
                "gcc",
                "-O2",
                "-pthread",
                "-o",
                program.toString(),
                home.resolve("bench/exits.c").toString())
            .inheritIO()
            .start();
    if (gcc.waitFor() != 0) {
      throw new IOException("gcc failed");
    }
    return program;
  }

  private static double plain(Path program, Kind kind, int turns)
      throws IOException, InterruptedException {
    String name = kind.name().toLowerCase(java.util.Locale.ROOT);
    Process process =
        new ProcessBuilder(program.toString(), name, String.valueOf(turns))
            .redirectError(ProcessBuilder.Redirect.INHERIT)
            .start();
    String said = new String(process.getInputStream().readAllBytes()).strip();
    if (process.waitFor() != 0) {
      throw new IOException("the loop in C failed");
    }
    return Double.parseDouble(said);
  }

  /** One vCPU and two megabytes, with a device that takes bytes. */
  private static final class Guest implements AutoCloseable {
    private final GuestMemory memory = new GuestMemory(2 << 20);
    private final KvmEngine engine;
    private final Vcpu vcpu;

    /** Rings that are still to come. */
    private volatile int left;

    Guest() {
      AddressSpace ports = new AddressSpace("ports");
      AddressSpace mmio = new AddressSpace("mmio");
      ports.map("sink", 0x99, 1, new Sink());
      mmio.map("sink", 0xd000_0000L, 4, new Sink());
      mmio.map("bell", BELL, 4, new Bell());
      MachineClock clock = new HostTime();
      engine =
          new KvmEngine(
              new Engine.Environment(
                  memory, ports, mmio, clock, CpuModel.V2, 1, false, ignored -> {}),
              index -> CpuidLeaves.all(CpuModel.V2, 1, index));
      ApicBus apics = new ApicBus(clock, 1);
      vcpu = engine.createVcpu(0, apics.localApic(0));
      apics.connect(0, vcpu);
    }

    /** Nanoseconds for each turn. */
    double measure(Kind kind, int turns) throws IOException {
      boolean user = kind == Kind.COMPUTE;
      BootState start =
          new BootState(
              user ? BootState.Mode.LONG : BootState.Mode.PROTECTED, CODE, 1, 0, 0, STACK);
      start.writeTables(memory);
      CpuState state = vcpu.state();
      start.apply(state);
      state.setGpr(CpuState.RCX, turns);
      for (int i = 0; i < kind.code.length; i++) {
        memory.writeByte(CODE + i, kind.code[i]);
      }
      if (user) {
        enterUserMode(state);
      }
      left = turns;
      memory.writeInt(ANSWER, 0);
      long before = System.nanoTime();
      Exit exit = vcpu.run(Vcpu.UNLIMITED);
      long nanos = System.nanoTime() - before;
      if (!(exit instanceof Exit.Halted)) {
        throw new IOException("the guest ended otherwise: " + exit);
      }
      return (double) nanos / turns;
    }

    /** The invalid instruction at the end leads to a HLT of the kernel. */
    private void enterUserMode(CpuState state) {
      long table = state.get(CpuState.CR3);
      for (int level = 0; level < 3; level++) {
        long entry = memory.readLong(table);
        memory.writeLong(table, entry | USER);
        table = entry & 0xf_ffff_ffff_f000L;
      }
      memory.writeByte(END, 0xf4);
      memory.writeLong(TASK_STATE + 4, STACK);
      memory.writeLong(
          INTERRUPT_TABLE + 16 * 6,
          END & 0xffff
              | (long) BootState.CODE_SELECTOR << 16
              | 0x8e00L << 32
              | (long) (END >>> 16) << 48);
      memory.writeLong(INTERRUPT_TABLE + 16 * 6 + 8, 0);
      state.set(CpuState.IDTR_BASE, INTERRUPT_TABLE);
      state.setInt32(CpuState.IDTR_LIMIT, 0xfff);
      state.setSegment(CpuState.TR, 0x20, TASK_STATE, 0x67, 0x8b);
      state.setSegment(CpuState.CS, 0x33, 0, -1, 0xa0fb);
      state.setSegment(CpuState.SS, 0x2b, 0, -1, 0xc0f3);
    }

    /** Answers with the guest's counter. */
    private final class Bell implements BusDevice {
      private final List<Doorbell> bells = List.of(new Doorbell(0, 2, this::answer));

      private void answer() {
        memory.writeInt(ANSWER, left--);
      }

      @Override
      public long read(long offset, int size) {
        return 0;
      }

      @Override
      public void write(long offset, int size, long value) {
        answer();
      }

      @Override
      public List<Doorbell> doorbells() {
        return bells;
      }
    }

    @Override
    public void close() {
      vcpu.close();
      engine.close();
      memory.close();
    }
  }

  private static final class Sink implements BusDevice {
    private volatile long last;

    @Override
    public long read(long offset, int size) {
      return last;
    }

    @Override
    public void write(long offset, int size, long value) {
      last = value;
    }
  }

  /** Guest time is the host's, and nobody waits for it. */
  private static final class HostTime implements MachineClock {
    @Override
    public long nanos() {
      return System.nanoTime();
    }

    @Override
    public long wallNanos() {
      return System.nanoTime();
    }

    @Override
    public Timer newTimer(String name, Runnable onExpiry) {
      return new Timer() {
        @Override
        public void armAt(long nanos) {}

        @Override
        public void cancel() {}

        @Override
        public boolean armed() {
          return false;
        }

        @Override
        public long deadline() {
          return 0;
        }
      };
    }
  }
}
