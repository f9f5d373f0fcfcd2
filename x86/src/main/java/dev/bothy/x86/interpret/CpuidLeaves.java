package dev.bothy.x86.interpret;

import static dev.bothy.core.cpu.CpuFeature.*;
import static dev.bothy.host.RawMemory.getLong;

import dev.bothy.core.MachineClock;
import dev.bothy.core.cpu.CpuFeature;
import dev.bothy.core.cpu.CpuModel;
import dev.bothy.core.cpu.CpuState;
import dev.bothy.core.cpu.CpuidLeaf;
import java.util.ArrayList;
import java.util.EnumSet;
import java.util.List;
import java.util.Set;
import java.util.function.BooleanSupplier;

/** What CPUID answers: AMD64 APM volume 3, appendix E; hypervisor leaves as KVM defines them. */
public final class CpuidLeaves {
  /** All that depends on who asks; the APIC is looked at only by the leaf that tells of it. */
  private record Asker(
      CpuModel model,
      int cpus,
      int apicId,
      BooleanSupplier apicEnabled,
      boolean osxsave,
      boolean pke,
      boolean hidesTransactions,
      long xcr0,
      long xss) {
    static Asker of(Processor cpu) {
      return new Asker(
          cpu.model,
          cpu.machine.cpus(),
          cpu.apic.id(),
          () -> (cpu.apic.apicBase() & 0x800) != 0,
          (getLong(cpu.state + CpuState.CR4) & Bits.CR4_OSXSAVE) != 0,
          (getLong(cpu.state + CpuState.CR4) & Bits.CR4_PKE) != 0,
          (getLong(cpu.state + CpuState.TSX_CTRL) & Transaction.HIDDEN) != 0,
          getLong(cpu.state + CpuState.XCR0),
          getLong(cpu.state + CpuState.XSS));
    }
  }

  private static final CpuFeature[] LEAF1_EDX = {
    FPU, VME, DE, PSE, TSC, MSR, PAE, MCE, CX8, APIC, null, SEP, MTRR, PGE, MCA, CMOV, PAT, PSE36,
    null, CLFSH, null, null, null, MMX, FXSR, SSE, SSE2, null, null, null, null, null
  };
  private static final CpuFeature[] LEAF1_ECX = {
    SSE3,
    PCLMULQDQ,
    null,
    MONITOR,
    null,
    null,
    null,
    null,
    null,
    SSSE3,
    null,
    null,
    FMA,
    CX16,
    null,
    null,
    null,
    PCID,
    null,
    SSE4_1,
    SSE4_2,
    X2APIC,
    MOVBE,
    POPCNT,
    TSC_DEADLINE,
    AES,
    XSAVE,
    null,
    AVX,
    F16C,
    RDRAND,
    HYPERVISOR
  };
  private static final CpuFeature[] LEAF7_EBX = {
    FSGSBASE,
    CpuFeature.TSC_ADJUST,
    null,
    BMI1,
    null,
    AVX2,
    null,
    SMEP,
    BMI2,
    ERMS,
    INVPCID,
    RTM,
    null,
    null,
    null,
    null,
    null,
    null,
    RDSEED,
    ADX,
    SMAP,
    null,
    null,
    CLFLUSHOPT,
    CLWB,
    null,
    null,
    null,
    null,
    SHA,
    null,
    null
  };
  private static final CpuFeature[] LEAF7_ECX = {
    null, null, UMIP, PKU, null, null, null, SHSTK, null, null, null, null, null, null, null, null,
    LA57, null, null, null, null, null, RDPID, null, null, null, null, null, null, null, null, PKS
  };
  private static final CpuFeature[] LEAF7_EDX = {
    null, null, null, null, FSRM, null, null, null, null, null, null, null, null, null, null, null,
    null, null, null, null, IBT, null, null, null, null, null, null, null, null, null, null, null
  };

  /** Of subleaf 1 of the leaf of XSAVE. */
  private static final CpuFeature[] XSAVE_EAX = {XSAVEOPT, XSAVEC, XGETBV1, XSAVES};

  private static final CpuFeature[] EXTENDED_EDX = {
    FPU, VME, DE, PSE, TSC, MSR, PAE, MCE, CX8, APIC, null, SYSCALL, MTRR, PGE, MCA, CMOV, PAT,
    PSE36, null, null, NX, null, MMXEXT, MMX, FXSR, FXSR_OPT, PAGE1GB, RDTSCP, null, LM, null, null
  };
  private static final CpuFeature[] EXTENDED_ECX = {
    LAHF_LM,
    null,
    SVM,
    null,
    CR8_LEGACY,
    LZCNT,
    SSE4A,
    MISALIGNSSE,
    PREFETCHW,
    null,
    null,
    null,
    null,
    null,
    null,
    null,
    null,
    null,
    null,
    null,
    null,
    null,
    null,
    null,
    null,
    null,
    null,
    null,
    null,
    null,
    null,
    null
  };

