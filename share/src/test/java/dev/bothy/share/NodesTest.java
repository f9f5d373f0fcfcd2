package dev.bothy.share;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.bothy.host.FileCalls;
import dev.bothy.host.FileStatus;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class NodesTest {
  @TempDir Path folder;

  private static byte[] name(String text) {
    return text.getBytes(StandardCharsets.US_ASCII);
  }

  @Test
  void aFileWithTheNumberOfARemovedOneIsAnother() throws FuseException {
    assumeTrue(FileCalls.available());
    FileIdentity root = new FileIdentity(1, 2, 0, FileStatus.FOLDER);
    // Of a file system that does not tell when a file was made.
    FileIdentity identity = new FileIdentity(1, 77, 0, FileStatus.REGULAR);
    Nodes nodes = new Nodes(root, new DescriptorBudget(1024));
    Node first = nodes.enter(identity, nodes.root(), name("first"));
    try (Descriptor file = new Descriptor(FileCalls.open(folder, FileCalls.O_RDONLY, 0))) {
      nodes.removed(first, nodes.root(), name("first"), file, true);
    }
    Node second = nodes.enter(identity, nodes.root(), name("second"));
    assertNotEquals(first.id, second.id);
    List<List<byte[]>> ways = nodes.ways(second);
    assertEquals(1, ways.size());
    assertArrayEquals(name("second"), ways.getFirst().getFirst());
    assertEquals(List.of(), nodes.ways(first));
    nodes.forget(first.id, 1);
    assertSame(second, nodes.find(identity));
    nodes.close();
  }
}
