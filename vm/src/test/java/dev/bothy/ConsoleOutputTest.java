package dev.bothy;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicReference;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@Timeout(300)
class ConsoleOutputTest {
  private static final Duration LONG = Duration.ofSeconds(240);

  private static void print(ConsoleOutput output, String text) {
    for (byte b : text.getBytes(StandardCharsets.UTF_8)) {
      output.write(b & 0xff);
    }
  }

  @Test
  void expectConsumesUpToTheText() throws Exception {
    ConsoleOutput output = new ConsoleOutput(null);
    print(output, "login: root\n# échо #");
    assertEquals("login:", output.expect("login:", LONG));
    assertEquals(" root\n#", output.expect("#", LONG));
    assertEquals(" échо #", output.expect("#", LONG));
    assertEquals("login: root\n# échо #", output.text());
  }

  @Test
  void expectWaitsForTextThatComesInPieces() throws Exception {
    ConsoleOutput output = new ConsoleOutput(null);
    print(output, "rea");
    Thread guest = Thread.ofPlatform().start(() -> print(output, "dy\n"));
    assertEquals("ready", output.expect("ready", LONG));
    guest.join();
  }

  @Test
  void expectTellsWhatWasThereInstead() {
    ConsoleOutput output = new ConsoleOutput(null);
    print(output, "Kernel panic");
    ConsoleException e =
        assertThrows(ConsoleException.class, () -> output.expect("login:", Duration.ZERO));
    assertTrue(e.getMessage().contains("login:"), e.getMessage());
    assertTrue(e.getMessage().contains("Kernel panic"), e.getMessage());
  }

  @Test
  void expectEndsWithTheMachine() {
    ConsoleOutput output = new ConsoleOutput(null);
    Thread.ofPlatform().start(output::end);
    assertThrows(ConsoleException.class, () -> output.expect("login:", LONG));
  }

  @Test
  void onlyTheLastPartIsKept() throws Exception {
    ConsoleOutput output = new ConsoleOutput(null);
    print(output, "x".repeat(ConsoleOutput.KEPT) + "end");
    assertEquals(ConsoleOutput.KEPT, output.text().length());
    assertEquals(ConsoleOutput.KEPT, output.expect("end", LONG).length());
  }

  @Test
  void streamGetsEveryByteInOrder() throws Exception {
    ByteArrayOutputStream stream = new ByteArrayOutputStream();
    ConsoleOutput output = new ConsoleOutput(stream);
    output.start("test", e -> {});
    StringBuilder all = new StringBuilder();
    for (int i = 0; all.length() < 3 * ConsoleOutput.KEPT; i++) {
      String line = "line " + i + "\n";
      all.append(line);
      print(output, line);
    }
    output.end();
    assertTrue(output.drain(LONG));
    assertEquals(all.toString(), stream.toString(StandardCharsets.UTF_8));
    output.close();
  }

  @Test
  void guestWaitsForASlowStreamUntilItIsGivenUp() throws Exception {
    CountDownLatch never = new CountDownLatch(1);
    OutputStream stuck =
        new OutputStream() {
          @Override
          public void write(int b) throws IOException {
            try {
              never.await();
            } catch (InterruptedException e) {
              throw new IOException(e);
            }
          }
        };
    ConsoleOutput output = new ConsoleOutput(stuck);
    output.start("test", e -> {});
    Thread guest =
        Thread.ofPlatform().start(() -> print(output, "x".repeat(2 * ConsoleOutput.KEPT)));
    while (guest.getState() != Thread.State.WAITING) {
      Thread.onSpinWait();
    }
    output.abandon();
    guest.join();
    output.close();
  }

  @Test
  void brokenStreamIsReportedAndHoldsNobody() throws Exception {
    OutputStream broken =
        new OutputStream() {
          @Override
          public void write(int b) throws IOException {
            throw new IOException("broken pipe");
          }
        };
    AtomicReference<IOException> failure = new AtomicReference<>();
    CountDownLatch reported = new CountDownLatch(1);
    ConsoleOutput output = new ConsoleOutput(broken);
    output.start(
        "test",
        e -> {
          failure.set(e);
          reported.countDown();
        });
    print(output, "x".repeat(2 * ConsoleOutput.KEPT));
    reported.await();
    assertEquals("broken pipe", failure.get().getMessage());
    output.end();
    assertTrue(output.drain(LONG));
  }
}
