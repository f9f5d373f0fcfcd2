package dev.bothy.device.interrupt;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.bothy.core.AddressSpace;
import dev.bothy.core.ApicState;
import dev.bothy.core.CpuEvents;
import dev.bothy.core.EngineApic;
import dev.bothy.core.EngineApics;
import dev.bothy.core.state.StateReader;
import dev.bothy.core.state.StateWriter;
import dev.bothy.device.TestClock;
import java.util.ArrayList;
import java.util.List;
import java.util.TreeMap;
import org.junit.jupiter.api.Test;

/** Local APICs that an engine has itself. */
class EngineApicTest {
  private static final int SVR = 0xf0;
  private static final int IRR = 0x200;
  private static final int LVT_TIMER = 0x320;
  private static final int LVT_LINT1 = 0x360;
  private static final int INITIAL = 0x380;
  private static final int DIVIDE = 0x3e0;
  private static final int MSR_DEADLINE = 0x6e0;
  private static final int DEADLINE_MODE = 1 << 18;
  private static final int LEVEL = 0xc000;

  private final TestClock clock = new TestClock();
  private final ApicBus bus = new ApicBus(clock, 2);
  private final LocalApic apic = bus.localApic(0);
  private final List<String> events = new ArrayList<>();

  /** Keeps what it is given. */
  private static final class Kept implements EngineApic {
    ApicState state;
    int writes;

    @Override
    public ApicState read() {
      return new ApicState(state.base(), state.registers().clone(), state.deadline());
    }

    @Override
    public void write(ApicState newState) {
      state = newState;
      writes++;
    }
  }

  private static final class Log implements EngineApics {
    final List<String> messages = new ArrayList<>();
    final TreeMap<Integer, String> pins = new TreeMap<>();
    boolean accepts = true;

    @Override
    public boolean deliver(long address, int data) {
      messages.add("%x %x".formatted(address, data));
      return accepts;
    }

    @Override
    public void watchPin(int pin, long address, int data) {
      pins.put(pin, "%x %x".formatted(address, data));
    }

    @Override
    public void forgetPin(int pin) {
      pins.remove(pin);
    }
  }

  private Kept move() {
    bus.connect(
        0,
        new CpuEvents() {
          @Override
          public void interruptChanged() {
            events.add("interrupt");
          }

          @Override
          public void nmi() {
            events.add("nmi");
          }

          @Override
          public void init() {}

          @Override
          public void startup(int page) {}
        });
    Kept engine = new Kept();
    apic.moveTo(engine);
    events.clear();
    return engine;
  }

  private static byte[] saved(LocalApic apic) {
    StateWriter out = new StateWriter();
    apic.save(out);
    return out.toByteArray();
  }

  /** A debugger's CR8. */
  @Test
  void taskPriorityIsThatOfTheEngine() {
    Kept engine = move();
    apic.setTaskPriority(5);
    assertEquals(0x50, engine.state.registers()[8]);
    assertEquals(5, apic.taskPriority());
    engine.state.registers()[8] = 0x73;
    assertEquals(7, apic.taskPriority());
  }

  @Test
  void registersMoveThereAndBack() {
    apic.enterVirtualWireMode();
    apic.write(0x80, 4, 0x20);
    apic.write(LVT_TIMER, 4, 0x40);
    apic.write(DIVIDE, 4, 0xb);
    apic.write(INITIAL, 4, 5000);
    clock.advance(1000);
    Kept engine = move();
    int[] page = engine.state.registers();
    assertEquals(0xfee0_0900L, engine.state.base());
    assertEquals(0x1ff, page[SVR >> 4]);
    assertEquals(0x20, page[0x08]);
    assertEquals(0x8700, page[0x35]);
    assertEquals(5000, page[INITIAL >> 4]);
    assertEquals(4000, page[0x39]);
    assertEquals(0, clock.advance(10_000), "its timer is there, too");
    page[0x39] = 3000;
    page[0x22] = 1 << 5; // vector 45h
    page[0x1a] = 1 << 5;
    apic.moveBack();
    assertTrue(apic.interruptPending());
    assertEquals(0x45, apic.acknowledge());
    assertEquals(3000, apic.read(0x390, 4));
    assertEquals(1, clock.advance(3000));
    assertEquals(1, apic.read(IRR + 0x20, 4));
  }

  @Test
  void whatIsSavedIsWhatTheEngineHas() throws Exception {
    Kept engine = move();
    engine.state.registers()[SVR >> 4] = 0x1ff;
    engine.state.registers()[0x22] = 1 << 4; // vector 44h
    engine.state.registers()[LVT_TIMER >> 4] = DEADLINE_MODE | 0x40;
    engine.state = new ApicState(engine.state.base(), engine.state.registers(), 7000);
    byte[] state = saved(apic);
    LocalApic other = new ApicBus(new TestClock(), 1).localApic(0);
    other.load(new StateReader("apic0", state));
    assertTrue(other.interruptPending());
    assertEquals(0x44, other.acknowledge());
    assertEquals(7000, other.readMsr(MSR_DEADLINE).orElseThrow());
    // And what is loaded is what it gets.
    Kept another = new Kept();
    LocalApic third = new ApicBus(clock, 1).localApic(0);
    third.moveTo(another);
    third.load(new StateReader("apic0", state));
    assertArrayEquals(engine.state.registers(), withoutVersion(another.state.registers()));
    assertEquals(7000, another.state.deadline());
    assertEquals(0, clock.advance(10_000));
    assertArrayEquals(state, saved(third));
  }

