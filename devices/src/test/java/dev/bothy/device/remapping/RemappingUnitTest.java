package dev.bothy.device.remapping;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.bothy.core.GuestMemory;
import dev.bothy.core.state.StateReader;
import dev.bothy.core.state.StateWriter;
import dev.bothy.device.TestClock;
import dev.bothy.device.interrupt.ApicBus;
import dev.bothy.device.interrupt.IoApic;
import dev.bothy.device.pci.Upstream;
import java.util.Random;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

class RemappingUnitTest {
  // Registers.
  private static final int COMMAND = 0x18;
  private static final int STATUS = 0x1c;
  private static final int ROOT = 0x20;
  private static final int CONTEXT_COMMAND = 0x28;
  private static final int FAULT_STATUS = 0x34;
  private static final int FAULT_CONTROL = 0x38;
  private static final int QUEUE_HEAD = 0x80;
  private static final int QUEUE_TAIL = 0x88;
  private static final int QUEUE_ADDRESS = 0x90;
  private static final int COMPLETION = 0x9c;
  private static final int COMPLETION_CONTROL = 0xa0;
  private static final int MESSAGE_TABLE = 0xb8;
  private static final int FAULT_RECORD = 0x220;

  private static final int TRANSLATE = 1 << 31;
  private static final int SET_ROOT = 1 << 30;
  private static final int QUEUE = 1 << 26;
  private static final int REMAP = 1 << 25;
  private static final int SET_TABLE = 1 << 24;
  private static final int COMPATIBLE = 1 << 23;

  // Tables of the guest.
  private static final long ROOT_AT = 0x1000;
  private static final long CONTEXTS_AT = 0x2000;
  private static final long PAGES_AT = 0x3000;
  private static final long MESSAGES_AT = 0x8000;
  private static final long QUEUE_AT = 0x9000;

  private static final int FUNCTION = 8;
  private static final long CONTEXT_AT = CONTEXTS_AT + 16 * FUNCTION;

  private final GuestMemory memory = new GuestMemory(1 << 20);
  private final ApicBus bus = new ApicBus(new TestClock(), 2);
  private final IoApic ioApic = new IoApic(bus, 0);
  private final RemappingUnit unit = new RemappingUnit(memory, bus);

  @BeforeEach
  void enableApics() {
    bus.localApic(0).write(0xf0, 4, 0x1ff);
    bus.localApic(1).write(0xf0, 4, 0x1ff);
  }

  @AfterEach
  void close() {
    memory.close();
  }

  private void command(int bit) {
    unit.write(COMMAND, 4, unit.read(STATUS, 4) | bit & 0xffff_ffffL);
  }

  private int status() {
    return (int) unit.read(STATUS, 4);
  }

  /** Page 0 of the function is page 5 of memory, page 1 is for reading only; 3 levels. */
  private void translate() {
    memory.writeLong(ROOT_AT, CONTEXTS_AT | 1);
    memory.writeLong(CONTEXTS_AT + 16 * FUNCTION, PAGES_AT | 1);
    memory.writeLong(CONTEXTS_AT + 16 * FUNCTION + 8, 1);
    memory.writeLong(PAGES_AT, PAGES_AT + 0x1000 | 3);
    memory.writeLong(PAGES_AT + 0x1000, PAGES_AT + 0x2000 | 3);
    memory.writeLong(PAGES_AT + 0x1008, 0x20_0000 | 0x83);
    memory.writeLong(PAGES_AT + 0x2000, 0x5000 | 3);
    memory.writeLong(PAGES_AT + 0x2008, 0x6000 | 1);
    unit.write(ROOT, 8, ROOT_AT);
    command(SET_ROOT);
    command(TRANSLATE);
  }

  private void remap(int entry, long low, long source) {
    memory.writeLong(MESSAGES_AT + 16 * entry, low);
    memory.writeLong(MESSAGES_AT + 16 * entry + 8, source);
    unit.write(MESSAGE_TABLE, 8, MESSAGES_AT | 3);
    command(SET_TABLE);
    command(REMAP);
  }

