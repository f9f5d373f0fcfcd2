package dev.bothy.x86.directed;

import static dev.bothy.x86.directed.TestMachine.*;
import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.bothy.core.cpu.CpuState;
import org.junit.jupiter.api.Test;

/** Linear addresses of 57 bits: AMD64 APM volume 2, section 5.3. */
class FiveLevelPagingTest extends EngineTest {
  private static final String MODEL = "v2,+la57";
  private static final long LA57 = 1 << 12;
  private static final long PML5 = 0x2_7000;

  /** The memory that is at 0 is here, too, as it is at the highest addresses. */
  private static final long HIGH = 5L << 48;

  private static final int PF = 14;
  private static final int GP = 13;

  private static CpuState fiveLevels(TestMachine m) {
    CpuState s = m.long64(0);
    m.memory.writeLong(PML5, PML4 | P | W | U);
    m.memory.writeLong(PML5 + 8 * 5, PML4 | P | W | U);
    m.memory.writeLong(PML5 + 8 * 511, PML4 | P | W | U);
    s.set(CpuState.CR4, CR4_LONG | LA57);
    s.set(CpuState.CR3, PML5);
    return s;
  }

  @Test
  void dataAndCodeAreFoundByFiveLevels() {
    try (var m = newMachine(MODEL)) {
      CpuState s = fiveLevels(m);
      m.memory.writeLong(DATA + 8, 0x1234_5678_9abcL);
      s.setGpr(RBX, HIGH + DATA);
      s.setGpr(RCX, HIGH + CODE + 0x100);
      m.code(64, m.assembler(64).hex("48 8b 43 08 ff e1")); // mov rax, [rbx + 8]; jmp rcx
      m.memory.write(CODE + 0x100, m.assembler(64).hex("48 89 43 10").hlt().toBytes());
      m.run();
      assertEquals(-1, m.vector());
      assertEquals(HIGH + CODE + 0x105, m.rip());
      assertEquals(0x1234_5678_9abcL, m.memory.readLong(DATA + 16));
      assertEquals(A, m.memory.readLong(PML5 + 8 * 5) & A, "accessed");
    }
  }

  @Test
  void theHighestAddressesAreTheOtherHalf() {
    try (var m = newMachine(MODEL)) {
      CpuState s = fiveLevels(m);
      m.memory.writeInt(DATA, 77);
      s.setGpr(RBX, 511L << 48 | DATA);
      s.setGpr(RBX, s.gpr(RBX) << 7 >> 7);
      m.code(64, m.assembler(64).hex("8b 03").hlt());
      m.run();
      assertEquals(77, m.gpr(RAX));
    }
  }

  @Test
  void whatHasNoEntryFaults() {
    try (var m = newMachine(MODEL)) {
      CpuState s = fiveLevels(m);
      s.setGpr(RBX, 6L << 48 | DATA);
      m.code(64, m.assembler(64).nop().hex("8b 03").hlt());
      m.run();
      assertEquals(PF, m.vector());
      assertEquals(6L << 48 | DATA, s.get(CpuState.CR2));
      assertEquals(CODE + 1, m.stack(8, 1));
    }
  }

  @Test
  void controlBlocksOfGuestsHaveSuchAddressesToo() {
    try (var m = newMachine("v2,+la57,+svm")) {
      CpuState s = fiveLevels(m);
      s.set(CpuState.EFER, s.get(CpuState.EFER) | 1 << 12); // SVME
      s.setGpr(RAX, DATA);
      m.memory.writeLong(DATA + 0x448, HIGH); // FS' base
      m.memory.writeLong(DATA + 0x620, HIGH | DATA); // KernelGSBase
      m.code(64, m.assembler(64).hex("0f 01 da").hlt()); // vmload
      m.run();
      assertEquals(-1, m.vector());
      assertEquals(HIGH, s.get(CpuState.segment(CpuState.FS, CpuState.SEGMENT_BASE)));
      assertEquals(HIGH | DATA, s.get(CpuState.KERNEL_GS_BASE));
    }
  }

  @Test
  void addressesOf58BitsAreNotCanonical() {
    try (var m = newMachine(MODEL)) {
      CpuState s = fiveLevels(m);
      s.setGpr(RBX, 1L << 56);
      m.code(64, m.assembler(64).nop().hex("8b 03").hlt());
      m.run();
      assertEquals(GP, m.vector());
    }
    try (var m = newMachine(MODEL)) {
      CpuState s = m.long64(0); // four levels
      s.setGpr(RBX, HIGH);
      m.code(64, m.assembler(64).nop().hex("8b 03").hlt());
      m.run();
      assertEquals(GP, m.vector());
    }
  }

  @Test
  void theLevelsDoNotChangeInLongMode() {
    try (var m = newMachine(MODEL)) {
      m.long64(0);
      m.code(64, m.assembler(64).mov(RAX, CR4_LONG | LA57).movToControl(4, RAX).hlt());
      m.run();
      assertEquals(GP, m.vector());
    }
  }

  @Test
  void registersTake57BitsWhereTheProcessorHasThem() {
    try (var m = newMachine(MODEL)) {
      m.long64(0);
      m.code(64, m.assembler(64).wrmsr(0xc000_0082, HIGH).hlt());
      m.run();
      assertEquals(-1, m.vector());
      assertEquals(HIGH, m.state().get(CpuState.LSTAR));
    }
    try (var m = newMachine("v2")) {
      m.long64(0);
      m.code(64, m.assembler(64).wrmsr(0xc000_0082, HIGH).hlt());
      m.run();
      assertEquals(GP, m.vector());
    }
  }
}
