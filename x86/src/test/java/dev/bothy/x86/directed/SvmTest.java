package dev.bothy.x86.directed;

import static dev.bothy.x86.directed.TestMachine.*;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;

import dev.bothy.core.cpu.CpuState;
import dev.bothy.core.cpu.SvmState;
import dev.bothy.core.state.StateReader;
import dev.bothy.core.state.StateWriter;
import dev.bothy.x86.assemble.Assembler;
import java.util.function.Consumer;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Guests between VMRUN and #VMEXIT, and what they may do. */
class SvmTest extends EngineTest {
  private static final long INVALID = -1;
  private static final int ROUNDS = 300;

  private void withGuest(Consumer<NestedGuest> test) {
    try (var m = newMachine()) {
      test.accept(new NestedGuest(m));
    }
  }

  @Test
  void hostAndGuestHaveTheirOwnRegisters() {
    withGuest(
        g -> {
          g.set(NestedGuest.RAX_FIELD, 77);
          g.set(NestedGuest.RFLAGS, 0x97);
          g.code(g.assembler().movRegister(RBX, RAX).mov(RAX, 88).push(RAX).hex("f8 0f 01 d9"));
          assertEquals(NestedGuest.VMMCALL, g.run());
          TestMachine m = g.machine;
          CpuState s = m.state();
          assertEquals(77, s.gpr(RBX), "other general registers are not touched");
          assertEquals(NestedGuest.BLOCK, s.gpr(RAX));
          assertEquals(KERNEL_STACK, m.rsp());
          assertEquals(CODE + 4, m.rip());
          assertEquals(2, s.get(CpuState.RFLAGS));
          assertEquals(88, g.get(NestedGuest.RAX_FIELD));
          assertEquals(NestedGuest.STACK_AT - 8, g.get(NestedGuest.RSP_FIELD));
          assertEquals(0x96, g.get(NestedGuest.RFLAGS));
          long at = g.get(NestedGuest.RIP);
          assertEquals(at + 3, g.get(NestedGuest.NEXT_RIP));
          assertEquals(0x0f, m.memory.readByte(at));
          assertEquals(0, s.getInt32(SvmState.GUEST));
          assertEquals(1, s.getInt32(SvmState.INTERRUPTS_HELD), "GIF is clear");
        });
  }

  /** Code that is hot in host and guest: each exit is handled, and the guest goes on behind it. */
  @Test
  void guestsGoOnWhereTheirHostsLetThem() {
    likeTheInterpreter(
        "rounds",
        m -> {
          NestedGuest g = new NestedGuest(m);
          g.set(NestedGuest.RAX_FIELD, 0);
          g.code(
              g.assembler()
                  .mov(RSI, DATA)
                  .label("again")
                  .hex("9c 5a") // pushf; pop rdx
                  .mov(RAX, 0)
                  .hex("0f a2") // cpuid
                  .hex("0f 31") // rdtsc
                  .hex("48 01 06") // add [rsi], rax
                  .hex("0f 20 d8") // mov rax, cr3
                  .hex("48 ff 46 08") // inc qword [rsi + 8]
                  .hex(NestedGuest.CALL)
                  .jmp("again"));
          CpuState s = m.state();
          s.setGpr(RBP, ROUNDS);
          m.code(
              64,
              m.assembler(64)
                  .label("host")
                  .hex(NestedGuest.RUN)
                  .load(RCX, RAX, NestedGuest.NEXT_RIP)
                  .store(RAX, NestedGuest.RIP, RCX)
                  .dec(RBP)
                  .jnz("host")
                  .hlt());
          m.run();
        },
        m -> assertEquals(ROUNDS, m.memory.readLong(DATA + 8)));
  }

