package dev.bothy.x86.interpret;

import static dev.bothy.host.RawMemory.getLong;
import static dev.bothy.host.RawMemory.putLong;
import static dev.bothy.x86.interpret.XsaveLayout.FLOW;
import static dev.bothy.x86.interpret.XsaveLayout.USER_FLOW;

import dev.bothy.core.cpu.CpuModel;
import dev.bothy.core.cpu.CpuState;
import dev.bothy.x86.decode.Instruction;
import dev.bothy.x86.decode.Op;

/**
 * XSAVES and XRSTORS, with the components that IA32_XSS enables: Intel SDM volume 1, sections
 * 13.5.9, 13.11 and 13.12.
 */
final class SupervisorState {
  private static final int[] USER_FLOW_AT = {CpuState.U_CET, CpuState.LEVEL_SSP + 8 * 3};
  private static final int[] FLOW_AT = {
    CpuState.LEVEL_SSP, CpuState.LEVEL_SSP + 8, CpuState.LEVEL_SSP + 16
  };

  private SupervisorState() {}

  /** What XSS may have. */
  static int known(CpuModel model) {
    return ControlFlow.known(model) ? USER_FLOW | FLOW : 0;
  }

  /** Writes XSS. */
  static void enable(Processor cpu, long value) {
    if ((value & ~known(cpu.model)) != 0) {
      throw cpu.gp();
    }
    putLong(cpu.state + CpuState.XSS, value);
    CpuidAnswers.forget(cpu);
  }

  static void execute(Processor cpu, Instruction i) {
    long enabled = getLong(cpu.state + CpuState.XCR0) | getLong(cpu.state + CpuState.XSS);
    int requested = (int) (XsaveOps.mask(cpu) & enabled);
    if (i.op == Op.XSAVES) {
      save(cpu, i, requested);
    } else {
      restore(cpu, i, requested, enabled);
    }
  }

  private static boolean used(Processor cpu, int[] registers) {
    long any = 0;
    for (int register : registers) {
      any |= getLong(cpu.state + register);
    }
    return any != 0;
  }

  private static void save(Processor cpu, Instruction i, int requested) {
    int used =
        XsaveOps.inUse(cpu, i)
            | (used(cpu, USER_FLOW_AT) ? USER_FLOW : 0)
            | (used(cpu, FLOW_AT) ? FLOW : 0);
    long at = XsaveOps.saveCompacted(cpu, i, requested, used);
    int written = used & requested;
    if ((written & USER_FLOW) != 0) {
      store(cpu, at + XsaveLayout.compactedUserFlow(requested), USER_FLOW_AT);
    }
    if ((written & FLOW) != 0) {
      store(cpu, at + XsaveLayout.compactedFlow(requested), FLOW_AT);
    }
  }

  private static void store(Processor cpu, long at, int[] registers) {
    for (int n = 0; n < registers.length; n++) {
      cpu.store64(at + 8L * n, getLong(cpu.state + registers[n]));
    }
  }

  private static void restore(Processor cpu, Instruction i, int requested, long enabled) {
    long at = XsaveOps.area(cpu, i);
    long format = XsaveOps.format(cpu, at);
    if (format >= 0) {
      throw cpu.gp();
    }
    int loaded = (int) (XsaveOps.present(cpu, at) & format) & requested;
    long[] user = new long[USER_FLOW_AT.length];
    if ((loaded & USER_FLOW) != 0) {
      load(cpu, at + XsaveLayout.compactedUserFlow(format), user);
    }
    long[] own = new long[FLOW_AT.length];
    if ((loaded & FLOW) != 0) {
      load(cpu, at + XsaveLayout.compactedFlow(format), own);
    }
    boolean bad = !ControlFlow.legal(cpu, user[0]) || !ControlFlow.isPointer(cpu, user[1]);
    for (long pointer : own) {
      bad |= !ControlFlow.isPointer(cpu, pointer);
    }
    if (bad) {
      throw cpu.gp();
    }
    XsaveOps.restoreFrom(cpu, i, at, requested, enabled);
    if ((requested & USER_FLOW) != 0) {
      put(cpu, USER_FLOW_AT, user);
      cpu.updateEnforcement();
    }
    if ((requested & FLOW) != 0) {
      put(cpu, FLOW_AT, own);
    }
  }

  private static void load(Processor cpu, long at, long[] values) {
    for (int n = 0; n < values.length; n++) {
      values[n] = cpu.load64(at + 8L * n);
    }
  }

  private static void put(Processor cpu, int[] registers, long[] values) {
    for (int n = 0; n < registers.length; n++) {
      putLong(cpu.state + registers[n], values[n]);
    }
  }
}
