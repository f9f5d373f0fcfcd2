package dev.bothy.share;

import dev.bothy.core.state.StateException;
import dev.bothy.core.state.StateReader;
import dev.bothy.core.state.StateWriter;
import dev.bothy.host.FolderCalls;
import java.lang.foreign.Arena;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.Deque;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * What a guest knows of a folder, as it is saved: every node with the names it was seen under,
 * every handle with how it was opened. If the folder is another one when it is loaded (on another
 * host, or a copy), files are what has their names; if it is the same, they are what they were.
 */
final class SavedSession {
  /** Bytes of a name. */
  private static final int NAME = 255;

  private static final int NAMES = 16;

  private final SharedFolder folder;

  SavedSession(SharedFolder folder) {
    this.folder = folder;
  }

  void save(Session session, StateWriter out) {
    out.putBoolean(session.begun());
    save(folder.identity(), out);
    out.putLong(session.nodes().next());
    List<Node> nodes = session.nodes().all();
    out.putInt(nodes.size() - 1);
    for (Node node : nodes) {
      if (node.id != Node.ROOT) {
        save(node, session, out);
      }
    }
    out.putLong(session.handles().next());
    List<Handle> handles =
        session.handles().all().stream()
            .filter(handle -> session.nodes().knows(handle.node()))
            .toList();
    out.putInt(handles.size());
    for (Handle handle : handles) {
      out.putLong(handle.id()).putLong(handle.node().id);
      out.putBoolean(handle.folder()).putInt(handle.flags());
    }
  }

  private static void save(Node node, Session session, StateWriter out) {
    out.putLong(node.id).putLong(node.lookups);
    out.putBoolean(node.identity != null);
    if (node.identity != null) {
      save(node.identity, out);
    }
    List<Node.Name> names =
        node.names.stream().filter(name -> session.nodes().knows(name.folder())).toList();
    out.putInt(names.size());
    for (Node.Name name : names) {
      out.putLong(name.folder().id).putBytes(name.text());
    }
  }

  private static void save(FileIdentity identity, StateWriter out) {
    out.putLong(identity.device()).putLong(identity.inode());
    out.putLong(identity.born()).putInt(identity.type());
  }

  /** A node as it was saved, before other nodes are there to refer to. */
  private record SavedNode(Node node, FileIdentity identity, List<SavedName> names) {}

  private record SavedName(long folder, byte[] text) {}

  private record SavedHandle(long id, long node, boolean folder, int flags) {}

  Session load(StateReader in) throws StateException {
    boolean begun = in.getBoolean();
    boolean sameFolder = loadIdentity(in).equals(folder.identity());
    Session session = new Session(folder);
    long nextNode = in.getLong();
    Map<Long, SavedNode> nodes = loadNodes(in, nextNode);
    long nextHandle = in.getLong();
    List<SavedHandle> handles = loadHandles(in, nodes, nextHandle, session);
    connect(nodes, session, in);
    session.nodes().restore(nodes.values().stream().map(SavedNode::node).toList(), nextNode);
    session.handles().startAt(nextHandle);
    try (Arena arena = Arena.ofConfined()) {
      FolderCalls calls = new FolderCalls(arena);
      Set<Node> there = new HashSet<>(Set.of(session.nodes().root()));
      for (SavedNode saved : fromTheRoot(nodes, in)) {
        // What is not there has nothing in it: a way is walked only as far as others were.
        if (saved.node.names.stream().anyMatch(name -> there.contains(name.folder()))
            && identify(saved, session, sameFolder, calls)) {
          there.add(saved.node);
        }
      }
      for (SavedHandle saved : handles) {
        reopen(saved, nodes, session, calls);
      }
    }
    if (begun) {
      session.begin();
    }
    return session;
  }

  private Map<Long, SavedNode> loadNodes(StateReader in, long next) throws StateException {
    int count = in.getInt(0, Nodes.LIMIT);
    Map<Long, SavedNode> nodes = new HashMap<>();
    for (int i = 0; i < count; i++) {
      long id = in.getLong();
      long lookups = in.getLong();
      FileIdentity identity = in.getBoolean() ? loadIdentity(in) : null;
      if (id <= Node.ROOT || id >= next || lookups < 0) {
        throw in.damaged("node " + id);
      }
      int nameCount = in.getInt(0, NAMES);
      List<SavedName> names = new ArrayList<>();
      for (int j = 0; j < nameCount; j++) {
        long parent = in.getLong();
        names.add(new SavedName(parent, loadName(in)));
      }
      Node node = new Node(id, null);
      node.lookups = lookups;
      if (nodes.put(id, new SavedNode(node, identity, names)) != null) {
        throw in.damaged("two nodes " + id);
      }
    }
    return nodes;
  }

