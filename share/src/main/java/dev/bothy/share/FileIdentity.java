package dev.bothy.share;

import dev.bothy.host.FileStatus;

/**
 * What makes a file of the host that file, whatever it is called.
 *
 * @param device number of the file system
 * @param inode its number in there, which is another file's once it is gone
 * @param born when it was made, in nanoseconds, which tells such files apart; 0 if unknown
 * @param type FIFO, folder and so on
 */
record FileIdentity(long device, long inode, long born, int type) {
  private static final long NANOS = 1_000_000_000L;

  /**
   * @param birthLasts false in file systems where a file's time of birth can change
   */
  static FileIdentity of(FileStatus status, boolean birthLasts) {
    FileStatus.Time born = status.born();
    return new FileIdentity(
        status.device(),
        status.inode(),
        born == null || !birthLasts ? 0 : born.seconds() * NANOS + born.nanos(),
        status.type());
  }
}