  @ParameterizedTest
  @CsvSource({
    // bytes, exit code, EXITINFO1
    "0f 20 c1, 0, 8000000000000001",
    "0f 20 da, 3, 8000000000000002",
    "0f 20 e1, 4, 8000000000000001",
    "44 0f 20 c1, 8, 8000000000000001",
    "0f 22 c1, 10, 8000000000000001",
    "0f 22 d9, 13, 8000000000000001",
    "0f 22 e1, 14, 8000000000000001",
    "0f 01 e1, 0, 0",
    "0f 01 f1, 10, 0",
    "0f 06, 10, 0",
    "0f 21 d9, 23, 1",
    "0f 21 f9, 27, 1",
    "0f 23 d9, 33, 1",
    "cc, 43, 0",
    "cd 20, 75, 20",
    "f1, 88, 0",
    "0f 01 0b, 66, 0",
    "0f 01 03, 67, 0",
    "0f 00 c1, 68, 0",
    "0f 00 c9, 69, 0",
    "0f 01 1b, 6a, 0",
    "0f 01 13, 6b, 0",
    "0f 00 d1, 6c, 0",
    "0f 00 d9, 6d, 0",
    "0f 31, 6e, 0",
    "0f 33, 6f, 0",
    "9c, 70, 0",
    "9d, 71, 0",
    "0f a2, 72, 0",
    "0f aa, 73, 0",
    "48 cf, 74, 0",
    "0f 08, 76, 0",
    "f3 90, 77, 0",
    "f4, 78, 0",
    "0f 01 3b, 79, 210000",
    "0f 01 df, 7a, 0",
    "0f 01 da, 82, 0",
    "0f 01 db, 83, 0",
    "0f 01 dc, 84, 0",
    "0f 01 dd, 85, 0",
    "0f 01 f9, 87, 0",
    "0f 09, 89, 0",
    "66 0f 38 82 0b, a2, 0"
  })
  void interceptedInstructionsDoNotHappen(String bytes, String code, String information) {
    int exit = Integer.parseInt(code, 16);
    withGuest(
        g -> {
          g.machine.state().setGpr(RBX, DATA + 0x1_0000);
          g.machine.state().setGpr(RCX, 0);
          int length = bytes.split(" ").length;
          // Hot code first, so that translations are asked, too.
          g.code(
              g.assembler()
                  .mov(RSI, 100)
                  .label("again")
                  .dec(RSI)
                  .jnz("again")
                  .hex(bytes)
                  .hex("0f 0b"));
          g.intercept(exit);
          assertEquals(exit, g.run());
          assertEquals(Long.parseUnsignedLong(information, 16), g.get(NestedGuest.INFORMATION));
          assertEquals(g.get(NestedGuest.RIP) + length, g.get(NestedGuest.NEXT_RIP));
          assertEquals(NestedGuest.CODE_AT + 16, g.get(NestedGuest.RIP), "at it");
          assertEquals(NestedGuest.STACK_AT, g.get(NestedGuest.RSP_FIELD));
        });
  }

  @Test
  void selectiveInterceptsLetTaskSwitchedAndMonitorPass() {
    withGuest(
        g -> {
          g.code(
              g.assembler()
                  .movFromControl(RCX, 0)
                  .hex("48 83 f1 0a") // xor rcx, TS | MP
                  .movToControl(0, RCX)
                  .hex("48 81 f1 00 00 04 00") // xor rcx, AM
                  .movToControl(0, RCX)
                  .hex("0f 0b"));
          g.intercept(0x65);
          assertEquals(0x65, g.run());
          assertEquals(CR0_PAGING ^ 0xa, g.get(NestedGuest.CR0));
        });
  }

  @Test
  void pausesPassAsOftenAsTheirCounterSays() {
    withGuest(
        g -> {
          g.machine.memory.writeShort(NestedGuest.BLOCK + NestedGuest.PAUSES, (short) 150);
          g.intercept(0x77);
          g.code(g.assembler().mov(RSI, 0).label("again").inc(RSI).hex("f3 90").jmp("again"));
          assertEquals(0x77, g.run());
          assertEquals(151, g.machine.gpr(RSI));
        });
  }

