package dev.bothy.core;

import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.function.Supplier;
import jdk.jfr.Event;
import jdk.jfr.FlightRecorder;
import jdk.jfr.FlightRecorderListener;

/**
 * Java's flight recorder, as far as it is at work in this process. The first event class that is
 * touched costs a tenth of a second, so none is before somebody records. Any thread.
 */
public final class FlightRecording {
  private static final Set<Sampling> SAMPLINGS = ConcurrentHashMap.newKeySet();
  private static volatile boolean begun;

  static {
    FlightRecorder.addListener(
        new FlightRecorderListener() {
          @Override
          public void recorderInitialized(FlightRecorder recorder) {
            begun = true;
            SAMPLINGS.forEach(Sampling::register);
          }
        });
  }

  private FlightRecording() {}

  /** True once somebody has recorded anything: event classes may be used. */
  public static boolean begun() {
    return begun;
  }

  /**
   * Has {@code sample} called on a thread of the recorder's, once in each period of an event that
   * is recorded; it commits such events. One call at a time.
   *
   * @param event is asked for the event's class once somebody records
   */
  public static Sampling sample(Supplier<Class<? extends Event>> event, Runnable sample) {
    Sampling sampling = new Sampling(event, sample);
    SAMPLINGS.add(sampling);
    if (begun) {
      sampling.register();
    }
    return sampling;
  }

  /** What is sampled, until it is closed. */
  public static final class Sampling implements AutoCloseable {
    private final Supplier<Class<? extends Event>> event;
    private final Runnable sample;
    private final Runnable hook = this::take;
    private boolean registered;
    private boolean closed;

    private Sampling(Supplier<Class<? extends Event>> event, Runnable sample) {
      this.event = event;
      this.sample = sample;
    }

    private synchronized void register() {
      if (!registered && !closed) {
        registered = true;
        FlightRecorder.addPeriodicEvent(event.get(), hook);
      }
    }

    private synchronized void take() {
      if (!closed) {
        sample.run();
      }
    }

    /** Ends it; no sample is taken any more once this returns. Harmless when repeated. */
    @Override
    public void close() {
      SAMPLINGS.remove(this);
      boolean remove;
      synchronized (this) {
        remove = registered && !closed;
        closed = true;
      }
      if (remove) {
        FlightRecorder.removePeriodicEvent(hook);
      }
    }
  }
}
