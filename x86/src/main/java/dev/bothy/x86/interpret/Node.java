package dev.bothy.x86.interpret;

/**
 * One instruction of a decoded block, ready to run: its operands are resolved to addresses inside
 * the vCPU's state. A node belongs to one vCPU. It either completes or leaves by an exception with
 * the architectural state unchanged.
 */
abstract class Node {
  abstract void run(Processor cpu);
}
