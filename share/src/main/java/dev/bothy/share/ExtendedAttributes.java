package dev.bothy.share;

import static dev.bothy.share.FuseException.check;
import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.lang.foreign.ValueLayout.JAVA_INT;

import java.lang.foreign.MemorySegment;
import java.nio.charset.StandardCharsets;

/**
 * Extended attributes: GETXATTR, SETXATTR, LISTXATTR, REMOVEXATTR. Those whose names begin with
 * "user." are the guest's. All others mean something to the host (security.capability makes a
 * program root, trusted.overlay.* leads a file system elsewhere, system.posix_acl_access gives a
 * file to the host's users), so the guest sees none of them.
 */
final class ExtendedAttributes {
  private static final byte[] OURS = "user.".getBytes(StandardCharsets.US_ASCII);

  /** Bytes of a name, and of a value or all names of a file, that Linux knows. */
  private static final int NAME_MAX = 255;

  private static final int VALUE_MAX = 1 << 16;

  private static final int CREATE = 1;
  private static final int REPLACE = 2;

  private ExtendedAttributes() {}

  private static MemorySegment name(Request request, long offset) throws FuseException {
    MemorySegment name = request.in().text(offset);
    if (!isOurs(name)) {
      throw new FuseException(Errno.EOPNOTSUPP);
    }
    if (name.byteSize() - 1 > NAME_MAX) {
      throw new FuseException(Errno.ERANGE);
    }
    return name;
  }

  private static boolean isOurs(MemorySegment name) {
    return name.byteSize() > OURS.length + 1
        && name.asSlice(0, OURS.length).mismatch(MemorySegment.ofArray(OURS)) == -1;
  }

  static int get(Request request) throws FuseException {
    int most = request.in().getInt(0);
    MemorySegment name = name(request, 8);
    if (most < 0) {
      throw new FuseException(Errno.EINVAL);
    }
    MemorySegment value = request.allocate(VALUE_MAX);
    int size;
    try (Descriptor file = request.reach()) {
      size = check(request.calls().getAttribute(file.number(), name, value));
    }
    return send(request, most, value.asSlice(0, size));
  }

  static int list(Request request) throws FuseException {
    int most = request.in().getInt(0);
    if (most < 0) {
      throw new FuseException(Errno.EINVAL);
    }
    MemorySegment names = request.allocate(VALUE_MAX);
    int size;
    try (Descriptor file = request.reach()) {
      size = check(request.calls().listAttributes(file.number(), names));
    }
    int kept = 0;
    for (int at = 0; at < size; ) {
      int end = at;
      while (end < size && names.get(JAVA_BYTE, end) != 0) {
        end++;
      }
      int length = Math.min(end + 1, size) - at;
      if (isOurs(names.asSlice(at, length))) {
        MemorySegment.copy(names, at, names, kept, length);
        kept += length;
      }
      at += length;
    }
    return send(request, most, names.asSlice(0, kept));
  }

  /** Answers with a value, or with its size alone if the guest has no room for anything. */
  private static int send(Request request, int most, MemorySegment value) throws FuseException {
    if (most == 0) {
      MemorySegment size = request.allocate(8);
      size.set(JAVA_INT, 0, (int) value.byteSize());
      return request.send(size);
    }
    if (value.byteSize() > most) {
      throw new FuseException(Errno.ERANGE);
    }
    return request.send(value);
  }

  static int set(Request request) throws FuseException {
    int size = request.in().getInt(0);
    int flags = request.in().getInt(4);
    if (size < 0 || (flags & ~(CREATE | REPLACE)) != 0) {
      throw new FuseException(Errno.EINVAL);
    }
    if (size > VALUE_MAX) {
      throw new FuseException(Errno.E2BIG);
    }
    MemorySegment name = name(request, 8);
    MemorySegment value = request.in().bytes(8 + name.byteSize(), size);
    request.changes();
    try (Descriptor file = request.reach()) {
      check(request.calls().setAttribute(file.number(), name, value, flags));
    }
    return request.done();
  }

  static int remove(Request request) throws FuseException {
    MemorySegment name = name(request, 0);
    request.changes();
    try (Descriptor file = request.reach()) {
      check(request.calls().removeAttribute(file.number(), name));
    }
    return request.done();
  }
}