  private static final int HYPERVISOR_FIRST = 0x4000_0000;
  private static final int EXTENDED_FIRST = 0x8000_0000;

  /** More than any leaf has. */
  private static final int SUBLEAVES = 13;

  private static final String VENDOR = "AuthenticAMD";
  private static final String HYPERVISOR_NAME = "KVMKVMKVM\0\0\0";

  /** KVM_FEATURE_CLOCKSOURCE2 and KVM_FEATURE_CLOCKSOURCE_STABLE_BIT, CLOCKSOURCE, NOP_IO_DELAY. */
  private static final int KVM_FEATURES = 1 | 1 << 1 | 1 << 3 | 1 << 24;

  /**
   * AMD_SSB_NO and BTC_NO: an engine in software does not speculate, so that a guest need not pay
   * for mitigations of what the processor under it does; that is the host kernel's to mitigate.
   */
  private static final int NOT_VULNERABLE_8 = 1 << 26 | 1 << 29;

  /**
   * LFENCE serializes, null selectors clear the base, automatic IBRS, and SRSO_NO, for the same
   * reason.
   */
  private static final int NOT_VULNERABLE_21 = 1 << 2 | 1 << 6 | 1 << 8 | 1 << 29;

  /**
   * XSaveErPtr: the pointers to the last x87 instruction are never left as somebody else has had
   * them, so that kernels need not clear them before each XRSTOR.
   */
  private static final int ERROR_POINTERS = 1 << 2;

  /** Address-space identifiers of guests. */
  private static final int SVM_SPACES = 1 << 15;

  /** NRIPS, VmcbClean, FlushByAsid, DecodeAssists, PauseFilter. */
  private static final int SVM_FEATURES = 1 << 3 | 1 << 5 | 1 << 6 | 1 << 7 | 1 << 10;

  private static final int HYPERVISOR_LEAVES = 0x4000_0000;

  /** Where KVM's leaves begin, if others come first. */
  private static final int KVM_BEHIND = 0x100;

  /** The operating system has set CR4.PKE. */
  private static final int OSPKE = 1 << 4;

  /** Among {@link #LEAF7_EBX}. */
  private static final int RTM_BIT = 1 << 11;

  /** Of leaf 7, EDX: the MSR that tells of TSX_CTRL is there. */
  private static final int ARCH_CAPABILITIES = 1 << 29;

  private CpuidLeaves() {}

  private static int bits(CpuModel model, CpuFeature[] features) {
    int word = 0;
    for (int i = 0; i < 32; i++) {
      if (features[i] != null && model.has(features[i])) {
        word |= 1 << i;
      }
    }
    return word;
  }

  private static int word(String text, int at) {
    int word = 0;
    for (int i = 3; i >= 0; i--) {
      word = word << 8 | (at + i < text.length() ? text.charAt(at + i) : 0);
    }
    return word;
  }

  /** Executes CPUID: EAX and ECX in, EAX to EDX out. */
  static void execute(Processor cpu) {
    int leaf = (int) cpu.gpr(CpuState.RAX);
    int sub = (int) cpu.gpr(CpuState.RCX);
    int[] out = new int[4];
    leaf(Asker.of(cpu), leaf, sub, out);
    CpuidAnswers.check(cpu);
    CpuidAnswers.note(cpu, leaf, sub, out);
    cpu.setGpr32(CpuState.RAX, out[0]);
    cpu.setGpr32(CpuState.RBX, out[1]);
    cpu.setGpr32(CpuState.RCX, out[2]);
    cpu.setGpr32(CpuState.RDX, out[3]);
  }

  private static void set(int[] out, int a, int b, int c, int d) {
    out[0] = a;
    out[1] = b;
    out[2] = c;
    out[3] = d;
  }

