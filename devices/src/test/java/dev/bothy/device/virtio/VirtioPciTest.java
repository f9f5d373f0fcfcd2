package dev.bothy.device.virtio;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.bothy.core.AddressSpace;
import dev.bothy.core.GuestMemory;
import dev.bothy.core.state.StateException;
import dev.bothy.core.state.StateReader;
import dev.bothy.core.state.StateWriter;
import dev.bothy.device.virtio.DriverRing.Piece;
import dev.bothy.device.virtio.DriverRing.Used;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.List;
import java.util.concurrent.Executor;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

/** The transport and what devices have in common, on a device that answers what it is asked. */
class VirtioPciTest {
  private static final long DATA = VirtioDriver.DATA;

  private final GuestMemory memory = new GuestMemory(4 << 20);
  private final Deque<Runnable> work = new ArrayDeque<>();
  private final Echo device = new Echo(work::add);
  private final VirtioDriver driver = new VirtioDriver(memory, device);

  /** Copies what it reads to where it may write. */
  private final class Echo extends VirtioDevice {
    long startedWith;
    int resets;
    boolean busy;
    boolean broken;

    Echo(Executor executor) {
      super("echo", 42, PACKED_RINGS | 0x100, 2, 16, memory, executor);
    }

    @Override
    protected int configSize() {
      return 6;
    }

    @Override
    protected int readConfig(int at) {
      return 0xa0 + at;
    }

    @Override
    protected void started(long features) {
      startedWith = features;
      assertTrue(!running());
    }

    @Override
    protected boolean handle(Virtqueue queue, DescriptorChain chain) throws VirtqueueException {
      if (broken) {
        throw new IllegalStateException("broken");
      }
      if (busy) {
        queue.undo(chain);
        return false;
      }
      int length = (int) Math.min(chain.readable().length(), chain.writable().length());
      chain.writable().write(0, chain.readable().read(0, length), 0, length);
      queue.complete(chain, length);
      return true;
    }

    @Override
    protected void resetDevice() {
      resets++;
    }
  }

  @AfterEach
  void close() {
    device.close();
    memory.close();
  }

  private void run() {
    while (!work.isEmpty()) {
      work.remove().run();
    }
  }

  private void offer(int queue, int value) {
    memory.writeInt(DATA, value);
    driver.send(queue, Piece.out(DATA, 4), Piece.in(DATA + 8, 8));
  }

  @Test
  void itIsFoundSetUpAndAnswers() {
    device.resume();
    assertEquals(0x1040 + 42, driver.readConfig(2, 2));
    assertEquals(0xa3a2a1a0L, driver.config(0, 4));
    assertEquals(0xa5a4L, driver.config(4, 4));
    for (long without : new long[] {0, VirtioDevice.F_RING_PACKED, VirtioDevice.F_EVENT_IDX}) {
      driver.start(~without);
      assertEquals(driver.offered() & ~without, device.startedWith);
      run();
      for (int i = 0; i < 100; i++) {
        offer(i & 1, i);
        run();
        assertEquals(4, driver.await(i & 1).written());
        assertEquals(i, memory.readInt(DATA + 8));
      }
      assertTrue(driver.takeMessages().containsAll(List.of(0, 1)));
    }
  }

  @Test
  void itsNotificationsAreDoorbellsWhileItsRegistersAreThere() {
    List<AddressSpace.PlacedDoorbell> bells = new ArrayList<>();
    driver.mmio.watchDoorbells(
        now -> {
          bells.clear();
          bells.addAll(now);
        });
    device.resume();
    driver.start(-1);
    run();
    assertEquals(2, bells.size());
    for (int i = 0; i < 2; i++) {
      memory.writeInt(DATA, i);
      driver.rings.get(i).offer(false, Piece.out(DATA, 4), Piece.in(DATA + 8, 8));
      assertTrue(work.isEmpty());
      bells.get(i).ring(1);
      run();
      assertEquals(4, driver.await(i).written());
    }
    driver.writeConfig(4, 2, 2);
    bells.getFirst().ring(1);
    assertTrue(work.isEmpty(), "it must not reach memory");
    driver.writeConfig(4, 2, 4);
    assertEquals(List.of(), bells);
  }

