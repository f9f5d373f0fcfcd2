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

/** Options of {@code bothy run} for those who look at the translator's code. */
final class CodeOptions {
  private final Option perfMap;
  private final Option dumpBlock;
  private final Option symbolFile;
  private final Option countEvents;

  /** Adds them to {@code syntax}. */
  CodeOptions(Syntax syntax) {
    syntax.text("\nTo look at the translator's machine code:\n");
    perfMap =
        syntax.flagOrOption(
            "--perf-map",
            "FILE",
            "List every block of machine code, as 'perf report' reads it, so that it shows guest"
                + " addresses (default file: /tmp/perf-PID.map, where perf looks).");
    dumpBlock =
        syntax.option(
            "--dump-block",
            "ADDRESS",
            "Show the blocks with the code at this guest address on standard error, guest and"
                + " host code side by side, when they are made. Hexadecimal, or a name from"
                + " --symbols.");
    symbolFile =
        syntax.option(
            "--symbols",
            "FILE",
            "Names of the guest kernel's functions: its System.map, or a copy of its"
                + " /proc/kallsyms.");
    countEvents =
        syntax.flag(
            "--count-events",
            "Make the code count instructions, and hits of the TLB and the jump cache, for"
                + " --stats and --summary; slower.");
  }

  /**
   * What the options ask for.
   *
   * @param terminal standard error may be a terminal in raw mode
   * @throws IOException if a file cannot be read or written; the message says which
   */
  TranslatorEngine.Observation observation(boolean terminal) throws IOException {
    if (!perfMap.given() && !dumpBlock.given() && !countEvents.given()) {
      return TranslatorEngine.Observation.NONE;
    }
    GuestSymbols symbols = GuestSymbols.NONE;
    if (symbolFile.given()) {
      try {
        symbols = GuestSymbols.read(Path.of(symbolFile.value().orElseThrow()));
      } catch (IOException e) {
        throw new IOException("cannot read the symbols of --symbols: " + e.getMessage(), e);
      }
    }
    List<BlockListener> listeners = new ArrayList<>();
    if (dumpBlock.given()) {
      long address = address(dumpBlock.value().orElseThrow(), symbols);
      listeners.add(new BlockListing(address, symbols, text -> print(text, terminal)));
    }
    if (perfMap.given()) {
      Path file =
          perfMap
              .value()
              .filter(name -> !name.isEmpty())
              .map(Path::of)
              .orElseGet(PerfMap::usualPath);
      try {
        listeners.add(
            new PerfMap(file, symbols, trouble -> print("bothy: " + trouble + "\n", terminal)));
      } catch (IOException e) {
        throw new IOException("cannot write the perf map " + file + " of --perf-map", e);
      }
    }
    return new TranslatorEngine.Observation(countEvents.given(), listeners);
  }

  private static long address(String text, GuestSymbols symbols) {
    if (symbols.address(text).isPresent()) {
      return symbols.address(text).getAsLong();
    }
    try {
      return Long.parseUnsignedLong(text.startsWith("0x") ? text.substring(2) : text, 16);
    } catch (NumberFormatException e) {
      throw new WrongUsage(
          "--dump-block: \""
              + text
              + "\" is neither a hexadecimal address nor a function that --symbols names");
    }
  }

  private static void print(String text, boolean terminal) {
    System.err.print(terminal ? text.replace("\n", "\r\n") : text);
    System.err.flush();
  }
}
