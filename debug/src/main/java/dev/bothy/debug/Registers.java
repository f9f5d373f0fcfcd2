package dev.bothy.debug;

import static dev.bothy.core.cpu.CpuState.CS;
import static dev.bothy.core.cpu.CpuState.SEGMENT_ATTRIBUTES;
import static dev.bothy.core.cpu.CpuState.SEGMENT_BASE;
import static dev.bothy.core.cpu.CpuState.SEGMENT_LIMIT;
import static dev.bothy.core.cpu.CpuState.SEGMENT_SELECTOR;
import static dev.bothy.core.cpu.CpuState.segment;

import dev.bothy.core.GuestMemory;
import dev.bothy.core.cpu.CpuFeature;
import dev.bothy.core.cpu.CpuModel;
import dev.bothy.core.cpu.CpuState;
import dev.bothy.debug.Register.Feature;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;

/**
 * The registers of a layout in the order of gdb's numbers. General, x87, SSE and AVX registers can
 * be written, segment registers within what the descriptor tables and the privilege level allow; of
 * the others those that no other register depends on.
 */
final class Registers {
  private static final String[] WIDE = {
    "rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rbp", "rsp", "r8", "r9", "r10", "r11", "r12", "r13",
    "r14", "r15"
  };

  private static final int[] WIDE_NUMBERS = {0, 3, 1, 2, 6, 7, 5, 4, 8, 9, 10, 11, 12, 13, 14, 15};
  private static final String[] NARROW = {"eax", "ecx", "edx", "ebx", "esp", "ebp", "esi", "edi"};
  private static final String[] SEGMENT_NAMES = {"es", "cs", "ss", "ds", "fs", "gs", "ldtr", "tr"};

  /** gdb's order. */
  private static final int[] SEGMENTS = {
    CpuState.CS, CpuState.SS, CpuState.DS, CpuState.ES, CpuState.FS, CpuState.GS
  };

  private static final long FLAGS_WRITABLE = 0x3f_7fd5;
  private static final long FLAGS_ONE = 2;
  private static final int CONTROL_WRITABLE = 0x1f3f;
  private static final int CONTROL_ONE = 0x40;
  private static final long LOW = 0xffff_ffffL;

  private final RegisterLayout layout;
  private final GuestMemory memory;
  private final TaskPriority priority;
  private final List<Register> all = new ArrayList<>();
  private Feature feature = Feature.CORE;

  /** CR8 of the processor that is looked at, which is its local APIC's. */
  interface TaskPriority {
    int get();

    void set(int priority);
  }

  /**
   * @param model of the processors
   */
  Registers(RegisterLayout layout, GuestMemory memory, CpuModel model, TaskPriority priority) {
    this.layout = layout;
    this.memory = memory;
    this.priority = priority;
    addGeneral();
    for (int s : SEGMENTS) {
      addSegment(s, true);
    }
    addX87();
    feature = Feature.SSE;
    int vectors = layout.is64() ? 16 : 8;
    for (int i = 0; i < vectors; i++) {
      addVector("xmm" + i, "vec128", CpuState.VECTORS + i * CpuState.VECTOR_SIZE);
    }
    add("mxcsr", 32, "mxcsr", cpu -> cpu.getInt32(CpuState.MXCSR), Registers::setMxcsr);
    if (model.has(CpuFeature.AVX)) {
      feature = Feature.AVX;
      for (int i = 0; i < vectors; i++) {
        addVector("ymm" + i + "h", "uint128", CpuState.VECTORS + i * CpuState.VECTOR_SIZE + 16);
      }
    }
    if (model.has(CpuFeature.PKU)) {
      feature = Feature.PKEYS;
      addLimit("pkru", CpuState.PKRU);
    }
    addSystem();
    if (model.has(CpuFeature.XSAVE)) {
      addSystem("xcr0", 64, "int64", CpuState.XCR0);
    }
    addControlFlow(model);
  }

  List<Register> all() {
    return all;
  }

  RegisterLayout layout() {
    return layout;
  }

  /** Bytes of all. */
  int bytes() {
    return all.stream().mapToInt(Register::bytes).sum();
  }

  /** A value of up to 8 bytes. */
  private interface Getter {
    long get(CpuState cpu);
  }

  private interface Setter {
    boolean set(CpuState cpu, long value);
  }

  private void add(String name, int bits, String type, Getter get, Setter set) {
    all.add(
        new Register(
            name,
            bits,
            type,
            feature,
            (cpu, out) -> put(out, get.get(cpu), bits / 8),
            (cpu, in) -> set.set(cpu, take(in, bits / 8))));
  }

  private static void put(ByteBuffer out, long value, int bytes) {
    for (int i = 0; i < bytes; i++) {
      out.put((byte) (i < 8 ? value >>> 8 * i : 0));
    }
  }

  private static long take(ByteBuffer in, int bytes) {
    long value = 0;
    for (int i = 0; i < bytes; i++) {
      value |= (in.get() & 0xffL) << 8 * i;
    }
    return value;
  }