  @Test
  void portsAndRegistersAreInterceptedByTheirMaps() {
    withGuest(
        g -> {
          g.intercept(0x7b);
          g.intercept(0x7c);
          g.machine.memory.writeByte(NestedGuest.PORT_MAP + 0x203 / 8, 1 << 0x203 % 8);
          // SFMASK's writes.
          g.machine.memory.writeByte(NestedGuest.MSR_MAP + 0x800 + 0x84 / 4, 2);
          g.code(
              g.assembler()
                  .mov(RDX, 0x203)
                  .hex("4a 89 d2") // nothing
                  .mov(RCX, 0xc000_0084L)
                  .rdmsr()
                  .mov(RDX, 0x200)
                  .hex("ec") // in al, dx
                  .hex("66 ed") // in ax, dx: up to 0x201
                  .hex("ed")); // in eax, dx: reaches it
          assertEquals(0x7b, g.run());
          assertEquals(0x200_0241L, g.get(NestedGuest.INFORMATION));
          assertEquals(g.get(NestedGuest.RIP) + 1, g.get(NestedGuest.INFORMATION_2));
          assertEquals(2, g.machine.portAccesses.size());
          g.set(NestedGuest.RIP, NestedGuest.CODE_AT);
          g.code(g.assembler().mov(RCX, 0xc000_0084L).wrmsr());
          assertEquals(0x7c, g.run());
          assertEquals(1, g.get(NestedGuest.INFORMATION));
          g.set(NestedGuest.RIP, NestedGuest.CODE_AT);
          g.code(g.assembler().mov(RCX, 0x2000).rdmsr());
          assertEquals(0x7c, g.run());
          assertEquals(0, g.get(NestedGuest.INFORMATION), "what no map has is intercepted");
        });
  }

  @Test
  void exceptionsAreTheGuestsUnlessIntercepted() {
    withGuest(
        g -> {
          long missing = DATA + 0x7000;
          g.machine.page(missing, 0, 0);
          g.intercept(0x78);
          g.code(g.assembler().absolute(new int[] {0x8b}, RDX, missing).hex(NestedGuest.CALL));
          assertEquals(0x78, g.run(), "its handler's HLT");
          assertEquals(HANDLERS + 16 * 14, g.get(NestedGuest.RIP));
          assertEquals(missing, g.get(NestedGuest.CR2));
          g.intercept(0x4e);
          g.set(NestedGuest.RIP, NestedGuest.CODE_AT);
          g.set(NestedGuest.CR2, 0);
          assertEquals(0x4e, g.run());
          assertEquals(0, g.get(NestedGuest.INFORMATION));
          assertEquals(missing, g.get(NestedGuest.INFORMATION_2));
          assertEquals(0, g.get(NestedGuest.CR2), "is not yet taken");
          assertEquals(NestedGuest.CODE_AT, g.get(NestedGuest.RIP));
          assertEquals(
              g.machine.memory.readLong(NestedGuest.CODE_AT),
              g.machine.memory.readLong(NestedGuest.BLOCK + NestedGuest.BYTES + 1));
        });
  }

  @Test
  void faultsWhileAHandlerIsCalledTellOfIt() {
    withGuest(
        g -> {
          g.set(NestedGuest.RSP_FIELD, DATA + 0x8000);
          g.machine.page(DATA + 0x7000, 0, 0);
          g.intercept(0x4e);
          g.code(g.assembler().hex("0f 0b"));
          assertEquals(0x4e, g.run());
          assertEquals(2, g.get(NestedGuest.INFORMATION));
          assertEquals(0x8000_0306L, g.get(NestedGuest.EXIT_EVENT), "#UD was under way");
          assertEquals(NestedGuest.CODE_AT, g.get(NestedGuest.RIP));
          g.release(0x4e);
          assertEquals(NestedGuest.SHUTDOWN, runWith(g, NestedGuest.SHUTDOWN));
        });
  }

  private static long runWith(NestedGuest g, int intercept) {
    g.intercept(intercept);
    return g.run();
  }

  @ParameterizedTest
  @CsvSource({
    // event, vector whose handler runs, has an error code
    "80000030, 30, false",
    "80000202, 2, false",
    "80000300, 0, false",
    "780000b0d, d, true",
    "80000430, 30, false"
  })
  void hostsInjectEvents(String event, String vector, boolean withCode) {
    withGuest(
        g -> {
          long word = Long.parseLong(event, 16) | 1L << 31;
          g.set(NestedGuest.EVENT, word);
          g.set(NestedGuest.NEXT_RIP, NestedGuest.CODE_AT + 2);
          g.intercept(0x78);
          g.code(g.assembler().hex("0f 0b"));
          assertEquals(0x78, g.run());
          assertEquals(HANDLERS + 16 * Integer.parseInt(vector, 16), g.get(NestedGuest.RIP));
          assertEquals(0, g.get(NestedGuest.EVENT), "it is done");
          long sp = g.get(NestedGuest.RSP_FIELD);
          assertEquals(NestedGuest.STACK_AT - (withCode ? 48 : 40), sp);
          long pushed = g.machine.memory.readLong(sp + (withCode ? 8 : 0));
          boolean software = (word >>> 8 & 7) == 4;
          assertEquals(NestedGuest.CODE_AT + (software ? 2 : 0), pushed);
          if (withCode) {
            assertEquals(7, g.machine.memory.readLong(sp));
          }
        });
  }

