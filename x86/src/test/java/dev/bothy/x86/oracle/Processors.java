package dev.bothy.x86.oracle;

import static dev.bothy.host.RawMemory.getLong;
import static dev.bothy.host.RawMemory.putLong;
import static dev.bothy.x86.oracle.Layout.*;

import dev.bothy.core.Engine;
import dev.bothy.host.RawMemory;
import java.util.function.Function;

/**
 * The two that are compared: the processor under us and an engine's. Their code differs where a
 * test ends: the host leaves, the guest spins until its budget is spent.
 */
final class Processors implements AutoCloseable {
  /** End of the addresses that Linux gives to processes. */
  private static final long USER_END = 0x7fff_ffff_f000L;

  private static final byte[] SPIN = {(byte) 0xeb, (byte) 0xfe};

  final HostProcess host = new HostProcess();
  final GuestMachine guest;

  Processors(Function<Engine.Environment, Engine> engines) {
    guest = new GuestMachine(engines);
    byte[] page = new byte[PAGE];
    for (int i = 0; i < PAGE; i++) {
      page[i] = (byte) (i * 37 >>> 3);
    }
    host.fillReadOnlyPage(page);
    guest.fillReadOnlyPage(page);
    putLong(INPUT + FS_BASE, host.fsBase());
  }

  /** Host code of {@code mode} at {@code address} that leaves the test. */
  byte[] leave(int mode, long address, int landing) {
    CodeBuffer code = new CodeBuffer(address);
    if (mode == 32) {
      return code.hex("ea").int32(host.exit(landing)).hex("3300").bytes(); // jmp far 0x33:exit
    }
    return code.jump("e9", host.exit(landing)).bytes();
  }

  /** The guest's counterpart of {@link #leave}. */
  static byte[] spin(int mode, long address, int landing) {
    return SPIN;
  }

  void write(long address, byte[] hostCode, byte[] guestCode) {
    HostProcess.write(address, hostCode);
    guest.writeCode(address, guestCode);
  }

  /** Runs both from {@link Layout#INPUT} and {@link Layout#DATA}, the guest from its own RIP. */
  void run(int mode, int instructions, long guestStart) {
    guest.dataSegment().copyFrom(RawMemory.segment(DATA, DATA_SIZE));
    host.run(mode);
    guest.run(mode, instructions, guestStart);
  }

  /** True if the host ended in an exception; takes what is Linux's own out of its record. */
  static boolean normalizeFault() {
    if (getLong(Trampoline.LANDING) != Trampoline.EXIT_SIGNAL) {
      return false;
    }
    if (getLong(NATIVE + VECTOR) != 14) {
      putLong(NATIVE + CR2, 0);
    } else if (Long.compareUnsigned(getLong(NATIVE + CR2), USER_END) >= 0) {
      // Linux says of every page of its own that it is present.
      putLong(NATIVE + ERROR_CODE, getLong(NATIVE + ERROR_CODE) & ~1);
    }
    return true;
  }

  @Override
  public void close() {
    guest.close();
  }
}
