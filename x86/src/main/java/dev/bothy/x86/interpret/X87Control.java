package dev.bothy.x86.interpret;

import static dev.bothy.host.RawMemory.getInt;
import static dev.bothy.host.RawMemory.getLong;
import static dev.bothy.host.RawMemory.putInt;
import static dev.bothy.host.RawMemory.putLong;

import dev.bothy.core.cpu.CpuState;
import dev.bothy.x86.decode.Instruction;
import dev.bothy.x86.fpu.Extended;

/**
 * The x87 instructions that manage the unit: control and status words, stack, environment. APM
 * volume 5, part 2.
 */
final class X87Control {
  private static final int CR0_MP = 1 << 1;
  private static final int CR0_TS = 1 << 3;

  /** Bytes of the eight registers behind an environment. */
  private static final int REGISTERS_SIZE = 80;

  private X87Control() {}

  static void execute(Cpu cpu, Instruction i) {
    switch (i.op) {
      case FLDCW -> {
        cpu.requireX87();
        int value = cpu.load16(cpu.linear(i, 2));
        X87Stack.load(cpu, value, X87Stack.status(cpu));
      }
      case FNSTCW -> {
        cpu.requireX87Quietly();
        cpu.store16(cpu.linear(i, 2), X87Stack.control(cpu));
      }
      case FNSTSW -> {
        cpu.requireX87Quietly();
        int value = X87Stack.status(cpu) & 0xffff;
        if (i.isMemory(0)) {
          cpu.store16(cpu.linear(i, 2), value);
        } else {
          cpu.setGpr(CpuState.RAX, cpu.gpr(CpuState.RAX) & ~0xffffL | value);
        }
      }
      case FNCLEX -> {
        cpu.requireX87Quietly();
        int cleared = Extended.EXCEPTIONS | Extended.SF | Extended.ES | Extended.BUSY;
        X87Stack.setStatus(cpu, X87Stack.status(cpu) & ~cleared);
      }
      case FNINIT -> {
        cpu.requireX87Quietly();
        initialize(cpu);
      }
      case FNSTENV -> {
        cpu.requireX87Quietly();
        long at = cpu.linear(i, environmentSize(i));
        cpu.probeStore(at, environmentSize(i));
        storeEnvironment(cpu, i, at);
        X87Stack.load(cpu, X87Stack.control(cpu) | Extended.EXCEPTIONS, X87Stack.status(cpu));
      }
      case FLDENV -> {
        cpu.requireX87();
        long at = cpu.linear(i, environmentSize(i));
        touchEnds(cpu, i, at, environmentSize(i));
        loadEnvironment(cpu, i, at);
      }
      case FNSAVE -> save(cpu, i);
      case FRSTOR -> restore(cpu, i);
      case FNOP -> {
        cpu.requireX87();
        X87Stack.record(cpu, i);
      }
      case FINCSTP, FDECSTP, FFREE, FFREEP -> stack(cpu, i);
      case FWAIT -> waitForErrors(cpu);
      case FNENI, FNDISI, FNSETPM -> cpu.requireX87Quietly();
      default -> throw cpu.raise(GuestFault.UD);
    }
  }

  /** Raises now what reading {@code size} bytes would, first field first, then the last byte. */
  private static void touchEnds(Cpu cpu, Instruction i, long at, int size) {
    if (i.operandSize == 2) {
      cpu.load16(at);
    } else {
      cpu.load32(at);
    }
    cpu.load8(at + size - 1);
  }

  private static void stack(Cpu cpu, Instruction i) {
    cpu.requireX87();
    X87Stack.record(cpu, i);
    X87Stack.commit(cpu, 0, 0);
    switch (i.op) {
      case FINCSTP -> X87Stack.moveTop(cpu, 1);
      case FDECSTP -> X87Stack.moveTop(cpu, -1);
      case FFREE -> X87Stack.free(cpu, X87Stack.physical(cpu, i.register[0]));
      default -> {
        X87Stack.free(cpu, X87Stack.physical(cpu, i.register[0]));
        X87Stack.pop(cpu);
      }
    }
  }

  private static void waitForErrors(Cpu cpu) {
    int enabled = CR0_MP | CR0_TS;
    if ((getLong(cpu.state + CpuState.CR0) & enabled) == enabled) {
      throw cpu.raise(GuestFault.NM);
    }
    if ((X87Stack.status(cpu) & Extended.ES) != 0) {
      if (cpu.nativeX87Errors()) {
        throw cpu.raise(GuestFault.MF);
      }
      cpu.requireX87();
    }
  }

  /** FNINIT: the registers keep their contents. */
  static void initialize(Cpu cpu) {
    X87Stack.load(cpu, Extended.INITIAL_CONTROL, 0);
    putInt(cpu.state + CpuState.X87_TAGS, 0);
    clearPointers(cpu);
  }

  static void clearPointers(Cpu cpu) {
    setPointers(cpu, 0, 0, 0, 0, 0);
  }

  private static void setPointers(Cpu cpu, long ip, int cs, long dp, int ds, int opcode) {
    long state = cpu.state;
    putLong(state + CpuState.X87_IP, ip);
    putInt(state + CpuState.X87_CS, cs & 0xffff);
    putLong(state + CpuState.X87_DP, dp);
    putInt(state + CpuState.X87_DS, ds & 0xffff);
    putInt(state + CpuState.X87_OPCODE, opcode & 0x7ff);
  }

