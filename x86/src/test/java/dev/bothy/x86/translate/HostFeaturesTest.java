package dev.bothy.x86.translate;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.bothy.core.cpu.CpuFeature;
import org.junit.jupiter.api.Test;

class HostFeaturesTest {
  @Test
  void featuresAreThoseOfTheFlagsLine() {
    String old =
        """
        processor\t: 0
        vendor_id\t: GenuineIntel
        model name\t: avx sha_ni
        flags\t\t: fpu sse sse2 pni ssse3 cx16 sse sse4_1 lahf_lm
        bugs\t\t: popcnt
        """;
    var lacking = HostFeatures.lacking(old);
    assertFalse(lacking.contains(CpuFeature.SSE3));
    assertFalse(lacking.contains(CpuFeature.SSE4_1));
    assertFalse(lacking.contains(CpuFeature.SSE2));
    assertTrue(lacking.contains(CpuFeature.SSE4_2));
    assertTrue(lacking.contains(CpuFeature.POPCNT));
    assertTrue(lacking.contains(CpuFeature.SHA));
    assertTrue(lacking.contains(CpuFeature.LZCNT));
  }

  @Test
  void withoutFlagsNothingBeyondTheBaselineIsThere() {
    assertEquals(HostFeatures.lacking("flags : x"), HostFeatures.lacking(""));
    assertTrue(HostFeatures.lacking("").contains(CpuFeature.SSE3));
  }
}
