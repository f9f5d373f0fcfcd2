package dev.bothy.device.remapping;

import dev.bothy.core.BusDevice;
import dev.bothy.core.GuestMemory;
import dev.bothy.core.MsiSink;
import dev.bothy.core.state.StateException;
import dev.bothy.core.state.StateReader;
import dev.bothy.core.state.StateWriter;
import dev.bothy.core.state.Stateful;
import dev.bothy.device.interrupt.ApicBus;
import dev.bothy.device.interrupt.MessageRemapping;
import dev.bothy.device.pci.Upstream;
import java.util.ArrayList;
import java.util.List;

/**
 * Hardware that remaps the memory accesses and interrupts of PCI bus 0: "Intel Virtualization
 * Technology for Directed I/O", revision 3.1, chapters 3, 5 to 7 and 10. Off after power-on.
 *
 * <p>Legacy mode with 39 and 48 bits; interrupts for xAPIC destinations; queued invalidation. What
 * the guest's tables say is read each time, so invalidations have nothing to do. One fault is
 * recorded at a time. Virtio devices without VIRTIO_F_ACCESS_PLATFORM reach memory past this, as
 * their specification has it.
 */
public final class RemappingUnit implements BusDevice, Upstream, MessageRemapping, Stateful {
  /** Where its registers are in memory. */
  public static final long BASE = 0xfed9_0000L;

  public static final int LENGTH = 0x1000;

  /** Bits of physical addresses, for the table that tells of it. */
  public static final int ADDRESS_BITS = 40;

  /** Bus of the I/O APIC in that table: its requester id is device 0 there. */
  public static final int IO_APIC_BUS = 0xff;

  // Registers.
  private static final int VERSION = 0x00; // R
  private static final int CAPABILITY = 0x08; // R, 64 bits
  private static final int EXTENDED_CAPABILITY = 0x10; // R, 64 bits
  private static final int COMMAND = 0x18; // W
  private static final int STATUS = 0x1c; // R
  private static final int ROOT_TABLE = 0x20; // RW, 64 bits
  private static final int CONTEXT_COMMAND = 0x28; // RW, 64 bits
  private static final int FAULT_STATUS = 0x34; // RW1C
  private static final int FAULT_EVENT = 0x38; // RW: control, data, address, its upper half
  private static final int QUEUE_HEAD = 0x80; // R, 64 bits
  private static final int QUEUE_TAIL = 0x88; // RW, 64 bits
  private static final int QUEUE_ADDRESS = 0x90; // RW, 64 bits
  private static final int COMPLETION_STATUS = 0x9c; // RW1C
  private static final int COMPLETION_EVENT = 0xa0; // RW: as of faults
  private static final int MESSAGE_TABLE = 0xb8; // RW, 64 bits
  private static final int TLB_ADDRESS = 0xf0; // W, 64 bits
  private static final int TLB_COMMAND = 0xf8; // RW, 64 bits
  private static final int FAULT_RECORD = 0x220; // R, but RW1C its last bit; 128 bits

  private static final int VERSION_1_0 = 0x10;

  /**
   * 65536 domains, widths of 39 and 48 bits, 48-bit addresses, the fault record's place, pages of 2
   * MiB and 1 GiB, invalidation of single pages, up to 2^18.
   */
  private static final long CAPABILITIES =
      6
          | (long) DmaTables.WIDTHS << 8
          | 47L << 16
          | (FAULT_RECORD / 16L) << 24
          | 3L << 34
          | 1L << 39
          | 18L << 48;

  /** Coherent, queued invalidation, interrupts, pass-through, the TLB registers' place. */
  private static final long EXTENDED_CAPABILITIES =
      1 | 1 << 1 | 1 << 3 | 1 << 6 | (TLB_ADDRESS / 16) << 8 | 15 << 20;

  // Command and status.
  private static final int TRANSLATION = 1 << 31;
  private static final int SET_ROOT = 1 << 30;
  private static final int QUEUE = 1 << 26;
  private static final int MESSAGES = 1 << 25;
  private static final int SET_MESSAGE_TABLE = 1 << 24;
  private static final int COMPATIBLE = 1 << 23;
  private static final int SWITCHES = TRANSLATION | QUEUE | MESSAGES | COMPATIBLE;
  private static final int LATCHES = SET_ROOT | SET_MESSAGE_TABLE;

  // Fault status.
  private static final int OVERFLOW = 1;
  private static final int PENDING = 1 << 1;
  private static final int QUEUE_ERROR = 1 << 4;

  // Control of an event.
  private static final int MASKED = 1 << 31;
  private static final int EVENT_PENDING = 1 << 30;

