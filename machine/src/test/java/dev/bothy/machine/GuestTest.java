package dev.bothy.machine;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.bothy.x86.interpret.InterpreterEngine;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.nio.charset.StandardCharsets;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** Small guests in machine code on the whole machine, on the interpreter. */
@Timeout(600)
class GuestTest {
  private static final long MEMORY = 8 << 20;

  /** Writes "hi" and a new line to COM1, then enters S5. */
  private static final String HELLO = "66baf803b068eeb069eeb00aee66ba040666b8003466eff4ebfd";

  /**
   * Sets up the 8259 and the 8254 for an interrupt about every three milliseconds, whose handler
   * sends a "t", then mixes the time-stamp counter into memory for ever, with a HLT between rounds.
   */
  private static final String MIXER =
      """
      b880001000bf0001300066890766c74702100066c74704008ec1e81066894706bfa000300066c707ff07c74702000030000f011f
      b011e620b020e621b004e621b001e621b0fee621b0ffe6a1b034e643b09ce640b00ee640\
      31edfbbf000020000f3101c569ed0d66190081c55ff36e3c312f83c70481ff0040200072e3f4ebdb\
      505266baf803b074ee012d00002800b020e6205a58cf\
      """
          .replace("\n", "");

  private final ByteArrayOutputStream output = new ByteArrayOutputStream();

  private MachineOptions options(String hex) {
    return MachineOptions.of(
        MEMORY,
        InterpreterEngine::new,
        MachineCode.of(hex),
        value -> {
          synchronized (output) {
            output.write(value);
          }
        });
  }

  private String output() {
    synchronized (output) {
      return output.toString(StandardCharsets.US_ASCII);
    }
  }

  private MachineExit run(MachineOptions options) throws Exception {
    try (Machine machine = new Machine(options)) {
      machine.start();
      return machine.awaitExit();
    }
  }

  @Test
  void aGuestPrintsAndPowersOff() throws Exception {
    assertEquals(new MachineExit.PoweredOff(), run(options(HELLO)));
    assertEquals("hi\n", output());
  }

  @Test
  void aGuestEndsTheMachineThroughTheDebugPort() throws Exception {
    // mov al, 5; out 0xf4, al; hlt
    assertEquals(new MachineExit.DebugExit(5), run(options("b005e6f4f4").withDebugExit(true)));
  }

  @Test
  void testDevicesAreThereForThoseWhoAskForThem() throws Exception {
    // 5 to port 0xE0, which port 0xE8 reads again, and to the debug exit.
    MachineOptions options = options("b005e6e031c0e4e8e6f4f4").withDebugExit(true);
    assertEquals(new MachineExit.DebugExit(5), run(options.withTestDevice(true)));
    assertEquals(new MachineExit.DebugExit(0xff), run(options));
  }

  @Test
  void aGuestResetsTheMachine() throws Exception {
    for (String reset :
        new String[] {
          "66baf90cb006eef4", // reset control register
          "b0fee664f4", // keyboard controller
          "b001e692f4", // system control port A
          "b8f0ffffffffe0" // jump to the reset vector
        }) {
      assertEquals(new MachineExit.Reset(), run(options(reset).withReboot(false)), reset);
    }
  }

  @Test
  void aMachineThatMayRestartStartsAnewOnReset() throws Exception {
    // Prints "r"; after a third print powers off: CMOS register 0x70 survives a reset, RAM does
    // not.
    String count =
        "66baf803b072ee" // print
            + "b070e670e471fec0a2000020008ac8" // al = cmos[0x70] + 1; cl = al
            + "b070e6708ac1e671" // cmos[0x70] = cl
            + "80f903720c66ba040666b8003466eff4ebfd" // below 3? no: power off
            + "66baf90cb006eef4ebfd"; // reset
    assertEquals(new MachineExit.PoweredOff(), run(options(count)));
    assertEquals("rrr", output());
  }

  @Test
  void aTripleFaultEndsTheMachineWithAReport() throws Exception {
    // lidt of zeros; int3
    MachineExit exit = run(options("0f011d00002000cc"));
    assertTrue(
        assertInstanceOf(MachineExit.TripleFault.class, exit).report().contains("RIP"),
        exit::toString);
  }

  @Test
  void theSameMachineDoesTheSameTwice() throws Exception {
    String[] hashes = new String[2];
    String[] outputs = new String[2];
    for (int i = 0; i < 2; i++) {
      output.reset();
      try (Machine machine = new Machine(options(MIXER).withCountedClock(50))) {
        // Else it would run for as long as this thread is kept from going on.
        machine.pause();
        machine.start();
        machine.runFor(1_000_003);
        hashes[i] = machine.stateHash();
        outputs[i] = output();
        machine.runFor(1);
        assertNotEquals(hashes[i], machine.stateHash());
      }
    }
    assertEquals(hashes[0], hashes[1]);
    assertEquals(outputs[0], outputs[1]);
    assertTrue(outputs[0].length() > 10, "timer interrupts arrive: " + outputs[0]);
  }

  @Test
  void aSavedMachineGoesOnLikeTheOneItWasSavedFrom() throws Exception {
    Random random = new Random(5);
    MachineOptions options = options(MIXER).withCountedClock(50);
    for (int round = 0; round < 4; round++) {
      try (Machine machine = new Machine(options)) {
        machine.pause();
        machine.start();
        machine.runFor(random.nextInt(400_000));
        ByteArrayOutputStream saved = new ByteArrayOutputStream();
        machine.save(saved);
        String hash = machine.stateHash();
        try (Machine copy = new Machine(options)) {
          copy.load(new ByteArrayInputStream(saved.toByteArray()));
          assertEquals(hash, copy.stateHash());
          machine.runFor(500_000);
          copy.runFor(500_000);
          assertEquals(machine.guestNanos(), copy.guestNanos());
          assertEquals(machine.stateHash(), copy.stateHash());
        }
      }
    }
  }

  @Test
  void severalMachinesLiveSideBySide() throws Exception {
    try (Machine one = new Machine(options(MIXER));
        Machine other = new Machine(options(HELLO))) {
      one.start();
      other.start();
      assertEquals(new MachineExit.PoweredOff(), other.awaitExit());
      assertTrue(one.running());
    }
  }
}
