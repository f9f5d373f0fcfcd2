package dev.bothy.x86.interpret;

/**
 * An exception of the guest on its way from the instruction that raised it to the delivery in the
 * run loop. One preallocated instance a vCPU, without stack trace.
 */
public final class GuestFault extends RuntimeException {
  private static final long serialVersionUID = 1L;

  public static final int DE = 0;
  public static final int DB = 1;
  public static final int NMI = 2;
  public static final int BP = 3;
  public static final int OF = 4;
  public static final int BR = 5;
  public static final int UD = 6;
  public static final int NM = 7;
  public static final int DF = 8;
  public static final int TS = 10;
  public static final int NP = 11;
  public static final int SS = 12;
  public static final int GP = 13;
  public static final int PF = 14;
  public static final int MF = 16;
  public static final int AC = 17;
  public static final int MC = 18;
  public static final int XM = 19;
  public static final int CP = 21;

  /** Vector. */
  int vector;

  /** Error code where the vector has one. */
  int errorCode;

  /** #GP for a non-canonical address that may have to be #SS. */
  boolean nonCanonical;

  /** A task has been switched to, and cannot begin: RIP is its own, and its fault this. */
  boolean ofNextTask;

  GuestFault() {
    super(null, null, false, false);
  }
}
