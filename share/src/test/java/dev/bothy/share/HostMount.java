package dev.bothy.share;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import dev.bothy.host.FileCalls;
import dev.bothy.host.NativeFunction;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.MemorySegment;
import java.lang.invoke.MethodHandle;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/**
 * A share as the host's own kernel sees it: mounted through /dev/fuse, without a guest. Wants root.
 * As a program: {@code HostMount FOLDER MOUNT_POINT [ro]}, until it is ended.
 */
final class HostMount implements AutoCloseable {
  private static final int THREADS = 4;
  private static final int REQUEST = (1 << 20) + (64 << 10);
  private static final int MNT_DETACH = 2;
  private static final int EINTR = 4;
  private static final int ENODEV = 19;
  private static final MethodHandle MOUNT =
      NativeFunction.libraryWithErrno(
          "mount", FunctionDescriptor.of(JAVA_INT, ADDRESS, ADDRESS, ADDRESS, JAVA_LONG, ADDRESS));
  private static final MethodHandle UMOUNT =
      NativeFunction.libraryWithErrno(
          "umount2", FunctionDescriptor.of(JAVA_INT, ADDRESS, JAVA_INT));
  private static final MethodHandle READ =
      NativeFunction.libraryWithErrno(
          "read", FunctionDescriptor.of(JAVA_LONG, JAVA_INT, ADDRESS, JAVA_LONG));

  private static final MethodHandle WRITE =
      NativeFunction.libraryWithErrno(
          "write", FunctionDescriptor.of(JAVA_LONG, JAVA_INT, ADDRESS, JAVA_LONG));

  private final FuseServer server;
  private final Path point;
  private final int device;
  private final List<Thread> threads = new ArrayList<>();

  /** True if this process can mount. */
  static boolean possible() throws IOException {
    return Files.isWritable(Path.of("/dev/fuse"))
        && Files.getAttribute(Path.of("/proc/self"), "unix:uid").equals(0);
  }

  HostMount(FuseServer server, Path point) throws IOException {
    this.server = server;
    this.point = point;
    device = FileCalls.open(Path.of("/dev/fuse"), FileCalls.O_RDWR | FileCalls.O_CLOEXEC, 0);
    try (Arena arena = Arena.ofConfined()) {
      String options = "rootmode=40000,user_id=0,group_id=0,default_permissions,allow_other";
      MemorySegment state = NativeFunction.callState(arena);
      int result =
          (int)
              MOUNT.invokeExact(
                  state,
                  arena.allocateFrom("bothy"),
                  arena.allocateFrom(point.toString()),
                  arena.allocateFrom("fuse"),
                  0L,
                  arena.allocateFrom("fd=" + device + "," + options));
      if (result < 0) {
        int errno = NativeFunction.errno(state);
        FileCalls.close(device);
        throw new IOException("mount: " + FileCalls.message(errno));
      }
    } catch (IOException e) {
      throw e;
    } catch (Throwable t) {
      throw new AssertionError(t);
    }
    for (int i = 0; i < THREADS; i++) {
      threads.add(Thread.ofPlatform().daemon().start(this::serve));
    }
  }

  private void serve() {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment state = NativeFunction.callState(arena);
      MemorySegment request = arena.allocate(REQUEST, 4096);
      MemorySegment reply = arena.allocate(REQUEST, 4096);
      while (true) {
        long count = (long) READ.invokeExact(state, device, request, (long) REQUEST);
        int errno = count < 0 ? NativeFunction.errno(state) : 0;
        if (errno == ENODEV) {
          return;
        }
        if (count < 0 && (errno == EINTR || errno == FuseClient.ENOENT)) {
          continue;
        }
        if (count > 0) {
          int size = server.serve(List.of(request.asSlice(0, count)), List.of(reply));
          if (size > 0) {
            // Whom it was for may have been killed meanwhile.
            long _ = (long) WRITE.invokeExact(state, device, reply, (long) size);
          }
        }
      }
    } catch (Throwable t) {
      throw new AssertionError(t);
    }
  }

  @Override
  public void close() throws IOException {
    try (Arena arena = Arena.ofConfined()) {
      int _ =
          (int)
              UMOUNT.invokeExact(
                  NativeFunction.callState(arena),
                  arena.allocateFrom(point.toString()),
                  MNT_DETACH);
      for (Thread thread : threads) {
        thread.join();
      }
    } catch (Throwable t) {
      throw new AssertionError(t);
    }
    FileCalls.close(device);
  }

  /** Mounts until the process is ended, or the folder unmounted. */
  public static void main(String[] args) throws Exception {
    try (FuseServer server = FuseServer.open(Path.of(args[0]), args.length > 2);
        HostMount mount = new HostMount(server, Path.of(args[1]))) {
      for (Thread thread : mount.threads) {
        thread.join();
      }
    }
  }
}
