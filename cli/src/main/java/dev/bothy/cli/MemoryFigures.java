package dev.bothy.cli;

import dev.bothy.Vm;
import dev.bothy.device.virtio.VirtioBalloon;
import dev.bothy.device.virtio.VirtioBalloon.Statistic;
import java.time.Duration;
import java.util.Map;

/**
 * What is known of a guest's memory through its balloon.
 *
 * @param released bytes that went back to the host, all in all
 * @param said what the guest said last; empty if it has no driver
 */
record MemoryFigures(long released, Map<Statistic, Long> said) {
  /** Of a machine without a balloon. */
  static final MemoryFigures NONE = new MemoryFigures(0, Map.of());

  private static final Duration PERIOD = Duration.ofSeconds(5);

  /** What is known now. */
  static MemoryFigures of(Vm vm) {
    return vm.balloon()
        .map(balloon -> new MemoryFigures(balloon.released(), balloon.statistics()))
        .orElse(NONE);
  }

  /** Asks the guest every few seconds, until the thread that this returns is interrupted. */
  static Thread ask(VirtioBalloon balloon) {
    return Thread.ofVirtual()
        .name("bothy-balloon")
        .start(
            () -> {
              try {
                while (true) {
                  Thread.sleep(PERIOD);
                  balloon.askForStatistics();
                }
              } catch (InterruptedException e) {
                // The machine has ended.
              }
            });
  }
}
