package dev.bothy.x86.verify;

import dev.bothy.core.Engine;
import dev.bothy.core.GuestMemory;
import dev.bothy.core.LocalInterruptController;
import dev.bothy.core.Vcpu;
import dev.bothy.core.cpu.CpuFeature;
import dev.bothy.x86.interpret.InterpreterEngine;
import dev.bothy.x86.translate.TranslatorEngine;
import java.util.function.UnaryOperator;

/**
 * The translator checked against the interpreter while a guest runs, for machines with one vCPU.
 * Both execute the same instructions by stretches, each on a RAM of its own, and everything that a
 * stretch has changed is compared; the run ends at the first difference with a report. The
 * interpreter runs the machine's devices; the translator is told what those answered, and must ask
 * the same. Random numbers are those of a generator that is part of the vCPU's state, and start
 * with a number of the host's.
 *
 * <p>Not compared: what the architecture leaves undefined, when the stretch ends with it; accessed
 * bits in page tables that one of the two has set and the other not, since that depends on what a
 * TLB holds. Devices that write RAM from threads of their own while the vCPU runs are seen where
 * the next stretch begins.
 *
 * <p>Takes twice the guest's memory.
 */
public final class VerifyEngine implements Engine {
  /**
   * How to check.
   *
   * @param stretch instructions between two comparisons, on average
   * @param wholeEvery instructions between two comparisons of all of RAM: of what neither the
   *     interpreter nor a device has written
   * @param translator the translator's; it must count
   */
  public record Options(long stretch, long wholeEvery, TranslatorEngine.Options translator) {
    public Options {
      if (stretch < 2 || wholeEvery < 1 || !translator.counting()) {
        throw new IllegalArgumentException("cannot check by stretches of " + stretch);
      }
    }

    /** Translates early, so that much is checked. */
    static final Options USUAL = new Options(1000, 1L << 28, TranslatorEngine.Options.exact(4, 64));
  }

  private final Environment machine;
  private final Options options;
  private final Journal journal = new Journal();
  private final Tape referenceTape;
  private final Tape subjectTape;
  private final TwinMemory memory;
  private final InterpreterEngine reference;
  private final TranslatorEngine subject;

  public VerifyEngine(Environment machine) {
    this(machine, Options.USUAL);
  }

  /**
   * @throws UnsupportedOperationException for more than one vCPU, or if this host does not let us
   *     run generated code
   * @throws java.io.UncheckedIOException if the host has no room for RAM once more
   */
  public VerifyEngine(Environment machine, Options options) {
    this(machine, options, UnaryOperator.identity());
  }

  /**
   * With a translator that sees another machine.
   *
   * @param seen makes what the translator is given of what it should be given
   */
  VerifyEngine(Environment machine, Options options, UnaryOperator<Environment> seen) {
    if (machine.cpus() != 1) {
      throw new UnsupportedOperationException(
          "it checks machines with one processor, not " + machine.cpus());
    }
    if (machine.model().has(CpuFeature.HYPERV)) {
      throw new UnsupportedOperationException(
          "it checks no synthetic timers: leave out the processor's feature hyperv");
    }
    this.machine = machine;
    this.options = options;
    referenceTape = new Tape(journal, machine.memory(), Tape.Mode.THROUGH);
    GuestMemory twin = new GuestMemory(machine.memory().size());
    TranslatorEngine made = null;
    try {
      subjectTape = new Tape(journal, twin, Tape.Mode.MUTE);
      made = new TranslatorEngine(seen.apply(seenThrough(subjectTape, twin)), options.translator);
      reference = new InterpreterEngine(seenThrough(referenceTape, machine.memory()));
      subject = made;
      memory = new TwinMemory(machine.memory(), twin, referenceTape);
      reference.observeStores(memory);
    } catch (Throwable e) {
      if (made != null) {
        made.close();
      }
      twin.close();
      throw e;
    }
  }

  private Environment seenThrough(Tape tape, GuestMemory ram) {
    return new Environment(
        ram,
        TapedBus.ports(machine.ports(), tape),
        TapedBus.mmio(machine.mmio(), tape),
        new TapedClock(machine.clock(), tape),
        machine.model(),
        1,
        true,
        machine.wakeUp());
  }

  @Override
  public String name() {
    return "verify";
  }

  @Override
  public Vcpu createVcpu(int index, LocalInterruptController apic) {
    Vcpu one = reference.createVcpu(index, new TapedApic(apic, referenceTape));
    Vcpu other = subject.createVcpu(index, new TapedApic(apic, subjectTape));
    Lockstep lockstep =
        new Lockstep(
            options, reference, one, other, apic, journal, referenceTape, subjectTape, memory);
    return new VerifyVcpu(machine, index, apic, lockstep);
  }

  /** The translator's RAM. */
  GuestMemory twin() {
    return memory.twin;
  }

  @Override
  public void close() {
    reference.close();
    subject.close();
    memory.close();
  }
}
