package dev.bothy.device.interrupt;

import static dev.bothy.device.interrupt.ApicRegisters.*;

import java.util.OptionalLong;

/**
 * The MSRs by which a processor reaches its local APIC while that is here: the registers of x2APIC
 * mode (Intel SDM volume 3, 11.12.1) and IA32_TSC_DEADLINE (11.5.4.1).
 */
final class ApicMsrs {
  private static final int FIRST = 0x800;
  private static final int LAST = 0x8ff;
  private static final int TSC_DEADLINE = 0x6e0;

  /** Of a command: to oneself, fixed. */
  private static final int TO_SELF = 0x4_4000;

  private final LocalApic apic;

  ApicMsrs(LocalApic apic) {
    this.apic = apic;
  }

  boolean owns(int index) {
    return apic.isHere()
        && (index == TSC_DEADLINE || index >= FIRST && index <= LAST && apic.isX2Apic());
  }

  OptionalLong read(int index) {
    if (!owns(index)) {
      return OptionalLong.empty();
    }
    if (index == TSC_DEADLINE) {
      return OptionalLong.of(apic.deadline());
    }
    int register = index - FIRST;
    if (!readable(register)) {
      return OptionalLong.empty();
    }
    long value = apic.readRegister(register) & 0xffff_ffffL;
    if (register == COMMAND) {
      value |= (long) apic.readRegister(COMMAND_HIGH) << 32;
    }
    return OptionalLong.of(value);
  }

  boolean write(int index, long value) {
    if (!owns(index)) {
      return false;
    }
    if (index == TSC_DEADLINE) {
      apic.setDeadline(value);
      return true;
    }
    int register = index - FIRST;
    if (!writable(register) || (value & reserved(register)) != 0) {
      return false;
    }
    switch (register) {
      case COMMAND -> apic.command((int) value, (int) (value >>> 32));
      case SELF_IPI -> apic.send(TO_SELF | (int) value, 0);
      default -> apic.writeRegister(register, (int) value);
    }
    return true;
  }
}
