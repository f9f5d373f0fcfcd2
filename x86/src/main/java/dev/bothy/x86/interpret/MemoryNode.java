package dev.bothy.x86.interpret;

import static dev.bothy.host.RawMemory.getLong;

import dev.bothy.core.cpu.CpuState;
import dev.bothy.x86.decode.Instruction;

/**
 * A node with a memory operand in 64-bit code with 64-bit addresses. Base, index and segment base
 * are slots of the state, the always-zero one where there is none, so that every address is the
 * same three additions.
 */
abstract class MemoryNode extends Node {
  private final long baseAt;
  private final long indexAt;
  private final long segmentAt;
  private final long displacement;
  private final int scale;

  /**
   * @param offset of the instruction in its block
   */
  MemoryNode(Processor cpu, Instruction i, int offset) {
    long zero = cpu.state + CpuState.ZERO;
    indexAt = i.index < 0 ? zero : cpu.state + CpuState.GPR + 8L * i.index;
    scale = i.scale;
    segmentAt =
        i.segment >= CpuState.FS
            ? cpu.state + CpuState.segment(i.segment, CpuState.SEGMENT_BASE)
            : zero;
    if (i.base == Instruction.RIP_BASE) {
      baseAt = cpu.ripAt;
      displacement = i.displacement + offset + i.length;
    } else {
      baseAt = i.base < 0 ? zero : cpu.state + CpuState.GPR + 8L * i.base;
      displacement = i.displacement;
    }
  }

  /** True if {@code i} may have such a node. */
  static boolean fits(Instruction i) {
    // Offsets in segments with a base have to be looked at.
    return i.mode == 64
        && i.addressSize == 8
        && (i.segment < CpuState.FS
            || i.base < 0 && i.index < 0 && i.displacement == (int) i.displacement);
  }

  final long address() {
    return getLong(baseAt) + (getLong(indexAt) << scale) + displacement + getLong(segmentAt);
  }
}
