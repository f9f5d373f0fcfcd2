package dev.bothy.device.platform;

import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.bothy.core.SyntheticConnections;
import dev.bothy.core.SyntheticInterruptTarget;
import dev.bothy.core.state.StateReader;
import dev.bothy.core.state.StateWriter;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import org.junit.jupiter.api.Test;

class HypervTestDeviceTest {
  private final List<String> done = new ArrayList<>();
  private boolean busy;
  private final HypervTestDevice device = connected();

  private HypervTestDevice connected() {
    HypervTestDevice made = new HypervTestDevice();
    SyntheticInterruptTarget target =
        new SyntheticInterruptTarget() {
          @Override
          public void interrupt(int vcpu, int source) {
            done.add("interrupt " + vcpu + " " + source);
          }

          @Override
          public boolean post(int vcpu, int source, int type, byte[] payload) {
            if (!busy) {
              done.add("message " + vcpu + " " + source + " " + type + " " + payload.length);
            }
            return !busy;
          }

          @Override
          public void setFlag(int vcpu, int source, int flag) {
            done.add("flag " + vcpu + " " + source + " " + flag);
          }
        };
    made.connect(Optional.of(target));
    return made;
  }

  private void command(int command, int vcpu, int source, int connection) {
    device.write(0, 4, (long) connection << 24 | command << 16 | vcpu << 8 | source);
  }

  @Test
  void raisesInterrupts() {
    command(3, 1, 5, 0);
    device.write(0, 2, 3);
    device.write(2, 4, 3 << 16);
    command(99, 0, 0, 0);
    assertEquals(List.of("interrupt 1 5"), done);
    assertEquals(-1, device.read(0, 4));
  }

  @Test
  void leadsMessagesAndEventsToTheirVcpu() {
    command(4, 2, 8, 0x10);
    command(6, 3, 9, 0x20);
    assertEquals(SyntheticConnections.SUCCESS, device.postMessage(0x10, 7, new byte[12]));
    assertEquals(SyntheticConnections.SUCCESS, device.signalEvent(0x20, 0));
    assertEquals(SyntheticConnections.INVALID_CONNECTION, device.postMessage(0x20, 7, new byte[1]));
    assertEquals(SyntheticConnections.INVALID_CONNECTION, device.signalEvent(0x10, 0));
    command(5, 0, 0, 0x10);
    assertEquals(SyntheticConnections.INVALID_CONNECTION, device.postMessage(0x10, 7, new byte[1]));
    assertEquals(List.of("message 2 8 7 12", "flag 3 9 32"), done);
  }

  @Test
  void aMessageWaitsForRoomAlsoInASavedMachine() throws Exception {
    command(4, 2, 8, 0x10);
    busy = true;
    assertEquals(SyntheticConnections.SUCCESS, device.postMessage(0x10, 7, new byte[12]));
    assertEquals(
        SyntheticConnections.INSUFFICIENT_BUFFERS, device.postMessage(0x10, 7, new byte[12]));
    StateWriter out = new StateWriter();
    device.save(out);
    device.reset();
    assertEquals(SyntheticConnections.INVALID_CONNECTION, device.postMessage(0x10, 7, new byte[1]));
    device.load(new StateReader("hyperv-test", out.toByteArray()));
    busy = false;
    device.endOfMessage(1);
    assertEquals(List.of(), done);
    device.endOfMessage(2);
    device.endOfMessage(2);
    assertEquals(List.of("message 2 8 7 12"), done);
  }
}
