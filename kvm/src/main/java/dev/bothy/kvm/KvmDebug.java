package dev.bothy.kvm;

import static dev.bothy.host.RawMemory.getInt;
import static dev.bothy.host.RawMemory.getLong;
import static dev.bothy.kvm.KvmHeader.*;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import dev.bothy.core.StopCause;
import dev.bothy.core.StopPoints;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.List;
import java.util.Optional;

/**
 * A vCPU of KVM as a debugger of the machine has it (KVM_SET_GUEST_DEBUG): points in the
 * processor's debug registers, while the guest keeps its own ones to look at, but without effect;
 * and steps. A debug exception that is the guest's own goes to the guest. One thread at a time.
 */
final class KvmDebug implements AutoCloseable {
  private static final int DEBUG_EXCEPTION = 1;

  // DR6.
  private static final int SINGLE_STEP = 1 << 14;
  private static final int REASONS = 0xe00f;

  private static final DebugRegisters NONE = new DebugRegisters(List.of());

  private final int vcpu;
  private final boolean possible;
  private final int stepFlags;
  private final Arena arena = Arena.ofShared();
  private final MemorySegment request = arena.allocate(KvmGuestDebug.SIZE, 8);
  private final MemorySegment registers = arena.allocate(KvmDebugregs.SIZE, 8);

  private StopPoints points = StopPoints.NONE;
  private DebugRegisters active = NONE;
  private boolean stepping;

  /** KVM does not know yet. */
  private boolean changed;

  KvmDebug(int vcpu, KvmDevice device) {
    this.vcpu = vcpu;
    possible = possible(device);
    int flags = device.extension(KVM_CAP_SET_GUEST_DEBUG2);
    stepFlags = KVM_GUESTDBG_SINGLESTEP | flags & KVM_GUESTDBG_BLOCKIRQ;
  }

  /** True if vCPUs can be debugged. */
  static boolean possible(KvmDevice device) {
    return device.extension(KVM_CAP_SET_GUEST_DEBUG) != 0;
  }

  /**
   * What is wanted of the vCPU, which is about to run.
   *
   * @param wanted for which there is room
   */
  void want(StopPoints wanted, boolean step) {
    if (!possible || !step && !stepping && wanted == points) {
      return;
    }
    points = wanted;
    stepping = step;
    DebugRegisters all = DebugRegisters.of(wanted).orElse(NONE);
    active = step ? all.watching() : all;
    changed = true;
  }

  boolean stepping() {
    return stepping;
  }

  /** The registers are KVM's, and KVM_RUN follows. */
  void apply() {
    if (changed) {
      changed = false;
      set(0);
    }
  }

  private void set(int more) {
    int control = more | (stepping ? stepFlags : 0);
    request.fill((byte) 0);
    List<DebugRegisters.Slot> slots = active.slots();
    if (!slots.isEmpty()) {
      control |= KVM_GUESTDBG_USE_HW_BP;
      for (int i = 0; i < slots.size(); i++) {
        request.set(JAVA_LONG, KvmGuestDebug.Arch.DEBUGREG + 8L * i, slots.get(i).address());
      }
      request.set(JAVA_LONG, KvmGuestDebug.Arch.DEBUGREG + 8L * 7, active.control());
    }
    request.set(JAVA_INT, KvmGuestDebug.CONTROL, control == 0 ? 0 : control | KVM_GUESTDBG_ENABLE);
    KvmRequest.require(vcpu, "KVM_SET_GUEST_DEBUG", KVM_SET_GUEST_DEBUG, request.address());
  }

  /**
   * Why KVM_RUN ended with KVM_EXIT_DEBUG; empty if that is none of the debugger's business, and
   * the guest goes on with its exception.
   *
   * @param run address of the vCPU's {@link KvmRun}
   */
  Optional<StopCause> cause(long run) {
    if (getInt(run + KvmRun.Debug.Arch.EXCEPTION) != DEBUG_EXCEPTION) {
      return Optional.of(new StopCause.Stepped());
    }
    long dr6 = getLong(run + KvmRun.Debug.Arch.DR6);
    Optional<DebugRegisters.Slot> hit = active.hit(dr6);
    if (hit.isPresent()) {
      DebugRegisters.Slot slot = hit.get();
      return Optional.of(
          slot.watched().isPresent()
              ? new StopCause.Watched(slot.watched().get(), slot.address())
              : new StopCause.Breakpoint(slot.address()));
    }
    if (stepping && (dr6 & SINGLE_STEP) != 0) {
      return Optional.of(new StopCause.Stepped());
    }
    giveToGuest(dr6);
    return Optional.empty();
  }

  private void giveToGuest(long dr6) {
    ask("KVM_GET_DEBUGREGS", KVM_GET_DEBUGREGS);
    long shown = registers.get(JAVA_LONG, KvmDebugregs.DR6);
    registers.set(JAVA_LONG, KvmDebugregs.DR6, shown | dr6 & REASONS);
    ask("KVM_SET_DEBUGREGS", KVM_SET_DEBUGREGS);
    set(KVM_GUESTDBG_INJECT_DB);
  }

  private void ask(String name, long number) {
    KvmRequest.require(vcpu, name, number, registers.address());
  }

  @Override
  public void close() {
    arena.close();
  }
}
