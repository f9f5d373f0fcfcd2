package dev.bothy.guest;

import java.io.IOException;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.util.HashSet;
import java.util.Set;

/**
 * Writes a cpio archive in the "newc" format as Linux unpacks it into its initial root (the
 * kernel's Documentation/driver-api/early-userspace/buffer-format.rst): everything belongs to root,
 * times are zero, so that equal contents give equal bytes. Folders above an entry are made as
 * needed. Names are relative, "bin/sh". Not thread-safe.
 */
public final class CpioWriter implements AutoCloseable {
  private static final int FOLDER = 0040000;
  private static final int CHARACTER_DEVICE = 0020000;
  private static final int FILE = 0100000;
  private static final int LINK = 0120000;

  private final OutputStream out;
  private final Set<String> folders = new HashSet<>();
  private int inode = 1;
  private long written;

  public CpioWriter(OutputStream out) {
    this.out = out;
  }

  /** A folder with mode 0755; harmless if it is there. */
  public void folder(String name) throws IOException {
    if (name.isEmpty() || !folders.add(name)) {
      return;
    }
    parents(name);
    entry(name, FOLDER | 0755, 0, 0, new byte[0]);
  }

  /** A regular file. */
  public void file(String name, int permissions, byte[] contents) throws IOException {
    parents(name);
    entry(name, FILE | permissions, 0, 0, contents);
  }

  /** A symbolic link. */
  public void link(String name, String target) throws IOException {
    parents(name);
    entry(name, LINK | 0777, 0, 0, target.getBytes(StandardCharsets.UTF_8));
  }

  /** A character device with mode 0600. */
  public void characterDevice(String name, int major, int minor) throws IOException {
    parents(name);
    entry(name, CHARACTER_DEVICE | 0600, major, minor, new byte[0]);
  }

  private void parents(String name) throws IOException {
    int slash = name.lastIndexOf('/');
    if (slash > 0) {
      folder(name.substring(0, slash));
    }
  }

  private void entry(String name, int mode, int major, int minor, byte[] contents)
      throws IOException {
    byte[] nameBytes = (name + "\0").getBytes(StandardCharsets.UTF_8);
    int links = (mode & FOLDER) != 0 && (mode & FILE) == 0 ? 2 : 1;
    int[] fields = {
      inode++, mode, 0, 0, links, 0, contents.length, 0, 0, major, minor, nameBytes.length, 0
    };
    StringBuilder header = new StringBuilder("070701");
    for (int field : fields) {
      header.append(String.format("%08x", field));
    }
    write(header.toString().getBytes(StandardCharsets.US_ASCII));
    write(nameBytes);
    pad();
    write(contents);
    pad();
  }

  private void write(byte[] bytes) throws IOException {
    out.write(bytes);
    written += bytes.length;
  }

  private void pad() throws IOException {
    write(new byte[(int) (-written & 3)]);
  }

  @Override
  public void close() throws IOException {
    entry("TRAILER!!!", 0, 0, 0, new byte[0]);
    out.close();
  }
}
