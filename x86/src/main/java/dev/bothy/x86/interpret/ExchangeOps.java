package dev.bothy.x86.interpret;

import dev.bothy.core.cpu.CpuFeature;
import dev.bothy.core.cpu.CpuState;
import dev.bothy.host.AtomicStubs;
import dev.bothy.host.RawMemory;
import dev.bothy.x86.decode.Instruction;

/** XCHG, XADD, CMPXCHG and its wide forms. */
final class ExchangeOps {
  private ExchangeOps() {}

  static void execute(Processor cpu, Instruction i) {
    switch (i.op) {
      case XCHG -> exchange(cpu, i);
      case XADD -> add(cpu, i);
      case CMPXCHG -> compare(cpu, i);
      case CMPXCHG8B -> compare8(cpu, i);
      default -> compare16(cpu, i);
    }
  }

  private static void exchange(Processor cpu, Instruction i) {
    if (i.kind[0] != Instruction.MEMORY) {
      long a = Operands.read(cpu, i, 0);
      long b = Operands.read(cpu, i, 1);
      Operands.write(cpu, i, 0, b);
      Operands.write(cpu, i, 1, a);
      return;
    }
    long b = Operands.read(cpu, i, 1);
    long a;
    boolean done;
    do {
      a = Operands.load(cpu, i);
      // XCHG with memory locks without being told.
      if (cpu.alone) {
        cpu.storeSized(cpu.updateAt, i.size[0], b);
        done = true;
      } else {
        done = Operands.exchange(cpu, cpu.updateAt, i.size[0], a, b);
      }
    } while (!done);
    Operands.write(cpu, i, 1, a);
  }

  private static void add(Processor cpu, Instruction i) {
    long b = Operands.read(cpu, i, 1);
    long a;
    if (i.kind[0] != Instruction.MEMORY) {
      a = Operands.read(cpu, i, 0);
      Operands.write(cpu, i, 1, a);
      Operands.write(cpu, i, 0, a + b);
    } else {
      do {
        a = Operands.load(cpu, i);
      } while (!Operands.store(cpu, i, a, a + b));
      Operands.write(cpu, i, 1, a);
    }
    Alu.add(cpu, a, b, IntegerOps.shift(i));
  }

  private static void compare(Processor cpu, Instruction i) {
    int size = i.size[0];
    long expected = Operands.mask(cpu.gpr(CpuState.RAX), size);
    long b = Operands.read(cpu, i, 1);
    long a;
    boolean equal;
    do {
      a = Operands.load(cpu, i);
      equal = a == expected;
      if (!equal && i.kind[0] != Instruction.MEMORY) {
        break; // a register keeps its upper half as well
      }
      // Memory is written either way, as on the processor.
    } while (!Operands.store(cpu, i, a, equal ? b : a));
    if (!equal) {
      Operands.setGpr(cpu, CpuState.RAX, size, a);
    }
    Alu.sub(cpu, expected, a, IntegerOps.shift(i));
  }

  private static void compare8(Processor cpu, Instruction i) {
    long at = cpu.linear(i.segment, cpu.offset(i), 8, true);
    long expected = cpu.gpr(CpuState.RDX) << 32 | cpu.gpr(CpuState.RAX) & 0xffff_ffffL;
    long wanted = cpu.gpr(CpuState.RCX) << 32 | cpu.gpr(CpuState.RBX) & 0xffff_ffffL;
    long a;
    boolean done;
    do {
      a = cpu.loadForUpdate(at, 8);
      long r = a == expected ? wanted : a;
      if (i.lock && !cpu.alone) {
        done = Operands.exchange(cpu, at, 8, a, r);
      } else {
        cpu.store64(at, r);
        done = true;
      }
    } while (!done);
    if (a != expected) {
      cpu.setGpr32(CpuState.RAX, (int) a);
      cpu.setGpr32(CpuState.RDX, (int) (a >>> 32));
    }
    setZero(cpu, a == expected);
  }

  private static void setZero(Processor cpu, boolean zero) {
    int flags = cpu.arithmeticFlags();
    cpu.setArithmeticFlags(zero ? flags | Bits.ZF : flags & ~Bits.ZF);
  }

  private static void compare16(Processor cpu, Instruction i) {
    if (!cpu.model.has(CpuFeature.CX16)) {
      throw cpu.ud();
    }
    long at = SseOperand.aligned(cpu, i);
    long host = cpu.updateAddress(at, 16);
    boolean equal;
    if (i.lock && !cpu.alone && host != 0 && AtomicStubs.available()) {
      // The value found comes back behind the portable state.
      long found = cpu.scratch;
      equal =
          AtomicStubs.compareAndExchange16(
              host,
              cpu.gpr(CpuState.RAX),
              cpu.gpr(CpuState.RDX),
              cpu.gpr(CpuState.RBX),
              cpu.gpr(CpuState.RCX),
              found);
      if (!equal) {
        cpu.setGpr(CpuState.RAX, RawMemory.getLong(found));
        cpu.setGpr(CpuState.RDX, RawMemory.getLong(found + 8));
      }
    } else if (i.lock && !cpu.alone) {
      boolean[] result = new boolean[1];
      cpu.engine.exclusive.run(() -> result[0] = plain16(cpu, at));
      equal = result[0];
    } else {
      equal = plain16(cpu, at);
    }
    setZero(cpu, equal);
  }

  private static boolean plain16(Processor cpu, long at) {
    cpu.probeStore(at, 16);
    long low = cpu.load64(at);
    long high = cpu.load64(at + 8);
    if (low == cpu.gpr(CpuState.RAX) && high == cpu.gpr(CpuState.RDX)) {
      cpu.store128(at, cpu.gpr(CpuState.RBX), cpu.gpr(CpuState.RCX));
      return true;
    }
    cpu.setGpr(CpuState.RAX, low);
    cpu.setGpr(CpuState.RDX, high);
    return false;
  }
}
