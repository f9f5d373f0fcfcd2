package dev.bothy.assemble;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.BufferedReader;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/**
 * What an assembler was told to write, one instruction after the other, to be compared with what
 * binutils' objdump reads.
 */
final class Disassembly {
  /** Where the code claims to run. */
  static final long ORIGIN = 0x40_0000;

  private record Expected(int position, int length, String text) {}

  final Assembler a = new Assembler();
  private final List<Expected> expected = new ArrayList<>();
  private int start;

  /** Skips the test where there is no objdump. */
  Disassembly() {
    assumeTrue(installed(), "objdump (package binutils) is not installed");
    a.start(ORIGIN);
  }

  private static boolean installed() {
    try {
      return new ProcessBuilder("objdump", "--version")
              .redirectErrorStream(true)
              .redirectOutput(ProcessBuilder.Redirect.DISCARD)
              .start()
              .waitFor()
          == 0;
    } catch (IOException e) {
      return false;
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      return false;
    }
  }

  /** The code since the last call is one instruction that objdump shows as {@code text}. */
  void is(String text) {
    expected.add(new Expected(start, a.size() - start, text));
    start = a.size();
  }

  /** The same, and it is {@code length} bytes long. */
  void is(int length, String text) {
    assertEquals(length, a.size() - start, text);
    is(text);
  }

  /** At {@code position} lies an instruction of {@code length} bytes. */
  void isAt(int position, int length, String text) {
    expected.add(new Expected(position, length, text));
    start = position + length;
  }

  /** Compares everything. */
  void compare() throws IOException {
    Path file = Files.createTempFile("bothy-assembled-", ".bin");
    try {
      Files.write(file, a.bytes());
      List<String> command =
          List.of(
              "objdump",
              "-D",
              "-w",
              "-z",
              "--insn-width=16",
              "--adjust-vma=0x" + Long.toHexString(ORIGIN),
              "-b",
              "binary",
              "-m",
              "i386:x86-64",
              "-M",
              "intel",
              file.toString());
      Process process =
          new ProcessBuilder(command).redirectError(ProcessBuilder.Redirect.DISCARD).start();
      int n = 0;
      try (BufferedReader lines = process.inputReader()) {
        for (String line = lines.readLine(); line != null; line = lines.readLine()) {
          String[] columns = line.split("\t");
          if (columns.length < 3) {
            continue;
          }
          assertTrue(n < expected.size(), line);
          Expected e = expected.get(n++);
          String address = columns[0].strip().replace(":", "");
          assertEquals(Long.toHexString(ORIGIN + e.position), address, e.text);
          assertEquals(e.text, normal(columns[2]), line);
          assertEquals(e.length, columns[1].strip().split(" ").length, line);
        }
      }
      assertEquals(expected.size(), n);
    } finally {
      Files.deleteIfExists(file);
    }
  }

  /** One blank behind the mnemonic, and no comment. */
  private static String normal(String text) {
    int comment = text.indexOf('#');
    return (comment < 0 ? text : text.substring(0, comment)).strip().replaceAll(" +", " ");
  }
}
