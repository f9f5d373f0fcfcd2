package dev.bothy.x86.translate;

import dev.bothy.core.Debugging;
import dev.bothy.core.Engine;
import dev.bothy.core.LocalInterruptController;
import dev.bothy.core.SyntheticConnections;
import dev.bothy.core.SyntheticInterruptTarget;
import dev.bothy.core.Trace;
import dev.bothy.core.Vcpu;
import dev.bothy.core.cpu.CpuModel;
import dev.bothy.core.cpu.CpuidLeaf;
import dev.bothy.x86.interpret.InterpreterEngine;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;

/**
 * The fast engine: guest code that runs often becomes machine code of the host, everything else is
 * interpreted. Needs an x86-64 Linux host that lets us run generated code. Threads as in {@link
 * InterpreterEngine}.
 */
public final class TranslatorEngine implements Engine {
  /**
   * How to translate.
   *
   * @param threshold executions before a block is translated; 0: at once
   * @param longestBlock instructions in a block at most, 1 to 64
   * @param counting instructions are counted, so that {@link Vcpu#run} keeps its budget; costs
   *     speed
   * @param codeBytes room for machine code; when it is full, all is thrown away
   * @param approximating what the architecture lets processors approximate is the host's own: x87
   *     transcendentals, RCPPS and kin; else as on the interpreter, bit by bit
   */
  public record Options(
      int threshold, int longestBlock, boolean counting, long codeBytes, boolean approximating) {
    private static final long USUAL_CODE = 128L << 20;

    public Options(int threshold, int longestBlock, boolean counting, long codeBytes) {
      this(threshold, longestBlock, counting, codeBytes, true);
    }

    /** As exact as the interpreter, with the usual room for code. */
    public static Options exact(int threshold, int longestBlock) {
      return new Options(threshold, longestBlock, true, USUAL_CODE, false);
    }

    static Options of(Environment machine) {
      return machine.deterministic() ? exact(32, 64) : new Options(8, 64, false, USUAL_CODE, true);
    }
  }

  /**
   * What is to be learned about the code.
   *
   * @param counts code counts its {@link Event}s and instructions, and is slower for it
   * @param listeners are told of each block
   */
  public record Observation(boolean counts, List<BlockListener> listeners) {
    /** Nothing. */
    public static final Observation NONE = new Observation(false, List.of());

    public Observation {
      listeners = List.copyOf(listeners);
    }

    /** True if there is nothing to be learned. */
    public boolean isNone() {
      return !counts && listeners.isEmpty();
    }
  }

  private final InterpreterEngine engine;

  /** With the usual options; counting where the machine is deterministic. */
  public TranslatorEngine(Environment machine) {
    this(machine, Observation.NONE);
  }

  /** With the usual options and somebody who watches. */
  public TranslatorEngine(Environment machine, Observation observation) {
    this(machine, Options.of(machine), observation);
  }

  /**
   * With the usual options, and translations that are kept between machines: code that an earlier
   * machine has translated is run at once. Deterministic machines keep none.
   *
   * @param folder where they are kept; made when there is something to keep
   */
  public TranslatorEngine(Environment machine, Path folder) {
    this(
        machine,
        Options.of(machine),
        Observation.NONE,
        machine.deterministic() ? Optional.empty() : Optional.of(folder));
  }

  /**
   * @throws UnsupportedOperationException if this host does not let us run generated code; the
   *     message tells why
   */
  public TranslatorEngine(Environment machine, Options options) {
    this(machine, options, Observation.NONE);
  }

  /**
   * With somebody who watches.
   *
   * @throws UnsupportedOperationException if this host does not let us run generated code; the
   *     message tells why
   */
  public TranslatorEngine(Environment machine, Options options, Observation observation) {
    this(machine, options, observation, Optional.empty());
  }

  /**
   * With somebody who watches, and translations that are kept between machines.
   *
   * @param folder where they are kept; listeners are not told of what comes from there
   */
  public TranslatorEngine(
      Environment machine, Options options, Observation observation, Optional<Path> folder) {
    boolean counting = options.counting || observation.counts;
    Translator translator;
    try {
      translator =
          new Translator(
              machine.model(),
              new Translator.Options(
                  options.longestBlock, counting, options.codeBytes, options.approximating),
              observation.counts(),
              observation.listeners(),
              folder);
    } catch (IOException e) {
      throw new UnsupportedOperationException(e.getMessage(), e);
    }
    engine = new InterpreterEngine(machine, translator, options.threshold, counting);
  }

  /**
   * The model for machines that have not asked for one: v3 if the host has the instructions of all
   * its features, else v2, whose guests know how to do without.
   */
  public static CpuModel usualModel() {
    return CpuModel.V3.features().stream().allMatch(HostFeatures::has) ? CpuModel.V3 : CpuModel.V2;
  }

  @Override
  public String name() {
    return "translator";
  }

  @Override
  public Optional<SyntheticInterruptTarget> syntheticInterrupts(SyntheticConnections connections) {
    return engine.syntheticInterrupts(connections);
  }

  @Override
  public void trace(Trace trace) {
    engine.trace(trace);
  }

  @Override
  public Vcpu createVcpu(int index, LocalInterruptController apic) {
    return engine.createVcpu(index, apic);
  }

  @Override
  public List<CpuidLeaf> cpuid(int index) {
    return engine.cpuid(index);
  }

  @Override
  public Optional<Debugging> debugging() {
    return engine.debugging();
  }

  @Override
  public void close() {
    engine.close();
  }
}
