package dev.bothy.x86.directed;

import static dev.bothy.x86.directed.TestMachine.*;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;

import dev.bothy.core.Exit;
import dev.bothy.core.Vcpu;
import dev.bothy.core.cpu.CpuState;
import dev.bothy.x86.assemble.Assembler;
import java.time.Duration;
import org.junit.jupiter.api.Assertions;
import org.junit.jupiter.api.Test;

class BudgetTest extends EngineTest {
  /**
   * A program with branches, string moves, faults, traps, interrupts and port accesses, that never
   * ends.
   */
  private TestMachine machine() {
    var m = newMachine();
    CpuState s = m.long64(0);
    m.memory.write(
        HANDLERS + 6 * 16,
        new Assembler(64, 0).hex("48 83 04 24 02").iret().toBytes()); // add qword [rsp], 2
    m.memory.write(HANDLERS + 0x400, new Assembler(64, 0).inc(9).iret().toBytes());
    var a = m.assembler(64);
    a.label("top").inc(RAX).mov(RSI, DATA).mov(RDI, DATA + 0x1800).mov(RCX, 300).hex("f3 48 a5");
    a.hex("0f 0b")
        .interrupt(0x40)
        .push(RAX)
        .pop(RBX)
        .addRegister(8, RBX)
        .hex("99 a8 03")
        .jz("skip")
        .mov(RDX, 0x300)
        .hex("ee");
    a.label("skip")
        .sti()
        .cli()
        .movFromControl(RBP, 0)
        .call("sub")
        .jmp("top")
        .label("sub")
        .hex("0f a2")
        .ret(); // cpuid
    m.code(64, a);
    return m;
  }

  private static byte[] snapshot(TestMachine m) {
    CpuState s = m.state();
    byte[] bytes = new byte[CpuState.PORTABLE_SIZE];
    for (int i = 0; i < bytes.length; i += 8) {
      long v = i == CpuState.ATTENTION ? 0 : s.get(i);
      for (int k = 0; k < 8; k++) {
        bytes[i + k] = (byte) (v >>> 8 * k);
      }
    }
    return bytes;
  }

  @Test
  void aThousandSingleInstructionsAreOneRunOfAThousand() {
    try (var one = machine();
        var many = machine();
        var odd = machine()) {
      assertInstanceOf(Exit.BudgetSpent.class, one.cpu.run(1000));
      for (int i = 0; i < 1000; i++) {
        assertInstanceOf(Exit.BudgetSpent.class, many.cpu.run(1));
        assertEquals(i + 1, many.cpu.instructions());
      }
      for (int done = 0, n = 1; done < 1000; done += n, n = Math.min(n % 13 + 2, 1000 - done)) {
        odd.cpu.run(n);
      }
      assertEquals(1000, one.cpu.instructions());
      assertEquals(1000, odd.cpu.instructions());
      assertArrayEquals(snapshot(one), snapshot(many));
      assertArrayEquals(snapshot(one), snapshot(odd));
      assertEquals(-1L, one.memory.all().mismatch(many.memory.all()));
      assertEquals(one.portAccesses, many.portAccesses);
    }
  }

  @Test
  void steppingEachInstructionByTheGuestChangesNothing() {
    try (var plain = machine();
        var stepped = machine()) {
      plain.cpu.run(500);
      // The state is taken over afresh before every instruction: nothing may hide outside of it.
      for (int i = 0; i < 500; i++) {
        stepped.cpu.state();
        stepped.cpu.run(1);
      }
      assertArrayEquals(snapshot(plain), snapshot(stepped));
    }
  }

  @Test
  void zeroBudgetRunsNothing() {
    try (var m = machine()) {
      assertInstanceOf(Exit.BudgetSpent.class, m.cpu.run(0));
      assertEquals(0, m.cpu.instructions());
      assertEquals(CODE, m.rip());
    }
  }

  @Test
  void kickEndsAnUnlimitedRun() {
    // Loops that never leave a block chain, never leave an instruction, and never finish one.
    String[] loops = {"eb fe", "f3 a4 eb fc", "0f 0b"};
    for (String loop : loops) {
      try (var m = newMachine()) {
        CpuState s = m.long64(0);
        s.setGpr(RCX, -1);
        s.setGpr(RSI, 1L << 30);
        s.setGpr(RDI, 1L << 30);
        m.gate64(6, CODE64, CODE, 0x8e, 1);
        // The string's pages: 512 GiB of the same 2 MiB.
        m.memory.writeLong(PML4, 0x7_0000 | 7);
        for (int i = 0; i < 512; i++) {
          m.memory.writeLong(0x7_0000 + 8 * i, (i == 0 ? PD : 0x7_1000) | 7);
          m.memory.writeLong(0x7_1000 + 8 * i, 0x60_0000 | 7 | LARGE);
        }
        m.code(64, m.assembler(64).hex(loop));
        var kicker =
            new Thread(
                () -> {
                  try {
                    Thread.sleep(30);
                  } catch (InterruptedException e) {
                    return;
                  }
                  m.cpu.kick();
                });
        kicker.start();
        Exit exit =
            Assertions.assertTimeoutPreemptively(
                Duration.ofSeconds(240), () -> m.cpu.run(Vcpu.UNLIMITED), loop);
        kicker.join();
        assertInstanceOf(Exit.Kicked.class, exit, loop);
      } catch (InterruptedException e) {
        throw new AssertionError(e);
      }
    }
  }
}
