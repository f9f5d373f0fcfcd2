package dev.bothy.x86.interpret;

import dev.bothy.core.cpu.CpuState;
import dev.bothy.x86.decode.Decoder;
import dev.bothy.x86.decode.Instruction;

/**
 * Whether a non-canonical address was a stack reference (#SS) or another (#GP): found by decoding
 * the instruction again.
 */
final class FaultVector {
  private FaultVector() {}

  static int of(Processor cpu, Block block, int at) {
    byte[] bytes = new byte[15];
    int have = 0;
    for (; have < bytes.length; have++) {
      long physical = block.physical + at + have;
      if (block.secondPage >= 0 && (physical & ~0xfffL) != (block.physical & ~0xfffL)) {
        physical = block.secondPage + (physical & 0xfff);
      }
      bytes[have] = (byte) cpu.memory.readByte(physical);
    }
    Instruction i = new Instruction();
    if (Decoder.decode(bytes, 0, have, cpu.codeBits, i) != Decoder.OK) {
      return GuestFault.GP;
    }
    cpu.at = at;
    for (int n = 0; n < i.operands; n++) {
      if (i.kind[n] == Instruction.MEMORY && !onTheStack(cpu, i, i.size[n])) {
        return i.segment == CpuState.SS ? GuestFault.SS : GuestFault.GP;
      }
    }
    return switch (i.op) {
      case PUSH, POP, PUSHF, POPF, CALL, RET, ENTER, LEAVE, CALL_FAR, RET_FAR, IRET ->
          GuestFault.SS;
      default -> GuestFault.GP;
    };
  }

  /** Of an instruction with a memory operand that also uses the stack: that was it. */
  private static boolean onTheStack(Processor cpu, Instruction i, int size) {
    return switch (i.op) {
      // The operand is read first.
      case PUSH, CALL -> isCanonical(cpu, operand(cpu, i), size);
      case POP -> !isCanonical(cpu, cpu.rsp(), size);
      default -> false;
    };
  }

  private static long operand(Processor cpu, Instruction i) {
    return cpu.offset(i) + (i.segment >= CpuState.FS ? cpu.segmentBase(i.segment) : 0);
  }

  /** True if {@code size} bytes from {@code linear} on are all canonical. */
  private static boolean isCanonical(Processor cpu, long linear, int size) {
    long last = linear + size - 1;
    return cpu.canonical(linear) && cpu.canonical(last);
  }
}
