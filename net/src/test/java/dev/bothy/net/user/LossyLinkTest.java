package dev.bothy.net.user;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** TCP over a cable that loses and delays frames, in virtual time. */
final class LossyLinkTest {
  private static final long MILLI = 1_000_000L;
  private static final long SECOND = 1_000 * MILLI;

  private static Cable cable(long delayMillis, double loss) {
    Cable cable = new Cable(42, false);
    cable.delay = delayMillis * MILLI;
    cable.loss = loss;
    return cable;
  }

  /** Seconds for so many bytes each way. */
  private static double transfer(Cable cable, boolean selective, long down, long up) {
    cable.outside.onConnect = peer -> peer.send(down);
    GuestTcp guest = cable.connect("10.0.2.15", 40000, "198.51.100.7", 80, selective);
    guest.send(up, true);
    boolean done =
        cable.run(
            1000 * SECOND,
            () ->
                guest.peerEnded && guest.allAcknowledged() && cable.outside.peers.getFirst().ended);
    FakeOutside.Peer peer = cable.outside.peers.getFirst();
    assertTrue(done, () -> "stuck: " + guest.received + " down, " + peer.received + " up");
    assertEquals(down, guest.received);
    assertEquals(up, peer.received);
    return cable.now / 1e9;
  }

  @Test
  void sendsAtTheSpeedOfTheGuestWhereNothingIsLost() {
    // A round trip of 2 ms and a window of 1 MiB allow 500 MB/s.
    double seconds = transfer(cable(1, 0), true, 20_000_000, 0);
    assertTrue(seconds < 0.1, () -> "took " + seconds);
  }

  @ParameterizedTest
  @CsvSource({"true, 7", "false, 3"})
  void keepsSendingAtOnePercentLossAndFiftyMillisecondsOfDelay(boolean selective, double atLeast) {
    // Each way 50 ms. Reno's formula (Mathis 1997) gives 1.22 * 1460 bytes / (0.1 s * sqrt(0.01))
    // = 178 kB/s; who waited for a time-out at each loss would have less than a tenth of that.
    Cable cable = cable(50, 0.01);
    double seconds = transfer(cable, selective, 10_000_000, 0);
    double share = 10_000_000 / seconds / 178_000;
    assertTrue(10 * share > atLeast, () -> "10 MB took " + seconds + " s, of Reno's " + share);
  }

  @ParameterizedTest
  @CsvSource({"true", "false"})
  void takesWhatAGuestSendsOverALossyLink(boolean selective) {
    transfer(cable(50, 0.01), selective, 0, 3_000_000);
  }

  @ParameterizedTest
  @CsvSource({"0.01, true", "0.05, true", "0.05, false", "0.2, true", "0.2, false"})
  void carriesBothWaysWhateverIsLostAndReordered(double loss, boolean selective) {
    Cable cable = cable(5, loss);
    cable.reorders = true;
    transfer(cable, selective, 400_000, 400_000);
  }
}
