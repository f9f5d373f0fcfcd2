package dev.bothy.x86.interpret;

import static dev.bothy.host.RawMemory.getLong;

import dev.bothy.core.cpu.CpuState;
import dev.bothy.x86.decode.Instruction;

/** What programs do with shadow stacks besides calling: Intel SDM volume 2, by instruction. */
final class ShadowStackInstructions {
  /** Of a token that RSTORSSP leaves: it says which stack was in use. */
  private static final long PREVIOUS = 2;

  /** Of a token that RSTORSSP takes: four bytes lie between it and the stack's top. */
  private static final long HOLE = 4;

  private ShadowStackInstructions() {}

  static void execute(Processor cpu, Instruction i) {
    switch (i.op) {
      case RDSSP -> {
        // Without a shadow stack it does nothing.
        if (ShadowStack.on(cpu)) {
          Operands.write(cpu, i, 0, ShadowStack.pointer(cpu));
        }
      }
      case INCSSP -> increment(cpu, i);
      case RSTORSSP -> restore(cpu, i);
      case SAVEPREVSSP -> savePrevious(cpu);
      case WRSS -> {
        long control = getLong(cpu.state + ControlFlow.register(cpu.cpl));
        require(cpu, ShadowStack.on(cpu) && (control & ControlFlow.SHADOW_STORES) != 0);
        store(cpu, i, cpu.cpl == 3);
      }
      case WRUSS -> {
        require(cpu, (getLong(cpu.state + CpuState.CR4) & Bits.CR4_CET) != 0);
        cpu.requireCpl0();
        store(cpu, i, true);
      }
      case SETSSBSY -> {
        requireSupervisor(cpu);
        long at = getLong(cpu.state + CpuState.LEVEL_SSP);
        requireAligned(cpu, at, 8);
        if (!ShadowStack.wide(cpu) && at >>> 32 != 0
            || ShadowMemory.exchange(cpu, at, at, at | ShadowStack.BUSY, false) != at) {
          throw cpu.raise(GuestFault.CP, ControlFlow.SET_BUSY);
        }
        ShadowStack.setPointer(cpu, at);
      }
      default -> {
        requireSupervisor(cpu);
        long at = cpu.linear(i, 8);
        requireAligned(cpu, at, 8);
        long busy = at | ShadowStack.BUSY;
        boolean free = ShadowMemory.exchange(cpu, at, busy, at, false) == busy;
        cpu.setArithmeticFlags(free ? 0 : Bits.CF);
        ShadowStack.setPointer(cpu, 0);
      }
    }
  }

  private static void require(Processor cpu, boolean allowed) {
    if (!allowed) {
      throw cpu.ud();
    }
  }

  private static void requireSupervisor(Processor cpu) {
    require(cpu, cpu.usesDescriptors() && ShadowStack.on(cpu, 0));
    cpu.requireCpl0();
  }

  private static void requireAligned(Processor cpu, long address, int size) {
    if ((address & size - 1) != 0) {
      throw cpu.gp();
    }
  }

  private static void increment(Processor cpu, Instruction i) {
    require(cpu, ShadowStack.on(cpu));
    int size = i.size[0];
    int count = (int) cpu.gpr(i.register[0]) & 0xff;
    long ssp = ShadowStack.pointer(cpu);
    boolean user = cpu.cpl == 3;
    ShadowMemory.load(cpu, ssp, size, user);
    ShadowMemory.load(cpu, ssp + (long) Math.max(count - 1, 0) * size, size, user);
    ShadowStack.setPointer(cpu, ssp + (long) count * size);
  }

  private static void store(Processor cpu, Instruction i, boolean user) {
    int size = i.size[0];
    long at = cpu.linear(i.segment, cpu.offset(i), size, true);
    requireAligned(cpu, at, size);
    ShadowMemory.store(cpu, at, size, Operands.read(cpu, i, 1), user);
  }

  private static void restore(Processor cpu, Instruction i) {
    require(cpu, ShadowStack.on(cpu));
    long at = cpu.linear(i.segment, cpu.offset(i), 8, true);
    requireAligned(cpu, at, 8);
    boolean user = cpu.cpl == 3;
    long wide = ShadowStack.wide(cpu) ? 1 : 0;
    long previous = ShadowStack.pointer(cpu) | wide | PREVIOUS;
    for (; ; ) {
      long token = ShadowMemory.load(cpu, at, 8, user);
      boolean bad =
          (token & 3) != wide || wide == 0 && token >>> 32 != 0 || ((token & ~1L) - 8 & ~7L) != at;
      if (bad) {
        ShadowMemory.probe(cpu, at, 8, user);
        throw cpu.raise(GuestFault.CP, ControlFlow.RESTORE);
      }
      if (ShadowMemory.exchange(cpu, at, token, previous, user) == token) {
        ShadowStack.setPointer(cpu, at);
        cpu.setArithmeticFlags((token & HOLE) != 0 ? Bits.CF : 0);
        return;
      }
      // Another processor has been quicker.
    }
  }

  private static void savePrevious(Processor cpu) {
    require(cpu, ShadowStack.on(cpu));
    long ssp = ShadowStack.pointer(cpu);
    requireAligned(cpu, ssp, 8);
    boolean user = cpu.cpl == 3;
    boolean wide = ShadowStack.wide(cpu);
    long previous = ShadowMemory.load(cpu, ssp, 8, user);
    ssp += 8;
    if (cpu.cf()) {
      if (wide || ShadowMemory.load(cpu, ssp, 4, user) != 0) {
        throw cpu.gp();
      }
      ssp += 4;
    }
    if ((previous & PREVIOUS) == 0 || !wide && previous >>> 32 != 0) {
      throw cpu.gp();
    }
    long old = previous & ~3L;
    ShadowMemory.probe(cpu, (old & ~7L) - 8, 8, user);
    ShadowMemory.store(cpu, old - 4, 4, 0, user);
    ShadowMemory.store(cpu, (old & ~7L) - 8, 8, old | (wide ? 1 : 0), user);
    ShadowStack.setPointer(cpu, ssp);
  }
}
