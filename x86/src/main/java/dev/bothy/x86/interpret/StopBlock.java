package dev.bothy.x86.interpret;

/**
 * Leaves the running block between two instructions, or a string instruction between two
 * iterations: nothing of the present node counts as executed, and execution goes on at its start
 * after a look at the attention word.
 */
final class StopBlock extends RuntimeException {
  private static final long serialVersionUID = 1L;

  static final StopBlock SIGNAL = new StopBlock();

  static final Node NODE =
      new Node() {
        @Override
        void run(Processor cpu) {
          throw SIGNAL;
        }
      };

  static final End END =
      new End() {
        @Override
        Block run(Processor cpu) {
          throw SIGNAL;
        }
      };

  private StopBlock() {
    super(null, null, false, false);
  }
}
