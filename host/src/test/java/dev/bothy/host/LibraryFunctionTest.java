package dev.bothy.host;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

class LibraryFunctionTest {
  private static final int EBADF = 9;

  @BeforeEach
  void needsTheLibrary() {
    assumeTrue(NativeAccess.allowed());
  }

  @Test
  void functionsTakeTheArgumentsThatAreTheirOwn() {
    assertEquals(
        ProcessHandle.current().pid(), new LibraryFunction("getpid").call(1, 2, 3).number());
    assertEquals(7, new LibraryFunction("labs").call(-7).value());
    assertEquals(7, new LibraryFunction("abs").call(-7).number());
  }

  @Test
  void failedCallsTellWhy() {
    var failed = new LibraryFunction("close").call(-1);
    assertEquals(-1, failed.number());
    assertEquals(EBADF, failed.errno());
    assertNotEquals(LibraryFunction.message(1), LibraryFunction.message(EBADF));
  }

  @Test
  void functionThatThereIsNotIsRefused() {
    assertThrows(
        UnsupportedOperationException.class, () -> new LibraryFunction("no_such_function"));
  }

  @Test
  void compilerThreadsComeAfterOthers() throws IOException {
    List<Path> threads = CompilerThreads.all();
    assumeTrue(!threads.isEmpty(), "this JVM has only the quick compiler");
    CompilerThreads.giveWay();
    for (Path thread : threads) {
      // proc(5): the 19th field, the name in parentheses being the second.
      String stat = Files.readString(thread.resolve("stat"));
      int nice = Integer.parseInt(stat.substring(stat.lastIndexOf(')') + 2).split(" ")[16]);
      assertEquals(5, nice, stat);
    }
  }
}