  private static byte[] loadName(StateReader in) throws StateException {
    byte[] text = in.getBytes(NAME);
    boolean dots = text.length == 1 && text[0] == '.';
    dots |= text.length == 2 && text[0] == '.' && text[1] == '.';
    for (byte character : text) {
      if (character == 0 || character == '/') {
        throw in.damaged("a name");
      }
    }
    if (text.length == 0 || dots) {
      throw in.damaged("a name");
    }
    return text;
  }

  private static FileIdentity loadIdentity(StateReader in) throws StateException {
    return new FileIdentity(in.getLong(), in.getLong(), in.getLong(), in.getInt());
  }

  private static List<SavedHandle> loadHandles(
      StateReader in, Map<Long, SavedNode> nodes, long next, Session session)
      throws StateException {
    int count = in.getInt(0, 1 << 16);
    List<SavedHandle> handles = new ArrayList<>();
    long last = 0;
    for (int i = 0; i < count; i++) {
      SavedHandle handle =
          new SavedHandle(in.getLong(), in.getLong(), in.getBoolean(), in.getInt());
      boolean known = handle.node == Node.ROOT || nodes.containsKey(handle.node);
      if (handle.id <= last || handle.id >= next || !known) {
        throw in.damaged("handle " + handle.id);
      }
      last = handle.id;
      handles.add(handle);
    }
    return handles;
  }

  private static void connect(Map<Long, SavedNode> nodes, Session session, StateReader in)
      throws StateException {
    for (SavedNode saved : nodes.values()) {
      List<Node.Name> names = new ArrayList<>();
      for (SavedName name : saved.names) {
        SavedNode parent = nodes.get(name.folder);
        boolean isRoot = name.folder == Node.ROOT;
        // What others are in has one place.
        if (!isRoot && (parent == null || parent.names.size() > 1)) {
          throw in.damaged("a folder " + name.folder);
        }
        names.add(new Node.Name(parent == null ? session.nodes().root() : parent.node, name.text));
      }
      saved.node.names = List.copyOf(names);
    }
  }

  /** The nodes by their depth, so that each comes after those that it is in. */
  private static List<SavedNode> fromTheRoot(Map<Long, SavedNode> nodes, StateReader in)
      throws StateException {
    Map<Long, Integer> depths = new HashMap<>();
    depths.put(Node.ROOT, 0);
    for (SavedNode start : nodes.values()) {
      // Folders first, without recursion: a damaged state may have any number in each other.
      Deque<SavedNode> way = new ArrayDeque<>(List.of(start));
      while (!way.isEmpty()) {
        SavedNode saved = way.peek();
        int depth = 0;
        for (SavedName name : saved.names) {
          Integer above = depths.get(name.folder);
          if (above == null) {
            way.push(nodes.get(name.folder));
          }
          depth = above == null || depth < 0 ? -1 : Math.max(depth, above + 1);
        }
        if (depth >= 0) {
          depths.put(way.pop().node.id, depth);
        } else if (way.size() > nodes.size() + NAMES) {
          throw in.damaged("folders that are in each other");
        }
      }
    }
    return nodes.values().stream()
        .sorted(Comparator.comparingInt(saved -> depths.get(saved.node.id)))
        .toList();
  }

  /** True if there is something where the node was seen, be it the same or not. */
  private boolean identify(
      SavedNode saved, Session session, boolean sameFolder, FolderCalls calls) {
    boolean there = false;
    try (Arena arena = Arena.ofConfined()) {
      Request request = new Request(folder, session, calls, arena, null, null);
      for (List<byte[]> way : session.nodes().ways(saved.node)) {
        try (Descriptor found = request.walk(way)) {
          there = true;
          FileIdentity identity = folder.identity(request.status(found));
          if (saved.identity != null
              && (sameFolder
                  ? identity.equals(saved.identity)
                  : identity.type() == saved.identity.type())) {
            session.nodes().identify(saved.node, identity);
            return true;
          }
        } catch (FuseException e) {
          // Another name may lead there.
        }
      }
    } catch (FuseException e) {
      // It is gone, which the guest will be told when it asks.
    }
    return there;
  }

  private void reopen(
      SavedHandle saved, Map<Long, SavedNode> nodes, Session session, FolderCalls calls) {
    Node node = saved.node == Node.ROOT ? session.nodes().root() : nodes.get(saved.node).node;
    int access = saved.flags & (FolderCalls.O_ACCESS | FolderCalls.O_NOATIME);
    int flags = folder.readOnly() ? FolderCalls.O_NOATIME : access;
    try (Arena arena = Arena.ofConfined()) {
      Request request = new Request(folder, session, calls, arena, null, null);
      session
          .handles()
          .restore(
              saved.id,
              node,
              saved.folder,
              saved.folder ? flags | FolderCalls.O_FOLDER : flags,
              () -> {
                try (Descriptor file = request.reachLocked(node)) {
                  return saved.folder
                      ? OpenFolders.openFolder(request, file, flags | FolderCalls.O_FOLDER)
                      : OpenFiles.openRegular(request, file, flags, false);
                }
              });
    }
  }
}