  /** What the fault record says, and is then told to forget. */
  private String fault() {
    long source = unit.read(FAULT_RECORD + 8, 8);
    assertEquals(source < 0, (unit.read(FAULT_STATUS, 4) & 2) != 0);
    if (source >= 0) {
      return "none";
    }
    unit.write(FAULT_RECORD + 12, 4, 1L << 31);
    return "%x by %x for %x%s"
        .formatted(
            source >>> 32 & 0xff,
            source & 0xffff,
            unit.read(FAULT_RECORD, 8),
            (source >>> 62 & 1) != 0 ? ", read" : "");
  }

  @Test
  void isOffAtFirst() {
    assertEquals(0, status());
    assertEquals(0x1234_5678L, unit.physical(FUNCTION, 0x1234_5678L, true));
    unit.messages(FUNCTION).send(0xfee0_1000L, 0x41);
    assertEquals(0x41, bus.localApic(1).acknowledge());
    assertEquals(2L << 8, unit.read(0x08, 8) & 2L << 8, "39 bits");
    assertEquals(0x10, unit.read(0, 4));
  }

  @Test
  void accessesGoWhereTheFunctionsTablesSay() {
    translate();
    assertEquals(TRANSLATE | SET_ROOT, status());
    assertEquals(0x5123, unit.physical(FUNCTION, 0x123, true));
    assertEquals(0x6123, unit.physical(FUNCTION, 0x1123, false));
    assertEquals(0x21_2345, unit.physical(FUNCTION, 0x21_2345, false), "2 MiB");
    assertEquals("none", fault());
    memory.writeLong(CONTEXTS_AT + 16 * FUNCTION, 1 | 2 << 2);
    assertEquals(0x77_7777, unit.physical(FUNCTION, 0x77_7777, true), "passed through");
  }

  @Test
  void whatTheTablesDoNotAllowIsBlockedAndRecorded() {
    translate();
    assertEquals(Upstream.BLOCKED, unit.physical(FUNCTION, 0x1123, true));
    assertEquals("5 by 8 for 1000", fault());
    assertEquals(Upstream.BLOCKED, unit.physical(FUNCTION, 0x2123, false));
    assertEquals("6 by 8 for 2000, read", fault());
    assertEquals(Upstream.BLOCKED, unit.physical(FUNCTION, 1L << 39, false));
    assertEquals("4 by 8 for 8000000000, read", fault());
    assertEquals(Upstream.BLOCKED, unit.physical(FUNCTION + 1, 0, false));
    assertEquals("2 by 9 for 0, read", fault());
    memory.writeLong(CONTEXTS_AT + 16 * FUNCTION + 8, 3);
    assertEquals(Upstream.BLOCKED, unit.physical(FUNCTION, 0, false));
    assertEquals("3 by 8 for 0, read", fault());
    memory.writeLong(CONTEXTS_AT + 16 * FUNCTION, PAGES_AT | 3);
    assertEquals(Upstream.BLOCKED, unit.physical(FUNCTION, 0, false));
    assertEquals("none", fault(), "nobody wants to know");
    memory.writeLong(ROOT_AT, 0);
    assertEquals(Upstream.BLOCKED, unit.physical(FUNCTION, 0, false));
    unit.physical(FUNCTION, 0, true);
    assertEquals(3, unit.read(FAULT_STATUS, 4), "and one is lost");
    assertEquals("1 by 8 for 0, read", fault());
  }

  /** An access of page 0 with {@code bits} in the entry at {@code at}, and then without them. */
  private void assertFault(String reason, long at, long bits) {
    long entry = memory.readLong(at);
    memory.writeLong(at, entry | bits);
    assertEquals(Upstream.BLOCKED, unit.physical(FUNCTION, 0, false));
    assertEquals(reason + " by 8 for 0, read", fault());
    memory.writeLong(at, entry);
    assertEquals(0x5000, unit.physical(FUNCTION, 0, false));
  }

