package dev.bothy.x86.interpret;

/** Bits of control registers, EFER and RFLAGS; AMD64 APM volume 2, chapter 3. */
final class Bits {
  static final long CR0_PE = 1;
  static final long CR0_MP = 1 << 1;
  static final long CR0_EM = 1 << 2;
  static final long CR0_TS = 1 << 3;
  static final long CR0_ET = 1 << 4;
  static final long CR0_NE = 1 << 5;
  static final long CR0_WP = 1 << 16;
  static final long CR0_AM = 1 << 18;
  static final long CR0_NW = 1 << 29;
  static final long CR0_CD = 1 << 30;
  static final long CR0_PG = 1L << 31;

  static final long CR4_VME = 1;
  static final long CR4_PVI = 1 << 1;
  static final long CR4_TSD = 1 << 2;
  static final long CR4_DE = 1 << 3;
  static final long CR4_PSE = 1 << 4;
  static final long CR4_PAE = 1 << 5;
  static final long CR4_MCE = 1 << 6;
  static final long CR4_PGE = 1 << 7;
  static final long CR4_PCE = 1 << 8;
  static final long CR4_OSFXSR = 1 << 9;
  static final long CR4_OSXMMEXCPT = 1 << 10;
  static final long CR4_UMIP = 1 << 11;
  static final long CR4_LA57 = 1 << 12;
  static final long CR4_FSGSBASE = 1 << 16;
  static final long CR4_PCIDE = 1 << 17;
  static final long CR4_OSXSAVE = 1 << 18;
  static final long CR4_SMEP = 1 << 20;
  static final long CR4_SMAP = 1 << 21;
  static final long CR4_PKE = 1 << 22;
  static final long CR4_CET = 1 << 23;
  static final long CR4_PKS = 1 << 24;

  static final long EFER_SCE = 1;
  static final long EFER_LME = 1 << 8;
  static final long EFER_LMA = 1 << 10;
  static final long EFER_NXE = 1 << 11;
  static final long EFER_SVME = 1 << 12;
  static final long EFER_FFXSR = 1 << 14;

  /** Automatic IBRS: accepted; there is no speculation to restrict. */
  static final long EFER_AUTOIBRS = 1 << 21;

  static final int CF = 1;
  static final int PF = 1 << 2;
  static final int AF = 1 << 4;
  static final int ZF = 1 << 6;
  static final int SF = 1 << 7;
  static final int TF = 1 << 8;
  static final int IF = 1 << 9;
  static final int DF = 1 << 10;
  static final int OF = 1 << 11;
  static final int IOPL = 3 << 12;
  static final int NT = 1 << 14;
  static final int RF = 1 << 16;
  static final int VM = 1 << 17;
  static final int AC = 1 << 18;
  static final int VIF = 1 << 19;
  static final int VIP = 1 << 20;
  static final int ID = 1 << 21;
  static final int ARITHMETIC = CF | PF | AF | ZF | SF | OF;

  private Bits() {}
}
