package dev.bothy.x86.translate;

import java.io.IOException;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.NavigableMap;
import java.util.function.Consumer;

/**
 * A map of generated code for perf(1): a line "start size name" for each piece of code, start and
 * size in hexadecimal, written as the code is made. perf reads it from {@link #usualPath}. Where
 * code was thrown away and its room used again, later lines name the newer code.
 */
public final class PerfMap implements BlockListener {
  private final OutputStream out;
  private final GuestSymbols symbols;
  private final Consumer<String> trouble;
  private boolean broken;

  /**
   * Makes the file, or empties it.
   *
   * @param trouble is told once if the file cannot be written any more
   */
  public PerfMap(Path file, GuestSymbols symbols, Consumer<String> trouble) throws IOException {
    this.out = Files.newOutputStream(file);
    this.symbols = symbols;
    this.trouble = trouble;
  }

  /** Where perf looks for the map of this process. */
  public static Path usualPath() {
    return Path.of("/tmp", "perf-" + ProcessHandle.current().pid() + ".map");
  }

  @Override
  public void shared(NavigableMap<Long, String> names, long end) {
    for (Map.Entry<Long, String> stub : names.entrySet()) {
      Long next = names.higherKey(stub.getKey());
      line(
          stub.getKey(), (next == null ? end : next) - stub.getKey(), stub.getValue() + " [bothy]");
    }
  }

  @Override
  public void translated(Translation t) {
    line(t.address(), t.code().length, symbols.name(t.linear()) + " [guest " + t.mode() + "]");
  }

  private void line(long start, long size, String name) {
    if (broken || size <= 0) {
      return;
    }
    String text = Long.toHexString(start) + " " + Long.toHexString(size) + " " + name + "\n";
    try {
      // Unbuffered: whoever reads while the machine runs finds whole lines.
      out.write(text.getBytes(StandardCharsets.UTF_8));
    } catch (IOException e) {
      broken = true;
      trouble.accept("the perf map ends here: " + e.getMessage());
    }
  }

  @Override
  public void cleared() {
    // What ran before is still to be named.
  }

  @Override
  public void closed() {
    try {
      out.close();
    } catch (IOException e) {
      if (!broken) {
        trouble.accept("cannot finish the perf map: " + e.getMessage());
      }
    }
  }
}
