package dev.bothy.share;

import java.util.concurrent.locks.ReentrantReadWriteLock;

/**
 * What one driver of the guest knows, from its start to its reset. Thread-safe: requests that are
 * under way when it is closed end like others, and leave nothing open.
 */
final class Session implements AutoCloseable {
  private final Nodes nodes;
  private final Handles handles;
  private final ReentrantReadWriteLock names = new ReentrantReadWriteLock();
  private volatile boolean begun;

  Session(SharedFolder folder) {
    nodes = new Nodes(folder.identity(), folder.budget());
    handles = new Handles(folder.budget(), nodes);
  }

  Nodes nodes() {
    return nodes;
  }

  Handles handles() {
    return handles;
  }

  /**
   * Held for reading from the moment that somebody asks for a node's names until those have been
   * used, or a new one is entered; held for writing while names change.
   */
  ReentrantReadWriteLock names() {
    return names;
  }

  /** True once guest and host have agreed on a version. */
  boolean begun() {
    return begun;
  }

  void begin() {
    begun = true;
  }

  @Override
  public void close() {
    handles.close();
    nodes.close();
  }
}
