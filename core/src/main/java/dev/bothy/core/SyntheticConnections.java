package dev.bothy.core;

/**
 * What a guest of Microsoft's hypervisor interface sends messages and events to ("Hypervisor Top
 * Level Functional Specification" 6.0b, chapter 11). Called from any vCPU's thread.
 */
public interface SyntheticConnections {
  // What a hypercall answers.
  int SUCCESS = 0;
  int INVALID_CONNECTION = 18;
  int INSUFFICIENT_BUFFERS = 19;

  /** Bytes of a message at most. */
  int MOST_PAYLOAD = 240;

  /** Nobody is there. */
  SyntheticConnections NONE =
      new SyntheticConnections() {
        @Override
        public int postMessage(int connection, int type, byte[] payload) {
          return INVALID_CONNECTION;
        }

        @Override
        public int signalEvent(int connection, int flag) {
          return INVALID_CONNECTION;
        }

        @Override
        public void endOfMessage(int vcpu) {}
      };

  /** A message of up to {@link #MOST_PAYLOAD} bytes; returns the hypercall's answer. */
  int postMessage(int connection, int type, byte[] payload);

  /** An event; returns the hypercall's answer. */
  int signalEvent(int connection, int flag);

  /** A vCPU has made room for a message that has found none. */
  void endOfMessage(int vcpu);
}
