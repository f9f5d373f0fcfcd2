package dev.bothy;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.bothy.core.cpu.CpuModel;
import dev.bothy.machine.MachineExit;
import dev.bothy.machine.MachineStatistics;
import java.io.ByteArrayOutputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

@Timeout(600)
class VmTest extends EchoContract {
  @Override
  Vm.Builder echo() {
    return Vm.builder().kernel(kernel()).memory("2M");
  }

  @Test
  void guestHearsAndAnswers() throws Exception {
    try (Vm vm = echo().start()) {
      assertEquals(">", vm.console().expect(EchoKernel.PROMPT, LONG));
      vm.console().send("hello");
      assertEquals("hello", vm.console().expect("hello", LONG));
      assertTrue(vm.running());
      vm.stop();
      assertInstanceOf(MachineExit.Stopped.class, vm.awaitExit());
      assertFalse(vm.running());
      assertEquals(">hello", vm.console().output());
    }
  }

  @Test
  void aKernelThatNeedsNobodyDoesAsItIsMadeTo() throws Exception {
    Path file = Files.write(folder.resolve("alone.bin"), EchoKernel.image(EchoKernel.POWER_OFF));
    try (Vm vm = echo().kernel(file).start()) {
      vm.console().expect(EchoKernel.PROMPT, LONG);
      assertInstanceOf(MachineExit.PoweredOff.class, vm.awaitExit());
    }
  }

  @Test
  void everyByteOfALongTextArrivesInOrder() throws Exception {
    StringBuilder text = new StringBuilder();
    for (int i = 0; text.length() < 20_000; i++) {
      text.append("line ").append(i).append('\n');
    }
    ByteArrayOutputStream stream = new ByteArrayOutputStream();
    try (Vm vm = echo().consoleStream(stream).start()) {
      vm.console().send(text + "end of all");
      vm.console().expect("end of all", LONG);
      vm.console().send(String.valueOf(EchoKernel.POWER_OFF));
      vm.awaitExit();
      assertTrue(vm.drainConsole(LONG));
    }
    assertEquals(">" + text + "end of all", stream.toString(StandardCharsets.UTF_8));
  }

  @Test
  void debugExitPortIsThereOnlyWhenAskedFor() throws Exception {
    try (Vm vm = echo().start()) {
      vm.console().expect(EchoKernel.PROMPT, LONG);
      vm.console().send(EchoKernel.DEBUG_EXIT + "still here");
      vm.console().expect("still here", LONG);
    }
  }

  @Test
  void machinesInOneProcessShareNothing() throws Exception {
    List<Vm> machines = new ArrayList<>();
    try {
      for (int i = 0; i < 4; i++) {
        machines.add(echo().name("vm" + i).start());
      }
      for (int i = 0; i < 4; i++) {
        machines.get(i).console().send("number " + i);
      }
      for (int i = 0; i < 4; i++) {
        machines.get(i).console().expect("number " + i, LONG);
        assertEquals(">number " + i, machines.get(i).console().output());
      }
    } finally {
      machines.forEach(Vm::close);
    }
  }

  @Test
  void floodIsHeldBackAndStopped() throws Exception {
    try (Vm vm = echo().consoleStream(new ByteArrayOutputStream()).start()) {
      vm.console().expect(EchoKernel.PROMPT, LONG);
      vm.console().send(String.valueOf(EchoKernel.FLOOD));
      vm.console().expect(String.valueOf(EchoKernel.FLOOD).repeat(100_000), LONG);
      vm.stop();
      assertInstanceOf(MachineExit.Stopped.class, vm.awaitExit());
    }
  }

  @Test
  void statisticsCountWhatHappened() throws Exception {
    try (Vm vm = echo().start()) {
      tell(vm, EchoKernel.POWER_OFF);
      var statistics = vm.statistics();
      assertEquals(Engines.automatic(), statistics.engine());
      assertTrue(statistics.firstSerialNanos().isPresent());
      assertTrue(statistics.devices().stream().anyMatch(d -> d.base() == 0x3f8 && d.writes() >= 2));
    }
  }

  @Test
  void closedMachineIsSilent() throws Exception {
    Vm vm = echo().start();
    vm.close();
    vm.close();
    vm.console().send("into the void");
    assertThrows(
        ConsoleException.class, () -> vm.console().expect("answer", Duration.ofSeconds(5)));
  }

  @Test
  void startingTwiceIsRefused() throws Exception {
    try (Vm vm = echo().start()) {
      assertThrows(IllegalStateException.class, vm::start);
    }
  }

