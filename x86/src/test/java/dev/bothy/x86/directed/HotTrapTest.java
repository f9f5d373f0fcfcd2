package dev.bothy.x86.directed;

import static dev.bothy.x86.directed.TestMachine.*;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.bothy.core.cpu.CpuState;
import dev.bothy.x86.assemble.Assembler;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Single-step, breakpoints and interrupts that come to code which has run hundreds of times. */
class HotTrapTest extends EngineTest {
  private static final int ROUNDS = 300;
  private static final long LOG = DATA + 0x10_0000;
  private static final long HANDLER = 0x11_0000;
  private static final long DR6_CLEAR = 0xffff_0ff0L;

  /** A #DB handler that writes down where each trap came from, and DR6; R8 to R10 are its own. */
  private static void logTraps(TestMachine m) {
    var h = new Assembler(64, HANDLER);
    h.push(RAX).load(8, RSP, 8).hex("4d 89 01"); // mov [r9], r8
    h.movFromDebug(RAX, 6).store(9, 8, RAX).add(9, 16);
    h.mov(RAX, DR6_CLEAR).movToDebug(6, RAX).pop(RAX).iret();
    m.memory.write(HANDLER, h.toBytes());
    m.gate64(1, CODE64, HANDLER, 0x8e, 1);
    m.state().setGpr(9, LOG);
  }

  private static List<Long> log(TestMachine m) {
    List<Long> found = new ArrayList<>();
    for (long at = LOG; at < m.gpr(9); at += 16) {
      found.add(m.memory.readLong(at));
    }
    return found;
  }

  /**
   * A loop body with everything in it that the flag treats in its own way. Returns where each of
   * its instructions starts, but for those that no trap follows.
   */
  private static List<Long> body(Assembler a) {
    List<Long> starts = new ArrayList<>();
    Runnable mark = () -> starts.add(a.here());
    a.inc(RAX);
    mark.run();
    a.push(RAX);
    mark.run();
    a.pop(RBX);
    mark.run();
    a.call("sub");
    // The routine's RET comes behind the loop.
    starts.add(0L);
    mark.run();
    a.hex("66 0f ef c0"); // pxor xmm0, xmm0
    mark.run();
    a.hex("d9 e8"); // fld1
    mark.run();
    a.hex("dd d8"); // fstp st0
    mark.run();
    a.hex("0f af c3"); // imul eax, ebx
    mark.run();
    a.hex("48 8d 3c 24"); // lea rdi, [rsp]
    mark.run();
    a.hex("f9 72 01 90"); // stc; jc over a nop
    starts.add(a.here() - 3);
    mark.run();
    a.hex("f8 73 00"); // clc; jnc
    starts.add(a.here() - 2);
    mark.run();
    return starts;
  }

