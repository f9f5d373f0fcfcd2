package dev.bothy.share;

import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/** All that a guest has open. Numbers are never given again. Thread-safe. */
final class Handles {
  private final Map<Long, Handle> byId = new HashMap<>();
  private final DescriptorBudget budget;
  private final Nodes nodes;
  private long next = 1;
  private boolean closed;

  Handles(DescriptorBudget budget, Nodes nodes) {
    this.budget = budget;
    this.nodes = nodes;
  }

  /** Opens something, within the limits. */
  interface Opening {
    Descriptor open() throws FuseException;
  }

  /** Opens something for the guest. */
  Handle open(Node node, boolean folder, int flags, Opening opening) throws FuseException {
    if (!budget.take()) {
      throw new FuseException(Errno.ENFILE);
    }
    Descriptor descriptor = null;
    try {
      descriptor = opening.open();
      return add(0, node, folder, flags, descriptor);
    } finally {
      if (descriptor == null) {
        budget.give();
      }
    }
  }

  /** What was opened belongs to the handle from now on; {@code id} is 0 for a new one. */
  private Handle add(long id, Node node, boolean folder, int flags, Descriptor descriptor) {
    Handle handle;
    synchronized (this) {
      handle = new Handle(id == 0 ? next++ : id, node, descriptor, folder, flags);
      if (!closed) {
        byId.put(handle.id(), handle);
        nodes.addHandle(node, handle);
        return handle;
      }
    }
    // The guest of this session is gone; nobody will hear of it.
    descriptor.close();
    budget.give();
    return handle;
  }

  /**
   * What a handle has open, with the caller as one more user.
   *
   * @throws FuseException EBADF if there is no such handle, or it is of another node or kind
   */
  synchronized Handle use(long id, long node, boolean folder) throws FuseException {
    Handle handle = byId.get(id);
    if (handle == null
        || handle.folder() != folder
        || handle.node().id != node
        || !handle.descriptor().use()) {
      throw new FuseException(Errno.EBADF);
    }
    return handle;
  }

  /** Closes a handle, if there is one. */
  void release(long id, boolean folder) {
    Handle handle;
    synchronized (this) {
      handle = byId.get(id);
      if (handle == null || handle.folder() != folder) {
        return;
      }
      byId.remove(id);
    }
    close(handle);
  }

  private void close(Handle handle) {
    nodes.removeHandle(handle.node(), handle);
    handle.descriptor().close();
    budget.give();
  }

  synchronized List<Handle> all() {
    return byId.values().stream().sorted((a, b) -> Long.compare(a.id(), b.id())).toList();
  }

  synchronized long next() {
    return next;
  }

  /** Numbers of new handles begin here. */
  synchronized void startAt(long id) {
    next = id;
  }

  /** Puts back a handle that was saved; false if there are too many. */
  boolean restore(long id, Node node, boolean folder, int flags, Opening opening) {
    if (!budget.take()) {
      return false;
    }
    try {
      add(id, node, folder, flags, opening.open());
      return true;
    } catch (FuseException e) {
      budget.give();
      return false;
    }
  }

  /** Closes all; what is opened from now on is closed at once. */
  void close() {
    Collection<Handle> handles;
    synchronized (this) {
      closed = true;
      handles = List.copyOf(byId.values());
      byId.clear();
    }
    handles.forEach(this::close);
  }
}
