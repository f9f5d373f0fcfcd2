package dev.bothy;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assertions.fail;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.bothy.core.cpu.CpuModel;
import dev.bothy.core.cpu.CpuState;
import dev.bothy.machine.Machine;
import dev.bothy.machine.MachineOptions;
import dev.bothy.machine.boot.KernelBoot;
import dev.bothy.x86.translate.TranslatorEngine;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** A machine whose local APIC is now the kernel's and now its own. */
@Timeout(600)
class KvmTimerTest {
  private static final int LOAD_ADDRESS = 0x10_0000;
  private static final int LENGTH = 1024;
  private static final int GDT = LOAD_ADDRESS + 0x180;
  private static final int IDT = LOAD_ADDRESS + 0x1c0;
  private static final int VECTOR = 0x40;
  private static final int APIC = 0xfee0_0000;

  /** Where the kernel tells how many interrupts it took, and how far it has counted. */
  private static final int TICKS = 0x11_0000;

  private static final int PROGRESS = TICKS + 4;
  private static final int STACK = 0x11_8000;

  @TempDir Path folder;

  /** Where the kernel's loop begins, and its handler. */
  private int loop;

  private int handler;

  private static void store(ByteBuffer image, int address, int value) {
    image.put((byte) 0xc7).put((byte) 0x05).putInt(address).putInt(value);
  }

  private static void put(ByteBuffer image, int... bytes) {
    for (int b : bytes) {
      image.put((byte) b);
    }
  }

  /**
   * Counts for ever, as a sum that each step makes of the last; a millisecond's interrupts of the
   * local APIC's timer, periodic, are counted beside it.
   */
  private Path kernel() throws Exception {
    ByteBuffer image = ByteBuffer.allocate(LENGTH).order(ByteOrder.LITTLE_ENDIAN);
    int magic = 0x1bad_b002;
    image.putInt(magic).putInt(1 << 16).putInt(-(magic + (1 << 16)));
    image.putInt(LOAD_ADDRESS).putInt(LOAD_ADDRESS).putInt(LOAD_ADDRESS + LENGTH);
    image.putInt(0).putInt(LOAD_ADDRESS + 32);
    put(image, 0xfa, 0x0f, 0x01, 0x15); // cli; lgdt
    image.putInt(GDT + 0x18);
    image.put((byte) 0xea).putInt(LOAD_ADDRESS + image.position() + 6).putShort((short) 8);
    put(image, 0x66, 0xb8, 0x10, 0, 0x8e, 0xd8, 0x8e, 0xc0, 0x8e, 0xd0, 0xbc); // segments; esp
    image.putInt(STACK);
    put(image, 0x0f, 0x01, 0x1d); // lidt
    image.putInt(GDT + 0x20);
    store(image, APIC + 0xf0, 0x1ff);
    store(image, APIC + 0x3e0, 0xb);
    store(image, APIC + 0x320, 1 << 17 | VECTOR);
    store(image, APIC + 0x380, 1_000_000);
    put(image, 0x31, 0xc0, 0x31, 0xdb, 0xfb); // xor eax, eax; xor ebx, ebx; sti
    loop = LOAD_ADDRESS + image.position();
    put(image, 0x69, 0xc0); // imul eax, eax
    image.putInt(1_103_515_245);
    put(image, 0x05); // add eax
    image.putInt(12_345);
    put(image, 0x43, 0x89, 0x1d); // inc ebx; mov [PROGRESS], ebx
    image.putInt(PROGRESS);
    put(image, 0xeb, loop - LOAD_ADDRESS - image.position() - 2);
    handler = LOAD_ADDRESS + image.position();
    put(image, 0xff, 0x05); // inc dword [TICKS]
    image.putInt(TICKS);
    store(image, APIC + 0xb0, 0);
    // Back without IRET, which some KVMs do not emulate: push eax; mov eax, [esp+12]; xchg eax,
    // [esp+4]; mov [esp+12], eax; pop eax; popf; lea esp, [esp+4]; ret
    put(image, 0x50, 0x8b, 0x44, 0x24, 0x0c, 0x87, 0x44, 0x24, 0x04, 0x89, 0x44, 0x24, 0x0c);
    put(image, 0x58, 0x9d, 0x8d, 0x64, 0x24, 0x04, 0xc3);
    image.position(GDT - LOAD_ADDRESS);
    image.putLong(0).putLong(0x00cf_9b00_0000_ffffL).putLong(0x00cf_9300_0000_ffffL);
    image.putShort((short) 23).putInt(GDT).putShort((short) 0);
    image.putShort((short) (8 * VECTOR + 7)).putInt(IDT);
    image.position(IDT - LOAD_ADDRESS + 8 * VECTOR);
    image.putShort((short) handler).putShort((short) 8);
    image.putShort((short) 0x8e00).putShort((short) (handler >>> 16));
    return Files.write(folder.resolve("ticking.bin"), image.array());
  }

