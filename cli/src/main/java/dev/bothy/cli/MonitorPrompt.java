package dev.bothy.cli;

import dev.bothy.debug.monitor.Monitor;
import dev.bothy.debug.monitor.MonitorException;
import dev.bothy.host.Terminal;
import java.io.IOException;
import java.io.OutputStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.util.Optional;
import org.jline.reader.Candidate;
import org.jline.reader.EndOfFileException;
import org.jline.reader.LineReader;
import org.jline.reader.LineReaderBuilder;
import org.jline.reader.UserInterruptException;
import org.jline.terminal.Size;
import org.jline.terminal.Terminal.Signal;
import org.jline.terminal.impl.LineDisciplineTerminal;

/**
 * The monitor's prompt: edits lines, completes them, and shows what the monitor says. The terminal
 * is raw already and stays so; the library has one of its own in memory, of a kind whose only
 * sequences move the cursor, so that there is nothing to put back however all this ends.
 */
final class MonitorPrompt {
  private static final String PROMPT = "(bothy) ";
  private static final String KIND = "ansi";
  private static final Terminal.Size USUAL_SIZE = new Terminal.Size(24, 80);

  private final Monitor monitor;
  private final LineDisciplineTerminal terminal;
  private final LineReader reader;

  /** Guarded by this. */
  private boolean open;

  /** Somebody reads lines, or does what the last one says; guarded by this. */
  private boolean busy;

  /**
   * @param out where the terminal is written to
   * @param size of the terminal, if it is known
   */
  MonitorPrompt(Monitor monitor, OutputStream out, Optional<Terminal.Size> size) {
    this.monitor = monitor;
    try {
      terminal = new LineDisciplineTerminal("bothy", KIND, out, StandardCharsets.UTF_8);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
    Terminal.Size has = size.orElse(USUAL_SIZE);
    terminal.setSize(new Size(has.columns(), has.rows()));
    reader =
        LineReaderBuilder.builder()
            .terminal(terminal)
            .completer(
                (_, line, candidates) ->
                    monitor
                        .complete(
                            line.words().subList(0, line.wordIndex()),
                            line.word().substring(0, line.wordCursor()))
                        .forEach(word -> candidates.add(new Candidate(word))))
            .option(LineReader.Option.BRACKETED_PASTE, false)
            .option(LineReader.Option.DISABLE_EVENT_EXPANSION, true)
            .variable(LineReader.BELL_STYLE, "none")
            .build();
  }

  synchronized boolean isOpen() {
    return open;
  }

  /** Opens the prompt, or leaves it. */
  synchronized void toggle() {
    open = !open;
    if (!open) {
      terminal.raise(Signal.INT);
    } else if (!busy) {
      busy = true;
      Thread.ofPlatform().daemon().name("bothy-monitor").start(this::converse);
    }
  }

  /** Keys, in the terminal's encoding. */
  void type(byte[] keys, int from, int length) {
    try {
      terminal.processInputBytes(keys, from, length);
    } catch (IOException e) {
      // Its own memory: nothing fails there.
      throw new UncheckedIOException(e);
    }
  }

  private void converse() {
    say("\nmonitor: help lists what there is, Ctrl-A C goes back to the guest\n");
    while (goesOn()) {
      try {
        say(monitor.run(reader.readLine(PROMPT)));
      } catch (MonitorException e) {
        say(e.getMessage() + "\n");
      } catch (UserInterruptException e) {
        // Ctrl-C begins a new line; and leaving ends this one.
      } catch (EndOfFileException e) {
        close();
        say("back at the guest\n");
      }
    }
  }

  private synchronized boolean goesOn() {
    busy = open;
    return open;
  }

  private synchronized void close() {
    open = false;
  }

  private void say(String text) {
    terminal.writer().write(text);
    terminal.writer().flush();
  }
}
