package dev.bothy;

import dev.bothy.device.virtio.VirtioVsock;
import java.nio.file.Path;
import java.util.Objects;

/**
 * A socket device that a machine is to have. Its guest reaches port 52 of the host, context 2,
 * where a program listens at the Unix socket {@code PATH_52}; programs of the host connect to
 * {@code PATH}, send {@code CONNECT port} and a line feed, and get {@code OK port} and a line feed
 * before what the guest sends.
 *
 * @param cid the guest's address, 3 to 4294967294
 * @param path of the Unix socket
 */
public record Vsock(long cid, Path path) {
  /** How {@link #parse} wants it. */
  public static final String FORM = "CID,uds=PATH";

  public Vsock {
    Objects.requireNonNull(path);
    if (cid < VirtioVsock.FIRST_CID || cid > VirtioVsock.LAST_CID) {
      throw new IllegalArgumentException("a guest's CID is 3 to 4294967294, not " + cid);
    }
  }

  /**
   * Reads {@link #FORM}; a comma in the path is written twice.
   *
   * @throws IllegalArgumentException in one line, if it is something else
   */
  public static Vsock parse(String text) {
    CommaWords words = new CommaWords(text);
    long cid;
    try {
      cid = Long.parseLong(words.first());
    } catch (NumberFormatException e) {
      throw new IllegalArgumentException("a socket device wants its CID first: " + FORM, e);
    }
    Path path =
        words
            .one("uds")
            .map(CommaWords::path)
            .orElseThrow(
                () -> new IllegalArgumentException("a socket device wants its socket: " + FORM));
    words.finish("a socket device", FORM);
    return new Vsock(cid, path);
  }
}
