package dev.bothy.debug.monitor;

import dev.bothy.machine.Machine;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.TreeSet;
import java.util.function.Supplier;

/**
 * What people type to see into a machine and to handle it: a line at a time, each answered by text.
 * Knows nothing of terminals. Any thread.
 */
public final class Monitor {
  private final List<MonitorCommand> commands;

  /**
   * @param machine started, and not closed while commands run
   * @param disks of the machine, a line each
   * @param networks of the machine, a line each
   * @param engines that may run it
   */
  public Monitor(
      Machine machine,
      Supplier<List<String>> disks,
      Supplier<List<String>> networks,
      EngineChoice engines) {
    commands =
        List.of(
            new Simple("help", "this list", this::help),
            new InfoRegisters(machine),
            new Simple(
                "info memory", "RAM, and how processors see it", () -> MemoryText.of(machine)),
            new Simple(
                "info interrupts",
                "local APICs, the I/O APIC and the 8259s",
                () -> InterruptText.of(machine)),
            new Simple("info devices", "what answers where, and PCI", () -> DeviceText.of(machine)),
            Simple.list("info blocks", "disks", disks),
            Simple.list("info network", "network cards", networks),
            Simple.list(
                "info engine", "what runs guest code, and what else might", engines::describe),
            Simple.silent("pause", "stops processors, clock and devices", machine::pause),
            new Resume(machine),
            Simple.silent("reset", "presses the reset button", machine::reset),
            new PowerOff(machine),
            Simple.silent(
                "nmi", "a non-maskable interrupt for every processor", () -> interrupt(machine)),
            new DumpMemory(machine),
            new ChangeEngine(engines));
  }

  /** All commands, in the order in which they are listed. */
  public List<MonitorCommand> commands() {
    return commands;
  }

  private static void interrupt(Machine machine) {
    machine.engineLock().lock();
    try {
      for (int i = 0; i < machine.options().cpus(); i++) {
        machine.vcpu(i).nmi();
      }
    } finally {
      machine.engineLock().unlock();
    }
  }

  private String help() {
    StringBuilder out = new StringBuilder();
    for (MonitorCommand command : commands) {
      String left = command.name() + (command.form().isEmpty() ? "" : " " + command.form());
      out.append("%-34s  %s%n".formatted(left, command.help()).replace("\r", ""));
    }
    return out.toString();
  }

  private static List<String> words(String line) {
    return Arrays.stream(line.strip().split("\\s+")).filter(word -> !word.isEmpty()).toList();
  }

  /**
   * Does what a line says.
   *
   * @return what there is to say, each line ended by a line feed; nothing for an empty line
   * @throws MonitorException if it makes no sense or cannot be done; the message is a line
   */
  public String run(String line) throws MonitorException {
    List<String> words = words(line);
    if (words.isEmpty()) {
      return "";
    }
    for (MonitorCommand command : commands) {
      List<String> name = words(command.name());
      if (words.size() >= name.size() && words.subList(0, name.size()).equals(name)) {
        return command.run(words.subList(name.size(), words.size()));
      }
    }
    List<String> could = complete(List.of(words.getFirst()), "");
    throw new MonitorException(
        could.isEmpty()
            ? "there is no command \"" + words.getFirst() + "\": help lists all"
            : words.getFirst() + " wants one of: " + String.join(", ", could));
  }

  /**
   * The words that may follow.
   *
   * @param before whole words in front of the one at hand
   * @param begun the beginning of the one at hand
   */
  public List<String> complete(List<String> before, String begun) {
    TreeSet<String> found = new TreeSet<>();
    for (MonitorCommand command : commands) {
      List<String> all = new ArrayList<>(words(command.name()));
      if (before.size() < all.size() && all.subList(0, before.size()).equals(before)) {
        found.add(all.get(before.size()));
      } else if (before.equals(all)) {
        found.addAll(command.arguments());
      }
    }
    return found.stream().filter(word -> word.startsWith(begun)).toList();
  }
}
