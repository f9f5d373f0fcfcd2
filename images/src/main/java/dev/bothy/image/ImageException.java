package dev.bothy.image;

import java.io.IOException;

/** Something about a disk image or its file; the message is one line for its user. */
public final class ImageException extends IOException {
  private static final long serialVersionUID = 1;

  /** Kinds of trouble. */
  public enum Trouble {
    /** The host's file system or device failed. */
    HOST_ERROR,
    /** The host's disk, or the user's share of it, is full. */
    NO_SPACE,
    /**
     * The host could not make durable what was written: some of it may be lost, and no later flush
     * of this image succeeds. A host tells of that once, so trying again would only hide it.
     */
    LOST,
    /** The file is not there. */
    NOT_FOUND,
    /** No permission for the file. */
    NOT_PERMITTED,
    /** Somebody uses the image in a way that excludes this one. */
    IN_USE,
    /** A change of what is read-only. */
    READ_ONLY,
    /** A range that does not lie inside the disk. */
    OUT_OF_RANGE,
    /** The file's content contradicts its format. */
    CORRUPT,
    /** The format knows it, Bothy does not. */
    UNSUPPORTED,
    /** A request that makes no sense for this image. */
    REFUSED,
  }

  private final Trouble trouble;

  public ImageException(Trouble trouble, String message) {
    super(oneLine(message));
    this.trouble = trouble;
  }

  public ImageException(Trouble trouble, String message, Throwable cause) {
    super(oneLine(message), cause);
    this.trouble = trouble;
  }

  /** A flush that failed, as what it means for what was written before. */
  public static ImageException lost(IOException flush) {
    return new ImageException(Trouble.LOST, String.valueOf(flush.getMessage()), flush);
  }

  /** Names from images and the host may have anything in them. */
  private static String oneLine(String message) {
    return message.replaceAll("[\\p{Cc}\u2028\u2029]", "?");
  }

  public Trouble trouble() {
    return trouble;
  }
}
