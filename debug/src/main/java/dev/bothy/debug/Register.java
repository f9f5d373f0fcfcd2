package dev.bothy.debug;

import dev.bothy.core.cpu.CpuState;
import java.nio.ByteBuffer;

/**
 * A register as gdb sees it.
 *
 * @param bits a multiple of 8
 * @param type one of gdb's, or one that {@link TargetDescription} tells
 * @param feature of the target description that it belongs to
 */
record Register(String name, int bits, String type, Feature feature, Reading get, Writing set) {
  /** The parts of a target description; gdb knows the first ones by their names. */
  enum Feature {
    CORE("org.gnu.gdb.i386.core"),
    SSE("org.gnu.gdb.i386.sse"),
    AVX("org.gnu.gdb.i386.avx"),
    PKEYS("org.gnu.gdb.i386.pkeys"),
    SEGMENTS("org.gnu.gdb.i386.segments"),
    SYSTEM("dev.bothy.system");

    final String id;

    Feature(String id) {
      this.id = id;
    }
  }

  /** Puts the register's bytes, lowest first. */
  interface Reading {
    void get(CpuState cpu, ByteBuffer out);
  }

  /** Takes the register's bytes, lowest first; false if it cannot become that. */
  interface Writing {
    boolean set(CpuState cpu, ByteBuffer in);
  }

  int bytes() {
    return bits / 8;
  }

  /**
   * Makes it what {@code in} has next, of which all its bytes are taken; false if that cannot be.
   */
  boolean write(CpuState cpu, ByteBuffer in) {
    ByteBuffer value = in.slice(in.position(), bytes()).order(in.order());
    in.position(in.position() + bytes());
    ByteBuffer present = ByteBuffer.allocate(bytes()).order(in.order());
    get.get(cpu, present);
    // Who writes all registers means to change one.
    return present.flip().equals(value) || set.set(cpu, value);
  }
}
