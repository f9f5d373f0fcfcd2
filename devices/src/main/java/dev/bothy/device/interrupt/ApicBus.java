package dev.bothy.device.interrupt;

import dev.bothy.core.CpuEvents;
import dev.bothy.core.EngineApics;
import dev.bothy.core.MachineClock;
import dev.bothy.core.MsiSink;
import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.atomic.AtomicReferenceArray;

/**
 * Carries interrupt messages between local APICs, I/O APIC and devices with message-signalled
 * interrupts, and the output of the 8259 pair to every LINT0 pin. An engine may {@linkplain #moveTo
 * have the local APICs itself}: messages then go there. Has no state of its own and takes no locks.
 * Any thread.
 */
public final class ApicBus implements MsiSink {
  /** Most processors: xAPIC ids are 8 bits wide and 255 means all. */
  public static final int MAX_PROCESSORS = 255;

  // The lower half of a command register.
  private static final int COMMAND_LEVEL_TRIGGER = 1 << 15;
  private static final int COMMAND_ASSERT = 1 << 14;
  private static final int COMMAND_LOGICAL = 1 << 11;

  // A message.
  private static final long MESSAGES = 0xfee0_0000L;
  private static final int MESSAGE_LOGICAL = 1 << 2;
  private static final int MESSAGE_REDIRECTABLE = 1 << 3;
  private static final int MESSAGE_LEVEL = 1 << 15;
  private static final int MESSAGE_ASSERT = 1 << 14;

  private static final CpuEvents NOBODY =
      new CpuEvents() {
        @Override
        public void interruptChanged() {}

        @Override
        public void nmi() {}

        @Override
        public void init() {}

        @Override
        public void startup(int page) {}
      };

  private final LocalApic[] apics;
  private final AtomicReferenceArray<CpuEvents> events;
  private final List<IoApic> ioApics = new CopyOnWriteArrayList<>();
  private volatile Pic pic;

  /** What messages become first, if not null. */
  private volatile MessageRemapping remapping;

  /** Has the local APICs, if not null. */
  private volatile EngineApics engine;

  /**
   * Makes local APICs with ids from 0; id 0 is the boot processor's.
   *
   * @param processors 1 to {@link #MAX_PROCESSORS}
   */
  public ApicBus(MachineClock clock, int processors) {
    if (processors < 1 || processors > MAX_PROCESSORS) {
      throw new IllegalArgumentException("number of processors: " + processors);
    }
    events = new AtomicReferenceArray<>(processors);
    apics = new LocalApic[processors];
    for (int i = 0; i < processors; i++) {
      events.set(i, NOBODY);
      apics[i] = new LocalApic(this, clock, i);
    }
  }

  /** Local APIC {@code index}. */
  public LocalApic localApic(int index) {
    return apics[index];
  }

  /** Tells where to signal processor {@code index}; until then its signals go nowhere. */
  public void connect(int index, CpuEvents processor) {
    events.set(index, processor);
  }

  /** Messages go to {@code apics} from now on, which an engine has itself. */
  public void moveTo(EngineApics apics) {
    engine = apics;
    ioApics.forEach(IoApic::tellPins);
  }

  /** The local APICs are those of this bus again. */
  public void moveBack() {
    engine = null;
  }

  /** Messages become what {@code hardware} makes of them; before the machine starts. */
  public void remapBy(MessageRemapping hardware) {
    remapping = hardware;
  }

  /** What messages become may have changed. */
  public void remappingChanged() {
    ioApics.forEach(IoApic::tellPins);
  }

  /** True if there is hardware that remaps messages. */
  boolean remaps() {
    return remapping != null;
  }

  /** Where messages of {@code requester} go. */
  public MsiSink messagesOf(int requester) {
    return (address, data) -> {
      MessageRemapping.Message message = remapped(requester, address, data, true);
      if (message != null) {
        send(message.address(), message.data());
      }
    };
  }

  private MessageRemapping.Message remapped(int requester, long address, int data, boolean sent) {
    MessageRemapping.Message message = new MessageRemapping.Message(address, data);
    MessageRemapping hardware = remapping;
    return hardware == null ? message : hardware.remap(requester, message, sent);
  }

  CpuEvents events(int index) {
    return events.get(index);
  }

  void add(IoApic ioApic) {
    ioApics.add(ioApic);
  }

  void connect(Pic pair) {
    pic = pair;
  }

  /** Pulses LINT1 of every local APIC: an NMI, as firmware and kernels set it up. */
  public void pulseNmi() {
    for (LocalApic apic : apics) {
      apic.lint(1, true);
      apic.lint(1, false);
    }
  }

  /** The 8259 pair drives LINT0. */
  void driveLint0(boolean high) {
    for (LocalApic apic : apics) {
      apic.lint(0, high);
    }
  }

  boolean externalPending() {
    Pic pair = pic;
    return pair != null && pair.output();
  }

  int acknowledgeExternal() {
    Pic pair = pic;
    return pair == null ? -1 : pair.acknowledge();
  }

  /** Undoes {@link #acknowledgeExternal}; false if nobody has such a vector in service. */
  boolean giveBackExternal(int vector) {
    Pic pair = pic;
    return pair != null && pair.giveBack(vector);
  }

  /** Message-signalled interrupt (Intel SDM volume 3, 11.11). */
  @Override
  public void send(long address, int data) {
    if (address >>> 20 != 0xfee) {
      return;
    }
    EngineApics elsewhere = engine;
    if (elsewhere != null) {
      elsewhere.send(address, data);
      return;
    }
    deliver(address, data);
  }

