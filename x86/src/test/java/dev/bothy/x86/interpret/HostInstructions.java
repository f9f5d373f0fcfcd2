package dev.bothy.x86.interpret;

import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.TimeUnit;

/**
 * Single instructions on the host's processor, as an oracle: a C program, compiled by gcc when
 * first wanted, that runs them on given registers.
 */
final class HostInstructions {
  static final int SIGILL = 4;
  static final int SIGFPE = 8;
  static final int SIGSEGV = 11;
  static final int MEMORY_SIZE = 64;

  /** What an instruction sees and leaves; {@code signal} is 0 or what it raised. */
  static final class State {
    int signal;
    int mxcsr;

    /** RAX, RCX, RDX. */
    final long[] gpr = new long[3];

    long flags;

    /** XMM0, XMM1, XMM2: low and high half of each. */
    final long[] xmm = new long[6];

    final byte[] memory = new byte[MEMORY_SIZE];

    State copy() {
      State s = new State();
      s.signal = signal;
      s.mxcsr = mxcsr;
      s.flags = flags;
      System.arraycopy(gpr, 0, s.gpr, 0, 3);
      System.arraycopy(xmm, 0, s.xmm, 0, 6);
      System.arraycopy(memory, 0, s.memory, 0, MEMORY_SIZE);
      return s;
    }

    private void put(ByteBuffer b) {
      b.putInt(0).putInt(mxcsr);
      for (long r : gpr) {
        b.putLong(r);
      }
      b.putLong(flags);
      for (long x : xmm) {
        b.putLong(x);
      }
      b.put(memory);
    }

    private static State get(ByteBuffer b) {
      State s = new State();
      s.signal = b.getInt();
      s.mxcsr = b.getInt();
      for (int i = 0; i < 3; i++) {
        s.gpr[i] = b.getLong();
      }
      s.flags = b.getLong();
      for (int i = 0; i < 6; i++) {
        s.xmm[i] = b.getLong();
      }
      b.get(s.memory);
      return s;
    }
  }

  /** An instruction of at most 15 bytes, its state, and where in the memory RDI points. */
  record Request(byte[] code, int offset, State state) {}

  private static final int STATE_SIZE = 152;
  private static final int REQUEST_SIZE = 24 + STATE_SIZE;
  private static final byte RET = (byte) 0xc3;

  private final Path folder;
  private final Path program;

  private HostInstructions(Path folder, Path program) {
    this.folder = folder;
    this.program = program;
  }

  /** The oracle, built in {@code folder}; empty where the host is no x86-64 or has no gcc. */
  static Optional<HostInstructions> build(Path folder) throws IOException, InterruptedException {
    if (!System.getProperty("os.arch").equals("amd64")
        || !System.getProperty("os.name").equals("Linux")) {
      return Optional.empty();
    }
    Path source = folder.resolve("run-instruction.c");
    try (InputStream in = HostInstructions.class.getResourceAsStream("run-instruction.c")) {
      Files.copy(in, source);
    }
    Path program = folder.resolve("run-instruction");
    Process gcc;
    try {
      gcc =
          new ProcessBuilder(
                  "gcc", "-O1", "-mno-red-zone", "-o", program.toString(), source.toString())
              .inheritIO()
              .start();
    } catch (IOException e) {
      return Optional.empty();
    }
    if (gcc.waitFor() != 0) {
      throw new IOException("gcc fails on " + source);
    }
    return Optional.of(new HostInstructions(folder, program));
  }

  /** What the host makes of each request. */
  List<State> run(List<Request> requests) throws IOException, InterruptedException {
    ByteBuffer b =
        ByteBuffer.allocate(requests.size() * REQUEST_SIZE).order(ByteOrder.LITTLE_ENDIAN);
    for (Request r : requests) {
      byte[] code = new byte[16];
      System.arraycopy(r.code, 0, code, 0, r.code.length);
      code[r.code.length] = RET;
      b.put(code).putLong(r.offset);
      r.state.put(b);
    }
    Path input = Files.createTempFile(folder, "requests", null);
    Files.write(input, b.array());
    Process process =
        new ProcessBuilder(program.toString())
            .redirectInput(input.toFile())
            .redirectError(ProcessBuilder.Redirect.INHERIT)
            .start();
    byte[] answers = process.getInputStream().readAllBytes();
    process.waitFor(4, TimeUnit.MINUTES);
    Files.delete(input);
    if (answers.length != requests.size() * STATE_SIZE) {
      throw new IOException("the instruction runner died: " + process.exitValue());
    }
    ByteBuffer a = ByteBuffer.wrap(answers).order(ByteOrder.LITTLE_ENDIAN);
    List<State> states = new ArrayList<>();
    for (int i = 0; i < requests.size(); i++) {
      states.add(State.get(a));
    }
    return states;
  }
}
