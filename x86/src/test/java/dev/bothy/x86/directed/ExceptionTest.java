package dev.bothy.x86.directed;

import static dev.bothy.x86.directed.TestMachine.*;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.bothy.core.BusDevice;
import dev.bothy.core.Exit;
import dev.bothy.core.Vcpu;
import dev.bothy.core.cpu.CpuState;
import dev.bothy.x86.assemble.Assembler;
import org.junit.jupiter.api.Test;

class ExceptionTest extends EngineTest {
  @Test
  void contributoryExceptionsDouble() {
    // First exception's code, its gate broken so that its delivery faults; what is delivered in the
    // end.
    Object[][] cases = {
      {"0f 0b", 6, 11}, // #UD is benign: then #NP
      {"31 c9 f7 f1", 0, 8}, // #DE, #NP: double
      {"8e d8", 13, 8}, // #GP, #NP
      {"48 8b 03", 14, 8}, // #PF, #NP
      {"cc", 3, 11},
      {"f1", 1, 11}
    };
    for (Object[] c : cases) {
      try (var m = newMachine()) {
        CpuState s = m.long64(0);
        s.setGpr(RAX, 0xfff8);
        s.setGpr(RBX, 0x7000_0000_0000L);
        int broken = (int) c[1];
        m.gate64(broken, CODE64, HANDLERS, 0x6e, 0);
        m.code(64, m.assembler(64).nop().hex((String) c[0]));
        m.run();
        assertEquals(c[2], m.vector(), (String) c[0]);
        if (m.vector() == 8) {
          assertEquals(0, m.stack(8, 0));
        } else {
          boolean program = broken == 3;
          assertEquals(broken * 8 + 2 + (program ? 0 : 1), m.stack(8, 0), (String) c[0]);
        }
      }
    }
  }

  @Test
  void pageFaultWhileDeliveringABenignOrContributoryExceptionIsDelivered() {
    try (var m = newMachine()) {
      m.long64(3);
      m.gate64(13, CODE64, HANDLERS + 13 * 16, 0x8e, 1);
      m.memory.writeLong(TSS + 0x24, 0x7000_0000_1000L);
      m.code(64, m.assembler(64).hlt());
      m.run();
      assertEquals(14, m.vector());
      assertEquals(2, m.stack(8, 0), "a write by the kernel");
      assertEquals(CODE, m.stack(8, 1));
      assertEquals(USER_CODE64, m.stack(8, 2));
    }
  }

  @Test
  void pageFaultInPageFaultDeliveryIsADoubleFault() {
    try (var m = newMachine()) {
      CpuState s = m.long64(0);
      s.setGpr(RSP, 0x7000_0000_1000L);
      m.gate64(8, CODE64, HANDLERS + 8 * 16, 0x8e, 1);
      m.code(64, m.assembler(64).push(RAX));
      m.run();
      assertEquals(8, m.vector());
      assertEquals(IST_STACK - 48, m.rsp());
      assertEquals(CODE, m.stack(8, 1));
    }
  }

  @Test
  void alignmentChecksThatNobodyCanTakeDoNotHoldTheProcessor() {
    try (var m = newMachine()) {
      CpuState s = m.protected32(3);
      s.set(CpuState.CR0, 0x4_0031);
      s.set(CpuState.RFLAGS, 2 | AC);
      s.setGpr(RSP, USER_STACK + 1);
      m.gate32(17, USER_CODE32, HANDLERS + 16 * 17, 0xee);
      long gate = m.memory.readLong(IDT + 8 * 17);
      int[] deliveries = new int[1];
      m.mmio.map(
          "idt",
          0xd000_0000L,
          0x1000,
          new BusDevice() {
            @Override
            public long read(long offset, int size) {
              if (++deliveries[0] == 1000) {
                m.cpu.kick();
              }
              return gate >>> 8 * (offset & 7);
            }

            @Override
            public void write(long offset, int size, long value) {}
          });
      s.set(CpuState.IDTR_BASE, 0xd000_0000L);
      m.code(32, m.assembler(32).push(RAX).hlt());
      assertInstanceOf(Exit.Kicked.class, m.cpu.run(Vcpu.UNLIMITED));
      assertEquals(CODE, m.rip());
      assertEquals(USER_STACK + 1, m.rsp());
    }
  }

