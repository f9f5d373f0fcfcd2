package dev.bothy.cli;

import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

@Timeout(300)
class UnfinishedFileTest {
  @TempDir Path folder;

  @Test
  void whatASignalInterruptsIsRemovedEvenIfItWasBeingMade() throws Exception {
    Path path = folder.resolve("image");
    try (UnfinishedFile file = new UnfinishedFile(path)) {
      Thread signal = new Thread(file::remove);
      file.make(
          () -> {
            Files.createFile(path);
            signal.start();
            while (signal.getState() != Thread.State.BLOCKED
                && signal.getState() != Thread.State.TERMINATED) {
              Thread.onSpinWait();
            }
            return null;
          });
      signal.join();
      assertFalse(Files.exists(path));
      // Somebody else's by now.
      Files.createFile(path);
    }
    assertTrue(Files.exists(path));
  }

  @Test
  void whatWasThereBeforeStays() throws Exception {
    Path path = Files.createFile(folder.resolve("image"));
    try (UnfinishedFile file = new UnfinishedFile(path)) {
      assertThrows(FileAlreadyExistsException.class, () -> file.make(() -> Files.createFile(path)));
    }
    assertTrue(Files.exists(path));
  }

  @Test
  void whatIsFinishedStays() throws Exception {
    Path path = folder.resolve("image");
    try (UnfinishedFile file = new UnfinishedFile(path)) {
      file.make(() -> Files.createFile(path));
      file.finished();
      file.remove();
    }
    assertTrue(Files.exists(path));
    try (UnfinishedFile file = new UnfinishedFile(folder.resolve("other"))) {
      file.make(() -> Files.createFile(folder.resolve("other")));
    }
    assertFalse(Files.exists(folder.resolve("other")));
  }
}
