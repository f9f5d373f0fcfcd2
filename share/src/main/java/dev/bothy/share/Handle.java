package dev.bothy.share;

import dev.bothy.host.FileCalls;
import dev.bothy.host.FolderCalls;

/**
 * Something that the guest has open.
 *
 * <p>A folder's reader holds the handle's lock, since its descriptor has one position.
 */
final class Handle {
  /** No position of a folder's. */
  static final long UNKNOWN = -1;

  private final long id;
  private final Node node;
  private final Descriptor descriptor;
  private final boolean folder;
  private final int flags;

  /** Where the folder's descriptor stands, or {@link #UNKNOWN}. */
  private long position;

  /**
   * @param flags that it was opened with
   */
  Handle(long id, Node node, Descriptor descriptor, boolean folder, int flags) {
    this.id = id;
    this.node = node;
    this.descriptor = descriptor;
    this.folder = folder;
    this.flags = flags;
  }

  long id() {
    return id;
  }

  Node node() {
    return node;
  }

  Descriptor descriptor() {
    return descriptor;
  }

  boolean folder() {
    return folder;
  }

  int flags() {
    return flags;
  }

  boolean writable() {
    return (flags & FolderCalls.O_ACCESS) != FileCalls.O_RDONLY;
  }

  long position() {
    return position;
  }

  void moveTo(long newPosition) {
    position = newPosition;
  }
}
