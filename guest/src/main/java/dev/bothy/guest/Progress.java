package dev.bothy.guest;

/** Hears how far a long preparation is. Called from one thread. */
@FunctionalInterface
public interface Progress {
  /** Keeps quiet. */
  Progress NONE = (what, fraction) -> {};

  /**
   * Something moved on.
   *
   * @param what what is being done, as people say it: "fetching linux-image-cloud-amd64"
   * @param fraction of that, 0 to 1
   */
  void update(String what, double fraction);
}
