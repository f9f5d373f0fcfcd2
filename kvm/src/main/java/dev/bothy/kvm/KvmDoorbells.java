package dev.bothy.kvm;

import static dev.bothy.kvm.KvmHeader.*;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import dev.bothy.core.AddressSpace;
import dev.bothy.core.AddressSpace.PlacedDoorbell;
import dev.bothy.core.Doorbell;
import dev.bothy.host.EventCounters;
import dev.bothy.host.Uninterrupted;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.function.Consumer;

/**
 * Doorbells that the kernel hears (KVM_IOEVENTFD): a vCPU's write adds to a counter, without an
 * exit, and one thread rings for it. A doorbell is heard from its first write on, which is an exit
 * still: so what nobody uses costs nothing, and ranges that are moved about before they are used,
 * as kernels do while they look for devices, cost nothing either (to hear one no longer takes the
 * kernel milliseconds). What kernel or host have no room for stays an exit. Thread-safe.
 */
final class KvmDoorbells implements AutoCloseable {
  /** Descriptors that a machine's doorbells take at most. */
  static final int MOST = 64;

  private static final long NOWHERE = -1;

  /** A doorbell with a counter of its own, which it keeps wherever it goes. */
  private static final class Bell {
    final int counter;

    /** Where it was last. */
    volatile PlacedDoorbell place;

    /** The address that the kernel listens at. */
    long heardAt = NOWHERE;

    Bell(int counter) {
      this.counter = counter;
    }
  }

  private final KvmDevice device;
  private final int machine;
  private final AddressSpace mmio;
  private final boolean anyLength;
  private final Consumer<List<PlacedDoorbell>> watcher = this::follow;

  /** Those by address whose first write is to come. */
  private final Map<Long, PlacedDoorbell> unheard = new ConcurrentHashMap<>();

  // Guarded by this. Nobody who has this lock waits for the other one.
  private final Map<Doorbell, Bell> bells = new HashMap<>();
  private EventCounters counters;
  private int stop;
  private Thread listener;
  private long refused;

  private final Map<Integer, Bell> byCounter = new ConcurrentHashMap<>();

  /** Held while bells ring. */
  private final Object ringing = new Object();

  private volatile long rings;
  private volatile boolean closed;

  /**
   * Follows the doorbells of {@code mmio} from now on.
   *
   * @param machine the kernel's, which has KVM_CAP_IOEVENTFD
   */
  KvmDoorbells(KvmDevice device, int machine, AddressSpace mmio) {
    this.device = device;
    this.machine = machine;
    this.mmio = mmio;
    anyLength = device.extension(KVM_CAP_IOEVENTFD_ANY_LENGTH) != 0;
    mmio.watchDoorbells(watcher);
  }

  private synchronized void follow(List<PlacedDoorbell> shown) {
    Map<Doorbell, PlacedDoorbell> places = new HashMap<>();
    unheard.clear();
    for (PlacedDoorbell placed : shown) {
      places.put(placed.doorbell(), placed);
      unheard.put(placed.address(), placed);
    }
    bells.forEach(
        (doorbell, bell) -> {
          PlacedDoorbell now = places.get(doorbell);
          if (now != null && now.address() == bell.heardAt) {
            bell.place = now;
            unheard.remove(bell.heardAt);
          } else if (bell.heardAt != NOWHERE) {
            request(bell, doorbell.size(), bell.heardAt, KVM_IOEVENTFD_FLAG_DEASSIGN);
            bell.heardAt = NOWHERE;
          }
        });
  }

  /** A write to {@code address} has been an exit: the next one need not be, perhaps. */
  void written(long address) {
    if (unheard.containsKey(address)) {
      hear(address);
    }
  }

  private synchronized void hear(long address) {
    PlacedDoorbell placed = unheard.remove(address);
    if (placed == null || closed) {
      return;
    }
    Bell bell = bells.get(placed.doorbell());
    if (bell == null) {
      bell = make(placed.doorbell());
    }
    if (bell == null || bell.heardAt != NOWHERE) {
      refused++;
      return;
    }
    bell.place = placed;
    if (request(bell, placed.doorbell().size(), address, 0) < 0) {
      refused++;
    } else {
      bell.heardAt = address;
    }
  }

  private int request(Bell bell, int size, long address, int flags) {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment request = arena.allocate(KvmIoeventfd.SIZE, 8);
      request.set(JAVA_LONG, KvmIoeventfd.ADDR, address);
      request.set(JAVA_INT, KvmIoeventfd.LEN, anyLength ? 0 : size);
      request.set(JAVA_INT, KvmIoeventfd.FD, bell.counter);
      request.set(JAVA_INT, KvmIoeventfd.FLAGS, flags);
      return device.ask(machine, KVM_IOEVENTFD, request.address());
    }
  }

  /** Gives a doorbell its counter; null if there is none for it. */
  private Bell make(Doorbell doorbell) {
    if (bells.size() == MOST) {
      return null;
    }
    try {
      if (counters == null) {
        begin();
      }
      Bell bell = new Bell(counters.add());
      bells.put(doorbell, bell);
      byCounter.put(bell.counter, bell);
      return bell;
    } catch (IOException e) {
      return null;
    }
  }

  /** Has them listened to. */
  private void begin() throws IOException {
    EventCounters made = new EventCounters();
    boolean begun = false;
    try {
      stop = made.add();
      listener = Thread.ofPlatform().daemon().name("bothy-doorbells").start(() -> listen(made));
      counters = made;
      begun = true;
    } finally {
      if (!begun) {
        made.close();
      }
    }
  }

  private void listen(EventCounters from) {
    int[] ready = new int[MOST + 1];
    while (!closed) {
      int count = from.await(ready);
      synchronized (ringing) {
        for (int i = 0; i < count; i++) {
          Bell bell = byCounter.get(ready[i]);
          if (bell != null) {
            ring(from, bell);
          }
        }
      }
    }
  }

  /** Rings if the guest has since the last time. */
  private void ring(EventCounters from, Bell bell) {
    long times = from.take(bell.counter);
    if (times == 0) {
      return;
    }
    rings += times;
    try {
      bell.place.ring(times);
    } catch (Throwable e) {
      // The device has failed; the others are not to.
      Thread self = Thread.currentThread();
      self.getUncaughtExceptionHandler().uncaughtException(self, e);
    }
  }

  /** No vCPU runs: all that has been rung has come to the devices when this returns. */
  void ringAll() {
    EventCounters from;
    synchronized (this) {
      from = counters;
    }
    synchronized (ringing) {
      if (from != null && !closed) {
        byCounter.values().forEach(bell -> ring(from, bell));
      }
    }
  }

  /** For statistics: writes that were no exits, and doorbells that there was no room for. */
  synchronized void count(Map<String, Long> counted) {
    counted.put("doorbells", rings);
    if (refused > 0) {
      counted.put("doorbellsRefused", refused);
    }
  }

  /** Nothing rings any more when this returns. */
  @Override
  public void close() {
    mmio.forget(watcher);
    // Somebody may still want all to ring: not by descriptors that are others' by then.
    synchronized (ringing) {
      closed = true;
    }
    synchronized (this) {
      if (counters != null) {
        counters.increase(stop);
        Uninterrupted.join(listener);
        counters.close();
      }
    }
  }
}
