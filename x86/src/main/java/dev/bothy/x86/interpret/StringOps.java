package dev.bothy.x86.interpret;

import dev.bothy.core.cpu.CpuState;
import dev.bothy.host.RawMemory;
import dev.bothy.x86.decode.Instruction;
import dev.bothy.x86.decode.Op;
import java.lang.foreign.MemorySegment;

/**
 * MOVS, CMPS, STOS, LODS, SCAS, INS and OUTS with their repeat prefixes. Between two iterations
 * everything is architectural: a fault or an interrupt leaves registers so that the instruction
 * goes on where it was. Runs of MOVS and STOS inside pages of RAM are moved at once; the attention
 * word is looked at between such pieces.
 */
final class StringOps {
  /** Iterations between looks at the attention word. */
  private static final int PATIENCE = 256;

  private StringOps() {}

  /** Bytes of an element. */
  static int elementSize(Instruction i) {
    for (int n = 0; n < i.operands; n++) {
      if (i.kind[n] == Instruction.STRING_SOURCE || i.kind[n] == Instruction.STRING_DESTINATION) {
        return i.size[n];
      }
    }
    return i.operandSize;
  }

  static void execute(Processor cpu, Instruction i) {
    int size = elementSize(i);
    if (i.repeat == 0) {
      once(cpu, i, size);
      return;
    }
    if (i.op == Op.INS || i.op == Op.OUTS) {
      // Refused even if there is nothing to do.
      ControlRegisters.checkPort(cpu, (int) cpu.gpr(CpuState.RDX) & 0xffff, size);
    }
    int rounds = 0;
    for (; ; ) {
      long count = register(cpu, i, CpuState.RCX);
      if (count == 0) {
        return;
      }
      long moved = piece(cpu, i, size, count);
      if (moved > 0) {
        setRegister(cpu, i, CpuState.RCX, count - moved);
        rounds += PATIENCE / 8;
      } else {
        boolean more = once(cpu, i, size);
        setRegister(cpu, i, CpuState.RCX, count - 1);
        if (!more) {
          return;
        }
        rounds++;
      }
      if (rounds >= PATIENCE || cpu.watching || (cpu.systemFlags & Bits.TF) != 0) {
        rounds = 0;
        if (register(cpu, i, CpuState.RCX) == 0) {
          return;
        }
        if (cpu.attention() != 0 || cpu.transaction != null) {
          cpu.restart();
        }
      }
    }
  }

  private static long register(Processor cpu, Instruction i, int r) {
    return Operands.mask(cpu.gpr(r), i.addressSize);
  }

  private static void setRegister(Processor cpu, Instruction i, int r, long value) {
    Operands.setGpr(cpu, r, i.addressSize, value);
  }

  private static void advance(Processor cpu, Instruction i, int r, long by) {
    setRegister(cpu, i, r, cpu.gpr(r) + by);
  }

  private static long source(Processor cpu, Instruction i, int size) {
    return cpu.linear(i.segment, register(cpu, i, CpuState.RSI), size, false);
  }

  private static long destination(Processor cpu, Instruction i, int size, boolean write) {
    return cpu.linear(CpuState.ES, register(cpu, i, CpuState.RDI), size, write);
  }

