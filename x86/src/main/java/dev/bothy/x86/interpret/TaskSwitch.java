package dev.bothy.x86.interpret;

import static dev.bothy.host.RawMemory.getLong;
import static dev.bothy.host.RawMemory.putLong;

import dev.bothy.core.cpu.CpuState;

/**
 * Hardware task switches of legacy protected mode: AMD64 APM volume 2, section 12.3, and Intel SDM
 * volume 3, section 8.3.
 *
 * <p>What is wrong with the new task's TSS is a fault of the old task. What is wrong with the
 * segments in it is one of the new task's, at its first instruction, and delivered here if an
 * instruction led to it.
 */
final class TaskSwitch {
  /** What leads to another task. */
  private enum By {
    JUMP,
    CALL,
    INTERRUPT,
    RETURN
  }

  // A TSS of 32 bits.
  private static final int PAGE_TABLES = 0x1c;
  private static final int DEBUG_TRAP = 0x64;
  private static final Layout WIDE = new Layout(4, 0x20, 0x48, 6, 0x60, 0x67);

  // And of 16.
  private static final Layout NARROW = new Layout(2, 0x0e, 0x22, 4, 0x2a, 0x2b);

  private static final int[] SEGMENTS = {
    CpuState.ES, CpuState.CS, CpuState.SS, CpuState.DS, CpuState.FS, CpuState.GS
  };

  /** DR7's local breakpoints, which are the old task's. */
  private static final long LOCAL_BREAKPOINTS = 0x155;

  private static final int BUSY = 2;

  // What EXITINFO2 tells of a switch that a guest's host wants to see (15.14.1).
  private static final long EXIT_RETURN = 1L << 36;
  private static final long EXIT_JUMP = 1L << 38;
  private static final long EXIT_HAS_CODE = 1L << 44;
  private static final int EXIT_RESUME_SHIFT = 32;

  private final Processor cpu;
  private final By by;

  /** EXT for the error codes of faults on the way. */
  private final int ext;

  private final int selector;
  private final long address;
  private final long descriptor;
  private final Layout layout;
  private final long base;

  // What the new task's TSS says, for {@link #begin}; tables are -1 if it says nothing of them.
  private final int[] selectors = new int[SEGMENTS.length];
  private long newPointer;
  private int ldt;
  private long tables;
  private boolean trap;

  /** Null without control-flow enforcement. */
  private TaskShadowStack shadow;

  /**
   * Where a TSS has what: words of {@code size} bytes, the instruction pointer, flags and registers
   * in a row, then segments; {@code last} is the last byte that there must be.
   */
  private record Layout(int size, int pointer, int segments, int count, int ldt, int last) {
    int flags() {
      return pointer + size;
    }

    int register(int n) {
      return pointer + (2 + n) * size;
    }

    int segment(int n) {
      return segments + n * size;
    }
  }

  /** Finds and checks the TSS at {@code selector}; faults are {@code vector}s. */
  private TaskSwitch(Processor cpu, By by, int selector, int vector, int ext) {
    this.cpu = cpu;
    this.by = by;
    this.selector = selector;
    this.ext = ext;
    int code = selector & 0xfffc | ext;
    if ((selector & 4) != 0 || (selector & 0xfffc) == 0) {
      throw cpu.raise(vector, code);
    }
    address = SegmentChecks.address(cpu, selector, vector, ext);
    descriptor = cpu.loadSystem(address, 8);
    int attributes = Descriptor.attributes(descriptor);
    int wanted = by == By.RETURN ? BUSY : 0;
    if ((attributes & 0x17) != (Descriptor.TSS16_AVAILABLE | wanted)) {
      throw cpu.raise(vector, code);
    }
    if ((attributes & Descriptor.PRESENT) == 0) {
      throw cpu.raise(GuestFault.NP, code);
    }
    layout = (attributes & 8) != 0 ? WIDE : NARROW;
    boolean enforced = TaskShadowStack.required(cpu);
    int last = enforced ? TaskShadowStack.LAST : layout.last;
    if (enforced && layout == NARROW || (Descriptor.limit(descriptor) & 0xffff_ffffL) < last) {
      throw cpu.raise(GuestFault.TS, code);
    }
    base = Descriptor.base(descriptor);
  }

