package dev.bothy.x86.interpret;

import dev.bothy.core.cpu.CpuState;
import dev.bothy.x86.decode.Instruction;

/** PUSH, POP, PUSHA, POPA, ENTER and LEAVE in every mode. */
final class StackOps {
  private StackOps() {}

  static void execute(Processor cpu, Instruction i) {
    switch (i.op) {
      case PUSH -> push(cpu, i);
      case POP -> pop(cpu, i);
      case PUSHA -> pushAll(cpu, i);
      case POPA -> popAll(cpu, i);
      case ENTER -> enter(cpu, i);
      default -> leave(cpu, i);
    }
  }

  private static void push(Processor cpu, Instruction i) {
    if (i.kind[0] == Instruction.SEGMENT_REGISTER) {
      // AMD processors write the whole operand, the selector zero-extended.
      cpu.push(i.operandSize, cpu.segmentSelector(i.register[0]) & 0xffff);
      return;
    }
    cpu.push(i.operandSize, Operands.read(cpu, i, 0));
  }

  private static void pop(Processor cpu, Instruction i) {
    int size = i.operandSize;
    if (i.kind[0] == Instruction.SEGMENT_REGISTER) {
      int selector = (int) cpu.peek(size, 0) & 0xffff;
      long sp = cpu.rsp() + size;
      long mask = cpu.stackMask;
      cpu.loadSegmentRegister(i.register[0], selector);
      // POP SS moves the pointer by the old stack's size.
      long newMask = cpu.stackMask;
      cpu.stackMask = mask;
      cpu.setRsp(sp);
      cpu.stackMask = newMask;
      if (i.register[0] == CpuState.SS) {
        cpu.shadow(true);
      }
      return;
    }
    long value = cpu.peek(size, 0);
    if (i.kind[0] == Instruction.GPR) {
      cpu.setRsp(cpu.rsp() + size);
      Operands.setGpr(cpu, i.register[0], size, value);
      return;
    }
    // The address of a memory destination based on rSP is computed after the pop; a fault undoes
    // it.
    long old = cpu.gpr(CpuState.RSP);
    cpu.setRsp(old + size);
    try {
      cpu.storeSized(cpu.linear(i.segment, cpu.offset(i), size, true), size, value);
    } catch (GuestFault | VirtualExit f) {
      cpu.setGpr(CpuState.RSP, old);
      throw f;
    }
  }

  private static void pushAll(Processor cpu, Instruction i) {
    int size = i.operandSize;
    long sp = cpu.rsp();
    // One after the other, as AMD processors do: a fault on the way leaves the words stored before
    // it, and the stack pointer as it was.
    for (int r = 0; r < 8; r++) {
      long value = r == CpuState.RSP ? sp : cpu.gpr(r);
      cpu.storeSized(cpu.stackLinear(sp - (r + 1L) * size, size, true), size, value);
    }
    cpu.setRsp(sp - 8L * size);
  }

  private static void popAll(Processor cpu, Instruction i) {
    int size = i.operandSize;
    // One after the other: a fault on the way leaves the registers popped before it, and the stack
    // pointer as it was.
    for (int n = 0; n < 8; n++) {
      long value = cpu.peek(size, n * size);
      if (7 - n != CpuState.RSP) {
        Operands.setGpr(cpu, 7 - n, size, value);
      }
    }
    cpu.setRsp(cpu.rsp() + 8L * size);
  }

  private static void enter(Processor cpu, Instruction i) {
    int size = i.operandSize;
    int level = (int) i.immediate2 & 31;
    long frame = cpu.gpr(CpuState.RBP);
    long sp = cpu.rsp();
    long at = sp - size;
    cpu.storeSized(cpu.stackLinear(at, size, true), size, frame);
    long frameTemp = at;
    if (level > 0) {
      for (int n = 1; n < level; n++) {
        frame -= size;
        long value = cpu.loadSized(cpu.stackLinear(frame, size, false), size);
        at -= size;
        cpu.storeSized(cpu.stackLinear(at, size, true), size, value);
      }
      at -= size;
      cpu.storeSized(cpu.stackLinear(at, size, true), size, frameTemp);
    }
    at -= i.immediate & 0xffff;
    // ENTER checks that the new top of stack could be written.
    cpu.probeStore(cpu.stackLinear(at, size, true), 1);
    cpu.setRsp(at);
    setFramePointer(cpu, size, frameTemp);
  }

  private static void setFramePointer(Processor cpu, int size, long value) {
    Operands.setGpr(cpu, CpuState.RBP, cpu.stackMask == 0xffff && size == 4 ? 2 : size, value);
  }

  private static void leave(Processor cpu, Instruction i) {
    int size = i.operandSize;
    long frame = cpu.gpr(CpuState.RBP);
    long value = cpu.loadSized(cpu.stackLinear(frame, size, false), size);
    cpu.setRsp(frame + size);
    Operands.setGpr(cpu, CpuState.RBP, size, value);
  }
}
