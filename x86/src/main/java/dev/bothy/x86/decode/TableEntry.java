package dev.bothy.x86.decode;

/** One row of the instruction table. */
public record TableEntry(Op op) {}
