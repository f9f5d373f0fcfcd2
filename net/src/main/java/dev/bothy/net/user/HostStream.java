package dev.bothy.net.user;

/**
 * The host's end of a guest's TCP connection. Called with the stack's lock held, hence without
 * waiting. It calls the {@link TcpConnection} back, with the lock held.
 */
public interface HostStream {
  /** The guest's data, or their end, wait in the connection. */
  void readable();

  /** The connection has room for data to the guest. */
  void writable();

  /** It is over: the connection wants nothing more; whatever is at the other end is to be told. */
  void abort();
}