  @Test
  void aDeadlineThatComesBackGoesByTheCounterAsItIsThen() {
    apic.write(SVR, 4, 0x1ff);
    apic.write(LVT_TIMER, 4, DEADLINE_MODE | 0x40);
    Kept engine = move();
    apic.setTscOffset(-2000);
    engine.state = new ApicState(engine.state.base(), engine.state.registers(), 5000);
    apic.moveBack();
    assertEquals(0, clock.advance(6999));
    assertEquals(1, clock.advance(1));
    assertEquals(0x40, apic.acknowledge());
  }

  private static int[] withoutVersion(int[] page) {
    page[3] = 0;
    return page;
  }

  @Test
  void resetInitAndFirmwareReachTheEngine() {
    Kept engine = move();
    engine.state.registers()[SVR >> 4] = 0x1ff;
    apic.reset();
    assertEquals(0xff, engine.state.registers()[SVR >> 4]);
    apic.enterVirtualWireMode();
    assertEquals(0x1ff, engine.state.registers()[SVR >> 4]);
    assertEquals(0x8400, engine.state.registers()[LVT_LINT1 >> 4]);
    engine.state = new ApicState(0xfee0_0d00L, engine.state.registers(), 0);
    apic.init();
    assertEquals(0xfee0_0d00L, engine.state.base());
    assertEquals(0xff, engine.state.registers()[SVR >> 4]);
    assertEquals(0xfee0_0d00L, apic.apicBase());
  }

  @Test
  void nothingButTheWiresIsLeftHere() {
    new Pic(bus);
    Kept engine = move();
    engine.state.registers()[0x22] = 1;
    assertFalse(apic.interruptPending());
    assertEquals(-1, apic.acknowledge());
    assertEquals(-1, apic.baseAddress());
    assertFalse(apic.ownsMsr(MSR_DEADLINE));
    assertFalse(apic.ownsMsr(0x802));
    assertTrue(apic.readMsr(MSR_DEADLINE).isEmpty());
    assertFalse(apic.writeMsr(MSR_DEADLINE, 1));
    assertFalse(apic.setApicBase(0xfee0_0900L));
    bus.pulseNmi();
    assertEquals(List.of("nmi"), events);
  }

  @Test
  void the8259PairIsStillAskedHere() {
    AddressSpace ports = new AddressSpace("ports");
    Pic pic = new Pic(bus);
    pic.attach(ports);
    for (int[] write : new int[][] {{0x20, 0x11}, {0x21, 0x30}, {0x21, 4}, {0x21, 1}}) {
      ports.write(write[0], 1, write[1]);
    }
    move();
    pic.input(4).set(true);
    assertTrue(events.contains("interrupt"), events.toString());
    assertTrue(apic.interruptPending());
    assertEquals(0x34, apic.acknowledge());
    assertFalse(apic.interruptPending());
    assertTrue(apic.giveBack(0x34));
    assertEquals(0x34, apic.acknowledge());
    assertFalse(apic.giveBack(0x45));
  }

  @Test
  void messagesGoToTheEngine() {
    Log engine = new Log();
    bus.moveTo(engine);
    bus.send(0xfee0_100cL, 0x4123);
    bus.send(0xfed0_0000L, 0x41);
    assertEquals(List.of("fee0100c 4123"), engine.messages);
    assertEquals(0, apic.read(IRR + 0x10, 4));
    bus.moveBack();
    bus.send(0xfee0_0000L, 0x41);
    assertEquals(1, engine.messages.size());
  }

  @Test
  void levelTriggeredPinsAreWatchedAndSentAgainAtTheEnd() {
    IoApic ioApic = new IoApic(bus, 0);
    Log engine = new Log();
    bus.moveTo(engine);
    redirect(ioApic, 16, 1, 1 << 15 | 1 << 11 | 1 << 8 | 0x51);
    redirect(ioApic, 4, 0, 0x34);
    // Lowest priority, logical, to 1: redirectable.
    assertEquals("{16=fee0100c c151}", engine.pins.toString());
    ioApic.pin(4).pulse();
    ioApic.pin(16).set(true);
    assertEquals(List.of("fee00000 34", "fee0100c c151"), engine.messages);
    apic.endOfInterrupt(0x51);
    assertEquals(3, engine.messages.size(), "the pin is still high");
    ioApic.pin(16).set(false);
    apic.endOfInterrupt(0x51);
    assertEquals(3, engine.messages.size());
    // Masked, it still waits for the end of what it has sent.
    redirect(ioApic, 16, 1, 1 << 16 | 1 << 15 | 0x51);
    assertEquals("{16=fee01000 " + Integer.toHexString(LEVEL | 0x51) + "}", engine.pins.toString());
    ioApic.reset();
    assertEquals("{}", engine.pins.toString());
  }

  @Test
  void aMessageThatNobodyTakesLeavesThePinFree() {
    IoApic ioApic = new IoApic(bus, 0);
    Log engine = new Log();
    engine.accepts = false;
    bus.moveTo(engine);
    redirect(ioApic, 16, 0, 1 << 15 | 0x51);
    ioApic.pin(16).set(true);
    ioApic.write(0, 4, 0x10 + 2 * 16);
    assertEquals(0, ioApic.read(0x10, 4) & 1 << 14, "remote IRR");
  }

  private static void redirect(IoApic ioApic, int pin, int destination, int low) {
    ioApic.write(0, 4, 0x10 + 2 * pin + 1);
    ioApic.write(0x10, 4, (long) destination << 24);
    ioApic.write(0, 4, 0x10 + 2 * pin);
    ioApic.write(0x10, 4, low);
  }
}
