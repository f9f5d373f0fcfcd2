package dev.bothy.x86.interpret;

import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.concurrent.TimeUnit;

/**
 * The host's processor as judge of x87 and MMX instructions: a C program, compiled when the test
 * runs, that reads records from its input, executes each one's instruction and writes the records
 * back with what became of them.
 *
 * <p>A record: 16 bytes of code (the last is their length), an FNSAVE image of 108 bytes and 4 of
 * padding, 128 bytes of memory with RDI at the first, RAX, the arithmetic flags, the signal that
 * the instruction ended with, and 8 bytes of padding.
 */
final class X87Oracle {
  static final int CODE = 0;
  static final int STATE = 16;
  static final int MEMORY = 128;
  static final int MEMORY_SIZE = 128;
  static final int RAX = 256;
  static final int FLAGS = 264;
  static final int SIGNAL = 272;
  static final int RECORD = 288;

  /** Address of the record when it runs. */
  static final long ADDRESS = FlatCpu.PAGE;

  private final Path folder;

  /** Compiles the program for x87 and MMX; skips the test where that is not possible. */
  X87Oracle(Path folder) throws IOException, InterruptedException {
    this(folder, "x87-oracle.c");
  }

  /** Compiles a program among the test's resources. */
  X87Oracle(Path folder, String resource) throws IOException, InterruptedException {
    this.folder = folder;
    String machine = System.getProperty("os.arch") + " " + System.getProperty("os.name");
    assumeTrue(machine.equals("amd64 Linux"), "the judge is an x86-64 Linux host, not " + machine);
    assumeTrue(
        Files.readString(Path.of("/proc/cpuinfo")).contains("AuthenticAMD"),
        "the x87 details followed are those of AMD's processors");
    Path source = folder.resolve("oracle.c");
    try (InputStream in = X87Oracle.class.getResourceAsStream(resource)) {
      Files.copy(in, source, StandardCopyOption.REPLACE_EXISTING);
    }
    int status;
    try {
      status = run("gcc", "-O1", "-mno-red-zone", "-o", program(), source.toString());
    } catch (IOException e) {
      assumeTrue(false, "needs gcc: " + e.getMessage());
      return;
    }
    assumeTrue(status == 0, "gcc cannot compile the judge");
  }

  private String program() {
    return folder.resolve("oracle").toString();
  }

  private int run(String... command) throws IOException, InterruptedException {
    Process process = new ProcessBuilder(command).redirectErrorStream(true).inheritIO().start();
    if (!process.waitFor(240, TimeUnit.SECONDS)) {
      process.destroyForcibly();
      throw new IOException(command[0] + " does not end");
    }
    return process.exitValue();
  }

  /** Runs the records; {@code records} stays as it is. */
  ByteBuffer run(ByteBuffer records) throws IOException, InterruptedException {
    Path in = folder.resolve("in");
    Path out = folder.resolve("out");
    Files.write(in, records.array());
    Process process =
        new ProcessBuilder(program())
            .redirectInput(in.toFile())
            .redirectOutput(out.toFile())
            .redirectError(ProcessBuilder.Redirect.INHERIT)
            .start();
    if (!process.waitFor(240, TimeUnit.SECONDS)) {
      process.destroyForcibly();
      throw new IOException("the judge does not end");
    }
    byte[] bytes = Files.readAllBytes(out);
    if (process.exitValue() != 0 || bytes.length != records.capacity()) {
      throw new IOException("the judge ended with " + process.exitValue());
    }
    return ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN);
  }
}
