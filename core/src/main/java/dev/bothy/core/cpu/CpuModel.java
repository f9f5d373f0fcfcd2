package dev.bothy.core.cpu;

import java.util.EnumSet;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.Set;
import java.util.stream.Collectors;

/**
 * A named processor: what CPUID says. Vendor AuthenticAMD in every model. Immutable.
 *
 * @param name as in {@code --cpu}
 * @param physicalBits of physical addresses, {@link #LEAST_PHYSICAL_BITS} to {@link #PHYSICAL_BITS}
 */
public record CpuModel(String name, Set<CpuFeature> features, int physicalBits) {
  /** Physical address bits of processors that are not given fewer; what devices may use. */
  public static final int PHYSICAL_BITS = 40;

  /** As the first processors with PAE had. */
  public static final int LEAST_PHYSICAL_BITS = 36;

  private static final String PHYSICAL_BITS_WORD = "phys-bits=";

  // Linear address bits without LA57, and with it.
  private static final int LINEAR_BITS = 48;
  private static final int MOST_LINEAR_BITS = 57;

  /**
   * @throws IllegalArgumentException in one line, if there is no processor with so many bits
   */
  public CpuModel {
    features = Set.copyOf(features);
    if (physicalBits < LEAST_PHYSICAL_BITS || physicalBits > PHYSICAL_BITS) {
      throw new IllegalArgumentException(
          "physical addresses have %d to %d bits, not %d"
              .formatted(LEAST_PHYSICAL_BITS, PHYSICAL_BITS, physicalBits));
    }
  }

  // By hand, both: what the JVM makes for a record at its first use costs a start milliseconds.
  @Override
  public boolean equals(Object other) {
    return other instanceof CpuModel model
        && name.equals(model.name)
        && features.equals(model.features)
        && physicalBits == model.physicalBits;
  }

  @Override
  public int hashCode() {
    return 31 * name.hashCode() + physicalBits;
  }

  /** With {@link #PHYSICAL_BITS} bits. */
  public CpuModel(String name, Set<CpuFeature> features) {
    this(name, features, PHYSICAL_BITS);
  }

  /** x86-64-v1: what every processor with 64 bits has. */
  public static final CpuModel V1 =
      new CpuModel(
          "v1",
          EnumSet.of(
              CpuFeature.FPU,
              CpuFeature.VME,
              CpuFeature.DE,
              CpuFeature.PSE,
              CpuFeature.TSC,
              CpuFeature.MSR,
              CpuFeature.PAE,
              CpuFeature.MCE,
              CpuFeature.CX8,
              CpuFeature.APIC,
              CpuFeature.SEP,
              CpuFeature.MTRR,
              CpuFeature.PGE,
              CpuFeature.MCA,
              CpuFeature.CMOV,
              CpuFeature.PAT,
              CpuFeature.PSE36,
              CpuFeature.CLFSH,
              CpuFeature.MMX,
              CpuFeature.FXSR,
              CpuFeature.SSE,
              CpuFeature.SSE2,
              CpuFeature.HYPERVISOR,
              CpuFeature.SYSCALL,
              CpuFeature.NX,
              CpuFeature.LM));

  /** x86-64-v2 and what a current kernel likes to have besides. */
  public static final CpuModel V2 =
      new CpuModel(
          "v2",
          EnumSet.complementOf(
              EnumSet.of(
                  CpuFeature.MONITOR,
                  CpuFeature.HYPERV,
                  CpuFeature.VMWARE,
                  CpuFeature.FMA,
                  CpuFeature.AVX,
                  CpuFeature.AVX2,
                  CpuFeature.F16C,
                  CpuFeature.PKU,
                  CpuFeature.PKS,
                  CpuFeature.LA57,
                  CpuFeature.RTM,
                  CpuFeature.SHSTK,
                  CpuFeature.IBT,
                  CpuFeature.XSAVES,
                  CpuFeature.SSE4A,
                  CpuFeature.MISALIGNSSE,
                  CpuFeature.FXSR_OPT,
                  CpuFeature.SVM,
                  CpuFeature.NPT)));

  /** x86-64-v3: AVX, AVX2, FMA and F16C besides. */
  public static final CpuModel V3 =
      V2.and("v3", CpuFeature.AVX, CpuFeature.AVX2, CpuFeature.FMA, CpuFeature.F16C);

  /** Everything that there is. */
  public static final CpuModel MAX =
      V3.and("max", CpuFeature.SSE4A, CpuFeature.SVM, CpuFeature.NPT);