  private static boolean refuse(CpuState cpu, long value) {
    return false;
  }

  // General registers.

  private void addGeneral() {
    int bits = layout.is64() ? 64 : 32;
    String[] names = layout.is64() ? WIDE : NARROW;
    for (int i = 0; i < names.length; i++) {
      int number = layout.is64() ? WIDE_NUMBERS[i] : i;
      boolean pointer = number == CpuState.RSP || number == CpuState.RBP;
      add(
          names[i],
          bits,
          pointer ? "data_ptr" : "int" + bits,
          cpu -> cpu.gpr(number),
          (cpu, value) -> {
            cpu.setGpr(number, value);
            return true;
          });
    }
    add(layout.is64() ? "rip" : "eip", bits, "code_ptr", Registers::pc, Registers::setPc);
    add(
        "eflags",
        32,
        "eflags",
        cpu -> cpu.get(CpuState.RFLAGS) & LOW,
        (cpu, value) -> {
          cpu.set(CpuState.RFLAGS, value & FLAGS_WRITABLE | FLAGS_ONE);
          return true;
        });
  }

  /** True if the code at RIP is 64-bit code. */
  static boolean is64BitCode(CpuState cpu) {
    return RegisterLayout.of(cpu) == RegisterLayout.X86_64
        && (cpu.getInt32(segment(CS, SEGMENT_ATTRIBUTES)) & 1 << 13) != 0;
  }

  /** The linear address of the next instruction: what breakpoints are set at. */
  static long pc(CpuState cpu) {
    long rip = cpu.get(CpuState.RIP);
    return is64BitCode(cpu) ? rip : cpu.get(segment(CS, SEGMENT_BASE)) + rip & LOW;
  }

  private static boolean setPc(CpuState cpu, long value) {
    boolean wide = is64BitCode(cpu);
    if (wide && value << 16 >> 16 != value) {
      return false;
    }
    cpu.set(CpuState.RIP, wide ? value : value - cpu.get(segment(CS, SEGMENT_BASE)) & LOW);
    return true;
  }

  // Segments.

  private void addSegment(int s, boolean writable) {
    add(
        SEGMENT_NAMES[s],
        32,
        "int32",
        cpu -> cpu.getInt32(segment(s, SEGMENT_SELECTOR)) & 0xffff,
        writable
            ? (cpu, value) -> value >>> 16 == 0 && SegmentLoading.load(cpu, memory, s, (int) value)
            : Registers::refuse);
  }

  // x87.

  private void addX87() {
    for (int i = 0; i < 8; i++) {
      int number = i;
      all.add(
          new Register(
              "st" + i,
              80,
              "i387_ext",
              feature,
              (cpu, out) -> {
                int at = stackRegister(cpu, number);
                out.putLong(cpu.get(at)).putShort((short) cpu.get(at + 8));
              },
              (cpu, in) -> {
                int at = stackRegister(cpu, number);
                cpu.set(at, in.getLong());
                cpu.set(at + 8, in.getShort() & 0xffffL);
                return true;
              }));
    }
    addX87("fctrl", CpuState.X87_CONTROL, CONTROL_WRITABLE, CONTROL_ONE);
    addX87("fstat", CpuState.X87_STATUS, 0xffff, 0);
    add("ftag", 32, "int", Registers::tags, Registers::setTags);
    addX87("fiseg", CpuState.X87_CS, 0xffff, 0);
    add("fioff", 32, "int", cpu -> cpu.get(CpuState.X87_IP), Registers::refuse);
    addX87("foseg", CpuState.X87_DS, 0xffff, 0);
    add("fooff", 32, "int", cpu -> cpu.get(CpuState.X87_DP), Registers::refuse);
    addX87("fop", CpuState.X87_OPCODE, 0x7ff, 0);
  }

  private void addX87(String name, int offset, int writable, int always) {
    add(
        name,
        32,
        "int",
        cpu -> cpu.getInt32(offset),
        (cpu, value) -> {
          cpu.setInt32(offset, (int) value & writable | always);
          return true;
        });
  }

  private static int stackRegister(CpuState cpu, int number) {
    int top = cpu.getInt32(CpuState.X87_STATUS) >>> 11 & 7;
    return CpuState.X87_REGISTERS + 16 * (top + number & 7);
  }

  /** The full tag word: 0 valid, 1 zero, 2 special, 3 empty. */
  private static long tags(CpuState cpu) {
    int used = cpu.getInt32(CpuState.X87_TAGS);
    int tags = 0;
    for (int i = 0; i < 8; i++) {
      tags |= ((used >>> i & 1) != 0 ? tag(cpu, CpuState.X87_REGISTERS + 16 * i) : 3) << 2 * i;
    }
    return tags;
  }

  private static int tag(CpuState cpu, int at) {
    long significand = cpu.get(at);
    int exponent = (int) cpu.get(at + 8) & 0x7fff;
    if (exponent == 0 && significand == 0) {
      return 1;
    }
    return exponent == 0 || exponent == 0x7fff || significand >= 0 ? 2 : 0;
  }

