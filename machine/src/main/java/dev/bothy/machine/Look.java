package dev.bothy.machine;

/** What is done while a machine stands. */
@FunctionalInterface
public interface Look<T, E extends Exception> {
  T look() throws E;
}
