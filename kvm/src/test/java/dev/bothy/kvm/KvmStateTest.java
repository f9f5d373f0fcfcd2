package dev.bothy.kvm;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;

import dev.bothy.core.Exit;
import dev.bothy.core.Vcpu;
import dev.bothy.core.cpu.CpuState;
import dev.bothy.core.state.StateReader;
import dev.bothy.core.state.StateWriter;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** State goes into KVM and comes out as it was. */
@Timeout(300)
class KvmStateTest {
  @BeforeAll
  static void require() {
    TinyMachine.require();
  }

  private static byte[] saved(Vcpu vcpu) {
    StateWriter out = new StateWriter();
    vcpu.save(out);
    return out.toByteArray();
  }

  /** Makes KVM take the state, without an instruction executed, and give it back. */
  private static void passThrough(TinyMachine machine) {
    machine.cpu.kick();
    // The first is answered before KVM is entered; with the second the state is KVM's already.
    assertInstanceOf(Exit.Kicked.class, machine.cpu.run(Vcpu.UNLIMITED));
    ((KvmVcpu) machine.cpu).giveStateToKvm();
  }

  private static void randomize(CpuState state, Random random) {
    for (int i = 0; i < 16; i++) {
      state.setGpr(i, random.nextLong());
      int vector = CpuState.VECTORS + CpuState.VECTOR_SIZE * i;
      state.set(vector, random.nextLong());
      state.set(vector + 8, random.nextLong());
    }
    for (int offset :
        new int[] {
          CpuState.LSTAR,
          CpuState.CSTAR,
          CpuState.KERNEL_GS_BASE,
          CpuState.CR2,
          CpuState.segment(CpuState.FS, CpuState.SEGMENT_BASE),
          CpuState.segment(CpuState.GS, CpuState.SEGMENT_BASE),
        }) {
      state.set(offset, random.nextLong() >> 17);
    }
    state.set(CpuState.STAR, random.nextLong());
    state.set(CpuState.SFMASK, random.nextInt() & 0xffff_ffffL);
    state.set(CpuState.SYSENTER_CS, random.nextInt() & 0xffff);
    // SYSENTER is for 32-bit code here, and KVM on AMD keeps no more than that uses.
    state.set(CpuState.SYSENTER_EIP, random.nextInt() & 0xffff_ffffL);
    state.set(CpuState.SYSENTER_ESP, random.nextInt() & 0xffff_ffffL);
    state.set(CpuState.PAT, 0x0007_0406_0007_0106L);
    state.set(CpuState.RFLAGS, 2 | random.nextInt() & 0xcd5);
    state.setInt32(CpuState.MXCSR, 0x1f80 | random.nextInt() & 0x603f);
    int top = random.nextInt(8);
    state.setInt32(CpuState.X87_CONTROL, 0x37f & ~(random.nextInt() & 0x300));
    state.setInt32(CpuState.X87_STATUS, top << 11 | random.nextInt() & 0x4700);
    state.setInt32(CpuState.X87_TAGS, random.nextInt() & 0xff);
    for (int i = 0; i < 8; i++) {
      // Valid numbers: the integer bit is set.
      state.set(CpuState.X87_REGISTERS + 16 * i, random.nextLong() | Long.MIN_VALUE);
      state.set(CpuState.X87_REGISTERS + 16 * i + 8, random.nextInt() & 0xffff);
    }
    for (int i = 0; i < 4; i++) {
      state.set(CpuState.DR + 8 * i, random.nextInt() & 0x7fff_ffff);
    }
    state.setInt32(CpuState.NMI_BLOCKED, random.nextInt() & 1);
    state.set(CpuState.MTRR_DEF_TYPE, 0xc06);
    state.set(CpuState.MTRR_VARIABLE, 0xc000_0000L);
    state.set(CpuState.MTRR_VARIABLE + 8, 0xff_c000_0800L);
    state.set(CpuState.MTRR_FIXED, 0x0606_0606_0606_0606L);
  }

  @Test
  void stateComesBackAsItWentIn() {
    long seed = System.nanoTime();
    Random random = new Random(seed);
    try (TinyMachine machine = new TinyMachine()) {
      for (int i = 0; i < 100; i++) {
        switch (i % 3) {
          case 0 -> machine.real();
          case 1 -> machine.protectedMode();
          default -> machine.longMode();
        }
        randomize(machine.cpu.state(), random);
        byte[] before = saved(machine.cpu);
        passThrough(machine);
        byte[] after = saved(machine.cpu);
        assertEquals(List.of(), differences(before, after), "seed " + seed + ", case " + i);
        machine.cpu.reset();
      }
    }
  }

  /** Offsets in {@link CpuState} that differ, with both bytes; the list's length comes first. */
  private static List<String> differences(byte[] before, byte[] after) {
    List<String> found = new ArrayList<>();
    for (int i = 0; i < before.length; i++) {
      if (before[i] != after[i]) {
        found.add(String.format("%x: %02x %02x", i - 4, before[i], after[i]));
      }
    }
    return found;
  }

  @Test
  void aSavedProcessorGoesOnElsewhere() throws Exception {
    try (TinyMachine first = new TinyMachine();
        TinyMachine second = new TinyMachine()) {
      int[] code = {0xfb, 0xf4, 0xb0, 'x', 0xba, 0xf8, 0x03, 0xee, 0xfa, 0xf4};
      first.code(code);
      second.code(code);
      second.codeAt(0x1100, 0xba, 0xf8, 0x03, 0xb0, 'i', 0xee, 0xcf);
      second.memory.writeInt(4 * 0x21, 0x1100);
      first.real();
      assertInstanceOf(Exit.Halted.class, first.cpu.run(Vcpu.UNLIMITED));
      byte[] state = saved(first.cpu);
      second.cpu.load(new StateReader("cpu0", state));
      assertArrayEquals(state, saved(second.cpu));
      assertInstanceOf(Exit.Halted.class, second.cpu.run(Vcpu.UNLIMITED));
      second.apic.raise(0x21);
      assertInstanceOf(Exit.Halted.class, second.cpu.run(Vcpu.UNLIMITED));
      assertEquals("ix", second.said());
    }
  }

  @Test
  void interruptsOnTheirWayAreNotLostWhenTheStateIsLookedAt() throws InterruptedException {
    try (TinyMachine machine = new TinyMachine()) {
      machine.code(0xfb, 0xeb, 0xfe); // sti; jmp $
      machine.codeAt(0x1100, 0xff, 0x06, 0x00, 0x20, 0xcf); // inc word [2000h]; iret
      machine.memory.writeInt(4 * 0x21, 0x1100);
      machine.real();
      int raised = 300;
      try (Kicker _ = new Kicker(machine, raised, 0x21)) {
        long deadline = System.nanoTime() + Kicker.PATIENCE;
        while (machine.memory.readShort(0x2000) != raised && System.nanoTime() < deadline) {
          assertInstanceOf(Exit.Kicked.class, machine.cpu.run(Vcpu.UNLIMITED));
          saved(machine.cpu);
        }
      }
      assertEquals(raised, machine.memory.readShort(0x2000));
    }
  }
}
