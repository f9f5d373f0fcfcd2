package dev.bothy.core.cpu;

import java.util.EnumSet;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.Set;

/**
 * A named processor: what CPUID says. Vendor AuthenticAMD in every model. Immutable.
 *
 * @param name as in {@code --cpu}
 */
public record CpuModel(String name, Set<CpuFeature> features) {
  /** Physical address bits of every model. */
  public static final int PHYSICAL_BITS = 40;

  /** Linear address bits without LA57. */
  public static final int LINEAR_BITS = 48;

  public CpuModel {
    features = Set.copyOf(features);
  }

  /** x86-64-v2 and what a current kernel likes to have besides. */
  public static final CpuModel V2 =
      new CpuModel(
          "v2",
          EnumSet.complementOf(
              EnumSet.of(
                  CpuFeature.VME,
                  CpuFeature.MONITOR,
                  CpuFeature.FMA,
                  CpuFeature.AVX,
                  CpuFeature.AVX2,
                  CpuFeature.F16C,
                  CpuFeature.PKU,
                  CpuFeature.LA57,
                  CpuFeature.SSE4A,
                  CpuFeature.MISALIGNSSE,
                  CpuFeature.FXSR_OPT)));

  /** Every model that {@code --cpu} takes. */
  public static List<CpuModel> all() {
    return List.of(V2);
  }

  public static Optional<CpuModel> byName(String name) {
    return all().stream().filter(m -> m.name.equals(name.toLowerCase(Locale.ROOT))).findFirst();
  }

  public boolean has(CpuFeature feature) {
    return features.contains(feature);
  }
}