  // Descriptors of the queue.
  private static final int CONTEXTS = 1;
  private static final int TLB = 2;
  private static final int ENTRIES = 4;
  private static final int WAIT = 5;
  private static final int WAIT_INTERRUPT = 1 << 4;
  private static final int WAIT_WRITE = 1 << 5;

  private static final long NONE = -1;
  private static final long TABLE_ADDRESS = ~0xfffL;
  private static final long FAULT = 1L << 63;
  private static final long FAULT_READ = 1L << 62;
  private static final int FAULT_REASON_SHIFT = 32;

  private final GuestMemory memory;
  private final ApicBus bus;

  /** The root table that is in force, or {@link #NONE}: accesses pass. */
  private volatile long root = NONE;

  /** What is in force for messages, or null: they pass. */
  private volatile MessageTable messages;

  private int status;
  private long rootTable;
  private long messageTable;
  private long latchedRoot;
  private long latchedMessages;
  private long contextCommand;
  private long tlbCommand;
  private int faultStatus;
  private long faultInformation;
  private long faultSource;
  private int queueHead;
  private int queueTail;
  private long queueAddress;
  private int completionStatus;
  private final Event faultEvent = new Event();
  private final Event completionEvent = new Event();

  /** To be sent, and to be told, without the lock. */
  private final List<Message> unsent = new ArrayList<>();

  private boolean changed;

  /** Registers of an interrupt of its own: control, data, address, and that one's upper half. */
  private final class Event {
    private final int[] registers = new int[4];

    Event() {
      reset();
    }

    void reset() {
      registers[0] = MASKED;
      registers[1] = 0;
      registers[2] = 0;
      registers[3] = 0;
    }

    int get(int index) {
      return registers[index];
    }

    void set(int index, int value) {
      if (index != 0) {
        registers[index] = index == 1 ? value & 0xffff : index == 2 ? value & ~3 : value;
        return;
      }
      registers[0] = value & MASKED | registers[0] & EVENT_PENDING;
      if (registers[0] == EVENT_PENDING) {
        registers[0] = 0;
        happen();
      }
    }

    /** What it was to tell of is over: it does not happen any more. */
    void forget() {
      registers[0] &= ~EVENT_PENDING;
    }

    void happen() {
      if ((registers[0] & MASKED) != 0) {
        registers[0] |= EVENT_PENDING;
      } else {
        long address = (long) registers[3] << 32 | registers[2] & 0xffff_ffffL;
        unsent.add(new Message(address, registers[1]));
      }
    }
  }

  /** Makes the hardware, and leads the messages of {@code bus} through it. */
  public RemappingUnit(GuestMemory memory, ApicBus bus) {
    this.memory = memory;
    this.bus = bus;
    bus.remapBy(this);
  }

  // Requests.

  @Override
  public MsiSink messages(int function) {
    return bus.messagesOf(function);
  }

  @Override
  public long physical(int function, long address, boolean write) {
    long table = root;
    if (table == NONE) {
      return address;
    }
    DmaTables.Result result = DmaTables.translate(memory, table, function, address, write);
    if (result.reason() == 0) {
      return result.physical();
    }
    if (!result.silent()) {
      synchronized (this) {
        fault(result.reason(), function, address & TABLE_ADDRESS, write ? 0 : FAULT_READ);
      }
      tell();
    }
    return BLOCKED;
  }

  @Override
  public Message remap(int requester, Message message, boolean sent) {
    MessageTable table = messages;
    if (table == null) {
      return message;
    }
    MessageTable.Result result = table.remap(memory, requester, message);
    if (result.message() == null && sent && !result.silent()) {
      synchronized (this) {
        int source = requester == IO_APIC ? IO_APIC_BUS << 8 : requester;
        fault(result.reason(), source, (long) result.index() << 48, 0);
      }
      tell();
    }
    return result.message();
  }

  private void fault(int reason, int source, long information, long type) {
    if ((faultSource & FAULT) != 0) {
      faultStatus |= OVERFLOW;
      return;
    }
    faultInformation = information;
    faultSource = FAULT | type | (long) reason << FAULT_REASON_SHIFT | source & 0xffff;
    faultEvent.happen();
  }

  /** Without the lock: what has come of the last calls. */
  private void tell() {
    List<Message> all;
    boolean other;
    synchronized (this) {
      all = List.copyOf(unsent);
      unsent.clear();
      other = changed;
      changed = false;
    }
    // Its own messages are not remapped (7.3).
    all.forEach(message -> bus.send(message.address(), message.data()));
    if (other) {
      bus.remappingChanged();
    }
  }

  // Registers.

