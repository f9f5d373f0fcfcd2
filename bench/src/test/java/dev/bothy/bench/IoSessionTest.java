package dev.bothy.bench;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;

class IoSessionTest {
  private static final long SECOND = 1_000_000_000;

  /** Each time it is asked, the vCPU has used three seconds more, and something else one. */
  private static IoSession session() {
    long[] asked = {0};
    return new IoSession(
        () -> {
          asked[0]++;
          return new ThreadTimes(
              4 * SECOND * asked[0],
              Map.of("1 CPU 0/TCG", 3 * SECOND * asked[0], "2 worker", SECOND * asked[0]));
        });
  }

  private static void say(IoSession session, String... lines) {
    for (String line : lines) {
      session.accept(line, 0);
    }
  }

  @Test
  void countsOperationsAndTheirProcessorTime() {
    IoSession session = session();
    say(
        session,
        "io-up",
        "io-begin vda:randread:4k:16",
        "io-end vda:randread:4k:16 8192000 2000000000",
        "io-begin net:down:1",
        "[    3.1] kernel: io-end net:down:1 250000000 1000000000\r",
        "io-done");
    assertTrue(session.ended());
    IoSession.Done disk = session.done().getFirst();
    assertEquals(1000, disk.rate(), 1e-9);
    assertEquals(2000, disk.perDeviceSecond(), 1e-9);
    assertEquals(500, disk.perSecond(), 1e-9);
    IoSession.Done network = session.done().getLast();
    assertEquals(2, network.rate(), 1e-9);
    assertEquals(2, network.perDeviceSecond(), 1e-9);
    assertEquals(0.5, network.perSecond(), 1e-9);
  }

  @Test
  void takesNothingForAResultThatIsNone() {
    IoSession session = session();
    say(
        session,
        "io-end net:up:1 100 100",
        "io-begin net:up:1",
        "io-end net:up:1 error - unable to connect",
        "io-end net:up:1 x 100",
        "io-end net:up:1 0 100",
        "io-begin nobody:knows",
        "io-end nobody:knows 100 100");
    assertEquals(List.of(), session.done());
    assertFalse(session.ended());
    assertTrue(session.tail().contains("unable to connect"));
  }

  @Test
  void tableHasMediansAndTheirRatio() {
    IoTable table = new IoTable();
    IoJob job = IoJob.ALL.getFirst();
    List<IoSession.Done> rounds = new ArrayList<>();
    for (int kilo : new int[] {1, 9, 2}) {
      IoSession session = session();
      say(
          session,
          "io-begin " + job.name(),
          "io-end " + job.name() + " " + kilo * 4096_000 + " 1000000000");
      rounds.add(session.done().getFirst());
      table.add(false, session.done().getFirst());
    }
    table.add(true, rounds.get(1));
    String text = table.markdown(List.of(job, IoJob.ALL.getLast()));
    assertTrue(
        text.contains("| 2000 | 9000 | 4.50 | 2000 | 9000 | 4.50 | 500 | 2250 | 4.50 |"), text);
    assertTrue(text.contains("| host to guest, 4 streams |  |  |  |"), text);
  }

  @Test
  void everyJobHasANameOfItsOwn() {
    assertEquals(IoJob.ALL.size(), IoJob.ALL.stream().map(IoJob::name).distinct().count());
  }
}
