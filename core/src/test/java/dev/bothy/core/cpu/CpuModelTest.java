package dev.bothy.core.cpu;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Set;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class CpuModelTest {
  @Test
  void featuresAreAddedAndLeftOut() {
    CpuModel model = CpuModel.parse("V1,+sse4.2,+Tsc-Deadline,+pcid,-pcid");
    assertTrue(model.has(CpuFeature.SSE4_2));
    assertTrue(model.has(CpuFeature.TSC_DEADLINE));
    assertFalse(model.has(CpuFeature.PCID));
    assertFalse(model.has(CpuFeature.X2APIC));
    assertFalse(CpuModel.parse("v2,-x2apic").has(CpuFeature.X2APIC));
    assertEquals(CpuModel.V2, CpuModel.parse("v2"));
  }

  @Test
  void whatIsAskedForByNameIsKnown() {
    assertEquals(
        Set.of(CpuFeature.SVM, CpuFeature.SSE4_2),
        CpuModel.parse("v2,+svm,+sse4.2,+pcid,-pcid,-umip,phys-bits=36").askedFor());
    assertEquals(Set.of(), CpuModel.MAX.askedFor());
  }

  @Test
  void eachModelHasWhatTheOneBelowItHas() {
    assertTrue(CpuModel.V2.features().containsAll(CpuModel.V1.features()));
    assertTrue(CpuModel.V3.features().containsAll(CpuModel.V2.features()));
    assertTrue(CpuModel.MAX.features().containsAll(CpuModel.V3.features()));
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "v9|no processor model \"v9\": give one of v1, v2, v3, max",
        "v2,+svelte|no processor here can have \"+svelte\": give +FEATURE or -FEATURE",
        "v2,|no processor here can have \"\": give +FEATURE or -FEATURE",
        "v2,pcid|no processor here can have \"pcid\": give +FEATURE or -FEATURE",
      })
  void whatDoesNotExistIsRefusedInOneLine(String text, String message) {
    Exception refused = assertThrows(IllegalArgumentException.class, () -> CpuModel.parse(text));
    assertEquals(message, refused.getMessage());
  }
}
