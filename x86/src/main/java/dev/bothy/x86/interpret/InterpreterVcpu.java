package dev.bothy.x86.interpret;

import static dev.bothy.host.RawMemory.getLong;

import dev.bothy.core.Engine;
import dev.bothy.core.Exit;
import dev.bothy.core.LocalInterruptController;
import dev.bothy.core.StopPoints;
import dev.bothy.core.Vcpu;
import dev.bothy.core.cpu.CpuState;
import dev.bothy.core.cpu.SvmState;
import dev.bothy.core.state.StateException;
import dev.bothy.core.state.StateReader;
import dev.bothy.core.state.StateWriter;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** A vCPU of the interpreter. */
final class InterpreterVcpu implements Vcpu {
  private final InterpreterEngine engine;
  private final Engine.Environment machine;
  private final int index;
  private final LocalInterruptController apic;
  private final CpuState state;
  private final Processor processor;
  private boolean stateLent;

  InterpreterVcpu(
      InterpreterEngine engine,
      Engine.Environment machine,
      int index,
      LocalInterruptController apic) {
    this.engine = engine;
    this.machine = machine;
    this.index = index;
    this.apic = apic;
    state = new CpuState(EngineArea.SIZE);
    processor = new Processor(engine, machine, index, state, apic, engine.codeMap);
    engine.codeMap.add(processor);
    ResetState.reset(processor, state);
  }

  Processor processor() {
    return processor;
  }

  /** Up to {@code most} bytes at RIP. */
  byte[] code(int most) {
    if (stateLent) {
      stateLent = false;
      StateTransfer.load(processor);
    }
    return CpuReport.code(processor, most);
  }

  void askAttention() {
    processor.setAttention(CpuState.ATTENTION_ENGINE);
  }

  @Override
  public Exit run(long budget) {
    if (stateLent) {
      stateLent = false;
      StateTransfer.load(processor);
    }
    try {
      return processor.run(budget);
    } finally {
      StateTransfer.store(processor);
    }
  }

  /** See {@link DebugStops#stopAt}; while the vCPU does not run. */
  void stopAt(List<StopPoints.Watchpoint> points, boolean fetchAnew) {
    processor.debug.stopAt(points, fetchAnew);
  }

  @Override
  public Exit step() {
    return processor.debug.step(() -> run(1));
  }

  @Override
  public void kick() {
    processor.setAttention(CpuState.ATTENTION_KICK);
    machine.wakeUp().wake(index);
  }

  @Override
  public void interruptChanged() {
    processor.setAttention(CpuState.ATTENTION_INTERRUPT);
    machine.wakeUp().wake(index);
  }

  @Override
  public void nmi() {
    processor.signals.addNmi();
    processor.signalled();
  }

  @Override
  public void smi() {
    processor.signals.add(ProcessorSignals.SMI);
    processor.signalled();
  }

  @Override
  public void init() {
    processor.signals.addInit();
    processor.signalled();
  }

  @Override
  public void startup(int page) {
    processor.signals.addStartup(page);
    processor.signalled();
  }

  @Override
  public long instructions() {
    return processor.executed;
  }

  @Override
  public boolean hasWork() {
    return processor.hasWork();
  }

  @Override
  public CpuState state() {
    // The caller may change it.
    stateLent = true;
    return state;
  }

  @Override
  public void reset() {
    // RAM may have been changed behind the observers' back.
    processor.code.clear();
    ResetState.reset(processor, state);
    apic.setTscOffset(0);
  }

  /** The guest computes time from the counter as it goes here. */
  @Override
  public void settle() {
    ParavirtualClock.systemTime(processor, state.get(CpuState.KVM_SYSTEM_TIME));
  }

  @Override
  public Map<String, Long> counters() {
    Map<String, Long> counters = new LinkedHashMap<>();
    counters.put("blocksBuilt", processor.code.built);
    counters.put("blocksDropped", processor.code.dropped);
    counters.put("blockLookups", processor.code.lookups);
    counters.put("codeCacheWipes", processor.code.wiped);
    counters.put("pageWalks", processor.walks + getLong(processor.state + EngineArea.REFILLS));
    counters.put("tlbFlushes", processor.tlbFlushes());
    counters.put("exceptions", processor.exceptions);
    counters.put("interrupts", processor.interrupts);
    counters.put("portAccesses", processor.portAccesses);
    if (engine.translator != null) {
      processor.translated.count(counters);
      if (index == 0) {
        counters.putAll(engine.translator.counters());
      }
    }
    for (int v = 0; v < 32; v++) {
      if (processor.exceptionsByVector[v] > 0) {
        counters.put("exception" + v, processor.exceptionsByVector[v]);
      }
    }
    return counters;
  }

  @Override
  public String stateName() {
    return "cpu" + index;
  }

  @Override
  public void save(StateWriter out) {
    StateTransfer.absorbSignals(processor);
    state.save(out);
    // A loaded vCPU starts with an empty TLB: so does this one from here on, so that both go on
    // alike.
    processor.flushAll();
  }

  @Override
  public void load(StateReader in) throws StateException {
    state.load(in);
    processor.code.clear();
    processor.signals.take();
    StateTransfer.load(processor);
    if (processor.hyperv != null) {
      processor.hyperv.load();
    }
    apic.setTscOffset(state.get(CpuState.TSC_OFFSET) - state.get(SvmState.TSC_OFFSET));
  }

  @Override
  public void close() {
    engine.remove(this);
    processor.close();
    state.close();
  }
}