  @Test
  void whatIsServedByWhoNotifiesHasNoDoorbells() {
    try (GuestMemory other = new GuestMemory(4 << 20)) {
      new VirtioDriver(other, new VirtioRng(other, true))
          .mmio.watchDoorbells(bells -> assertEquals(List.of(), bells));
    }
  }

  @Test
  void featuresThatAreNotOfferedAreRefused() {
    for (long bad : new long[] {VirtioDevice.F_VERSION_1 | 1, 0x100}) {
      driver.common(0x14, 1, 0);
      driver.common(0x14, 1, 3);
      driver.common(8, 4, 0);
      driver.common(12, 4, bad);
      driver.common(8, 4, 1);
      driver.common(12, 4, bad >>> 32);
      driver.common(0x14, 1, 11);
      assertEquals(3, driver.status());
      driver.common(0x14, 1, 15);
      assertEquals(0, driver.status() & 4);
    }
  }

  @Test
  void aResetWaitsForWorkThatIsUnderWayAndNoLonger() {
    device.resume();
    driver.start(-1);
    run();
    offer(0, 7);
    assertTrue(device.enter());
    driver.common(0x14, 1, 0);
    assertEquals(15, driver.status());
    device.leave();
    assertEquals(0, driver.status());
    assertEquals(2, device.resets - 1, "power-on, the driver's first, this");
    run();
    assertNull(driver.rings.get(0).poll(), "a device that was reset answers nothing");
    driver.common(0x16, 2, 0);
    assertEquals(0, driver.common(0x1c, 2));
    assertEquals(16, driver.common(0x18, 2));
    assertEquals(0xffff, driver.common(0x1a, 2));
  }

  @Test
  void aMalformedRingStopsTheDeviceUntilItIsReset() {
    device.resume();
    driver.start(-1);
    run();
    driver.takeMessages();
    driver.send(0, Piece.in(-1, 4));
    run();
    assertEquals(15 | 64, driver.status());
    assertEquals(List.of(99), driver.takeMessages());
    offer(1, 1);
    run();
    assertNull(driver.rings.get(1).poll());
    driver.start(-1);
    run();
    offer(1, 1);
    run();
    assertEquals(4, driver.await(1).written());
  }

  @Test
  void aBadQueueStopsTheDevice() {
    device.resume();
    driver.common(0x14, 1, 3);
    driver.common(8, 4, 1);
    driver.common(12, 4, VirtioDevice.F_VERSION_1 >>> 32);
    driver.common(0x14, 1, 11);
    driver.common(0x18, 2, 32);
    driver.common(0x1c, 2, 1);
    assertEquals(0, driver.common(0x1c, 2));
    assertEquals(11 | 64, driver.status());
  }

  @Test
  void nothingIsServedWhileItIsPaused() {
    driver.start(-1);
    offer(0, 5);
    run();
    assertNull(driver.rings.get(0).poll());
    function(true);
    run();
    assertEquals(4, driver.await(0).written());
    function(false);
    offer(0, 6);
    run();
    assertNull(driver.rings.get(0).poll());
    function(true);
    run();
    assertEquals(4, driver.await(0).written());
    assertEquals(6, memory.readInt(DATA + 8));
  }

  private void function(boolean on) {
    if (on) {
      driver.function.resume();
    } else {
      driver.function.pause();
    }
  }

  @Test
  void whatIsPutBackIsDoneWhenItIsKicked() {
    device.resume();
    driver.start(-1);
    device.busy = true;
    offer(0, 5);
    run();
    assertNull(driver.rings.get(0).poll());
    device.busy = false;
    device.kick(device.queue(0));
    run();
    assertEquals(4, driver.await(0).written());
  }

