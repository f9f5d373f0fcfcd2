package dev.bothy.x86.interpret;

import static dev.bothy.host.RawMemory.getLong;
import static dev.bothy.host.RawMemory.loadByte;
import static dev.bothy.host.RawMemory.loadShort;
import static dev.bothy.host.RawMemory.putLong;
import static dev.bothy.host.RawMemory.storeByte;
import static dev.bothy.host.RawMemory.storeShort;

import dev.bothy.core.cpu.CpuState;
import dev.bothy.host.RawMemory;
import dev.bothy.x86.decode.Instruction;
import dev.bothy.x86.decode.Op;
import java.util.Arrays;

/**
 * Restricted transactional memory: Intel SDM volume 1, chapter 16, and XBEGIN, XEND, XABORT and
 * XTEST in volume 2.
 *
 * <p>A whole transaction, from XBEGIN to the outermost XEND, is one instruction of the processor:
 * no other vCPU of the machine is between two blocks meanwhile, nothing is delivered, and what it
 * stores is taken back if it aborts. Whatever is not plain computing in RAM aborts it, as does a
 * device that writes to RAM meanwhile. Owned by the vCPU's thread.
 */
final class Transaction {
  /** Of TSX_CTRL: transactions abort where they begin. */
  static final long DISABLED = 1;

  /** Of TSX_CTRL: CPUID does not tell of transactions. */
  static final long HIDDEN = 2;

  // EAX after an abort.
  private static final int BY_XABORT = 1;
  private static final int RETRY = 1 << 1;
  private static final int CONFLICT = 1 << 2;
  private static final int CAPACITY = 1 << 3;
  private static final int NESTED = 1 << 5;
  private static final int ARGUMENT_SHIFT = 24;

  private static final int MOST_NESTED = 7;

  /** Instructions: bounds the time for which other vCPUs stand. */
  private static final int MOST_INSTRUCTIONS = 4096;

  private static final int MOST_STORES = 4096;

  /** x87 and vector registers with their control registers, which lie together. */
  private static final int OTHERS = CpuState.MXCSR;

  private static final int OTHERS_SIZE =
      CpuState.VECTORS + 32 * CpuState.VECTOR_SIZE - CpuState.MXCSR;

  private static final int[] CONTROL_FLOW = {CpuState.U_CET, CpuState.S_CET, CpuState.SSP};

  /** Leaves what runs for {@link #run}. */
  private static final class Aborted extends RuntimeException {
    private static final long serialVersionUID = 1L;

    private Aborted() {
      super(null, null, false, false);
    }
  }

  private static final Aborted ABORTED = new Aborted();

  private final Processor cpu;

  /** Transactions that have begun inside each other. */
  private int depth;

  /** EAX if it aborts now. */
  private int status;

  private final long[] general = new long[16];
  private byte[] others = {};

  /** What branches change besides: U_CET, S_CET and SSP. */
  private final long[] controlFlow = new long[3];

  /** What has been stored, in order: where, what was there and is there now, bytes. */
  private long[] places = {};

  private long[] before = {};
  private long[] after = {};
  private byte[] sizes = {};
  private int stores;

  Transaction(Processor cpu) {
    this.cpu = cpu;
  }

  /** False for an instruction with rights or an end of its own that aborts every transaction. */
  static boolean allows(Op op) {
    return switch (op) {
      case JMP, CALL, RET, JCC, LOOP, LOOPE, LOOPNE, JRCXZ -> true;
      case XBEGIN, XEND, XABORT, XTEST, RDTSC, RDTSCP -> true;
      default -> false;
    };
  }

  void execute(Instruction i) {
    switch (i.op) {
      case XBEGIN -> begin(i);
      case XEND -> {
        if (depth == 0) {
          throw cpu.gp();
        }
        depth--;
      }
      case XABORT -> {
        if (depth != 0) {
          throw abort(((int) i.immediate & 0xff) << ARGUMENT_SHIFT | BY_XABORT);
        }
      }
      default -> cpu.setArithmeticFlags(depth == 0 ? Bits.ZF : 0);
    }
  }

  /** The transaction under way ends for something that no transaction may do: to be thrown. */
  RuntimeException abort() {
    return abort(0);
  }

  private RuntimeException abort(int reason) {
    status = reason | (depth > 1 ? NESTED : 0);
    return ABORTED;
  }

  private void begin(Instruction i) {
    long fallback = cpu.branchTo + i.immediate;
    if (cpu.codeBits == 64) {
      if (!cpu.canonical(fallback)) {
        throw cpu.gp();
      }
    } else {
      fallback &= 0xffff_ffffL;
      if (fallback > (cpu.segmentLimit(CpuState.CS) & 0xffff_ffffL)) {
        throw cpu.gp();
      }
    }
    if (depth > 0) {
      if (depth == MOST_NESTED) {
        throw abort(0);
      }
      depth++;
    } else if (!mayBegin()) {
      aborted(0, fallback);
    } else if (cpu.alone) {
      run(fallback);
    } else {
      long to = fallback;
      cpu.engine.exclusive.run(() -> run(to));
    }
  }

