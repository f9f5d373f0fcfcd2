package dev.bothy.kvm;

import static dev.bothy.kvm.KvmHeader.*;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import dev.bothy.core.cpu.CpuState;
import dev.bothy.host.DeviceCalls;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/**
 * Which model-specific registers go between {@link CpuState} and KVM: those that both have. One a
 * machine; immutable.
 */
final class MsrList {
  static final int TSC = 0x10;
  static final int APIC_BASE = 0x1b;
  static final int TSC_ADJUST = 0x3b;
  static final int TSC_DEADLINE = 0x6e0;
  private static final int MTRR_VARIABLE = 0x200;
  private static final int[] MTRR_FIXED = {
    0x250, 0x258, 0x259, 0x268, 0x269, 0x26a, 0x26b, 0x26c, 0x26d, 0x26e, 0x26f
  };

  private record Row(int index, int offset) {}

  private final int[] indices;
  private final int[] offsets;

  private MsrList(List<Row> rows) {
    indices = rows.stream().mapToInt(Row::index).toArray();
    offsets = rows.stream().mapToInt(Row::offset).toArray();
  }

  /**
   * Those that {@code vcpu} has.
   *
   * @param saved what the kernel calls state
   */
  static MsrList of(int vcpu, int[] saved) {
    List<Row> rows = new ArrayList<>();
    for (Row row : candidates()) {
      boolean memoryType = row.offset >= CpuState.MTRR_DEF_TYPE && row.offset < CpuState.MCG_STATUS;
      // The kernel's list leaves memory types out, which it keeps all the same.
      boolean listed = memoryType || Arrays.stream(saved).anyMatch(m -> m == row.index);
      if (listed && readable(vcpu, row.index)) {
        rows.add(row);
      }
    }
    return new MsrList(rows);
  }

  private static List<Row> candidates() {
    List<Row> rows =
        new ArrayList<>(
            List.of(
                new Row(0x174, CpuState.SYSENTER_CS),
                new Row(0x175, CpuState.SYSENTER_ESP),
                new Row(0x176, CpuState.SYSENTER_EIP),
                new Row(0x277, CpuState.PAT),
                new Row(0xc000_0081, CpuState.STAR),
                new Row(0xc000_0082, CpuState.LSTAR),
                new Row(0xc000_0083, CpuState.CSTAR),
                new Row(0xc000_0084, CpuState.SFMASK),
                new Row(0xc000_0102, CpuState.KERNEL_GS_BASE),
                new Row(0xc000_0103, CpuState.TSC_AUX),
                new Row(0x1a0, CpuState.MISC_ENABLE),
                new Row(0x48, CpuState.SPEC_CTRL),
                new Row(0x17a, CpuState.MCG_STATUS),
                new Row(0x4b56_4d01, CpuState.KVM_SYSTEM_TIME),
                new Row(0x4b56_4d00, CpuState.KVM_WALL_CLOCK),
                new Row(0x2ff, CpuState.MTRR_DEF_TYPE)));
    for (int i = 0; i < 16; i++) {
      rows.add(new Row(MTRR_VARIABLE + i, CpuState.MTRR_VARIABLE + 8 * i));
    }
    for (int i = 0; i < MTRR_FIXED.length; i++) {
      rows.add(new Row(MTRR_FIXED[i], CpuState.MTRR_FIXED + 8 * i));
    }
    return rows;
  }

  private static boolean readable(int vcpu, int index) {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment one = one(arena, index, 0);
      return DeviceCalls.ioctl(vcpu, KVM_GET_MSRS, one.address()) == 1;
    }
  }

  private static MemorySegment one(Arena arena, int index, long value) {
    MemorySegment list = arena.allocate(KvmMsrs.SIZE + KvmMsrEntry.SIZE, 8);
    list.set(JAVA_INT, KvmMsrs.NMSRS, 1);
    list.set(JAVA_INT, KvmMsrs.ENTRIES + KvmMsrEntry.INDEX, index);
    list.set(JAVA_LONG, KvmMsrs.ENTRIES + KvmMsrEntry.DATA, value);
    return list;
  }

  /** Reads one register of a vCPU that does not run. */
  static long read(int vcpu, int index) {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment list = one(arena, index, 0);
      int count = DeviceCalls.ioctl(vcpu, KVM_GET_MSRS, list.address());
      if (count != 1) {
        throw refused("KVM_GET_MSRS", index, count);
      }
      return list.get(JAVA_LONG, KvmMsrs.ENTRIES + KvmMsrEntry.DATA);
    }
  }

  /** Writes one register of a vCPU that does not run. */
  static void write(int vcpu, int index, long value) {
    try (Arena arena = Arena.ofConfined()) {
      int count = DeviceCalls.ioctl(vcpu, KVM_SET_MSRS, one(arena, index, value).address());
      if (count != 1) {
        throw refused("KVM_SET_MSRS", index, count);
      }
    }
  }

  private static KvmException refused(String request, int index, int count) {
    String name = request + " of 0x" + Integer.toHexString(index);
    return count < 0
        ? KvmException.of(name, count)
        : new KvmException(name + ": the kernel refuses this register");
  }

  /** Bytes of {@link KvmMsrs} with all of them. */
  int size() {
    return KvmMsrs.SIZE + indices.length * KvmMsrEntry.SIZE;
  }

  /** From {@code state} to the vCPU, through {@code list} of {@link #size} bytes. */
  void set(int vcpu, MemorySegment list, CpuState state) {
    fill(list);
    for (int i = 0; i < indices.length; i++) {
      list.set(JAVA_LONG, data(i), state.get(offsets[i]));
    }
    int count = DeviceCalls.ioctl(vcpu, KVM_SET_MSRS, list.address());
    if (count != indices.length) {
      int refused = count < 0 ? 0 : indices[count];
      throw refused("KVM_SET_MSRS", refused, count);
    }
  }

  /** From the vCPU to {@code state}. */
  void get(int vcpu, MemorySegment list, CpuState state) {
    fill(list);
    int count = DeviceCalls.ioctl(vcpu, KVM_GET_MSRS, list.address());
    if (count != indices.length) {
      int refused = count < 0 ? 0 : indices[count];
      throw refused("KVM_GET_MSRS", refused, count);
    }
    for (int i = 0; i < indices.length; i++) {
      state.set(offsets[i], list.get(JAVA_LONG, data(i)));
    }
  }

  private void fill(MemorySegment list) {
    list.set(JAVA_INT, KvmMsrs.NMSRS, indices.length);
    for (int i = 0; i < indices.length; i++) {
      list.set(JAVA_INT, data(i) - KvmMsrEntry.DATA + KvmMsrEntry.INDEX, indices[i]);
    }
  }

  private static long data(int row) {
    return KvmMsrs.ENTRIES + (long) row * KvmMsrEntry.SIZE + KvmMsrEntry.DATA;
  }
}