  @Test
  void reservedBitsAreRecordedByTheKindOfTheirEntry() {
    translate();
    assertFault("a", ROOT_AT, 1 << 1);
    assertFault("a", ROOT_AT, 1 << 11);
    assertFault("a", ROOT_AT, 1L << 40);
    assertFault("a", ROOT_AT + 8, 1);
    assertFault("a", ROOT_AT + 8, 1L << 63);
    assertFault("b", CONTEXT_AT, 1 << 4);
    assertFault("b", CONTEXT_AT, 1 << 11);
    assertFault("b", CONTEXT_AT, 1L << 40);
    assertFault("b", CONTEXT_AT + 8, 1 << 7);
    assertFault("b", CONTEXT_AT + 8, 1L << 24);
    assertFault("b", CONTEXT_AT + 8, 1L << 63);
    for (long table = PAGES_AT; table < PAGES_AT + 0x3000; table += 0x1000) {
      assertFault("c", table, 1 << 11);
      assertFault("c", table, 1L << 40);
      assertFault("c", table, 1L << 51);
      assertFault("c", table, 1L << 62);
    }
  }

  @Test
  void ignoredBitsAreIgnored() {
    translate();
    memory.writeLong(CONTEXT_AT + 8, 1 | 0x78 | 0xffffL << 8);
    memory.writeLong(PAGES_AT, PAGES_AT + 0x1000 | 3 | 0x77c | 0xbffL << 52);
    memory.writeLong(PAGES_AT + 0x1000, PAGES_AT + 0x2000 | 3 | 0x77c | 0xbffL << 52);
    memory.writeLong(PAGES_AT + 0x2000, 0x5000 | 3 | 0x7fc | 0xbffL << 52);
    assertEquals(0x5123, unit.physical(FUNCTION, 0x123, true));
    memory.writeLong(CONTEXT_AT, 1L << 63 | 1 | 2 << 2);
    assertEquals(0x123, unit.physical(FUNCTION, 0x123, true), "passes, so there is no table");
  }

  @Test
  void largePagesAreAlignedAndHaveALevel() {
    translate();
    memory.writeLong(PAGES_AT + 0x1008, 0x20_1000 | 0x83);
    assertEquals(Upstream.BLOCKED, unit.physical(FUNCTION, 0x20_0000, false));
    assertEquals("c by 8 for 200000, read", fault());
    memory.writeLong(PAGES_AT + 8, 1L << 29 | 0x83);
    assertEquals(Upstream.BLOCKED, unit.physical(FUNCTION, 1 << 30, false));
    assertEquals("c by 8 for 40000000, read", fault());
    memory.writeLong(PAGES_AT + 8, 1L << 30 | 0x83);
    assertEquals(1L << 30 | 5, unit.physical(FUNCTION, 1 << 30 | 5, false));
    memory.writeLong(CONTEXT_AT + 8, 2);
    memory.writeLong(PAGES_AT, PAGES_AT | 0x83);
    assertEquals(Upstream.BLOCKED, unit.physical(FUNCTION, 0, false));
    assertEquals("c by 8 for 0, read", fault(), "nothing is as large as 512 GiB");
  }

  @Test
  void tablesThatAreNoMemoryAreRecordedByTheirKind() {
    translate();
    assertFault("7", CONTEXT_AT, 1L << 39);
    assertFault("7", PAGES_AT, 1L << 39);
    assertFault("9", ROOT_AT, 1L << 39);
    unit.write(ROOT, 8, 1L << 39);
    command(SET_ROOT);
    assertEquals(Upstream.BLOCKED, unit.physical(FUNCTION, 0, false));
    assertEquals("8 by 8 for 0, read", fault());
  }

  @Test
  void aFaultInterruptsWhenThatIsNotMasked() {
    translate();
    unit.write(FAULT_CONTROL + 4, 4, 0x51);
    unit.write(FAULT_CONTROL + 8, 4, 0xfee0_1000L);
    unit.physical(FUNCTION, 0x2000, true);
    assertFalse(bus.localApic(1).interruptPending());
    assertEquals(3L << 30, unit.read(FAULT_CONTROL, 4), "masked, pending");
    unit.write(FAULT_CONTROL, 4, 0);
    assertEquals(0x51, bus.localApic(1).acknowledge());
    assertEquals(0, unit.read(FAULT_CONTROL, 4));
  }

  private static long entry(int vector, int cpu) {
    return 1 | (long) vector << 16 | (long) cpu << 40;
  }

  @Test
  void messagesBecomeWhatTheirEntrySays() {
    remap(2, entry(0x61, 1), 1 << 18 | FUNCTION);
    unit.messages(FUNCTION).send(0xfee0_0010L | 2 << 5, 0);
    assertEquals(0x61, bus.localApic(1).acknowledge());
    unit.messages(FUNCTION).send(0xfee0_0018L | 1 << 5, 1);
    assertEquals("none", fault());
    bus.localApic(1).write(0xb0, 4, 0);
    assertEquals(0x61, bus.localApic(1).acknowledge(), "by its subhandle");
  }

