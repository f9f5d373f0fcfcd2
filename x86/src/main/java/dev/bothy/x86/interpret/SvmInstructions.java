package dev.bothy.x86.interpret;

import static dev.bothy.host.RawMemory.getInt;

import dev.bothy.core.cpu.CpuState;
import dev.bothy.core.cpu.SvmState;
import dev.bothy.host.RawMemory;
import dev.bothy.x86.decode.Instruction;

/** VMRUN, VMLOAD, VMSAVE, STGI, CLGI and INVLPGA: AMD64 APM volume 3, chapter 4. */
final class SvmInstructions {
  private SvmInstructions() {}

  /** True if {@code i} is one of them. */
  static boolean has(Instruction i) {
    return switch (i.op) {
      case VMRUN, VMLOAD, VMSAVE, STGI, CLGI, INVLPGA -> true;
      default -> false;
    };
  }

  /** #UD without EFER.SVME, #GP(0) unless CPL is 0: before any intercept. */
  static void checkRights(Processor cpu) {
    if (!cpu.svm.enabled()) {
      throw cpu.ud();
    }
    cpu.requireCpl0();
  }

  static void execute(Processor cpu, Instruction i) {
    switch (i.op) {
      case VMRUN -> {
        long physical = block(cpu, i);
        if (RawMemory.getLong(cpu.state + SvmState.HOST_SAVE_AREA) == 0) {
          throw cpu.gp();
        }
        cpu.worlds.run(physical);
      }
      case VMLOAD -> {
        ControlBlock.load(cpu, cpu.hostOf(block(cpu, i)));
        cpu.updateMode();
      }
      case VMSAVE -> {
        long physical = block(cpu, i);
        ControlBlock.save(cpu, cpu.pageToWrite(physical));
        cpu.pageWritten(physical);
      }
      case STGI -> cpu.svm.hold(false);
      case CLGI -> cpu.svm.hold(true);
      case INVLPGA -> forgetPage(cpu, i);
      default -> throw cpu.ud();
    }
  }

  /** Physical address of the control block that rAX names: a page of RAM, else #GP(0). */
  private static long block(Processor cpu, Instruction i) {
    long physical = Operands.mask(cpu.gpr(CpuState.RAX), i.addressSize);
    if ((physical & 0xfff) != 0
        || physical >>> cpu.model.physicalBits() != 0
        || cpu.hostOf(physical) == 0) {
      throw cpu.gp();
    }
    return physical;
  }

  /** The page of rAX, of the address space that ECX names. A host's guest is forgotten whole. */
  private static void forgetPage(Processor cpu, Instruction i) {
    long linear = Operands.mask(cpu.gpr(CpuState.RAX), i.addressSize);
    int space = (int) cpu.gpr(CpuState.RCX);
    int present = cpu.guestMode ? getInt(cpu.state + SvmState.ASID) : 0;
    if (space == present) {
      cpu.flushPage(linear);
    } else if (!cpu.guestMode) {
      cpu.forgetGuest();
    } else {
      cpu.flushAll();
    }
  }
}
