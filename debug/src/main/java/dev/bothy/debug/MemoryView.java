package dev.bothy.debug;

import dev.bothy.core.GuestMemory;
import dev.bothy.core.cpu.CpuState;
import java.util.Arrays;

/**
 * A machine's RAM by the addresses of one of its processors, which stands. Devices are not touched:
 * a look at their registers could change them.
 */
public final class MemoryView {
  private static final int PAGE = 4096;

  private final GuestMemory memory;
  private final CpuState cpu;
  private final boolean physical;

  /**
   * @param physical addresses are guest-physical; else they are linear ones of {@code cpu}
   */
  public MemoryView(GuestMemory memory, CpuState cpu, boolean physical) {
    this.memory = memory;
    this.cpu = cpu;
    this.physical = physical;
  }

  /** Guest-physical address of the byte at {@code address}, or -1 if it is not in RAM. */
  public long locate(long address) {
    long at = physical ? address : PageTables.physical(cpu, memory, address);
    return at != PageTables.UNMAPPED && memory.offsetOf(at) >= 0 ? at : -1;
  }

  /** {@code length} bytes, or as many of them as come before the first that is not in RAM. */
  public byte[] read(long address, int length) {
    byte[] bytes = new byte[length];
    int done = 0;
    while (done < length) {
      long at = locate(address + done);
      if (at < 0) {
        return Arrays.copyOf(bytes, done);
      }
      int portion = portion(at, length - done);
      memory.read(at, bytes, done, portion);
      done += portion;
    }
    return bytes;
  }

  /** Writes {@code bytes}; false, and nothing is written, if not all of them are in RAM. */
  public boolean write(long address, byte[] bytes) {
    for (int done = 0; done < bytes.length; done += portion(address + done, bytes.length - done)) {
      if (locate(address + done) < 0) {
        return false;
      }
    }
    int done = 0;
    while (done < bytes.length) {
      int portion = portion(address + done, bytes.length - done);
      memory.write(locate(address + done), bytes, done, portion);
      done += portion;
    }
    return true;
  }

  /** How many of {@code left} bytes are on the page of {@code address}. */
  private static int portion(long address, int left) {
    return Math.min(left, PAGE - (int) (address & PAGE - 1));
  }
}
