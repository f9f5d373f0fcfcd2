package dev.bothy.core;

/**
 * Where message-signalled interrupts go: writes of {@code data} to {@code address} in the
 * 0xFEExxxxx range. Any thread.
 */
@FunctionalInterface
public interface MsiSink {
  void send(long address, int data);
}
