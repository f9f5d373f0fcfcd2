package dev.bothy.bench;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.bothy.bench.ConsoleRun.End;
import dev.bothy.bench.ConsoleRun.Turn;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.OptionalInt;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.condition.DisabledOnOs;
import org.junit.jupiter.api.condition.OS;
import org.junit.jupiter.api.io.TempDir;

@Timeout(600)
@DisabledOnOs(OS.WINDOWS)
class ConsoleRunTest {
  private static final Duration LONG = Duration.ofMinutes(4);

  @TempDir Path folder;
  private final List<Long> hung = new ArrayList<>();

  private End run(String script, Duration limit, Turn... turns) throws Exception {
    try (ConsoleRun run = new ConsoleRun(List.of("sh", "-c", script), folder.resolve("errors"))) {
      return run.run(List.of(turns), limit, process -> hung.add(process.pid()));
    }
  }

  @Test
  void answersPromptsAndTellsTheStatus() throws Exception {
    End end =
        run(
            "printf 'name: '; read name; echo hello $name; printf 'name: '; read name;"
                + " echo good bye $name; echo oh >&2; exit 5",
            LONG,
            Turn.type("name: ", "a\n"),
            Turn.type("name: ", "b\n"));
    assertFalse(end.hung());
    assertEquals(OptionalInt.of(5), end.status());
    assertEquals(2, end.turns());
    assertEquals("name: hello a\nname: good bye b\n", end.console());
    assertEquals("oh\n", Files.readString(folder.resolve("errors")));
    assertEquals(List.of(), hung);
  }

  @Test
  void doesNotWaitForAPromptBehindTheEnd() throws Exception {
    End end = run("echo a", LONG, Turn.type("a", ""), Turn.type("a", ""));
    assertEquals(1, end.turns());
    assertFalse(end.hung());
  }

  @Test
  void showsAHungProcessWhileItIsThere() throws Exception {
    End end = run("exec sleep 1000", Duration.ofMillis(1));
    assertTrue(end.hung());
    assertEquals(1, hung.size());
    assertEquals(OptionalInt.of(128 + 15), end.status());
  }

  @Test
  void endsWhenItIsTo() throws Exception {
    End end = run("echo begun; exec sleep 1000", LONG, Turn.endAfter("begun", 1));
    assertFalse(end.hung());
    assertEquals(1, end.turns());
    assertEquals(OptionalInt.of(128 + 15), end.status());
  }
}
