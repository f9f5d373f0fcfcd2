package dev.bothy.machine;

import dev.bothy.core.FlightRecording;
import dev.bothy.core.Vcpu;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.IntStream;

/**
 * Tells Java's flight recorder, once a second, how often a machine's vCPUs have left guest code.
 * Nothing while nobody records.
 */
final class MachineRecording implements AutoCloseable {
  /** What one vCPU and its thread had counted at the last sample. */
  private static final class Counted {
    private Vcpu vcpu;
    private Map<String, Long> byVcpu = Map.of();
    private Map<String, Long> byThread = Map.of();
  }

  private final String machine;
  private final Gate gate;
  private final Processors processors;
  private final List<VcpuThread> threads;
  private final List<Counted> before;
  private final FlightRecording.Sampling sampling;

  /** The vCPUs are there until this is closed. */
  MachineRecording(String machine, Gate gate, Processors processors, List<VcpuThread> threads) {
    this.machine = machine;
    this.gate = gate;
    this.processors = processors;
    this.threads = threads;
    before = IntStream.range(0, threads.size()).mapToObj(_ -> new Counted()).toList();
    sampling = FlightRecording.sample(() -> VcpuExitsEvent.class, this::sample);
  }

  private void sample() {
    List<VcpuExitsEvent> events = new ArrayList<>();
    // With the lock, as another engine's vCPUs may come and these be closed. Whoever has it is not
    // waited for: the recorder has others to ask, and the counts are not lost.
    gate.ifFree(
        () -> {
          for (int i = 0; i < threads.size(); i++) {
            sample(i, events);
          }
        });
    events.forEach(VcpuExitsEvent::commit);
  }

  private void sample(int index, List<VcpuExitsEvent> events) {
    Counted last = before.get(index);
    Vcpu vcpu = processors.all().get(index);
    if (last.vcpu != vcpu) {
      // Another engine's, that counts from zero.
      last.vcpu = vcpu;
      last.byVcpu = Map.of();
    }
    Map<String, Long> byVcpu = vcpu.counters();
    tell(index, last.byVcpu, byVcpu, events);
    last.byVcpu = byVcpu;
    Map<String, Long> byThread = new TreeMap<>();
    threads.get(index).count(byThread);
    tell(index, last.byThread, byThread, events);
    last.byThread = byThread;
  }

  private void tell(
      int index, Map<String, Long> last, Map<String, Long> now, List<VcpuExitsEvent> events) {
    now.forEach(
        (kind, counted) -> {
          long count = counted - last.getOrDefault(kind, 0L);
          if (count > 0) {
            events.add(new VcpuExitsEvent(machine, index, kind, count));
          }
        });
  }

  /** The vCPUs are about to go. */
  @Override
  public void close() {
    sampling.close();
  }
}
