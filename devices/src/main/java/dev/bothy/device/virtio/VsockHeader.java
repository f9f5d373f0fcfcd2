package dev.bothy.device.virtio;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/**
 * What each packet of a socket device begins with: Virtual I/O Device (VIRTIO) 1.2, section 5.10.6.
 *
 * @param length bytes that follow, as unsigned 32 bits
 * @param space bytes of buffer that the sender has for the stream, modulo 2^32
 * @param forwarded bytes that have left that buffer so far, modulo 2^32
 */
record VsockHeader(
    long sourceCid,
    long targetCid,
    int sourcePort,
    int targetPort,
    int length,
    int type,
    int operation,
    int flags,
    int space,
    int forwarded) {
  static final int SIZE = 44;

  /** The type of packets of streams. */
  static final int STREAM = 1;

  // Operations.
  static final int REQUEST = 1;
  static final int RESPONSE = 2;
  static final int RESET = 3;
  static final int SHUTDOWN = 4;
  static final int DATA = 5;
  static final int CREDIT_UPDATE = 6;
  static final int CREDIT_REQUEST = 7;

  // Flags of a shutdown.
  static final int RECEIVES_NO_MORE = 1;
  static final int SENDS_NO_MORE = 2;

  static VsockHeader read(Buffers packet) {
    ByteBuffer b = ByteBuffer.wrap(packet.read(0, SIZE)).order(ByteOrder.LITTLE_ENDIAN);
    return new VsockHeader(
        b.getLong(),
        b.getLong(),
        b.getInt(),
        b.getInt(),
        b.getInt(),
        b.getShort() & 0xffff,
        b.getShort() & 0xffff,
        b.getInt(),
        b.getInt(),
        b.getInt());
  }

  void write(Buffers packet) {
    ByteBuffer b = ByteBuffer.allocate(SIZE).order(ByteOrder.LITTLE_ENDIAN);
    b.putLong(sourceCid).putLong(targetCid).putInt(sourcePort).putInt(targetPort).putInt(length);
    b.putShort((short) type).putShort((short) operation).putInt(flags);
    b.putInt(space).putInt(forwarded);
    packet.write(0, b.array(), 0, SIZE);
  }

  /** Tells the sender that there is no such stream. */
  VsockHeader refusal() {
    return new VsockHeader(targetCid, sourceCid, targetPort, sourcePort, 0, type, RESET, 0, 0, 0);
  }
}
