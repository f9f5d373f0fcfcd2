package dev.bothy.x86.decode;

/** How a translator may lower an instruction: the class column of the instruction table. */
public enum Lowering {
  /** Registers and memory; no flags. */
  PLAIN,
  /** Reads or writes arithmetic flags (or DF). */
  FLAGS,
  /** Moves rSP. */
  STACK,
  /** Near branches. */
  CONTROL,
  /** String instructions, with or without a repeat prefix. */
  STRING,
  /** No architectural effect. */
  NOP,
  X87,
  MMX,
  SSE,
  AVX,
  /** Everything else: privileged, segments, gates, ports, state. */
  SYSTEM
}