  @Test
  void faultInDoubleFaultDeliveryShutsDown() {
    try (var m = newMachine()) {
      m.long64(0).setGpr(RSP, 0x7000_0000_1000L);
      m.code(64, m.assembler(64).push(RAX));
      var exit = assertInstanceOf(Exit.Shutdown.class, m.cpu.run(10));
      assertFalse(exit.report().isEmpty());
      assertEquals(CpuState.ACTIVITY_SHUTDOWN, m.state().getInt32(CpuState.ACTIVITY));
      assertInstanceOf(Exit.Shutdown.class, m.cpu.run(10));
    }
  }

  @Test
  void interruptDeliveryFaultsAreExternal() {
    try (var m = newMachine()) {
      m.long64(0).set(CpuState.RFLAGS, 0x202);
      m.gate64(0x40, CODE64, HANDLERS, 0x0e, 0);
      m.apic.request(0x40);
      m.code(64, m.assembler(64).nop().nop());
      m.run();
      assertEquals(11, m.vector());
      assertEquals(0x40 * 8 + 3, m.stack(8, 0));
    }
  }

  @Test
  void softwareInterruptFaultsAreTheProgramsAndPointAtIt() {
    try (var m = newMachine()) {
      m.long64(0).setInt32(CpuState.IDTR_LIMIT, 0x3ff);
      m.code(64, m.assembler(64).nop().interrupt(0x40));
      m.run();
      assertEquals(13, m.vector());
      assertEquals(0x202, m.stack(8, 0));
      assertEquals(CODE + 1, m.stack(8, 1));
    }
  }

  @Test
  void trapsReturnBehindTheInstructionAndFaultsAtIt() {
    Object[][] cases = {
      {"cc", 3, 1}, {"f1", 1, 1}, {"cd 31", 0x31, 2}, {"0f 0b", 6, 0}, {"31 c9 f7 f1", 0, 2}
    };
    for (Object[] c : cases) {
      try (var m = newMachine()) {
        m.long64(3);
        m.code(64, m.assembler(64).hex((String) c[0]));
        m.run();
        assertEquals(c[1], m.vector());
        int vector = (int) c[1];
        assertEquals(CODE + (int) c[2], m.stack(8, 0));
        assertEquals(vector == 6 || vector == 0 ? RF : 0, m.stack(8, 2) & RF);
      }
    }
  }

  @Test
  void overflowTrapComesOnlyWithTheFlagAndOnlyOutsideSixtyFourBitCode() {
    try (var m = newMachine()) {
      m.protected32(0).set(CpuState.RFLAGS, 0x802);
      m.code(32, m.assembler(32).hex("ce"));
      m.run();
      assertEquals(4, m.vector());
      assertEquals(CODE + 1, m.stack(4, 0));
      m.protected32(0);
      m.code(32, m.assembler(32).hex("ce 0f 0b"));
      m.run();
      assertEquals(6, m.vector());
      m.long64(0).set(CpuState.RFLAGS, 0x802);
      m.code(64, m.assembler(64).hex("ce"));
      m.run();
      assertEquals(6, m.vector());
    }
  }

  @Test
  void boundRaisesItsOwnVector() {
    try (var m = newMachine()) {
      m.protected32(0).setGpr(RAX, 11);
      m.memory.writeInt(DATA, -5);
      m.memory.writeInt(DATA + 4, 10);
      m.code(32, m.assembler(32).hex("62 05 00 00 20 00"));
      m.run();
      assertEquals(5, m.vector());
      assertEquals(CODE, m.stack(4, 0));
      m.protected32(0).setGpr(RAX, -5 & 0xffff_ffffL);
      m.code(32, m.assembler(32).hex("62 05 00 00 20 00").hlt());
      m.run();
      assertEquals(-1, m.vector());
    }
  }

