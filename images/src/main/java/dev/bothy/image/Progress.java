package dev.bothy.image;

/** Hears how far a long piece of work is. Called often, from one thread at a time. */
@FunctionalInterface
public interface Progress {
  /** Keeps quiet. */
  Progress NONE = (_, _) -> {};

  /** {@code done} of {@code total} are done, in units of the work's own. */
  void update(long done, long total);
}
