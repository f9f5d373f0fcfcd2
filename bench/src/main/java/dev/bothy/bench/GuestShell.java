package dev.bothy.bench;

import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.OptionalInt;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** Root's shell at the serial console of a guest with Linux. For one thread. */
final class GuestShell implements AutoCloseable {
  /** Colours, cursor, bracketed paste: what terminals are told. */
  private static final Pattern ESCAPE = Pattern.compile("\\x1b(\\[[0-9;?]*[a-zA-Z]|[()].|[=>78])");

  private static final Pattern MARK = Pattern.compile("<(\\d+):(\\d+)>\\n");

  /**
   * What a command came to.
   *
   * @param status its exit status
   * @param output standard output and standard error, without white space around it
   */
  record Answer(int status, String output) {}

  private final ConsoleRun console;
  private int position;
  private int commands;

  /** Starts the machine; its standard error goes to a file. */
  GuestShell(List<String> command, Path errors) throws IOException {
    console = new ConsoleRun(command, errors);
  }

  GuestProcess process() {
    return console.process();
  }

  /** All that the guest has said. */
  String said() {
    return console.said();
  }

  /**
   * Waits for the prompt of a login, and takes it.
   *
   * @return seconds until the prompt, from the start of the process
   * @throws IOException if there is none in time
   */
  double login(int seconds) throws IOException, InterruptedException {
    await("bench login: ", seconds);
    double time = process().age();
    process().type("root\n");
    await("root@bench:~# ", seconds);
    // What is typed is not to look like an answer, and the kernel says what it has to say in its
    // log.
    process()
        .type(
            "stty -echo; PS1=; PS2=; export TERM=dumb LC_ALL=C; bind 'set enable-bracketed-paste"
                + " off'; dmesg -n 1\n");
    commands++;
    mark();
    answer(seconds);
    return time;
  }

  /** Waits until the guest has said something new. */
  void await(String text, int seconds) throws IOException, InterruptedException {
    int at = console.await(text, position, process().age() + seconds);
    if (at < 0) {
      throw new IOException("never said \"" + text.strip() + "\" within " + seconds + " s");
    }
    position = at;
  }

  /**
   * Runs command lines in a shell of their own; their standard input is empty.
   *
   * @throws IOException if it does not come to its end in time
   */
  Answer run(String line, int seconds) throws IOException, InterruptedException {
    send("( " + line + "\n) 2>&1 </dev/null");
    return answer(seconds);
  }

  /** Begins a command line, whose answer is to be waited for. */
  private void send(String line) {
    process().type(line + "\n");
    commands++;
    mark();
  }

  private void mark() {
    process().type("printf '\\n<%d:%d>\\n' " + commands + " $?\n");
  }

  private Answer answer(int seconds) throws IOException, InterruptedException {
    String begin = "\n<" + commands + ":";
    int at = console.await(begin, position, process().age() + seconds);
    int end = at < 0 ? -1 : console.await(">\n", at, process().age() + seconds);
    if (end < 0) {
      throw new IOException("the command had no end within " + seconds + " s");
    }
    Matcher mark = MARK.matcher(console.said(at - begin.length() + 1, end));
    String output = console.said(position, at - begin.length());
    position = end;
    if (!mark.matches()) {
      throw new IOException("the shell answered in a way of its own");
    }
    return new Answer(
        Integer.parseInt(mark.group(2)), ESCAPE.matcher(output).replaceAll("").strip());
  }

  /** Whether there is still a shell that does as it is told; what it was doing is interrupted. */
  boolean answers() throws InterruptedException {
    try {
      process().type("\u0003\n");
      return process().alive() && run("true", 30).status() == 0;
    } catch (IOException e) {
      return false;
    }
  }

  /** Begins a command line whose end nobody waits for. */
  void start(String line) {
    process().type(line + "\n");
  }

  /** The status of the process, or nothing if it has not ended after so many seconds. */
  OptionalInt status(int seconds) throws InterruptedException {
    return process().status(seconds);
  }

  @Override
  public void close() {
    console.close();
  }
}
