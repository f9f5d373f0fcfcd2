package dev.bothy.device.virtio;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.bothy.core.GuestMemory;
import dev.bothy.core.state.StateException;
import dev.bothy.core.state.StateReader;
import dev.bothy.core.state.StateWriter;
import dev.bothy.device.virtio.DriverRing.Piece;
import dev.bothy.device.virtio.DriverRing.Used;
import dev.bothy.share.FuseFolder;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayDeque;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.Executor;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.Semaphore;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

@Timeout(600)
class VirtioFsTest {
  private static final Executor THREADS = task -> Thread.ofVirtual().start(task);
  private static final long REQUEST = 0x3000;
  private static final long REPLY = VirtioDriver.DATA;
  private static final int HEADER = 40;
  private static final int HIPRIO = 0;
  private static final int ECHO = 1;
  private static final int SLOW = 2;
  private static final int BREAK = 3;
  private static final long PACKED = -1;
  private static final long SPLIT = ~VirtioDevice.F_RING_PACKED;

  private final GuestMemory memory = new GuestMemory(8 << 20);
  private final TestFolder folder = new TestFolder();
  private VirtioFs device;
  private VirtioDriver driver;

  /** Gives requests back; those that are slow wait for a permit. */
  private static final class TestFolder implements FuseFolder {
    final AtomicInteger underWay = new AtomicInteger();
    final AtomicInteger most = new AtomicInteger();
    final Semaphore begun = new Semaphore(0);
    final Semaphore permits = new Semaphore(0);
    final ConcurrentHashMap<Long, Integer> served = new ConcurrentHashMap<>();
    volatile int resets;
    volatile int state;

    @Override
    public int serve(List<MemorySegment> request, List<MemorySegment> reply) {
      most.accumulateAndGet(underWay.incrementAndGet(), Math::max);
      try {
        MemorySegment header = request.getFirst();
        served.merge(header.get(ValueLayout.JAVA_LONG_UNALIGNED, 8), 1, Integer::sum);
        int opcode = header.get(ValueLayout.JAVA_INT_UNALIGNED, 4);
        if (opcode == BREAK) {
          throw new IllegalStateException("as the test wants it");
        }
        if (opcode == SLOW) {
          begun.release();
          permits.acquireUninterruptibly();
        }
        int length = 0;
        for (int i = 0; i < reply.size() && i < request.size(); i++) {
          long bytes = Math.min(reply.get(i).byteSize(), request.get(i).byteSize());
          MemorySegment.copy(request.get(i), 0, reply.get(i), 0, bytes);
          length += (int) bytes;
        }
        return length;
      } finally {
        underWay.decrementAndGet();
      }
    }

    @Override
    public void reset() {
      assertEquals(0, underWay.get());
      resets++;
      state = 0;
    }

    @Override
    public void save(StateWriter out) {
      assertEquals(0, underWay.get());
      out.putInt(state);
    }

    @Override
    public void load(StateReader in) throws StateException {
      state = in.getInt();
    }
  }

  private void make(Executor io, int atOnce) {
    device = new VirtioFs(memory, io, folder, "häuser", 2, atOnce);
    device.resume();
    driver = new VirtioDriver(memory, device);
  }

  @AfterEach
  void close() {
    folder.permits.release(1000);
    device.close();
    memory.close();
  }

  /** Writes a request's header; each request has its own place. */
  private Piece header(int opcode, long unique) {
    long at = REQUEST + HEADER * (unique % 90);
    memory.writeInt(at, HEADER);
    memory.writeInt(at + 4, opcode);
    memory.writeLong(at + 8, unique);
    return Piece.out(at, HEADER);
  }

  private static Piece reply(long unique) {
    return Piece.in(REPLY + HEADER * (unique % 90), HEADER);
  }

  private void send(int queue, int opcode, long unique) {
    driver.send(queue, header(opcode, unique), reply(unique));
  }

  private long answered(long unique) {
    return memory.readLong(reply(unique).address() + 8);
  }

  @Test
  void configurationHasTheTagAndTheNumberOfRequestQueues() {
    make(Runnable::run, 1);
    assertEquals(0x105a, driver.readConfig(2, 2));
    assertEquals(3, driver.common(0x12, 2));
    StringBuilder tag = new StringBuilder();
    for (int i = 0; i < 36; i++) {
      tag.append((char) (driver.config(i, 1) & 0xff));
    }
    assertEquals("h\u00c3\u00a4user" + "\0".repeat(29), tag.toString());
    assertEquals(2, driver.config(36, 4));
    assertEquals(0, driver.config(40, 4));
    assertEquals(0, driver.offered() & 0xff_ffff);
  }