  @ParameterizedTest
  @CsvSource({
    // field, value, all in hexadecimal
    "58, 0",
    "4d0, d01",
    "4d0, 11d01",
    "558, 100080050033",
    "558, a0050033",
    "550, 10000000000",
    "548, 680",
    "548, 80000006a0",
    "560, 100000400",
    "568, 1ffff0ff0",
    "10, 0",
    "a8, 80000302",
    "a8, 80000320",
    "a8, 80000130",
    "a8, 80000730",
    "40, ffffffe000",
    "48, 80000000",
    "b0, 10000000000",
    "668, 2"
  })
  void whatCannotRunLeavesAtOnce(String field, String value) {
    withGuest(
        g -> {
          g.nest();
          g.intercept(0x7b);
          g.intercept(0x7c);
          g.code(g.assembler().hex(NestedGuest.CALL));
          assertEquals(NestedGuest.VMMCALL, g.run(), "as it is");
          g.set(NestedGuest.RIP, NestedGuest.CODE_AT);
          int at = Integer.parseInt(field, 16);
          long number = Long.parseUnsignedLong(value, 16);
          if (at == 0x548 && number == 0x680) {
            number = CR4_LONG & ~0x20;
          }
          if (at == 0x58 || at == 0x10) {
            g.machine.memory.writeInt(NestedGuest.BLOCK + at, (int) number);
          } else {
            g.set(at, number);
          }
          assertEquals(INVALID, g.run());
          assertEquals(NestedGuest.CODE_AT, g.get(NestedGuest.RIP), "nothing has run");
          assertEquals(CODE + 4, g.machine.rip());
        });
  }

  @Test
  void longCodeThatIsAlso32BitsWideCannotRun() {
    withGuest(
        g -> {
          g.code(g.assembler().hex(NestedGuest.CALL));
          g.machine.memory.writeShort(NestedGuest.BLOCK + NestedGuest.CS + 2, (short) 0x69b);
          assertEquals(INVALID, g.run());
        });
  }

  @Test
  void interruptsOfTheMachineAreTheHostsOrTheGuests() {
    withGuest(
        g -> {
          // To the host, whatever the guest's IF, and still pending.
          g.machine.state().set(CpuState.RFLAGS, 0x202);
          g.set(NestedGuest.VIRTUAL_INTERRUPT, 1 << 24);
          g.intercept(NestedGuest.INTR);
          g.code(g.assembler().label("here").jmp("here"));
          g.machine.state().setInt32(SvmState.INTERRUPTS_HELD, 1);
          g.machine.apic.request(0x55);
          assertEquals(NestedGuest.INTR, g.run());
          assertEquals(NestedGuest.CODE_AT, g.get(NestedGuest.RIP));
          assertEquals(true, g.machine.apic.interruptPending());
          // To the guest, once it has set IF.
          g.release(NestedGuest.INTR);
          g.set(NestedGuest.VIRTUAL_INTERRUPT, 0);
          g.intercept(0x78);
          g.code(g.assembler().mov(RBX, 5).sti().nop().nop().hex(NestedGuest.CALL));
          assertEquals(0x78, g.run());
          assertEquals(HANDLERS + 16 * 0x55, g.get(NestedGuest.RIP));
          assertEquals(5, g.machine.gpr(RBX));
        });
  }

  /** A hypervisor steps its guest, and what it does right behind VMRUN is not stepped. */
  @Test
  void stepsEndWithTheGuestThatIsStepped() {
    likeTheInterpreter(
        "steps",
        m -> {
          NestedGuest g = new NestedGuest(m);
          g.intercept(0x41);
          g.set(NestedGuest.RFLAGS, 0x102);
          g.code(g.assembler().label("again").inc(RSI).jmp("again"));
          CpuState s = m.state();
          s.setGpr(RBP, 2000);
          s.setGpr(RSI, 0);
          m.code(
              64,
              m.assembler(64)
                  .label("host")
                  .hex(NestedGuest.RUN)
                  .hex("0f 01 db") // vmsave
                  .dec(RBP)
                  .jnz("host")
                  .hlt());
          m.run();
        },
        m -> {
          assertEquals(0, m.gpr(RBP));
          assertEquals(1000, m.gpr(RSI));
        });
  }