  @Test
  void instructionLongerThanFifteenBytesIsAProtectionFault() {
    try (var m = newMachine()) {
      m.long64(0);
      m.code(
          64,
          m.assembler(64)
              .hex("66 66 66 66 66 66 66 66 66 66 66 66 66 66 90")
              .hex("66 66 66 66 66 66 66 66 66 66 66 66 66 66 66 90"));
      m.run();
      assertEquals(13, m.vector());
      assertEquals(CODE + 15, m.stack(8, 1));
    }
  }

  @Test
  void stiShadowsOneInstruction() {
    try (var m = newMachine()) {
      m.long64(0);
      m.apic.request(0x40);
      m.code(64, m.assembler(64).sti().inc(RAX).inc(RAX).inc(RAX).hlt());
      m.run();
      assertEquals(0x40, m.vector());
      assertEquals(1, m.gpr(RAX));
      assertEquals(CODE + 4, m.stack(8, 0));
    }
  }

  @Test
  void stiWithInterruptsOnAlreadyShadowsNothing() {
    try (var m = newMachine()) {
      m.long64(0).set(CpuState.RFLAGS, 0x202);
      m.apic.setTaskPriority(15);
      m.apic.request(0x40);
      m.code(64, m.assembler(64).mov(RBX, 0).movToControl(8, RBX).sti().inc(RAX).hlt());
      m.run();
      assertEquals(0x40, m.vector());
      assertEquals(0, m.gpr(RAX));
    }
  }

  @Test
  void stiThenHltTakesTheInterruptBehindHlt() {
    try (var m = newMachine()) {
      m.long64(0);
      m.apic.request(0x40);
      m.code(64, m.assembler(64).sti().hlt().hex("0f 0b"));
      m.run();
      assertEquals(0x40, m.vector());
      assertEquals(CODE + 2, m.stack(8, 0));
    }
  }

  @Test
  void stiThenCliOpensNoWindow() {
    try (var m = newMachine()) {
      m.long64(0);
      m.apic.request(0x40);
      m.code(64, m.assembler(64).sti().cli().nop().nop().hlt());
      m.run();
      assertEquals(-1, m.vector());
    }
  }

  @Test
  void movToStackSegmentShadowsInterruptsAndTraps() {
    try (var m = newMachine()) {
      m.long64(0).set(CpuState.RFLAGS, 0x202);
      m.apic.setTaskPriority(15);
      m.apic.request(0x40);
      // The interrupt is let through only by the instruction before the load.
      m.code(
          64,
          m.assembler(64)
              .mov(RBX, FLAT)
              .mov(RDX, 0)
              .cli()
              .sti()
              .movToSegment(CpuState.SS, RBX)
              .movToControl(8, RDX)
              .inc(RAX)
              .hlt());
      m.run();
      assertEquals(0x40, m.vector());
      assertEquals(0, m.gpr(RAX), "the shadow lasts for one instruction");
    }
  }

  @Test
  void haltedProcessorWakesForAnInterruptOnlyIfTheyAreOn() {
    try (var m = newMachine()) {
      m.long64(0).set(CpuState.RFLAGS, 0x202);
      m.code(64, m.assembler(64).hlt().inc(RAX).hlt());
      m.run();
      assertFalse(m.cpu.hasWork());
      assertInstanceOf(Exit.Halted.class, m.cpu.run(10));
      m.apic.request(0x40);
      m.cpu.interruptChanged();
      assertTrue(m.cpu.hasWork());
      m.memory.write(HANDLERS + 0x400, new byte[] {0x48, (byte) 0xcf});
      assertInstanceOf(Exit.Halted.class, m.cpu.run(10));
      assertEquals(1, m.gpr(RAX));
      m.long64(0);
      m.run();
      m.apic.request(0x40);
      m.cpu.interruptChanged();
      assertFalse(m.cpu.hasWork(), "IF is clear");
    }
  }

