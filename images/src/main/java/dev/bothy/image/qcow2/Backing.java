package dev.bothy.image.qcow2;

import dev.bothy.image.DiskImage;
import java.io.IOException;

/** The backing file of an image, open for reading except while it is committed to. */
public final class Backing implements AutoCloseable {
  /** Opens the backing file, whatever it is. */
  @FunctionalInterface
  public interface Opener {
    DiskImage open(boolean readOnly) throws IOException;
  }

  private final Opener opener;
  private DiskImage image;

  public Backing(Opener opener) throws IOException {
    this.opener = opener;
    this.image = opener.open(true);
  }

  DiskImage image() {
    return image;
  }

  /** Opens it anew, or if that cannot be, as before; nobody may be using it. */
  void reopen(boolean readOnly) throws IOException {
    image.close();
    try {
      image = opener.open(readOnly);
    } catch (IOException e) {
      image = opener.open(!readOnly);
      throw e;
    }
  }

  @Override
  public void close() throws IOException {
    image.close();
  }
}
