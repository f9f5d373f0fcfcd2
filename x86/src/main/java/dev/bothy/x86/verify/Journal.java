package dev.bothy.x86.verify;

import java.util.ArrayList;

/**
 * What a processor asked of the world outside it during one stretch, in order, and what it was
 * told. Written by the {@link Tape} of one engine, read by those of both. Owned by the vCPU's
 * thread.
 */
final class Journal {
  /** What was asked. */
  enum Kind {
    PORT_READ("read of port"),
    PORT_WRITE("write to port"),
    MMIO_READ("MMIO read at"),
    MMIO_WRITE("MMIO write at"),
    APIC_READ("read of APIC register"),
    APIC_WRITE("write to APIC register"),
    ACKNOWLEDGE("interrupt"),
    APIC_BASE("read of APIC base"),
    SET_APIC_BASE("write to APIC base"),
    TASK_PRIORITY("read of CR8"),
    SET_TASK_PRIORITY("write to CR8"),
    OWNS_MSR("question for APIC MSR"),
    READ_MSR("read of APIC MSR"),
    WRITE_MSR("write to APIC MSR"),
    SEND_COMMAND("command of the APIC"),
    TSC_OFFSET("change of the TSC's offset"),
    APIC_INIT("INIT of the APIC"),
    NANOS("look at the clock"),
    WALL_NANOS("look at the wall clock"),
    DEVICE_WRITE("device's write to RAM at");

    final String text;

    Kind(String text) {
      this.text = text;
    }
  }

  /** One question and its answer; reused from stretch to stretch. */
  static final class Entry {
    Kind kind;
    long address;
    int size;

    /** What was written. */
    long operand;

    long answer;

    /** The answer was a refusal (#GP). */
    boolean refused;

    /** What a device wrote. */
    byte[] data;

    boolean matches(Kind otherKind, long otherAddress, int otherSize, long otherOperand) {
      return kind == otherKind
          && address == otherAddress
          && size == otherSize
          && operand == otherOperand;
    }

    @Override
    public String toString() {
      return describe(kind, address, size, operand);
    }
  }

  private final ArrayList<Entry> entries = new ArrayList<>();
  private int size;

  static String describe(Kind kind, long address, int size, long operand) {
    StringBuilder out = new StringBuilder(kind.text);
    switch (kind) {
      case PORT_READ, MMIO_READ, APIC_READ, OWNS_MSR, READ_MSR ->
          out.append(" 0x").append(Long.toHexString(address));
      case PORT_WRITE, MMIO_WRITE, APIC_WRITE, WRITE_MSR ->
          out.append(" 0x%x, value 0x%x".formatted(address, operand));
      case SET_APIC_BASE, SET_TASK_PRIORITY, TSC_OFFSET ->
          out.append(", value 0x").append(Long.toHexString(operand));
      default -> {}
    }
    if (size != 0) {
      out.append(", ").append(size).append(size == 1 ? " byte" : " bytes");
    }
    return out.toString();
  }

  int size() {
    return size;
  }

  Entry get(int index) {
    return entries.get(index);
  }

  void clear() {
    if (size > KEPT) {
      entries.clear();
    }
    size = 0;
  }

  /** Entries kept for the next stretch. */
  private static final int KEPT = 4096;

  Entry add(Kind kind, long address, int bytes, long operand) {
    if (size == entries.size()) {
      entries.add(new Entry());
    }
    Entry entry = entries.get(size++);
    entry.kind = kind;
    entry.address = address;
    entry.size = bytes;
    entry.operand = operand;
    entry.answer = 0;
    entry.refused = false;
    entry.data = null;
    return entry;
  }
}
