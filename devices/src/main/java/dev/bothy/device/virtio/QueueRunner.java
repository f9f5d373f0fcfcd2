package dev.bothy.device.virtio;

/** Finds the threads that serve a queue. Any thread. */
sealed interface QueueRunner permits SerialRunner, ParallelRunner {
  /** There may be requests: has the queue served, unless that is being done. Returns soon. */
  void kick();
}