  /** Nobody wants to look between its instructions. */
  private boolean mayBegin() {
    return (getLong(cpu.state + CpuState.TSX_CTRL) & DISABLED) == 0
        && (cpu.attention() & Processor.ATTENTION_STEP) == 0
        && (cpu.systemFlags & Bits.TF) == 0
        && !cpu.watching
        && !cpu.codeMap.breakpoints.any();
  }

  private void aborted(int reason, long fallback) {
    cpu.setGpr32(CpuState.RAX, reason);
    cpu.branchTo = fallback;
  }

  /** Runs what follows XBEGIN, and sets where the processor goes on. */
  private void run(long fallback) {
    save();
    int arithmetic = cpu.arithmeticFlags();
    int system = cpu.systemFlags;
    int devices = cpu.codeMap.deviceWrites();
    status = 0;
    stores = 0;
    depth = 1;
    cpu.transaction = this;
    cpu.dropWrites();
    boolean complete = false;
    try {
      putLong(cpu.ripAt, cpu.wrapRip(cpu.branchTo));
      runToEnd();
      complete = devices == cpu.codeMap.deviceWrites();
      status = complete ? 0 : CONFLICT | RETRY;
    } catch (Aborted e) {
      // The status says why.
    } catch (GuestFault | VirtualExit e) {
      abort(0);
    } catch (StopBlock e) {
      // A string instruction that is too long.
      abort(CAPACITY);
    } finally {
      depth = 0;
      cpu.transaction = null;
    }
    if (complete) {
      cpu.branchTo = getLong(cpu.ripAt);
    } else {
      takeBack();
      restore();
      cpu.setArithmeticFlags(arithmetic);
      cpu.systemFlags = system;
      aborted(status, fallback);
    }
  }

  private void runToEnd() {
    int left = MOST_INSTRUCTIONS;
    while (depth > 0) {
      left -= cpu.runNext(left);
      if (left < 0) {
        throw abort(CAPACITY);
      }
    }
  }

  // Registers.

  private void save() {
    if (others.length == 0) {
      others = new byte[OTHERS_SIZE];
    }
    for (int i = 0; i < general.length; i++) {
      general[i] = cpu.gpr(i);
    }
    for (int i = 0; i < controlFlow.length; i++) {
      controlFlow[i] = getLong(cpu.state + CONTROL_FLOW[i]);
    }
    RawMemory.segment(cpu.state + OTHERS, OTHERS_SIZE).asByteBuffer().get(others);
  }

  private void restore() {
    for (int i = 0; i < general.length; i++) {
      cpu.setGpr(i, general[i]);
    }
    for (int i = 0; i < controlFlow.length; i++) {
      putLong(cpu.state + CONTROL_FLOW[i], controlFlow[i]);
    }
    cpu.updateControlFlow();
    RawMemory.segment(cpu.state + OTHERS, OTHERS_SIZE).asByteBuffer().put(others);
  }

  // Memory.

  /**
   * A store is about to be made.
   *
   * @param host where, or 0 if that is not RAM
   */
  void store(long physical, long host, int size, long value) {
    if (host == 0 || cpu.codeMap.hasCode(physical)) {
      throw abort(0);
    }
    if (stores == MOST_STORES) {
      throw abort(CAPACITY);
    }
    if (stores == places.length) {
      int more = Math.max(64, 2 * stores);
      places = Arrays.copyOf(places, more);
      before = Arrays.copyOf(before, more);
      after = Arrays.copyOf(after, more);
      sizes = Arrays.copyOf(sizes, more);
    }
    places[stores] = physical;
    before[stores] = cpu.readPhysical(physical, size);
    after[stores] = Operands.mask(value, size);
    sizes[stores] = (byte) size;
    stores++;
  }

  /** Puts back what was there, but for what a device has written over it. */
  private void takeBack() {
    for (int i = stores - 1; i >= 0; i--) {
      long physical = places[i];
      replace(cpu.hostOf(physical), sizes[i], after[i], before[i]);
      if (cpu.codeMap.hasCode(physical)) {
        cpu.codeMap.stored(cpu, physical, sizes[i]);
      }
    }
  }

  private static void replace(long host, int size, long from, long to) {
    switch (size) {
      case 1 -> {
        if (loadByte(host) == (byte) from) {
          storeByte(host, (byte) to);
        }
      }
      case 2 -> {
        if (loadShort(host) == (short) from) {
          storeShort(host, (short) to);
        }
      }
      case 4 -> {
        if (RawMemory.loadInt(host) == (int) from) {
          RawMemory.storeInt(host, (int) to);
        }
      }
      default -> {
        if (RawMemory.loadLong(host) == from) {
          RawMemory.storeLong(host, to);
        }
      }
    }
  }
}