  private static boolean setTags(CpuState cpu, long value) {
    int used = 0;
    for (int i = 0; i < 8; i++) {
      used |= ((value >>> 2 * i & 3) != 3 ? 1 : 0) << i;
    }
    cpu.setInt32(CpuState.X87_TAGS, used);
    return true;
  }

  // Vectors.

  private void addVector(String name, String type, int offset) {
    all.add(
        new Register(
            name,
            128,
            type,
            feature,
            (cpu, out) -> out.putLong(cpu.get(offset)).putLong(cpu.get(offset + 8)),
            (cpu, in) -> {
              cpu.set(offset, in.getLong());
              cpu.set(offset + 8, in.getLong());
              return true;
            }));
  }

  private static boolean setMxcsr(CpuState cpu, long value) {
    if (value >>> 16 != 0) {
      return false;
    }
    cpu.setInt32(CpuState.MXCSR, (int) value);
    return true;
  }

  // The system's.

  private void addSystem() {
    int bits = layout.is64() ? 64 : 32;
    if (layout.is64()) {
      feature = Feature.SEGMENTS;
      addBase("fs_base", segment(CpuState.FS, SEGMENT_BASE));
      addBase("gs_base", segment(CpuState.GS, SEGMENT_BASE));
      feature = Feature.SYSTEM;
      addBase("k_gs_base", CpuState.KERNEL_GS_BASE);
    }
    feature = Feature.SYSTEM;
    addSystem("cr0", bits, "cr0", CpuState.CR0);
    add(
        "cr2",
        bits,
        "int" + bits,
        cpu -> cpu.get(CpuState.CR2),
        (cpu, value) -> {
          cpu.set(CpuState.CR2, value);
          return true;
        });
    addSystem("cr3", bits, "int" + bits, CpuState.CR3);
    addSystem("cr4", bits, "cr4", CpuState.CR4);
    if (layout.is64()) {
      add("cr8", bits, "int64", cpu -> priority.get(), (cpu, value) -> setTaskPriority(value));
    }
    addSystem("efer", bits, "efer", CpuState.EFER);
    for (int i : new int[] {0, 1, 2, 3, 6, 7}) {
      addSystem("dr" + i, bits, "int" + bits, CpuState.DR + 8 * i);
    }
    addSystem("gdtr_base", bits, "int" + bits, CpuState.GDTR_BASE);
    addLimit("gdtr_limit", CpuState.GDTR_LIMIT);
    addSystem("idtr_base", bits, "int" + bits, CpuState.IDTR_BASE);
    addLimit("idtr_limit", CpuState.IDTR_LIMIT);
    for (int s = CpuState.ES; s <= CpuState.TR; s++) {
      boolean named = layout.is64() && (s == CpuState.FS || s == CpuState.GS);
      if (s >= CpuState.LDTR) {
        addSegment(s, false);
      }
      if (!named) {
        addSystem(SEGMENT_NAMES[s] + "_base", bits, "int" + bits, segment(s, SEGMENT_BASE));
      }
      addLimit(SEGMENT_NAMES[s] + "_limit", segment(s, SEGMENT_LIMIT));
      addLimit(SEGMENT_NAMES[s] + "_attributes", segment(s, SEGMENT_ATTRIBUTES));
    }
  }

  private void addControlFlow(CpuModel model) {
    int bits = layout.is64() ? 64 : 32;
    if (model.has(CpuFeature.SHSTK)) {
      add("ssp", bits, "data_ptr", cpu -> cpu.get(CpuState.SSP), Registers::setShadowStack);
    }
    if (model.has(CpuFeature.SHSTK) || model.has(CpuFeature.IBT)) {
      addSystem("u_cet", bits, "cet", CpuState.U_CET);
      addSystem("s_cet", bits, "cet", CpuState.S_CET);
    }
  }

  private static boolean setShadowStack(CpuState cpu, long value) {
    boolean exists = (value & 3) == 0 && value << 16 >> 16 == value;
    if (exists) {
      cpu.set(CpuState.SSP, value);
    }
    return exists;
  }

  private boolean setTaskPriority(long value) {
    boolean exists = value >>> 4 == 0;
    if (exists) {
      priority.set((int) value);
    }
    return exists;
  }

  private void addBase(String name, int offset) {
    add(
        name,
        64,
        "int64",
        cpu -> cpu.get(offset),
        (cpu, value) -> {
          boolean canonical = value << 16 >> 16 == value;
          if (canonical) {
            cpu.set(offset, value);
          }
          return canonical;
        });
  }

  private void addSystem(String name, int bits, String type, int offset) {
    add(name, bits, type, cpu -> cpu.get(offset), Registers::refuse);
  }

  private void addLimit(String name, int offset) {
    add(name, 32, "int32", cpu -> cpu.getInt32(offset), Registers::refuse);
  }
}
