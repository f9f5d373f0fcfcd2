package dev.bothy.kvm;

import dev.bothy.core.cpu.CpuidLeaf;
import java.util.List;

/** CPUID of a processor that has little more than 64-bit mode needs. */
final class KvmTestCpuid {
  static final List<CpuidLeaf> LEAVES =
      List.of(
          new CpuidLeaf(0, 0, false, 1, 0x6874_7541, 0x444d_4163, 0x6974_6e65),
          // TSC, MSR, PAE, CX8, APIC, SEP, MTRR, PGE, CMOV, PAT, CLFSH, MMX, FXSR, SSE, SSE2, and
          // x2APIC, TSC deadline, CX16, hypervisor.
          new CpuidLeaf(1, 0, false, 0x0083_0f10, 0x800, 0x8120_2000, 0x078b_fbff),
          new CpuidLeaf(7, 0, true, 0, 0, 0, 0),
          new CpuidLeaf(0x8000_0000, 0, false, 0x8000_0008, 0x6874_7541, 0x444d_4163, 0x6974_6e65),
          // SYSCALL, NX, RDTSCP, long mode; LAHF.
          new CpuidLeaf(0x8000_0001, 0, false, 0x0083_0f10, 0, 1, 0x2810_0800),
          // 40 physical and 48 linear address bits.
          new CpuidLeaf(0x8000_0008, 0, false, 0x3028, 0, 0, 0));

  private KvmTestCpuid() {}
}
