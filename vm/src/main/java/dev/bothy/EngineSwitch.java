package dev.bothy;

import dev.bothy.core.cpu.CpuFeature;
import dev.bothy.core.cpu.CpuModel;
import dev.bothy.debug.monitor.EngineChoice;
import dev.bothy.debug.monitor.MonitorException;
import dev.bothy.machine.EngineChangeException;
import dev.bothy.machine.EngineFactory;
import dev.bothy.machine.Machine;
import dev.bothy.x86.translate.TranslatorEngine;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.Set;

/** The engines that a machine may go on with. Any thread. */
final class EngineSwitch implements EngineChoice {
  private static final List<String> NAMES =
      List.of(Engines.KVM, Engines.TRANSLATOR, Engines.INTERPRETER);

  /** The guest believes too much. */
  private static final String VULNERABLE =
      "the guest has been told that its processors are not vulnerable to some speculative attacks,"
          + " and does not mitigate them: it had better be one that you trust";

  private final Machine machine;
  private final TranslatorEngine.Observation observation;
  private final Optional<Path> cache;

  /** What this machine has run on: not doubted again. */
  private volatile boolean ranOnKvm;

  /** Another engine is not to take over; the message is a line. */
  private static final class Refused extends Exception {
    private static final long serialVersionUID = 1L;
    private final boolean forcible;

    Refused(String message, boolean forcible) {
      super(message);
      this.forcible = forcible;
    }
  }

  /**
   * @param observation of the translator, while it runs the machine
   * @param cache the user's folder for what engines keep, if they are to
   */
  EngineSwitch(Machine machine, TranslatorEngine.Observation observation, Optional<Path> cache) {
    this.machine = machine;
    this.observation = observation;
    this.cache = cache;
    ranOnKvm = machine.engine().equals(Engines.KVM);
  }

  @Override
  public List<String> names() {
    return NAMES;
  }

  @Override
  public List<String> describe() {
    String present = machine.engine();
    CpuModel model = machine.options().model();
    List<String> lines = new ArrayList<>();
    lines.add(present + " runs the machine; its processors are of model " + model.name());
    if (present.equals(Engines.VERIFY)) {
      return lines;
    }
    for (String name : NAMES) {
      if (!name.equals(present)) {
        lines.add(
            Engines.refusal(name)
                .map(reason -> name + " cannot run here: " + reason)
                .orElseGet(() -> name + " could take over" + reservation(name, model)));
      }
    }
    return lines;
  }

  private static String reservation(String name, CpuModel model) {
    return name.equals(Engines.KVM)
        ? Engines.kvmWithout(model)
            .map(features -> "; of what the model has, it lacks " + features)
            .orElse("")
        : "";
  }

  /**
   * Lets the engine {@code name} run the machine.
   *
   * @return what its user should know: a line
   * @throws VmException if that cannot be; the machine goes on as before
   */
  Optional<String> to(String name, boolean regardless) throws VmException {
    try {
      return attempt(name, regardless);
    } catch (Refused e) {
      throw new VmException(e.getMessage(), e);
    }
  }

  @Override
  public String change(String name, boolean regardless) throws MonitorException {
    try {
      return attempt(name, regardless).map(line -> line + "\n").orElse("")
          + name
          + " runs the machine\n";
    } catch (Refused e) {
      throw new MonitorException(
          e.getMessage()
              + (e.forcible ? ". If the guest does without: engine " + name + " force" : ""));
    }
  }

  private Optional<String> attempt(String name, boolean regardless) throws Refused {
    String present = machine.engine();
    if (!NAMES.contains(name)) {
      throw new Refused(
          "no engine \"" + name + "\" to go on with: give one of " + String.join(", ", NAMES),
          false);
    }
    if (present.equals(Engines.VERIFY)) {
      throw new Refused("engine verify compares from power-on to the end, and stays", false);
    }
    if (name.equals(present)) {
      throw new Refused(present + " runs the machine already", false);
    }
    try {
      if (name.equals(Engines.KVM) && !regardless && !ranOnKvm) {
        requireKvm(present);
      }
      boolean vulnerable = machine.changeEngine(factory(name), regardless);
      ranOnKvm |= name.equals(Engines.KVM);
      return vulnerable ? Optional.of(VULNERABLE) : Optional.empty();
    } catch (EngineChangeException e) {
      throw refused(name, present, e.getMessage(), e.forcible());
    } catch (VmException e) {
      throw refused(name, present, e.getMessage(), false);
    }
  }

  private EngineFactory factory(String name) throws VmException {
    boolean translates = name.equals(Engines.TRANSLATOR);
    return Engines.factory(
        name,
        machine.options().model(),
        translates ? observation : TranslatorEngine.Observation.NONE,
        cache);
  }

  /** A kernel that does what this host's KVM fails at would end the machine. */
  private void requireKvm(String present) throws Refused {
    Optional<String> refusal = Engines.refusal(Engines.KVM);
    if (refusal.isPresent()) {
      throw refused(Engines.KVM, present, refusal.get(), false);
    }
    CpuModel model = machine.options().model();
    Set<CpuFeature> interfaces = Engines.notInKvm(model);
    if (!interfaces.isEmpty()) {
      String reason = "it has no " + CpuFeature.words(interfaces, ", ");
      throw refused(Engines.KVM, present, reason, true);
    }
    Optional<String> failures = Engines.kvmFailures(model, cache);
    if (failures.isPresent()) {
      throw refused(Engines.KVM, present, failures.get(), true);
    }
  }

  private static Refused refused(String name, String present, String reason, boolean forcible) {
    return new Refused(
        name + " cannot take over, and " + present + " goes on: " + reason, forcible);
  }
}
