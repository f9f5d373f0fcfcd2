package dev.bothy.share;

import static dev.bothy.share.FuseException.check;

import dev.bothy.host.FileStatus;
import dev.bothy.host.FolderCalls;

/**
 * Whose files are that the guest makes, and what others may do with them. Where this process may
 * give files away, they are whose the guest says; otherwise they stay this user's. Permissions are
 * what the guest asks for: its umask was applied by its kernel, the host's is this program's alone.
 */
final class Ownership {
  private Ownership() {}

  /**
   * Something that was made under a name by which it is found now. Somebody on the host may have
   * put something else there meanwhile, which stays as it is.
   *
   * @param mode type and permissions that were asked for
   */
  static void giveNamed(Request request, Descriptor folder, Descriptor made, int mode)
      throws FuseException {
    FileStatus status = request.status(made);
    boolean ours =
        status.type() == (mode & FileStatus.TYPE)
            && (status.isFolder() || status.links() == 1)
            && (!request.folder().privileged() || status.uid() == 0);
    if (ours) {
      give(request, folder, made, status, mode);
    }
  }

  /** Something that was made by opening it. */
  static void give(Request request, Descriptor folder, Descriptor made, int mode)
      throws FuseException {
    give(request, folder, made, request.status(made), mode);
  }

  private static void give(
      Request request, Descriptor folder, Descriptor made, FileStatus status, int mode)
      throws FuseException {
    int permissions = status.mode() & FileStatus.PERMISSIONS;
    if (request.folder().privileged()) {
      int uid = request.in().uid();
      // A folder whose group is inherited has given its group already.
      boolean inherits = (request.status(folder).mode() & FileStatus.SET_GID) != 0;
      int gid = inherits ? FolderCalls.SAME_OWNER : request.in().gid();
      if (uid != status.uid() || gid != FolderCalls.SAME_OWNER && gid != status.gid()) {
        // Root of a container may not give to everybody; it stays ours then.
        request.calls().chown(made.number(), uid, gid);
        permissions = request.status(made).mode() & FileStatus.PERMISSIONS;
      }
    }
    int missing = mode & FileStatus.PERMISSIONS & ~permissions;
    if (missing != 0 && status.type() != FileStatus.SYMBOLIC_LINK) {
      check(request.calls().chmod(made.number(), permissions | missing));
    }
  }
}
