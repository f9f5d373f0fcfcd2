package dev.bothy.core;

import java.util.List;
import java.util.function.Consumer;

/** An {@link AddressSpace} that tells a trace of every access. */
final class TracedSpace extends AddressSpace {
  private final Trace trace;
  private final Trace.Kind kind;

  TracedSpace(String name, Trace trace, Trace.Kind kind) {
    super(name);
    this.trace = trace;
    this.kind = kind;
  }

  private String nameAt(long address) {
    Mapping mapping = find(address);
    return mapping == null ? "nobody" : mapping.device();
  }

  /** Tells of none: what rings by itself is no access that can be told. */
  @Override
  public void watchDoorbells(Consumer<List<PlacedDoorbell>> watcher) {}

  @Override
  public long read(long address, int size) {
    String who = nameAt(address);
    long value = super.read(address, size);
    trace.tellAccess(kind, who, false, address, size, value);
    return value;
  }

  @Override
  public void write(long address, int size, long value) {
    // Before it happens: what follows from it comes behind it.
    trace.tellAccess(kind, nameAt(address), true, address, size, value);
    super.write(address, size, value);
  }
}