  @Test
  void whatCannotBeIsRefusedWithOneLine() {
    assertThrows(IllegalArgumentException.class, () -> Vm.builder().memory(0));
    assertThrows(IllegalArgumentException.class, () -> Vm.builder().memory("1M1"));
    assertThrows(IllegalArgumentException.class, () -> Vm.builder().cpus(0));
    assertThrows(IllegalArgumentException.class, () -> Vm.builder().cpu("8086"));
    assertThrows(IllegalArgumentException.class, () -> Vm.builder().engine("warp"));
    assertThrows(IllegalArgumentException.class, () -> Vm.builder().timeout(Duration.ZERO));
    VmException e =
        assertThrows(VmException.class, () -> echo().kernel(folder.resolve("none")).start());
    assertEquals(1, e.getMessage().lines().count());
    assertTrue(e.getMessage().contains("none"), e.getMessage());
  }

  @Test
  void statisticsOfTheInterpreterHaveEveryInstruction() throws Exception {
    try (Vm vm = echo().engine(Engines.INTERPRETER).start()) {
      tell(vm, EchoKernel.POWER_OFF);
      assertEquals("interpreter", vm.statistics().engine());
      assertTrue(vm.statistics().instructions() > 10);
    }
  }

  @Test
  void fastestEngineThatTheHostAllowsIsTaken() {
    boolean refused = Engines.refusal(Engines.TRANSLATOR).isPresent();
    assertEquals(refused ? Engines.INTERPRETER : Engines.TRANSLATOR, Engines.inSoftware());
    boolean complete =
        Engines.refusal(Engines.KVM).isEmpty()
            && Engines.kvmShortcoming(Engines.usualModel()).isEmpty();
    assertEquals(complete ? Engines.KVM : Engines.inSoftware(), Engines.automatic());
    assertTrue(Engines.refusal(Engines.automatic()).isEmpty());
  }

  @Test
  void kvmIsTakenByItselfOnlyWithAllFeaturesThatWereAskedForByName() {
    for (String asked : List.of("svm", "hyperv")) {
      CpuModel model = CpuModel.parse("v2,+" + asked);
      assertEquals(Engines.inSoftware(), Engines.automatic(model, Optional.empty()));
      if (Engines.refusal(Engines.KVM).isEmpty()) {
        String missing = Engines.kvmShortcoming(model).orElseThrow();
        assertTrue(missing.startsWith("no ") && missing.contains(asked), missing);
        assertFalse(missing.contains("npt"), missing);
      }
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {Engines.INTERPRETER, Engines.TRANSLATOR})
  void selfCheckPasses(String engine) throws Exception {
    assumeTrue(Engines.refusal(engine).isEmpty(), () -> Engines.refusal(engine).orElseThrow());
    EchoKernel.check(engine);
  }

  @Test
  void moreDevicesThanAMachineHoldsAreRefusedAndGivenBack() {
    Vm.Builder consoles = echo();
    for (int i = 0; i <= 31; i++) {
      consoles.consoleSocket(new ConsoleSocket.Place(folder.resolve("console" + i), ""));
    }
    VmException refused = assertThrows(VmException.class, consoles::build);
    assertTrue(refused.getMessage().contains("at most 31"), refused.getMessage());
    Vm.Builder networks = echo();
    for (int i = 0; i < 300; i++) {
      networks.network(NetworkOption.parse("user"));
    }
    refused = assertThrows(VmException.class, networks::build);
    assertTrue(refused.getMessage().contains("at most 247"), refused.getMessage());
    assertFalse(Files.exists(folder.resolve("console0")));
  }

  private static List<String> cards(Vm.Builder builder) throws Exception {
    try (Vm vm = builder.start()) {
      vm.console().expect(EchoKernel.PROMPT, LONG);
      return vm.statistics().devices().stream()
          .map(MachineStatistics.DeviceAccesses::device)
          .filter(name -> name.startsWith("virtio-"))
          .map(name -> name.substring(0, name.indexOf('@')))
          .distinct()
          .toList();
    }
  }

  @Test
  void everyMachineHasNetworkAndBalloonUnlessToldOtherwise() throws Exception {
    assertEquals(List.of("virtio-net", "virtio-balloon", "virtio-rng"), cards(echo()));
    assertEquals(
        List.of("virtio-rng"), cards(echo().network(NetworkOption.parse("none")).balloon(false)));
    assertEquals(List.of("virtio-rng"), cards(echo().engine(Engines.VERIFY)));
  }
}
