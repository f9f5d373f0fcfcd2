package dev.bothy.x86.directed;

import static dev.bothy.x86.directed.TestMachine.*;
import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.bothy.core.cpu.CpuState;
import dev.bothy.x86.assemble.Assembler;
import org.junit.jupiter.api.Test;

/** Hardware task switches; what is expected is in Intel SDM volume 3, chapter 8. */
class TaskSwitchTest extends EngineTest {
  private static final int NT = 1 << 14;
  private static final int VM = 1 << 17;
  private static final long TS = 8;

  private static final int TS_FAULT = 10;
  private static final int NP = 11;
  private static final int GP = 13;

  /** The other task: its descriptor, TSS, stack and code. */
  private static final int OTHER = FREE;

  private static final int GATE = FREE + 8;
  private static final int SPARE = FREE + 16;
  private static final long OTHER_TSS = DATA;
  private static final long OTHER_STACK = DATA + 0x2000;
  private static final long OTHER_CODE = DATA + 0x3000;

  /** Two tasks of 32 bits; the first runs {@code code}, the other halts at once. */
  private static Assembler tasks(TestMachine m) {
    m.protected32(0);
    m.descriptor(OTHER, OTHER_TSS, 0x67, 0x89);
    m.memory.writeLong(GDT + GATE, (long) OTHER << 16 | 0x85L << 40);
    m.memory.writeInt(OTHER_TSS + 0x20, (int) OTHER_CODE);
    m.memory.writeInt(OTHER_TSS + 0x24, 2);
    for (int i = 0; i < 8; i++) {
      m.memory.writeInt(OTHER_TSS + 0x28 + 4 * i, i == RSP ? (int) OTHER_STACK : 0x1111 * (i + 1));
    }
    for (int i = 0; i < 6; i++) {
      m.memory.writeInt(OTHER_TSS + 0x48 + 4 * i, i == 1 ? CODE32 : FLAT);
    }
    m.memory.writeByte(OTHER_CODE, 0xf4);
    return m.assembler(32).nop();
  }

  private static int type(TestMachine m, int selector) {
    return m.memory.readByte(GDT + selector + 5) & 0xff;
  }

  private static void inOtherTask(TestMachine m) {
    assertEquals(OTHER_CODE + 1, m.rip());
    assertEquals(OTHER, m.selector(CpuState.TR));
    assertEquals(OTHER_STACK, m.rsp());
    assertEquals(0x1111, m.gpr(RAX));
    assertEquals(0x8888, m.gpr(RDI));
    assertEquals(TS, m.state().get(CpuState.CR0) & TS);
    assertEquals(0x8b, type(m, OTHER));
  }

  @Test
  void aJumpSavesOneTaskAndLoadsTheOther() {
    try (var m = newMachine()) {
      m.code(32, tasks(m).mov(RAX, 77).jmpFar(OTHER, 0));
      m.memory.writeShort(OTHER_TSS, 0x9999);
      m.run();
      inOtherTask(m);
      assertEquals(0x89, type(m, TASK), "the old task is free");
      assertEquals(0, m.state().get(CpuState.RFLAGS) & NT);
      assertEquals(0x9999, m.memory.readShort(OTHER_TSS) & 0xffff, "no link");
      assertEquals(77, m.memory.readInt(TSS + 0x28));
      assertEquals(CODE + 1 + 5 + 7, m.memory.readInt(TSS + 0x20));
      assertEquals(CODE32, m.memory.readInt(TSS + 0x4c) & 0xffff);
      assertEquals(FLAT, m.memory.readInt(TSS + 0x54) & 0xffff);
    }
  }

  @Test
  void aCallNestsAndIretComesBack() {
    for (int target : new int[] {OTHER, GATE}) {
      try (var m = newMachine()) {
        m.code(32, tasks(m).mov(RAX, 77).callFar(target, 0).add(RAX, 1).hlt());
        m.memory.write(OTHER_CODE, new Assembler(32, OTHER_CODE).inc(RCX).iret().toBytes());
        m.run();
        assertEquals(78, m.gpr(RAX));
        assertEquals(TASK, m.selector(CpuState.TR));
        assertEquals(0x8b, type(m, TASK));
        assertEquals(0x89, type(m, OTHER));
        assertEquals(0, m.state().get(CpuState.RFLAGS) & NT);
        assertEquals(TASK, m.memory.readShort(OTHER_TSS));
        assertEquals(0x2223, m.memory.readInt(OTHER_TSS + 0x2c));
        assertEquals(0, m.memory.readInt(OTHER_TSS + 0x24) & NT, "cleared in what is saved");
        assertEquals(KERNEL_STACK, m.rsp());
      }
    }
  }

