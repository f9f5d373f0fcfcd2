package dev.bothy.host;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;
import static java.lang.foreign.ValueLayout.JAVA_SHORT;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.invoke.MethodHandle;
import java.nio.charset.StandardCharsets;
import java.util.Optional;

/**
 * The terminal on standard input, in raw mode until closed: every key arrives as it is typed,
 * Ctrl-C included, and nothing is echoed or translated (termios(3), cfmakeraw). Without calls into
 * the C library, stty(1) does the work. Any thread; closing twice is harmless.
 */
public final class Terminal implements AutoCloseable {
  /** Rows and columns of characters, both above 0. */
  public record Size(int rows, int columns) {}

  /** Puts the settings back; runs at most once. */
  private Runnable restore;

  private Terminal(Runnable restore) {
    this.restore = restore;
  }

  /** The descriptor of standard input. */
  public static final int STANDARD_INPUT = 0;

  /** The descriptor of standard error. */
  public static final int STANDARD_ERROR = 2;

  /** True if standard input or standard error, by its descriptor, is a terminal. */
  public static boolean isTerminal(int descriptor) {
    return NativeAccess.allowed()
        ? Termios.isTerminal(descriptor)
        : Commands.isTerminal(descriptor);
  }

  /** How large the terminal on standard input is, if it says. */
  public static Optional<Size> size() {
    return NativeAccess.allowed() ? Termios.size() : Commands.size();
  }

  /**
   * Makes the terminal on standard input raw.
   *
   * @throws IOException if standard input is no terminal or cannot be changed
   */
  public static Terminal raw() throws IOException {
    return new Terminal(NativeAccess.allowed() ? Termios.makeRaw() : Commands.makeRaw());
  }

  /** Puts the terminal's settings back as they were. */
  @Override
  public synchronized void close() {
    if (restore != null) {
      restore.run();
      restore = null;
    }
  }

  /** By calls into the C library; loaded only where they are allowed. */
  private static final class Termios {
    /** More than any struct termios has: 60 bytes with glibc and musl on Linux. */
    private static final int TERMIOS_ROOM = 256;

    /** At once: waiting for the terminal to drain could take for ever. */
    private static final int TCSANOW = 0;

    /** ioctl_tty(2). */
    private static final long TIOCGWINSZ = 0x5413;

    private static final LibraryFunction ISATTY = new LibraryFunction("isatty");
    private static final LibraryFunction TCGETATTR = new LibraryFunction("tcgetattr");
    private static final LibraryFunction TCSETATTR = new LibraryFunction("tcsetattr");
    private static final LibraryFunction CFMAKERAW = new LibraryFunction("cfmakeraw");

    private Termios() {}

    static boolean isTerminal(int descriptor) {
      return ISATTY.call(descriptor).number() == 1;
    }

    static Optional<Size> size() {
      try (Arena arena = Arena.ofConfined()) {
        MethodHandle ioctl =
            Linker.nativeLinker()
                .downcallHandle(
                    NativeFunction.address("ioctl"),
                    FunctionDescriptor.of(JAVA_INT, JAVA_INT, JAVA_LONG, ADDRESS),
                    Linker.Option.firstVariadicArg(2));
        MemorySegment size = arena.allocate(8);
        int result = (int) ioctl.invokeExact(STANDARD_INPUT, TIOCGWINSZ, size);
        int rows = size.get(JAVA_SHORT, 0) & 0xffff;
        int columns = size.get(JAVA_SHORT, 2) & 0xffff;
        return result == 0 && rows > 0 && columns > 0
            ? Optional.of(new Size(rows, columns))
            : Optional.empty();
      } catch (Throwable e) {
        throw new AssertionError(e);
      }
    }

    static Runnable makeRaw() throws IOException {
      // Kept for the restore, which may run while the process ends.
      Arena arena = Arena.global();
      MemorySegment before = arena.allocate(TERMIOS_ROOM);
      MemorySegment raw = arena.allocate(TERMIOS_ROOM);
      if (TCGETATTR.call(STANDARD_INPUT, before.address()).number() != 0) {
        throw new IOException("standard input is no terminal");
      }
      raw.copyFrom(before);
      CFMAKERAW.call(raw.address());
      if (!set(raw)) {
        throw new IOException("the terminal cannot be made raw");
      }
      return () -> set(before);
    }

    private static boolean set(MemorySegment settings) {
      return TCSETATTR.call(STANDARD_INPUT, TCSANOW, settings.address()).number() == 0;
    }
  }

  /** By programs that every POSIX host has. */
  private static final class Commands {
    private Commands() {}

    static boolean isTerminal(int descriptor) {
      try {
        Process process =
            new ProcessBuilder("test", "-t", Integer.toString(descriptor)).inheritIO().start();
        return process.waitFor() == 0;
      } catch (IOException e) {
        return false;
      } catch (InterruptedException e) {
        Thread.currentThread().interrupt();
        return false;
      }
    }

    static Optional<Size> size() {
      try {
        String[] numbers = run("stty", "size").split(" ");
        Size size = new Size(Integer.parseInt(numbers[0]), Integer.parseInt(numbers[1]));
        return size.rows > 0 && size.columns > 0 ? Optional.of(size) : Optional.empty();
      } catch (IOException | RuntimeException e) {
        return Optional.empty();
      }
    }

    static Runnable makeRaw() throws IOException {
      String before = run("stty", "-g");
      run("stty", "raw", "-echo");
      return () -> {
        try {
          run("stty", before);
        } catch (IOException e) {
          // The terminal is gone.
        }
      };
    }

    /** What the command, run on our standard input, prints; an exception unless its status is 0. */
    private static String run(String... command) throws IOException {
      Process process =
          new ProcessBuilder(command)
              .redirectInput(ProcessBuilder.Redirect.INHERIT)
              .redirectErrorStream(true)
              .start();
      byte[] output = process.getInputStream().readNBytes(1 << 12);
      try {
        if (process.waitFor() != 0) {
          throw new IOException(command[0] + " failed");
        }
      } catch (InterruptedException e) {
        Thread.currentThread().interrupt();
        throw new IOException(command[0] + " was interrupted", e);
      }
      return new String(output, StandardCharsets.US_ASCII).strip();
    }
  }
}
