package dev.bothy.machine;

import dev.bothy.core.LocalInterruptController;
import dev.bothy.core.Trace;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Proxy;
import java.util.Optional;

/** Local APICs whose register page is traced. */
final class TracedApic {
  private static final String NAME = "local-apic";

  private TracedApic() {}

  /**
   * {@code apic}, if {@code trace} wants no MMIO; else a stand-in that does the same and tells of
   * accesses to its page.
   */
  static LocalInterruptController of(LocalInterruptController apic, Optional<Trace> trace) {
    if (trace.filter(some -> some.wants(Trace.Kind.MMIO)).isEmpty()) {
      return apic;
    }
    Trace lines = trace.get();
    return (LocalInterruptController)
        Proxy.newProxyInstance(
            TracedApic.class.getClassLoader(),
            new Class<?>[] {LocalInterruptController.class},
            (proxy, method, arguments) -> {
              boolean write = method.getName().equals("write");
              boolean read = method.getName().equals("read");
              try {
                // A write may move the page, so its line comes first.
                if (write) {
                  tell(lines, apic, true, arguments, (Long) arguments[2]);
                }
                Object result = method.invoke(apic, arguments);
                if (read) {
                  tell(lines, apic, false, arguments, (Long) result);
                }
                return result;
              } catch (InvocationTargetException e) {
                throw e.getCause();
              }
            });
  }

  private static void tell(
      Trace trace, LocalInterruptController apic, boolean write, Object[] arguments, long value) {
    trace.tellAccess(
        Trace.Kind.MMIO,
        NAME,
        write,
        apic.baseAddress() + (Long) arguments[0],
        (Integer) arguments[1],
        value);
  }
}
