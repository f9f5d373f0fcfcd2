package dev.bothy.x86.directed;

import static dev.bothy.x86.directed.TestMachine.*;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.bothy.core.Exit;
import dev.bothy.core.MachineClock;
import dev.bothy.core.Timer;
import dev.bothy.core.cpu.CpuModel;
import dev.bothy.core.cpu.CpuState;
import dev.bothy.x86.assemble.Assembler;
import java.util.function.Consumer;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

@Timeout(900)
class TransactionTest extends EngineTest {
  private static final String MODEL = "v2,+rtm";
  private static final String XEND = "0f 01 d5";
  private static final String XTEST = "0f 01 d6";
  private static final String UD2 = "0f 0b";
  private static final int TSX_CTRL = 0x122;
  private static final long DEVICE = DATA + 0x6000;
  private static final long CARRY = 1;

  /** CR0.NE, which firmware leaves clear. */
  private static final long NE = 0x20;

  private static final long DIRECTION = 0x400;

  /** RAX after what has not aborted. */
  private static final long NOT_ABORTED = 0x1_2345_6789L;

  /** From XBEGIN to XEND; its fallback is behind that. */
  private static void transaction(Assembler a, String body) {
    int length = body.split(" ").length + XEND.split(" ").length;
    a.mov(RAX, NOT_ABORTED).hex("c7 f8").value(4, length).hex(body).hex(XEND);
  }

  /** Often enough to become hot. */
  private static void repeat(Assembler a, Consumer<Assembler> body) {
    a.mov(RSI, 100).label("loop");
    body.accept(a);
    a.dec(RSI).jnz("loop").hlt();
  }

  private static void run(TestMachine m, Consumer<Assembler> code) {
    var a = m.assembler(64);
    code.accept(a);
    m.code(64, a);
    m.run();
  }

  @Test
  void whatATransactionDoesStays() {
    try (var m = newMachine(MODEL)) {
      CpuState s = m.long64(3);
      s.setGpr(RBX, DATA);
      s.set(CpuState.CR0, CR0_PAGING & ~NE);
      String work =
          "48 ff 03 " // inc qword [rbx]
              + "48 8b 0b 48 89 4b 08 " // [rbx+8] = [rbx]
              + "f0 48 ff 43 10 " // lock inc qword [rbx+16]
              + "53 5a 6a 05 59 " // rdx = rbx, rcx = 5 by the stack
              + "f9"; // stc
      var a = m.assembler(64).mov(RSI, 100).label("loop");
      transaction(a, work);
      m.code(64, a.dec(RSI).jnz("loop").hex(UD2));
      m.run();
      assertEquals(6, m.vector());
      assertEquals(NOT_ABORTED, m.gpr(RAX));
      assertEquals(100, m.memory.readLong(DATA));
      assertEquals(100, m.memory.readLong(DATA + 8));
      assertEquals(100, m.memory.readLong(DATA + 16));
      assertEquals(DATA, m.gpr(RDX));
      assertEquals(5, m.gpr(RCX));
      assertEquals(CARRY, m.stack(8, 2) & CARRY);
    }
  }

