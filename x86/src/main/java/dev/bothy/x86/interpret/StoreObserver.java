package dev.bothy.x86.interpret;

/**
 * Hears which pages of RAM a vCPU's stores may reach; see {@link InterpreterEngine#observeStores}.
 */
@FunctionalInterface
public interface StoreObserver {
  /**
   * From now on the vCPU may store to the page at guest-physical {@code page}, page-table bits that
   * it sets itself included. Called before the first such store, on the vCPU's thread, perhaps
   * again and again.
   */
  void mayBeWritten(long page);
}