  @Test
  void nmiIsHeldBackUntilIret() {
    try (var m = newMachine()) {
      m.long64(0);
      // The handler counts in RBX and halts once before it returns.
      m.memory.write(
          HANDLERS + 32, new Assembler(64, HANDLERS + 32).inc(RBX).hlt().iret().toBytes());
      m.code(64, m.assembler(64).label("loop").inc(RAX).cmp(RAX, 100).jnz("loop").hlt());
      m.cpu.nmi();
      assertInstanceOf(Exit.Halted.class, m.cpu.run(1000));
      assertEquals(1, m.cpu.state().gpr(RBX));
      m.cpu.nmi();
      m.cpu.nmi();
      assertInstanceOf(Exit.Halted.class, m.cpu.run(1000));
      assertEquals(1, m.cpu.state().gpr(RBX), "still in the handler");
      m.state().setInt32(CpuState.ACTIVITY, 0);
      assertInstanceOf(Exit.Halted.class, m.cpu.run(1000));
      assertEquals(
          2, m.cpu.state().gpr(RBX), "the second came after IRET, the third was the same one");
      m.state().setInt32(CpuState.ACTIVITY, 0);
      assertInstanceOf(Exit.Halted.class, m.cpu.run(1000));
      assertEquals(2, m.cpu.state().gpr(RBX));
      assertEquals(100, m.cpu.state().gpr(RAX));
    }
  }

  @Test
  void twoNmisThatComeAtOnceAreServedOneAfterTheOther() {
    try (var m = newMachine()) {
      m.long64(0);
      m.memory.write(HANDLERS + 32, new Assembler(64, HANDLERS + 32).inc(RBX).iret().toBytes());
      m.code(64, m.assembler(64).nop().nop().hlt());
      for (int i = 0; i < 3; i++) {
        m.cpu.nmi();
      }
      m.run();
      assertEquals(2, m.gpr(RBX), "no more than two wait");
    }
  }

  @Test
  void nmiWakesAHaltedProcessorWhateverTheInterruptFlag() {
    try (var m = newMachine()) {
      m.long64(0);
      m.code(64, m.assembler(64).hlt());
      m.run();
      m.cpu.nmi();
      assertTrue(m.cpu.hasWork());
      m.run();
      assertEquals(2, m.vector());
      assertEquals(CODE + 1, m.stack(8, 0));
    }
  }

  @Test
  void interruptsAreTakenInOrderOfPriorityBetweenInstructions() {
    try (var m = newMachine()) {
      m.long64(0).set(CpuState.RFLAGS, 0x202);
      m.apic.request(0x40);
      m.apic.request(0x80);
      m.memory.write(HANDLERS + 0x400, new Assembler(64, 0).movRegister(RDX, RCX).iret().toBytes());
      m.memory.write(HANDLERS + 0x800, new Assembler(64, 0).inc(RCX).iret().toBytes());
      m.code(64, m.assembler(64).nop().hlt());
      m.run();
      assertEquals(1, m.gpr(RCX));
      assertEquals(1, m.gpr(RDX), "0x80 came first");
      assertEquals(CODE + 2, m.rip());
    }
  }

  @Test
  void misalignedAccessesOfUserCodeFaultWithMaskAndFlag() {
    for (String code :
        new String[] {
          "48 8b 03", "48 89 03", "48 ff 03", "f0 ff 03", "66 89 03", "ff 33", "48 a5"
        }) {
      try (var m = newMachine()) {
        for (int cpl : new int[] {0, 3}) {
          for (boolean mask : new boolean[] {false, true}) {
            CpuState s = m.long64(cpl);
            s.set(CpuState.CR0, CR0_PAGING & ~(mask ? 0 : 0x4_0000L));
            s.setGpr(RBX, DATA + 0xffd);
            s.setGpr(RSI, DATA + 1);
            s.setGpr(RDI, DATA + 8);
            s.setGpr(RAX, 0x1234);
            m.memory.writeLong(DATA + 0xffd, 1);
            // The same access first without the flag, so that it is known to the TLB.
            var a =
                m.assembler(64)
                    .hex(code)
                    .pushConstant(AC | 2)
                    .popf()
                    .mov(RSI, DATA + 1)
                    .mov(RDI, DATA + 8);
            long at = a.here();
            m.code(64, a.hex(code).hex("0f 0b"));
            m.run();
            boolean faults = cpl == 3 && mask;
            assertEquals(faults ? 17 : 6, m.vector(), code);
            if (faults) {
              assertEquals(0, m.stack(8, 0));
              assertEquals(at, m.stack(8, 1));
            }
          }
        }
      }
    }
  }