  @Test
  void messagesThatNoEntryAllowsAreBlockedAndRecorded() {
    remap(2, entry(0x61, 1), 1 << 18 | FUNCTION);
    unit.messages(FUNCTION + 1).send(0xfee0_0010L | 2 << 5, 0);
    assertEquals("26 by 9 for 2000000000000", fault());
    unit.messages(FUNCTION).send(0xfee0_0010L | 3 << 5, 0);
    assertEquals("22 by 8 for 3000000000000", fault());
    unit.messages(FUNCTION).send(0xfee0_0010L | 16 << 5, 0);
    assertEquals("21 by 8 for 10000000000000", fault());
    unit.messages(FUNCTION).send(0xfee0_1000L, 0x41);
    assertEquals("25 by 8 for 0", fault());
    assertFalse(bus.localApic(1).interruptPending());
    command(COMPATIBLE);
    unit.messages(FUNCTION).send(0xfee0_1000L, 0x41);
    assertEquals(0x41, bus.localApic(1).acknowledge());
    remap(2, entry(0x61, 1), 1 << 18 | 3 << 16 | FUNCTION);
    unit.messages(FUNCTION + 1).send(0xfee0_0010L | 2 << 5, 0);
    assertEquals(0x61, bus.localApic(1).acknowledge(), "any function of the device");
  }

  @Test
  void pinsOfTheIoApicNameEntriesToo() {
    remap(1, entry(0x62, 1) | 1 << 4, 0);
    ioApic.write(0, 4, 0x11 + 2 * 9);
    ioApic.write(0x10, 4, 1 << 17 | 1 << 16);
    ioApic.write(0, 4, 0x10 + 2 * 9);
    ioApic.write(0x10, 4, 0x8062);
    ioApic.pin(9).set(true);
    assertEquals(0x62, bus.localApic(1).acknowledge());
    bus.localApic(1).write(0xb0, 4, 0);
    assertTrue(bus.localApic(1).interruptPending(), "it is level-triggered, and still there");
    ioApic.write(0, 4, 0x11 + 2 * 9);
    assertEquals(1 << 17 | 1 << 16, ioApic.read(0x10, 4));
  }

  @Test
  void theQueueTellsWhenItHasComeToAnEnd() {
    memory.writeLong(QUEUE_AT, 1);
    memory.writeLong(QUEUE_AT + 16, 2);
    memory.writeLong(QUEUE_AT + 32, 4);
    memory.writeLong(QUEUE_AT + 48, 5 | 1 << 4 | 1 << 5 | 77L << 32);
    memory.writeLong(QUEUE_AT + 56, 0xa000);
    unit.write(COMPLETION_CONTROL + 4, 4, 0x52);
    unit.write(COMPLETION_CONTROL + 8, 4, 0xfee0_0000L);
    unit.write(COMPLETION_CONTROL, 4, 0);
    unit.write(QUEUE_ADDRESS, 8, QUEUE_AT);
    unit.write(QUEUE_TAIL, 4, 64);
    assertEquals(0, unit.read(QUEUE_HEAD, 4));
    command(QUEUE);
    assertEquals(64, unit.read(QUEUE_HEAD, 4));
    assertEquals(77, memory.readInt(0xa000));
    assertEquals(1, unit.read(COMPLETION, 4));
    assertEquals(0x52, bus.localApic(0).acknowledge());
    unit.write(COMPLETION, 4, 1);
    assertEquals(0, unit.read(COMPLETION, 4));
    memory.writeLong(QUEUE_AT + 64, 15);
    unit.write(QUEUE_TAIL, 4, 80);
    assertEquals(1 << 4, unit.read(FAULT_STATUS, 4), "what is that?");
    assertEquals(64, unit.read(QUEUE_HEAD, 4));
    memory.writeLong(QUEUE_AT + 64, 1);
    unit.write(FAULT_STATUS, 4, 1 << 4);
    assertEquals(80, unit.read(QUEUE_HEAD, 4));
  }

