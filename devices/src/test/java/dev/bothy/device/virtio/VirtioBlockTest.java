package dev.bothy.device.virtio;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.bothy.core.GuestMemory;
import dev.bothy.core.state.StateReader;
import dev.bothy.core.state.StateWriter;
import dev.bothy.device.virtio.DriverRing.Piece;
import dev.bothy.device.virtio.VirtioBlock.Cache;
import dev.bothy.device.virtio.VirtioBlock.WriteErrors;
import dev.bothy.image.BlockDevice;
import dev.bothy.image.ImageException;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Random;
import java.util.concurrent.Executor;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.Semaphore;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.locks.LockSupport;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class VirtioBlockTest {
  private static final long HEADER = 0x3000;
  private static final long STATUS = 0x3800;
  private static final long DATA = VirtioDriver.DATA;
  private static final int SECTORS = 4096;
  private static final long WITHOUT_WCE = ~(1L << 11);

  private final GuestMemory memory = new GuestMemory(8 << 20);
  private final TestDisk disk = new TestDisk();
  private final List<String> pauses = Collections.synchronizedList(new ArrayList<>());
  private VirtioBlock device;
  private VirtioDriver driver;

  /** A disk that notes what is asked for. */
  private static final class TestDisk implements BlockDevice {
    final byte[] content = new byte[SECTORS * SECTOR];
    final List<String> calls = new ArrayList<>();
    boolean readOnly;
    volatile ImageException.Trouble trouble;

    /** Requests that have begun. */
    final Semaphore begun = new Semaphore(0);

    /** Requests that may be done. */
    final Semaphore permits = new Semaphore(Integer.MAX_VALUE / 2);

    @Override
    public long size() {
      return content.length + 100;
    }

    @Override
    public int blockSize() {
      return 4096;
    }

    @Override
    public int optimalSize() {
      return 65536;
    }

    @Override
    public boolean readOnly() {
      return readOnly;
    }

    private void note(String call) throws IOException {
      begun.release();
      permits.acquireUninterruptibly();
      list(call);
    }

    private synchronized void list(String call) throws IOException {
      if (trouble != null) {
        throw new ImageException(trouble, "trouble");
      }
      calls.add(call);
    }

    @Override
    public void read(long offset, List<MemorySegment> targets) throws IOException {
      note("read");
      long at = offset;
      for (MemorySegment target : targets) {
        MemorySegment.copy(MemorySegment.ofArray(content), at, target, 0, target.byteSize());
        at += target.byteSize();
      }
    }

    @Override
    public void write(long offset, List<MemorySegment> sources) throws IOException {
      note("write");
      long at = offset;
      for (MemorySegment source : sources) {
        MemorySegment.copy(source, 0, MemorySegment.ofArray(content), at, source.byteSize());
        at += source.byteSize();
      }
    }

    @Override
    public void flush() throws IOException {
      note("flush");
    }

    @Override
    public void discard(long offset, long length) throws IOException {
      note("discard " + offset + "+" + length);
    }

    @Override
    public void writeZeroes(long offset, long length, boolean release) throws IOException {
      note("zero " + offset + "+" + length + (release ? " release" : ""));
    }

    @Override
    public void close() {}
  }

  private void make(Cache cache, WriteErrors errors, int queues, Executor io) {
    make(cache, errors, queues, 1, io);
  }

  private VirtioBlock block(Cache cache, WriteErrors errors, int queues, int atOnce, Executor io) {
    return new VirtioBlock(
        memory,
        io,
        disk,
        "serial-1",
        cache,
        errors,
        queues,
        atOnce,
        trouble -> pauses.add(trouble.getMessage()));
  }

  private void make(Cache cache, WriteErrors errors, int queues, int atOnce, Executor io) {
    device = block(cache, errors, queues, atOnce, io);
    device.resume();
    driver = new VirtioDriver(memory, device);
  }

  private void make(long features) {
    make(Cache.WRITEBACK, WriteErrors.REPORT, 1, Runnable::run);
    driver.start(features);
  }

  @AfterEach
  void close() {
    device.close();
    memory.close();
  }

  private int request(int queue, int type, long sector, Piece... data) {
    memory.writeLong(HEADER, type);
    memory.writeLong(HEADER + 8, sector);
    memory.writeByte(STATUS, 0xee);
    List<Piece> all = new ArrayList<>(List.of(Piece.out(HEADER, 16)));
    all.addAll(List.of(data));
    all.add(Piece.in(STATUS, 1));
    driver.request(queue, all.toArray(Piece[]::new));
    return memory.readByte(STATUS);
  }

  private int range(int type, long sector, int count, int flags) {
    memory.writeLong(DATA, sector);
    memory.writeInt(DATA + 8, count);
    memory.writeInt(DATA + 12, flags);
    return request(0, type, 0, Piece.out(DATA, 16));
  }

  @Test
  void sectorsAreReadAndWritten() {
    for (long features : new long[] {-1, ~VirtioDevice.F_RING_PACKED}) {
      make(features);
      byte[] text = new byte[3 * 512];
      new Random(features).nextBytes(text);
      memory.write(DATA, text);
      assertEquals(
          0, request(0, 1, 5, Piece.out(DATA, 100), Piece.out(DATA + 100, text.length - 100)));
      assertArrayEquals(text, Arrays.copyOfRange(disk.content, 5 * 512, 8 * 512));
      memory.write(DATA, new byte[text.length]);
      assertEquals(
          0, request(0, 0, 5, Piece.in(DATA, 513), Piece.in(DATA + 513, text.length - 513)));
      byte[] back = new byte[text.length];
      memory.read(DATA, back, 0, back.length);
      assertArrayEquals(text, back);
      assertTrue(driver.takeMessages().contains(0));
    }
  }

  @Test
  void theDriverLearnsWhatTheDiskIs() {
    make(-1);
    assertEquals(SECTORS, driver.config(0, 8));
    assertEquals(254, driver.config(12, 4));
    assertEquals(512, driver.config(20, 4));
    assertEquals(3, driver.config(24, 1));
    assertEquals(128, driver.config(28, 4));
    assertEquals(0, request(0, 8, 0, Piece.in(DATA, 20)));
    assertEquals("serial-1\0\0\0\0\0\0\0\0\0\0\0\0", driver.text(DATA, 20));
  }

  @Test
  void whatIsNotInsideTheDiskIsAnError() {
    make(-1);
    Piece sector = Piece.in(DATA, 512);
    assertEquals(0, request(0, 0, SECTORS - 1, sector));
    for (long bad : new long[] {SECTORS, -1, Long.MIN_VALUE, Long.MAX_VALUE, 1L << 55}) {
      assertEquals(1, request(0, 0, bad, sector), "sector " + bad);
      assertEquals(1, request(0, 1, bad, Piece.out(DATA, 512)), "sector " + bad);
    }
    assertEquals(1, request(0, 0, SECTORS - 1, Piece.in(DATA, 1024)));
    assertEquals(1, request(0, 0, 0, Piece.in(DATA, 511)));
    assertEquals(2, request(0, 77, 0));
    assertEquals(List.of("read"), disk.calls);
  }

  @Test
  void discardAndWriteZeroesReachTheDisk() {
    make(-1);
    assertEquals(0, range(11, 8, 16, 0));
    assertEquals(0, range(13, 9, 17, 0));
    assertEquals(0, range(13, 10, 18, 1));
    assertEquals(
        List.of("discard 4096+8192", "zero 4608+8704", "zero 5120+9216 release"), disk.calls);
    assertEquals(2, range(11, 8, 16, 1));
    assertEquals(2, range(13, 8, 16, 2));
    assertEquals(1, range(11, SECTORS, 1, 0));
    assertEquals(1, range(13, SECTORS - 1, 2, 0));
    assertEquals(1, range(13, -1, 2, 0));
    assertEquals(1, range(13, 0, -1, 0));
    assertEquals(1, request(0, 11, 0, Piece.out(DATA, 15)));
    assertEquals(1, request(0, 11, 0, Piece.out(DATA, 16 * 17)));
    assertEquals(1, request(0, 11, 0));
    assertEquals(3, disk.calls.size());
  }

  @Test
  void aReadOnlyDiskIsNotChanged() {
    disk.readOnly = true;
    make(-1);
    assertEquals(1L << 5, driver.offered() & (1L << 5 | 1L << 13 | 1L << 14));
    assertEquals(1, request(0, 1, 0, Piece.out(DATA, 512)));
    assertEquals(1, range(11, 0, 1, 0));
    assertEquals(1, range(13, 0, 1, 0));
    assertEquals(List.of(), disk.calls);
    assertEquals(0, request(0, 0, 0, Piece.in(DATA, 512)));
  }

  @Test
  void flushesFollowWhatCacheAndDriverSay() {
    make(-1);
    request(0, 1, 0, Piece.out(DATA, 512));
    assertEquals(List.of("write"), disk.calls);
    request(0, 4, 0);
    assertEquals(List.of("write", "flush"), disk.calls);
    driver.config(32, 1, 0);
    request(0, 1, 0, Piece.out(DATA, 512));
    assertEquals(List.of("write", "flush", "write", "flush"), disk.calls);
    disk.calls.clear();
    // A driver that cannot flush gets every write flushed.
    driver.start(WITHOUT_WCE & ~(1L << 9));
    request(0, 1, 0, Piece.out(DATA, 512));
    assertEquals(List.of("write", "flush"), disk.calls);
    disk.calls.clear();
    make(Cache.UNSAFE, WriteErrors.REPORT, 1, Runnable::run);
    driver.start(WITHOUT_WCE & ~(1L << 9));
    request(0, 1, 0, Piece.out(DATA, 512));
    assertEquals(0, request(0, 4, 0));
    assertEquals(List.of("write"), disk.calls);
    disk.calls.clear();
    make(Cache.WRITETHROUGH, WriteErrors.REPORT, 1, Runnable::run);
    driver.start(-1);
    assertEquals(0, driver.config(32, 1));
    request(0, 1, 0, Piece.out(DATA, 512));
    assertEquals(List.of("write", "flush"), disk.calls);
  }

  @Test
  void errorsOfTheHostAreReported() {
    make(-1);
    disk.trouble = ImageException.Trouble.NO_SPACE;
    assertEquals(1, request(0, 1, 0, Piece.out(DATA, 512)));
    assertEquals(1, request(0, 4, 0));
    disk.trouble = ImageException.Trouble.CORRUPT;
    assertEquals(1, request(0, 0, 0, Piece.in(DATA, 512)));
    disk.trouble = null;
    assertEquals(0, request(0, 1, 0, Piece.out(DATA, 512)));
    assertEquals(List.of(), pauses);
  }

  @Test
  void aFullHostPausesTheMachineAndTheWriteIsDoneLater() {
    make(Cache.WRITEBACK, WriteErrors.PAUSE, 1, Runnable::run);
    driver.start(-1);
    disk.trouble = ImageException.Trouble.NO_SPACE;
    memory.writeLong(HEADER, 1);
    memory.writeByte(DATA, 0x5a);
    driver.send(0, Piece.out(HEADER, 16), Piece.out(DATA, 512), Piece.in(STATUS, 1));
    assertNull(driver.rings.get(0).poll());
    assertEquals(List.of("trouble"), pauses);
    driver.kick(0);
    assertEquals(1, pauses.size());
    disk.trouble = null;
    device.suspend();
    device.resume();
    assertEquals(1, driver.await(0).written());
    assertEquals(0, memory.readByte(STATUS));
    assertEquals(0x5a, disk.content[0]);
    // Reads are not what this is about.
    disk.trouble = ImageException.Trouble.HOST_ERROR;
    assertEquals(1, request(0, 0, 0, Piece.in(DATA, 512)));
  }

  @Test
  void aLossPausesTheMachineOnceAndThenIsTheGuests() {
    make(Cache.WRITEBACK, WriteErrors.PAUSE, 1, Runnable::run);
    driver.start(-1);
    disk.trouble = ImageException.Trouble.LOST;
    memory.writeLong(HEADER, 4);
    driver.send(0, Piece.out(HEADER, 16), Piece.in(STATUS, 1));
    assertNull(driver.rings.get(0).poll());
    assertEquals(List.of("trouble"), pauses);
    device.suspend();
    device.resume();
    assertEquals(1, driver.await(0).written());
    assertEquals(1, memory.readByte(STATUS));
    assertEquals(1, request(0, 4, 0));
    assertEquals(1, pauses.size());
    // Room is another matter.
    disk.trouble = ImageException.Trouble.NO_SPACE;
    driver.send(0, Piece.out(HEADER, 16), Piece.in(STATUS, 1));
    assertNull(driver.rings.get(0).poll());
    assertEquals(2, pauses.size());
  }

  /** An executor that has no thread for the first {@code refusals} tasks. */
  private static Executor refusing(int refusals) {
    AtomicInteger left = new AtomicInteger(refusals);
    return task -> {
      if (left.getAndDecrement() > 0) {
        throw new RejectedExecutionException("no thread");
      }
      task.run();
    };
  }

  @ParameterizedTest
  @ValueSource(ints = {1, 8})
  void afterAnExecutorRefusedTheDeviceNeedsAResetAndThenServesAgain(int atOnce) {
    make(Cache.WRITEBACK, WriteErrors.REPORT, 1, atOnce, refusing(1));
    assertThrows(RejectedExecutionException.class, () -> driver.start(-1));
    assertEquals(64, driver.status() & 64);
    driver.start(-1);
    assertEquals(0, request(0, 4, 0));
    assertEquals(List.of("flush"), disk.calls);
  }

  @Test
  void requestsWithoutHeaderOrStatusNeedAReset() {
    for (Piece[] bad :
        new Piece[][] {
          {Piece.out(HEADER, 16)},
          {Piece.out(HEADER, 15), Piece.in(STATUS, 1)},
          {Piece.in(STATUS, 9)}
        }) {
      make(-1);
      driver.send(0, bad);
      assertEquals(64, driver.status() & 64);
      assertNull(driver.rings.get(0).poll());
    }
    assertEquals(List.of(), disk.calls);
  }

  @Test
  void severalQueuesWorkOnThreadsOfTheirOwn() {
    make(Cache.WRITEBACK, WriteErrors.REPORT, 4, r -> Thread.ofVirtual().start(r));
    driver.start(-1);
    assertEquals(4, driver.config(34, 2));
    for (int round = 0; round < 500; round++) {
      for (int queue = 0; queue < 4; queue++) {
        long header = HEADER + 64 * queue;
        memory.writeLong(header, round & 1);
        memory.writeLong(header + 8, queue);
        long data = DATA + 512 * queue;
        Piece buffer = (round & 1) == 0 ? Piece.in(data, 512) : Piece.out(data, 512);
        if ((round & 1) != 0) {
          memory.writeLong(data, round);
        }
        driver.send(queue, Piece.out(header, 16), buffer, Piece.in(STATUS + queue, 1));
      }
      for (int queue = 0; queue < 4; queue++) {
        driver.await(queue);
        assertEquals(0, memory.readByte(STATUS + queue));
        assertEquals(
            round - (round + 1 & 1) & (round == 0 ? 0 : -1), memory.readLong(DATA + 512 * queue));
      }
      if (round % 100 == 50) {
        device.suspend();
        device.resume();
      }
    }
  }

  @Test
  void aResetAtAnyMomentLeavesADeviceThatWorks() {
    make(Cache.WRITEBACK, WriteErrors.REPORT, 2, r -> Thread.ofVirtual().start(r));
    Random random = new Random(3);
    for (int round = 0; round < 200; round++) {
      driver.start(random.nextBoolean() ? -1 : ~VirtioDevice.F_RING_PACKED);
      for (int i = 0; i < 5; i++) {
        driver.send(i & 1, Piece.out(HEADER, 16), Piece.in(DATA, 512), Piece.in(STATUS, 1));
      }
      LockSupport.parkNanos(random.nextInt(100_000));
    }
    driver.start(-1);
    assertEquals(0, request(1, 0, 1, Piece.in(DATA, 512)));
  }

  /** Sends a request of one sector that has its own places in memory. */
  private void send(int number, int type) {
    long header = HEADER + 16 * number;
    memory.writeLong(header, type);
    memory.writeLong(header + 8, number);
    memory.writeByte(STATUS + number, 0xee);
    long data = DATA + 512 * number;
    memory.writeLong(data, type == 1 ? number : 0xeeee);
    Piece piece = type == 0 ? Piece.in(data, 512) : Piece.out(data, 512);
    driver.send(0, Piece.out(header, 16), piece, Piece.in(STATUS + number, 1));
  }

  @ParameterizedTest
  @ValueSource(longs = {-1, ~VirtioDevice.F_RING_PACKED})
  void requestsOfAQueueAreUnderWayAtOnce(long features) {
    make(Cache.WRITEBACK, WriteErrors.REPORT, 1, 8, r -> Thread.ofVirtual().start(r));
    driver.start(features);
    disk.permits.drainPermits();
    for (int i = 0; i < 20; i++) {
      disk.content[512 * i] = (byte) i;
      send(i, 0);
    }
    disk.begun.acquireUninterruptibly(8);
    assertFalse(disk.begun.tryAcquire());
    assertNull(driver.rings.get(0).poll());
    disk.permits.release(20);
    for (int i = 0; i < 20; i++) {
      assertEquals(513, driver.await(0).written());
    }
    for (int i = 0; i < 20; i++) {
      assertEquals(0, memory.readByte(STATUS + i));
      assertEquals(i, memory.readLong(DATA + 512 * i));
    }
  }

  @ParameterizedTest
  @ValueSource(longs = {-1, ~VirtioDevice.F_RING_PACKED})
  void whatTheHostHadNoRoomForIsDoneLaterWhereverTheMachineGoesOn(long features) throws Exception {
    Executor io = r -> Thread.ofVirtual().start(r);
    make(Cache.WRITEBACK, WriteErrors.PAUSE, 1, 8, io);
    driver.start(features);
    disk.permits.drainPermits();
    disk.trouble = ImageException.Trouble.NO_SPACE;
    for (int i = 0; i < 20; i++) {
      send(i, i % 4 == 3 ? 0 : 1);
    }
    disk.begun.acquireUninterruptibly(8);
    disk.permits.release(Integer.MAX_VALUE / 2);
    device.suspend();
    assertEquals(List.of("trouble"), pauses);
    disk.trouble = null;
    StateWriter out = new StateWriter();
    device.save(out);
    int answered = 0;
    while (driver.rings.get(0).poll() != null) {
      answered++;
    }
    for (int i = 0; i < 20; i++) {
      if (i % 4 != 3) {
        assertEquals(0xee, memory.readByte(STATUS + i), "a write was answered");
      }
    }
    try (VirtioBlock loaded = block(Cache.WRITEBACK, WriteErrors.PAUSE, 1, 8, io)) {
      loaded.load(new StateReader("disk", out.toByteArray()));
      loaded.resume();
      for (; answered < 20; answered++) {
        driver.await(0);
      }
      assertNull(driver.rings.get(0).poll());
    }
    for (int i = 0; i < 20; i++) {
      if (i % 4 != 3) {
        assertEquals(0, memory.readByte(STATUS + i));
        assertEquals(i, disk.content[512 * i]);
      }
    }
  }

  @Test
  void closingWaitsForWorkThoughSomebodyElseSuspendsAlready() throws InterruptedException {
    make(Cache.WRITEBACK, WriteErrors.REPORT, 1, 8, r -> Thread.ofVirtual().start(r));
    driver.start(-1);
    disk.permits.drainPermits();
    send(1, 0);
    disk.begun.acquireUninterruptibly();
    Thread suspends = Thread.ofPlatform().start(device::suspend);
    awaitState(suspends, Thread.State.WAITING);
    Thread closes = Thread.ofPlatform().start(device::close);
    Thread.State state = awaitState(closes, Thread.State.WAITING);
    disk.permits.release(1);
    suspends.join();
    closes.join();
    assertEquals(Thread.State.WAITING, state, "closed while a request used the memory");
  }

  /** Waits until a thread is in that state, or has ended. */
  private static Thread.State awaitState(Thread thread, Thread.State wanted) {
    Thread.State state = thread.getState();
    while (state != wanted && state != Thread.State.TERMINATED) {
      Thread.onSpinWait();
      state = thread.getState();
    }
    return state;
  }
}
