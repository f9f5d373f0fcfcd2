package dev.bothy;

import dev.bothy.core.cpu.CpuFeature;
import dev.bothy.core.cpu.CpuModel;
import dev.bothy.core.cpu.CpuidLeaf;
import dev.bothy.host.ExecutableMemory;
import dev.bothy.kvm.KvmEngine;
import dev.bothy.kvm.KvmException;
import dev.bothy.kvm.KvmHost;
import dev.bothy.machine.EngineFactory;
import dev.bothy.x86.interpret.CpuidLeaves;
import dev.bothy.x86.interpret.InterpreterEngine;
import dev.bothy.x86.translate.TranslatorEngine;
import dev.bothy.x86.verify.VerifyEngine;
import java.nio.file.Path;
import java.util.EnumSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;

/** The engines by name. */
public final class Engines {
  /** The fastest of the others that works here. */
  public static final String AUTO = "auto";

  /** Java; works everywhere. */
  public static final String INTERPRETER = "interpreter";

  /** The processor itself, through the Linux kernel: where that has {@code /dev/kvm}. */
  public static final String KVM = "kvm";

  /** Machine code made from guest code; x86-64 Linux hosts. */
  public static final String TRANSLATOR = "translator";

  /**
   * Translator and interpreter side by side, ending at the first difference: for finding faults of
   * the translator. One processor, whose time goes by the instructions it executes, and jumps ahead
   * while it is idle.
   */
  public static final String VERIFY = "verify";

  /** Guest time that an instruction takes under {@link #VERIFY}. */
  static final long VERIFY_NANOS = 10;

  /**
   * What the levels x86-64 to x86-64-v3 of the System V ABI are made of: programs built for a level
   * do not ask whether it is there, as kernels do with everything else.
   */
  private static final Set<CpuFeature> TAKEN_FOR_GRANTED =
      EnumSet.of(
          CpuFeature.FPU,
          CpuFeature.TSC,
          CpuFeature.MSR,
          CpuFeature.PAE,
          CpuFeature.CX8,
          CpuFeature.APIC,
          CpuFeature.PGE,
          CpuFeature.CMOV,
          CpuFeature.MMX,
          CpuFeature.FXSR,
          CpuFeature.SSE,
          CpuFeature.SSE2,
          CpuFeature.SYSCALL,
          CpuFeature.NX,
          CpuFeature.LM,
          CpuFeature.CX16,
          CpuFeature.LAHF_LM,
          CpuFeature.POPCNT,
          CpuFeature.SSE3,
          CpuFeature.SSSE3,
          CpuFeature.SSE4_1,
          CpuFeature.SSE4_2,
          CpuFeature.AVX,
          CpuFeature.AVX2,
          CpuFeature.BMI1,
          CpuFeature.BMI2,
          CpuFeature.F16C,
          CpuFeature.FMA,
          CpuFeature.LZCNT,
          CpuFeature.MOVBE,
          CpuFeature.XSAVE);

  /** What this host's KVM fails at, by the processors that it was tried with. */
  private static final Map<CpuModel, List<String>> FAILURES = new ConcurrentHashMap<>();

  /** Who has the local APICs on this host's KVM, by the processors that it was tried with. */
  private static final Map<CpuModel, KvmEngine.LocalApics> LOCAL_APICS = new ConcurrentHashMap<>();

  private Engines() {}

  /** Every name that {@link Vm.Builder#engine} takes. */
  public static List<String> names() {
    return List.of(AUTO, KVM, TRANSLATOR, INTERPRETER, VERIFY);
  }

  /** The model of processors that have not been asked for: v3 if the host has it, else v2. */
  public static CpuModel usualModel() {
    return TranslatorEngine.usualModel();
  }

  /** The engine that {@link #AUTO} stands for on this host. */
  public static String automatic() {
    return automatic(usualModel(), Optional.empty());
  }

  /**
   * The engine that {@link #AUTO} stands for on this host with processors of {@code model}: KVM
   * only where it is {@linkplain #kvmShortcoming complete}.
   *
   * @param cache the user's folder in which it is kept that KVM is complete, if it is to be
   */
  static String automatic(CpuModel model, Optional<Path> cache) {
    return refusal(KVM).isEmpty() && kvmShortcoming(model, cache).isEmpty() ? KVM : inSoftware();
  }

  /** The fastest engine in software that works here. */
  static String inSoftware() {
    return refusal(TRANSLATOR).isEmpty() ? TRANSLATOR : INTERPRETER;
  }

  /**
   * Why this host cannot run an engine; empty if nothing speaks against it.
   *
   * @throws IllegalArgumentException if there is none of that name
   */
  public static Optional<String> refusal(String name) {
    requireKnown(name);
    return switch (name) {
      case KVM -> KvmHost.refusal();
      case TRANSLATOR, VERIFY -> ExecutableMemory.refusal();
      default -> Optional.empty();
    };
  }

  /**
   * What keeps this host's KVM from being complete for processors of {@code model}: features that
   * programs take for granted or that were asked for by name, or else what it fails at; empty if
   * nothing. Some guests run all the same. KVM must not be {@linkplain #refusal refused}.
   */
  public static Optional<String> kvmShortcoming(CpuModel model) {
    return kvmShortcoming(model, Optional.empty());
  }

