package dev.bothy.share;

import dev.bothy.share.FuseClient.Out;
import dev.bothy.share.FuseClient.Reply;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.SplittableRandom;
import java.util.function.LongConsumer;
import java.util.random.RandomGenerator;
import java.util.stream.Stream;

/**
 * One case a number: a share and some hundred requests, most of them almost as they should be. None
 * may throw, each is answered as the protocol has it, and nothing beside the folder changes. {@code
 * bench/fuzz} runs many of them. One thread an instance.
 */
public final class RequestFuzz implements LongConsumer {
  static final int REQUESTS = 100;
  private static final String SECRET = "nobody's";
  private static final int MOST_KNOWN = 30;

  /** What a request has: bytes of numbers, and names behind them. */
  private record Shape(int opcode, int numbers, int names) {}

  private static final List<Shape> SHAPES =
      List.of(
          new Shape(Opcode.LOOKUP, 0, 1),
          new Shape(Opcode.LOOKUP, 0, 1),
          new Shape(Opcode.FORGET, 8, 0),
          new Shape(Opcode.GETATTR, 16, 0),
          new Shape(Opcode.SETATTR, 88, 0),
          new Shape(Opcode.READLINK, 0, 0),
          new Shape(Opcode.SYMLINK, 0, 2),
          new Shape(Opcode.MKNOD, 16, 1),
          new Shape(Opcode.MKDIR, 8, 1),
          new Shape(Opcode.UNLINK, 0, 1),
          new Shape(Opcode.RMDIR, 0, 1),
          new Shape(Opcode.RENAME, 8, 2),
          new Shape(Opcode.LINK, 8, 1),
          new Shape(Opcode.OPEN, 8, 0),
          new Shape(Opcode.READ, 40, 0),
          new Shape(Opcode.WRITE, 40, 1),
          new Shape(Opcode.STATFS, 0, 0),
          new Shape(Opcode.RELEASE, 24, 0),
          new Shape(Opcode.FSYNC, 16, 0),
          new Shape(Opcode.SETXATTR, 8, 2),
          new Shape(Opcode.GETXATTR, 8, 1),
          new Shape(Opcode.LISTXATTR, 8, 0),
          new Shape(Opcode.REMOVEXATTR, 0, 1),
          new Shape(Opcode.OPENDIR, 8, 0),
          new Shape(Opcode.READDIR, 40, 0),
          new Shape(Opcode.RELEASEDIR, 24, 0),
          new Shape(Opcode.FSYNCDIR, 16, 0),
          new Shape(Opcode.ACCESS, 8, 0),
          new Shape(Opcode.CREATE, 16, 1),
          new Shape(Opcode.INTERRUPT, 8, 0),
          new Shape(Opcode.BATCH_FORGET, 40, 0),
          new Shape(Opcode.READDIRPLUS, 40, 0),
          new Shape(Opcode.RENAME2, 16, 2),
          new Shape(Opcode.LSEEK, 24, 0),
          new Shape(Opcode.SYNCFS, 8, 0),
          new Shape(Opcode.TMPFILE, 16, 1),
          new Shape(Opcode.STATX, 24, 0));

  private static final List<String> NAMES =
      List.of(
          "a",
          "b",
          "c",
          "d",
          "link",
          "a",
          "b",
          ".",
          "..",
          "",
          "/",
          "a/b",
          "../outside/secret",
          "../outside",
          "user.x",
          "security.capability",
          "x".repeat(255),
          "y".repeat(256),
          "\u00ff");

  private final Path top;
  private final Path folder;
  private final Path secret;
  private final List<Long> nodes = new ArrayList<>();
  private final List<Long> handles = new ArrayList<>();
  private RandomGenerator random;

