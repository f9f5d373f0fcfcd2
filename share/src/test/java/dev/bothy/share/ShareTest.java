package dev.bothy.share;

import dev.bothy.host.FolderCalls;
import java.io.IOException;
import java.nio.file.Path;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.io.TempDir;

/** What tests begin with: an empty folder, shared for reading and writing, and a client of it. */
abstract class ShareTest {
  static final long ROOT = FuseClient.ROOT;

  @TempDir Path folder;
  FuseServer server;
  FuseClient client;

  @BeforeEach
  void open() throws IOException {
    Assumptions.assumeTrue(FolderCalls.available());
    server = FuseServer.open(folder, false);
    client = new FuseClient(server);
  }

  @AfterEach
  void close() {
    if (server != null) {
      server.close();
    }
  }
}
