package dev.bothy.debug.monitor;

import dev.bothy.core.GuestMemory;
import dev.bothy.machine.Machine;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.List;

/**
 * Writes RAM to a new file: all of it, each byte at its guest-physical address, zeros as holes; or
 * a piece.
 */
record DumpMemory(Machine machine) implements MonitorCommand {
  private static final int PORTION = 1 << 16;

  @Override
  public String name() {
    return "dump-memory";
  }

  @Override
  public String form() {
    return "FILE [ADDRESS SIZE]";
  }

  @Override
  public String help() {
    return "writes RAM, by physical address, to a new file";
  }

  @Override
  public String run(List<String> words) throws MonitorException {
    if (words.size() != 1 && words.size() != 3) {
      throw new MonitorException("dump-memory wants " + form());
    }
    Path file = file(words.getFirst());
    List<GuestMemory.Region> pieces;
    long origin = 0;
    if (words.size() == 1) {
      pieces = machine.memory().regions();
    } else {
      origin = number(words.get(1));
      long size = number(words.get(2));
      if (size <= 0 || !machine.memory().contains(origin, size)) {
        throw new MonitorException(
            "%x to %x is not RAM: info memory shows what is".formatted(origin, origin + size - 1));
      }
      pieces = List.of(new GuestMemory.Region(origin, size, 0));
    }
    try (FileChannel out =
        FileChannel.open(file, StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE)) {
      long from = origin;
      IOException failure =
          machine.whileStanding(
              () -> {
                try {
                  for (GuestMemory.Region piece : pieces) {
                    write(piece, from, out);
                  }
                  return null;
                } catch (IOException e) {
                  return e;
                }
              });
      if (failure != null) {
        Files.deleteIfExists(file);
        throw failure;
      }
    } catch (FileAlreadyExistsException e) {
      throw new MonitorException(file + " is there already: name a new file");
    } catch (IOException e) {
      throw new MonitorException("cannot write " + file + " (" + e.getMessage() + ")");
    }
    long bytes = pieces.stream().mapToLong(GuestMemory.Region::length).sum();
    return file + ": " + bytes + " bytes\n";
  }

  private static Path file(String name) throws MonitorException {
    try {
      return Path.of(name);
    } catch (InvalidPathException e) {
      throw new MonitorException("\"" + name + "\" is no file's name");
    }
  }

  /** Hexadecimal behind 0x, else decimal. */
  private static long number(String text) throws MonitorException {
    try {
      return text.startsWith("0x")
          ? Long.parseUnsignedLong(text.substring(2), 16)
          : Long.parseLong(text);
    } catch (NumberFormatException e) {
      throw new MonitorException("\"" + text + "\" is no number: 4096 or 0x1000, for example");
    }
  }

  private void write(GuestMemory.Region piece, long origin, FileChannel out) throws IOException {
    byte[] portion = new byte[PORTION];
    long at = piece.start() - origin;
    for (long done = 0; done < piece.length(); done += PORTION) {
      int length = (int) Math.min(PORTION, piece.length() - done);
      machine.memory().read(piece.start() + done, portion, 0, length);
      boolean last = done + length == piece.length();
      if (last || !isZero(portion, length)) {
        ByteBuffer buffer = ByteBuffer.wrap(portion, 0, length);
        while (buffer.hasRemaining()) {
          out.write(buffer, at + done + buffer.position());
        }
      }
    }
  }

  private static boolean isZero(byte[] bytes, int length) {
    for (int i = 0; i < length; i++) {
      if (bytes[i] != 0) {
        return false;
      }
    }
    return true;
  }
}
