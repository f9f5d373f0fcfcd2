package dev.bothy.debug;

import dev.bothy.core.cpu.CpuState;

/** Which of gdb's architectures a processor is shown as. */
public enum RegisterLayout {
  X86_64("i386:x86-64", "x86-64"),
  I386("i386", "i386"),
  I8086("i8086", "i8086");

  private static final long PROTECTED = 1;
  private static final long LONG_MODE_ACTIVE = 1 << 10;

  private final String architecture;
  private final String word;

  RegisterLayout(String architecture, String word) {
    this.architecture = architecture;
    this.word = word;
  }

  /** What gdb calls it. */
  String architecture() {
    return architecture;
  }

  /** What users call it. */
  public String word() {
    return word;
  }

  boolean is64() {
    return this == X86_64;
  }

  /** The one that is the mode of a processor with this state. */
  static RegisterLayout of(CpuState cpu) {
    if ((cpu.get(CpuState.EFER) & LONG_MODE_ACTIVE) != 0) {
      return X86_64;
    }
    return (cpu.get(CpuState.CR0) & PROTECTED) != 0 ? I386 : I8086;
  }
}
