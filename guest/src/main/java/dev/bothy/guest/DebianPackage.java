package dev.bothy.guest;

import io.airlift.compress.zstd.ZstdInputStream;
import java.io.BufferedInputStream;
import java.io.EOFException;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.zip.GZIPInputStream;
import org.apache.commons.compress.archivers.ar.ArArchiveEntry;
import org.apache.commons.compress.archivers.ar.ArArchiveInputStream;
import org.apache.commons.compress.archivers.tar.TarArchiveEntry;
import org.apache.commons.compress.archivers.tar.TarArchiveInputStream;
import org.tukaani.xz.XZInputStream;

/**
 * Reads the files in a binary Debian package (deb(5)): an ar archive with a tar archive, plain or
 * compressed by gzip, xz or zstd. Nothing is ever written to the host's files, whatever names the
 * archive has.
 */
final class DebianPackage {
  /** KiB an xz stream may make us allocate: its dictionary, for Debian's 8 to 64 MiB. */
  private static final int XZ_MEMORY_KIB = 100 << 10;

  /** Most bytes that one file in a package may have: no kernel or busybox comes near. */
  static final int MAX_FILE = 64 << 20;

  /** Most bytes that all files of a package may have together. */
  private static final long MAX_TOTAL = 2L << 30;

  private DebianPackage() {}

  /** Takes one regular file at a time, in the archive's order. */
  @FunctionalInterface
  interface Visitor {
    /**
     * A file.
     *
     * @param name path without a leading "./" or "/"
     * @param size bytes
     * @param contents at most {@code size} bytes; need not be read
     */
    void file(String name, long size, Contents contents) throws IOException;
  }

  /** The bytes of a file, to be read once or not at all. */
  @FunctionalInterface
  interface Contents {
    byte[] read() throws IOException;
  }

  /**
   * Shows {@code visitor} all regular files.
   *
   * @throws IOException if the package is damaged, truncated or beyond sensible sizes
   */
  static void visit(Path file, Visitor visitor) throws IOException {
    try (InputStream in = new BufferedInputStream(Files.newInputStream(file), 1 << 16)) {
      visit(in, visitor);
    } catch (RuntimeException e) {
      // Parsers of damaged archives are not always careful.
      throw new IOException("damaged package " + file.getFileName() + ": " + e.getMessage(), e);
    } catch (IOException e) {
      throw new IOException("damaged package " + file.getFileName() + ": " + e.getMessage(), e);
    }
  }

  private static void visit(InputStream in, Visitor visitor) throws IOException {
    try (ArArchiveInputStream ar = new ArArchiveInputStream(in)) {
      for (ArArchiveEntry entry = ar.getNextEntry(); entry != null; entry = ar.getNextEntry()) {
        if (entry.getName().startsWith("data.tar")) {
          visitTar(decompress(entry.getName(), ar), visitor);
          return;
        }
      }
    }
    throw new IOException("it has no data.tar");
  }

  private static void visitTar(InputStream in, Visitor visitor) throws IOException {
    long total = 0;
    TarArchiveInputStream tar = new TarArchiveInputStream(in);
    for (TarArchiveEntry entry = tar.getNextEntry(); entry != null; entry = tar.getNextEntry()) {
      if (!entry.isFile() || entry.isSparse()) {
        continue;
      }
      long size = entry.getSize();
      total += size;
      if (size < 0 || size > MAX_FILE || total > MAX_TOTAL) {
        throw new IOException(entry.getName() + " is too large: " + size + " bytes");
      }
      visitor.file(plainName(entry.getName()), size, () -> readExactly(tar, (int) size));
    }
  }

  private static String plainName(String name) {
    String plain = name;
    while (plain.startsWith("./") || plain.startsWith("/")) {
      plain = plain.substring(plain.indexOf('/') + 1);
    }
    return plain;
  }

  private static byte[] readExactly(InputStream in, int size) throws IOException {
    byte[] bytes = in.readNBytes(size);
    if (bytes.length != size) {
      throw new EOFException("it ends early");
    }
    return bytes;
  }

  /**
   * A stream of what {@code in} holds, by the ending of {@code name}: .gz, .xz, .zst or none of
   * them.
   */
  static InputStream decompress(String name, InputStream in) throws IOException {
    if (name.endsWith(".xz")) {
      return new XZInputStream(in, XZ_MEMORY_KIB);
    }
    if (name.endsWith(".zst")) {
      return new ZstdInputStream(in);
    }
    return name.endsWith(".gz") ? new GZIPInputStream(in) : in;
  }
}
