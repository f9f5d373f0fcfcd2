package dev.bothy.host;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;
import static java.lang.foreign.ValueLayout.JAVA_SHORT;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.MemorySegment;
import java.lang.invoke.MethodHandle;
import java.nio.charset.StandardCharsets;

/**
 * A tap interface of Linux (the kernel's Documentation/networking/tuntap.rst): what the kernel
 * sends on it is read here, what is written here the kernel receives. Each frame has a header of
 * {@link #HEADER} bytes before it that says what is unfinished about it (struct virtio_net_hdr of
 * linux/virtio_net.h, in the host's byte order).
 *
 * <p>One thread reads, any thread writes or closes.
 */
public final class TapInterface implements AutoCloseable {
  /** Bytes before each frame. */
  public static final int HEADER = 10;

  /** The longest name of an interface. */
  public static final int NAME_LENGTH = 15;

  private static final int O_RDWR = 2;
  private static final int O_NONBLOCK = 0x800;
  private static final int O_CLOEXEC = 0x80000;
  private static final short IFF_TAP = 2;
  private static final short IFF_NO_PI = 0x1000;
  private static final short IFF_VNET_HDR = 0x4000;
  private static final long TUNSETIFF = 0x400454caL;
  private static final long TUNSETOFFLOAD = 0x400454d0L;
  private static final int TUN_F_CSUM = 1;
  private static final int TUN_F_TSO4 = 2;
  private static final int TUN_F_TSO6 = 4;
  private static final int IFREQ_SIZE = 40;
  private static final short POLLIN = 1;
  private static final int EPERM = 1;
  private static final int ENOENT = 2;
  private static final int EINTR = 4;
  private static final int EAGAIN = 11;
  private static final int EACCES = 13;
  private static final int EBUSY = 16;
  private static final int EINVAL = 22;

  /** Linked when the first tap is opened. */
  private static final class Calls {
    static final MethodHandle OPEN =
        NativeFunction.variadicWithErrno(
            "open", 2, FunctionDescriptor.of(JAVA_INT, ADDRESS, JAVA_INT));
    static final MethodHandle IOCTL =
        NativeFunction.variadicWithErrno(
            "ioctl", 2, FunctionDescriptor.of(JAVA_INT, JAVA_INT, JAVA_LONG, ADDRESS));
    static final MethodHandle READ =
        NativeFunction.libraryWithErrno(
            "read", FunctionDescriptor.of(JAVA_LONG, JAVA_INT, ADDRESS, JAVA_LONG));
    static final MethodHandle WRITE =
        NativeFunction.libraryWithErrno(
            "write", FunctionDescriptor.of(JAVA_LONG, JAVA_INT, ADDRESS, JAVA_LONG));
    static final MethodHandle POLL =
        NativeFunction.libraryWithErrno(
            "poll", FunctionDescriptor.of(JAVA_INT, ADDRESS, JAVA_LONG, JAVA_INT));
    static final MethodHandle EVENTFD =
        NativeFunction.libraryWithErrno(
            "eventfd", FunctionDescriptor.of(JAVA_INT, JAVA_INT, JAVA_INT));
    static final MethodHandle CLOSE =
        NativeFunction.library("close", FunctionDescriptor.of(JAVA_INT, JAVA_INT));
    static final MethodHandle STRERROR =
        NativeFunction.library("strerror", FunctionDescriptor.of(ADDRESS, JAVA_INT));
  }

  private final String name;
  private final int descriptor;

  /** Written to when the reader is to stop waiting. */
  private final int stop;

  private final Arena arena = Arena.ofAuto();
  private final MemorySegment pollSet = arena.allocate(16, 8);
  private final MemorySegment readState = NativeFunction.callState(arena);
  private int users;
  private boolean closing;

  private TapInterface(String name, int descriptor, int stop) {
    this.name = name;
    this.descriptor = descriptor;
    this.stop = stop;
    pollSet.set(JAVA_INT, 0, descriptor);
    pollSet.set(JAVA_SHORT, 4, POLLIN);
    pollSet.set(JAVA_INT, 8, stop);
    pollSet.set(JAVA_SHORT, 12, POLLIN);
  }

