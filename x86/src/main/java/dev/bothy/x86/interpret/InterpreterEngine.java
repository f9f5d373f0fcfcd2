package dev.bothy.x86.interpret;

import dev.bothy.core.Debugging;
import dev.bothy.core.Engine;
import dev.bothy.core.LocalInterruptController;
import dev.bothy.core.StopPoints;
import dev.bothy.core.SyntheticConnections;
import dev.bothy.core.SyntheticInterruptTarget;
import dev.bothy.core.Trace;
import dev.bothy.core.Vcpu;
import dev.bothy.core.cpu.CpuFeature;
import dev.bothy.core.cpu.CpuidLeaf;
import dev.bothy.x86.translate.Translator;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.CopyOnWriteArrayList;

/**
 * The reference engine: guest code is decoded into blocks of Java objects and those are run. Needs
 * nothing of the host but a JVM. {@link #createVcpu} before the first run; vCPUs may then run on a
 * thread each.
 */
public final class InterpreterEngine implements Engine {
  private final Environment machine;

  /** Makes machine code of what runs often, or null. */
  final Translator translator;

  /** Executions before a block is translated. */
  final int threshold;

  /** Machine code counts instructions. */
  final boolean counting;

  final CodeMap codeMap;
  final ExclusiveSection exclusive;
  private final List<InterpreterVcpu> vcpus = new CopyOnWriteArrayList<>();

  /** Where a guest's messages and events go. */
  volatile SyntheticConnections connections = SyntheticConnections.NONE;

  /** Hears what vCPUs do, or null. */
  Trace trace;

  /** Hears of vCPUs' stores, or null. */
  private StoreObserver stores;

  public InterpreterEngine(Environment machine) {
    this(machine, null, 0, false);
  }

  /**
   * With machine code for what runs often.
   *
   * @param translator closed with this engine; null for none
   * @param threshold executions before a block is translated
   * @param counting the translator's code counts instructions, so that budgets are kept
   */
  public InterpreterEngine(
      Environment machine, Translator translator, int threshold, boolean counting) {
    this.machine = machine;
    this.translator = translator;
    this.threshold = threshold;
    this.counting = counting;
    codeMap = new CodeMap(machine.memory(), translator);
    exclusive = new ExclusiveSection(ignored -> vcpus.forEach(InterpreterVcpu::askAttention));
  }

  @Override
  public String name() {
    return translator == null ? "interpreter" : "translator";
  }

  @Override
  public Optional<SyntheticInterruptTarget> syntheticInterrupts(SyntheticConnections target) {
    if (!machine.model().has(CpuFeature.HYPERV)) {
      return Optional.empty();
    }
    connections = target;
    return Optional.of(new MachineInterrupts());
  }

  /** Of all processors. */
  private final class MachineInterrupts implements SyntheticInterruptTarget {
    private Optional<SyntheticInterrupts> of(int vcpu) {
      return vcpu < vcpus.size()
          ? Optional.of(vcpus.get(vcpu).processor().hyperv.interrupts)
          : Optional.empty();
    }

    @Override
    public void interrupt(int vcpu, int source) {
      of(vcpu).ifPresent(interrupts -> interrupts.interrupt(source));
    }

    @Override
    public boolean post(int vcpu, int source, int type, byte[] payload) {
      return of(vcpu).map(interrupts -> interrupts.post(source, type, payload)).orElse(true);
    }

    @Override
    public void setFlag(int vcpu, int source, int flag) {
      of(vcpu).ifPresent(interrupts -> interrupts.setFlag(source, flag));
    }
  }

  /** Shows everything; instructions that are wanted are run one by one, interpreted. */
  @Override
  public void trace(Trace wanted) {
    trace = wanted;
  }

  @Override
  public Vcpu createVcpu(int index, LocalInterruptController apic) {
    InterpreterVcpu vcpu = new InterpreterVcpu(this, machine, index, apic);
    vcpu.processor().stores = stores;
    vcpus.add(vcpu);
    return vcpu;
  }

  /**
   * {@code observer} hears which pages the vCPUs created from now on may store to: of each page at
   * least once after {@link #observeAgain} or the beginning. Interpreted code only.
   */
  public void observeStores(StoreObserver observer) {
    stores = observer;
  }

  /** The next store to {@code page} is told to the observer; called while no vCPU runs. */
  public void observeAgain(long page) {
    dropWritesTo(page);
  }

  /**
   * Up to {@code most} bytes at the RIP of {@code vcpu}, one of this engine's that does not run;
   * fewer if what is behind them is not mapped.
   */
  public byte[] codeAt(Vcpu vcpu, int most) {
    return ((InterpreterVcpu) vcpu).code(most);
  }

  /** {@code vcpu} is about to free its state: nobody may touch it from here on. */
  void remove(InterpreterVcpu vcpu) {
    exclusive.whileNobodyAsks(
        () -> {
          vcpus.remove(vcpu);
          codeMap.remove(vcpu.processor());
        });
  }

  /**
   * The first vCPU's processor, whose state has what is the machine's as a whole; {@code own} while
   * that one is being made.
   */
  Processor first(Processor own) {
    return own.index == 0 ? own : vcpus.getFirst().processor();
  }

  /** True if some vCPU's TSC is not the machine's clock. */
  boolean timeMoved() {
    return vcpus.stream().anyMatch(vcpu -> vcpu.processor().timeMoved());
  }

  /** In every vCPU's TLB; called while no other vCPU runs. */
  void dropWritesTo(long physical) {
    vcpus.forEach(vcpu -> vcpu.processor().dropWritesTo(physical));
  }

  /** Throws all machine code away; called by a running vCPU between two blocks. */
  void clearTranslations() {
    exclusive.run(
        () -> {
          translator.clear(codeMap);
          vcpus.forEach(vcpu -> vcpu.processor().translated.forgetJumps());
        });
  }

  @Override
  public List<CpuidLeaf> cpuid(int index) {
    return CpuidLeaves.all(machine.model(), machine.cpus(), index);
  }

  @Override
  public Optional<Debugging> debugging() {
    return Optional.of(
        new Debugging() {
          @Override
          public void stopAt(StopPoints points) {
            boolean fetchAnew = codeMap.breakpoints.set(points.breakpoints());
            vcpus.forEach(vcpu -> vcpu.stopAt(points.watchpoints(), fetchAnew));
          }

          @Override
          public void end() {
            codeMap.breakpoints.end();
            stopAt(StopPoints.NONE);
          }
        });
  }

  @Override
  public void close() {
    // Devices may go on, and what they write is told to the translator, too.
    codeMap.close();
    if (translator != null) {
      translator.close();
    }
  }
}
