package dev.bothy.share;

import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;

/**
 * All nodes that a guest knows. A node is there from the first look-up until the guest has
 * forgotten it as often as it was told of it; below it there are others for as long as they have
 * names in it. Numbers are never given again. Thread-safe.
 */
final class Nodes {
  /** Folders within folders, beyond which nothing is found. */
  static final int DEPTH = 4096;

  /** Names of one file that are remembered. */
  private static final int NAMES = 16;

  /** No host lets a guest know more. */
  static final int LIMIT = 1 << 21;

  /** A node takes about a quarter of a KiB; together they are to take an eighth of the heap. */
  private static final int MOST =
      Math.clamp(Runtime.getRuntime().maxMemory() >> 11, 1 << 16, LIMIT);

  private final Map<Long, Node> byId = new HashMap<>();
  private final Map<FileIdentity, Node> byIdentity = new HashMap<>();
  private final LinkedHashSet<Node> pinned = new LinkedHashSet<>();
  private final DescriptorBudget budget;
  private final long most;
  private final Node root;
  private long next = Node.ROOT + 1;

  /** Names of nodes beyond the first one of each. */
  private long further;

  private boolean closed;

  Nodes(FileIdentity root, DescriptorBudget budget) {
    this(root, budget, MOST);
  }

  Nodes(FileIdentity root, DescriptorBudget budget, long most) {
    this.budget = budget;
    this.most = most;
    this.root = new Node(Node.ROOT, root);
    this.root.lookups = 1;
    byId.put(Node.ROOT, this.root);
    byIdentity.put(root, this.root);
  }

  Node root() {
    return root;
  }

  /** The node of that number. */
  synchronized Node get(long id) throws FuseException {
    Node node = byId.get(id);
    if (node == null || node.lookups == 0) {
      throw new FuseException(Errno.ESTALE);
    }
    return node;
  }

  /** The node that is this file; null if the guest knows none. */
  synchronized Node find(FileIdentity identity) {
    return byIdentity.get(identity);
  }

  /** The folder that a folder was seen in last; the root's is the root. */
  synchronized Node parent(Node folder) throws FuseException {
    if (folder == root) {
      return root;
    }
    if (!folder.isFolder()) {
      throw new FuseException(Errno.ENOTDIR);
    }
    if (folder.names.isEmpty()) {
      throw new FuseException(Errno.ESTALE);
    }
    return folder.names.getFirst().folder();
  }

  /** The guest is told of a file, which was seen in that place: its node. */
  synchronized Node enter(FileIdentity identity, Node folder, byte[] name) throws FuseException {
    Node node = tell(identity);
    // One that is gone was found by somebody else before that.
    if (node != root && !node.gone) {
      add(node, folder, name);
      unpin(node);
    }
    return node;
  }

  /** The guest is told of a file that has no name. */
  synchronized Node enterNameless(FileIdentity identity, Descriptor descriptor)
      throws FuseException {
    Node node = tell(identity);
    pin(node, descriptor);
    return node;
  }

  /** The guest is told of a node once more. */
  synchronized void enterAgain(Node node) {
    node.lookups++;
  }

  private Node tell(FileIdentity identity) throws FuseException {
    Node node = byIdentity.get(identity);
    if (node == null) {
      if (byId.size() >= most) {
        throw new FuseException(Errno.ENFILE);
      }
      node = new Node(next++, identity);
      byId.put(node.id, node);
      byIdentity.put(identity, node);
    }
    node.lookups++;
    return node;
  }

  /** The guest has forgotten a node {@code count} times; more often than it can have is all. */
  synchronized void forget(long id, long count) {
    Node node = byId.get(id);
    if (node != null && node != root) {
      node.lookups = Long.compareUnsigned(count, node.lookups) >= 0 ? 0 : node.lookups - count;
      collect(node);
    }
  }

  /** Removes a node that nobody has a use for, and what was there for its sake. */
  private void collect(Node start) {
    Node node = start;
    while (node != root && node.lookups == 0 && node.children == 0 && byId.remove(node.id, node)) {
      byIdentity.remove(node.identity, node);
      unpin(node);
      List<Node.Name> names = node.names;
      setNames(node, List.of());
      for (int i = names.size() - 1; i > 0; i--) {
        leave(names.get(i).folder());
      }
      if (names.isEmpty()) {
        return;
      }
      // A folder has one name: this follows a chain of folders without recursion.
      node = names.getFirst().folder();
      node.children--;
    }
  }

  private void setNames(Node node, List<Node.Name> names) {
    further += further(names) - further(node.names);
    node.names = names;
  }

  private static int further(List<Node.Name> names) {
    return Math.max(0, names.size() - 1);
  }

  private void leave(Node folder) {
    folder.children--;
    collect(folder);
  }

  private void add(Node node, Node folder, byte[] text) {
    List<Node.Name> before = node.names;
    if (!before.isEmpty() && before.getFirst().is(folder, text)) {
      return;
    }
    if (node.isFolder() && isBelow(folder, node)) {
      // Somebody on the host moves folders meanwhile; where this one is will be seen again.
      return;
    }
    // A quarter of what nodes take is enough for the names of files that have several.
    long left = Math.max(0, most / 4 - further + further(before));
    List<Node.Name> names = new ArrayList<>(2);
    names.add(new Node.Name(folder, text));
    folder.children++;
    for (Node.Name name : before) {
      if (!node.isFolder() && names.size() < Math.min(NAMES, 1 + left) && !name.is(folder, text)) {
        names.add(name);
        name.folder().children++;
      }
    }
    setNames(node, List.copyOf(names));
    before.forEach(name -> leave(name.folder()));
  }

