package dev.bothy.share;

/** Error numbers of Linux, which guest and host share (errno(3)). */
final class Errno {
  static final int EPERM = 1;
  static final int ENOENT = 2;
  static final int EIO = 5;
  static final int ENXIO = 6;
  static final int EBADF = 9;
  static final int EACCES = 13;
  static final int EEXIST = 17;
  static final int EXDEV = 18;
  static final int ENODEV = 19;
  static final int ENOTDIR = 20;
  static final int EISDIR = 21;
  static final int EINVAL = 22;
  static final int ENFILE = 23;
  static final int EROFS = 30;
  static final int ERANGE = 34;
  static final int ENAMETOOLONG = 36;
  static final int ENOSYS = 38;
  static final int ELOOP = 40;
  static final int E2BIG = 7;
  static final int ENODATA = 61;
  static final int EPROTO = 71;
  static final int EOPNOTSUPP = 95;
  static final int ESTALE = 116;

  private Errno() {}
}