  /**
   * All answers that a processor of {@code model} gives after RESET, one of {@code cpus} in its
   * machine; for engines that have the hypervisor interface of KVM alone.
   */
  public static List<CpuidLeaf> all(CpuModel model, int cpus, int apicId) {
    Asker asker =
        new Asker(model.without(HYPERV), cpus, apicId, () -> true, false, false, false, 1, 0);
    List<CpuidLeaf> leaves = new ArrayList<>();
    for (int first : new int[] {0, HYPERVISOR_FIRST, EXTENDED_FIRST}) {
      int[] out = new int[4];
      leaf(asker, first, 0, out);
      for (int leaf = first; leaf <= out[0]; leaf++) {
        // Intel's own are not asked for on a processor that is not Intel's.
        boolean several = leaf == 7 || leaf == 0xb || leaf == 0xd;
        for (int sub = 0; sub < (several ? SUBLEAVES : 1); sub++) {
          int[] words = new int[4];
          leaf(asker, leaf, sub, words);
          leaves.add(new CpuidLeaf(leaf, sub, several, words[0], words[1], words[2], words[3]));
        }
      }
    }
    return leaves;
  }

  /**
   * The features that {@code all} shows and {@code left} does not, both in the form of {@link
   * #all}.
   */
  public static Set<CpuFeature> lost(List<CpuidLeaf> all, List<CpuidLeaf> left) {
    Set<CpuFeature> lost = EnumSet.noneOf(CpuFeature.class);
    for (CpuidLeaf before : all) {
      for (CpuidLeaf after : left) {
        if (before.leaf() == after.leaf() && before.subleaf() == after.subleaf()) {
          switch (before.leaf()) {
            case 1 -> {
              addLost(lost, LEAF1_ECX, before.ecx() & ~after.ecx());
              addLost(lost, LEAF1_EDX, before.edx() & ~after.edx());
            }
            case 7 -> {
              addLost(lost, LEAF7_EBX, before.ebx() & ~after.ebx());
              addLost(lost, LEAF7_ECX, before.ecx() & ~after.ecx());
              addLost(lost, LEAF7_EDX, before.edx() & ~after.edx());
            }
            case 0xd -> {
              if (before.subleaf() == 1) {
                addLost(lost, XSAVE_EAX, before.eax() & ~after.eax());
              }
            }
            case EXTENDED_FIRST + 1 -> {
              addLost(lost, EXTENDED_ECX, before.ecx() & ~after.ecx());
              addLost(lost, EXTENDED_EDX, before.edx() & ~after.edx());
            }
            default -> {}
          }
        }
      }
    }
    return lost;
  }

  private static void addLost(Set<CpuFeature> lost, CpuFeature[] features, int bits) {
    for (int i = 0; i < features.length; i++) {
      if ((bits >>> i & 1) != 0 && features[i] != null) {
        lost.add(features[i]);
      }
    }
  }

