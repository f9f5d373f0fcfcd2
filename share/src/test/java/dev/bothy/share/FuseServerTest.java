package dev.bothy.share;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.bothy.host.NativeAccess;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class FuseServerTest {
  @TempDir Path folder;

  @BeforeEach
  void needsTheLibrary() {
    assumeTrue(NativeAccess.allowed());
  }

  @Test
  void whatIsNoFolderIsRefusedInOneLine() throws IOException {
    Path file = Files.createFile(folder.resolve("file"));
    assertThrows(IOException.class, () -> FuseServer.open(file, false));
    assertThrows(IOException.class, () -> FuseServer.open(folder.resolve("none"), false));
  }

  @Test
  void versionIsAgreedUpon() throws IOException {
    try (FuseServer server = FuseServer.open(folder, false);
        Arena arena = Arena.ofConfined()) {
      MemorySegment request = arena.allocate(104, 8);
      request.set(ValueLayout.JAVA_INT, 0, 104);
      request.set(ValueLayout.JAVA_INT, 4, 26);
      request.set(ValueLayout.JAVA_LONG, 8, 77);
      request.set(ValueLayout.JAVA_INT, 40, 7);
      request.set(ValueLayout.JAVA_INT, 44, 38);
      MemorySegment reply = arena.allocate(80, 8);
      assertEquals(80, server.serve(List.of(request), List.of(reply)));
      assertEquals(0, reply.get(ValueLayout.JAVA_INT, 4));
      assertEquals(77, reply.get(ValueLayout.JAVA_LONG, 8));
      assertEquals(7, reply.get(ValueLayout.JAVA_INT, 16));
    }
  }
}