  // Ways into it.

  /**
   * A far jump or call to a TSS or a task gate at {@code selector}, which has that descriptor; RIP
   * is where the new task goes on. False, and nothing happened, if it is neither.
   */
  static boolean branch(Processor cpu, int selector, long descriptor, boolean call) {
    int attributes = Descriptor.attributes(descriptor);
    int type = attributes & 0x1f;
    boolean gate = type == Descriptor.TASK_GATE;
    boolean tss = (type & 0x15) == Descriptor.TSS16_AVAILABLE;
    if (cpu.longMode || !gate && !tss) {
      return false;
    }
    int dpl = Descriptor.dpl(attributes);
    if (dpl < cpu.cpl || dpl < (selector & 3)) {
      throw cpu.raise(GuestFault.GP, selector & 0xfffc);
    }
    int target = selector;
    if (gate) {
      if ((attributes & Descriptor.PRESENT) == 0) {
        throw cpu.raise(GuestFault.NP, selector & 0xfffc);
      }
      target = (int) (descriptor >>> 16) & 0xffff;
    }
    By by = call ? By.CALL : By.JUMP;
    new TaskSwitch(cpu, by, target, GuestFault.GP, 0).execute(cpu.rflags(), call ? 0 : EXIT_JUMP);
    return true;
  }

  /** IRET with NT: back to the task that the present TSS links to. */
  static void back(Processor cpu) {
    long link = cpu.segmentBase(CpuState.TR) & 0xffff_ffffL;
    int target = (int) cpu.loadSystem(link, 2);
    int flags = cpu.rflags() & ~Bits.NT;
    new TaskSwitch(cpu, By.RETURN, target, GuestFault.TS, 0).execute(flags, EXIT_RETURN);
  }

  /**
   * By an instruction, behind which the present task goes on.
   *
   * @param information for a guest's host that wants to see it
   */
  private void execute(int flags, long information) {
    if (isIntercepted()) {
      leave(flags, information);
    }
    change(cpu.branchTo, flags);
    try {
      begin();
    } catch (GuestFault f) {
      EventDelivery.exception(cpu, f.vector, f.errorCode);
    }
    cpu.branchTo = getLong(cpu.ripAt);
  }

  /**
   * An exception or interrupt through a task gate of the IDT.
   *
   * @param vector of the gate
   * @param target the TSS's selector
   * @param flags to be saved
   * @param code the error code to push, if {@code hasCode}
   * @throws GuestFault also {@link GuestFault#ofNextTask}
   */
  static void interrupt(
      Processor cpu, int vector, int target, int flags, boolean hasCode, int code, int ext) {
    TaskSwitch task = new TaskSwitch(cpu, By.INTERRUPT, target, GuestFault.GP, ext);
    if (task.isIntercepted()) {
      cpu.svm.deliversForProgram(vector);
      task.leave(flags, hasCode ? EXIT_HAS_CODE | code & 0xffff_ffffL : 0);
    }
    task.change(getLong(cpu.ripAt), flags);
    try {
      task.begin();
      if (hasCode) {
        cpu.push(task.layout.size, code & 0xffff_ffffL);
      }
    } catch (GuestFault f) {
      // Thrown, so that tasks that cannot begin lead to a double fault, not to ever more tasks.
      f.errorCode |= f.vector == GuestFault.PF ? 0 : ext;
      f.ofNextTask = true;
      throw f;
    }
  }

  /** A guest is under way whose host wants to see this. */
  private boolean isIntercepted() {
    return cpu.guestMode && cpu.svm.intercepts(VirtualExit.TASK_SWITCH);
  }

