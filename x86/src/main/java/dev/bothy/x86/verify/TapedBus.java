package dev.bothy.x86.verify;

import dev.bothy.core.AddressSpace;
import dev.bothy.core.BusDevice;

/** All of an address space as one engine sees it through its tape. */
final class TapedBus implements BusDevice {
  private final AddressSpace real;
  private final Tape tape;
  private final Journal.Kind read;
  private final Journal.Kind write;

  private TapedBus(AddressSpace real, Tape tape, Journal.Kind read, Journal.Kind write) {
    this.real = real;
    this.tape = tape;
    this.read = read;
    this.write = write;
  }

  static AddressSpace ports(AddressSpace real, Tape tape) {
    return space(real, tape, Journal.Kind.PORT_READ, Journal.Kind.PORT_WRITE);
  }

  static AddressSpace mmio(AddressSpace real, Tape tape) {
    return space(real, tape, Journal.Kind.MMIO_READ, Journal.Kind.MMIO_WRITE);
  }

  private static AddressSpace space(
      AddressSpace real, Tape tape, Journal.Kind read, Journal.Kind write) {
    AddressSpace space = new AddressSpace(real.name());
    space.map("verify", 0, Long.MAX_VALUE, new TapedBus(real, tape, read, write));
    return space;
  }

  @Override
  public long read(long address, int size) {
    Journal.Entry entry = tape.turn(read, address, size, 0);
    if (tape.asks()) {
      tape.enterDevice();
      try {
        entry.answer = real.read(address, size);
      } finally {
        tape.leaveDevice();
      }
    }
    return entry.answer;
  }

  @Override
  public void write(long address, int size, long value) {
    tape.turn(write, address, size, value);
    if (tape.asks()) {
      tape.enterDevice();
      try {
        real.write(address, size, value);
      } finally {
        tape.leaveDevice();
      }
    }
  }
}
