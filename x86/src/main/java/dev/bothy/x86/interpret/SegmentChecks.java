package dev.bothy.x86.interpret;

import dev.bothy.core.cpu.CpuState;

/**
 * What a selector must lead to before CS, SS or another segment register takes it: AMD64 APM volume
 * 2, sections 4.7 and 4.10. Selectors are not null. What is wrong with one is a {@code vector},
 * which is #GP but for a task's segments, and has {@code ext} in its error code.
 */
final class SegmentChecks {
  private SegmentChecks() {}

  /** Linear address of a descriptor. */
  static long address(SegmentingCpu cpu, int selector, int vector, int ext) {
    try {
      return cpu.descriptorAddress(selector, 8, vector);
    } catch (GuestFault f) {
      f.errorCode |= ext;
      throw f;
    }
  }

  /** A descriptor of any kind. */
  static long read(SegmentingCpu cpu, int selector, int vector, int ext) {
    return cpu.loadSystem(address(cpu, selector, vector, ext), 8);
  }

  /** A code segment that runs with the selector's RPL. */
  static long code(SegmentingCpu cpu, int selector, int vector, int ext) {
    long descriptor = read(cpu, selector, vector, ext);
    int attributes = Descriptor.attributes(descriptor);
    int rpl = selector & 3;
    int dpl = Descriptor.dpl(attributes);
    boolean conforming = (attributes & Descriptor.CONFORMING) != 0;
    if (!Descriptor.isCode(attributes) || (conforming ? dpl > rpl : dpl != rpl)) {
      throw wrong(cpu, selector, vector, ext);
    }
    requireOneSize(cpu, selector, attributes);
    requirePresent(cpu, selector, attributes, GuestFault.NP, ext);
    return descriptor;
  }

  /** In long mode, code of 64 bits is nothing else. */
  static void requireOneSize(SegmentingCpu cpu, int selector, int attributes) {
    int both = Descriptor.LONG | Descriptor.BIG;
    if (cpu.longMode && (attributes & both) == both) {
      throw wrong(cpu, selector, GuestFault.GP, 0);
    }
  }

  /** A stack of level {@code cpl}. */
  static long stack(SegmentingCpu cpu, int selector, int cpl, int vector, int ext) {
    long descriptor = read(cpu, selector, vector, ext);
    int attributes = Descriptor.attributes(descriptor);
    int kind = Descriptor.CODE_DATA | Descriptor.CODE | Descriptor.WRITABLE;
    if ((selector & 3) != cpl
        || Descriptor.dpl(attributes) != cpl
        || (attributes & kind) != (Descriptor.CODE_DATA | Descriptor.WRITABLE)) {
      throw wrong(cpu, selector, vector, ext);
    }
    requirePresent(cpu, selector, attributes, GuestFault.SS, ext);
    return descriptor;
  }

  /** Something to be read at the present level: data, or code that says so. */
  private static long data(SegmentingCpu cpu, int selector, int vector, int ext) {
    long descriptor = read(cpu, selector, vector, ext);
    int attributes = Descriptor.attributes(descriptor);
    int dpl = Descriptor.dpl(attributes);
    boolean code = (attributes & Descriptor.CODE) != 0;
    boolean conforming = code && (attributes & Descriptor.CONFORMING) != 0;
    if ((attributes & Descriptor.CODE_DATA) == 0
        || code && (attributes & Descriptor.WRITABLE) == 0
        || !conforming && ((selector & 3) > dpl || cpu.cpl > dpl)) {
      throw wrong(cpu, selector, vector, ext);
    }
    requirePresent(cpu, selector, attributes, GuestFault.NP, ext);
    return descriptor;
  }

  /** What ES, SS, DS, FS or GS may have at the present level. */
  static long stackOrData(SegmentingCpu cpu, int segment, int selector, int vector, int ext) {
    return segment == CpuState.SS
        ? stack(cpu, selector, cpu.cpl, vector, ext)
        : data(cpu, selector, vector, ext);
  }

  private static void requirePresent(
      SegmentingCpu cpu, int selector, int attributes, int vector, int ext) {
    if ((attributes & Descriptor.PRESENT) == 0) {
      throw wrong(cpu, selector, vector, ext);
    }
  }

  private static GuestFault wrong(SegmentingCpu cpu, int selector, int vector, int ext) {
    return cpu.raise(vector, selector & 0xfffc | ext);
  }
}