  /** All of memory would be taken for descriptors, by a vCPU that is away meanwhile. */
  @Test
  void aQueueThatHasBecomeShorterThanItsHeadEnds() {
    for (long at = 0; at < memory.size(); at += 16) {
      memory.writeLong(at, 1);
    }
    unit.write(QUEUE_ADDRESS, 8, 7);
    unit.write(QUEUE_TAIL, 4, 0x7_0000);
    command(QUEUE);
    assertEquals(0x7_0000, unit.read(QUEUE_HEAD, 4));
    unit.write(QUEUE_ADDRESS, 8, 0);
    unit.write(QUEUE_TAIL, 4, 0x10);
    assertEquals(1 << 4, unit.read(FAULT_STATUS, 4));
    assertEquals(0x7_0000, unit.read(QUEUE_HEAD, 4));
  }

  @Test
  void whatTheGuestHasLookedAfterInterruptsNobodyLater() {
    translate();
    unit.write(FAULT_CONTROL + 4, 4, 0x51);
    unit.write(FAULT_CONTROL + 8, 4, 0xfee0_1000L);
    unit.physical(FUNCTION, 0x2000, true);
    assertEquals("5 by 8 for 2000", fault());
    assertEquals(1L << 31, unit.read(FAULT_CONTROL, 4));
    unit.write(FAULT_CONTROL, 4, 0);
    memory.writeLong(QUEUE_AT, 5 | 1 << 4);
    unit.write(COMPLETION_CONTROL + 8, 4, 0xfee0_1000L);
    unit.write(QUEUE_ADDRESS, 8, QUEUE_AT);
    unit.write(QUEUE_TAIL, 4, 16);
    command(QUEUE);
    assertEquals(3L << 30, unit.read(COMPLETION_CONTROL, 4));
    unit.write(COMPLETION, 4, 1);
    unit.write(COMPLETION_CONTROL, 4, 0);
    assertFalse(bus.localApic(1).interruptPending());
  }

  @Test
  void invalidationsByRegistersAreOverAtOnce() {
    unit.write(CONTEXT_COMMAND, 8, 1L << 63 | 1L << 61);
    assertEquals(1L << 61 | 1L << 59, unit.read(CONTEXT_COMMAND, 8));
    unit.write(0xf8, 8, 1L << 63 | 2L << 60);
    assertEquals(2L << 60 | 2L << 57, unit.read(0xf8, 8));
  }

  @Test
  void savedStateIsInForceElsewhere() throws Exception {
    translate();
    remap(2, entry(0x61, 1), 0);
    unit.physical(FUNCTION, 0x2000, true);
    StateWriter out = new StateWriter();
    unit.save(out);
    unit.reset();
    assertEquals(0x123, unit.physical(FUNCTION, 0x123, true));
    assertEquals("none", fault());
    unit.load(new StateReader("remapping", out.toByteArray()));
    assertEquals(0x5123, unit.physical(FUNCTION, 0x123, true));
    unit.messages(FUNCTION).send(0xfee0_0010L | 2 << 5, 0);
    assertEquals(0x61, bus.localApic(1).acknowledge());
    assertEquals("5 by 8 for 2000", fault());
  }

  @Test
  void nothingThatAGuestDoesBreaksIt() {
    Random random = new Random(1);
    for (int i = 0; i < 1 << 18; i += 8) {
      memory.writeLong(i, random.nextLong() & random.nextLong(1 << 19));
    }
    int blocked = 0;
    for (int i = 0; i < 200_000; i++) {
      switch (random.nextInt(4)) {
        case 0 -> unit.write(random.nextInt(0x240) & ~3, 4 << random.nextInt(2), random.nextLong());
        case 1 -> unit.write(random.nextInt(64) * 4, 4, random.nextInt(1 << 18) & 0xffff_ffffL);
        case 2 ->
            unit.messages(random.nextInt(256)).send(0xfee0_0000L | random.nextInt(1 << 20), 3);
        default ->
            blocked +=
                unit.physical(random.nextInt(256), random.nextLong(1L << 40), random.nextBoolean())
                        == Upstream.BLOCKED
                    ? 1
                    : 0;
      }
      unit.read(random.nextInt(0x240), 1 << random.nextInt(4));
    }
    assertTrue(blocked > 100);
  }
}
