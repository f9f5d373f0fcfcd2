package dev.bothy.x86.interpret;

import static dev.bothy.host.RawMemory.getByte;
import static dev.bothy.host.RawMemory.getInt;
import static dev.bothy.host.RawMemory.getLong;
import static dev.bothy.host.RawMemory.getShort;
import static dev.bothy.host.RawMemory.putByte;
import static dev.bothy.host.RawMemory.putInt;
import static dev.bothy.host.RawMemory.putLong;
import static dev.bothy.host.RawMemory.putShort;

import dev.bothy.core.cpu.CpuState;
import dev.bothy.host.HostMemory;
import dev.bothy.x86.decode.Instruction;

/**
 * A processor in 64-bit mode without paging: a page of memory at a fixed linear address and #PF
 * elsewhere.
 */
final class FlatCpu extends Cpu implements AutoCloseable {
  static final long CODE = 0x1000_0000L;
  static final long PAGE = 0x2000_0000L;
  private static final int PAGE_SIZE = 4096;

  private final CpuState cpuState;
  private final HostMemory memory;
  private int flags;
  private boolean usesDescriptors = true;

  FlatCpu() {
    this(new CpuState(0));
  }

  private FlatCpu(CpuState cpuState) {
    super(cpuState.address());
    this.cpuState = cpuState;
    memory = HostMemory.allocate(PAGE_SIZE);
    cpuState.setInt32(CpuState.segment(CpuState.CS, CpuState.SEGMENT_SELECTOR), 0x33);
    cpuState.set(CpuState.CR0, 0x8000_0031L);
  }

  CpuState cpuState() {
    return cpuState;
  }

  /** Real mode as far as selectors go. */
  void setUsesDescriptors(boolean value) {
    usesDescriptors = value;
  }

  long host(long linear, int size) {
    if (linear < PAGE || linear > PAGE + PAGE_SIZE - size) {
      throw raise(GuestFault.PF);
    }
    return memory.address() + (linear - PAGE);
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
  long linear(Instruction i, int size) {
    return offset(i);
  }

  @Override
  long linear(int segment, long offset, int size, boolean write) {
    return offset;
  }

  @Override
  long offset(Instruction i) {
    long base = i.base < 0 ? 0 : gpr(i.base);
    return base + (i.index < 0 ? 0 : gpr(i.index) << i.scale) + i.displacement;
  }

  @Override
  long nextRip(Instruction i) {
    return CODE + i.length;
  }

  @Override
  boolean usesDescriptors() {
    return usesDescriptors;
  }

  @Override
  int load8(long linear) {
    return getByte(host(linear, 1)) & 0xff;
  }

  @Override
  int load16(long linear) {
    return getShort(host(linear, 2)) & 0xffff;
  }

  @Override
  int load32(long linear) {
    return getInt(host(linear, 4));
  }

  @Override
  long load64(long linear) {
    return getLong(host(linear, 8));
  }

  @Override
  void store8(long linear, int value) {
    putByte(host(linear, 1), (byte) value);
  }

  @Override
  void store16(long linear, int value) {
    putShort(host(linear, 2), (short) value);
  }

  @Override
  void store32(long linear, int value) {
    putInt(host(linear, 4), value);
  }

  @Override
  void store64(long linear, long value) {
    putLong(host(linear, 8), value);
  }

  @Override
  void probeStore(long linear, int size) {
    host(linear, size);
  }

  @Override
  void requireSse() {}

  @Override
  void requireAvx() {}

  @Override
  void requireX87() {
    if ((getInt(state + CpuState.X87_STATUS) & 0x80) != 0) {
      throw raise(GuestFault.MF);
    }
  }

  @Override
  void requireX87Quietly() {}

  @Override
  void requireMmx() {
    requireX87();
  }

  @Override
  boolean simdExceptionsEnabled() {
    return true;
  }

  @Override
  boolean nativeX87Errors() {
    return true;
  }

  @Override
  public void close() {
    memory.close();
    cpuState.close();
  }
}
