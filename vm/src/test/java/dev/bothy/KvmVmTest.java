package dev.bothy;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.bothy.core.AddressSpace;
import dev.bothy.core.BusDevice;
import dev.bothy.core.Doorbell;
import dev.bothy.core.cpu.CpuModel;
import dev.bothy.core.cpu.CpuState;
import dev.bothy.device.pci.PciFunction;
import dev.bothy.machine.Machine;
import dev.bothy.machine.MachineExit;
import dev.bothy.machine.MachineOptions;
import dev.bothy.machine.boot.BootEnvironment;
import dev.bothy.machine.boot.BootState;
import dev.bothy.machine.boot.KernelBoot;
import dev.bothy.x86.translate.TranslatorEngine;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** Whole machines on the host's KVM. */
@Timeout(600)
class KvmVmTest extends EchoContract {
  private static final int LOAD_ADDRESS = 0x10_0000;

  /** Where the counting kernel tells how far it is. */
  private static final int PROGRESS = 0x11_0000;

  @BeforeEach
  void requireKvm() {
    assumeTrue(
        Engines.refusal(Engines.KVM).isEmpty(), () -> Engines.refusal(Engines.KVM).orElseThrow());
  }

  @Override
  Vm.Builder echo() {
    return Vm.builder().engine(Engines.KVM).kernel(kernel()).memory("2M");
  }

  @Test
  void guestHearsAndAnswers() throws Exception {
    try (Vm vm = echo().start()) {
      vm.console().expect(EchoKernel.PROMPT, LONG);
      vm.console().send("hello");
      assertEquals("hello", vm.console().expect("hello", LONG));
      assertEquals("kvm", vm.statistics().engine());
      assertTrue(vm.statistics().exits().get("kvmPortExits") > 0);
    }
  }

  /** imul eax, eax, 1103515245; add eax, 12345; inc ebx; mov [progress], ebx; jmp: for ever. */
  private Path countingKernel() throws IOException {
    ByteBuffer image = ByteBuffer.allocate(128).order(ByteOrder.LITTLE_ENDIAN);
    int magic = 0x1bad_b002;
    image.putInt(magic).putInt(1 << 16).putInt(-(magic + (1 << 16)));
    image.putInt(LOAD_ADDRESS).putInt(LOAD_ADDRESS).putInt(LOAD_ADDRESS + image.capacity());
    image.putInt(0).putInt(LOAD_ADDRESS + 32);
    image.put((byte) 0x31).put((byte) 0xc0).put((byte) 0x31).put((byte) 0xdb);
    int again = image.position();
    image.put((byte) 0x69).put((byte) 0xc0).putInt(1_103_515_245);
    image.put((byte) 0x05).putInt(12_345);
    image.put((byte) 0x43);
    image.put((byte) 0x89).put((byte) 0x1d).putInt(PROGRESS);
    image.put((byte) 0xeb).put((byte) (again - image.position() - 1));
    return Files.write(folder.resolve("count.bin"), image.array());
  }

  private MachineOptions counting(String engine) throws Exception {
    return MachineOptions.of(
        2 << 20,
        Engines.factory(engine, CpuModel.V2, TranslatorEngine.Observation.NONE, Optional.empty()),
        new KernelBoot(countingKernel(), Optional.empty(), ""),
        value -> {});
  }

  @Test
  void aMachineGoesOnThroughAllEnginesWithWhatItHasComputed() throws Exception {
    List<String> engines = List.of(Engines.KVM, Engines.TRANSLATOR, Engines.INTERPRETER);
    Machine machine = new Machine(counting(Engines.INTERPRETER));
    try {
      machine.start();
      for (int hop = 0; hop < 10; hop++) {
        awaitProgress(machine);
        machine.pause();
        check(machine);
        ByteArrayOutputStream state = new ByteArrayOutputStream();
        machine.save(state);
        machine.close();
        String next = engines.get(hop % engines.size());
        machine =
            new Machine(counting(Engines.refusal(next).isEmpty() ? next : Engines.INTERPRETER));
        machine.load(new ByteArrayInputStream(state.toByteArray()));
        check(machine);
        machine.resume();
      }
      awaitProgress(machine);
      machine.pause();
      check(machine);
    } finally {
      machine.close();
    }
  }

