package dev.bothy.core.cpu;

import java.util.Arrays;
import java.util.Locale;
import java.util.Optional;
import java.util.Set;
import java.util.stream.Collectors;

/** CPUID feature bits that a model may have and that gate instructions or behaviour. */
public enum CpuFeature {
  FPU,
  VME,
  DE,
  PSE,
  TSC,
  MSR,
  PAE,
  MCE,
  CX8,
  APIC,
  SEP,
  MTRR,
  PGE,
  MCA,
  CMOV,
  PAT,
  PSE36,
  CLFSH,
  MMX,
  FXSR,
  SSE,
  SSE2,
  SSE3,
  PCLMULQDQ,
  MONITOR,
  SSSE3,
  FMA,
  CX16,
  PCID,
  SSE4_1,
  SSE4_2,
  X2APIC,
  MOVBE,
  POPCNT,
  TSC_DEADLINE,
  AES,
  XSAVE,
  AVX,
  F16C,
  RDRAND,
  HYPERVISOR,
  /** Microsoft's hypervisor interface beside KVM's. */
  HYPERV,
  /** The port of VMware's hypervisor. */
  VMWARE,
  FSGSBASE,
  TSC_ADJUST,
  BMI1,
  AVX2,
  SMEP,
  BMI2,
  ERMS,
  INVPCID,
  RDSEED,
  ADX,
  SMAP,

  /** Transactions, and what switches them off: TSX_CTRL. */
  RTM,

  CLFLUSHOPT,
  CLWB,
  SHA,
  UMIP,
  PKU,
  PKS,
  LA57,

  /** Shadow stacks. */
  SHSTK,

  /** Indirect branch tracking. */
  IBT,

  RDPID,
  FSRM,
  XSAVEOPT,
  XSAVEC,
  XGETBV1,

  /** XSAVES and XRSTORS, with what the supervisor has in their areas. */
  XSAVES,

  ARAT,
  SYSCALL,
  NX,
  MMXEXT,
  FXSR_OPT,
  PAGE1GB,
  RDTSCP,
  LM,
  LAHF_LM,
  CR8_LEGACY,
  LZCNT,
  SSE4A,
  MISALIGNSSE,
  PREFETCHW,

  /** AMD's virtualization extensions. */
  SVM,

  /** Nested paging, for guests of {@link #SVM}. */
  NPT;

  /**
   * The feature of that name; case and the difference between {@code -}, {@code _} and {@code .} do
   * not count.
   */
  public static Optional<CpuFeature> byName(String name) {
    String plain = name.toUpperCase(Locale.ROOT).replace('-', '_').replace('.', '_');
    return Arrays.stream(values()).filter(feature -> feature.name().equals(plain)).findFirst();
  }

  /** The names of {@code features} as {@link #byName} takes them, in the set's order. */
  public static String words(Set<CpuFeature> features, String between) {
    return features.stream()
        .map(feature -> feature.name().toLowerCase(Locale.ROOT))
        .collect(Collectors.joining(between));
  }
}
