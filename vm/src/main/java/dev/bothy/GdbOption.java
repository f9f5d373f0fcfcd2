package dev.bothy;

import dev.bothy.debug.GdbServer;
import dev.bothy.debug.RegisterLayout;
import dev.bothy.debug.monitor.Monitor;
import dev.bothy.machine.Machine;
import java.io.IOException;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Optional;
import java.util.stream.Collectors;

/**
 * Where gdb may connect to a machine: a port of the loopback address, or a Unix socket.
 *
 * @param path of the Unix socket, if it is one
 * @param port otherwise, 0 for any that is free
 * @param waits the machine does not run before gdb lets it
 * @param layout how processors are shown; empty: by their mode when gdb connects
 */
public record GdbOption(
    Optional<Path> path, int port, boolean waits, Optional<RegisterLayout> layout) {
  /** How {@link #parse} wants it. */
  public static final String FORM = "PORT|PATH[,wait][,arch=auto|x86-64|i386|i8086]";

  private static final int MOST_PORTS = 0xffff;

  /**
   * Reads {@link #FORM}; a comma in a path is written twice, and a path that looks like something
   * else starts with {@code ./}.
   *
   * @throws IllegalArgumentException in one line, if it is something else
   */
  public static GdbOption parse(String text) {
    CommaWords words = new CommaWords(text);
    String place = words.first();
    boolean waits = words.isOn("wait");
    Optional<RegisterLayout> layout = words.one("arch").flatMap(GdbOption::layout);
    words.finish("gdb's server", FORM);
    String port = place;
    int colon = place.lastIndexOf(':');
    if (colon >= 0 && place.substring(colon + 1).matches("[0-9]+") && !place.contains("/")) {
      String host = place.substring(0, colon);
      if (!host.matches("|127\\.0\\.0\\.1|localhost")) {
        throw new IllegalArgumentException(
            "whoever connects owns the machine, so gdb's server listens on the loopback address"
                + " alone, not on \""
                + host
                + "\": give the port alone, and forward it, for example with ssh -L");
      }
      port = place.substring(colon + 1);
    }
    if (!port.matches("[0-9]+")) {
      return new GdbOption(Optional.of(CommaWords.path(place)), 0, waits, layout);
    }
    if (port.length() > 5 || Integer.parseInt(port) > MOST_PORTS) {
      throw new IllegalArgumentException("there is no port " + port);
    }
    return new GdbOption(Optional.empty(), Integer.parseInt(port), waits, layout);
  }

  private static Optional<RegisterLayout> layout(String word) {
    Optional<RegisterLayout> found =
        Arrays.stream(RegisterLayout.values()).filter(l -> l.word().equals(word)).findFirst();
    if (found.isEmpty() && !word.equals("auto")) {
      throw new IllegalArgumentException(
          "arch is auto, "
              + Arrays.stream(RegisterLayout.values())
                  .map(RegisterLayout::word)
                  .collect(Collectors.joining(" or "))
              + ", not \""
              + word
              + "\"");
    }
    return found;
  }

  /** Opens it for {@code machine}, which is off. */
  GdbServer open(Machine machine, Monitor monitor) throws IOException {
    GdbServer server =
        path.isPresent()
            ? GdbServer.atSocket(machine, monitor, path.get(), layout)
            : GdbServer.atPort(machine, monitor, port, layout);
    if (waits) {
      server.holdMachine();
    }
    return server;
  }
}