  /**
   * Opens the interface of that name; makes it, until it is closed, if there is none and we may.
   *
   * @throws IOException in one line that says what to do, if that is not possible here
   */
  public static TapInterface open(String name) throws IOException {
    if (!NativeAccess.allowed()) {
      throw new IOException(
          "tap interfaces need Linux and calls into the C library: use a user network");
    }
    byte[] bytes = name.getBytes(StandardCharsets.US_ASCII);
    if (bytes.length == 0 || bytes.length > NAME_LENGTH) {
      throw new IOException("'" + name + "' is no name of an interface");
    }
    try (Arena local = Arena.ofConfined()) {
      MemorySegment state = NativeFunction.callState(local);
      int descriptor =
          (int)
              Calls.OPEN.invokeExact(
                  state, local.allocateFrom("/dev/net/tun"), O_RDWR | O_NONBLOCK | O_CLOEXEC);
      if (descriptor < 0) {
        throw refusal(name, NativeFunction.errno(state));
      }
      MemorySegment request = local.allocate(IFREQ_SIZE, 8);
      MemorySegment.copy(bytes, 0, request, JAVA_BYTE, 0, bytes.length);
      request.set(JAVA_SHORT, 16, (short) (IFF_TAP | IFF_NO_PI | IFF_VNET_HDR));
      int result = (int) Calls.IOCTL.invokeExact(state, descriptor, TUNSETIFF, request);
      int stop = result < 0 ? -1 : (int) Calls.EVENTFD.invokeExact(state, 0, O_CLOEXEC);
      if (stop < 0) {
        int error = NativeFunction.errno(state);
        int _ = (int) Calls.CLOSE.invokeExact(descriptor);
        throw refusal(name, error);
      }
      return new TapInterface(request.getString(0), descriptor, stop);
    } catch (IOException | RuntimeException | Error e) {
      throw e;
    } catch (Throwable e) {
      throw new AssertionError(e);
    }
  }

  private static IOException refusal(String name, int error) throws Throwable {
    String advice =
        switch (error) {
          case EACCES -> "no permission: let root run 'chmod 666 /dev/net/tun'";
          case EPERM ->
              "no permission: let root run 'ip tuntap add dev " + name + " mode tap user $USER'";
          case ENOENT -> "there is no /dev/net/tun: let root run 'modprobe tun'";
          case EBUSY -> "somebody else has it open";
          case EINVAL -> "it is no tap interface, or not of this kind";
          default -> {
            MemorySegment text = (MemorySegment) Calls.STRERROR.invokeExact(error);
            yield text.reinterpret(256).getString(0);
          }
        };
    return new IOException("tap interface " + name + " cannot be opened: " + advice);
  }

  /** The interface's name. */
  public String name() {
    return name;
  }

  /** Says what of unfinished frames may be read here; none at first. */
  public void accept(boolean checksum, boolean tcpIpv4, boolean tcpIpv6) {
    if (!enter()) {
      return;
    }
    try (Arena local = Arena.ofConfined()) {
      int flags =
          (checksum ? TUN_F_CSUM : 0) | (tcpIpv4 ? TUN_F_TSO4 : 0) | (tcpIpv6 ? TUN_F_TSO6 : 0);
      // A kernel that knows less keeps finishing frames.
      int _ =
          (int)
              Calls.IOCTL.invokeExact(
                  NativeFunction.callState(local),
                  descriptor,
                  TUNSETOFFLOAD,
                  MemorySegment.ofAddress(flags));
    } catch (Throwable e) {
      throw new AssertionError(e);
    } finally {
      leave();
    }
  }

  /**
   * Waits for a frame.
   *
   * @param buffer native memory for header and frame; what does not fit is lost
   * @return bytes read, header included; -1 once the interface is closed or gone
   */
  public int read(MemorySegment buffer) {
    if (!enter()) {
      return -1;
    }
    try {
      while (true) {
        int polled = (int) Calls.POLL.invokeExact(readState, pollSet, 2L, -1);
        if (polled < 0 && NativeFunction.errno(readState) != EINTR
            || polled > 0 && pollSet.get(JAVA_SHORT, 14) != 0) {
          return -1;
        }
        long count =
            (long) Calls.READ.invokeExact(readState, descriptor, buffer, buffer.byteSize());
        if (count >= 0) {
          return (int) count;
        }
        int error = NativeFunction.errno(readState);
        if (error != EAGAIN && error != EINTR) {
          return -1;
        }
      }
    } catch (Throwable e) {
      throw new AssertionError(e);
    } finally {
      leave();
    }
  }

  /** Hands the kernel a header and a frame in native memory; false if it does not take them. */
  public boolean write(MemorySegment frame) {
    if (!enter()) {
      return false;
    }
    try (Arena local = Arena.ofConfined()) {
      MemorySegment state = NativeFunction.callState(local);
      return (long) Calls.WRITE.invokeExact(state, descriptor, frame, frame.byteSize()) >= 0;
    } catch (Throwable e) {
      throw new AssertionError(e);
    } finally {
      leave();
    }
  }

  private synchronized boolean enter() {
    if (closing) {
      return false;
    }
    users++;
    return true;
  }

  private synchronized void leave() {
    users--;
    notifyAll();
  }

  /** Closes the interface and waits until nobody is in a call of it any more. */
  @Override
  public void close() {
    synchronized (this) {
      if (closing) {
        return;
      }
      closing = true;
    }
    try (Arena local = Arena.ofConfined()) {
      MemorySegment one = local.allocateFrom(JAVA_LONG, 1);
      long _ =
          (long)
              Calls.WRITE.invokeExact(NativeFunction.callState(local), stop, one, one.byteSize());
      awaitNobody();
      int _ = (int) Calls.CLOSE.invokeExact(descriptor);
      int _ = (int) Calls.CLOSE.invokeExact(stop);
    } catch (Throwable e) {
      throw new AssertionError(e);
    }
  }

  private void awaitNobody() {
    Uninterrupted.awaitWhile(this, () -> users > 0);
  }
}
