package dev.bothy.x86.directed;

import static dev.bothy.x86.directed.TestMachine.*;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.bothy.core.cpu.CpuState;
import dev.bothy.x86.assemble.Assembler;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Accesses that lie close together, which an engine may look up together. */
class CloseAccessTest extends EngineTest {
  private static final int ROUNDS = 60;

  /** Start of the second of two pages. */
  private static final long EDGE = DATA + 0x6000;

  private static final long LIST = DATA + 0x1000;
  private static final long DIRTY = 0x40;
  private static final int[] PLACES = {0x200, 0x80, 32, 16, 8, 4, 1, 0, -16, 24, 0x100};

  private static void aside(TestMachine m, int vector) {
    m.gate64(vector, CODE64, HANDLERS + 16 * vector, 0x8e, 1);
  }

  /** Starts a program that runs {@code body} often for each address in the list. */
  private static Assembler forEach(TestMachine m, String body, long... addresses) {
    for (int i = 0; i < addresses.length; i++) {
      m.memory.writeLong(LIST + 8L * i, addresses[i]);
    }
    m.memory.writeLong(LIST + 8L * addresses.length, 0);
    var a = m.assembler(64).mov(14, LIST).mov(RDX, 0x1234).label("outer").mov(15, ROUNDS);
    a.label("loop").load(RBX, 14, 0).movRegister(RSP, RBX).movRegister(RSI, RBX).mov(RCX, 1);
    a.mov(RDI, LIST + 0x800).hex(body).addRegister(13, RAX).addRegister(13, RDX).dec(15);
    a.jnz("loop").mov(RSP, KERNEL_STACK).add(14, 8).load(RAX, 14, 0).cmp(RAX, 0).jnz("outer");
    return a;
  }

  private static long[] around(long edge) {
    long[] addresses = new long[PLACES.length];
    for (int i = 0; i < PLACES.length; i++) {
      addresses[i] = edge - PLACES[i];
    }
    return addresses;
  }

  private static void fill(TestMachine m) {
    for (int i = -0x400; i < 0x400; i += 8) {
      m.memory.writeLong(EDGE + i, i * 0x9e37_79b9_7f4a_7c15L);
    }
  }

  private static final String READS = "48 8b 03 48 03 53 08 48 33 43 10 0f b6 4b 1f";

