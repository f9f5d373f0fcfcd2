package dev.bothy.machine;

import dev.bothy.core.cpu.CpuFeature;
import dev.bothy.core.cpu.CpuModel;
import dev.bothy.core.cpu.CpuidLeaf;
import dev.bothy.x86.interpret.CpuidLeaves;
import java.util.ArrayList;
import java.util.EnumSet;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.Set;

/**
 * What CPUID has told a guest of its processors, which is to stay true whatever engine runs them.
 *
 * @param model as the machine was given it
 * @param cpuid answers after RESET; empty if the engine did not tell them
 */
record ShownProcessor(CpuModel model, List<CpuidLeaf> cpuid) {
  private static final int PARAVIRTUAL_FEATURES = 0x4000_0001;
  private static final int FREQUENCIES = 0x4000_0010;

  /** The leaves that say which speculation does no harm, in EBX and in EAX. */
  private static final int SIZES = 0x8000_0008;

  private static final int MORE_FEATURES = 0x8000_0021;

  /** AMD_SSB_NO and BTC_NO. */
  private static final int SAFE_SIZES = 1 << 26 | 1 << 29;

  /** Automatic IBRS and SRSO_NO. */
  private static final int SAFE_MORE = 1 << 8 | 1 << 29;

  private static final double KHZ_A_MHZ = 1000;

  /** What clocks of one rate may differ by: as much as KVM takes for the same. */
  private static final double TOLERANCE = 250e-6;

  /** The model without what has not been shown. */
  CpuModel modelShown() {
    Set<CpuFeature> hidden = CpuidLeaves.lost(CpuidLeaves.all(model, 1, 0), cpuid);
    if (cpuid.isEmpty() || hidden.isEmpty()) {
      return model;
    }
    Set<CpuFeature> left = EnumSet.copyOf(model.features());
    left.removeAll(hidden);
    return new CpuModel(model.name(), left, model.physicalBits());
  }

  /**
   * What the guest would miss with processors that show {@code offered}, and how to avoid it; empty
   * if nothing.
   */
  Optional<String> missing(List<CpuidLeaf> offered) {
    if (cpuid.isEmpty() || offered.isEmpty()) {
      return Optional.empty();
    }
    List<String> reasons = new ArrayList<>();
    Set<CpuFeature> lost = CpuidLeaves.lost(cpuid, offered);
    if (!lost.isEmpty()) {
      reasons.add(
          "it has no "
              + CpuFeature.words(lost, ", ")
              + ", which the guest has been shown (start such a machine with --cpu "
              + model.name()
              + ",-"
              + CpuFeature.words(lost, ",-")
              + ")");
    }
    if ((word(cpuid, PARAVIRTUAL_FEATURES).eax() & ~word(offered, PARAVIRTUAL_FEATURES).eax())
        != 0) {
      reasons.add("it has no paravirtual clock as the guest knows it");
    }
    int before = word(cpuid, FREQUENCIES).eax();
    int after = word(offered, FREQUENCIES).eax();
    if (Math.abs(before - after) > before * TOLERANCE) {
      reasons.add(
          String.format(
              Locale.ROOT,
              "its time-stamp counter goes at %.3f MHz, the guest's at %.3f",
              after / KHZ_A_MHZ,
              before / KHZ_A_MHZ));
    }
    return reasons.isEmpty() ? Optional.empty() : Optional.of(String.join("; ", reasons));
  }

  /**
   * True if the guest does not mitigate something that processors of {@code offered} suffer from.
   */
  boolean believesTooMuch(List<CpuidLeaf> offered) {
    return !cpuid.isEmpty()
        && !offered.isEmpty()
        && ((word(cpuid, SIZES).ebx() & ~word(offered, SIZES).ebx() & SAFE_SIZES) != 0
            || (word(cpuid, MORE_FEATURES).eax() & ~word(offered, MORE_FEATURES).eax() & SAFE_MORE)
                != 0);
  }

  private static CpuidLeaf word(List<CpuidLeaf> leaves, int number) {
    return leaves.stream()
        .filter(leaf -> leaf.leaf() == number)
        .findFirst()
        .orElse(new CpuidLeaf(number, 0, false, 0, 0, 0, 0));
  }
}
