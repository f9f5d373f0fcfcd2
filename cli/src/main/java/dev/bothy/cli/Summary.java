package dev.bothy.cli;

import dev.bothy.device.virtio.VirtioBalloon.Statistic;
import dev.bothy.machine.MachineExit;
import dev.bothy.machine.MachineStatistics;
import dev.bothy.x86.translate.Event;
import dev.bothy.x86.translate.Leave;
import java.util.Locale;
import java.util.OptionalDouble;

/** The table of {@code --summary}: what a machine did, for people. */
final class Summary {
  private final StringBuilder table = new StringBuilder();

  private Summary() {}

  /** The table, several lines. */
  static String of(MachineExit end, MachineStatistics statistics, MemoryFigures memory) {
    Summary summary = new Summary();
    summary.machine(end, statistics);
    summary.memory(memory);
    TranslatorFigures translator = new TranslatorFigures(statistics);
    if (translator.present()) {
      summary.translator(translator);
    }
    return summary.table.toString();
  }

  private void machine(MachineExit end, MachineStatistics s) {
    TranslatorFigures translator = new TranslatorFigures(s);
    heading("machine");
    row("end", ExitStatus.name(end));
    row("engine", s.engine());
    row("wall time", seconds(s.wallNanos()));
    row("processor time of the process", seconds(s.cpuNanos()));
    if (s.firstSerialNanos().isPresent()) {
      row("first serial output after", seconds(s.firstSerialNanos().getAsLong()));
    }
    if (!translator.present() || translator.counted()) {
      row("instructions executed", s.instructions());
    }
    row("exceptions", translator.count("exceptions"));
    row("interrupts", translator.count("interrupts"));
    row("halts", translator.count("halt"));
    row("page walks", translator.count("pageWalks"));
    row("TLB flushes", translator.count("tlbFlushes"));
  }

  private void memory(MemoryFigures memory) {
    heading("memory");
    row("given back to the host, in all", mebibytes(memory.released()));
    size("the guest's, as it said last", memory, Statistic.TOTAL_MEMORY);
    size("  free", memory, Statistic.FREE_MEMORY);
    size("  available to programs", memory, Statistic.AVAILABLE_MEMORY);
    size("  caches of disks", memory, Statistic.DISK_CACHES);
  }

  private void size(String name, MemoryFigures memory, Statistic statistic) {
    Long bytes = memory.said().get(statistic);
    if (bytes != null) {
      row(name, mebibytes(bytes));
    }
  }

  private void translator(TranslatorFigures t) {
    heading("translation");
    row("blocks", t.count("blocksTranslated"));
    row("blocks from earlier machines", t.count("blocksFromEarlierMachines"));
    row("instructions", t.count("instructionsTranslated"));
    row("guest code, bytes", t.count("guestBytesTranslated"));
    row("host code, bytes", t.count("hostBytesWritten"), times(t.expansion()));
    row("time", seconds(t.count("translationNanos")));
    rate("instructions a second", t.translatedPerSecond(""));
    rate("  of the first blocks", t.translatedPerSecond("cold"));
    rate("  of the later blocks", t.translatedPerSecond("warm"));
    row("chained jumps", t.count("chains"));
    row("blocks dropped", t.count("translationsDropped"));
    row("code cache clears", t.count("codeCacheClears"));

    heading("generated code was left for");
    long left = 0;
    for (int kind = 0; kind < Leave.KINDS; kind++) {
      left += t.left(kind);
    }
    for (int kind = 0; kind < Leave.KINDS; kind++) {
      share(Leave.name(kind), t.left(kind), left);
    }
    row("TLB entries filled", t.count("tlbFills"));

    if (t.counted()) {
      heading("counted by generated code");
      row("blocks entered", t.count(Event.BLOCK));
      row("memory accesses", t.accesses());
      share("  no look into the TLB needed", t.sharedHits(), t.accesses());
      share("  TLB hits", t.accesses() - t.sharedHits() - t.tlbMisses(), t.accesses());
      share("  TLB misses", t.tlbMisses(), t.accesses());
      row("jump cache look-ups", t.count(Event.JUMP));
      share("  misses", t.jumpCacheMisses(), t.count(Event.JUMP));
    }

    heading("left to the interpreter, one by one");
    if (t.counted()) {
      share("all", t.interpreted(), t.instructions());
    } else {
      row("all", t.interpreted());
    }
    for (TranslatorFigures.Interpreted most : t.mostInterpreted()) {
      share("  " + most.instruction().toLowerCase(Locale.ROOT), most.count(), t.interpreted());
    }
  }

  private void heading(String text) {
    table.append(table.isEmpty() ? "" : "\n").append(text).append('\n');
  }

  private void row(String name, String value, String remark) {
    table.append("  %-34s %16s  %s".formatted(name, value, remark).stripTrailing()).append('\n');
  }

  private void row(String name, String value) {
    row(name, value, "");
  }

  private void row(String name, long value, String remark) {
    row(name, String.format(Locale.ROOT, "%,d", value), remark);
  }

  private void row(String name, long value) {
    row(name, value, "");
  }

  private void share(String name, long value, long whole) {
    OptionalDouble share = TranslatorFigures.ratio(value, whole);
    row(
        name,
        value,
        share.isEmpty() ? "" : String.format(Locale.ROOT, "%6.2f %%", 100 * share.getAsDouble()));
  }

  private void rate(String name, OptionalDouble rate) {
    if (rate.isPresent()) {
      row(name, Math.round(rate.getAsDouble()));
    }
  }

  private static String mebibytes(long bytes) {
    return String.format(Locale.ROOT, "%,d MiB", bytes >> 20);
  }

  private static String times(OptionalDouble ratio) {
    return ratio.isEmpty()
        ? ""
        : String.format(Locale.ROOT, "%.1f for one of the guest's", ratio.getAsDouble());
  }

  private static String seconds(long nanos) {
    return String.format(Locale.ROOT, "%.3f s", nanos / 1e9);
  }
}
