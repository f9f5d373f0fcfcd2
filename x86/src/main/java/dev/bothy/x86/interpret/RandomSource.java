package dev.bothy.x86.interpret;

import static dev.bothy.host.RawMemory.getLong;
import static dev.bothy.host.RawMemory.putLong;

import dev.bothy.core.cpu.CpuState;
import java.security.SecureRandom;

/**
 * RDRAND and RDSEED: the host's generator, or under a test clock a sequence that is part of the
 * vCPU's state.
 */
final class RandomSource {
  private static final ThreadLocal<SecureRandom> SECURE =
      ThreadLocal.withInitial(SecureRandom::new);

  private RandomSource() {}

  static long next(Processor cpu) {
    if (!cpu.machine.deterministic()) {
      return SECURE.get().nextLong();
    }
    // SplitMix64.
    long seed = getLong(cpu.state + CpuState.RANDOM) + 0x9e37_79b9_7f4a_7c15L;
    putLong(cpu.state + CpuState.RANDOM, seed);
    long z = (seed ^ seed >>> 30) * 0xbf58_476d_1ce4_e5b9L;
    z = (z ^ z >>> 27) * 0x94d0_49bb_1331_11ebL;
    return z ^ z >>> 31;
  }
}
