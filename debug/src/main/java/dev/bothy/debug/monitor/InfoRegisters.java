package dev.bothy.debug.monitor;

import static dev.bothy.core.cpu.CpuState.SEGMENT_ATTRIBUTES;
import static dev.bothy.core.cpu.CpuState.SEGMENT_BASE;
import static dev.bothy.core.cpu.CpuState.SEGMENT_LIMIT;
import static dev.bothy.core.cpu.CpuState.SEGMENT_SELECTOR;
import static dev.bothy.core.cpu.CpuState.segment;

import dev.bothy.core.cpu.CpuFeature;
import dev.bothy.core.cpu.CpuModel;
import dev.bothy.core.cpu.CpuState;
import dev.bothy.core.cpu.SvmState;
import dev.bothy.machine.Machine;
import java.util.List;
import java.util.stream.IntStream;

/** The registers of processors. */
record InfoRegisters(Machine machine) implements MonitorCommand {
  private static final List<String> GENERAL =
      List.of(
          "rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12",
          "r13", "r14", "r15");

  private static final List<String> SEGMENTS =
      List.of("es", "cs", "ss", "ds", "fs", "gs", "ldtr", "tr");

  @Override
  public String name() {
    return "info registers";
  }

  @Override
  public String form() {
    return "[PROCESSOR]";
  }

  @Override
  public String help() {
    return "registers of a processor, or of all";
  }

  @Override
  public List<String> arguments() {
    return IntStream.range(0, machine.options().cpus()).mapToObj(Integer::toString).toList();
  }

  @Override
  public String run(List<String> words) throws MonitorException {
    if (words.size() > 1 || !arguments().containsAll(words)) {
      throw new MonitorException(
          "info registers takes a processor from 0 to " + (machine.options().cpus() - 1));
    }
    List<String> wanted = words.isEmpty() ? arguments() : words;
    return machine.whileStanding(
        () -> {
          StringBuilder out = new StringBuilder();
          wanted.forEach(number -> append(out, Integer.parseInt(number)));
          return out.toString();
        });
  }

  private void append(StringBuilder out, int index) {
    CpuState cpu = machine.vcpu(index).state();
    out.append("processor ").append(index).append(": ").append(activity(cpu)).append('\n');
    for (int i = 0; i < GENERAL.size(); i++) {
      out.append("%-3s %016x%s".formatted(GENERAL.get(i), cpu.gpr(i), i % 4 == 3 ? "\n" : "  "));
    }
    out.append(
        "rip %016x  rflags %08x  efer %x%n"
            .formatted(cpu.get(CpuState.RIP), cpu.get(CpuState.RFLAGS), cpu.get(CpuState.EFER)));
    out.append(
        "cr0 %x  cr2 %x  cr3 %x  cr4 %x%n"
            .formatted(
                cpu.get(CpuState.CR0),
                cpu.get(CpuState.CR2),
                cpu.get(CpuState.CR3),
                cpu.get(CpuState.CR4)));
    CpuModel model = machine.options().model();
    if (model.has(CpuFeature.SHSTK) || model.has(CpuFeature.IBT)) {
      appendControlFlow(out, cpu);
    }
    for (int s = 0; s < SEGMENTS.size(); s++) {
      out.append(
          "%-4s %04x  base %016x  limit %08x  attributes %04x%n"
              .formatted(
                  SEGMENTS.get(s),
                  cpu.getInt32(segment(s, SEGMENT_SELECTOR)),
                  cpu.get(segment(s, SEGMENT_BASE)),
                  cpu.getInt32(segment(s, SEGMENT_LIMIT)),
                  cpu.getInt32(segment(s, SEGMENT_ATTRIBUTES))));
    }
    out.append(
        "gdtr base %016x  limit %04x%nidtr base %016x  limit %04x%n"
            .formatted(
                cpu.get(CpuState.GDTR_BASE),
                cpu.getInt32(CpuState.GDTR_LIMIT),
                cpu.get(CpuState.IDTR_BASE),
                cpu.getInt32(CpuState.IDTR_LIMIT)));
  }

  private static void appendControlFlow(StringBuilder out, CpuState cpu) {
    out.append(
        "ssp %016x  u_cet %x  s_cet %x%n"
            .formatted(cpu.get(CpuState.SSP), cpu.get(CpuState.U_CET), cpu.get(CpuState.S_CET)));
    for (int level = 0; level < 4; level++) {
      out.append("pl%d_ssp %x  ".formatted(level, cpu.get(CpuState.LEVEL_SSP + 8 * level)));
    }
    out.append("ssp table %x%n".formatted(cpu.get(CpuState.INTERRUPT_SSP_TABLE)));
  }

  private static String activity(CpuState cpu) {
    return switch (cpu.getInt32(CpuState.ACTIVITY)) {
      case CpuState.ACTIVITY_HALTED -> "halted";
      case CpuState.ACTIVITY_WAIT_STARTUP -> "waits for start-up";
      case CpuState.ACTIVITY_SHUTDOWN -> "shut down";
      default -> cpu.getInt32(SvmState.GUEST) != 0 ? "runs a guest of its guest" : "runs";
    };
  }
}
