package dev.bothy.machine;

import dev.bothy.core.CpuEvents;
import dev.bothy.core.Vcpu;
import java.util.concurrent.locks.ReentrantLock;
import java.util.function.Consumer;

/**
 * Where a vCPU is plugged in. Interrupt hardware and the vCPU's thread know the socket, so that the
 * vCPU may be exchanged while it stands, and nothing is signalled to one that has gone. Any thread.
 */
final class CpuSocket implements CpuEvents {
  /** Held while a vCPU is signalled, which takes nanoseconds, and while it is exchanged. */
  private final ReentrantLock lock = new ReentrantLock();

  /** Null when the machine has been closed. */
  private volatile Vcpu vcpu;

  CpuSocket(Vcpu vcpu) {
    this.vcpu = vcpu;
  }

  /** The vCPU, which its own thread may keep until it comes to the machine's gate. */
  Vcpu vcpu() {
    return vcpu;
  }

  /** From now on signals wait. */
  void hold() {
    lock.lock();
  }

  /** Signals go on to what is plugged in now. */
  void letGo() {
    lock.unlock();
  }

  /** Puts another in, or none; signals are held. */
  void plug(Vcpu other) {
    vcpu = other;
  }

  @Override
  public void interruptChanged() {
    signal(Vcpu::interruptChanged);
  }

  @Override
  public void nmi() {
    signal(Vcpu::nmi);
  }

  @Override
  public void smi() {
    signal(Vcpu::smi);
  }

  @Override
  public void init() {
    signal(Vcpu::init);
  }

  @Override
  public void startup(int page) {
    signal(plugged -> plugged.startup(page));
  }

  private void signal(Consumer<Vcpu> event) {
    lock.lock();
    try {
      if (vcpu != null) {
        event.accept(vcpu);
      }
    } finally {
      lock.unlock();
    }
  }
}
