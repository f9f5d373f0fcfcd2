package dev.bothy.device.virtio;

import dev.bothy.core.FlightRecording;
import java.util.concurrent.atomic.LongAdder;
import java.util.function.Supplier;

/** Counts a card's frames for Java's flight recorder, once somebody records. Any thread. */
final class FrameCounts implements AutoCloseable {
  private final Supplier<String> card;
  private final LongAdder sentFrames = new LongAdder();
  private final LongAdder sentBytes = new LongAdder();
  private final LongAdder receivedFrames = new LongAdder();
  private final LongAdder receivedBytes = new LongAdder();
  private final FlightRecording.Sampling sampling;

  /**
   * @param card its address
   */
  FrameCounts(Supplier<String> card) {
    this.card = card;
    sampling = FlightRecording.sample(() -> NetworkFramesEvent.class, this::sample);
  }

  void sent(long bytes) {
    if (FlightRecording.begun()) {
      sentFrames.increment();
      sentBytes.add(bytes);
    }
  }

  void received(long bytes) {
    if (FlightRecording.begun()) {
      receivedFrames.increment();
      receivedBytes.add(bytes);
    }
  }

  private void sample() {
    NetworkFramesEvent event = new NetworkFramesEvent();
    event.card = card.get();
    event.sentFrames = sentFrames.sumThenReset();
    event.sentBytes = sentBytes.sumThenReset();
    event.receivedFrames = receivedFrames.sumThenReset();
    event.receivedBytes = receivedBytes.sumThenReset();
    if (event.sentFrames + event.receivedFrames > 0) {
      event.commit();
    }
  }

  @Override
  public void close() {
    sampling.close();
  }
}