  @Test
  void hotLoopIsSteppedInstructionByInstruction() {
    long[] top = new long[1];
    List<Long> starts = new ArrayList<>();
    likeTheInterpreter(
        "stepped",
        m -> {
          m.long64(0);
          logTraps(m);
          var a = m.assembler(64).mov(15, ROUNDS).label("loop");
          top[0] = a.here();
          starts.clear();
          starts.addAll(body(a));
          a.dec(15).jnz("loop").cmp(14, 7).jz("end").mov(14, 7).mov(15, 2);
          a.pushConstant(0x102).popf().jmp("loop").label("end");
          m.code(64, a.pushConstant(2).popf().hlt().label("sub").ret());
          m.state().setGpr(14, 0);
          m.run();
        },
        m -> {
          List<Long> found = log(m);
          // After POPF and the jump, then the whole body twice.
          assertEquals(top[0], found.get(0));
          for (int round = 0; round < 2; round++) {
            for (int i = 0; i < starts.size(); i++) {
              long next = starts.get(i);
              long actual = found.get(1 + round * (starts.size() + 2) + i);
              if (next != 0) {
                assertEquals(next, actual, "trap " + i + " of round " + round);
              }
            }
          }
          // DEC and JNZ twice, then CMP, JZ, PUSH, POPF.
          assertEquals(1 + 2 * (starts.size() + 2) + 4, found.size());
        });
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "f3 a4", // rep movsb
        "f3 48 ab", // rep stosq
        "f2 ae", // repne scasb
        "8e d3", // mov ss, ebx
        "cd 40", // int 0x40
        "9c 9d", // pushf; popf
        "0f 05", // syscall, back by sysret
        "fb", // sti
        "0f a2", // cpuid
        "0f 31", // rdtsc
        "0f ae e8", // lfence
        "0f 20 c0", // mov rax, cr0
        "e4 80", // in al, 0x80
        "f0 48 ff 07", // lock inc
        "e2 00", // loop
        "48 cf" // iretq, of a frame with the flag in it
      })
  void specialInstructionsOfHotCodeAreSteppedLikeInterpretedOnes(String code) {
    boolean kernel = !code.equals("0f 05");
    likeTheInterpreter(
        code,
        m -> {
          CpuState s = m.long64(kernel ? 0 : 3);
          logTraps(m);
          s.set(CpuState.LSTAR, 0x12_0000);
          s.set(CpuState.SFMASK, 0x100);
          m.memory.write(0x12_0000, new Assembler(64, 0).inc(13).sysret(true).toBytes());
          m.memory.write(HANDLERS + 0x400, new Assembler(64, 0).inc(13).iret().toBytes());
          s.setGpr(14, 0);
          s.setGpr(13, 0);
          var a = m.assembler(64).mov(15, ROUNDS).label("loop").mov(RBX, FLAT).mov(RCX, 5);
          a.mov(RSI, DATA).mov(RDI, DATA + 0x100).mov(RAX, 1);
          if (code.equals("48 cf")) {
            a.movRegister(RBP, RSP).push(RBX).push(RBP).pushf().pushConstant(CODE64);
            a.movLabel(RDX, "next").push(RDX);
          }
          a.hex(code).label("next").inc(12).nop().dec(15).jnz("loop");
          a.cmp(14, 7).jz("end").mov(14, 7).mov(15, 1).pushConstant(0x102).popf().jmp("loop");
          m.code(64, a.label("end").pushConstant(2).popf().hex(kernel ? "f4" : "0f 0b"));
          m.run();
        },
        m -> {
          assertEquals(kernel ? -1 : 6, m.vector());
          assertTrue(log(m).size() > 10, "traps: " + log(m).size());
        });
  }

  @Test
  void branchesInEveryDirectionAreStepped() {
    likeTheInterpreter(
        "branches",
        m -> {
          CpuState s = m.long64(0);
          logTraps(m);
          s.setGpr(14, 0);
          var a = m.assembler(64).mov(15, ROUNDS).movLabel(RBX, "third").label("loop");
          a.jmp("second").label("first").hex("ff e3"); // jmp rbx
          a.label("second").cmp(15, 0).jz("loop").jnz("first").label("third").call("sub");
          a.movLabel(RCX, "sub").hex("ff d1").mov(RCX, 2).label("l").hex("e2").emit(-2);
          a.hex("e3 00").dec(15).jnz("loop").cmp(14, 7).jz("end").mov(14, 7).mov(15, 1);
          a.pushConstant(0x102).popf().jmp("loop").label("end").pushConstant(2).popf().hlt();
          m.code(64, a.label("sub").hex("c2 00 00"));
          m.run();
        },
        m -> assertEquals(21, log(m).size()));
  }

  @Test
  void codeBreakpointInHotCodeHitsOnceItIsArmed() {
    long[] at = new long[1];
    likeTheInterpreter(
        "code breakpoint",
        m -> {
          m.long64(0);
          logTraps(m);
          m.state().setGpr(14, 0);
          var a = m.assembler(64).mov(15, ROUNDS).label("loop").inc(RBX);
          at[0] = a.here();
          a.inc(RCX).addRegister(RBX, RCX).dec(15).jnz("loop").cmp(14, 7).jz("end");
          a.mov(14, 7).mov(15, 5).mov(RAX, at[0]).movToDebug(0, RAX).mov(RAX, 0x402);
          // The handler returns with RF set, as it was pushed.
          m.code(64, a.movToDebug(7, RAX).jmp("loop").label("end").hlt());
          m.run();
        },
        m -> assertEquals(List.of(at[0], at[0], at[0], at[0], at[0]), log(m)));
  }

  @Test
  void dataBreakpointUnderHotCodeHitsOnceItIsArmed() {
    long[] next = new long[2];
    likeTheInterpreter(
        "data breakpoint",
        m -> {
          m.long64(0);
          logTraps(m);
          m.state().setGpr(14, 0);
          var a = m.assembler(64).mov(15, ROUNDS).mov(RBX, DATA).label("loop");
          a.load(RCX, RBX, 8).store(RBX, 0, RCX);
          next[0] = a.here();
          a.memory(true, new int[] {0x01}, RCX, RBX, 4);
          next[1] = a.here();
          a.dec(15).jnz("loop").cmp(14, 7).jz("end").mov(14, 7).mov(15, 2).mov(RAX, DATA + 4);
          a.movToDebug(1, RAX).mov(RAX, 0x408 | 0xdL << 20).movToDebug(7, RAX); // 4 bytes, writes
          m.code(64, a.jmp("loop").label("end").hlt());
          m.run();
        },
        m -> assertEquals(List.of(next[0], next[1], next[0], next[1]), log(m)));
  }

  @Test
  void interruptFindsHotLoopsBetweenTwoInstructions() {
    try (var m = newMachine()) {
      m.long64(0).set(CpuState.RFLAGS, 0x202);
      // rax and rbx go up together, by two instructions: the handler must find them at most one
      // apart, and flags that belong to the instruction before.
      var h = new Assembler(64, HANDLER);
      h.hex("48 89 c2 48 29 da").addRegister(RSI, RDX).inc(RDI); // rdx = rax - rbx
      m.memory.write(HANDLER, h.iret().toBytes());
      m.gate64(0x40, CODE64, HANDLER, 0x8e, 0);
      m.state().setGpr(RSI, 0);
      m.state().setGpr(RDI, 0);
      m.state().setGpr(RAX, 0);
      m.state().setGpr(RBX, 0);
      var a = m.assembler(64).mov(RCX, 200_000).label("loop").inc(RAX).inc(RBX).dec(RCX);
      m.code(64, a.jnz("loop").cli().hlt());
      int sent = 0;
      while (m.cpu.run(997) instanceof dev.bothy.core.Exit.BudgetSpent) {
        m.apic.request(0x40);
        m.cpu.interruptChanged();
        sent++;
      }
      assertTrue(sent > 500);
      assertTrue(sent - m.gpr(RDI) <= 1, sent + " sent, " + m.gpr(RDI) + " taken");
      assertTrue(m.gpr(RSI) >= 0 && m.gpr(RSI) <= m.gpr(RDI));
      assertEquals(200_000, m.gpr(RAX));
      assertEquals(200_000, m.gpr(RBX));
    }
  }

  @Test
  void everyBudgetCutsHotCodeAtTheSameInstruction() {
    // The state after n instructions is the same whether they ran in one go or were cut.
    for (int piece : new int[] {1, 2, 3, 5, 7, 64, 1000}) {
      try (var m = newMachine();
          var whole = newMachine()) {
        for (var machine : List.of(m, whole)) {
          machine.long64(0);
          var a = machine.assembler(64).mov(RBX, DATA).label("loop");
          a.load(RAX, RBX, 0).add(RAX, 3).store(RBX, 0, RAX).hex("48 d1 c8").push(RAX).pop(RCX);
          a.hex("48 11 c8 0f 92 c2 70 02 ff c6").call("sub").jmp("loop");
          machine.code(64, a.label("sub").hex("f3 0f 58 c1 c3"));
          machine.cpu.run(3000);
        }
        whole.cpu.run(2100);
        for (int done = 0; done < 2100; done += piece) {
          m.cpu.run(Math.min(piece, 2100 - done));
        }
        assertEquals("", m.differencesFrom(whole), "pieces of " + piece);
        assertEquals(whole.cpu.instructions(), m.cpu.instructions());
      }
    }
  }
}
