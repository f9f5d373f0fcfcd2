package dev.bothy.x86.directed;

import static dev.bothy.x86.directed.TestMachine.*;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;

import dev.bothy.core.cpu.CpuState;
import dev.bothy.x86.assemble.Assembler;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Instructions of kernels, and CPUID, that run so often that they have code of their own. */
class HotSystemTest extends EngineTest {
  private static final int ROUNDS = 400;
  private static final int SWITCH = 0x40;
  private static final int FORGET = 0x41;
  private static final int CPUID_ROUNDS = 2;
  private static final int SUBLEAVES = 12;
  private static final long ALL = P | W | U;
  private static final long KEEP = 1L << 63;
  private static final int PCIDE = 1 << 17;
  private static final int OSXSAVE = 1 << 18;
  private static final long TABLES = 0xc0_0000;
  private static final long ORDER = DATA + 0x4_0000;

  /** Pages that each space has of its own, in a region without large ones: data, then code. */
  private static final long OWN = 0x4000_0000L + DATA + 0x5000;

  private static final long FRAMES = DATA + 0x8_0000;

  private static long tables(int space) {
    return TABLES + space * 0x5000L;
  }

  private static void spaces(TestMachine m, int count) {
    for (int i = 0; i < 8; i++) {
      m.memory.writeLong(PD + 8 * i, (long) i << 21 | ALL | LARGE | G);
    }
    byte[] copy = new byte[0x4000];
    m.memory.read(PML4, copy, 0, copy.length);
    for (int n = 0; n < count; n++) {
      long at = tables(n);
      m.memory.write(at, copy);
      m.memory.writeLong(at, at + 0x1000 | ALL);
      m.memory.writeLong(at + 0x1000, at + 0x2000 | ALL);
      m.memory.writeLong(at + 0x1008, at + 0x4000 | ALL);
      m.memory.writeLong(at + 0x4008, at + 0x3000 | ALL);
      long frame = FRAMES + 0x4000L * n;
      long entry = at + 0x3000 + (entryOf(OWN) & 0xfff);
      m.memory.writeLong(entry, frame | ALL);
      m.memory.writeLong(entry + 8, frame + 0x1000 | ALL);
      m.memory.writeLong(frame, 1000 + n);
      m.memory.writeLong(frame + 0x2000, 5000 + n);
      // mov eax, n; ret
      m.memory.write(frame + 0x1000, new byte[] {(byte) 0xb8, (byte) n, 0, 0, 0, (byte) 0xc3});
    }
  }

  private static void handler(TestMachine m, int vector, Assembler code) {
    m.memory.write(HANDLERS + 16 * vector, code.hex("48 cf").toBytes());
  }

  @ParameterizedTest
  @ValueSource(ints = {2, 8, 12})
  void userCodeSeesItsOwnSpaceAfterEachSwitch(int count) {
    SplittableRandom random = new SplittableRandom(count);
    int[] order = random.ints(ROUNDS, 0, count).toArray();
    likeTheInterpreter(
        count + " spaces",
        m -> {
          spaces(m, count);
          handler(m, SWITCH, new Assembler(64, 0).movToControl(3, RDI));
          handler(m, FORGET, new Assembler(64, 0).invlpg(RBX));
          CpuState s = m.long64(3);
          s.set(CpuState.CR4, CR4_LONG | PCIDE);
          s.set(CpuState.CR3, tables(0) | 1);
          for (int i = 0; i < ROUNDS; i++) {
            m.memory.writeLong(ORDER + 8L * i, tables(order[i]) | order[i] + 1 | KEEP);
          }
          var a = m.assembler(64).mov(RSI, ORDER).mov(9, 0).mov(15, ROUNDS);
          a.mov(RBX, OWN).mov(8, OWN + 0x1000).label("loop");
          a.load(RDI, RSI, 0).interrupt(SWITCH).load(RAX, RBX, 0);
          a.hex("4d 6b c9 1f 49 01 c1 41 ff d0 49 01 c1"); // r9 = 31 * r9 + rax; call r8; r9 += rax
          a.cmp(15, ROUNDS / 4).jnz("same").interrupt(FORGET).label("same");
          a.add(RSI, 8).dec(15).jnz("loop");
          m.code(64, a.hex("0f 0b"));
          m.run();
        },
        m -> {
          assertEquals(6, m.vector());
          long sum = 0;
          for (int n : order) {
            sum = 31 * sum + 1000 + n + n;
          }
          assertEquals(sum, m.gpr(9));
        });
  }

