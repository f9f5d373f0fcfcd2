package dev.bothy.device.interrupt;

import dev.bothy.core.cpu.CpuModel;

/**
 * The registers of a local APIC by number, and what x2APIC mode lets software do with them (Intel
 * SDM volume 3, table 11-6). The number is the offset in the register page divided by 16, or the
 * MSR index less 0x800.
 */
final class ApicRegisters {
  static final int ID = 0x02;
  static final int VERSION = 0x03;
  static final int TASK_PRIORITY = 0x08;
  static final int ARBITRATION_PRIORITY = 0x09;
  static final int PROCESSOR_PRIORITY = 0x0a;
  static final int EOI = 0x0b;
  static final int REMOTE_READ = 0x0c;
  static final int LOGICAL_DESTINATION = 0x0d;
  static final int DESTINATION_FORMAT = 0x0e;
  static final int SPURIOUS_VECTOR = 0x0f;
  static final int IN_SERVICE = 0x10;
  static final int TRIGGER_MODE = 0x18;
  static final int REQUESTS = 0x20;
  static final int ERROR_STATUS = 0x28;
  static final int COMMAND = 0x30;
  static final int COMMAND_HIGH = 0x31;
  static final int LVT_TIMER = 0x32;
  static final int LVT_THERMAL = 0x33;
  static final int LVT_PERFORMANCE = 0x34;
  static final int LVT_LINT0 = 0x35;
  static final int LVT_LINT1 = 0x36;
  static final int LVT_ERROR = 0x37;
  static final int INITIAL_COUNT = 0x38;
  static final int CURRENT_COUNT = 0x39;
  static final int DIVIDE = 0x3e;
  static final int SELF_IPI = 0x3f;

  static final int SPURIOUS_WRITABLE = 0x3ff;

  static final int LVT_MASKED = 1 << 16;
  static final int LVT_LEVEL = 1 << 15;
  static final int LVT_REMOTE_IRR = 1 << 14;
  private static final int DELIVERY_STATUS = 1 << 12;

  private static final int COMMAND_RESERVED = 0xfff3_2000;

  // IA32_APIC_BASE.
  static final long BASE_BOOT_PROCESSOR = 1 << 8;
  static final long BASE_X2APIC = 1 << 10;
  static final long BASE_ENABLE = 1 << 11;
  static final long BASE_ADDRESS = (1L << CpuModel.PHYSICAL_BITS) - 0x1000;
  static final long BASE_BITS = BASE_ADDRESS | BASE_ENABLE | BASE_X2APIC | BASE_BOOT_PROCESSOR;

  private ApicRegisters() {}

  /**
   * True if IA32_APIC_BASE may go from {@code old} to {@code value} (Intel SDM volume 3, 11.12.5).
   */
  static boolean baseAllowed(long old, long value) {
    boolean on = (value & BASE_ENABLE) != 0;
    boolean x2Apic = (value & BASE_X2APIC) != 0;
    boolean wasOn = (old & BASE_ENABLE) != 0;
    boolean wasX2Apic = (old & BASE_X2APIC) != 0;
    boolean leavesX2ApicHalfway = wasX2Apic && on && !x2Apic;
    return (value & ~BASE_BITS) == 0 && (!x2Apic || on && wasOn) && !leavesX2ApicHalfway;
  }

  /** Logical destination in xAPIC mode, flat or cluster by {@code format} (11.6.2.2). */
  static boolean matchesLogical(int logicalDestination, int format, int destination) {
    int mine = logicalDestination >>> 24;
    return switch (format >>> 28) {
      case 0xf -> (mine & destination & 0xff) != 0;
      case 0 -> (destination >>> 4 & 0xf) == mine >>> 4 && (mine & destination & 0xf) != 0;
      default -> false;
    };
  }

  /** The logical destination register of x2APIC mode, which follows from the id. */
  static int clusterDestination(int id) {
    return id >>> 4 << 16 | 1 << (id & 0xf);
  }

  /** Logical destination in x2APIC mode (11.12.10). */
  static boolean matchesCluster(int logicalDestination, int destination) {
    return destination >>> 16 == logicalDestination >>> 16
        && (destination & logicalDestination & 0xffff) != 0;
  }

  /** What software may write of an entry of the local vector table. */
  static int lvtWritable(int register) {
    return switch (register) {
      case LVT_TIMER -> LVT_MASKED | 0x600ff;
      case LVT_THERMAL, LVT_PERFORMANCE -> LVT_MASKED | 0x7ff;
      case LVT_LINT0, LVT_LINT1 -> LVT_MASKED | 0xa7ff;
      default -> LVT_MASKED | 0xff;
    };
  }

  /** True if RDMSR may read it. */
  static boolean readable(int register) {
    return switch (register) {
      case ID, VERSION, TASK_PRIORITY, PROCESSOR_PRIORITY, LOGICAL_DESTINATION, SPURIOUS_VECTOR ->
          true;
      case ERROR_STATUS, COMMAND, INITIAL_COUNT, CURRENT_COUNT, DIVIDE -> true;
      default ->
          register >= IN_SERVICE && register < ERROR_STATUS
              || register >= LVT_TIMER && register <= LVT_ERROR;
    };
  }

  /** True if WRMSR may write it. */
  static boolean writable(int register) {
    return switch (register) {
      case TASK_PRIORITY, EOI, SPURIOUS_VECTOR, ERROR_STATUS, COMMAND -> true;
      case INITIAL_COUNT, DIVIDE, SELF_IPI -> true;
      default -> register >= LVT_TIMER && register <= LVT_ERROR;
    };
  }

  /** Bits of a writable register that must be zero in a WRMSR. */
  static long reserved(int register) {
    return switch (register) {
      case TASK_PRIORITY, SELF_IPI -> ~0xffL;
      case SPURIOUS_VECTOR -> ~(long) SPURIOUS_WRITABLE;
      case COMMAND -> COMMAND_RESERVED & 0xffff_ffffL;
      case LVT_TIMER, LVT_THERMAL, LVT_PERFORMANCE, LVT_ERROR ->
          ~(long) (lvtWritable(register) | DELIVERY_STATUS);
      case LVT_LINT0, LVT_LINT1 ->
          ~(long) (lvtWritable(register) | DELIVERY_STATUS | LVT_REMOTE_IRR);
      case INITIAL_COUNT -> ~0xffff_ffffL;
      case DIVIDE -> ~0xbL;
      default -> -1L; // EOI, ERROR_STATUS
    };
  }
}
