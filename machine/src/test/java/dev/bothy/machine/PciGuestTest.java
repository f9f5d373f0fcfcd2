package dev.bothy.machine;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.bothy.host.ExecutableMemory;
import dev.bothy.machine.boot.BootState;
import dev.bothy.x86.interpret.InterpreterEngine;
import dev.bothy.x86.translate.TranslatorEngine;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** A guest with a driver for a PCI card, and the life of that card. */
@Timeout(600)
class PciGuestTest {
  /**
   * Finds the card at 00:01.0 through ECAM and its MSI-X capability in the list; takes 1,000
   * messages as interrupt 0x50; masks the vector, sees the pending bit, unmasks it and gets the
   * message. Then moves the card's first range: to 0xD0000000, over RAM, over the local APIC, the
   * I/O APIC and ECAM, none of which it must hide. S5 if all is well, a debug exit if not.
   */
  private static final String DRIVER =
      """
      bf00002000b8610110006689878002000066c78782020000100066c78784020000008ec1e810668987860200000f011d
      6d011000c705f000e0feff010000bb0080b0fe813b3412e00d0f850d01000066c7430406008b73108b7b14813ed00e00
      000f85f5000000c7070000e0fec7470400000000c7470850000000c7470c000000000fb6433485c00f84ce000000803c
      031174070fb6440301ebeb66c7440302008031d231edb9e8030000fbc7460c000000004239d575fce2f2c7470c010000
      00c7460c0000000080bf00080000010f858700000081fde8030000757fc7470c0000000081fde903000075f880bf0008
      0000007567c74310000000d0813d000000d0d00e00007554833eff754fc7431000003000833d0000300000753fc74310
      0000e0fe813df000e0feff010000752cc743100000c0fe813d0000c0fed00e00007419c743100080b0fe813b3412e00d
      750a66ba040666b8003466efb001e6f4f445c705b000e0fe00000000cfff0700002000
      """;

  private final List<TestCard> cards = new ArrayList<>();
  private PciCard.Host host;

  private MachineOptions options(EngineFactory engine, String hex) {
    return MachineOptions.of(
            HostileGuest.MEMORY,
            engine,
            HostileGuestTest.code(BootState.Mode.PROTECTED, hex),
            value -> {})
        .withDebugExit(true)
        .withReboot(false)
        .withCard(
            machine -> {
              host = machine;
              cards.add(new TestCard());
              return cards.getLast();
            });
  }

  @ParameterizedTest
  @ValueSource(booleans = {false, true})
  void aDriverGetsItsMessagesAndMovesTheCard(boolean translator) throws Exception {
    assumeTrue(!translator || ExecutableMemory.refusal().isEmpty());
    try (Machine machine =
        new Machine(options(translator ? TranslatorEngine::new : InterpreterEngine::new, DRIVER))) {
      machine.start();
      assertEquals(new MachineExit.PoweredOff(), machine.awaitExit());
    }
  }

  @Test
  void theMachineLeadsItsCardsThroughTheirLife() throws Exception {
    Machine machine = new Machine(options(InterpreterEngine::new, "f4ebfd"));
    List<String> life = cards.getFirst().life;
    assertEquals(List.of(), life);
    machine.start();
    assertEquals(List.of("reset", "resume"), life);
    machine.pause();
    assertEquals("pause", life.getLast());
    machine.resume();
    assertEquals("resume", life.getLast());
    machine.close();
    assertEquals(List.of("pause", "close"), life.subList(life.size() - 2, life.size()));
  }

  @Test
  void aMachineThatIsToGoOnWhileItIsBeingPausedGoesOn() throws Exception {
    try (Machine machine = new Machine(options(InterpreterEngine::new, "f4ebfd"))) {
      machine.start();
      TestCard card = cards.getFirst();
      card.duringPause = machine::resume;
      machine.pause();
      card.duringPause = () -> {};
      assertEquals("resume", card.life.getLast());
    }
  }

  @Test
  @Timeout(300)
  void aMachineThatWentOnAfterACardPausedItIsNotPausedOnceMore() throws Exception {
    try (Machine machine = new Machine(options(InterpreterEngine::new, "f4ebfd").withCpus(2))) {
      machine.start();
      for (int i = 0; i < 30; i++) {
        host.pause().run();
        machine.resume();
        long then = machine.guestNanos();
        while (machine.guestNanos() < then + 1_000_000) {
          Thread.sleep(1);
        }
      }
    }
  }

  @Test
  void aResetFindsCardsAtAStand() throws Exception {
    // Resets the machine through the 8042, once: a byte of CMOS memory survives.
    String once = "b070e670e4713c5a740bb05ae671b0fee664f4ebfdf4ebfd";
    try (Machine machine = new Machine(options(InterpreterEngine::new, once).withReboot(true))) {
      List<String> life = cards.getFirst().life;
      machine.start();
      while (life.size() < 5) {
        Thread.onSpinWait();
      }
      assertEquals(List.of("reset", "resume", "pause", "reset", "resume"), life);
    }
  }

  @Test
  void cardsAreClosedWhenAMachineCannotBeMade() {
    MachineOptions options =
        options(
            environment -> {
              throw new IllegalStateException("no engine");
            },
            "f4");
    assertThrows(IllegalStateException.class, () -> new Machine(options));
    assertEquals(List.of("close"), cards.getFirst().life);
    MachineOptions further =
        options.withCard(
            host -> {
              throw new IllegalStateException("no card");
            });
    assertThrows(IllegalStateException.class, () -> new Machine(further));
    assertEquals(List.of("close"), cards.get(1).life);
  }

  @Test
  void aMachineSavedAmongItsMessagesGoesOnLikeTheOriginal() throws Exception {
    MachineOptions options = options(InterpreterEngine::new, DRIVER).withCountedClock(20);
    for (int instructions : new int[] {30, 1_000, 8_000}) {
      try (Machine machine = new Machine(options);
          Machine copy = new Machine(options)) {
        // Else it may be at its end before this thread goes on.
        machine.pause();
        machine.start();
        machine.runFor(instructions);
        ByteArrayOutputStream saved = new ByteArrayOutputStream();
        machine.save(saved);
        copy.load(new ByteArrayInputStream(saved.toByteArray()));
        assertEquals(machine.stateHash(), copy.stateHash());
        machine.runFor(1_000);
        copy.runFor(1_000);
        assertEquals(machine.stateHash(), copy.stateHash());
        copy.resume();
        assertEquals(new MachineExit.PoweredOff(), copy.awaitExit());
      }
    }
  }
}
