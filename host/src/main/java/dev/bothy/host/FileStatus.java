package dev.bothy.host;

/**
 * What the host knows of a file: statx(2).
 *
 * @param mode type and permissions, as in stat(2)
 * @param links names that the file has
 * @param device number of the file system
 * @param inode number of the file in there
 * @param size bytes
 * @param blocks units of 512 bytes that it takes
 * @param blockSize bytes that are best read or written at once
 * @param attributes STATX_ATTR_ flags
 * @param special the device that a device node stands for, as {@link #deviceNumber} makes one
 * @param accessed when it was last read, like all times here
 * @param modified when its content was last changed
 * @param changed when anything about it was last changed
 * @param born when it was made, or null if the file system does not tell
 */
public record FileStatus(
    int mode,
    int links,
    int uid,
    int gid,
    long device,
    long inode,
    long size,
    long blocks,
    int blockSize,
    long attributes,
    long special,
    Time accessed,
    Time modified,
    Time changed,
    Time born) {

  // Types of files (inode(7)).
  public static final int TYPE = 0170000;
  public static final int SOCKET = 0140000;
  public static final int SYMBOLIC_LINK = 0120000;
  public static final int REGULAR = 0100000;
  public static final int BLOCK_DEVICE = 0060000;
  public static final int FOLDER = 0040000;
  public static final int CHARACTER_DEVICE = 0020000;
  public static final int FIFO = 0010000;

  // Special permissions.
  public static final int SET_UID = 04000;
  public static final int SET_GID = 02000;
  public static final int GROUP_EXECUTES = 010;

  /** All that chmod(2) sets. */
  public static final int PERMISSIONS = 07777;

  /**
   * A point in time.
   *
   * @param seconds since 1970
   * @param nanos 0 to 999,999,999
   */
  public record Time(long seconds, int nanos) {}

  /** One of the types above. */
  public int type() {
    return mode & TYPE;
  }

  public boolean isFolder() {
    return type() == FOLDER;
  }

  public boolean isRegular() {
    return type() == REGULAR;
  }

  /** Major and minor number in one: the major in the upper half. */
  static long deviceNumber(int major, int minor) {
    return (long) major << 32 | minor & 0xffff_ffffL;
  }
}