  public RequestFuzz() {
    try {
      Path memory = Path.of("/dev/shm");
      top =
          Files.isWritable(memory)
              ? Files.createTempDirectory(memory, "bothy-share")
              : Files.createTempDirectory("bothy-share");
      folder = top.resolve("folder");
      secret = Files.createDirectory(top.resolve("outside")).resolve("secret");
      Files.writeString(secret, SECRET);
      Runtime.getRuntime().addShutdownHook(new Thread(this::end));
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  @Override
  public void accept(long number) {
    random = new SplittableRandom(number);
    nodes.clear();
    handles.clear();
    nodes.add(FuseClient.ROOT);
    try {
      Files.createDirectory(folder);
      Files.writeString(folder.resolve("a"), "content");
      Files.createDirectory(folder.resolve("d"));
      Files.createSymbolicLink(folder.resolve("link"), Path.of("../outside"));
      try (FuseServer server = FuseServer.open(folder, random.nextInt(8) == 0)) {
        FuseClient client = new FuseClient(server);
        for (int i = 0; i < REQUESTS; i++) {
          request(client);
        }
      }
      checkOutside();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    } finally {
      delete(folder);
    }
  }

  private void checkOutside() throws IOException {
    try (Stream<Path> outside = Files.list(secret.getParent())) {
      if (!outside.toList().equals(List.of(secret)) || !Files.readString(secret).equals(SECRET)) {
        throw new AssertionError("what is not the share's has changed");
      }
    }
  }

  /** Deletes what an instance has left, when its user is done with it. */
  void end() {
    delete(top);
  }

  private static void delete(Path path) {
    if (!Files.exists(path, LinkOption.NOFOLLOW_LINKS)) {
      return;
    }
    try (Stream<Path> all = Files.walk(path)) {
      for (Path each : all.sorted(Comparator.reverseOrder()).toList()) {
        Files.delete(each);
      }
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private void request(FuseClient client) {
    Shape shape = SHAPES.get(random.nextInt(SHAPES.size()));
    int opcode = random.nextInt(64) == 0 ? random.nextInt(60) : shape.opcode;
    Out body = new Out();
    for (int i = 0; i < shape.numbers; i += 4) {
      if (i % 8 == 0 && i + 8 <= shape.numbers && random.nextInt(3) > 0) {
        body.putLong(number());
        i += 4;
      } else {
        body.putInt(small());
      }
    }
    for (int i = 0; i < shape.names; i++) {
      byte[] name = FuseClient.bytes(NAMES.get(random.nextInt(NAMES.size())));
      if (random.nextInt(16) == 0) {
        body.putBytes(name);
      } else {
        body.putName(name);
      }
    }
    byte[] arguments = body.toBytes();
    if (random.nextInt(16) == 0) {
      arguments = java.util.Arrays.copyOf(arguments, random.nextInt(arguments.length + 20));
    }
    Out all = new Out();
    int length = 40 + arguments.length;
    all.putInt(random.nextInt(32) == 0 ? small() : length).putInt(opcode);
    all.putLong(random.nextInt()).putLong(node());
    all.putInt(0).putInt(0).putInt(1).putInt(0).putBytes(arguments);
    int room = random.nextInt(8) == 0 ? 16 + random.nextInt(200) : 1 << 14;
    Reply reply = client.raw(all.toBytes(), room);
    if (reply != null && reply.error() == 0) {
      remember(opcode, reply);
    }
  }

  private void remember(int opcode, Reply reply) {
    if (reply.content().remaining() >= 128 && nodes.size() < MOST_KNOWN) {
      nodes.add(reply.content().getLong(0));
    }
    boolean opens = opcode == Opcode.OPEN || opcode == Opcode.OPENDIR || opcode == Opcode.CREATE;
    if (opens && handles.size() < MOST_KNOWN) {
      handles.add(reply.content().getLong(reply.content().limit() - 16));
    }
  }

  private long node() {
    return random.nextInt(16) == 0
        ? random.nextInt(100) - 1
        : nodes.get(random.nextInt(nodes.size()));
  }

  private long number() {
    return switch (random.nextInt(8)) {
      case 0 -> node();
      case 1, 2, 3 -> handles.isEmpty() ? 0 : handles.get(random.nextInt(handles.size()));
      case 4 -> random.nextLong();
      case 5 -> 1L << random.nextInt(64);
      default -> small();
    };
  }

  private int small() {
    return switch (random.nextInt(8)) {
      case 0 -> random.nextInt();
      case 1 -> 1 << random.nextInt(32);
      case 2 -> 0100644;
      case 3 -> 4096;
      default -> random.nextInt(8);
    };
  }
}