  @ParameterizedTest
  @CsvSource({
    "xabort 0x5a,                       c6 f8 5a,                            0x5a000001",
    "xabort 1 of a nested one,          c7 f8 00 00 00 00 c6 f8 01,          0x01000021",
    "ud2 behind the end of a nested one, c7 f8 00 00 00 00 0f 01 d5 0f 0b,    0",
    "cpuid,                             0f a2,                               0",
    "pause,                             f3 90,                               0",
    "in,                                e4 ff,                               0",
    "ud2,                               0f 0b,                               0",
    "int3,                              cc,                                  0",
    "syscall,                           0f 05,                               0",
    "cli,                               fa,                                  0",
    "fxsave,                            0f ae 43 40,                         0",
    "a read of no page,                 48 8b 04 25 00 50 20 00,             0",
    "a write to no page,                48 89 04 25 00 50 20 00,             0",
    "a jump to no page,                 68 00 50 20 00 c3,                   0",
    "a read of a device,                48 8b 04 25 00 60 20 00,             0",
    "a write to a device,               48 89 04 25 00 60 20 00,             0",
    "a write to its own code,           48 89 05 00 00 00 00,                0",
    "a loop without end,                eb fe,                               8",
    "too many stores,                   48 ff 03 eb fb,                      8",
    "too long a string,                 b9 00 00 01 00 fc f3 aa,             8"
  })
  void whatAbortsTakesAllBack(String what, String code, String status) {
    try (var m = newMachine(MODEL)) {
      CpuState s = m.long64(0);
      s.setGpr(RBX, DATA);
      s.setGpr(RCX, 1234);
      s.setGpr(RDI, DATA + 0x10_0000);
      s.set(CpuState.CR2, 77);
      s.set(CpuState.VECTORS, 0x1234_5678_9abcL);
      m.page(DATA + 0x5000, 0, 0);
      m.page(DEVICE, 0xf000_0000L, P | W);
      String work =
          "48 ff 03 88 4b 01 66 89 4b 02 89 4b 04 " // stores of 8, 1, 2 and 4 bytes at rbx
              + "48 89 8b fc 0f 00 00 " // over a page's end
              + "b9 07 00 00 00 f8 fd " // ecx = 7, clc, std
              + "66 0f ef c0 d9 e8 "; // pxor xmm0, fld1
      int tags = s.getInt32(CpuState.X87_TAGS);
      run(
          m,
          a ->
              repeat(
                  a,
                  b -> {
                    b.hex("f9 fc"); // stc, cld
                    transaction(b, work + code.strip());
                  }));
      assertEquals(-1, m.vector(), what);
      assertEquals(Long.decode(status), m.gpr(RAX), what);
      assertEquals(1234, m.gpr(RCX));
      assertEquals(DATA + 0x10_0000, m.gpr(RDI));
      assertEquals(0, m.gpr(RSI));
      assertEquals(CARRY, m.state().get(CpuState.RFLAGS) & (CARRY | DIRECTION));
      assertEquals(0, m.memory.readLong(DATA));
      assertEquals(0, m.memory.readLong(DATA + 0xff8));
      assertEquals(0, m.memory.readLong(DATA + 0x1000));
      assertEquals(0x1234_5678_9abcL, m.state().get(CpuState.VECTORS));
      assertEquals(tags, m.state().getInt32(CpuState.X87_TAGS));
      assertEquals(77, m.state().get(CpuState.CR2));
      assertTrue(m.portAccesses.isEmpty());
    }
  }

  /** Guest time by which something comes from outside each time that it is read. */
  private static final class EventfulClock implements MachineClock {
    private Runnable event = () -> {};

    @Override
    public long nanos() {
      event.run();
      return 1_000_000;
    }

    @Override
    public long wallNanos() {
      return 0;
    }

    @Override
    public Timer newTimer(String name, Runnable onExpiry) {
      throw new UnsupportedOperationException(name);
    }
  }

