package dev.bothy.x86.directed;

import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.bothy.core.AddressSpace;
import dev.bothy.core.Engine;
import dev.bothy.core.GuestMemory;
import dev.bothy.core.StoppedClock;
import dev.bothy.core.Vcpu;
import dev.bothy.core.cpu.CpuModel;
import dev.bothy.x86.interpret.InterpreterEngine;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** The end of an engine that another one has replaced: the machine's devices go on. */
@Timeout(300)
class EngineEndTest {
  private static final int ENGINES = 300;
  private static final long MEMORY = 64 << 20;
  private static final int DEVICES = 2;

  private volatile boolean over;

  /** It reaches into what has been given back to the host, or into nothing. */
  @Test
  void devicesWriteMeanwhile() throws InterruptedException {
    List<Throwable> thrown = new CopyOnWriteArrayList<>();
    try (GuestMemory memory = new GuestMemory(MEMORY)) {
      List<Thread> devices = new ArrayList<>();
      for (int i = 0; i < DEVICES; i++) {
        Thread device = new Thread(() -> write(memory));
        device.setUncaughtExceptionHandler((_, e) -> thrown.add(e));
        device.start();
        devices.add(device);
      }
      for (int i = 0; i < ENGINES; i++) {
        Engine engine =
            new InterpreterEngine(
                new Engine.Environment(
                    memory,
                    new AddressSpace("ports"),
                    new AddressSpace("mmio"),
                    new StoppedClock(1_000_000),
                    CpuModel.V2,
                    1,
                    true,
                    vcpu -> {}));
        try (engine;
            Vcpu vcpu = engine.createVcpu(0, new StubApic(0))) {
          assertEquals(0, vcpu.instructions());
        }
      }
      over = true;
      for (Thread device : devices) {
        device.join();
      }
    }
    assertEquals(List.of(), thrown);
  }

  private void write(GuestMemory memory) {
    while (!over) {
      // So much that an engine's end is likely to come meanwhile.
      memory.tellWritten(0, MEMORY);
    }
  }
}