  @Test
  void tagsHaveOneTo36Bytes() {
    make(Runnable::run, 1);
    for (String tag : List.of("", "x".repeat(37), "ü".repeat(19))) {
      assertThrows(
          IllegalArgumentException.class,
          () -> new VirtioFs(memory, Runnable::run, folder, tag, 1, 1));
    }
    new VirtioFs(memory, Runnable::run, folder, "ü".repeat(18), 1, 1).close();
  }

  @ParameterizedTest
  @ValueSource(ints = {1, 8})
  void requestsAndRepliesGoThroughTheGuestsBuffers(int atOnce) {
    make(THREADS, atOnce);
    for (long features : new long[] {PACKED, SPLIT}) {
      driver.start(features);
      Piece data = Piece.out(0x2_0000, 5000);
      memory.write(data.address(), "contents".getBytes());
      Piece room = Piece.in(0x3_0000, 8000);
      Used used = driver.request(1, header(ECHO, 7), data, reply(7), room);
      assertEquals(HEADER + 5000, used.written());
      assertEquals(7, answered(7));
      assertEquals("contents", driver.text(room.address(), 8));
      assertEquals(1, driver.awaitMessage());
    }
  }

  @Test
  void whatWantsNoReplyIsDoneWithoutOne() {
    make(THREADS, 4);
    driver.start(PACKED);
    assertEquals(0, driver.request(HIPRIO, header(ECHO, 3)).written());
    assertEquals(1, folder.served.get(3L));
  }

  @Test
  void chainsOfAThousandBuffersAreTaken() {
    make(THREADS, 4);
    driver.start(PACKED);
    Piece[] pieces = new Piece[1000];
    pieces[0] = header(ECHO, 5);
    for (int i = 1; i < 500; i++) {
      pieces[i] = Piece.out(0x2_0000 + i, 1);
    }
    pieces[500] = reply(5);
    for (int i = 501; i < 1000; i++) {
      pieces[i] = Piece.in(0x3_0000 + i, 1);
    }
    driver.rings.get(1).offer(true, pieces);
    driver.kick(1);
    assertEquals(HEADER + 499, driver.await(1).written());
    assertEquals(5, answered(5));
  }

  @ParameterizedTest
  @ValueSource(longs = {PACKED, SPLIT})
  void aRequestThatTakesLongIsWaitedForByNoOther(long features) {
    make(THREADS, 4);
    driver.start(features);
    send(1, SLOW, 1);
    send(1, SLOW, 2);
    folder.begun.acquireUninterruptibly(2);
    send(1, ECHO, 3);
    driver.await(1);
    assertEquals(3, answered(3));
    send(2, ECHO, 4);
    driver.await(2);
    assertEquals(4, answered(4));
    assertEquals(0, driver.request(HIPRIO, header(ECHO, 5)).written());
    assertEquals(0, answered(1) | answered(2));
    folder.permits.release(2);
    driver.await(1);
    driver.await(1);
    assertEquals(1, answered(1));
    assertEquals(2, answered(2));
  }

  @Test
  void noMoreThanTheLimitAreUnderWayAtOnce() {
    make(THREADS, 3);
    driver.start(PACKED);
    for (int i = 1; i <= 20; i++) {
      send(1, SLOW, i);
    }
    folder.begun.acquireUninterruptibly(3);
    assertEquals(3, folder.underWay.get());
    // Another queue has a limit of its own, and shows that the first one had its chance.
    send(2, ECHO, 50);
    driver.await(2);
    assertFalse(folder.begun.tryAcquire());
    folder.permits.release(20);
    for (int i = 1; i <= 20; i++) {
      driver.await(1);
    }
    for (int i = 1; i <= 20; i++) {
      assertEquals(i, answered(i));
      assertEquals(1, folder.served.get((long) i));
    }
    assertTrue(folder.most.get() <= 4, "at once: " + folder.most);
  }

