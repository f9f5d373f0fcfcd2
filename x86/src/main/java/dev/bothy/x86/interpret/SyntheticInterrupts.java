package dev.bothy.x86.interpret;

import static dev.bothy.host.RawMemory.getLong;
import static dev.bothy.host.RawMemory.putLong;

import dev.bothy.core.cpu.CpuState;
import dev.bothy.host.RawMemory;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/**
 * The synthetic interrupt controller of one processor: sixteen sources, a page of messages and one
 * of event flags ("Hypervisor Top Level Functional Specification" 6.0b, chapter 11). Registers
 * belong to the vCPU's thread, which others may overtake by a message or an event.
 */
final class SyntheticInterrupts {
  private static final int SCONTROL = 0x4000_0080;
  private static final int SVERSION = 0x4000_0081;
  private static final int SIEFP = 0x4000_0082;
  private static final int SIMP = 0x4000_0083;
  static final int EOM = 0x4000_0084;
  private static final int SINT0 = 0x4000_0090;
  static final int SOURCES = 16;

  /** Event flags of a source. */
  private static final int FLAGS = 2048;

  private static final long ENABLE = 1;
  private static final long PAGE = ~0xfffL;

  // A source.
  private static final int VECTOR = 0xff;
  private static final long MASKED = 1 << 16;
  private static final long AUTO_EOI = 1 << 17;
  private static final int FIRST_VECTOR = 16;

  // A message, of 256 bytes.
  private static final int MESSAGE_SIZE = 256;
  private static final int MESSAGE_TYPE = 0; // 4 bytes; 0: the place is free
  private static final int PAYLOAD_SIZE = 4; // 1 byte
  private static final int MESSAGE_FLAGS = 5; // 1 byte
  private static final int SENDER = 8; // 8 bytes
  private static final int PAYLOAD = 16;

  /** In the flags: another message waits for this place. */
  private static final int PENDING = 1;

  /** Of an interrupt command: to oneself, fixed. */
  private static final int TO_SELF = 0x4_4000;

  private static final int APIC_EOI = 0xb0;
  private static final int X2APIC_EOI = 0x80b;

  private final Processor cpu;

  SyntheticInterrupts(Processor cpu) {
    this.cpu = cpu;
  }

  void reset() {
    putLong(cpu.state + CpuState.HYPERV_SCONTROL, 0);
    putLong(cpu.state + CpuState.HYPERV_SIEFP, 0);
    putLong(cpu.state + CpuState.HYPERV_SIMP, 0);
    for (int i = 0; i < SOURCES; i++) {
      putLong(source(i), MASKED);
    }
  }

  private long source(int number) {
    return cpu.state + CpuState.HYPERV_SINT + 8L * number;
  }

  private static boolean isSource(int msr) {
    return msr >= SINT0 && msr < SINT0 + SOURCES;
  }

  long read(int msr) {
    return switch (msr) {
      case SCONTROL -> getLong(cpu.state + CpuState.HYPERV_SCONTROL);
      case SVERSION -> 1;
      case SIEFP -> getLong(cpu.state + CpuState.HYPERV_SIEFP);
      case SIMP -> getLong(cpu.state + CpuState.HYPERV_SIMP);
      case EOM -> 0;
      default -> {
        if (!isSource(msr)) {
          throw cpu.gp();
        }
        yield getLong(source(msr - SINT0));
      }
    };
  }

  /** The caller looks after messages that wait when it is {@link #EOM}. */
  void write(int msr, long value) {
    switch (msr) {
      case SCONTROL -> putLong(cpu.state + CpuState.HYPERV_SCONTROL, value);
      case SIEFP -> putLong(cpu.state + CpuState.HYPERV_SIEFP, value);
      case SIMP -> putLong(cpu.state + CpuState.HYPERV_SIMP, value);
      case EOM -> {
        // Whoever has a message tries again.
      }
      default -> {
        if (!isSource(msr) || (value & MASKED) == 0 && (value & VECTOR) < FIRST_VECTOR) {
          throw cpu.gp();
        }
        putLong(source(msr - SINT0), value);
      }
    }
  }

  /** Posts a message of whole words. */
  boolean post(int source, int type, long... payload) {
    ByteBuffer bytes = ByteBuffer.allocate(8 * payload.length).order(ByteOrder.LITTLE_ENDIAN);
    bytes.asLongBuffer().put(payload);
    return post(source, type, bytes.array());
  }

  /**
   * Posts a message of {@code payload}, up to 240 bytes.
   *
   * @return false if the place is taken: the guest will write EOM when it is free
   */
  synchronized boolean post(int source, int type, byte[] payload) {
    if (source >= SOURCES) {
      return true;
    }
    long page = getLong(cpu.state + CpuState.HYPERV_SIMP);
    boolean on = (getLong(cpu.state + CpuState.HYPERV_SCONTROL) & ENABLE) != 0;
    if (!on || (page & ENABLE) == 0) {
      return true; // nobody wants it
    }
    long at = (page & PAGE) + (long) source * MESSAGE_SIZE;
    if (cpu.memory.readInt(at + MESSAGE_TYPE) != 0) {
      cpu.memory.writeByte(at + MESSAGE_FLAGS, cpu.memory.readByte(at + MESSAGE_FLAGS) | PENDING);
      return false;
    }
    cpu.memory.writeByte(at + PAYLOAD_SIZE, payload.length);
    cpu.memory.writeByte(at + MESSAGE_FLAGS, 0);
    cpu.memory.writeLong(at + SENDER, 0);
    cpu.memory.write(at + PAYLOAD, payload);
    cpu.memory.writeInt(at + MESSAGE_TYPE, type);
    interrupt(source);
    return true;
  }

  /** Sets an event flag, and interrupts if it was clear. */
  synchronized void setFlag(int source, int flag) {
    long page = getLong(cpu.state + CpuState.HYPERV_SIEFP);
    boolean on = (getLong(cpu.state + CpuState.HYPERV_SCONTROL) & ENABLE) != 0;
    if (!on || (page & ENABLE) == 0 || source >= SOURCES || flag >= FLAGS) {
      return;
    }
    long at = (page & PAGE) + (long) source * FLAGS / 8 + (flag >>> 5) * 4L;
    long host = cpu.hostOf(at);
    int bit = 1 << (flag & 31);
    if (host != 0 && (RawMemory.getAndBitwiseOrInt(host, bit) & bit) == 0) {
      cpu.memory.tellWritten(at, 4);
      interrupt(source);
    }
  }

  /** Raises a source that is not masked. */
  void interrupt(int source) {
    long word = source < SOURCES ? getLong(source(source)) : MASKED;
    if ((word & MASKED) == 0) {
      send((int) word & VECTOR);
    }
  }

  /** Interrupts this processor. */
  void send(int vector) {
    cpu.apic.sendCommand(TO_SELF | vector, 0);
    cpu.requestAttention();
  }

  /** An interrupt is being delivered: ends it for software if its source is to. */
  void delivered(int vector) {
    for (int i = 0; i < SOURCES; i++) {
      long word = getLong(source(i));
      if ((word & (MASKED | AUTO_EOI)) == AUTO_EOI && (word & VECTOR) == vector) {
        if (cpu.apic.ownsMsr(X2APIC_EOI)) {
          cpu.apic.writeMsr(X2APIC_EOI, 0);
        } else {
          cpu.apic.write(APIC_EOI, 4, 0);
        }
        return;
      }
    }
  }
}
