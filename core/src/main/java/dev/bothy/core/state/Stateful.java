package dev.bothy.core.state;

/**
 * Something that saves and loads itself: one named, versioned section. Only called while the
 * machine is stopped. What is written depends on guest-visible state alone, so that equal machines
 * write equal bytes.
 */
public interface Stateful {
  /** Unique within a machine: "cpu0", "ioapic". */
  String stateName();

  /** Raised when the format changes. */
  default int stateVersion() {
    return 1;
  }

  void save(StateWriter out);

  /**
   * Replaces this object's state.
   *
   * @throws StateException if the section is damaged; this object's state is then undefined and
   *     must be reset
   */
  void load(StateReader in) throws StateException;
}