  @ParameterizedTest
  @ValueSource(longs = {PACKED, SPLIT})
  void everyRequestOfABusyQueueIsAnsweredOnce(long features) {
    make(THREADS, 8);
    driver.smallQueues(64).start(features);
    Map<Integer, Integer> placesById = new HashMap<>();
    ArrayDeque<Integer> places = new ArrayDeque<>();
    for (int i = 0; i < 30; i++) {
      places.add(i);
    }
    int sent = 0;
    int answers = 0;
    while (answers < 20_000) {
      while (sent < 20_000 && !places.isEmpty()) {
        int place = places.remove();
        Piece header = header(ECHO, place);
        memory.writeLong(header.address() + 8, ++sent);
        int id = driver.rings.get(1).offer(false, header, reply(place));
        assertNull(placesById.put(id, place));
        driver.kick(1);
      }
      Used used = driver.await(1);
      assertEquals(HEADER, used.written());
      places.add(placesById.remove(used.id()));
      answers++;
    }
    assertNull(driver.rings.get(1).poll());
    assertEquals(20_000, folder.served.size());
    assertTrue(folder.served.values().stream().allMatch(times -> times == 1));
  }

  @Test
  void aResetIsCompleteWhenTheLastRequestIs() {
    make(THREADS, 4);
    driver.start(PACKED);
    send(1, SLOW, 1);
    send(2, SLOW, 2);
    folder.begun.acquireUninterruptibly(2);
    int before = folder.resets;
    driver.common(0x14, 1, 0);
    assertNotEquals(0, driver.status());
    folder.permits.release();
    assertEquals(before, folder.resets);
    folder.permits.release();
    while (driver.status() != 0) {
      Thread.onSpinWait();
    }
    assertEquals(before + 1, folder.resets);
    driver.start(SPLIT);
    send(1, ECHO, 9);
    driver.await(1);
    assertEquals(9, answered(9));
  }

  @Test
  void aPauseWaitsForRequestsAndBeginsNone() throws Exception {
    make(THREADS, 4);
    driver.start(PACKED);
    send(1, SLOW, 1);
    folder.begun.acquireUninterruptibly();
    Thread pausing = Thread.ofPlatform().start(device::suspend);
    while (!device.yielding()) {
      Thread.onSpinWait();
    }
    send(1, SLOW, 2);
    assertTrue(pausing.isAlive());
    folder.permits.release();
    pausing.join();
    driver.await(1);
    assertEquals(1, answered(1));
    assertEquals(1, folder.served.size());
    folder.permits.release();
    device.resume();
    driver.await(1);
    assertEquals(2, answered(2));
  }

  @Test
  void aStateSavedWithRequestsInTheQueueGoesOnWhereItIsLoaded() throws Exception {
    make(THREADS, 4);
    driver.start(PACKED);
    folder.state = 77;
    device.suspend();
    send(1, ECHO, 1);
    StateWriter out = new StateWriter();
    device.save(out);
    TestFolder other = new TestFolder();
    try (VirtioFs loaded = new VirtioFs(memory, THREADS, other, "häuser", 2, 4)) {
      loaded.load(new StateReader("fs", out.toByteArray()));
      assertEquals(77, other.state);
      loaded.resume();
      driver.await(1);
      assertEquals(1, answered(1));
      assertEquals(1, other.served.get(1L));
    }
  }

  @ParameterizedTest
  @ValueSource(ints = {1, 4})
  void whatIsNoRequestStopsTheDeviceUntilItIsReset(int atOnce) {
    make(THREADS, atOnce);
    List<Piece[]> wrong =
        List.of(
            new Piece[] {Piece.out(REQUEST, HEADER - 1), reply(1)},
            new Piece[] {reply(1)},
            new Piece[] {Piece.out(REQUEST, 0), reply(1)},
            new Piece[] {reply(1), header(ECHO, 1)},
            new Piece[] {header(ECHO, 1), Piece.in(1L << 40, 8)},
            new Piece[] {header(ECHO, 1), Piece.in(REPLY, -1)});
    for (Piece[] pieces : wrong) {
      driver.start(SPLIT);
      driver.send(1, pieces);
      while ((driver.status() & VirtioDevice.NEEDS_RESET) == 0) {
        Thread.onSpinWait();
      }
    }
    assertEquals(0, folder.served.size());
    driver.start(SPLIT);
    send(1, ECHO, 2);
    driver.await(1);
    assertEquals(2, answered(2));
  }

  @Test
  void aMistakeOfTheHostsStopsTheDeviceUntilItIsReset() {
    Executor quiet =
        task ->
            Thread.ofVirtual()
                .uncaughtExceptionHandler(
                    (_, e) -> assertEquals("as the test wants it", e.getMessage()))
                .start(task);
    make(quiet, 4);
    driver.start(PACKED);
    send(1, BREAK, 1);
    while ((driver.status() & VirtioDevice.NEEDS_RESET) == 0) {
      Thread.onSpinWait();
    }
    driver.start(PACKED);
    for (int i = 2; i < 12; i++) {
      send(1, ECHO, i);
      driver.await(1);
      assertEquals(i, answered(i));
    }
  }

