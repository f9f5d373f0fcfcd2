package dev.bothy.device.virtio;

import dev.bothy.core.GuestMemory;
import dev.bothy.core.state.StateException;
import dev.bothy.core.state.StateReader;
import dev.bothy.core.state.StateWriter;
import dev.bothy.core.state.Stateful;
import dev.bothy.host.Uninterrupted;
import java.util.concurrent.Executor;
import java.util.function.Consumer;

/**
 * What all virtio devices have in common, whatever they are connected by: status, features,
 * configuration space, queues and who works on them (Virtual I/O Device (VIRTIO) 1.2, sections 2.1
 * to 2.5 and 3.1). No legacy interface.
 *
 * <p>A queue is served by one thread at a time, or by as many as the device wants, which the {@link
 * Executor} given to the constructor provides when the driver notifies; an executor that runs its
 * task at once serves queues on the vCPU's own thread. The driver may reset the device at any
 * moment: the status stays as it was until nobody works on a queue any more, and is 0 then. A ring
 * that is malformed stops the device with DEVICE_NEEDS_RESET until that is done.
 *
 * <p>A new device is suspended.
 */
public abstract class VirtioDevice implements Stateful, AutoCloseable {
  // Feature bits of every device (6).
  static final long F_INDIRECT_DESC = 1L << 28;
  static final long F_EVENT_IDX = 1L << 29;
  static final long F_VERSION_1 = 1L << 32;
  static final long F_RING_PACKED = 1L << 34;

  /** What a device offers besides its own features: all but packed rings. */
  protected static final long SPLIT_RINGS = F_INDIRECT_DESC | F_EVENT_IDX | F_VERSION_1;

  /** The same with packed rings, which drivers take if they can. */
  protected static final long PACKED_RINGS = SPLIT_RINGS | F_RING_PACKED;

  // Device status (2.1).
  static final int DRIVER_OK = 4;
  static final int FEATURES_OK = 8;
  static final int NEEDS_RESET = 64;

  /** Requests after which others get a turn on the processor that virtual threads share. */
  static final int TURN = 256;

  /** Answers that the driver may have to wait for while there are more requests. */
  static final int BATCH = 16;

  /** Serves queues on the thread that notifies, a vCPU's. */
  static final Executor AT_ONCE = Runnable::run;

  /** What connects a device to the guest. Called without locks, on any thread. */
  interface Transport {
    /** For a device that is connected by nothing. */
    Transport NONE =
        new Transport() {
          @Override
          public void queueInterrupt(int index) {}

          @Override
          public void configInterrupt() {}

          @Override
          public void reset(VirtioDevice device) {}
        };

    /** Answers are in the queue. */
    void queueInterrupt(int index);

    /** Configuration space, or the status, has changed. */
    void configInterrupt();

    /** The device is being reset: registers go back to their first values. */
    void reset(VirtioDevice device);
  }

  private final String name;
  private final int id;
  private final long offered;
  private final boolean servedElsewhere;
  private final GuestMemory memory;
  private final Virtqueue[] queues;
  private final QueueRunner[] runners;
  private final WorkGate gate = new WorkGate(this::nobodyWorks, this::running);
  private volatile Transport transport = Transport.NONE;

  // Guarded by this.
  private long accepted;
  private boolean resetting;
  private boolean clearing;
  private int resets;
  private boolean suspended = true;
  private int generation;

  /** Configuration space has changed, and the driver has not been told. */
  private boolean configUntold;

  private volatile int status;

  /**
   * @param name unique within a machine
   * @param id device number (5)
   * @param offered features
   * @param queues how many
   * @param queueSize the largest size of each, a power of two
   * @param executor runs what serves a queue; one task a queue at a time
   */
  VirtioDevice(
      String name,
      int id,
      long offered,
      int queues,
      int queueSize,
      GuestMemory memory,
      Executor executor) {
    this(name, id, offered, queues, queueSize, memory, executor, 1);
  }