  @Test
  void anInterruptThroughATaskGateNests() {
    try (var m = newMachine()) {
      m.code(32, tasks(m).interrupt(0x30).hlt());
      m.gate32(0x30, OTHER, 0, 0xe5);
      m.run();
      inOtherTask(m);
      assertEquals(NT, m.state().get(CpuState.RFLAGS) & NT);
      assertEquals(TASK, m.memory.readShort(OTHER_TSS));
      assertEquals(0x8b, type(m, TASK), "it is still busy");
      assertEquals(CODE + 3, m.memory.readInt(TSS + 0x20));
    }
  }

  @Test
  void anExceptionPushesItsCodeOnTheOtherTasksStack() {
    try (var m = newMachine()) {
      m.code(32, tasks(m).mov(RAX, 0x1234).movToSegment(CpuState.DS, RAX).hlt());
      m.gate32(GP, OTHER, 0, 0x85);
      m.run();
      assertEquals(OTHER_CODE + 1, m.rip());
      assertEquals(OTHER_STACK - 4, m.rsp());
      assertEquals(0x1234, m.stack(4, 0));
      assertEquals(CODE + 6, m.memory.readInt(TSS + 0x20), "at the instruction");
      assertEquals(RF, m.memory.readInt(TSS + 0x24) & RF);
    }
  }

  private static void refused(TestMachine m, int selector, int vector, int code) {
    m.code(32, m.assembler(32).nop().jmpFar(selector, 0));
    m.run();
    assertEquals(vector, m.vector());
    assertEquals(code, m.stack(4, 0), "error code");
    assertEquals(CODE + 1, m.stack(4, 1));
    assertEquals(TASK, m.selector(CpuState.TR));
    assertEquals(0, m.state().get(CpuState.CR0) & TS);
  }

  @Test
  void whatIsWrongWithATaskIsAFaultOfTheOldOne() {
    try (var m = newMachine()) {
      tasks(m);
      m.descriptor(OTHER, OTHER_TSS, 0x67, 0x8b);
      refused(m, OTHER, GP, OTHER); // busy
    }
    try (var m = newMachine()) {
      tasks(m);
      m.descriptor(OTHER, OTHER_TSS, 0x67, 0x09);
      refused(m, OTHER, NP, OTHER);
      assertEquals(0x09, type(m, OTHER));
    }
    try (var m = newMachine()) {
      tasks(m);
      m.descriptor(OTHER, OTHER_TSS, 0x66, 0x89);
      refused(m, OTHER, TS_FAULT, OTHER); // too small
    }
    try (var m = newMachine()) {
      tasks(m);
      refused(m, OTHER | 1, GP, OTHER); // RPL above DPL
    }
    try (var m = newMachine()) {
      tasks(m);
      m.memory.writeLong(GDT + GATE, (long) OTHER << 16 | 0x05L << 40);
      refused(m, GATE, NP, GATE);
    }
    try (var m = newMachine()) {
      tasks(m);
      m.memory.writeLong(GDT + GATE, (long) (OTHER | 4) << 16 | 0x85L << 40);
      refused(m, GATE, GP, OTHER | 4); // in the LDT
    }
    try (var m = newMachine()) {
      tasks(m);
      m.memory.writeLong(GDT + GATE, (long) FLAT << 16 | 0x85L << 40);
      refused(m, GATE, GP, FLAT);
    }
  }

  /** The other task faults before its first instruction. */
  private static void refusedByTheOther(TestMachine m, int vector, int code) {
    m.code(32, m.assembler(32).nop().jmpFar(OTHER, 0));
    m.run();
    assertEquals(vector, m.vector());
    assertEquals(code, m.stack(4, 0), "error code");
    assertEquals(OTHER_CODE, m.stack(4, 1));
    assertEquals(OTHER, m.selector(CpuState.TR));
  }