  @ParameterizedTest
  @CsvSource({
    // where a device writes, what is in the end at rbx, rbx + 8 and rbx + 0x1000
    "0, 77, 5, 6",
    "8, 4, 77, 6",
    "0x1000, 4, 5, 77",
    "-1, 4, 205, 4" // it does not
  })
  void aDeviceThatWritesMeanwhileHasItAborted(String to, long first, long second, long third) {
    EventfulClock clock = new EventfulClock();
    try (var m =
        new TestMachine(engine::create, engine.counts(), clock, true, CpuModel.parse(MODEL), 1)) {
      CpuState s = m.long64(0);
      s.setGpr(RBX, DATA);
      m.memory.writeLong(DATA, 4);
      m.memory.writeLong(DATA + 8, 5);
      m.memory.writeLong(DATA + 0x1000, 6);
      long place = Long.decode(to);
      clock.event =
          () -> {
            if (place >= 0) {
              m.memory.writeLong(DATA + place, 77);
            }
          };
      String work =
          "48 8b 0b 48 83 43 08 02 " // mov rcx, [rbx]; add qword [rbx+8], 2
              + "48 89 8b 00 10 00 00 " // mov [rbx+0x1000], rcx
              + "0f 31 b8 01 00 00 00"; // rdtsc; mov eax, 1
      run(m, a -> repeat(a, b -> transaction(b, work)));
      // A conflict: another attempt may go well.
      assertEquals(place < 0 ? 1 : 6, m.gpr(RAX));
      assertEquals(first, m.memory.readLong(DATA));
      assertEquals(second, m.memory.readLong(DATA + 8));
      assertEquals(third, m.memory.readLong(DATA + 0x1000));
    }
  }

  @Test
  void sevenMayBeInsideEachOther() {
    try (var m = newMachine(MODEL)) {
      m.long64(0);
      String begin = "c7 f8 00 00 00 00 ";
      run(
          m,
          a -> {
            transaction(a, begin.repeat(6) + (XEND + " ").repeat(6).strip());
            a.hex("48 89 c1"); // mov rcx, rax
            transaction(a, begin.repeat(7) + (XEND + " ").repeat(7).strip());
            a.hlt();
          });
      assertEquals(NOT_ABORTED, m.gpr(RCX));
      assertEquals(0x20, m.gpr(RAX));
    }
  }

  @Test
  void codeOfATransactionThatAbortsWasNeverThere() {
    try (var m = newMachine(MODEL)) {
      m.long64(0).setGpr(RBX, DATA);
      m.memory.write(DATA, new byte[] {(byte) 0xb9, 1, 0, 0, 0, (byte) 0xc3}); // mov ecx, 1; ret
      run(
          m,
          a -> {
            transaction(a, "c6 43 01 02 ff d3 c6 f8 09"); // mov byte [rbx+1], 2; call rbx; xabort 9
            a.hex("48 89 c2"); // mov rdx, rax
            repeat(a, b -> b.hex("ff d3"));
          });
      assertEquals(0x0900_0001, m.gpr(RDX));
      assertEquals(1, m.gpr(RCX));
    }
  }

  @Test
  void testTellsWhetherOneRuns() {
    try (var m = newMachine(MODEL)) {
      m.long64(0);
      run(
          m,
          a ->
              repeat(
                  a,
                  b -> {
                    b.mov(RCX, 0).mov(RDX, 0);
                    transaction(b, "f9 " + XTEST + " 0f 94 c1 0f 92 c2"); // setz cl, setc dl
                    b.hex("c6 f8 05 f9").hex(XTEST).hex("0f 94 c5 0f 92 c6"); // xabort; ch, dh
                  }));
      assertEquals(NOT_ABORTED, m.gpr(RAX));
      assertEquals(0x100, m.gpr(RCX));
      assertEquals(0, m.gpr(RDX));
    }
  }

  @ParameterizedTest
  @CsvSource({
    // model, code, vector
    "v2, c7 f8 00 00 00 00, 6",
    "v2, c6 f8 00, 6",
    "v2, 0f 01 d5, 6",
    "v2, 0f 01 d6, 6",
    "v2, b9 22 01 00 00 0f 32, 13",
    "v2, b9 0a 01 00 00 0f 32, 13",
    "+, 0f 01 d5, 13",
    "+, 66 0f 01 d5, 6",
    "+, f3 0f 01 d6, 6",
    "+, f0 c7 f8 00 00 00 00, 6",
    "+, b9 22 01 00 00 b8 04 00 00 00 31 d2 0f 30, 13",
    "+, b9 0a 01 00 00 31 c0 31 d2 0f 30, 13",
    "+, 66 c7 f8 02 00 0f 0b cc, 3"
  })
  void whatIsNotThereFaults(String model, String code, int vector) {
    try (var m = newMachine(model.equals("+") ? MODEL : model)) {
      m.long64(0);
      run(m, a -> a.hex(code).hlt());
      assertEquals(vector, m.vector());
    }
  }

