package dev.bothy.x86.interpret;

/** How a block goes on. */
abstract class End {
  /**
   * Runs the block's last instruction, if it has one of its own, and sets RIP.
   *
   * @return the block to go on with if it is known, else null: look it up
   */
  abstract Block run(Processor cpu);

  /**
   * The block that starts where this end has just led to, for ends that remember; the default
   * forgets.
   */
  void link(Block target) {}
}