  @Test
  void stgiLetsInterruptsThroughThatWereHeld() {
    withGuest(
        g -> {
          CpuState s = g.machine.state();
          s.set(CpuState.RFLAGS, 0x202);
          g.machine.code(
              64, g.machine.assembler(64).hex("0f 01 dd").mov(RBX, 1).nop().hex("0f 01 dc f4"));
          g.machine.cpu.nmi();
          g.machine.run();
          assertEquals(0, g.machine.gpr(RBX) & ~1);
          assertEquals(2, g.machine.vector());
        });
  }

  @Test
  void virtualInterruptsWaitForFlagAndPriority() {
    withGuest(
        g -> {
          g.code(g.assembler().nop().sti().nop().nop().hex(NestedGuest.CALL));
          g.intercept(0x78);
          long word = 0x61L << 32 | 1 << 24 | 1 << 8;
          g.set(NestedGuest.VIRTUAL_INTERRUPT, word | 5 << 16 | 5);
          assertEquals(NestedGuest.VMMCALL, g.run(), "not above the task priority");
          assertEquals(1 << 8, g.get32(NestedGuest.VIRTUAL_INTERRUPT) & 1 << 8);
          g.set(NestedGuest.RFLAGS, 2);
          g.set(NestedGuest.RIP, NestedGuest.CODE_AT);
          g.set(NestedGuest.VIRTUAL_INTERRUPT, word | 6 << 16 | 5);
          g.intercept(NestedGuest.VINTR);
          assertEquals(NestedGuest.VINTR, g.run());
          assertEquals(NestedGuest.CODE_AT + 3, g.get(NestedGuest.RIP), "behind STI's shadow");
          g.release(NestedGuest.VINTR);
          assertEquals(0x78, g.run());
          assertEquals(HANDLERS + 16 * 0x61, g.get(NestedGuest.RIP));
          assertEquals(0, g.get32(NestedGuest.VIRTUAL_INTERRUPT) & 1 << 8, "it is taken");
        });
  }

  @Test
  void aShadowHoldsAVirtualInterruptForOneInstruction() {
    withGuest(
        g -> {
          g.set(NestedGuest.VIRTUAL_INTERRUPT, 0x61L << 32 | 1 << 24 | 1 << 8 | 15 << 16);
          g.set(NestedGuest.RFLAGS, 0x202);
          g.set(NestedGuest.SHADOW, 1);
          g.intercept(0x78);
          g.code(g.assembler().nop().nop().hex(NestedGuest.CALL));
          assertEquals(0x78, g.run());
          long sp = g.get(NestedGuest.RSP_FIELD);
          assertEquals(NestedGuest.CODE_AT + 1, g.machine.memory.readLong(sp));
          assertEquals(0, g.get(NestedGuest.SHADOW) & 1);
        });
  }

  @Test
  void aGuestsTimeIsMovedByItsOffset() {
    withGuest(
        g -> {
          g.set(NestedGuest.TSC, 0x1_0000_0000L);
          g.code(
              g.assembler()
                  .hex("0f 31")
                  .movRegister(RBX, RAX)
                  .movRegister(RCX, RDX)
                  .hex(NestedGuest.CALL));
          g.run();
          long hosts = 1_000_000 + g.machine.state().get(CpuState.TSC_OFFSET);
          assertEquals(hosts & 0xffff_ffffL, g.machine.gpr(RBX));
          assertEquals((hosts >>> 32) + 1, g.machine.gpr(RCX));
        });
  }

  @Test
  void instructionsOfHypervisorsNeedTheirRights() {
    for (String code : new String[] {"0f 01 d8", "0f 01 da", "0f 01 db", "0f 01 dc", "0f 01 df"}) {
      try (var m = newMachine()) {
        CpuState s = m.long64(0);
        s.setGpr(RAX, NestedGuest.BLOCK);
        m.code(64, m.assembler(64).hex(code).hex("cc"));
        m.run();
        assertEquals(6, m.vector(), "without EFER.SVME");
      }
      try (var m = newMachine()) {
        CpuState s = m.long64(3);
        s.set(CpuState.EFER, s.get(CpuState.EFER) | NestedGuest.SVME);
        m.code(64, m.assembler(64).hex(code).hex("cc"));
        m.run();
        assertEquals(13, m.vector(), "at level 3");
      }
      try (var m = newMachine("v2")) {
        m.long64(0);
        m.code(64, m.assembler(64).hex(code).hex("cc"));
        m.run();
        assertEquals(6, m.vector(), "on a model without SVM");
      }
    }
    for (long block : new long[] {NestedGuest.BLOCK + 8, 1L << 41, 0x8000_0000L}) {
      withGuest(
          g -> {
            g.machine.state().setGpr(RAX, block);
            g.machine.code(64, g.machine.assembler(64).hex(NestedGuest.RUN).hex("cc"));
            g.machine.run();
            assertEquals(13, g.machine.vector());
          });
    }
  }

