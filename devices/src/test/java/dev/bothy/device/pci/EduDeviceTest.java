package dev.bothy.device.pci;

import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.bothy.core.AddressSpace;
import dev.bothy.core.GuestMemory;
import dev.bothy.core.MsiSink;
import dev.bothy.core.state.StateReader;
import dev.bothy.core.state.StateWriter;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CyclicBarrier;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicBoolean;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

class EduDeviceTest {
  private static final long AT = 0xe000_0000L;
  private static final long BUFFER = 0x4_0000;

  /** Page 7 of the function is not let through, and page 1 is page 2. */
  private static final Upstream UPSTREAM =
      new Upstream() {
        @Override
        public MsiSink messages(int function) {
          return (address, data) -> MESSAGES.add(address + ":" + data);
        }

        @Override
        public long physical(int function, long address, boolean write) {
          return switch ((int) (address >> 12)) {
            case 1 -> address + 0x1000;
            case 7 -> BLOCKED;
            default -> address;
          };
        }
      };

  private static final List<String> MESSAGES = new ArrayList<>();

  private final GuestMemory memory = new GuestMemory(1 << 20);
  private final AddressSpace mmio = new AddressSpace("mmio");
  private final EduDevice device = new EduDevice(memory);
  private final List<Boolean> wire = new ArrayList<>();

  @BeforeEach
  void plug() {
    MESSAGES.clear();
    PciHost host = new PciHost(new AddressSpace("ports"), mmio, UPSTREAM);
    device.connectInterrupt(wire::add, 10);
    host.add(1, 0, device);
    device.writeConfig(0x10, 4, AT);
    device.writeConfig(0x04, 2, 6);
  }

  @AfterEach
  void close() {
    memory.close();
  }

  private void write(long register, long value) {
    mmio.write(AT + register, register < 0x80 ? 4 : 8, value);
  }

  private long read(long register) {
    return mmio.read(AT + register, register < 0x80 ? 4 : 8);
  }

  private void copy(long from, long to, long count, int command) {
    write(0x80, from);
    write(0x88, to);
    write(0x90, count);
    write(0x98, command);
  }

  @Test
  void isAliveAndComputes() {
    assertEquals(0x11e8_1234L, device.readConfig(0, 4));
    assertEquals(0x0100_00edL, read(0));
    write(4, 0x1234_5678);
    assertEquals(0xedcb_a987L, read(4));
    write(8, 10);
    assertEquals(3_628_800, read(8));
    write(8, 0xffff_ffffL);
    assertEquals(0, read(8), "at once");
    assertEquals(0xff, mmio.read(AT, 1));
    assertEquals(List.of(), wire);
  }

  @Test
  void interruptsByItsPinUntilThatIsAcknowledged() {
    write(0x60, 6);
    assertEquals(6, read(0x24));
    write(0x64, 2);
    assertEquals(4, read(0x24));
    write(0x64, 4);
    assertEquals(List.of(true, false), wire);
    write(0x20, 0x80);
    write(8, 3);
    assertEquals(1, read(0x24), "a factorial is done");
  }

  /** Two processors: the wire is as the register in the end, whoever was first. */
  @Test
  void itsPinIsNotLeftBehind() throws Exception {
    AtomicBoolean high = new AtomicBoolean();
    device.connectInterrupt(high::set, 10);
    CyclicBarrier together = new CyclicBarrier(2);
    try (ExecutorService other = Executors.newSingleThreadExecutor()) {
      for (int i = 0; i < 20_000; i++) {
        Future<?> raised =
            other.submit(
                () -> {
                  together.await();
                  write(0x60, 1);
                  return null;
                });
        together.await();
        write(0x64, 1);
        raised.get();
        assertEquals(read(0x24) != 0, high.get());
        write(0x64, 1);
      }
    }
  }

  @Test
  void interruptsByAMessageIfItIsTo() {
    int capability = (int) device.readConfig(0x34, 1);
    device.writeConfig(capability + 4, 8, 0xfee0_0000L);
    device.writeConfig(capability + 12, 2, 0x33);
    device.writeConfig(capability + 2, 2, 1);
    write(0x60, 1);
    assertEquals(List.of("4276092928:51"), MESSAGES);
    assertEquals(List.of(), wire);
  }

  @Test
  void copiesThroughWhatItReaches() {
    memory.writeLong(0x2008, 0x1122_3344_5566_7788L);
    copy(0x1008, BUFFER + 16, 8, 1);
    copy(BUFFER + 18, 0x3000, 4, 7);
    assertEquals(0x3344_5566, memory.readInt(0x3000));
    assertEquals(0x100, read(0x24), "done");
    assertEquals(6, read(0x98));
    // Over a page's end, into one that is not let through.
    copy(BUFFER + 16, 0x6ffc, 8, 3);
    assertEquals(0x5566_7788, memory.readInt(0x6ffc));
    assertEquals(0, memory.readInt(0x7000));
  }

  @Test
  void whatItsBufferDoesNotHoldIsNotCopied() {
    memory.writeLong(0x3000, -1);
    copy(BUFFER + 4092, 0x3000, 8, 3);
    copy(BUFFER - 8, 0x3000, 8, 3);
    copy(0, 0x3000, 8, 3);
    copy(BUFFER, 0x3000, -1, 3);
    copy(BUFFER, 0x3000, 1L << 40, 3);
    assertEquals(-1, memory.readLong(0x3000));
    copy(BUFFER + 4088, 0x3000, 8, 3);
    assertEquals(0, memory.readLong(0x3000));
    device.writeConfig(0x04, 2, 2);
    memory.writeLong(0x3000, -1);
    copy(BUFFER, 0x3000, 8, 3);
    assertEquals(-1, memory.readLong(0x3000), "no bus master");
  }

  @Test
  void savedStateIsComplete() throws Exception {
    memory.writeLong(0x3000, 99);
    copy(0x3000, BUFFER, 8, 1);
    write(0x60, 5);
    StateWriter out = new StateWriter();
    device.save(out);
    device.reset();
    device.writeConfig(0x10, 4, AT);
    device.writeConfig(0x04, 2, 6);
    assertEquals(0, read(0x24));
    device.load(new StateReader("edu", out.toByteArray()));
    assertEquals(5, read(0x24));
    copy(BUFFER, 0x4000, 8, 3);
    assertEquals(99, memory.readLong(0x4000));
  }
}