  @Test
  void whatIsWrongWithItsSegmentsIsAFaultOfTheNewOne() {
    try (var m = newMachine()) {
      tasks(m);
      m.memory.writeInt(OTHER_TSS + 0x54, CODE32 + 0x1000);
      refusedByTheOther(m, TS_FAULT, CODE32 + 0x1000); // DS behind the table
    }
    try (var m = newMachine()) {
      tasks(m);
      m.descriptor(SPARE, 0, 0xf_ffff, 0xc013);
      m.memory.writeInt(OTHER_TSS + 0x54, SPARE);
      refusedByTheOther(m, NP, SPARE);
    }
    try (var m = newMachine()) {
      tasks(m);
      m.memory.writeInt(OTHER_TSS + 0x54, TASK);
      refusedByTheOther(m, TS_FAULT, TASK); // a system segment
    }
    try (var m = newMachine()) {
      tasks(m);
      m.descriptor(SPARE, 0, 0xff, 0x409b);
      m.memory.writeInt(OTHER_TSS + 0x4c, SPARE);
      refusedByTheOther(m, GP, 0); // EIP behind the limit
    }
  }

  @Test
  void handlersThatAreTasksAndCannotBeginAreADoubleFault() {
    try (var m = newMachine()) {
      tasks(m);
      m.memory.writeInt(OTHER_TSS + 0x54, TASK);
      // A handler for #TS with the same mistake.
      long tss = DATA + 0x1000;
      m.descriptor(SPARE, tss, 0x67, 0x89);
      byte[] copy = new byte[0x68];
      m.memory.read(OTHER_TSS, copy, 0, copy.length);
      m.memory.write(tss, copy);
      m.gate32(TS_FAULT, SPARE, 0, 0x85);
      m.code(32, m.assembler(32).nop().jmpFar(OTHER, 0));
      m.run();
      assertEquals(8, m.vector());
      assertEquals(0, m.stack(4, 0));
      assertEquals(OTHER_CODE, m.stack(4, 1), "the handler's task, that has done nothing");
      assertEquals(SPARE, m.selector(CpuState.TR));
      assertEquals(OTHER_STACK - 16, m.rsp(), "no code of #TS");
    }
  }

  @Test
  void anInterruptsTaskThatCannotBeginFaultsItself() {
    try (var m = newMachine()) {
      m.code(32, tasks(m).interrupt(0x30).hlt());
      m.gate32(0x30, OTHER, 0, 0xe5);
      m.memory.writeInt(OTHER_TSS + 0x54, TASK);
      m.run();
      assertEquals(TS_FAULT, m.vector());
      assertEquals(TASK, m.stack(4, 0));
      assertEquals(OTHER_CODE, m.stack(4, 1));
      assertEquals(OTHER, m.selector(CpuState.TR));
      assertEquals(CODE + 3, m.memory.readInt(TSS + 0x20), "behind the instruction");
    }
  }

  @Test
  void tasksOf16BitsHaveTheirOwnSegment() {
    try (var m = newMachine()) {
      Assembler a = tasks(m);
      m.descriptor(OTHER, OTHER_TSS, 0x2b, 0x81);
      m.memory.writeShort(OTHER_TSS + 0x0e, (int) CODE16);
      m.memory.writeShort(OTHER_TSS + 0x10, 2);
      for (int i = 0; i < 8; i++) {
        m.memory.writeShort(OTHER_TSS + 0x12 + 2 * i, i == RSP ? (int) STACK16 : 0x1111 * (i + 1));
      }
      for (int i = 0; i < 4; i++) {
        m.memory.writeShort(OTHER_TSS + 0x22 + 2 * i, i == 1 ? CODE_16 : DATA_16);
      }
      m.memory.writeShort(OTHER_TSS + 0x2a, 0);
      m.memory.write(CODE16, new Assembler(16, CODE16).inc(RCX).iret().toBytes());
      m.code(32, a.mov(RAX, 0x7_0007).callFar(OTHER, 0).hlt());
      m.run();
      assertEquals(0x7_0007, m.gpr(RAX));
      assertEquals(TASK, m.selector(CpuState.TR));
      assertEquals(0x81, type(m, OTHER));
      assertEquals(0x2223, m.memory.readShort(OTHER_TSS + 0x14));
      assertEquals(CODE16 + 3, m.memory.readShort(OTHER_TSS + 0x0e) & 0xffff);
    }
  }

