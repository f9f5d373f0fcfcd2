package dev.bothy.share;

import dev.bothy.host.FileStatus;
import java.util.Arrays;
import java.util.List;

/**
 * A file, folder or anything else that the guest knows by a number. It costs no descriptor: it is
 * found again by its names, and is the same if its identity is. All fields are guarded by {@link
 * Nodes}.
 */
final class Node {
  /** The root's number. */
  static final long ROOT = 1;

  final long id;

  /** Null if it was gone when saved state was loaded. */
  FileIdentity identity;

  /** How often the guest was told of it and has not said that it forgot. */
  long lookups;

  /** Names of other nodes that begin here. */
  int children;

  /** Where it was seen, last first; a folder is in one place. */
  List<Name> names = List.of();

  /** True once its last name was removed by the guest. */
  boolean gone;

  /** What has no name that we know, but may be used until it is forgotten. */
  Descriptor pin;

  /** Open handles; null if there have been none. */
  List<Handle> handles;

  Node(long id, FileIdentity identity) {
    this.id = id;
    this.identity = identity;
  }

  /** A place where a node was seen. It may be another file's by now, which its identity tells. */
  record Name(Node folder, byte[] text) {
    boolean is(Node otherFolder, byte[] otherText) {
      return folder == otherFolder && Arrays.equals(text, otherText);
    }
  }

  boolean isFolder() {
    return identity != null && identity.type() == FileStatus.FOLDER;
  }
}