  @Override
  public synchronized long read(long offset, int size) {
    int at = (int) offset & ~3;
    long value = word(at) & 0xffff_ffffL;
    if (size == 8) {
      value |= (long) word(at + 4) << 32;
    }
    return value >>> 8 * (offset & 3);
  }

  private int word(int at) {
    return switch (at & ~7) {
      case VERSION -> half(VERSION_1_0, at);
      case CAPABILITY -> half(CAPABILITIES, at);
      case EXTENDED_CAPABILITY -> half(EXTENDED_CAPABILITIES, at);
      case COMMAND -> at == STATUS ? status : 0;
      case ROOT_TABLE -> half(rootTable, at);
      case CONTEXT_COMMAND -> half(contextCommand, at);
      case FAULT_STATUS & ~7 -> at == FAULT_STATUS ? faultStatus() : 0;
      case FAULT_EVENT, FAULT_EVENT + 8 -> faultEvent.get(at - FAULT_EVENT >> 2);
      case QUEUE_HEAD -> half(queueHead, at);
      case QUEUE_TAIL -> half(queueTail, at);
      case QUEUE_ADDRESS -> half(queueAddress, at);
      case COMPLETION_STATUS & ~7 -> at == COMPLETION_STATUS ? completionStatus : 0;
      case COMPLETION_EVENT, COMPLETION_EVENT + 8 ->
          completionEvent.get(at - COMPLETION_EVENT >> 2);
      case MESSAGE_TABLE -> half(messageTable, at);
      case TLB_COMMAND -> half(tlbCommand, at);
      case FAULT_RECORD -> half(faultInformation, at);
      case FAULT_RECORD + 8 -> half(faultSource, at);
      default -> 0;
    };
  }

  private static int half(long value, int at) {
    return (int) ((at & 4) == 0 ? value : value >>> 32);
  }

  private static long withHalf(long value, int at, int half) {
    return (at & 4) == 0
        ? value & ~0xffff_ffffL | half & 0xffff_ffffL
        : value & 0xffff_ffffL | (long) half << 32;
  }

  /** Faults that the guest has looked after interrupt nobody when that is unmasked (10.4.10). */
  private void forgetFaultEvent() {
    if (faultStatus() == 0) {
      faultEvent.forget();
    }
  }

  private int faultStatus() {
    return faultStatus | ((faultSource & FAULT) != 0 ? PENDING : 0);
  }

  @Override
  public void write(long offset, int size, long value) {
    if (size < 4 || (offset & 3) != 0) {
      return;
    }
    synchronized (this) {
      write((int) offset, (int) value);
      if (size == 8) {
        write((int) offset + 4, (int) (value >>> 32));
      }
    }
    tell();
  }

  private void write(int at, int value) {
    switch (at & ~7) {
      case COMMAND -> {
        if (at == COMMAND) {
          command(value);
        }
      }
      case ROOT_TABLE -> rootTable = withHalf(rootTable, at, value);
      case CONTEXT_COMMAND -> contextCommand = done(withHalf(contextCommand, at, value), 61, 59);
      case TLB_COMMAND -> tlbCommand = done(withHalf(tlbCommand, at, value), 60, 57);
      case FAULT_STATUS & ~7 -> {
        if (at == FAULT_STATUS) {
          faultStatus &= ~value;
          forgetFaultEvent();
          serveQueue();
        }
      }
      case FAULT_EVENT, FAULT_EVENT + 8 -> faultEvent.set(at - FAULT_EVENT >> 2, value);
      case QUEUE_TAIL -> {
        if (at == QUEUE_TAIL) {
          queueTail = value & 0x7_fff0;
          serveQueue();
        }
      }
      case QUEUE_ADDRESS -> queueAddress = withHalf(queueAddress, at, value);
      case COMPLETION_STATUS & ~7 -> {
        if (at == COMPLETION_STATUS) {
          completionStatus &= ~value;
          if (completionStatus == 0) {
            completionEvent.forget();
          }
        }
      }
      case COMPLETION_EVENT, COMPLETION_EVENT + 8 ->
          completionEvent.set(at - COMPLETION_EVENT >> 2, value);
      case MESSAGE_TABLE -> messageTable = withHalf(messageTable, at, value);
      case FAULT_RECORD + 8 -> {
        if ((at & 4) != 0 && value < 0) {
          faultSource &= ~FAULT;
          forgetFaultEvent();
        }
      }
      default -> {
        // Read-only, or there is nothing; addresses of invalidations do not matter.
      }
    }
  }