  private void drop(Node node, Node folder, byte[] text) {
    List<Node.Name> names = new ArrayList<>(node.names);
    if (names.removeIf(name -> name.is(folder, text))) {
      setNames(node, List.copyOf(names));
      leave(folder);
    }
  }

  /** True if {@code folder} is {@code node} or lies below, or too deep to tell. */
  private boolean isBelow(Node folder, Node node) {
    Node at = folder;
    for (int depth = 0; depth < DEPTH; depth++) {
      if (at == node) {
        return true;
      }
      if (at.names.isEmpty()) {
        return false;
      }
      at = at.names.getFirst().folder();
    }
    return true;
  }

  /** A name of a node is about to be removed, which {@code descriptor} will still stand for. */
  synchronized void removing(Node node, Descriptor descriptor) {
    if (node.pin == null) {
      pin(node, descriptor);
    }
  }

  /**
   * It was removed.
   *
   * @param last true if it was the last name
   */
  synchronized void removed(
      Node node, Node folder, byte[] name, Descriptor descriptor, boolean last) {
    drop(node, folder, name);
    if (last) {
      node.gone = true;
      // Where birth is not known, the host's next file may be told from it by nothing.
      byIdentity.remove(node.identity, node);
      List<Node.Name> names = node.names;
      setNames(node, List.of());
      names.forEach(gone -> leave(gone.folder()));
    }
    if (node.names.isEmpty()) {
      removing(node, descriptor);
    } else {
      notRemoved(node, descriptor);
    }
  }

  /** It was not removed, or not the last one. */
  synchronized void notRemoved(Node node, Descriptor descriptor) {
    if (node.pin == descriptor) {
      unpin(node);
    }
  }

  /** A node's name is another now. */
  synchronized void moved(Node node, Node folder, byte[] name, Node newFolder, byte[] newName) {
    // A guest that has forgotten it meanwhile must not make its new folder stay for ever.
    if (knows(node)) {
      add(node, newFolder, newName);
      drop(node, folder, name);
    }
  }

  private void pin(Node node, Descriptor descriptor) {
    if (closed || byId.get(node.id) != node) {
      return;
    }
    while (!pinned.isEmpty() && pinned.size() >= budget.most() / 4) {
      unpin(pinned.getFirst());
    }
    if (budget.take()) {
      if (descriptor.use()) {
        node.pin = descriptor;
        pinned.add(node);
      } else {
        budget.give();
      }
    }
  }

  private void unpin(Node node) {
    if (node.pin != null) {
      pinned.remove(node);
      node.pin.close();
      node.pin = null;
      budget.give();
    }
  }

  /** The node's pin, which the caller is a user of then; null if it has none. */
  synchronized Descriptor pin(Node node) {
    return node.pin != null && node.pin.use() ? node.pin : null;
  }

  /** A descriptor of an open handle, which the caller is a user of then; null if there is none. */
  synchronized Descriptor opened(Node node) {
    for (Handle handle : node.handles == null ? List.<Handle>of() : node.handles) {
      if (handle.descriptor().use()) {
        return handle.descriptor();
      }
    }
    return null;
  }

  synchronized void addHandle(Node node, Handle handle) {
    if (node.handles == null) {
      node.handles = new ArrayList<>(1);
    }
    node.handles.add(handle);
  }

  synchronized void removeHandle(Node node, Handle handle) {
    node.handles.remove(handle);
  }

  /**
   * The ways from the root to a node, each of them the names of folders and, last, the node's own.
   */
  synchronized List<List<byte[]>> ways(Node node) throws FuseException {
    List<List<byte[]>> ways = new ArrayList<>(node.names.size());
    for (Node.Name name : node.names) {
      List<byte[]> way = new ArrayList<>();
      way.add(name.text());
      Node at = name.folder();
      while (at != root && !at.names.isEmpty()) {
        if (way.size() == DEPTH) {
          throw new FuseException(Errno.ENAMETOOLONG);
        }
        way.add(at.names.getFirst().text());
        at = at.names.getFirst().folder();
      }
      if (at == root) {
        ways.add(way.reversed());
      }
    }
    return ways;
  }

  synchronized int size() {
    return byId.size();
  }

  /** True if the guest, or a node that it knows, has a use for this one. */
  synchronized boolean knows(Node node) {
    return byId.get(node.id) == node;
  }

  /** All of them, by number. */
  synchronized List<Node> all() {
    return byId.values().stream().sorted((a, b) -> Long.compare(a.id, b.id)).toList();
  }

  synchronized long next() {
    return next;
  }

  /** Replaces all nodes but the root by saved ones, whose names count their folders' children. */
  synchronized void restore(Collection<Node> nodes, long nextId) {
    for (Node node : nodes) {
      byId.put(node.id, node);
      node.names.forEach(name -> name.folder().children++);
      further += further(node.names);
    }
    next = nextId;
  }

  /** What a restored node is now; another node may be that already. */
  synchronized void identify(Node node, FileIdentity identity) {
    if (byIdentity.putIfAbsent(identity, node) == null) {
      node.identity = identity;
    }
  }

  /** Gives all descriptors back; there will be no new ones. */
  synchronized void close() {
    closed = true;
    List.copyOf(pinned).forEach(this::unpin);
  }
}
