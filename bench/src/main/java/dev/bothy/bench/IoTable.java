package dev.bothy.bench;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.function.ToDoubleFunction;

/** Medians of {@code bench/io}'s rounds, QEMU beside Bothy, as Markdown. */
final class IoTable {
  private record Key(boolean bothy, IoJob job) {}

  private final Map<Key, List<IoSession.Done>> results = new HashMap<>();

  void add(boolean bothy, IoSession.Done done) {
    results.computeIfAbsent(new Key(bothy, done.job()), _ -> new ArrayList<>()).add(done);
  }

  private double median(boolean bothy, IoJob job, ToDoubleFunction<IoSession.Done> what) {
    return Measured.of(
            results.getOrDefault(new Key(bothy, job), List.of()).stream()
                .map(what::applyAsDouble)
                .toList())
        .median();
  }

  String markdown(List<IoJob> jobs) {
    List<IoJob> disks = jobs.stream().filter(job -> !job.network()).toList();
    List<IoJob> network = jobs.stream().filter(IoJob::network).toList();
    StringBuilder text = new StringBuilder();
    if (!disks.isEmpty()) {
      table(text, "## Disks\n\n| fio on a virtio disk |", "operations", disks);
    }
    if (!network.isEmpty()) {
      table(text, "## Network\n\n| iperf3, TCP, user networking |", "Gbit", network);
    }
    return text.toString();
  }

  private void table(StringBuilder text, String head, String unit, List<IoJob> jobs) {
    text.append(head);
    for (String what :
        List.of(unit + "/s", unit + " per device second", unit + " per second of the process")) {
      text.append(" TCG, ").append(what).append(" | Bothy | Bothy / TCG |");
    }
    text.append("\n|---|").append("---:|".repeat(9)).append('\n');
    for (IoJob job : jobs) {
      text.append("| ").append(job.what()).append(" |");
      pair(text, job, IoSession.Done::rate);
      pair(text, job, IoSession.Done::perDeviceSecond);
      pair(text, job, IoSession.Done::perSecond);
      text.append('\n');
    }
    text.append('\n');
  }

  private void pair(StringBuilder text, IoJob job, ToDoubleFunction<IoSession.Done> what) {
    double qemu = median(false, job, what);
    double bothy = median(true, job, what);
    int digits = job.network() ? 2 : 0;
    for (String cell : List.of(cell(digits, qemu), cell(digits, bothy), cell(2, bothy / qemu))) {
      text.append(' ').append(cell).append(" |");
    }
  }

  private static String cell(int digits, double value) {
    return Double.isNaN(value) ? "" : Measured.fixed(digits, value);
  }
}