  /**
   * An invalidation by registers is over at once: its trigger goes, and what was asked for is what
   * was done.
   */
  private long done(long command, int wantedAt, int doneAt) {
    if (command >= 0) {
      return command;
    }
    changed = true;
    long wanted = command >>> wantedAt & 3;
    return command & ~FAULT & ~(3L << doneAt) | wanted << doneAt;
  }

  private void command(int value) {
    if ((value & SET_ROOT) != 0) {
      latchedRoot = rootTable;
    }
    if ((value & SET_MESSAGE_TABLE) != 0) {
      latchedMessages = messageTable;
    }
    if (((value ^ status) & QUEUE) != 0) {
      queueHead = 0;
    }
    status = status & LATCHES | value & (SWITCHES | LATCHES);
    apply();
    changed = true;
    serveQueue();
  }

  private void apply() {
    root = (status & TRANSLATION) != 0 ? latchedRoot & TABLE_ADDRESS : NONE;
    int entries = 2 << (latchedMessages & 15);
    messages =
        (status & MESSAGES) != 0
            ? new MessageTable(latchedMessages & TABLE_ADDRESS, entries, (status & COMPATIBLE) != 0)
            : null;
  }

  // Queued invalidation (6.5.2).

  private void serveQueue() {
    int end = 256 * 16 << (queueAddress & 7);
    while ((status & QUEUE) != 0 && (faultStatus & QUEUE_ERROR) == 0 && queueHead != queueTail) {
      long at = (queueAddress & TABLE_ADDRESS) + queueHead;
      // The head, too, if the guest has made the queue shorter than what was served of it.
      if (queueHead >= end
          || queueTail >= end
          || !serve(memory.readLong(at), memory.readLong(at + 8))) {
        faultStatus |= QUEUE_ERROR;
        faultEvent.happen();
        return;
      }
      queueHead = queueHead + 16 == end ? 0 : queueHead + 16;
    }
  }

  /** Does what a descriptor asks for; false if it is none. */
  private boolean serve(long low, long high) {
    switch ((int) low & 15 | (int) (low >>> 5) & 0x70) {
      case CONTEXTS, TLB -> {
        return true;
      }
      case ENTRIES -> {
        changed = true;
        return true;
      }
      case WAIT -> {
        if ((low & WAIT_WRITE) != 0) {
          memory.writeInt(high & ~3L, (int) (low >>> 32));
        }
        if ((low & WAIT_INTERRUPT) != 0 && completionStatus == 0) {
          completionStatus = 1;
          completionEvent.happen();
        }
        return true;
      }
      default -> {
        return false;
      }
    }
  }

  // State.

  public void reset() {
    synchronized (this) {
      status = 0;
      rootTable = 0;
      messageTable = 0;
      latchedRoot = 0;
      latchedMessages = 0;
      contextCommand = 0;
      tlbCommand = 0;
      faultStatus = 0;
      faultInformation = 0;
      faultSource = 0;
      queueHead = 0;
      queueTail = 0;
      queueAddress = 0;
      completionStatus = 0;
      faultEvent.reset();
      completionEvent.reset();
      unsent.clear();
      apply();
      changed = true;
    }
    tell();
  }

  @Override
  public String stateName() {
    return "remapping";
  }

  @Override
  public synchronized void save(StateWriter out) {
    out.putInt(status).putLong(rootTable).putLong(messageTable);
    out.putLong(latchedRoot).putLong(latchedMessages);
    out.putLong(contextCommand).putLong(tlbCommand);
    out.putInt(faultStatus).putLong(faultInformation).putLong(faultSource);
    out.putInt(queueHead).putInt(queueTail).putLong(queueAddress).putInt(completionStatus);
    for (int i = 0; i < 4; i++) {
      out.putInt(faultEvent.registers[i]).putInt(completionEvent.registers[i]);
    }
  }

  @Override
  public synchronized void load(StateReader in) throws StateException {
    status = in.getInt() & (SWITCHES | LATCHES);
    rootTable = in.getLong();
    messageTable = in.getLong();
    latchedRoot = in.getLong();
    latchedMessages = in.getLong();
    contextCommand = in.getLong();
    tlbCommand = in.getLong();
    faultStatus = in.getInt() & (OVERFLOW | QUEUE_ERROR);
    faultInformation = in.getLong();
    faultSource = in.getLong();
    queueHead = in.getInt() & 0x7_fff0;
    queueTail = in.getInt() & 0x7_fff0;
    queueAddress = in.getLong();
    completionStatus = in.getInt() & 1;
    for (int i = 0; i < 4; i++) {
      faultEvent.registers[i] = in.getInt();
      completionEvent.registers[i] = in.getInt();
    }
    apply();
    // I/O APICs tell of their pins when they are loaded, behind this.
  }
}
