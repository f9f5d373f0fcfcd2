package dev.bothy.kvm;

import static dev.bothy.kvm.KvmHeader.*;
import static java.lang.foreign.ValueLayout.JAVA_INT;

import dev.bothy.core.cpu.CpuidLeaf;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/** Answers of CPUID, as KVM tells them and wants them. Immutable. */
record CpuidTable(List<CpuidLeaf> leaves) {
  private static final int FEATURES = 1;
  private static final int STRUCTURED_FEATURES = 7;
  private static final int XSAVE = 0xd;
  private static final int PARAVIRTUAL_FEATURES = 0x4000_0001;
  private static final int FREQUENCIES = 0x4000_0010;
  private static final int EXTENDED_FEATURES = 0x8000_0001;
  private static final int SIZES = 0x8000_0008;
  private static final int MORE_FEATURES = 0x8000_0021;

  /** In ECX of {@link #FEATURES}. */
  static final int X2APIC = 1 << 21;

  static final int TSC_DEADLINE = 1 << 24;

  /** Those that are not of the processor but of who is below it: it shows what it is told to. */
  private static final int HYPERVISOR = 1 << 31;

  private static final int XSAVE_BIT = 1 << 26;

  /** PKU and PKS in ECX of {@link #STRUCTURED_FEATURES}: not moved to and from KVM. */
  private static final int PROTECTION_KEYS = 1 << 3 | 1 << 31;

  /** Shadow stacks and branch tracking in its ECX and EDX, and XSAVES: nor are they. */
  private static final int SHADOW_STACKS = 1 << 7;

  private static final int BRANCH_TRACKING = 1 << 20;
  private static final int XSAVES = 1 << 3;

  /** RTM and IA32_ARCH_CAPABILITIES in its EBX and EDX: nor are they. */
  private static final int TRANSACTIONS = 1 << 11;

  private static final int CAPABILITIES = 1 << 29;

  /**
   * What paravirtual features there can be without an APIC in the kernel: both clocks, that they
   * are stable, and quick port accesses.
   */
  private static final int CLOCKS = 1 | 1 << 1 | 1 << 3 | 1 << 24;

  /** In EDX of {@link #FEATURES}: says what the topology is. */
  private static final int HTT = 1 << 28;

  /** In ECX of {@link #EXTENDED_FEATURES}: likewise. */
  private static final int CMP_LEGACY = 1 << 1;

  /** Guests of guests: KVM's own are not saved and moved to other engines. */
  private static final int SVM = 1 << 2;

  private static final int SVM_FEATURES = 0x8000_000a;

  CpuidTable {
    leaves = List.copyOf(leaves);
  }

  /** What KVM has filled in. */
  static CpuidTable of(MemorySegment list) {
    List<CpuidLeaf> leaves = new ArrayList<>();
    for (int i = 0; i < list.get(JAVA_INT, KvmCpuid2.NENT); i++) {
      long at = KvmCpuid2.ENTRIES + (long) i * KvmCpuidEntry2.SIZE;
      leaves.add(
          new CpuidLeaf(
              list.get(JAVA_INT, at + KvmCpuidEntry2.FUNCTION),
              list.get(JAVA_INT, at + KvmCpuidEntry2.INDEX),
              (list.get(JAVA_INT, at + KvmCpuidEntry2.FLAGS) & KVM_CPUID_FLAG_SIGNIFCANT_INDEX)
                  != 0,
              list.get(JAVA_INT, at + KvmCpuidEntry2.EAX),
              list.get(JAVA_INT, at + KvmCpuidEntry2.EBX),
              list.get(JAVA_INT, at + KvmCpuidEntry2.ECX),
              list.get(JAVA_INT, at + KvmCpuidEntry2.EDX)));
    }
    return new CpuidTable(leaves);
  }