  /**
   * The counting kernel asks for none of the features that this host's KVM may lack, nor for the
   * time: the move is forced.
   */
  @Test
  void aRunningMachineGoesThroughAllEnginesAndKeepsItsChecksum() throws Exception {
    List<String> engines = List.of(Engines.KVM, Engines.TRANSLATOR, Engines.INTERPRETER);
    try (Machine machine = new Machine(counting(Engines.INTERPRETER))) {
      machine.start();
      long descriptors = kvmDescriptors();
      for (int hop = 0; hop < 10; hop++) {
        awaitProgress(machine);
        String next = engines.get(hop % engines.size());
        machine.changeEngine(
            Engines.factory(next, CpuModel.V2, TranslatorEngine.Observation.NONE, Optional.empty()),
            true);
        assertEquals(next, machine.engine());
        assertEquals(next.equals(Engines.KVM), kvmDescriptors() > descriptors);
      }
      awaitProgress(machine);
      machine.pause();
      check(machine);
    }
  }

  /** A register at the start that notifies; notes how often it had when the machine stood. */
  private static final class BellCard extends PciFunction implements BusDevice {
    private final AtomicInteger rung = new AtomicInteger();
    private final List<Doorbell> bells = List.of(new Doorbell(0, 4, rung::incrementAndGet));
    private volatile int rungAtPause;
    private volatile boolean paused;

    BellCard() {
      super("bell-card", 0x1234, 0x0de1, 1, 0xff0000);
      addMemoryBar(0, 4096, false, false, this);
    }

    @Override
    public long read(long offset, int size) {
      return 0;
    }

    @Override
    public void write(long offset, int size, long value) {
      rung.incrementAndGet();
    }

    @Override
    public List<Doorbell> doorbells() {
      return bells;
    }

    @Override
    public void resume() {
      paused = false;
    }

    @Override
    public void pause() {
      paused = true;
      rungAtPause = rung.get();
    }
  }

  /** The card that a machine has made, and where its registers are. */
  private static AddressSpace.Mapping bellRange(Machine machine) {
    return machine.spaces().get(1).mappings().stream()
        .filter(mapping -> mapping.device().startsWith("bell-card"))
        .findFirst()
        .orElseThrow();
  }

  /** mov edi, [progress + 4]; inc ebx; mov [edi], ebx; mov [progress], ebx; jmp to the first. */
  private static BootState ringing(BootEnvironment environment) {
    environment
        .memory()
        .write(
            LOAD_ADDRESS,
            HexFormat.of().parseHex("8b3d04001100" + "43" + "891f" + "891d00001100" + "ebef"));
    BootState start = new BootState(BootState.Mode.PROTECTED, LOAD_ADDRESS, 0, 0, 0, 0x8_0000);
    start.writeTables(environment.memory());
    return start;
  }