  /**
   * @param name unique within a machine
   * @param id device number (5)
   * @param offered features
   * @param queues how many
   * @param queueSize the largest size of each, a power of two
   * @param executor runs what serves a queue: at most {@code atOnce} tasks a queue at a time that
   *     wait for requests to be done, and short ones
   * @param atOnce requests of a queue that are worked on at once; if more than 1, {@link #handle}
   *     is called by several threads, which may put requests back by {@link Virtqueue#putBack}
   *     alone, and {@link #serve} is not called
   */
  VirtioDevice(
      String name,
      int id,
      long offered,
      int queues,
      int queueSize,
      GuestMemory memory,
      Executor executor,
      int atOnce) {
    this.name = name;
    this.id = id;
    this.offered = offered;
    servedElsewhere = executor != AT_ONCE;
    this.memory = memory;
    gate.hold();
    this.queues = new Virtqueue[queues];
    this.runners = new QueueRunner[queues];
    for (int i = 0; i < queues; i++) {
      this.queues[i] = new Virtqueue(i, queueSize);
      this.runners[i] =
          atOnce == 1
              ? new SerialRunner(this, this.queues[i], executor)
              : new ParallelRunner(this, this.queues[i], executor, atOnce);
    }
  }

  // What a device is.

  /** Bytes of configuration space. */
  protected abstract int configSize();

  /** The byte at {@code at}, which is below {@link #configSize}. */
  protected abstract int readConfig(int at);

  /** The driver writes a byte of configuration space. */
  protected void writeConfig(int at, int value) {}

  /**
   * Works on a request: completes it and returns true, or puts it back and returns false because it
   * cannot be done now; {@link #kick} makes it come again.
   *
   * @throws VirtqueueException if the request has not the form that the device's section demands
   */
  protected abstract boolean handle(Virtqueue queue, DescriptorChain chain)
      throws VirtqueueException;

  /**
   * The driver is about to be ready: nothing has been served yet, and {@link #running} is false.
   * Called without locks.
   */
  protected void started(long features) {}

  /** Back to the state after power-on; nobody works on a queue. */
  protected void resetDevice() {}

  /** The machine is reset, not only the device by its driver; {@link #resetDevice} is over. */
  protected void machineReset() {}

  /** Saves what the device has besides queues and features. */
  protected void saveDevice(StateWriter out) {}

  /** Loads what {@link #saveDevice} wrote. */
  protected void loadDevice(StateReader in) throws StateException {}

  // What a device uses.

  protected final Virtqueue queue(int index) {
    return queues[index];
  }

  /** True if the driver has accepted all of {@code features}. */
  protected final boolean has(long features) {
    synchronized (this) {
      return (accepted & features) == features;
    }
  }

  /** True from when the driver is ready until a reset, or until it made a mistake. */
  protected final boolean running() {
    return (status & (DRIVER_OK | NEEDS_RESET)) == DRIVER_OK;
  }

  /** True if work on a queue is to end soon, since the machine pauses or the driver resets. */
  protected final boolean yielding() {
    return gate.held() || !running();
  }

  /** Shows the driver what has been completed. */
  protected final void publish(Virtqueue queue) {
    if (queue.publish()) {
      transport.queueInterrupt(queue.index());
    }
  }

  /** Configuration space has changed. A driver of a paused machine is told when that goes on. */
  protected final void configChanged() {
    synchronized (this) {
      generation = generation + 1 & 0xff;
      configUntold = running();
    }
    tellConfig();
  }

  private void tellConfig() {
    if (!enter()) {
      return;
    }
    try {
      boolean tell;
      synchronized (this) {
        tell = configUntold;
        configUntold = false;
      }
      if (tell) {
        transport.configInterrupt();
      }
    } finally {
      leave();
    }
  }

  /** Has a queue served as if the driver had notified. */
  protected final void kick(Virtqueue queue) {
    if (running()) {
      runners[queue.index()].kick();
    }
  }

  /**
   * For work that does not begin with a notification: true if it may begin, and then must end with
   * {@link #leave}; false if the driver is not ready or the machine stands.
   */
  protected final boolean enter() {
    return gate.enter();
  }

