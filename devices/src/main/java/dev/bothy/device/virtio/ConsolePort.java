package dev.bothy.device.virtio;

import java.util.Objects;

/**
 * One port of a {@link VirtioConsole}, from the host's side: what the guest writes goes to a {@link
 * Sink}, what the host offers goes to the guest as it reads. Any thread.
 */
public final class ConsolePort {
  /** Where a port's output goes. */
  @FunctionalInterface
  public interface Sink {
    /**
     * Takes bytes from the guest, without waiting.
     *
     * @return how many of them; if fewer than {@code length}, {@link ConsolePort#sinkReady} is to
     *     be called when there is room again
     */
    int take(byte[] bytes, int length);
  }

  private final String name;
  private final boolean console;
  private final Sink sink;
  private volatile VirtioConsole device;
  private volatile int number;
  private volatile Runnable onRoom = () -> {};

  // What the driver is told of; guarded by this port until there is a device, then by its lock.
  boolean opened;
  int columns;
  int rows;

  /**
   * @param name by which the guest finds it, in /dev/virtio-ports under Linux; empty for none
   * @param console the guest may put a terminal on it; otherwise it is a plain row of bytes
   */
  public ConsolePort(String name, boolean console, Sink sink) {
    this.name = Objects.requireNonNull(name);
    this.console = console;
    this.sink = Objects.requireNonNull(sink);
  }

  synchronized void connect(VirtioConsole owner, int place) {
    number = place;
    device = owner;
  }

  String name() {
    return name;
  }

  /** True if the guest may put a terminal on it. */
  public boolean console() {
    return console;
  }

  Sink sink() {
    return sink;
  }

  void room() {
    onRoom.run();
  }

  /** Called, on any thread, when {@link #offer} may take more than it did. */
  public void onRoom(Runnable listener) {
    onRoom = listener;
  }

  /**
   * Gives bytes to the guest.
   *
   * @return how many it has room for now; 0 while nobody has the port open there
   */
  public int offer(byte[] bytes, int from, int length) {
    Objects.checkFromIndexSize(from, length, bytes.length);
    VirtioConsole owner = device;
    return owner == null ? 0 : owner.offer(number, bytes, from, length);
  }

  /** The sink has room again. */
  public void sinkReady() {
    VirtioConsole owner = device;
    if (owner != null) {
      owner.sinkReady(number);
    }
  }

  /** Tells the guest that somebody is there on the host's side, or no more. */
  public void setOpen(boolean open) {
    synchronized (this) {
      if (device == null) {
        opened = open;
        return;
      }
    }
    device.setOpen(number, open);
  }

  /** Tells the guest the size of the terminal. */
  public void resize(int newColumns, int newRows) {
    synchronized (this) {
      if (device == null) {
        columns = newColumns & 0xffff;
        rows = newRows & 0xffff;
        return;
      }
    }
    device.resize(number, newColumns, newRows);
  }
}