  /** For KVM to read. */
  MemorySegment toSegment(Arena arena) {
    MemorySegment list =
        arena.allocate(KvmCpuid2.SIZE + (long) leaves.size() * KvmCpuidEntry2.SIZE, 8);
    list.set(JAVA_INT, KvmCpuid2.NENT, leaves.size());
    for (int i = 0; i < leaves.size(); i++) {
      CpuidLeaf leaf = leaves.get(i);
      long at = KvmCpuid2.ENTRIES + (long) i * KvmCpuidEntry2.SIZE;
      list.set(JAVA_INT, at + KvmCpuidEntry2.FUNCTION, leaf.leaf());
      list.set(JAVA_INT, at + KvmCpuidEntry2.INDEX, leaf.subleaf());
      list.set(
          JAVA_INT,
          at + KvmCpuidEntry2.FLAGS,
          leaf.hasSubleaves() ? KVM_CPUID_FLAG_SIGNIFCANT_INDEX : 0);
      list.set(JAVA_INT, at + KvmCpuidEntry2.EAX, leaf.eax());
      list.set(JAVA_INT, at + KvmCpuidEntry2.EBX, leaf.ebx());
      list.set(JAVA_INT, at + KvmCpuidEntry2.ECX, leaf.ecx());
      list.set(JAVA_INT, at + KvmCpuidEntry2.EDX, leaf.edx());
    }
    return list;
  }

  Optional<CpuidLeaf> find(int leaf, int subleaf) {
    return leaves.stream()
        .filter(l -> l.leaf() == leaf && (!l.hasSubleaves() || l.subleaf() == subleaf))
        .findFirst();
  }

  /**
   * This table with the features that {@code host} does not have taken out: what is a feature and
   * what is not is told apart leaf by leaf.
   *
   * @param ours bits of ECX of leaf 1 that this process has itself, whatever the host says
   * @param tscKhz rate of the time-stamp counter
   */
  CpuidTable filtered(CpuidTable host, int ours, int tscKhz) {
    List<CpuidLeaf> filtered = new ArrayList<>();
    boolean xsave = host.find(FEATURES, 0).map(f -> (f.ecx() & XSAVE_BIT) != 0).orElse(false);
    for (CpuidLeaf leaf : leaves) {
      CpuidLeaf has = host.find(leaf.leaf(), leaf.subleaf()).orElse(leaf.with(0, 0, 0, 0));
      filtered.add(
          switch (leaf.leaf()) {
            case FEATURES ->
                leaf.with(
                    leaf.eax(),
                    leaf.ebx(),
                    leaf.ecx() & (has.ecx() & ~(X2APIC | TSC_DEADLINE) | HYPERVISOR | ours),
                    leaf.edx() & (has.edx() | HTT));
            case STRUCTURED_FEATURES ->
                leaf.with(
                    leaf.eax(),
                    leaf.ebx() & has.ebx() & ~TRANSACTIONS,
                    leaf.ecx() & has.ecx() & ~(PROTECTION_KEYS | SHADOW_STACKS),
                    leaf.edx() & has.edx() & ~(CAPABILITIES | BRANCH_TRACKING));
            case XSAVE -> xsave ? filterXsave(leaf, has) : leaf.with(0, 0, 0, 0);
            case PARAVIRTUAL_FEATURES ->
                leaf.with(leaf.eax() & has.eax() & CLOCKS, leaf.ebx(), leaf.ecx(), leaf.edx());
            case FREQUENCIES -> leaf.with(tscKhz, leaf.ebx(), leaf.ecx(), leaf.edx());
            case EXTENDED_FEATURES ->
                leaf.with(
                    leaf.eax(),
                    leaf.ebx(),
                    leaf.ecx() & (has.ecx() | CMP_LEGACY) & ~SVM,
                    leaf.edx() & has.edx());
            case SVM_FEATURES -> leaf.with(0, 0, 0, 0);
            case SIZES -> leaf.with(leaf.eax(), leaf.ebx() & has.ebx(), leaf.ecx(), leaf.edx());
            case MORE_FEATURES ->
                leaf.with(leaf.eax() & has.eax(), leaf.ebx(), leaf.ecx(), leaf.edx());
            default -> leaf;
          });
    }
    return new CpuidTable(filtered);
  }

  /** Components, then instructions; sizes are as they are. */
  private static CpuidLeaf filterXsave(CpuidLeaf leaf, CpuidLeaf has) {
    if (leaf.subleaf() == 1) {
      return leaf.with(leaf.eax() & has.eax() & ~XSAVES, leaf.ebx(), 0, 0);
    }
    return leaf.subleaf() < 2
        ? leaf.with(leaf.eax() & has.eax(), leaf.ebx(), leaf.ecx(), leaf.edx())
        : leaf;
  }
}
