package dev.bothy.device.interrupt;

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

  private ApicRegisters() {}

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