  private boolean deliver(long address, int data) {
    int destination = destination(address);
    boolean logical = (address & MESSAGE_LOGICAL) != 0;
    boolean level = (data & MESSAGE_LEVEL) != 0;
    return deliver(
        destination, logical, destination == 0xff, mode(address, data), data & 0xff, level);
  }

  private static int destination(long address) {
    return (int) (address >>> 12) & 0xff;
  }

  private static DeliveryMode mode(long address, int data) {
    DeliveryMode mode = DeliveryMode.ofWord(data);
    boolean redirectable = (address & MESSAGE_REDIRECTABLE) != 0;
    boolean logical = (address & MESSAGE_LOGICAL) != 0;
    return mode == DeliveryMode.FIXED && redirectable && logical
        ? DeliveryMode.LOWEST_PRIORITY
        : mode;
  }

  /** A message of an I/O APIC; false if it reaches nobody, or nobody accepts it. */
  boolean deliverPin(long address, int data) {
    MessageRemapping.Message message = remapped(MessageRemapping.IO_APIC, address, data, true);
    return message != null && deliver(message.address(), message.data());
  }

  /** Delivers to the APICs that {@code destination} names; false if none accepts. */
  boolean deliver(
      int destination,
      boolean logical,
      boolean broadcast,
      DeliveryMode mode,
      int vector,
      boolean level) {
    EngineApics elsewhere = engine;
    if (elsewhere != null) {
      return elsewhere.deliver(
          messageAddress(destination, logical, mode), messageData(mode, vector, level));
    }
    if (mode == DeliveryMode.LOWEST_PRIORITY) {
      LocalApic chosen = lowestPriority(destination, logical, broadcast, vector);
      return chosen != null && chosen.accept(mode, vector, level);
    }
    boolean accepted = false;
    for (LocalApic apic : apics) {
      if (apic.matches(destination, logical, broadcast)) {
        accepted |= apic.accept(mode, vector, level);
      }
    }
    return accepted;
  }

  private static long messageAddress(int destination, boolean logical, DeliveryMode mode) {
    return MESSAGES
        | (long) (destination & 0xff) << 12
        | (logical ? MESSAGE_LOGICAL : 0)
        | (mode == DeliveryMode.LOWEST_PRIORITY ? MESSAGE_REDIRECTABLE : 0);
  }

  private static int messageData(DeliveryMode mode, int vector, boolean level) {
    return vector | mode.word() | (level ? MESSAGE_LEVEL | MESSAGE_ASSERT : 0);
  }

  /**
   * Tells an engine that has the local APICs what a pin of an I/O APIC sends.
   *
   * @param watched the pin is level-triggered, and waits for the end of its interrupt
   */
  void describePin(int pin, boolean watched, long address, int data) {
    EngineApics elsewhere = engine;
    if (elsewhere == null) {
      return;
    }
    MessageRemapping.Message message =
        watched ? remapped(MessageRemapping.IO_APIC, address, data, false) : null;
    if (message == null) {
      elsewhere.forgetPin(pin);
      return;
    }
    DeliveryMode mode = mode(message.address(), message.data());
    boolean logical = (message.address() & MESSAGE_LOGICAL) != 0;
    elsewhere.watchPin(
        pin,
        messageAddress(destination(message.address()), logical, mode),
        messageData(mode, message.data() & 0xff, true));
  }

  /**
   * Carries out a command that {@code sender} has been given.
   *
   * @return false if it would send a vector that there is not
   */
  boolean command(LocalApic sender, int word, int destination) {
    DeliveryMode mode = DeliveryMode.ofWord(word);
    int vector = word & 0xff;
    boolean level = (word & COMMAND_LEVEL_TRIGGER) != 0;
    if (mode == DeliveryMode.INIT && level && (word & COMMAND_ASSERT) == 0) {
      return true; // INIT level de-assert means nothing to these APICs
    }
    if ((mode == DeliveryMode.FIXED || mode == DeliveryMode.LOWEST_PRIORITY) && vector < 16) {
      return false;
    }
    switch (word >>> 18 & 3) {
      case 0 -> {
        boolean broadcast = destination == (sender.isX2Apic() ? -1 : 0xff);
        deliver(destination, (word & COMMAND_LOGICAL) != 0, broadcast, mode, vector, false);
      }
      case 1 -> sender.accept(mode, vector, false);
      case 2 -> deliverToAll(null, mode, vector);
      default -> deliverToAll(sender, mode, vector);
    }
    return true;
  }

  /** Of equals, the vector decides, so that different interrupts go to different processors. */
  private LocalApic lowestPriority(
      int destination, boolean logical, boolean broadcast, int vector) {
    LocalApic best = null;
    int bestPriority = Integer.MAX_VALUE;
    for (int i = 0; i < apics.length; i++) {
      LocalApic apic = apics[(i + vector) % apics.length];
      if (apic.matches(destination, logical, broadcast)) {
        int priority = apic.arbitrationPriority();
        if (priority >= 0 && priority < bestPriority) {
          best = apic;
          bestPriority = priority;
        }
      }
    }
    return best;
  }

  /** Shorthand "all", or "all but" {@code sender}. */
  private void deliverToAll(LocalApic sender, DeliveryMode mode, int vector) {
    for (LocalApic apic : apics) {
      if (apic != sender && apic.matches(0, false, true)) {
        apic.accept(mode, vector, false);
      }
    }
  }

  void endOfInterrupt(int vector) {
    for (IoApic ioApic : ioApics) {
      ioApic.endOfInterrupt(vector);
    }
  }
}