  private Machine machine(Path kernel, String engine) throws Exception {
    return new Machine(
        MachineOptions.of(
            2 << 20,
            Engines.factory(
                engine, CpuModel.V2, TranslatorEngine.Observation.NONE, Optional.empty()),
            new KernelBoot(kernel, Optional.empty(), ""),
            value -> {}));
  }

  private static void awaitMore(Machine machine, int address, int more) throws Exception {
    int before = machine.memory().readInt(address);
    while (machine.memory().readInt(address) - before < more) {
      if (!machine.running()) {
        fail(machine.awaitExit().toString());
      }
      Thread.sleep(1);
    }
  }

  @Test
  void theTimerGoesOnThroughAllEngines() throws Exception {
    assumeTrue(
        Engines.refusal(Engines.KVM).isEmpty(), () -> Engines.refusal(Engines.KVM).orElseThrow());
    Path kernel = kernel();
    List<String> engines = List.of(Engines.KVM, Engines.TRANSLATOR, Engines.INTERPRETER);
    Machine machine = machine(kernel, Engines.KVM);
    try {
      machine.start();
      for (int hop = 1; hop <= 10; hop++) {
        awaitMore(machine, TICKS, 5);
        awaitMore(machine, PROGRESS, 1000);
        pause(machine);
        check(machine);
        ByteArrayOutputStream state = new ByteArrayOutputStream();
        machine.save(state);
        // What was looked at goes on as well as what was saved.
        machine.resume();
        awaitMore(machine, TICKS, 2);
        machine.close();
        String next = engines.get(hop % engines.size());
        machine = machine(kernel, Engines.refusal(next).isEmpty() ? next : Engines.INTERPRETER);
        machine.load(new ByteArrayInputStream(state.toByteArray()));
        check(machine);
        machine.resume();
      }
      awaitMore(machine, TICKS, 5);
      pause(machine);
      check(machine);
    } finally {
      machine.close();
    }
  }

  @Test
  void aResetStartsTheTimerAnew() throws Exception {
    assumeTrue(
        Engines.refusal(Engines.KVM).isEmpty(), () -> Engines.refusal(Engines.KVM).orElseThrow());
    try (Machine machine = machine(kernel(), Engines.KVM)) {
      machine.start();
      for (int i = 0; i < 3; i++) {
        awaitMore(machine, TICKS, 5);
        machine.reset();
      }
      awaitMore(machine, TICKS, 5);
      pause(machine);
      check(machine);
    }
  }

  /** Pauses outside the handler. */
  private void pause(Machine machine) {
    machine.pause();
    while (machine.vcpu(0).state().get(CpuState.RIP) >= handler) {
      machine.resume();
      Thread.onSpinWait();
      machine.pause();
    }
  }

  /** The sum is what so many steps make. */
  private void check(Machine machine) {
    CpuState state = machine.vcpu(0).state();
    int offset = (int) state.get(CpuState.RIP) - loop;
    assertTrue(offset >= 0 && offset < 21, "at " + offset);
    int steps = (int) state.gpr(CpuState.RBX);
    int value = CountedSum.after(steps);
    if (offset == 6 || offset == 11) {
      value *= 1_103_515_245;
      value += offset == 11 ? 12_345 : 0;
    }
    assertEquals(value, (int) state.gpr(CpuState.RAX), "after " + steps + " steps, at " + offset);
  }
}