  protected final void leave() {
    gate.leave();
  }

  /** Work on the requests of a queue. */
  interface Work {
    void run() throws VirtqueueException;
  }

  /**
   * Works on requests after {@link #enter}, and leaves. What goes wrong fails the device before
   * that, so that a reset which waits for it comes later: a mistake of the driver; or one of the
   * host, or out of threads or memory, of which {@code broken} is told first and then the caller.
   */
  final void workAndLeave(Work work, Runnable broken) {
    boolean returned = false;
    try {
      work.run();
      returned = true;
    } catch (VirtqueueException e) {
      returned = true;
      fail();
    } finally {
      if (!returned) {
        broken.run();
        fail();
      }
      leave();
    }
  }

  /** The driver has made a mistake: nothing happens until it resets the device (2.1.2). */
  protected final void fail() {
    boolean tell;
    synchronized (this) {
      tell = (status & DRIVER_OK) != 0 && (status & NEEDS_RESET) == 0;
      status |= NEEDS_RESET;
    }
    if (tell) {
      transport.configInterrupt();
    }
  }

  /**
   * Works on everything in the queue, without notifications meanwhile. Devices whose queue holds
   * buffers for later replace it.
   */
  protected void serve(Virtqueue queue) throws VirtqueueException {
    do {
      queue.wantNotifications(false);
      int unpublished = 0;
      int done = 0;
      while (!yielding()) {
        DescriptorChain chain = queue.poll();
        if (chain == null) {
          break;
        }
        if (!handle(queue, chain)) {
          publish(queue);
          return;
        }
        if (++unpublished == BATCH) {
          publish(queue);
          unpublished = 0;
        }
        if (++done % TURN == 0 && Thread.currentThread().isVirtual()) {
          Thread.yield();
        }
      }
      publish(queue);
      queue.wantNotifications(true);
    } while (!yielding() && queue.hasRequest());
  }

  // For the transport.

  final void connect(Transport target) {
    transport = target;
  }

  /** Before the machine starts: {@code lines} gets one about each request. */
  final void trace(Consumer<String> lines) {
    for (Virtqueue queue : queues) {
      queue.trace(text -> lines.accept(name + " queue " + queue.index() + " " + text));
    }
  }

  final GuestMemory memory() {
    return memory;
  }

  final int deviceId() {
    return id;
  }

  final int queueCount() {
    return queues.length;
  }

  final long offeredFeatures() {
    return offered;
  }

  final synchronized long acceptedFeatures() {
    return accepted;
  }

  /** The driver takes features; of no effect once they are settled. */
  final synchronized void acceptFeatures(long features) {
    if ((status & FEATURES_OK) == 0) {
      accepted = features;
    }
  }

  final int status() {
    return status;
  }

  final synchronized int generation() {
    return generation;
  }

  /** The driver writes the status; 0 resets. */
  final void writeStatus(int value) {
    if ((value & 0xff) == 0) {
      requestReset();
      return;
    }
    int next;
    int epoch;
    boolean start;
    synchronized (this) {
      if (resetting) {
        return;
      }
      next = allowed(value);
      epoch = resets;
      start = (next & ~status & DRIVER_OK) != 0;
      if (!start) {
        status = next;
        return;
      }
    }
    started(acceptedFeatures());
    synchronized (this) {
      if (resetting || epoch != resets) {
        return;
      }
      status = next | status & NEEDS_RESET;
    }
    kickAll();
  }

  /** What becomes of the status when the driver writes {@code value}; the lock is held. */
  private int allowed(int value) {
    int next = value & 0xff & ~NEEDS_RESET | status & (NEEDS_RESET | FEATURES_OK);
    boolean acceptable = (accepted & ~offered) == 0 && (accepted & F_VERSION_1) != 0;
    if ((status & FEATURES_OK) == 0 && !acceptable) {
      next &= ~FEATURES_OK;
    }
    return (next & FEATURES_OK) == 0 ? next & ~DRIVER_OK : next;
  }

