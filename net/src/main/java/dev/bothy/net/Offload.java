package dev.bothy.net;

/**
 * What is unfinished about a frame. All offsets and lengths are bytes from the frame's first; a
 * guest's are not trusted by anybody.
 *
 * @param checksum what is known of the transport checksum
 * @param checksumStart with {@link Checksum#PARTIAL}: where the sum begins that goes to the frame's
 *     end
 * @param checksumOffset with {@link Checksum#PARTIAL}: where the complement of the sum is to be
 *     put, from {@code checksumStart} on; the sum of the pseudo header is there already
 * @param segmentation how the payload is to be cut
 * @param headerLength with segmentation: what each piece begins with; a hint
 * @param segmentSize with segmentation: bytes of payload a piece
 */
public record Offload(
    Checksum checksum,
    int checksumStart,
    int checksumOffset,
    Segmentation segmentation,
    int headerLength,
    int segmentSize) {

  /** What is known of a frame's transport checksum. */
  public enum Checksum {
    /** Nothing: the field says it, and must be checked. */
    IN_FRAME,
    /** It is to be filled in: the field holds the sum of the pseudo header alone. */
    PARTIAL,
    /** It was checked; the field may hold anything. */
    VERIFIED
  }

  /** How a frame's payload is to be cut into frames no larger than the MTU. */
  public enum Segmentation {
    NONE,
    TCP_IPV4,
    TCP_IPV6
  }

  /** A finished frame. */
  public static final Offload NONE = new Offload(Checksum.IN_FRAME, 0, 0, Segmentation.NONE, 0, 0);

  /** A frame whose checksum is known to be right. */
  public static final Offload VERIFIED =
      new Offload(Checksum.VERIFIED, 0, 0, Segmentation.NONE, 0, 0);

  /** A frame that only lacks its checksum. */
  public static Offload partial(int checksumStart, int checksumOffset) {
    return new Offload(Checksum.PARTIAL, checksumStart, checksumOffset, Segmentation.NONE, 0, 0);
  }
}