  /**
   * Each write has come to the card before that is paused, whether it was an exit or not, and on
   * whatever engine.
   */
  @Test
  void whatTheGuestHasRungIsHeardBeforeTheMachineStands() throws Exception {
    List<String> engines = List.of(Engines.KVM, Engines.INTERPRETER);
    List<BellCard> cards = new ArrayList<>();
    MachineOptions options =
        MachineOptions.of(
                2 << 20,
                Engines.factory(
                    Engines.INTERPRETER,
                    CpuModel.V2,
                    TranslatorEngine.Observation.NONE,
                    Optional.empty()),
                KvmVmTest::ringing,
                value -> {})
            .withCard(
                host -> {
                  cards.add(new BellCard());
                  return cards.getLast();
                });
    try (Machine machine = new Machine(options)) {
      machine.pause();
      machine.start();
      final AddressSpace.Mapping range = bellRange(machine);
      machine.memory().writeInt(PROGRESS + 4, (int) range.base());
      machine.resume();
      for (int hop = 0; hop < 6; hop++) {
        machine.changeEngine(
            Engines.factory(
                engines.get(hop % 2),
                CpuModel.V2,
                TranslatorEngine.Observation.NONE,
                Optional.empty()),
            true);
        awaitProgress(machine);
        machine.pause();
        BellCard card = cards.getFirst();
        assertTrue(card.paused);
        assertEquals(card.rung.get(), card.rungAtPause);
        int counted = (int) machine.vcpu(0).state().gpr(CpuState.RBX);
        // It may stand between counting and writing.
        long ahead = counted - range.writes();
        assertTrue(ahead == 0 || ahead == 1, counted + " writes, " + range.writes() + " heard");
        machine.resume();
      }
      Map<String, Long> counters = machine.statistics().exits();
      if (counters.containsKey("doorbells")) {
        assertTrue(counters.get("doorbells") > counters.get("kvmMmioExits"));
      }
    }
  }

  private static long kvmDescriptors() throws IOException {
    try (Stream<Path> all = Files.list(Path.of("/proc/self/fd"))) {
      return all.filter(
              descriptor -> {
                try {
                  return Files.readSymbolicLink(descriptor).toString().contains("kvm");
                } catch (IOException e) {
                  return false;
                }
              })
          .count();
    }
  }

  @Test
  void aMachineMovesToKvmOnlyWithAllThatItsGuestHasBeenShown() throws Exception {
    try (Vm vm = echo().engine(Engines.INTERPRETER).cpu("v3").start()) {
      vm.console().expect(EchoKernel.PROMPT, LONG);
      boolean complete =
          Engines.kvmShortcoming(CpuModel.V3).isEmpty()
              && Engines.kvmWithout(CpuModel.V3).isEmpty();
      if (!complete) {
        VmException e = assertThrows(VmException.class, () -> vm.changeEngine(Engines.KVM, false));
        assertTrue(
            e.getMessage().startsWith("kvm cannot take over, and interpreter goes on: it "),
            e.getMessage());
        assertEquals(Engines.INTERPRETER, vm.engine());
      }
      vm.console().send("still");
      vm.console().expect("still", LONG);
      vm.changeEngine(Engines.KVM, true);
      vm.console().send("here");
      vm.console().expect("here", LONG);
      assertEquals(Engines.KVM, vm.engine());
      vm.changeEngine(Engines.TRANSLATOR, false);
      vm.console().send(String.valueOf(EchoKernel.POWER_OFF));
      assertInstanceOf(MachineExit.PoweredOff.class, vm.awaitExit());
    }
  }

  private static void awaitProgress(Machine machine) throws InterruptedException {
    int before = machine.memory().readInt(PROGRESS);
    while (machine.memory().readInt(PROGRESS) - before < 10_000 && machine.running()) {
      Thread.sleep(1);
    }
    assertTrue(machine.running());
  }

  /** The generator has been stepped as often as the counter says, or once more. */
  private static void check(Machine machine) {
    CpuState state = machine.vcpu(0).state();
    int steps = (int) state.gpr(CpuState.RBX);
    int value = CountedSum.after(steps);
    int offset = (int) state.get(CpuState.RIP) - (LOAD_ADDRESS + 36);
    assertTrue(offset >= 0 && offset < 21, "at " + offset);
    int seen = (int) state.gpr(CpuState.RAX);
    if (offset == 6 || offset == 11) {
      value *= 1_103_515_245;
      value += offset == 11 ? 12_345 : 0;
    }
    assertEquals(value, seen, "after " + steps + " steps, at " + offset);
  }
}
