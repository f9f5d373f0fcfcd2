package dev.bothy.share;

import dev.bothy.core.state.StateException;
import dev.bothy.core.state.StateReader;
import dev.bothy.core.state.StateWriter;
import dev.bothy.host.FolderCalls;
import java.lang.foreign.Arena;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

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
      for (SavedNode saved : nodes.values()) {
        identify(saved, session, sameFolder, calls);
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

  private void identify(SavedNode saved, Session session, boolean sameFolder, FolderCalls calls) {
    if (saved.identity == null) {
      return;
    }
    try (Arena arena = Arena.ofConfined()) {
      Request request = new Request(folder, session, calls, arena, null, null);
      for (List<byte[]> way : session.nodes().ways(saved.node)) {
        try (Descriptor found = request.walk(way)) {
          FileIdentity identity = folder.identity(request.status(found));
          if (sameFolder
              ? identity.equals(saved.identity)
              : identity.type() == saved.identity.type()) {
            session.nodes().identify(saved.node, identity);
            return;
          }
        } catch (FuseException e) {
          // Another name may lead there.
        }
      }
    } catch (FuseException e) {
      // It is gone, which the guest will be told when it asks.
    }
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