  /** Nothing has been switched yet. */
  private void leave(int flags, long information) {
    long resume = (long) (flags & Bits.RF) << EXIT_RESUME_SHIFT;
    throw cpu.svm.exit(VirtualExit.TASK_SWITCH, selector & 0xffff, information | resume);
  }

  // The switch.

  private static long at(long tss, int offset) {
    return tss + offset & 0xffff_ffffL;
  }

  /**
   * From the old task, for which {@code pointer} and {@code flags} are saved, to the new one but
   * for its segments: faults are the old one's.
   */
  private void change(long pointer, int flags) {
    long[] registers = new long[8];
    newPointer = cpu.loadSystem(at(base, layout.pointer), layout.size);
    int newFlags = (int) cpu.loadSystem(at(base, layout.flags()), layout.size);
    for (int i = 0; i < registers.length; i++) {
      registers[i] = cpu.loadSystem(at(base, layout.register(i)), layout.size);
    }
    for (int i = 0; i < layout.count; i++) {
      selectors[i] = (int) cpu.loadSystem(at(base, layout.segment(i)), 2);
    }
    ldt = (int) cpu.loadSystem(at(base, layout.ldt), 2);
    trap = layout == WIDE && (cpu.loadSystem(at(base, DEBUG_TRAP), 2) & 1) != 0;
    tables = layout == WIDE ? cpu.loadSystem(at(base, PAGE_TABLES), 4) : -1;
    boolean nested = by == By.CALL || by == By.INTERRUPT;
    int old = cpu.segmentSelector(CpuState.TR);
    long oldAt = nested ? 0 : SegmentChecks.address(cpu, old, GuestFault.TS, ext);

    int newCpl = (newFlags & Bits.VM) != 0 ? 3 : selectors[1] & 3;
    shadow = TaskShadowStack.of(cpu, by == By.RETURN, nested, base, pointer, newCpl);
    save(pointer, flags);
    if (nested) {
      cpu.storeSystem(base, 2, old);
      newFlags |= Bits.NT;
    }
    if (by != By.RETURN) {
      cpu.storeSystem(address + 5, 1, descriptor >>> 40 & 0xff | BUSY);
    }
    if (!nested) {
      long type = cpu.loadSystem(oldAt + 5, 1);
      cpu.storeSystem(oldAt + 5, 1, type & ~BUSY);
    }

    if (shadow != null) {
      shadow.end();
    }

    // From here on it is the new task.
    cpu.setSegment(
        CpuState.TR,
        selector & 0xffff,
        base,
        Descriptor.limit(descriptor),
        Descriptor.attributes(descriptor) | BUSY);
    putLong(cpu.state + CpuState.CR0, getLong(cpu.state + CpuState.CR0) | Bits.CR0_TS);
    putLong(cpu.ripAt, newPointer);
    cpu.setRflags(layout == WIDE ? newFlags : newFlags & 0xffff);
    for (int i = 0; i < registers.length; i++) {
      cpu.setGpr(i, registers[i]);
    }
    endLocalBreakpoints();
    if (by == By.RETURN) {
      cpu.nmiBlocked = false;
    }
    cpu.requestAttention();
  }

  /** The new task's page tables and segments: faults are its own, before its first instruction. */
  private void begin() {
    if (tables >= 0 && cpu.paging) {
      ControlRegisters.writeCr3(cpu, tables);
    }
    loadSegments();
    if (shadow != null) {
      shadow.begin(ext);
    }
    if (trap) {
      cpu.pendingDebug |= DebugRegisters.TASK_SWITCH;
      cpu.setAttention(Processor.ATTENTION_STEP);
    }
  }

