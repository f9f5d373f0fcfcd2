package dev.bothy.x86.interpret;

import dev.bothy.core.MachineClock;
import dev.bothy.core.cpu.CpuFeature;
import dev.bothy.core.cpu.CpuState;

/**
 * The port by which guests of VMware's hypervisor talk to it, and its performance counters that are
 * clocks, of a model with {@link CpuFeature#VMWARE}: "Mechanisms to determine if software is
 * running in a VMware virtual machine", and "Timekeeping in VMware Virtual Machines". Neither asks
 * for privileges.
 */
final class VmwareBackdoor {
  static final int PORT = 0x5658;

  private static final int MAGIC = 0x564d_5868;

  // Commands, in CX.
  private static final int GET_VERSION = 10;
  private static final int GET_FREQUENCY = 45;

  private static final int VERSION = 6;
  private static final int SERVER = 2;

  /** The first of three counters: the host's TSC, real time and apparent time in nanoseconds. */
  private static final int COUNTERS = 0x1_0000;

  private VmwareBackdoor() {}

  /** IN of 4 bytes from {@link #PORT}: true if that was a command, which has been carried out. */
  static boolean answers(Processor cpu, boolean in, int size) {
    if (!in
        || size != 4
        || (int) cpu.gpr(CpuState.RAX) != MAGIC
        || !cpu.model.has(CpuFeature.VMWARE)) {
      return false;
    }
    switch ((int) cpu.gpr(CpuState.RCX) & 0xffff) {
      case GET_VERSION -> {
        cpu.setGpr32(CpuState.RAX, VERSION);
        cpu.setGpr32(CpuState.RBX, MAGIC);
        cpu.setGpr32(CpuState.RCX, SERVER);
      }
      case GET_FREQUENCY -> {
        cpu.setGpr32(CpuState.RAX, (int) MachineClock.TSC_HZ);
        cpu.setGpr32(CpuState.RBX, (int) (MachineClock.TSC_HZ >>> 32));
        cpu.setGpr32(CpuState.RCX, (int) MachineClock.TSC_HZ);
      }
      default -> cpu.setGpr32(CpuState.RAX, -1);
    }
    return true;
  }

  /** True if RDPMC of {@code counter} reads one of the clocks, which count guest time. */
  static boolean counts(Processor cpu, int counter) {
    return counter >= COUNTERS && counter < COUNTERS + 3 && cpu.model.has(CpuFeature.VMWARE);
  }
}
