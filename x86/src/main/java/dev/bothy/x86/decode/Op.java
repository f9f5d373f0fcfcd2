package dev.bothy.x86.decode;

/** The mnemonics of the instruction table, in Intel's spelling. */
public enum Op {
  ADD
}