  // Environment: APM volume 2, section 11.4.4 (figures of the four formats).

  static int environmentSize(Instruction i) {
    return i.operandSize == 2 ? 14 : 28;
  }

  private static void storeEnvironment(Cpu cpu, Instruction i, long at) {
    long state = cpu.state;
    int ip = (int) getLong(state + CpuState.X87_IP);
    int cs = getInt(state + CpuState.X87_CS);
    int dp = (int) getLong(state + CpuState.X87_DP);
    int ds = getInt(state + CpuState.X87_DS);
    int opcode = getInt(state + CpuState.X87_OPCODE);
    boolean selectors = cpu.usesDescriptors();
    if (!selectors) {
      // Without descriptors there is room for linear addresses only.
      ip += cs << 4;
      dp += ds << 4;
    }
    if (i.operandSize == 2) {
      cpu.store16(at, X87Stack.control(cpu));
      cpu.store16(at + 2, X87Stack.status(cpu) & 0xffff);
      cpu.store16(at + 4, tagWord(cpu));
      cpu.store16(at + 6, ip & 0xffff);
      cpu.store16(at + 8, selectors ? cs : ip >>> 4 & 0xf000 | opcode);
      cpu.store16(at + 10, dp & 0xffff);
      cpu.store16(at + 12, selectors ? ds : dp >>> 4 & 0xf000);
      return;
    }
    int high = 0xffff_0000;
    cpu.store32(at, high | X87Stack.control(cpu));
    cpu.store32(at + 4, high | X87Stack.status(cpu));
    cpu.store32(at + 8, high | tagWord(cpu));
    if (selectors) {
      cpu.store32(at + 12, ip);
      cpu.store32(at + 16, opcode << 16 | cs);
      cpu.store32(at + 20, dp);
      cpu.store32(at + 24, high | ds);
    } else {
      cpu.store32(at + 12, high | ip & 0xffff);
      cpu.store32(at + 16, ip >>> 4 & 0x0fff_f000 | opcode);
      cpu.store32(at + 20, high | dp & 0xffff);
      cpu.store32(at + 24, dp >>> 4 & 0x0fff_f000);
    }
  }

  private static void loadEnvironment(Cpu cpu, Instruction i, long at) {
    boolean selectors = cpu.usesDescriptors();
    int step = i.operandSize == 2 ? 2 : 4;
    int control = cpu.load16(at) & 0xffff;
    int status = cpu.load16(at + step) & 0xffff;
    int tags = cpu.load16(at + 2L * step) & 0xffff;
    int[] f = new int[4];
    for (int n = 0; n < 4; n++) {
      long field = at + (3L + n) * step;
      f[n] = step == 2 ? cpu.load16(field) & 0xffff : cpu.load32(field);
    }
    if (selectors) {
      setPointers(
          cpu, f[0] & 0xffff_ffffL, f[1], f[2] & 0xffff_ffffL, f[3], step == 2 ? 0 : f[1] >>> 16);
    } else {
      long ip = f[0] & 0xffff | (f[1] & 0x0fff_f000L) << 4;
      long dp = f[2] & 0xffff | (f[3] & 0x0fff_f000L) << 4;
      setPointers(cpu, ip, 0, dp, 0, f[1]);
    }
    X87Stack.load(cpu, control, status);
    int used = 0;
    for (int r = 0; r < 8; r++) {
      if ((tags >>> 2 * r & 3) != 3) {
        used |= 1 << r;
      }
    }
    putInt(cpu.state + CpuState.X87_TAGS, used);
  }

  /** The full tag word: two bits a physical register, 0 valid, 1 zero, 2 special, 3 empty. */
  static int tagWord(Cpu cpu) {
    int word = 0;
    for (int r = 0; r < 8; r++) {
      word |= tag(cpu, r) << 2 * r;
    }
    return word;
  }

  private static int tag(Cpu cpu, int r) {
    if (X87Stack.isEmpty(cpu, r)) {
      return 3;
    }
    long significand = X87Stack.significand(cpu, r);
    int exponent = X87Stack.exponent(cpu, r) & Extended.EXPONENT;
    if (exponent == 0 && significand == 0) {
      return 1;
    }
    return exponent == 0 || exponent == Extended.EXPONENT || significand >= 0 ? 2 : 0;
  }

  private static void save(Cpu cpu, Instruction i) {
    cpu.requireX87Quietly();
    int size = environmentSize(i);
    long at = cpu.linear(i, size + REGISTERS_SIZE);
    cpu.probeStore(at, size + REGISTERS_SIZE);
    storeEnvironment(cpu, i, at);
    for (int n = 0; n < 8; n++) {
      int r = X87Stack.physical(cpu, n);
      cpu.store64(at + size + 10L * n, X87Stack.significand(cpu, r));
      cpu.store16(at + size + 10L * n + 8, X87Stack.exponent(cpu, r));
    }
    initialize(cpu);
  }

  private static void restore(Cpu cpu, Instruction i) {
    cpu.requireX87();
    int size = environmentSize(i);
    long at = cpu.linear(i, size + REGISTERS_SIZE);
    touchEnds(cpu, i, at, size + REGISTERS_SIZE);
    loadEnvironment(cpu, i, at);
    for (int n = 0; n < 8; n++) {
      long from = at + size + 10L * n;
      int r = X87Stack.physical(cpu, n);
      X87Stack.set(cpu, r, cpu.load64(from), cpu.load16(from + 8) & 0xffff);
    }
  }
}