  @Test
  void aSavedDeviceGoesOnAlike() throws StateException {
    device.resume();
    driver.start(-1);
    for (int i = 0; i < 21; i++) {
      offer(0, i);
      run();
      driver.await(0);
    }
    device.busy = true;
    offer(0, 77);
    run();
    driver.function.pause();
    StateWriter out = new StateWriter();
    driver.function.save(out);
    Echo other = new Echo(Runnable::run);
    VirtioDriver second = new VirtioDriver(memory, other);
    second.function.load(new StateReader("echo", out.toByteArray()));
    StateWriter again = new StateWriter();
    second.function.save(again);
    assertArrayEquals(out.toByteArray(), again.toByteArray());
    memory.writeInt(DATA + 8, 0);
    second.function.resume();
    assertEquals(new Used(21 % 16 & 0xf, 4).written(), driver.await(0).written());
    assertEquals(77, memory.readInt(DATA + 8));
    assertEquals(List.of(0), second.takeMessages());
    other.close();
  }

  @Test
  void registersAreReachedThroughConfigurationSpace() {
    int window = driver.capability(5);
    driver.writeConfig(window + 4, 1, 0);
    driver.writeConfig(window + 8, 4, 0x12);
    driver.writeConfig(window + 12, 4, 2);
    assertEquals(2, driver.readConfig(window + 16, 2));
    driver.writeConfig(window + 8, 4, 0x14);
    driver.writeConfig(window + 12, 4, 1);
    driver.writeConfig(window + 16, 1, 3);
    assertEquals(3, driver.status());
    // No bar, no length, or no range: nothing happens.
    for (long[] bad : new long[][] {{1, 0x14, 1}, {0, 0x14, 3}, {0, 0x4000, 4}, {0, -4, 4}}) {
      driver.writeConfig(window + 4, 1, bad[0]);
      driver.writeConfig(window + 8, 4, bad[1]);
      driver.writeConfig(window + 12, 4, bad[2]);
      driver.writeConfig(window + 16, 4, 0x0f0f_0f0f);
      assertEquals(0x0f0f_0f0fL, driver.readConfig(window + 16, 4));
    }
    assertEquals(3, driver.status());
  }

  @Test
  void withoutMessagesTheInterruptPinServes() {
    device.resume();
    boolean[] level = new boolean[1];
    driver.function.connectInterrupt(high -> level[0] = high, 10);
    driver.start(~VirtioDevice.F_EVENT_IDX);
    run();
    int msix = (int) driver.readConfig(0x34, 1);
    while (driver.readConfig(msix, 1) != 0x11) {
      msix = (int) driver.readConfig(msix + 1, 1);
    }
    driver.writeConfig(msix + 2, 2, 0);
    driver.takeMessages();
    offer(0, 1);
    run();
    assertTrue(level[0]);
    assertEquals(1, driver.isr());
    assertTrue(!level[0]);
    assertEquals(0, driver.isr());
    device.configChanged();
    assertTrue(level[0]);
    assertEquals(2, driver.isr());
    assertNotEquals(0, driver.common(0x15, 1));
    assertEquals(List.of(), driver.takeMessages());
  }

  @Test
  void aChangeOfTheConfigurationDuringAPauseIsToldAfterIt() throws StateException {
    device.resume();
    driver.start(-1);
    run();
    driver.takeMessages();
    device.suspend();
    device.configChanged();
    assertEquals(List.of(), driver.takeMessages());
    StateWriter saved = new StateWriter();
    device.save(saved);
    device.resume();
    assertEquals(List.of(99), driver.takeMessages());
    device.suspend();
    device.resume();
    assertEquals(List.of(), driver.takeMessages());
    device.suspend();
    device.load(new StateReader("echo", saved.toByteArray()));
    device.resume();
    assertEquals(List.of(99), driver.takeMessages());
  }

  @Test
  void afterAMistakeOfTheDevicesOwnAResetHelps() {
    device.resume();
    driver.start(-1);
    run();
    device.broken = true;
    offer(0, 1);
    assertThrows(IllegalStateException.class, this::run);
    assertNotEquals(0, driver.status() & VirtioDevice.NEEDS_RESET);
    device.broken = false;
    driver.start(-1);
    offer(0, 1);
    run();
    assertNotNull(driver.rings.get(0).poll());
  }
}