  @ParameterizedTest
  @ValueSource(
      strings = {
        READS,
        "48 89 43 10 48 8b 53 08 48 01 13 48 c7 43 18 44 33 22 11", // stores and loads
        "50 51 52 5a 59 58 48 8b 44 24 f0", // push, pop, and what lies beside
        "48 83 ec 20 48 89 04 24 48 8b 54 24 18 48 83 c4 20", // a frame
        "55 48 89 e5 48 89 4d f8 48 8b 45 f8 c9", // a frame by RBP
        "48 8b 43 08 48 83 c3 10 48 03 43 08 48 8d 5b f8 48 01 03 48 ff c3 8a 13", // steps
        "f0 48 ff 43 18 48 8b 03 48 87 43 18 f0 48 0f c1 43 18", // atomics
        "0f 10 03 0f 11 43 10 f2 0f 58 43 08 0f 11 43 20 48 8b 43 08", // vectors
        "48 8b 04 8b 48 03 44 8b 04 48 ff c1 48 03 44 8b 04", // with an index
        "48 8b 03 48 87 df 48 03 03 48 89 43 08 48 87 df 48 03 43 08", // exchanged registers
        "48 8b 03 48 89 fb 48 03 03 48 89 de 48 03 46 08", // copied registers
        "48 8b 03 48 0f b1 4b 08 48 03 43 08", // cmpxchg writes RAX
        "48 8b 03 48 3b 43 08 76 04 48 89 43 10 48 03 43 10", // a store behind a jump
        "48 3b 43 08 48 8b 43 10 48 8b 53 18 9c 58", // flags over loads
        "48 3b 43 08 48 89 53 10 0f 92 43 18 48 13 43 10 48 0f 42 43 18", // flags used
        "48 8b 03 a4 48 03 06 48 03 43 08", // a string instruction moves RSI
        "8b 83 00 f8 ff ff 8b 93 fc f9 ff ff 8b 8b 00 fa ff ff", // far below the register
        "48 8b 03 5b 48 03 04 24 48 89 e3 48 03 03" // pop into the base
      })
  void mayLieOnTwoPages(String body) {
    likeTheInterpreter(
        body,
        m -> {
          m.long64(0).set(CpuState.CR4, CR4_LONG);
          fill(m);
          m.code(64, forEach(m, body, around(EDGE)).hlt());
          m.run();
        },
        m -> assertEquals(LIST + 8L * PLACES.length, m.gpr(14)));
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        READS,
        "48 8b 43 10 48 8b 03 48 8b 53 20", // not in order
        "48 89 43 10 48 89 03 48 89 53 20",
        "48 8b 03 48 89 43 10 48 89 43 20",
        "48 8b 03 48 8b 43 10 48 89 43 20",
        "48 89 04 24 48 89 54 24 18 58 50 48 8b 44 24 20"
      })
  void faultWhereTheSecondPageIsGone(String body) {
    for (int before : new int[] {40, 32, 24, 20, 16, 12, 8, 4, 0}) {
      likeTheInterpreter(
          body + " " + before,
          m -> {
            m.long64(0).set(CpuState.CR4, CR4_LONG);
            aside(m, 14);
            fill(m);
            var a = forEach(m, body, EDGE - 0x200, EDGE - before - 0x100, EDGE - before);
            a.cmp(12, 1)
                .jz("end")
                .mov(12, 1)
                .mov(RCX, entryOf(EDGE))
                .mov(RAX, 0)
                .store(RCX, 0, RAX);
            a.mov(RCX, EDGE).invlpg(RCX).mov(14, LIST + 16).mov(RDX, 0x1234).mov(15, 1);
            m.code(64, a.jmp("loop").label("end").hlt());
            m.run();
          },
          m -> assertTrue(before > 8 || m.rip() < CODE, "faulted"));
    }
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "48 8b 03 48 89 43 08", // a load, then a store
        "48 8b 03 85 d2 74 04 48 89 43 08", // only if EDX is not 0
        "48 8b 03 48 8b 53 10 48 01 43 08"
      })
  void storesFaultOnAPageThatMayOnlyBeRead(String body) {
    likeTheInterpreter(
        body,
        m -> {
          m.long64(0).set(CpuState.CR4, CR4_LONG);
          aside(m, 14);
          fill(m);
          var a = forEach(m, body, EDGE, EDGE + 8);
          a.mov(RCX, entryOf(EDGE)).mov(RAX, EDGE | P | U).store(RCX, 0, RAX);
          a.mov(RCX, EDGE).invlpg(RCX).mov(14, LIST).mov(RDX, 0x77).mov(15, 1).jmp("loop");
          m.code(64, a);
          m.run();
        },
        m -> assertTrue(m.rip() < CODE, "faulted"));
  }

  @Test
  void pageStaysCleanWhenTheStoreIsNotReached() {
    likeTheInterpreter(
        "clean",
        m -> {
          m.long64(0).set(CpuState.CR4, CR4_LONG);
          aside(m, 0);
          fill(m);
          // mov rax, [rbx]; xor edx, edx; div rcx; mov [rbx+8], rax
          var a = forEach(m, "48 8b 03 31 d2 48 f7 f1 48 89 43 08", EDGE - 0x800, EDGE - 0x700);
          a.mov(RBX, EDGE).mov(RCX, entryOf(EDGE)).mov(RAX, EDGE | P | W | U).store(RCX, 0, RAX);
          a.invlpg(RBX).mov(RCX, 0).mov(15, 1).jmp("in");
          m.code(64, a.label("in").hex("48 8b 03 31 d2 48 f7 f1 48 89 43 08").hlt());
          m.run();
        },
        m -> assertEquals(0, m.memory.readLong(entryOf(EDGE)) & DIRTY));
  }

  @Test
  void pageStaysCleanInHotCodeWhenTheStoreIsNotReached() {
    likeTheInterpreter(
        "clean, hot",
        m -> {
          m.long64(0).set(CpuState.CR4, CR4_LONG);
          aside(m, 0);
          fill(m);
          // The same code with a divisor of 0 the last time, from [rbx+16].
          m.memory.writeLong(EDGE - 0x800 + 16, 3);
          m.memory.writeLong(EDGE - 0x700 + 16, 5);
          m.memory.writeLong(EDGE + 16, 0);
          m.memory.writeLong(entryOf(EDGE), EDGE | P | W | U);
          String body = "48 8b 03 31 d2 48 f7 73 10 48 89 43 08";
          m.code(64, forEach(m, body, EDGE - 0x800, EDGE - 0x700, EDGE).hlt());
          m.run();
        },
        m -> assertEquals(0, m.memory.readLong(entryOf(EDGE)) & DIRTY));
  }

  @Test
  void segmentBaseChangesBetween() {
    likeTheInterpreter(
        "fs",
        m -> {
          m.long64(0).set(CpuState.CR4, CR4_LONG | 1 << 16);
          fill(m);
          // wrfsbase rbx; mov rax, fs:[0x28]; wrfsbase rdi; add rax, fs:[0x28]; add rax, fs:[0x30]
          String body =
              "f3 48 0f ae d3 64 48 8b 04 25 28 00 00 00 f3 48 0f ae d7"
                  + "64 48 03 04 25 28 00 00 00 64 48 03 04 25 30 00 00 00";
          m.memory.writeLong(LIST + 0x828, 1000);
          m.memory.writeLong(LIST + 0x830, 100);
          m.code(64, forEach(m, body, EDGE - 0x300, EDGE - 0x200).hlt());
          m.run();
        },
        m -> assertEquals(LIST + 16, m.gpr(14)));
  }
}