  @Test
  void savedAndLoadedSegmentsAreWhatTheyWere() {
    withGuest(
        g -> {
          TestMachine m = g.machine;
          CpuState s = m.state();
          s.set(CpuState.segment(CpuState.GS, CpuState.SEGMENT_BASE), 0x1234_5678_9000L);
          s.set(CpuState.LSTAR, 0xffff_8000_0000_1000L);
          Assembler code = m.assembler(64).hex("0f 01 db"); // vmsave
          code.mov(RCX, 0xc000_0101L).mov(RAX, 0).mov(RDX, 0).wrmsr();
          code.mov(RCX, 0xc000_0082L).wrmsr();
          code.mov(RAX, NestedGuest.BLOCK).hex("0f 01 da").hlt(); // vmload
          m.code(64, code);
          m.run();
          assertEquals(
              0x1234_5678_9000L,
              m.state().get(CpuState.segment(CpuState.GS, CpuState.SEGMENT_BASE)));
          assertEquals(0xffff_8000_0000_1000L, m.state().get(CpuState.LSTAR));
          assertEquals(TSS, m.state().get(CpuState.segment(CpuState.TR, CpuState.SEGMENT_BASE)));
          assertNotEquals(0, g.get(0x490) & 0xffff);
        });
  }

  /** A guest that is stopped anywhere goes on elsewhere. */
  @Test
  void aSavedGuestGoesOnInAnotherMachine() throws Exception {
    if (!engine.counts()) {
      return;
    }
    try (var m = newMachine();
        var other = newMachine()) {
      long[] results = new long[2];
      for (int i = 0; i < 2; i++) {
        TestMachine machine = i == 0 ? m : other;
        NestedGuest g = new NestedGuest(machine);
        g.nest();
        g.set(NestedGuest.TSC, 1000);
        g.code(
            g.assembler()
                .mov(RSI, 3000)
                .mov(RBX, 0)
                .label("again")
                .addRegister(RBX, RSI)
                .dec(RSI)
                .jnz("again")
                .hex("0f 31") // rdtsc
                .hex(NestedGuest.CALL));
        machine.code(64, machine.assembler(64).hex(NestedGuest.RUN).hlt());
      }
      m.cpu.run(2000);
      StateWriter out = new StateWriter();
      m.cpu.save(out);
      byte[] memory = new byte[(int) m.memory.size()];
      m.memory.read(0, memory, 0, memory.length);
      other.memory.write(0, memory);
      other.cpu.load(new StateReader("cpu", out.toByteArray()));
      m.run();
      other.run();
      assertEquals("", other.differencesFrom(m));
      assertEquals(4_501_500, other.gpr(RBX));
      assertEquals(NestedGuest.VMMCALL, other.memory.readLong(NestedGuest.BLOCK + 0x70));
      assertEquals(0, other.state().get(CpuState.TSC_OFFSET));
    }
  }

  @Test
  void theLastBranchIsRecordedWhileThatIsAskedFor() {
    try (var m = newMachine()) {
      m.long64(0);
      Assembler a = m.assembler(64);
      a.wrmsr(0x1d9, 1).label("from").jmp("to").nop().label("to").nop();
      a.mov(RAX, 0).mov(RDX, 0).mov(RCX, 0x1d9).wrmsr().jmp("end").nop().label("end");
      a.mov(RCX, 0x1db).rdmsr().movRegister(RSI, RAX).mov(RCX, 0x1dc).rdmsr().hlt();
      m.code(64, a);
      m.run();
      assertEquals(a.address("from"), m.gpr(RSI));
      assertEquals(a.address("to"), m.gpr(RAX));
    }
  }
}