  private void save(long pointer, int flags) {
    Layout own = (cpu.segmentAttributes(CpuState.TR) & 8) != 0 ? WIDE : NARROW;
    long tss = cpu.segmentBase(CpuState.TR);
    int tr = cpu.segmentSelector(CpuState.TR);
    if ((cpu.segmentAttributes(CpuState.TR) & Descriptor.PRESENT) == 0
        || (cpu.segmentLimit(CpuState.TR) & 0xffff_ffffL) < own.last) {
      throw cpu.raise(GuestFault.TS, tr & 0xfffc | ext);
    }
    cpu.storeSystem(at(tss, own.pointer), own.size, pointer);
    cpu.storeSystem(at(tss, own.flags()), own.size, flags & 0xffff_ffffL);
    for (int i = 0; i < 8; i++) {
      cpu.storeSystem(at(tss, own.register(i)), own.size, cpu.gpr(i));
    }
    for (int i = 0; i < own.count; i++) {
      cpu.storeSystem(at(tss, own.segment(i)), 2, cpu.segmentSelector(SEGMENTS[i]));
    }
  }

  private void endLocalBreakpoints() {
    long at = cpu.state + CpuState.DR + 8 * 7;
    long dr7 = getLong(at);
    if ((dr7 & LOCAL_BREAKPOINTS) != 0) {
      putLong(at, dr7 & ~LOCAL_BREAKPOINTS);
      DebugRegisters.update(cpu);
    }
  }

  /** All selectors first, so that whoever handles a fault finds them; then what they stand for. */
  private void loadSegments() {
    if (cpu.virtual8086()) {
      for (int i = 0; i < SEGMENTS.length; i++) {
        cpu.setSegment(SEGMENTS[i], selectors[i], (long) selectors[i] << 4, 0xffff, 0xf3);
      }
      cpu.setCpl(3);
      cpu.loadNull(CpuState.LDTR, ldt);
      loadLdt();
      FarTransfer.setRealModeCs(cpu, selectors[1]);
      if (newPointer > 0xffff) {
        throw cpu.gp();
      }
      return;
    }
    int cpl = selectors[1] & 3;
    cpu.setCpl(cpl);
    for (int i = 0; i < SEGMENTS.length; i++) {
      cpu.loadNull(SEGMENTS[i], selectors[i]);
    }
    cpu.loadNull(CpuState.LDTR, ldt);
    cpu.updateMode();
    loadLdt();
    load(CpuState.CS, selectors[1]);
    load(CpuState.SS, selectors[2]);
    for (int i : new int[] {3, 0, 4, 5}) {
      if ((selectors[i] & 0xfffc) != 0) {
        load(SEGMENTS[i], selectors[i]);
      }
    }
    if (newPointer > (cpu.segmentLimit(CpuState.CS) & 0xffff_ffffL)) {
      throw cpu.gp();
    }
  }

  private void loadLdt() {
    if ((ldt & 0xfffc) == 0) {
      return;
    }
    if ((ldt & 4) != 0) {
      throw wrong(ldt);
    }
    long found = SegmentChecks.read(cpu, ldt, GuestFault.TS, ext);
    int attributes = Descriptor.attributes(found);
    if ((attributes & 0x1f) != Descriptor.LDT || (attributes & Descriptor.PRESENT) == 0) {
      throw wrong(ldt);
    }
    cpu.setSegment(CpuState.LDTR, ldt, Descriptor.base(found), Descriptor.limit(found), attributes);
  }

  private void load(int segment, int wanted) {
    if ((wanted & 0xfffc) == 0) {
      throw wrong(wanted);
    }
    long found =
        segment == CpuState.CS
            ? SegmentChecks.code(cpu, wanted, GuestFault.TS, ext)
            : SegmentChecks.stackOrData(cpu, segment, wanted, GuestFault.TS, ext);
    cpu.loadSegment(segment, wanted, found);
  }

  private GuestFault wrong(int bad) {
    return cpu.raise(GuestFault.TS, bad & 0xfffc | ext);
  }
}