  @Test
  void controlRegisterSwitchesThemOffAndHidesThem() {
    try (var m = newMachine(MODEL)) {
      m.long64(0).setGpr(RBX, DATA);
      run(
          m,
          a -> {
            a.mov(RDI, DATA + 0x100).hex("fc");
            for (int control : new int[] {0, 2, 1, 0}) {
              a.wrmsr(TSX_CTRL, control);
              transaction(a, "48 ff 03");
              a.hex("48 ab"); // stosq
              for (int twice = 0; twice < 2; twice++) {
                a.mov32(RAX, 7).mov32(RCX, 0).hex("53 0f a2 89 d8 5b 48 ab"); // ebx of cpuid
              }
            }
            a.hlt();
          });
      for (int i = 0; i < 4; i++) {
        long at = DATA + 0x100 + 24 * i;
        assertEquals(i == 2 ? 0 : NOT_ABORTED, m.memory.readLong(at), "XBEGIN " + i);
        long bit = i == 1 ? 0 : 1;
        assertEquals(bit, m.memory.readLong(at + 8) >>> 11 & 1, "CPUID " + i);
        assertEquals(bit, m.memory.readLong(at + 16) >>> 11 & 1, "CPUID again " + i);
      }
      assertEquals(3, m.memory.readLong(DATA));
    }
  }

  @Test
  void singleStepAbortsThem() {
    try (var m = newMachine(MODEL)) {
      m.long64(0).set(CpuState.RFLAGS, 2 | TF);
      m.code(64, m.assembler(64).hex("c7 f8 04 00 00 00 90").hex(XEND).hlt());
      m.run();
      assertEquals(1, m.vector());
      assertEquals(CODE + 10, m.stack(8, 0));
      assertEquals(0, m.gpr(RAX));
    }
  }

  @Test
  void aWholeOneIsOneInstruction() {
    try (var m = newMachine(MODEL)) {
      m.long64(0).setGpr(RBX, DATA);
      m.code(64, m.assembler(64).hex("c7 f8 09 00 00 00 48 ff 03 48 ff 03").hex(XEND).hlt());
      assertInstanceOf(Exit.BudgetSpent.class, m.cpu.run(1));
      assertEquals(2, m.memory.readLong(DATA));
      assertEquals(CODE + 15, m.rip());
      assertEquals(1, m.cpu.instructions());
    }
  }

  @Test
  void processorsSeeAllOfOneOrNothing() {
    try (var m = new TestMachine(engine, CpuModel.parse(MODEL), 2)) {
      int rounds = 2000;
      Consumer<Assembler> code =
          a ->
              a.mov(RBX, DATA)
                  .mov(RCX, rounds)
                  .mov(RDX, 0)
                  .label("loop")
                  .hex("c7 f8 fa ff ff ff") // again if it aborts
                  .hex("48 8b 03 48 ff c0 48 89 03") // [rbx] = [rbx] + 1
                  .hex("48 ff 83 00 10 00 00") // inc qword [rbx+0x1000]
                  .hex("48 3b 83 00 10 00 00 0f 95 c0 48 0f b6 c0 48 01 c2") // rdx += differs
                  .hex(XEND)
                  .dec(RCX)
                  .jnz("loop");
      MultiprocessorTest.both(m, code, code);
      assertEquals(2 * rounds, m.memory.readLong(DATA));
      assertEquals(2 * rounds, m.memory.readLong(DATA + 0x1000));
      assertEquals(0, m.cpus[0].state().gpr(RDX));
      assertEquals(0, m.cpus[1].state().gpr(RDX));
    }
  }
}