  private static void leaf(Asker cpu, int leaf, int sub, int[] out) {
    CpuModel model = cpu.model;
    int cpus = cpu.cpus;
    if (model.has(HYPERV) && leaf >>> 12 == HYPERVISOR_LEAVES >>> 12) {
      if (HypervInterface.cpuid(leaf, out)) {
        return;
      }
      leaf -= KVM_BEHIND;
    }
    switch (leaf) {
      case 0 -> set(out, 0x0d, word(VENDOR, 0), word(VENDOR, 8), word(VENDOR, 4));
      // Family 17h, model 31h, stepping 0.
      case 1 -> {
        int ecx = bits(model, LEAF1_ECX);
        if (cpu.osxsave) {
          ecx |= 1 << 27;
        }
        int edx = bits(model, LEAF1_EDX) | (cpus > 1 ? 1 << 28 : 0);
        if (!cpu.apicEnabled.getAsBoolean()) {
          edx &= ~(1 << 9);
        }
        int logical = Math.min(255, Math.max(1, cpus));
        set(out, 0x0083_0f10, cpu.apicId << 24 | logical << 16 | 8 << 8, ecx, edx);
      }
      case 2, 3, 4, 6, 8, 9, 0xa, 0xc -> {
        if (leaf == 6) {
          out[0] = model.has(ARAT) ? 4 : 0;
        }
      }
      case 5 -> set(out, 0, 0, 0, 0);
      case 7 -> {
        if (sub == 0) {
          boolean keys = cpu.pke;
          int ebx = bits(model, LEAF7_EBX) & (cpu.hidesTransactions ? ~RTM_BIT : -1);
          int ecx = bits(model, LEAF7_ECX) | (keys ? OSPKE : 0);
          int edx = bits(model, LEAF7_EDX) | (model.has(RTM) ? ARCH_CAPABILITIES : 0);
          set(out, 0, ebx, ecx, edx);
        }
      }
      case 0xb -> {
        int shift = cpus == 1 ? 0 : 32 - Integer.numberOfLeadingZeros(cpus - 1);
        if (sub == 0) {
          set(out, 0, 1, 0x100, cpu.apicId);
        } else if (sub == 1) {
          set(out, shift, cpus, 0x201, cpu.apicId);
        } else {
          set(out, 0, 0, sub & 0xff, cpu.apicId);
        }
      }
      case 0xd -> {
        if (model.has(XSAVE)) {
          xsave(cpu, sub, out);
        }
      }
      case 0x4000_0000 ->
          set(
              out,
              0x4000_0010 + (model.has(HYPERV) ? KVM_BEHIND : 0),
              word(HYPERVISOR_NAME, 0),
              word(HYPERVISOR_NAME, 4),
              word(HYPERVISOR_NAME, 8));
      case 0x4000_0001 -> out[0] = KVM_FEATURES;
      // TSC and APIC timer frequency in kHz.
      case 0x4000_0010 -> set(out, (int) (MachineClock.TSC_HZ / 1000), 1_000_000, 0, 0);
      case 0x8000_0000 -> set(out, 0x8000_0021, word(VENDOR, 0), word(VENDOR, 8), word(VENDOR, 4));
      case 0x8000_0001 -> {
        int edx = bits(model, EXTENDED_EDX);
        int ecx = bits(model, EXTENDED_ECX) | (cpus > 1 ? 2 : 0);
        set(out, 0x0083_0f10, 0, ecx, edx);
      }
      case 0x8000_0002, 0x8000_0003, 0x8000_0004 -> {
        String brand = "Bothy x86-64 processor, model " + model.name();
        int at = (leaf - 0x8000_0002) * 16;
        set(out, word(brand, at), word(brand, at + 4), word(brand, at + 8), word(brand, at + 12));
      }
      // 32 KiB L1, 512 KiB L2: what software sizes its loops by.
      case 0x8000_0005 -> set(out, 0xff40_ff40, 0xff40_ff40, 0x2008_0140, 0x2008_0140);
      case 0x8000_0006 -> set(out, 0, 0x4200_4200, 0x0200_6140, 0);
      // Invariant TSC.
      case 0x8000_0007 -> set(out, 0, 0, 0, 1 << 8);
      case 0x8000_0008 -> {
        int width = cpus == 1 ? 0 : 32 - Integer.numberOfLeadingZeros(cpus - 1);
        set(
            out,
            model.physicalBits() | model.linearBits() << 8,
            NOT_VULNERABLE_8 | ERROR_POINTERS,
            cpus - 1 | width << 12,
            0);
      }
      case 0x8000_000a -> {
        if (model.has(SVM)) {
          set(out, 1, SVM_SPACES, 0, SVM_FEATURES | (model.has(NPT) ? 1 : 0));
        }
      }
      case 0x8000_0021 -> set(out, NOT_VULNERABLE_21, 0, 0, 0);
      default -> set(out, 0, 0, 0, 0);
    }
  }

  private static void xsave(Asker cpu, int sub, int[] out) {
    CpuModel model = cpu.model;
    boolean avx = model.has(AVX);
    boolean keys = model.has(PKU);
    long enabled = cpu.xcr0;
    switch (sub) {
      case 0 -> {
        int known =
            XsaveLayout.X87
                | XsaveLayout.SSE
                | (avx ? XsaveLayout.AVX : 0)
                | (keys ? XsaveLayout.KEYS : 0);
        set(out, known, XsaveLayout.standardSize(enabled), XsaveLayout.standardSize(known), 0);
      }
      case 1 -> {
        int bits =
            (model.has(XSAVEOPT) ? 1 : 0)
                | (model.has(XSAVEC) ? 2 : 0)
                | (model.has(XGETBV1) ? 4 : 0)
                | (model.has(XSAVES) ? 8 : 0);
        long size = XsaveLayout.compactedSize(enabled | cpu.xss);
        set(out, bits, model.has(XSAVEC) ? (int) size : 0, supervised(model), 0);
      }
      case 2 -> {
        if (avx) {
          set(out, XsaveLayout.AVX_SIZE, XsaveLayout.AVX_OFFSET, 0, 0);
        }
      }
      case 9 -> {
        if (keys) {
          set(out, XsaveLayout.KEYS_SIZE, XsaveLayout.KEYS_OFFSET, 0, 0);
        }
      }
      case 11, 12 -> {
        if ((supervised(model) & 1 << sub) != 0) {
          set(out, sub == 11 ? XsaveLayout.USER_FLOW_SIZE : XsaveLayout.FLOW_SIZE, 0, 1, 0);
        }
      }
      default -> {}
    }
  }

  /** What XSS may have. */
  private static int supervised(CpuModel model) {
    return model.has(XSAVES) ? SupervisorState.known(model) : 0;
  }
}
