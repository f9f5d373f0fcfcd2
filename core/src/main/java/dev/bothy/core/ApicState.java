package dev.bothy.core;

/**
 * What a local APIC is apart from its wires, as Intel's SDM volume 3, chapter 11, has it.
 *
 * @param base the IA32_APIC_BASE MSR
 * @param registers 64 words: number n is what the register page shows at 16 * n; in x2APIC mode,
 *     too, the id is in the highest byte of its word
 * @param deadline the IA32_TSC_DEADLINE MSR, in ticks of the counter of {@link
 *     LocalInterruptController#setTscOffset}; 0 for none
 */
public record ApicState(long base, int[] registers, long deadline) {
  /** How many registers a page has. */
  public static final int REGISTERS = 64;
}
