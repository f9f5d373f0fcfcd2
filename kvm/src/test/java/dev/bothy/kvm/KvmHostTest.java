package dev.bothy.kvm;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.bothy.core.cpu.CpuidLeaf;
import java.util.List;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@Timeout(300)
class KvmHostTest {
  @BeforeAll
  static void require() {
    TinyMachine.require();
  }

  @Test
  void whatIsTriedWorksOrIsNamed() {
    List<String> failures = KvmHost.failures(KvmTestCpuid.LEAVES);
    assertFalse(failures.contains("page faults"), failures.toString());
    assertFalse(failures.contains("locked instructions in kernel mode"), failures.toString());
    // Again the same: nothing is left behind by what failed.
    assertEquals(failures, KvmHost.failures(KvmTestCpuid.LEAVES));
  }

  @Test
  void probesTellRightFromWrong() {
    try (ProbeGuest guest = new ProbeGuest(KvmTestCpuid.LEAVES)) {
      assertTrue(guest.works(0xb8, 0x0d, 0x60, 0, 0, 0xf4)); // mov eax, WELL; hlt
      assertFalse(guest.works(0xb8, 0x0e, 0x60, 0, 0, 0xf4));
      assertFalse(guest.works(0xb8, 0x0d, 0x60, 0, 0, 0x0f, 0x0b, 0xf4)); // ud2
      assertTrue(guest.works(0xb8, 0x0d, 0x60, 0, 0, 0xf4));
    }
  }

  @Test
  void featuresThatTheHostLacksAreTakenOut() {
    CpuidLeaf all = new CpuidLeaf(1, 0, false, 0, 0, -1, -1);
    CpuidTable none = new CpuidTable(List.of(new CpuidLeaf(1, 0, false, 0, 0, 1, 1)));
    CpuidLeaf left = new CpuidTable(List.of(all)).filtered(none, 0, 1000).find(1, 0).orElseThrow();
    assertEquals(1 | 1 << 31, left.ecx());
    assertEquals(1 | 1 << 28, left.edx());
    // x2APIC is the machine's, whatever the host says.
    CpuidTable host = new CpuidTable(List.of(all));
    CpuidLeaf without =
        new CpuidTable(List.of(all)).filtered(host, 0, 1000).find(1, 0).orElseThrow();
    assertEquals(0, without.ecx() & CpuidTable.X2APIC);
    CpuidLeaf with =
        new CpuidTable(List.of(all))
            .filtered(host, CpuidTable.X2APIC, 1000)
            .find(1, 0)
            .orElseThrow();
    assertEquals(CpuidTable.X2APIC, with.ecx() & CpuidTable.X2APIC);
  }
}