  private static Optional<String> kvmShortcoming(CpuModel model, Optional<Path> cache) {
    try {
      Set<CpuFeature> needed = lostInKvm(model);
      Set<CpuFeature> asked = model.askedFor();
      needed.removeIf(lost -> !TAKEN_FOR_GRANTED.contains(lost) && !asked.contains(lost));
      return needed.isEmpty()
          ? kvmFailures(model, cache)
          : Optional.of("no " + CpuFeature.words(needed, ", "));
    } catch (KvmException e) {
      return Optional.of(e.getMessage());
    }
  }

  /**
   * What this host's KVM fails at for processors of {@code model}, whatever those lack there. Found
   * out once in a process, unless KVM cannot be asked.
   */
  static Optional<String> kvmFailures(CpuModel model, Optional<Path> cache) {
    try {
      List<String> failures =
          FAILURES.computeIfAbsent(
              model,
              tried ->
                  KvmHost.failures(KvmHost.filter(CpuidLeaves.all(tried, 1, 0)), kvmTrials(cache)));
      return failures.isEmpty()
          ? Optional.empty()
          : Optional.of("it fails at " + String.join(", ", failures));
    } catch (KvmException e) {
      return Optional.of(e.getMessage());
    }
  }

  private static Optional<Path> kvmTrials(Optional<Path> cache) {
    return cache.map(folder -> folder.resolve("kvm"));
  }

  /**
   * Which features of {@code model} this host's KVM does not give a guest, which is told so; empty
   * if none. KVM must not be {@linkplain #refusal refused}.
   */
  public static Optional<String> kvmWithout(CpuModel model) {
    Set<CpuFeature> lost = lostInKvm(model);
    return lost.isEmpty() ? Optional.empty() : Optional.of(CpuFeature.words(lost, ", "));
  }

  private static Set<CpuFeature> lostInKvm(CpuModel model) {
    List<CpuidLeaf> wanted = CpuidLeaves.all(model, 1, 0);
    Set<CpuFeature> lost = CpuidLeaves.lost(wanted, KvmHost.filter(wanted));
    lost.addAll(notInKvm(model));
    if (lost.contains(CpuFeature.SVM) && model.has(CpuFeature.NPT)) {
      lost.add(CpuFeature.NPT);
    }
    return lost;
  }

  /** What {@code model} has and no KVM gives a guest, as far as CPUID does not tell. */
  static Set<CpuFeature> notInKvm(CpuModel model) {
    Set<CpuFeature> interfaces = EnumSet.of(CpuFeature.HYPERV, CpuFeature.VMWARE);
    interfaces.retainAll(model.features());
    return interfaces;
  }

  /** Throws an IllegalArgumentException that tells the names, if {@code name} is none of them. */
  static void requireKnown(String name) {
    if (!names().contains(name)) {
      throw new IllegalArgumentException(
          "no engine \"" + name + "\": give auto, kvm, translator, interpreter or verify");
    }
  }

  /**
   * What makes an engine.
   *
   * @param model of the processors
   * @param observation of the translator; {@link TranslatorEngine.Observation#NONE} for others
   * @param cache the user's folder in which the translator keeps translations between machines and
   *     it is kept what has been found out about KVM, if that is to be; no translations are kept
   *     where they are observed
   * @throws VmException if this host cannot run it, as far as that shows before a machine is made;
   *     the message says why
   */
  static EngineFactory factory(
      String name, CpuModel model, TranslatorEngine.Observation observation, Optional<Path> cache)
      throws VmException {
    // To make a machine here as well, just to see that it can be done, would cost time.
    Optional<String> refusal = name.equals(KVM) ? KvmHost.deviceRefusal() : refusal(name);
    if (refusal.isPresent()) {
      throw refused(name, refusal.get(), null);
    }
    boolean observed = !observation.isNone();
    String engine = name.equals(AUTO) ? automatic(model, cache) : name;
    if (engine.equals(TRANSLATOR)) {
      if (cache.isPresent() && !observed) {
        return machine -> new TranslatorEngine(machine, cache.get().resolve(Vm.TRANSLATIONS));
      }
      return machine -> new TranslatorEngine(machine, observation);
    }
    if (observed) {
      throw new VmException(
          "engine " + engine + " has no machine code to look at: give --engine translator", null);
    }
    return switch (engine) {
      case KVM ->
          machine ->
              new KvmEngine(
                  machine,
                  index -> CpuidLeaves.all(machine.model(), machine.cpus(), index),
                  LOCAL_APICS.computeIfAbsent(
                      machine.model(),
                      tried -> KvmHost.localApics(CpuidLeaves.all(tried, 1, 0), kvmTrials(cache))));
      case VERIFY -> VerifyEngine::new;
      default -> InterpreterEngine::new;
    };
  }

  /** An engine that cannot be had: says what else to do. */
  static VmException refused(String name, String reason, Throwable cause) {
    return new VmException(
        "engine " + name + " cannot run here (" + reason + "): give interpreter or auto", cause);
  }
}
