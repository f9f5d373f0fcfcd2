package dev.bothy.machine;

import dev.bothy.core.MachineClock;
import dev.bothy.core.Trace;
import dev.bothy.core.cpu.CpuModel;
import dev.bothy.device.pci.PciHost;
import dev.bothy.device.serial.SerialOutput;
import dev.bothy.machine.boot.BootSource;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.Optional;

/**
 * What a machine is made of.
 *
 * @param name for threads and messages
 * @param memory bytes of RAM, a multiple of 4096, at most {@link MemoryMap#MEMORY_LIMIT}
 * @param cpus 1 to {@link #MAX_CPUS}
 * @param boot what it starts, at power-on and at each reset
 * @param serial where COM1 sends
 * @param reboot false: a reset ends the machine
 * @param debugExit true: a write to port 0xF4 ends the machine
 * @param testDevice true: it has the devices of conformance guests
 * @param nanosPerInstruction 0: guest time is the host's; above 0: a test clock by the number of
 *     instructions, for one vCPU
 * @param cards at most {@link #MAX_CARDS}, for PCI devices 1 to 31 in this order, and then for the
 *     second functions of these devices, and so on
 * @param trace what people want to see of what it does, if anything
 */
public record MachineOptions(
    String name,
    long memory,
    int cpus,
    CpuModel model,
    EngineFactory engine,
    BootSource boot,
    SerialOutput serial,
    boolean reboot,
    boolean debugExit,
    boolean testDevice,
    long nanosPerInstruction,
    List<PciCard> cards,
    Optional<Trace> trace) {
  /** As many as APIC ids in xAPIC mode. */
  public static final int MAX_CPUS = 64;

  /** PCI functions besides the host bridge and the entropy device, which every machine has. */
  public static final int MAX_CARDS = (PciHost.DEVICES - 1) * PciHost.FUNCTIONS - 1;

  public MachineOptions {
    Objects.requireNonNull(name);
    Objects.requireNonNull(model);
    Objects.requireNonNull(engine);
    Objects.requireNonNull(boot);
    Objects.requireNonNull(serial);
    if (memory <= 0 || memory % 4096 != 0 || memory > MemoryMap.MEMORY_LIMIT) {
      throw new IllegalArgumentException(
          "memory must be a positive multiple of 4096 bytes and at most 256 GiB: " + memory);
    }
    if (cpus < 1 || cpus > MAX_CPUS) {
      throw new IllegalArgumentException("1 to " + MAX_CPUS + " processors, not " + cpus);
    }
    if (nanosPerInstruction < 0 || nanosPerInstruction > 0 && cpus > 1) {
      throw new IllegalArgumentException("the test clock needs a single processor");
    }
    Objects.requireNonNull(trace);
    cards = List.copyOf(cards);
    if (cards.size() > MAX_CARDS) {
      throw new IllegalArgumentException(
          "at most " + MAX_CARDS + " PCI functions, not " + cards.size());
    }
  }

  /**
   * One processor, model v2, host clock, restarts on reset, no debug exit, no test devices, no
   * cards, no trace.
   */
  public static MachineOptions of(
      long memory, EngineFactory engine, BootSource boot, SerialOutput serial) {
    return new MachineOptions(
        "bothy",
        memory,
        1,
        CpuModel.V2,
        engine,
        boot,
        serial,
        true,
        false,
        false,
        0,
        List.of(),
        Optional.empty());
  }

  public MachineOptions withName(String value) {
    return with(
        value, cpus, model, reboot, debugExit, testDevice, nanosPerInstruction, cards, trace);
  }

  public MachineOptions withCpus(int value) {
    return with(
        name, value, model, reboot, debugExit, testDevice, nanosPerInstruction, cards, trace);
  }

  public MachineOptions withModel(CpuModel value) {
    return with(
        name, cpus, value, reboot, debugExit, testDevice, nanosPerInstruction, cards, trace);
  }

  public MachineOptions withReboot(boolean value) {
    return with(name, cpus, model, value, debugExit, testDevice, nanosPerInstruction, cards, trace);
  }

  public MachineOptions withDebugExit(boolean value) {
    return with(name, cpus, model, reboot, value, testDevice, nanosPerInstruction, cards, trace);
  }

  public MachineOptions withTestDevice(boolean value) {
    return with(name, cpus, model, reboot, debugExit, value, nanosPerInstruction, cards, trace);
  }

  /** Time counts {@code value} nanoseconds for each instruction. */
  public MachineOptions withCountedClock(long value) {
    return with(name, cpus, model, reboot, debugExit, testDevice, value, cards, trace);
  }

  /** With one more PCI function. */
  public MachineOptions withCard(PciCard card) {
    List<PciCard> all = new ArrayList<>(cards);
    all.add(card);
    return with(name, cpus, model, reboot, debugExit, testDevice, nanosPerInstruction, all, trace);
  }

  /** With a trace, which shows the machine's time. */
  public MachineOptions withTrace(Trace value) {
    return withTrace(Optional.of(value));
  }

  /** The same with {@code clock}'s time in the trace, if there is one. */
  MachineOptions timedBy(MachineClock clock) {
    return withTrace(trace.map(wanted -> wanted.at(clock)));
  }

  private MachineOptions withTrace(Optional<Trace> value) {
    return with(
        name, cpus, model, reboot, debugExit, testDevice, nanosPerInstruction, cards, value);
  }

  /** The same with other values of what {@link #of} does not ask for. */
  private MachineOptions with(
      String name,
      int cpus,
      CpuModel model,
      boolean reboot,
      boolean debugExit,
      boolean testDevice,
      long nanosPerInstruction,
      List<PciCard> cards,
      Optional<Trace> trace) {
    return new MachineOptions(
        name,
        memory,
        cpus,
        model,
        engine,
        boot,
        serial,
        reboot,
        debugExit,
        testDevice,
        nanosPerInstruction,
        cards,
        trace);
  }
}
