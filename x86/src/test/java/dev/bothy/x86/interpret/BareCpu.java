package dev.bothy.x86.interpret;

import dev.bothy.core.cpu.CpuState;
import dev.bothy.x86.decode.Instruction;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/**
 * A processor with registers, flags and a few bytes of memory, and neither segmentation nor paging.
 */
final class BareCpu extends Cpu implements AutoCloseable {
  private final CpuState registers;
  private final long base;
  final byte[] memory;
  private final ByteBuffer bytes;
  private int flags;
  boolean simdExceptions = true;

  private BareCpu(CpuState registers, long base, int size) {
    super(registers.address());
    this.registers = registers;
    this.base = base;
    memory = new byte[size];
    bytes = ByteBuffer.wrap(memory).order(ByteOrder.LITTLE_ENDIAN);
  }

  /** Memory of {@code size} bytes at {@code base}; accesses elsewhere are #PF. */
  static BareCpu create(long base, int size) {
    return new BareCpu(new CpuState(0), base, size);
  }

  @Override
  public void close() {
    registers.close();
  }

  private int at(long linear, int size) {
    if (linear < base || linear + size > base + memory.length) {
      throw raise(GuestFault.PF, 0);
    }
    return (int) (linear - base);
  }

  @Override
  void setArithmeticFlags(int rflags) {
    flags = rflags & 0x8d5;
  }

  @Override
  int arithmeticFlags() {
    return flags;
  }

  @Override
  long offset(Instruction i) {
    long address = i.displacement;
    if (i.base >= 0) {
      address += gpr(i.base);
    }
    if (i.index >= 0) {
      address += gpr(i.index) << i.scale;
    }
    return address;
  }

  @Override
  long linear(Instruction i, int size) {
    return offset(i);
  }

  @Override
  long linear(int segment, long offset, int size, boolean write) {
    return offset;
  }

  @Override
  long nextRip(Instruction i) {
    return i.length;
  }

  @Override
  boolean usesDescriptors() {
    return true;
  }

  @Override
  int load8(long linear) {
    return bytes.get(at(linear, 1)) & 0xff;
  }

  @Override
  int load16(long linear) {
    return bytes.getShort(at(linear, 2)) & 0xffff;
  }

  @Override
  int load32(long linear) {
    return bytes.getInt(at(linear, 4));
  }

  @Override
  long load64(long linear) {
    return bytes.getLong(at(linear, 8));
  }

  @Override
  void store8(long linear, int value) {
    bytes.put(at(linear, 1), (byte) value);
  }

  @Override
  void store16(long linear, int value) {
    bytes.putShort(at(linear, 2), (short) value);
  }

  @Override
  void store32(long linear, int value) {
    bytes.putInt(at(linear, 4), value);
  }

  @Override
  void store64(long linear, long value) {
    bytes.putLong(at(linear, 8), value);
  }

  @Override
  void probeStore(long linear, int size) {
    at(linear, size);
  }

  @Override
  void requireSse() {}

  @Override
  void requireAvx() {}

  @Override
  void requireX87() {}

  @Override
  void requireX87Quietly() {}

  @Override
  void requireMmx() {}

  @Override
  boolean simdExceptionsEnabled() {
    return simdExceptions;
  }

  @Override
  boolean nativeX87Errors() {
    return true;
  }
}
