package dev.bothy.machine.boot;

/**
 * What a machine starts: called at power-on and again at each reset, on a machine that does not
 * run.
 */
@FunctionalInterface
public interface BootSource {
  /**
   * Fills RAM.
   *
   * @return how the boot processor starts
   * @throws BootException if there is nothing to boot; RAM is then undefined
   */
  BootState load(BootEnvironment environment) throws BootException;
}