  @Test
  void aTaskMayTrapWhenItIsSwitchedTo() {
    try (var m = newMachine()) {
      m.code(32, tasks(m).jmpFar(OTHER, 0));
      m.memory.writeShort(OTHER_TSS + 0x64, 1);
      m.run();
      assertEquals(1, m.vector());
      assertEquals(OTHER_CODE, m.stack(4, 0));
      assertEquals(0x8000, m.state().get(CpuState.DR + 8 * 6) & 0xe00f);
    }
  }

  @Test
  void theOldTasksLocalBreakpointsEnd() {
    try (var m = newMachine()) {
      m.code(32, tasks(m).jmpFar(OTHER, 0));
      m.state().set(CpuState.DR, OTHER_CODE);
      m.state().set(CpuState.DR + 8, 0x5000);
      m.state().set(CpuState.DR + 8 * 7, 0x409); // L0, and G1
      m.run();
      inOtherTask(m);
      assertEquals(0x408, m.state().get(CpuState.DR + 8 * 7));
    }
  }

  @Test
  void aTaskMayBeAVirtual8086Program() {
    try (var m = newMachine()) {
      m.code(32, tasks(m).jmpFar(OTHER, 0));
      m.memory.writeInt(OTHER_TSS + 0x20, 0x10);
      m.memory.writeInt(OTHER_TSS + 0x24, VM | 2);
      for (int i = 0; i < 6; i++) {
        m.memory.writeInt(OTHER_TSS + 0x48 + 4 * i, 0xc00 + i);
      }
      m.memory.writeInt(OTHER_TSS + 4, (int) KERNEL_STACK);
      m.memory.writeInt(OTHER_TSS + 8, FLAT);
      m.memory.writeByte(0xc010 + 0x10, 0xf4);
      m.run();
      assertEquals(GP, m.vector(), "HLT is the monitor's");
      assertEquals(0x10, m.stack(4, 1));
      assertEquals(0xc01, m.stack(4, 2));
      assertEquals(VM, m.stack(4, 3) & VM);
      assertEquals(0xc02, m.stack(4, 5));
      assertEquals(0xc05, m.stack(4, 9));
    }
  }

  @Test
  void aTaskHasPageTablesOfItsOwn() {
    try (var m = newMachine()) {
      Assembler a = tasks(m);
      m.state().set(CpuState.CR3, DIRECTORY);
      m.state().set(CpuState.CR4, m.state().get(CpuState.CR4) | 0x10);
      m.state().set(CpuState.CR0, 0x8000_0031L);
      // Another directory, in which the 4 MiB from 0x800000 on are elsewhere.
      long directory = DATA + 0x8000;
      for (int i = 0; i < 4; i++) {
        m.memory.writeInt(directory + 4 * i, m.memory.readInt(DIRECTORY + 4 * i));
      }
      m.memory.writeInt(directory + 8, 0xc0_0087);
      m.memory.writeInt(0xc0_0000, 0x5555);
      m.memory.writeInt(OTHER_TSS + 0x1c, (int) directory);
      m.memory.write(
          OTHER_CODE, new Assembler(32, OTHER_CODE).hex("a1 00 00 80 00").hlt().toBytes());
      m.code(32, a.jmpFar(OTHER, 0));
      m.run();
      assertEquals(directory, m.state().get(CpuState.CR3));
      assertEquals(0x5555, m.gpr(RAX));
    }
  }

  @Test
  void longModeHasNoTaskSwitches() {
    try (var m = newMachine()) {
      m.compatibility(0);
      m.descriptor(OTHER, OTHER_TSS, 0x67, 0x89);
      m.code(32, m.assembler(32).nop().jmpFar(OTHER, 0));
      m.run();
      assertEquals(GP, m.vector());
      assertEquals(OTHER, m.stack(8, 0));
    }
  }
}
