package dev.bothy.machine;

import dev.bothy.core.AddressSpace;
import dev.bothy.core.Engine;
import dev.bothy.core.GuestMemory;
import dev.bothy.core.Trace;
import dev.bothy.core.Vcpu;
import dev.bothy.core.state.StateException;
import dev.bothy.core.state.StateReader;
import dev.bothy.core.state.StateWriter;
import dev.bothy.device.interrupt.ApicBus;
import java.io.UncheckedIOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;

/**
 * A machine's processors, and the engine that runs them, for another of which both are exchanged
 * while they stand. The machine's lock guards {@link #exchange} and what counts.
 */
final class Processors {
  private final Engine.Environment environment;
  private final Board board;
  private final ApicBus apics;
  private final Optional<Trace> trace;
  private final List<CpuSocket> sockets = new ArrayList<>();
  private volatile ProcessorSet present;

  /** What the guest knows of them, once somebody wants another engine; one thread at a time. */
  private ShownProcessor shown;

  // What earlier engines have done.
  private final Map<String, Long> earlierCounters = new TreeMap<>();
  private long earlierInstructions;
  private long changes;

  /** Makes them and connects them to their local APICs. */
  Processors(
      MachineOptions options,
      GuestMemory memory,
      AddressSpace ports,
      AddressSpace mmio,
      GuestClock clock,
      Engine.WakeUp wakeUp,
      Board board) {
    environment =
        new Engine.Environment(
            memory,
            ports,
            mmio,
            clock,
            options.model(),
            options.cpus(),
            clock instanceof CountedClock,
            wakeUp);
    this.board = board;
    apics = board.apics();
    trace = options.trace();
    present = ProcessorSet.make(options.engine(), environment, apics, trace);
    for (Vcpu vcpu : present.vcpus()) {
      CpuSocket socket = new CpuSocket(vcpu);
      apics.connect(sockets.size(), socket);
      sockets.add(socket);
    }
    try {
      connect(present);
    } catch (RuntimeException e) {
      present.close();
      throw e;
    }
  }

  /**
   * Devices are this set's: local APICs are where it wants them, here or in an engine that has them
   * itself, and the board knows the engine.
   */
  private void connect(ProcessorSet set) {
    set.engine().apics().ifPresent(apics::moveTo);
    set.vcpus().forEach(Vcpu::takeApic);
    board.connect(set.engine());
  }

  /** They are here. */
  private void bringApicsBack() {
    for (int i = 0; i < sockets.size(); i++) {
      apics.localApic(i).moveBack();
    }
    apics.moveBack();
  }

  Engine engine() {
    return present.engine();
  }

  List<Vcpu> all() {
    return present.vcpus();
  }

  CpuSocket socket(int index) {
    return sockets.get(index);
  }

  /**
   * Makes another engine with as many vCPUs, which show the guest what it knows. The present ones
   * go on meanwhile. One thread at a time.
   *
   * @param regardless of what the guest would miss
   */
  ProcessorSet prepare(EngineFactory factory, boolean regardless) throws EngineChangeException {
    if (shown == null) {
      shown = new ShownProcessor(environment.model(), engine().cpuid(0));
    }
    Engine.Environment same =
        new Engine.Environment(
            environment.memory(),
            environment.ports(),
            environment.mmio(),
            environment.clock(),
            shown.modelShown(),
            environment.cpus(),
            environment.deterministic(),
            environment.wakeUp());
    ProcessorSet next;
    try {
      next = ProcessorSet.make(factory, same, apics, trace);
    } catch (UnsupportedOperationException | UncheckedIOException e) {
      throw new EngineChangeException(e.getMessage(), false, e);
    }
    Optional<String> missing = shown.missing(next.engine().cpuid(0));
    if (missing.isPresent() && !regardless) {
      next.close();
      throw new EngineChangeException(missing.get(), true, null);
    }
    return next;
  }

  /** True if the guest, as it has been told, does not mitigate what {@code set} suffers from. */
  boolean believesTooMuch(ProcessorSet set) {
    return shown.believesTooMuch(set.engine().cpuid(0));
  }

  /**
   * {@code next} has the present vCPUs' state and place from now on. All stand. If that fails,
   * nothing has changed.
   *
   * @return those that were there, which are the caller's to close
   */
  ProcessorSet exchange(ProcessorSet next) throws EngineChangeException {
    ProcessorSet before = present;
    // What is signalled meanwhile would be part of neither.
    sockets.forEach(CpuSocket::hold);
    boolean done = false;
    try {
      List<byte[]> states = new ArrayList<>();
      for (Vcpu vcpu : before.vcpus()) {
        StateWriter state = new StateWriter();
        vcpu.save(state);
        states.add(state.toByteArray());
      }
      bringApicsBack();
      connect(next);
      for (int i = 0; i < sockets.size(); i++) {
        Vcpu vcpu = next.vcpus().get(i);
        vcpu.load(new StateReader(vcpu.stateName(), states.get(i)));
      }
      next.vcpus().forEach(Vcpu::settle);
      done = true;
      add(before, earlierCounters);
      earlierInstructions += instructions(before);
      changes++;
      present = next;
      for (int i = 0; i < sockets.size(); i++) {
        sockets.get(i).plug(next.vcpus().get(i));
        next.vcpus().get(i).interruptChanged();
      }
      return before;
    } catch (StateException | UnsupportedOperationException e) {
      throw new EngineChangeException(
          "it does not take the processors' state: " + e.getMessage(), false, e);
    } finally {
      if (!done) {
        bringApicsBack();
        connect(before);
      }
      sockets.forEach(CpuSocket::letGo);
    }
  }

  private static void add(ProcessorSet set, Map<String, Long> counters) {
    for (Vcpu vcpu : set.vcpus()) {
      vcpu.counters().forEach((kind, count) -> counters.merge(kind, count, Long::sum));
    }
  }

  private static long instructions(ProcessorSet set) {
    return set.vcpus().stream().mapToLong(Vcpu::instructions).sum();
  }

  /** Executed by all of them, under whatever engine. */
  long instructions() {
    return earlierInstructions + instructions(present);
  }

  /** Adds what the engines have counted. */
  void count(Map<String, Long> counters) {
    add(present, counters);
    earlierCounters.forEach((kind, count) -> counters.merge(kind, count, Long::sum));
    if (changes > 0) {
      counters.put("engineChanges", changes);
    }
  }

  /** No thread runs them any more; signals that still come go nowhere. */
  void close() {
    for (CpuSocket socket : sockets) {
      socket.hold();
      socket.plug(null);
      socket.letGo();
    }
    apics.moveBack();
    present.close();
  }
}
