package dev.bothy.device;

import dev.bothy.core.IrqLine;

/** A wire that remembers its level and counts its rising edges. */
public final class TestWire implements IrqLine {
  public boolean high;
  public int rises;

  @Override
  public void set(boolean level) {
    rises += level && !high ? 1 : 0;
    high = level;
  }
}
