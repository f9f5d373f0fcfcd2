package dev.bothy.machine;

import static org.junit.jupiter.api.Assertions.assertDoesNotThrow;

import dev.bothy.core.LocalInterruptController;
import java.lang.reflect.Method;
import org.junit.jupiter.api.Test;

class TracedApicTest {
  @Test
  void nothingIsLeftToAnInterfacesDefaults() {
    for (Method method : LocalInterruptController.class.getMethods()) {
      assertDoesNotThrow(
          () -> TracedApic.class.getDeclaredMethod(method.getName(), method.getParameterTypes()),
          method.getName());
    }
  }
}