  /** The driver puts a queue to use. */
  final void enableQueue(int index) {
    try {
      synchronized (this) {
        if ((status & (FEATURES_OK | NEEDS_RESET)) != FEATURES_OK || resetting) {
          return;
        }
        queues[index].enable(memory, accepted);
      }
    } catch (VirtqueueException e) {
      fail();
    }
  }

  /** The driver notifies a queue; harmless for a queue that is not. */
  final void notifyQueue(int index) {
    if (index < queues.length) {
      kick(queues[index]);
    }
  }

  /**
   * True if {@link #notifyQueue} only has others serve the queue. Those that are served {@link
   * #AT_ONCE} need the vCPU to wait: drivers of consoles spin for the answer.
   */
  final boolean servedElsewhere() {
    return servedElsewhere;
  }

  private void kickAll() {
    for (Virtqueue queue : queues) {
      if (queue.enabled()) {
        kick(queue);
      }
    }
  }

  private void requestReset() {
    synchronized (this) {
      if (resetting) {
        return;
      }
      resetting = true;
      gate.hold();
    }
    if (gate.empty()) {
      nobodyWorks();
    }
  }

  /** The last thread has left the held gate. */
  private void nobodyWorks() {
    synchronized (this) {
      if (!resetting || clearing || !gate.empty()) {
        return;
      }
      clearing = true;
    }
    transport.reset(this);
    synchronized (this) {
      clear();
      resets++;
      resetting = false;
      clearing = false;
      gate.release();
      notifyAll();
    }
  }

  private void clear() {
    accepted = 0;
    generation = 0;
    configUntold = false;
    for (Virtqueue queue : queues) {
      queue.reset();
    }
    resetDevice();
    status = 0;
  }

  // For the board.

  /** Back to the state after power-on. Waits for work on requests to end. */
  public final void reset() {
    requestReset();
    settle();
    machineReset();
  }

  /** Waits until nobody works on requests, and a reset that waited for that is complete. */
  private void settle() {
    gate.awaitEmpty();
    nobodyWorks();
    Uninterrupted.awaitWhile(this, () -> resetting);
  }

  /** Lets nobody work on requests, and waits until nobody does; for a machine that is paused. */
  public final void suspend() {
    synchronized (this) {
      if (!suspended) {
        suspended = true;
        gate.hold();
      }
    }
    // Also if another thread has begun it: whoever closes takes the memory away that work uses.
    settle();
  }

  /** Goes on after {@link #suspend}. */
  public final void resume() {
    synchronized (this) {
      if (!suspended) {
        return;
      }
      suspended = false;
      gate.release();
    }
    if (running()) {
      resumed();
      tellConfig();
      kickAll();
    }
  }

  /** The machine goes on, perhaps with a state that was loaded; nothing has been served yet. */
  protected void resumed() {}

  /** Ends all work for good and gives back what the device holds on the host. */
  @Override
  public void close() {
    suspend();
  }

  @Override
  public final String stateName() {
    return name;
  }

  /** 2: with requests that were put back. */
  @Override
  public final int stateVersion() {
    return 2;
  }

  @Override
  public final void save(StateWriter out) {
    synchronized (this) {
      out.putByte(status).putLong(accepted).putByte(generation).putBoolean(configUntold);
      for (Virtqueue queue : queues) {
        queue.save(out);
      }
    }
    saveDevice(out);
  }

  @Override
  public final void load(StateReader in) throws StateException {
    synchronized (this) {
      clear();
      int savedStatus = in.getByte();
      accepted = in.getLong();
      generation = in.getByte();
      configUntold = in.getBoolean();
      if ((savedStatus & FEATURES_OK) != 0 && (accepted & ~offered) != 0) {
        throw in.damaged("features that this device does not offer");
      }
      for (Virtqueue queue : queues) {
        queue.load(in, memory, accepted);
      }
      status = savedStatus;
    }
    loadDevice(in);
  }
}
