package dev.bothy.x86.interpret;

import dev.bothy.core.cpu.CpuState;
import dev.bothy.x86.decode.Instruction;

/**
 * Branches in their general form, software interrupts and returns; AMD64 APM volume 3. Each ends
 * its block.
 */
final class ControlOps {
  private ControlOps() {}

  static void execute(Processor cpu, Instruction i) {
    switch (i.op) {
      case JMP -> {
        jump(cpu, i, target(cpu, i));
        ControlFlow.branched(cpu, i);
      }
      case CALL -> {
        long target = target(cpu, i);
        // The stack's faults come before those of the target.
        int size = i.operandSize;
        cpu.probeStore(cpu.stackLinear(cpu.rsp() - size, size, true), size);
        target = checked(cpu, i, target);
        long returnTo = Operands.mask(cpu.branchTo, i.operandSize);
        // A call of what follows is how programs learn where they are.
        boolean self = i.kind[0] == Instruction.RELATIVE && i.immediate == 0;
        if (ShadowStack.on(cpu) && !self) {
          ShadowStack.push(cpu, size, returnTo);
        }
        cpu.push(size, returnTo);
        cpu.branchTo = target;
        ControlFlow.branched(cpu, i);
      }
      case RET -> {
        long target = checked(cpu, i, cpu.peek(i.operandSize, 0));
        if (ShadowStack.on(cpu)) {
          ShadowStack.pop(cpu, i.operandSize, target);
        }
        cpu.setRsp(cpu.rsp() + i.operandSize + (i.operands > 0 ? i.immediate & 0xffff : 0));
        cpu.branchTo = target;
      }
      case JCC -> {
        if (cpu.condition(i.opcode & 15)) {
          jump(cpu, i, target(cpu, i));
        }
      }
      case LOOP, LOOPE, LOOPNE -> loop(cpu, i);
      case JRCXZ -> {
        if (Operands.mask(cpu.gpr(CpuState.RCX), i.addressSize) == 0) {
          jump(cpu, i, target(cpu, i));
        }
      }
      case JMP_FAR, CALL_FAR -> farBranch(cpu, i);
      case RET_FAR ->
          FarTransfer.ret(cpu, i.operandSize, i.operands > 0 ? (int) i.immediate & 0xffff : 0);
      case IRET -> FarTransfer.interruptReturn(cpu, i.operandSize);
      case SYSCALL -> FarTransfer.syscall(cpu);
      case SYSRET -> FarTransfer.sysret(cpu, i.operandSize);
      case SYSENTER -> FarTransfer.sysenter(cpu);
      case SYSEXIT -> FarTransfer.sysexit(cpu);
      case INT3 -> EventDelivery.softwareInterrupt(cpu, GuestFault.BP);
      case INT -> {
        int vector = (int) i.immediate & 0xff;
        if (cpu.virtual8086()) {
          EventDelivery.instruction(cpu, () -> VirtualMode.interrupt(cpu, vector));
        } else {
          EventDelivery.softwareInterrupt(cpu, vector);
        }
      }
      case INTO -> {
        if (cpu.of()) {
          EventDelivery.softwareInterrupt(cpu, GuestFault.OF);
        }
      }
      case INT1 -> EventDelivery.trap(cpu);
      case BOUND -> {
        int size = i.operandSize;
        long at = cpu.linear(i, 2 * size);
        long low = IntegerOps.signExtend(cpu.loadSized(at, size), size);
        long high = IntegerOps.signExtend(cpu.loadSized(at + size, size), size);
        long value = IntegerOps.signExtend(Operands.read(cpu, i, 0), size);
        if (value < low || value > high) {
          throw cpu.raise(GuestFault.BR);
        }
      }
      default -> throw cpu.ud();
    }
  }

  private static long target(Processor cpu, Instruction i) {
    return i.kind[0] == Instruction.RELATIVE
        ? cpu.branchTo + i.immediate
        : Operands.read(cpu, i, 0);
  }

  private static void jump(Processor cpu, Instruction i, long target) {
    cpu.branchTo = checked(cpu, i, target);
  }

  /** {@code target} cut to the operand size; #GP(0) if it is outside CS or not canonical. */
  private static long checked(Processor cpu, Instruction i, long target) {
    if (cpu.codeBits == 64) {
      target = Operands.mask(target, i.operandSize);
      if (!cpu.canonical(target)) {
        throw cpu.gp();
      }
      return target;
    }
    target = Operands.mask(target, i.operandSize == 2 ? 2 : 4);
    if (target > (cpu.segmentLimit(CpuState.CS) & 0xffff_ffffL)) {
      throw cpu.gp();
    }
    return target;
  }

  private static void loop(Processor cpu, Instruction i) {
    long count = Operands.mask(cpu.gpr(CpuState.RCX) - 1, i.addressSize);
    boolean taken =
        count != 0
            && switch (i.op) {
              case LOOPE -> cpu.zf();
              case LOOPNE -> !cpu.zf();
              default -> true;
            };
    long target = taken ? checked(cpu, i, target(cpu, i)) : cpu.branchTo;
    Operands.setGpr(cpu, CpuState.RCX, i.addressSize, count);
    cpu.branchTo = target;
  }

  private static void farBranch(Processor cpu, Instruction i) {
    int selector;
    long offset;
    if (i.kind[0] == Instruction.FAR_POINTER) {
      selector = (int) i.immediate2;
      offset = Operands.mask(i.immediate, i.operandSize);
    } else {
      // AMD processors have no 64-bit far pointers in memory: REX.W reads 32 bits of offset.
      int size = Math.min(i.operandSize, 4);
      long at = cpu.linear(i, size + 2);
      offset = cpu.loadSized(at, size);
      selector = cpu.load16(at + size);
    }
    if (i.op == dev.bothy.x86.decode.Op.CALL_FAR) {
      FarTransfer.call(cpu, selector & 0xffff, offset, i.operandSize);
    } else {
      FarTransfer.jump(cpu, selector & 0xffff, offset, i.operandSize);
    }
    if (i.kind[0] != Instruction.FAR_POINTER) {
      ControlFlow.entered(cpu);
    }
  }
}