  private CpuModel and(String newName, CpuFeature... more) {
    EnumSet<CpuFeature> all = EnumSet.copyOf(features);
    all.addAll(List.of(more));
    return new CpuModel(newName, all);
  }

  /**
   * What else a model may be given, and no model has by itself: kernels would take the machine for
   * Microsoft's or VMware's, or do more work with each page; programs would use transactions, which
   * cost more here than the locks that they stand for; what checks returns and jumps would cost all
   * that a machine runs.
   */
  private static final Set<CpuFeature> MORE =
      Set.of(
          CpuFeature.PKU,
          CpuFeature.PKS,
          CpuFeature.HYPERV,
          CpuFeature.VMWARE,
          CpuFeature.LA57,
          CpuFeature.RTM,
          CpuFeature.SHSTK,
          CpuFeature.IBT,
          CpuFeature.XSAVES);

  /** The models that {@code --cpu} takes. */
  public static List<CpuModel> all() {
    return List.of(V1, V2, V3, MAX);
  }

  public static Optional<CpuModel> byName(String name) {
    return all().stream().filter(m -> m.name.equals(name.toLowerCase(Locale.ROOT))).findFirst();
  }

  /**
   * The model that {@code --cpu} names: {@code NAME[,+FEATURE|,-FEATURE|,phys-bits=N]...}, as
   * {@code v2,-x2apic}. Case and the difference between {@code -}, {@code _} and {@code .} in a
   * feature's name do not count.
   *
   * @throws IllegalArgumentException in one line, if there is no such model or feature
   */
  public static CpuModel parse(String text) {
    String[] words = text.split(",", -1);
    CpuModel model =
        byName(words[0])
            .orElseThrow(
                () ->
                    new IllegalArgumentException(
                        "no processor model \""
                            + words[0]
                            + "\": give one of "
                            + all().stream()
                                .map(CpuModel::name)
                                .collect(Collectors.joining(", "))));
    for (int i = 1; i < words.length; i++) {
      model = model.with(words[i]);
    }
    return model;
  }

  private CpuModel with(String word) {
    String newName = name + "," + word.toLowerCase(Locale.ROOT);
    if (word.matches(PHYSICAL_BITS_WORD + "[0-9]{1,3}")) {
      int bits = Integer.parseInt(word.substring(PHYSICAL_BITS_WORD.length()));
      return new CpuModel(newName, features, bits);
    }
    boolean signed = word.startsWith("+") || word.startsWith("-");
    CpuFeature feature =
        CpuFeature.byName(signed ? word.substring(1) : "")
            .filter(found -> MAX.has(found) || MORE.contains(found))
            .orElseThrow(
                () ->
                    new IllegalArgumentException(
                        "no processor here can have \"" + word + "\": give +FEATURE or -FEATURE"));
    EnumSet<CpuFeature> all = EnumSet.copyOf(features);
    if (word.startsWith("+")) {
      all.add(feature);
      if (feature == CpuFeature.SVM) {
        // Who wants one wants the other; "-npt" behind it takes that away.
        all.add(CpuFeature.NPT);
      } else if (feature == CpuFeature.SHSTK && all.contains(CpuFeature.XSAVEC)) {
        // Kernels keep programs' shadow stacks that way or not at all.
        all.add(CpuFeature.XSAVES);
      }
    } else {
      all.remove(feature);
    }
    return new CpuModel(newName, all, physicalBits);
  }

  /** What the name asks for by "+FEATURE", as far as there is no "-FEATURE" behind it. */
  public Set<CpuFeature> askedFor() {
    Set<CpuFeature> asked = EnumSet.noneOf(CpuFeature.class);
    for (String word : name.split(",")) {
      if (word.startsWith("+")) {
        CpuFeature.byName(word.substring(1)).ifPresent(asked::add);
      }
    }
    asked.retainAll(features);
    return asked;
  }

  /** The same without a feature. */
  public CpuModel without(CpuFeature feature) {
    return features.contains(feature)
        ? new CpuModel(
            name,
            features.stream().filter(f -> f != feature).collect(Collectors.toSet()),
            physicalBits)
        : this;
  }

  /** Bits of linear addresses. */
  public int linearBits() {
    return has(CpuFeature.LA57) ? MOST_LINEAR_BITS : LINEAR_BITS;
  }

  public boolean has(CpuFeature feature) {
    return features.contains(feature);
  }
}
