package dev.bothy.x86.interpret;

import static dev.bothy.host.RawMemory.getLong;
import static dev.bothy.host.RawMemory.putInt;
import static dev.bothy.host.RawMemory.putLong;

import dev.bothy.core.cpu.CpuState;
import dev.bothy.host.RawMemory;
import dev.bothy.x86.translate.ProcessorIdentity;

/** CPUID's answers, kept where generated code finds them until something changes that they tell. */
final class CpuidAnswers {
  private CpuidAnswers() {}

  /** Whether its APIC is enabled has to be asked for each time. */
  private static final int FEATURES = 1;

  /** Notes what CPUID has answered. */
  static void note(Processor cpu, int leaf, int subleaf, int[] answer) {
    if (leaf == FEATURES) {
      return;
    }
    int offset =
        hasSubleaves(leaf)
            ? ProcessorIdentity.answer(leaf, subleaf)
            : ProcessorIdentity.answer(leaf);
    long at = cpu.state + offset;
    putInt(at, leaf);
    putInt(at + 4, subleaf);
    putInt(at + 8, 1);
    for (int i = 0; i < 4; i++) {
      putInt(at + 16 + 4 * i, answer[i]);
    }
  }

  private static boolean hasSubleaves(int leaf) {
    return switch (leaf) {
      case 4, 7, 0xb, 0xd -> true;
      default -> false;
    };
  }

  /** Forgets all if XCR0 is another than when this was called last. */
  static void check(Processor cpu) {
    long at = cpu.state + EngineArea.CPUID_XCR0;
    long enabled = getLong(cpu.state + CpuState.XCR0);
    if (getLong(at) != enabled) {
      putLong(at, enabled);
      forget(cpu);
    }
  }

  /** Forgets all: something else has changed that CPUID tells. */
  static void forget(Processor cpu) {
    long size = EngineArea.CPUID_XCR0 - EngineArea.CPUID_LEAVES;
    RawMemory.segment(cpu.state + EngineArea.CPUID_LEAVES, size).fill((byte) 0);
  }
}