  /** One iteration; false if a repeated comparison ends here. */
  private static boolean once(Processor cpu, Instruction i, int size) {
    long step = (cpu.systemFlags & Bits.DF) != 0 ? -size : size;
    switch (i.op) {
      case MOVS -> {
        long value = cpu.loadSized(source(cpu, i, size), size);
        cpu.storeSized(destination(cpu, i, size, true), size, value);
        advance(cpu, i, CpuState.RSI, step);
        advance(cpu, i, CpuState.RDI, step);
      }
      case STOS -> {
        cpu.storeSized(destination(cpu, i, size, true), size, cpu.gpr(CpuState.RAX));
        advance(cpu, i, CpuState.RDI, step);
      }
      case LODS -> {
        long value = cpu.loadSized(source(cpu, i, size), size);
        Operands.setGpr(cpu, CpuState.RAX, size, value);
        advance(cpu, i, CpuState.RSI, step);
      }
      case CMPS -> {
        // AMD's processors fault on the destination first.
        long b = cpu.loadSized(destination(cpu, i, size, false), size);
        long a = cpu.loadSized(source(cpu, i, size), size);
        advance(cpu, i, CpuState.RSI, step);
        advance(cpu, i, CpuState.RDI, step);
        Alu.sub(cpu, a, b, 64 - 8 * size);
        return cpu.zf() == (i.repeat == 0xf3);
      }
      case SCAS -> {
        long b = cpu.loadSized(destination(cpu, i, size, false), size);
        advance(cpu, i, CpuState.RDI, step);
        Alu.sub(cpu, cpu.gpr(CpuState.RAX), b, 64 - 8 * size);
        return cpu.zf() == (i.repeat == 0xf3);
      }
      case INS -> {
        int port = (int) cpu.gpr(CpuState.RDX) & 0xffff;
        ControlRegisters.checkPort(cpu, port, size);
        long to = destination(cpu, i, size, true);
        cpu.probeStore(to, size);
        cpu.portAccesses++;
        DebugRegisters.checkPort(cpu, port, size);
        cpu.storeSized(to, size, cpu.machine.ports().read(port, size));
        advance(cpu, i, CpuState.RDI, step);
      }
      default -> {
        int port = (int) cpu.gpr(CpuState.RDX) & 0xffff;
        ControlRegisters.checkPort(cpu, port, size);
        long value = cpu.loadSized(source(cpu, i, size), size);
        cpu.portAccesses++;
        DebugRegisters.checkPort(cpu, port, size);
        cpu.machine.ports().write(port, size, value);
        advance(cpu, i, CpuState.RSI, step);
      }
    }
    return true;
  }

  /**
   * Moves or fills as many elements as lie in one page of RAM each; 0 if this must go one by one.
   */
  private static long piece(Processor cpu, Instruction i, int size, long count) {
    if (cpu.codeBits != 64
        || (cpu.systemFlags & (Bits.DF | Bits.TF)) != 0
        || cpu.watching
        || i.addressSize != 8) {
      return 0;
    }
    switch (i.op) {
      case STOS -> {
        long to = destination(cpu, i, size, true);
        long n = Math.min(count, (0x1000 - (to & 0xfff)) / size);
        if (n < 4) {
          return 0;
        }
        long host = cpu.updateAddress(to, 1);
        if (host == 0) {
          return 0;
        }
        fill(host, n, size, cpu.gpr(CpuState.RAX));
        advance(cpu, i, CpuState.RDI, n * size);
        return n;
      }
      case MOVS -> {
        long from = source(cpu, i, size);
        long n = Math.min(count, (0x1000 - (from & 0xfff)) / size);
        long hostFrom = n < 4 ? 0 : cpu.readAddress(from);
        if (hostFrom == 0) {
          return 0;
        }
        long to = destination(cpu, i, size, true);
        n = Math.min(n, (0x1000 - (to & 0xfff)) / size);
        if (n < 4) {
          return 0;
        }
        long hostTo = cpu.updateAddress(to, 1);
        if (hostTo == 0) {
          return 0;
        }
        long bytes = n * size;
        // An overlap ahead of the source repeats what was just written, element by element.
        if (hostTo > hostFrom && hostTo < hostFrom + bytes) {
          return 0;
        }
        MemorySegment.copy(
            RawMemory.segment(hostFrom, bytes), 0, RawMemory.segment(hostTo, bytes), 0, bytes);
        advance(cpu, i, CpuState.RSI, bytes);
        advance(cpu, i, CpuState.RDI, bytes);
        return n;
      }
      default -> {
        return 0;
      }
    }
  }

  private static void fill(long host, long n, int size, long value) {
    if (size == 1 || value == 0) {
      RawMemory.segment(host, n * size).fill((byte) value);
      return;
    }
    for (long k = 0; k < n; k++) {
      long at = host + k * size;
      switch (size) {
        case 2 -> RawMemory.putShort(at, (short) value);
        case 4 -> RawMemory.putInt(at, (int) value);
        default -> RawMemory.putLong(at, value);
      }
    }
  }
}
