package dev.bothy.x86.decode;

import java.io.BufferedReader;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/** Compares the decoder with binutils' objdump over the code sections of an ELF file. */
final class Objdump {
  /**
   * What a comparison found: instructions seen, and the first few lines of each kind of difference.
   */
  record Result(long instructions, long unknown, Map<String, List<String>> differences) {}

  private Objdump() {}

  static boolean installed() {
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

  /** Disassembles {@code file} with objdump, and compares every length and mnemonic. */
  static Result compare(Path file) throws IOException {
    return compare(file, 64, "-d", "-M", "intel");
  }

  /** The same with {@code mode}-bit code, and options that make objdump take it for that. */
  static Result compare(Path file, int mode, String... options) throws IOException {
    List<String> command = new ArrayList<>(List.of("objdump", "-w", "--insn-width=16"));
    command.addAll(List.of(options));
    command.add(file.toString());
    Process process =
        new ProcessBuilder(command).redirectError(ProcessBuilder.Redirect.DISCARD).start();
    Map<String, List<String>> differences = new TreeMap<>();
    Instruction instruction = new Instruction();
    byte[] code = new byte[32];
    long count = 0;
    long unknown = 0;
    try (BufferedReader lines = process.inputReader()) {
      for (String line = lines.readLine(); line != null; line = lines.readLine()) {
        int tab = line.indexOf(":\t");
        int second = tab < 0 ? -1 : line.indexOf('\t', tab + 2);
        if (second < 0) {
          continue;
        }
        int length = bytes(line, tab + 2, second, code);
        String text = line.substring(second + 1);
        if (length == 0 || ObjdumpNames.notComparable(code, length, text) != null) {
          continue;
        }
        count++;
        int result = Decoder.decode(code, 0, 16, mode, instruction);
        String difference = null;
        if (instruction.length != length) {
          difference = "length " + instruction.length;
        } else if (result == Decoder.INVALID) {
          unknown++;
          if (code[0] != 0x62
              && code[0] != (byte) 0xc4
              && code[0] != (byte) 0xc5
              && instruction.entry == null) {
            difference = "unknown";
          }
        } else if (!ObjdumpNames.same(text, instruction)) {
          difference = Disassembler.mnemonic(instruction);
        } else if (result == Decoder.OK
            && !OperandText.same(line.substring(0, tab).strip(), text, instruction)) {
          difference = "operands";
        }
        if (difference != null) {
          String key = ObjdumpNames.first(text) + " differs: " + difference;
          List<String> examples = differences.computeIfAbsent(key, k -> new ArrayList<>());
          if (examples.size() < 5) {
            examples.add(line + " | " + instruction);
          }
        }
      }
    }
    return new Result(count, unknown, differences);
  }

  private static int bytes(String line, int from, int to, byte[] code) {
    int n = 0;
    for (int i = from; i + 1 < to && n < 16 && line.charAt(i) != ' '; i += 3) {
      code[n++] =
          (byte)
              (Character.digit(line.charAt(i), 16) << 4 | Character.digit(line.charAt(i + 1), 16));
    }
    return n;
  }
}