  @Test
  void alignedAccessesAndTheProcessorsOwnNeverFault() {
    try (var m = newMachine()) {
      CpuState s = m.long64(3);
      s.set(CpuState.RFLAGS, AC | 2);
      s.setGpr(RBX, DATA);
      m.memory.write(HANDLERS + 0x400, new byte[] {0x48, (byte) 0xcf});
      // An interrupt goes through a TSS whose stack pointers are never aligned.
      m.code(
          64,
          m.assembler(64)
              .hex("48 8b 03 8b 43 04 8a 43 01 66 8b 43 02")
              .interrupt(0x40)
              .hex("48 8b 43 01"));
      m.run();
      assertEquals(17, m.vector());
      assertEquals(CODE + 15, m.stack(8, 1));
    }
  }

  @Test
  void deviceNotAvailableAndUndefinedComeBeforeMemoryFaults() {
    try (var m = newMachine()) {
      m.long64(0).set(CpuState.CR0, CR0_PAGING | 8); // TS
      m.state().setGpr(RBX, 0x7000_0000_0000L);
      m.code(64, m.assembler(64).hex("dd 03"));
      m.run();
      assertEquals(7, m.vector());
      m.long64(0).set(CpuState.CR0, CR0_PAGING | 8);
      m.code(64, m.assembler(64).hex("0f 10 03")); // movups
      m.run();
      assertEquals(7, m.vector());
      m.long64(0).set(CpuState.CR4, 0x20); // no OSFXSR
      m.run();
      assertEquals(6, m.vector());
    }
  }

  @Test
  void initMakesAnApplicationProcessorWaitAndStartupRunsItInRealMode() {
    try (var m = newMachine(2)) {
      var ap = m.cpus[1];
      assertInstanceOf(Exit.WaitingForStartup.class, ap.run(10));
      assertFalse(ap.hasWork());
      m.memory.write(
          0x9_a000, new Assembler(16, 0).hex("8c c8").mov(RBX, 0x77).hlt().toBytes()); // mov ax, cs
      ap.init();
      ap.startup(0x9a);
      assertTrue(ap.hasWork());
      assertInstanceOf(Exit.Halted.class, ap.run(100));
      assertEquals(0x9a00, ap.state().gpr(RAX) & 0xffff);
      assertEquals(0x77, ap.state().gpr(RBX));
      assertEquals(1, m.apics[1].inits);
      ap.startup(0x10); // ignored: it is not waiting
      assertInstanceOf(Exit.Halted.class, ap.run(100));
      ap.init();
      assertInstanceOf(Exit.WaitingForStartup.class, ap.run(100));
      assertEquals(0, ap.state().gpr(RBX));
      ap.startup(0x9a);
      assertInstanceOf(Exit.Halted.class, ap.run(100));
      assertEquals(0x77, ap.state().gpr(RBX));
    }
  }

  @Test
  void startupBeforeInitIsForgotten() {
    try (var m = newMachine(2)) {
      var ap = m.cpus[1];
      ap.startup(0x9a);
      ap.init();
      assertInstanceOf(Exit.WaitingForStartup.class, ap.run(100));
      m.memory.writeByte(0x1_1000, 0xf4);
      ap.init();
      ap.startup(0x77);
      ap.startup(0x11);
      assertInstanceOf(Exit.Halted.class, ap.run(100));
      assertEquals(
          0x1100, ap.state().getInt32(CpuState.segment(CpuState.CS, CpuState.SEGMENT_SELECTOR)));
    }
  }

  @Test
  void initRestartsTheBootProcessorAtTheResetVector() {
    try (var m = newMachine()) {
      m.long64(0);
      m.cpu.init();
      m.cpu.run(0);
      CpuState s = m.state();
      assertEquals(0xfff0, s.get(CpuState.RIP));
      assertEquals(0xf000, m.selector(CpuState.CS));
      assertEquals(0xffff_0000L, s.get(CpuState.segment(CpuState.CS, CpuState.SEGMENT_BASE)));
      assertEquals(0, s.get(CpuState.EFER));
      assertEquals(2, s.get(CpuState.RFLAGS));
      assertEquals(0x10, s.get(CpuState.CR0) & ~0x6000_0000L);
    }
  }
}
