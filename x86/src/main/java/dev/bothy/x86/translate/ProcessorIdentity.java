package dev.bothy.x86.translate;

import static dev.bothy.assemble.Assembler.NONE;
import static dev.bothy.assemble.Assembler.RBX;
import static dev.bothy.assemble.Assembler.RCX;
import static dev.bothy.assemble.Assembler.RDX;

import dev.bothy.assemble.Assembler;
import dev.bothy.core.cpu.CpuState;
import dev.bothy.x86.interpret.EngineArea;

/** CPUID: what the interpreter has answered before, as long as that holds. */
public final class ProcessorIdentity {
  private static final int EAX = Home.of(CpuState.RAX);

  private ProcessorIdentity() {}

  /** Offset in the state of the answer for a leaf that has no subleaves. */
  public static int answer(int leaf) {
    return EngineArea.CPUID_LEAVES
        + (leaf + (leaf >>> LEAF_SHIFT) & EngineArea.CPUID_LEAVES_COUNT - 1)
            * EngineArea.CPUID_ANSWER;
  }

  /** The same for one that has. */
  public static int answer(int leaf, int subleaf) {
    return EngineArea.CPUID_SUBLEAVES
        + ((leaf << LEAF_SCALE) + subleaf & EngineArea.CPUID_SUBLEAVES_COUNT - 1)
            * EngineArea.CPUID_ANSWER;
  }

  private static final int LEAF_SHIFT = 27;
  private static final int LEAF_SCALE = 3;
  private static final int ANSWER_SHIFT = Integer.numberOfTrailingZeros(EngineArea.CPUID_ANSWER);

  // Fields of an answer.
  private static final int SUBLEAF = 4;
  private static final int KNOWN = 8;
  private static final int RESULT = 16;

  /**
   * Writes the code of CPUID. Returns with CF set, and nothing done, if it is the interpreter's; A
   * and V are lost.
   */
  static void write(Assembler a) {
    a.mov(4, Home.A, EAX);
    a.shift(Assembler.SHR, 4, Home.A, LEAF_SHIFT);
    a.alu(Assembler.ADD, 4, Home.A, EAX);
    place(a, EngineArea.CPUID_LEAVES, EngineArea.CPUID_LEAVES_COUNT);
    a.aluLoad(Assembler.CMP, 4, EAX, Home.A, NONE, 0);
    int other = a.shortForward(Assembler.NE);
    a.aluStoreImmediate(Assembler.CMP, 4, Home.A, KNOWN, 0);
    int found = a.shortForward(Assembler.NE);
    a.bindShort(other);
    a.memory(0, 4, 0x8d, Home.A, RCX, EAX, LEAF_SCALE, 0); // LEA
    place(a, EngineArea.CPUID_SUBLEAVES, EngineArea.CPUID_SUBLEAVES_COUNT);
    a.aluLoad(Assembler.CMP, 4, EAX, Home.A, NONE, 0);
    int unknown = a.shortForward(Assembler.NE);
    a.aluLoad(Assembler.CMP, 4, RCX, Home.A, NONE, SUBLEAF);
    int unknownToo = a.shortForward(Assembler.NE);
    a.aluStoreImmediate(Assembler.CMP, 4, Home.A, KNOWN, 0);
    int never = a.shortForward(Assembler.E);
    a.bindShort(found);
    a.load(4, EAX, Home.A, RESULT);
    a.load(4, RBX, Home.A, RESULT + 4);
    a.load(4, RCX, Home.A, RESULT + 8);
    a.load(4, RDX, Home.A, RESULT + 12);
    a.int8(0xf8); // CLC
    a.ret();
    a.bindShort(unknown);
    a.bindShort(unknownToo);
    a.bindShort(never);
    a.int8(0xf9); // STC
    a.ret();
  }

  /** A: the answer at the place in A of {@code count}. */
  private static void place(Assembler a, int answers, int count) {
    a.aluImmediate(Assembler.AND, 4, Home.A, count - 1);
    a.shift(Assembler.SHL, 4, Home.A, ANSWER_SHIFT);
    a.lea(8, Home.A, Home.BASE, Home.A, 0, Home.state(answers));
  }
}
