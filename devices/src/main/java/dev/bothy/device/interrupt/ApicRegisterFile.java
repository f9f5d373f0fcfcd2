package dev.bothy.device.interrupt;

import static dev.bothy.device.interrupt.ApicRegisters.*;

import dev.bothy.core.state.StateException;
import dev.bothy.core.state.StateReader;
import dev.bothy.core.state.StateWriter;

/**
 * What a local APIC keeps in registers, apart from base and timer. Guarded by its local APIC, which
 * knows what they do.
 */
final class ApicRegisterFile {
  private static final int ENABLED = 1 << 8; // of SPURIOUS_VECTOR

  /** The id in xAPIC mode, which software may change. */
  int changedId;

  int taskPriority;
  int logicalDestination;
  int destinationFormat;
  int spuriousVector;
  int errorStatus;
  int errorsSeen;
  int command;
  int commandHigh;
  final LocalVectorTable lvt = new LocalVectorTable();
  final VectorSet inService = new VectorSet();
  final VectorSet triggerMode = new VectorSet();
  final VectorSet requests = new VectorSet();

  /** As after reset or INIT, but for the id. */
  void clear() {
    taskPriority = 0;
    logicalDestination = 0;
    destinationFormat = -1;
    spuriousVector = 0xff;
    errorStatus = 0;
    errorsSeen = 0;
    command = 0;
    commandHigh = 0;
    lvt.reset();
    inService.clear();
    triggerMode.clear();
    requests.clear();
  }

  /** The set that {@code register} of IRR, ISR and TMR is part of. */
  private VectorSet vectors(int register) {
    return register < TRIGGER_MODE ? inService : register < REQUESTS ? triggerMode : requests;
  }

  /** True if {@code register} is one of these. */
  static boolean has(int register) {
    return switch (register) {
      case ID, TASK_PRIORITY, LOGICAL_DESTINATION, DESTINATION_FORMAT, SPURIOUS_VECTOR -> true;
      case COMMAND, COMMAND_HIGH -> true;
      default ->
          register >= IN_SERVICE && register <= ERROR_STATUS
              || register >= LVT_TIMER && register <= LVT_ERROR;
    };
  }

  /** What the register page shows, in xAPIC mode, of one that is {@linkplain #has here}. */
  int get(int register) {
    return switch (register) {
      case ID -> changedId << 24;
      case TASK_PRIORITY -> taskPriority;
      case LOGICAL_DESTINATION -> logicalDestination;
      case DESTINATION_FORMAT -> destinationFormat;
      case SPURIOUS_VECTOR -> spuriousVector;
      case ERROR_STATUS -> errorStatus;
      case COMMAND -> command;
      case COMMAND_HIGH -> commandHigh;
      default -> register >= LVT_TIMER ? lvt.get(register) : vectors(register).word(register & 7);
    };
  }

  /** Writes one that acts on nothing but these; false if it is none of those. */
  boolean set(int register, int value) {
    switch (register) {
      case ID -> changedId = value >>> 24;
      case TASK_PRIORITY -> taskPriority = value & 0xff;
      case LOGICAL_DESTINATION -> logicalDestination = value & 0xff00_0000;
      case DESTINATION_FORMAT -> destinationFormat = value | 0x0fff_ffff;
      case SPURIOUS_VECTOR -> {
        spuriousVector = value & SPURIOUS_WRITABLE;
        if (!isEnabled()) {
          lvt.maskAll();
        }
      }
      case ERROR_STATUS -> {
        errorStatus = errorsSeen;
        errorsSeen = 0;
      }
      case COMMAND_HIGH -> commandHigh = value & 0xff00_0000;
      default -> {
        return false;
      }
    }
    return true;
  }

  /** Software has enabled the APIC. */
  boolean isEnabled() {
    return (spuriousVector & ENABLED) != 0;
  }

  /** True if {@code destination} means this APIC, whose id in x2APIC mode is {@code id}. */
  boolean matches(int destination, boolean logical, boolean x2Apic, int id) {
    if (!logical) {
      return destination == (x2Apic ? id : changedId);
    }
    return x2Apic
        ? matchesCluster(logicalDestination, destination)
        : matchesLogical(logicalDestination, destinationFormat, destination);
  }

  /** An interrupt has come. */
  void request(int vector, boolean level) {
    requests.add(vector);
    if (level) {
      triggerMode.add(vector);
    } else {
      triggerMode.remove(vector);
    }
  }

  /** The processor takes the highest request. */
  int acknowledge() {
    int vector = requests.highest();
    requests.remove(vector);
    inService.add(vector);
    return vector;
  }

  /** Undoes {@link #acknowledge}; false if the interrupt is not in service. */
  boolean giveBack(int vector) {
    boolean served = inService.contains(vector);
    if (served) {
      inService.remove(vector);
      requests.add(vector);
    }
    return served;
  }

  /** What an interrupt must outrank. */
  int processorPriority() {
    int serving = Math.max(inService.highest(), 0) & 0xf0;
    return (taskPriority & 0xf0) >= serving ? taskPriority : serving;
  }

  /** Puts them where the register page has them. */
  void show(int[] page) {
    for (int register = 0; register < page.length; register++) {
      page[register] = has(register) ? get(register) : page[register];
    }
  }

  /** The opposite of {@link #show}, of registers that may hold anything. */
  void take(int[] page) {
    changedId = page[ID] >>> 24;
    taskPriority = page[TASK_PRIORITY] & 0xff;
    logicalDestination = page[LOGICAL_DESTINATION];
    destinationFormat = page[DESTINATION_FORMAT];
    spuriousVector = page[SPURIOUS_VECTOR] & SPURIOUS_WRITABLE;
    for (int register = IN_SERVICE; register < ERROR_STATUS; register++) {
      vectors(register).setWord(register & 7, page[register]);
    }
    errorStatus = page[ERROR_STATUS];
    errorsSeen = 0;
    command = page[COMMAND];
    commandHigh = page[COMMAND_HIGH];
    for (int register = LVT_TIMER; register <= LVT_ERROR; register++) {
      lvt.set(register, page[register]);
    }
  }

  void save(StateWriter out) {
    out.putInt(changedId).putInt(taskPriority).putInt(logicalDestination);
    out.putInt(destinationFormat).putInt(spuriousVector).putInt(errorStatus).putInt(errorsSeen);
    out.putInt(command).putInt(commandHigh);
    lvt.save(out);
    inService.save(out);
    triggerMode.save(out);
    requests.save(out);
  }

  void load(StateReader in) throws StateException {
    changedId = in.getInt(0, 0xff);
    taskPriority = in.getInt(0, 0xff);
    logicalDestination = in.getInt();
    destinationFormat = in.getInt();
    spuriousVector = in.getInt() & SPURIOUS_WRITABLE;
    errorStatus = in.getInt();
    errorsSeen = in.getInt();
    command = in.getInt();
    commandHigh = in.getInt();
    lvt.load(in);
    inService.load(in);
    triggerMode.load(in);
    requests.load(in);
  }
}
