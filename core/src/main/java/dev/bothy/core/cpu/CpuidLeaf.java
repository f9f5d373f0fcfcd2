package dev.bothy.core.cpu;

/**
 * What CPUID answers to one question.
 *
 * @param leaf EAX when asked
 * @param subleaf ECX when asked, if it counts
 * @param hasSubleaves false: the answer is the same for every ECX
 */
public record CpuidLeaf(
    int leaf, int subleaf, boolean hasSubleaves, int eax, int ebx, int ecx, int edx) {
  /** Four words of an answer. */
  public CpuidLeaf with(int newEax, int newEbx, int newEcx, int newEdx) {
    return new CpuidLeaf(leaf, subleaf, hasSubleaves, newEax, newEbx, newEcx, newEdx);
  }
}
