package dev.bothy.kvm;

import static dev.bothy.kvm.KvmHeader.*;

import dev.bothy.host.RawMemory;
import dev.bothy.host.ThreadSignal;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.VarHandle;

/**
 * How other threads bring a vCPU out of KVM_RUN: a flag in the page that it shares with the kernel
 * lets the next KVM_RUN return at once, and a signal ends one that is under way; one that comes too
 * late does nothing. Whoever wants something of the vCPU makes that visible first, then calls
 * {@link #interrupt}. The vCPU's thread calls {@link #expect}, looks at what is wanted, and then
 * enters.
 */
final class VcpuSignal {
  /** Bytes of a signal set as the kernel has it. */
  private static final int KERNEL_SET = 8;

  private static final long NO_MASK = 0;

  private final int vcpu;
  private final long flag;

  /** The thread that lets the signal in. */
  private Thread prepared;

  private int preparedNumber;

  /** Number of the thread that runs the vCPU, or 0: written under the lock. */
  private volatile int running;

  private volatile Thread runner;
  private volatile boolean inside;

  /** KVM_RUN is not to return before it has begun; guarded. */
  private boolean insisting;

  private boolean closed;

  /**
   * @param runPage address of the vCPU's {@link KvmRun}
   */
  VcpuSignal(int vcpu, long runPage) {
    this.vcpu = vcpu;
    flag = runPage + KvmRun.IMMEDIATE_EXIT;
  }

  /** The calling thread is about to run the vCPU. */
  void begin() {
    Thread thread = Thread.currentThread();
    if (prepared != thread) {
      ThreadSignal.allow();
      preparedNumber = ThreadSignal.thread();
      prepared = thread;
    }
    synchronized (this) {
      runner = thread;
      running = preparedNumber;
    }
  }

  /** KVM_RUN is to let in what its thread lets in, and our signal, which waits there. */
  private void setMask(long blocked) {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment mask = arena.allocate(KvmSignalMask.SIZE + KERNEL_SET, 8);
      mask.set(ValueLayout.JAVA_INT, KvmSignalMask.LEN, KERNEL_SET);
      mask.set(ValueLayout.JAVA_LONG_UNALIGNED, KvmSignalMask.SIGSET, blocked);
      KvmRequest.require(vcpu, "KVM_SET_SIGNAL_MASK", KVM_SET_SIGNAL_MASK, mask.address());
    }
  }

  /** It does not run the vCPU any more. No signal is sent to it from here on. */
  void end() {
    synchronized (this) {
      running = 0;
      runner = null;
    }
  }

  /** What is wanted up to now will be seen: no need to return at once. */
  void expect() {
    RawMemory.putByte(flag, (byte) 0);
    VarHandle.fullFence();
  }

  /** KVM_RUN is to finish what it has begun, and return. */
  void finishOnly() {
    RawMemory.putByte(flag, (byte) 1);
  }

  /** KVM_RUN follows. */
  void enter() {
    inside = true;
  }

  /**
   * KVM_RUN follows and is to do something, at least deliver what it was given; then it returns if
   * {@code soon} or whenever somebody wants something.
   */
  void insist(boolean soon) {
    // A signal that waits for KVM_RUN lets that begin, and ends it.
    setMask(ThreadSignal.block());
    synchronized (this) {
      insisting = true;
      boolean wanted = RawMemory.getByte(flag) != 0;
      RawMemory.putByte(flag, (byte) 0);
      if (soon || wanted) {
        ThreadSignal.send(running);
      }
    }
    inside = true;
  }

  /** KVM_RUN is over. */
  void leave() {
    inside = false;
  }

  /** KVM_RUN is over that was {@linkplain #insist insisted} on. */
  void relent() {
    inside = false;
    synchronized (this) {
      insisting = false;
    }
    KvmRequest.require(vcpu, "KVM_SET_SIGNAL_MASK", KVM_SET_SIGNAL_MASK, NO_MASK);
    ThreadSignal.allow();
  }

  /** Makes the vCPU look at what is wanted, soon. Any thread. */
  void interrupt() {
    if (Thread.currentThread() == runner) {
      // It looks before it enters again.
      return;
    }
    synchronized (this) {
      if (closed) {
        return;
      }
      if (!insisting) {
        RawMemory.putByte(flag, (byte) 1);
        VarHandle.fullFence();
      }
      if ((inside || insisting) && running != 0) {
        ThreadSignal.send(running);
      }
    }
  }

  /** The page goes. */
  synchronized void close() {
    closed = true;
  }
}
