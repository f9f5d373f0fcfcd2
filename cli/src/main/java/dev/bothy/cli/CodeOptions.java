package dev.bothy.cli;

import dev.bothy.x86.translate.BlockListener;
import dev.bothy.x86.translate.BlockListing;
import dev.bothy.x86.translate.GuestSymbols;
import dev.bothy.x86.translate.PerfMap;
import dev.bothy.x86.translate.TranslatorEngine;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;

/** Options of {@code bothy run} for those who look at the translator's code. */
final class CodeOptions {
  @Option(
      names = "--perf-map",
      arity = "0..1",
      fallbackValue = "",
      paramLabel = "FILE",
      description =
          "List every block of machine code, as 'perf report' reads it, so that it shows guest"
              + " addresses (default file: /tmp/perf-PID.map, where perf looks).")
  private Path perfMap;

  @Option(
      names = "--dump-block",
      paramLabel = "ADDRESS",
      description =
          "Show the blocks with the code at this guest address on standard error, guest and host"
              + " code side by side, when they are made. Hexadecimal, or a name from --symbols.")
  private String block;

  @Option(
      names = "--symbols",
      paramLabel = "FILE",
      description =
          "Names of the guest kernel's functions: its System.map, or a copy of its"
              + " /proc/kallsyms.")
  private Path symbolFile;

  @Option(
      names = "--count-events",
      description =
          "Make the code count instructions, and hits of the TLB and the jump cache, for --stats"
              + " and --summary; slower.")
  private boolean countEvents;

  /**
   * What the options ask for.
   *
   * @param terminal standard error may be a terminal in raw mode
   * @throws IOException if a file cannot be read or written; the message says which
   */
  TranslatorEngine.Observation observation(CommandSpec command, boolean terminal)
      throws IOException {
    if (perfMap == null && block == null && !countEvents) {
      return TranslatorEngine.Observation.NONE;
    }
    GuestSymbols symbols = GuestSymbols.NONE;
    if (symbolFile != null) {
      try {
        symbols = GuestSymbols.read(symbolFile);
      } catch (IOException e) {
        throw new IOException("cannot read the symbols of --symbols: " + e.getMessage(), e);
      }
    }
    List<BlockListener> listeners = new ArrayList<>();
    if (block != null) {
      long address = address(command, symbols);
      listeners.add(new BlockListing(address, symbols, text -> print(text, terminal)));
    }
    if (perfMap != null) {
      Path file = perfMap.toString().isEmpty() ? PerfMap.usualPath() : perfMap;
      try {
        listeners.add(
            new PerfMap(file, symbols, trouble -> print("bothy: " + trouble + "\n", terminal)));
      } catch (IOException e) {
        throw new IOException("cannot write the perf map " + file + " of --perf-map", e);
      }
    }
    return new TranslatorEngine.Observation(countEvents, listeners);
  }

  private long address(CommandSpec command, GuestSymbols symbols) {
    if (symbols.address(block).isPresent()) {
      return symbols.address(block).getAsLong();
    }
    try {
      return Long.parseUnsignedLong(block.startsWith("0x") ? block.substring(2) : block, 16);
    } catch (NumberFormatException e) {
      throw new ParameterException(
          command.commandLine(),
          "--dump-block: \""
              + block
              + "\" is neither a hexadecimal address nor a function that --symbols names",
          e);
    }
  }

  private static void print(String text, boolean terminal) {
    System.err.print(terminal ? text.replace("\n", "\r\n") : text);
    System.err.flush();
  }
}