  @Test
  void aHostWithoutThreadsStopsTheDeviceUntilItIsReset() {
    AtomicInteger left = new AtomicInteger(1000);
    make(
        task -> {
          if (left.getAndDecrement() <= 0) {
            throw new RejectedExecutionException("as the test wants it");
          }
          task.run();
        },
        4);
    driver.start(PACKED);
    left.set(0);
    assertThrows(RejectedExecutionException.class, () -> send(1, ECHO, 1));
    assertNotEquals(0, driver.status() & VirtioDevice.NEEDS_RESET);
    left.set(1000);
    driver.start(PACKED);
    send(1, ECHO, 2);
    driver.await(1);
    assertEquals(2, answered(2));
  }

  /** Starts the device anew, and has two slow requests in a queue that is notified once. */
  private void slowRequestsBeginTogetherAfterAReset(int queue) throws InterruptedException {
    driver.start(PACKED);
    // So many that they are quick, and that quick ones are expected.
    for (int i = 100; i < 5000; i++) {
      send(queue, ECHO, i);
      driver.await(queue);
    }
    driver.rings.get(queue).offer(true, header(SLOW, 50), reply(50));
    driver.rings.get(queue).offer(true, header(SLOW, 51), reply(51));
    driver.kick(queue);
    assertTrue(folder.begun.tryAcquire(2, 240, TimeUnit.SECONDS));
  }

  /** Starts threads, but of those that serve queues only as many as {@code left} says. */
  private static Executor threads(AtomicInteger left) {
    return task -> {
      if (task instanceof ParallelRunner && left.getAndDecrement() <= 0) {
        throw new RejectedExecutionException("as the test wants it");
      }
      Thread.ofVirtual()
          .uncaughtExceptionHandler((_, e) -> assertEquals("as the test wants it", e.getMessage()))
          .start(task);
    };
  }

  @Test
  void slowRequestsAreNoticedAfterAThreadDidNotStart() throws Exception {
    AtomicInteger left = new AtomicInteger(0);
    make(threads(left), 4);
    assertThrows(RejectedExecutionException.class, () -> driver.start(PACKED));
    left.set(Integer.MAX_VALUE);
    slowRequestsBeginTogetherAfterAReset(HIPRIO);
  }

  @Test
  void slowRequestsAreNoticedAfterASecondThreadDidNotStart() throws Exception {
    AtomicInteger left = new AtomicInteger(Integer.MAX_VALUE);
    make(threads(left), 4);
    boolean refusedHere;
    do {
      left.set(Integer.MAX_VALUE);
      driver.start(PACKED);
      send(1, SLOW, 1);
      send(1, SLOW, 2);
      folder.begun.acquireUninterruptibly(2);
      folder.permits.release(2);
      driver.await(1);
      driver.await(1);
      folder.served.clear();
      // Slow ones are expected now: who takes the first of these has a thread look for the second.
      left.set(1);
      driver.rings.get(1).offer(true, header(ECHO, 3), reply(3));
      driver.rings.get(1).offer(true, header(ECHO, 4), reply(4));
      refusedHere = false;
      try {
        driver.kick(1);
      } catch (RejectedExecutionException e) {
        // A thread that was still looking has had another one started already: once more.
        refusedHere = true;
      }
      while (folder.served.size() < 2 && (driver.status() & VirtioDevice.NEEDS_RESET) == 0) {
        Thread.onSpinWait();
      }
    } while (refusedHere || (driver.status() & VirtioDevice.NEEDS_RESET) == 0);
    left.set(Integer.MAX_VALUE);
    slowRequestsBeginTogetherAfterAReset(1);
  }

  @Test
  void slowRequestsAreNoticedAfterThereWasNoThreadToWatchOn() throws Exception {
    AtomicBoolean without = new AtomicBoolean(true);
    Semaphore refused = new Semaphore(0);
    make(
        task -> {
          if (!(task instanceof ParallelRunner) && without.get()) {
            refused.release();
            throw new RejectedExecutionException("as the test wants it");
          }
          Thread.ofVirtual().start(task);
        },
        4);
    driver.start(PACKED);
    // One for each queue.
    assertTrue(refused.tryAcquire(2, 240, TimeUnit.SECONDS));
    without.set(false);
    slowRequestsBeginTogetherAfterAReset(1);
  }
}
