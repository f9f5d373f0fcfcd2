package dev.bothy.machine;

/** What a guest asks of its machine. */
record GuestRequests(Machine machine) implements Board.Requests {
  @Override
  public void off() {
    machine.stop(new MachineExit.PoweredOff());
  }

  @Override
  public void sleep() {
    machine.sleep();
  }

  @Override
  public void wake() {
    machine.wake();
  }

  @Override
  public void reset() {
    machine.reset();
  }

  @Override
  public void debugExit(int code) {
    machine.stop(new MachineExit.DebugExit(code));
  }
}