  @Test
  void pageThatIsForgottenIsAnotherOneNextTime() {
    likeTheInterpreter(
        "invlpg",
        m -> {
          spaces(m, 1);
          handler(m, FORGET, new Assembler(64, 0).invlpg(RBX));
          CpuState s = m.long64(3);
          s.set(CpuState.CR4, CR4_LONG | PCIDE);
          s.set(CpuState.CR3, tables(0) | 1);
          long entry = tables(0) + 0x3000 + (entryOf(OWN) & 0xfff);
          var a = m.assembler(64).mov(15, ROUNDS).mov(9, 0).mov(RBX, OWN).mov(RDI, entry);
          a.label("loop").load(RAX, RBX, 0).hex("4d 6b c9 1f 49 01 c1");
          // From one frame to the other and back.
          a.load(RAX, RDI, 0).hex("48 35 00 20 00 00"); // xor rax, 0x2000
          a.store(RDI, 0, RAX).interrupt(FORGET).dec(15).jnz("loop");
          m.code(64, a.hex("0f 0b"));
          m.run();
        },
        m -> {
          assertEquals(6, m.vector());
          long sum = 0;
          for (int i = 0; i < ROUNDS; i++) {
            sum = 31 * sum + (i % 2 == 0 ? 1000 : 5000);
          }
          assertEquals(sum, m.gpr(9));
        });
  }

  /** Folds CPUID of EBP, several subleaves, into R9. */
  private static void ask(Assembler a, long leaf) {
    a.mov(RBP, leaf).call("ask");
  }

  @Test
  void cpuidLeavesTheFlagsAsTheyAre() {
    likeTheInterpreter(
        "cpuid",
        m -> {
          m.long64(0);
          var a = m.assembler(64).mov(15, ROUNDS).mov(9, 0).label("loop");
          a.cmp(15, ROUNDS / 2).mov(RAX, 0).hex("0f a2").hex("49 83 d1 00"); // cpuid; adc r9, 0
          m.code(64, a.dec(15).jnz("loop").hlt());
          m.run();
        },
        m -> assertEquals(ROUNDS / 2 - 1, m.gpr(9)));
  }

  @Test
  void cpuidAnswersTheSameEachTimeButForWhatHasChanged() {
    long[] seen = new long[4];
    likeTheInterpreter(
        "cpuid",
        m -> {
          m.long64(0).set(CpuState.CR4, CR4_LONG);
          m.state().set(CpuState.XCR0, 1);
          var a = m.assembler(64).mov(13, ORDER).jmp("start");
          a.label("ask").mov(RSI, 0).label("next").movRegister(RAX, RBP).movRegister(RCX, RSI);
          a.hex("0f a2");
          for (String register : new String[] {"c1", "d9", "c9", "d1"}) {
            // r9 = 31 * r9 + rax, rbx, rcx, rdx
            a.hex("4d 6b c9 1f").hex("49 01 " + register);
          }
          a.inc(RSI).cmp(RSI, SUBLEAVES).jnz("next").ret();
          a.label("all").mov(9, 0).mov(15, CPUID_ROUNDS).label("again");
          for (long leaf = 0; leaf < 0x12; leaf++) {
            ask(a, leaf);
            ask(a, 0x4000_0000L + leaf);
            ask(a, 0x8000_0000L + leaf);
          }
          ask(a, 0x8000_0021L);
          a.dec(15).jnz("again").store(13, 0, 9).add(13, 8).ret();
          a.label("start").call("all").call("all");
          a.mov(RAX, CR4_LONG | OSXSAVE).movToControl(4, RAX).call("all");
          a.mov(RAX, 3).mov(RDX, 0).mov(RCX, 0).hex("0f 01 d1").call("all"); // xsetbv
          m.code(64, a.hlt());
          m.run();
        },
        m -> {
          for (int i = 0; i < 4; i++) {
            seen[i] = m.memory.readLong(ORDER + 8 * i);
          }
          assertEquals(seen[0], seen[1]);
          assertNotEquals(seen[1], seen[2], "OSXSAVE");
          // The size of the area for what is enabled is the same for x87 and SSE.
          assertEquals(seen[2], seen[3]);
        });
  }
}
