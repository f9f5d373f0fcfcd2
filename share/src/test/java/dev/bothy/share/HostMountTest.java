package dev.bothy.share;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.bothy.host.FolderCalls;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.TreeMap;
import java.util.stream.Stream;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The host's own kernel in the place of a guest's, beside a folder that is not shared. */
class HostMountTest {
  private static final int STEPS = 4_000;

  @TempDir Path around;

  /** The same random steps on a share and on a plain folder have the same results. */
  @Test
  void shareBehavesLikeAFolder() throws IOException {
    Assumptions.assumeTrue(FolderCalls.available() && HostMount.possible(), "needs root");
    Path folder = Files.createDirectory(around.resolve("folder"));
    Path plain = Files.createDirectory(around.resolve("plain"));
    Path point = Files.createDirectory(around.resolve("mount"));
    try (FuseServer server = FuseServer.open(folder, false);
        HostMount _ = new HostMount(server, point)) {
      Random random = new Random(11);
      for (int i = 0; i < STEPS; i++) {
        long seed = random.nextLong();
        String expected = step(plain, new Random(seed));
        assertEquals(expected, step(point, new Random(seed)), "step " + i);
      }
      Map<String, String> tree = describe(plain);
      assertEquals(tree, describe(point));
      assertEquals(tree, describe(folder));
    }
  }

  private static Path some(Path root, Random random) {
    Path path = root;
    for (int depth = random.nextInt(3); depth > 0; depth--) {
      path = path.resolve("d" + random.nextInt(3));
    }
    return path.resolve((random.nextInt(3) == 0 ? "d" : "f") + random.nextInt(4));
  }

  /** One step; what came of it, in words without the folder's path. */
  private static String step(Path root, Random random) {
    Path path = some(root, random);
    Path other = some(root, random);
    try {
      switch (random.nextInt(12)) {
        case 0, 1 -> Files.createDirectory(path);
        case 2 -> Files.delete(path);
        case 3 -> Files.move(path, other, StandardCopyOption.ATOMIC_MOVE);
        case 4 -> Files.createLink(path, other);
        case 5 -> Files.createSymbolicLink(path, root.relativize(other));
        case 6 -> {
          String permissions = random.nextBoolean() ? "rwxr-x--x" : "rw-rw-r--";
          Files.setPosixFilePermissions(path, PosixFilePermissions.fromString(permissions));
        }
        case 7 -> {
          return Files.isDirectory(path) + " " + Files.exists(other);
        }
        case 8 -> {
          try (Stream<Path> files = Files.list(path)) {
            return files.map(file -> file.getFileName().toString()).sorted().toList().toString();
          }
        }
        case 9 -> {
          return new String(Files.readAllBytes(path), java.nio.charset.StandardCharsets.UTF_8);
        }
        default -> write(path, random);
      }
      return "done";
    } catch (FileSystemException e) {
      return e.getClass().getSimpleName() + " " + e.getReason();
    } catch (IOException e) {
      return e.getMessage();
    }
  }

  private static void write(Path path, Random random) throws IOException {
    List<StandardOpenOption> options =
        switch (random.nextInt(4)) {
          case 0 -> List.of(StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE);
          case 1 -> List.of(StandardOpenOption.CREATE, StandardOpenOption.APPEND);
          case 2 ->
              List.of(
                  StandardOpenOption.CREATE,
                  StandardOpenOption.TRUNCATE_EXISTING,
                  StandardOpenOption.WRITE);
          default -> List.of(StandardOpenOption.WRITE, StandardOpenOption.DSYNC);
        };
    try (FileChannel channel = FileChannel.open(path, options.toArray(new StandardOpenOption[0]))) {
      if (random.nextInt(3) == 0) {
        // Used while it has no name.
        Files.delete(path);
      }
      byte[] text = ("text" + random.nextInt(1000)).getBytes();
      channel.write(ByteBuffer.wrap(text));
      if (random.nextBoolean()) {
        channel.truncate(3);
      }
      channel.force(random.nextBoolean());
    }
  }

  private static Map<String, String> describe(Path root) throws IOException {
    Map<String, String> all = new TreeMap<>();
    List<Path> paths;
    try (Stream<Path> tree = Files.walk(root)) {
      paths = tree.filter(path -> !path.equals(root)).toList();
    }
    for (Path path : paths) {
      String what = "" + Files.getAttribute(path, "unix:mode", LinkOption.NOFOLLOW_LINKS);
      what += " " + Files.getAttribute(path, "unix:nlink", LinkOption.NOFOLLOW_LINKS);
      if (Files.isSymbolicLink(path)) {
        what += " " + Files.readSymbolicLink(path);
      } else if (Files.isRegularFile(path)) {
        what += " " + Files.readString(path);
      }
      all.put(root.relativize(path).toString(), what);
    }
    return all;
  }

  /** Holes and large reads, as the kernel makes requests of them. */
  @Test
  void contentIsTheSameOnBothSides() throws IOException {
    Assumptions.assumeTrue(FolderCalls.available() && HostMount.possible(), "needs root");
    Path folder = Files.createDirectory(around.resolve("folder"));
    Path point = Files.createDirectory(around.resolve("mount"));
    try (FuseServer server = FuseServer.open(folder, false);
        HostMount _ = new HostMount(server, point)) {
      byte[] data = new byte[5_000_001];
      new Random(12).nextBytes(data);
      Files.write(point.resolve("f"), data);
      assertArrayEquals(data, Files.readAllBytes(folder.resolve("f")));
      assertArrayEquals(data, Files.readAllBytes(point.resolve("f")));
      try (FileChannel channel =
          FileChannel.open(point.resolve("f"), StandardOpenOption.READ, StandardOpenOption.WRITE)) {
        channel.write(ByteBuffer.wrap(new byte[] {77}), 54_096);
        channel.write(ByteBuffer.wrap(new byte[] {88}), 20_000_000);
      }
      data = java.util.Arrays.copyOf(data, 20_000_001);
      data[54_096] = 77;
      data[20_000_000] = 88;
      assertArrayEquals(data, Files.readAllBytes(folder.resolve("f")));
      assertArrayEquals(data, Files.readAllBytes(point.resolve("f")));
    }
  }
}
