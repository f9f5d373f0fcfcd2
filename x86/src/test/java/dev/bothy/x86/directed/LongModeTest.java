package dev.bothy.x86.directed;

import static dev.bothy.x86.directed.TestMachine.*;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.bothy.core.cpu.CpuState;
import dev.bothy.x86.assemble.Assembler;
import org.junit.jupiter.api.Test;

class LongModeTest extends EngineTest {
  private static final long NON_CANONICAL = 0x8000_0000_0000L;

  @Test
  void protectedModeCodeEntersAndLeavesLongMode() {
    try (var m = newMachine()) {
      m.long64(0); // for its tables
      CpuState s = m.protected32(0);
      s.set(CpuState.CR3, 0);
      var a = m.assembler(32);
      a.mov(RAX, 0x6a0).movToControl(4, RAX).mov(RAX, PML4).movToControl(3, RAX);
      a.wrmsr(0xc000_0080, 0x100).mov(RAX, 0x8000_0031L).movToControl(0, RAX);
      a.mov(RCX, 0xc000_0080L).rdmsr().movRegister(RSI, RAX);
      a.jmpFar(CODE64, 0x11_0000);
      m.code(32, a);
      var b = new Assembler(64, 0x11_0000);
      b.mov(RBX, 0x1234_5678_9abc_def0L)
          .emit(0x68)
          .value(4, CODE32)
          .emit(0x68)
          .value(4, 0x12_0000)
          .retFar();
      m.memory.write(0x11_0000, b.toBytes());
      var c = new Assembler(32, 0x12_0000);
      c.mov(RAX, 0x31).movToControl(0, RAX).mov(RCX, 0xc000_0080L).rdmsr().movRegister(RDI, RAX);
      c.mov(RAX, 0x0).movToControl(4, RAX).hlt();
      m.memory.write(0x12_0000, c.toBytes());
      m.run();
      assertEquals(0x500, m.gpr(RSI), "LMA is on");
      assertEquals(0x100, m.gpr(RDI), "LMA is off");
      assertEquals(0x31, m.state().get(CpuState.CR0));
      assertEquals(-1, m.vector());
    }
  }

  @Test
  void longModeNeedsPaeAndRefusesSomeChanges() {
    try (var m = newMachine()) {
      var s = m.protected32(0);
      s.set(CpuState.EFER, 0x100);
      s.set(CpuState.CR4, 0);
      s.setGpr(RAX, 0x8000_0031L);
      m.code(32, m.assembler(32).movToControl(0, RAX));
      m.run();
      assertEquals(13, m.vector());
      long[][] bad = {
        {0, 0x31}, // paging off in 64-bit code
        {0, 0x1_8005_0033L},
        {4, 0x600}, // PAE off
        {4, 0x1000_06a0L},
        {3, 1L << 40},
        {3, 1L << 63 | PML4}, // no PCIDs, no no-flush bit
        {8, 16}
      };
      for (long[] c : bad) {
        m.long64(0).setGpr(RAX, c[1]);
        m.code(64, m.assembler(64).movToControl((int) c[0], RAX));
        m.run();
        assertEquals(13, m.vector(), c[0] + " " + Long.toHexString(c[1]));
        assertEquals(CODE, m.stack(8, 1));
      }
    }
  }

  @Test
  void modelSpecificRegistersRefuseBadValues() {
    try (var m = newMachine()) {
      long[][] bad = {
        {0xc000_0080L, 0x8000_0d01L},
        {0xc000_0080L, 0xc01}, // LME while paging
        {0xc000_0082L, NON_CANONICAL},
        {0xc000_0100L, NON_CANONICAL},
        {0xc000_0101L, 0xffff_7fff_ffff_ffffL},
        {0xc000_0102L, NON_CANONICAL},
        {0x277, 0x02},
        {0xc000_0103L, 1L << 32},
        {0x1234, 0}
      };
      for (long[] c : bad) {
        m.long64(0);
        m.code(64, m.assembler(64).wrmsr((int) c[0], c[1]));
        m.run();
        assertEquals(13, m.vector(), Long.toHexString(c[0]));
      }
      m.long64(0);
      m.code(64, m.assembler(64).mov32(RCX, 0x1234).rdmsr());
      m.run();
      assertEquals(13, m.vector());
    }
  }

  @Test
  void interruptAlignsTheStackAndPushesFiveWords() {
    try (var m = newMachine()) {
      m.long64(0).setGpr(RSP, KERNEL_STACK - 5);
      m.state().set(CpuState.RFLAGS, 0x202);
      m.code(64, m.assembler(64).interrupt(0x40));
      m.run();
      assertEquals(0x40, m.vector());
      assertEquals(KERNEL_STACK - 16 - 40, m.rsp());
      assertEquals(CODE + 2, m.stack(8, 0));
      assertEquals(CODE64, m.stack(8, 1));
      assertEquals(0x202, m.stack(8, 2));
      assertEquals(KERNEL_STACK - 5, m.stack(8, 3));
      assertEquals(FLAT, m.stack(8, 4));
      assertEquals(FLAT, m.selector(CpuState.SS), "no change of level, no change of SS");
    }
  }

  @Test
  void interruptFromUserCodeLoadsANullStackSegment() {
    try (var m = newMachine()) {
      m.long64(3);
      m.code(64, m.assembler(64).interrupt(0x40));
      m.run();
      assertEquals(KERNEL_STACK - 40, m.rsp());
      assertEquals(USER_FLAT, m.stack(8, 4));
      assertEquals(0, m.selector(CpuState.SS));
    }
  }

  @Test
  void interruptStackTableIsUsedAtEveryLevel() {
    try (var m = newMachine()) {
      for (int cpl : new int[] {0, 3}) {
        m.long64(cpl);
        m.gate64(0x40, CODE64, HANDLERS + 0x400, 0xee, 1);
        m.code(64, m.assembler(64).interrupt(0x40));
        m.run();
        assertEquals(IST_STACK - 40, m.rsp());
      }
    }
  }

  @Test
  void iretReturnsToUserCodeAndToCompatibilityMode() {
    try (var m = newMachine()) {
      for (int code : new int[] {USER_CODE64, USER_CODE32}) {
        m.long64(0);
        var a = m.assembler(64);
        a.pushConstant(USER_FLAT)
            .pushConstant((int) USER_STACK)
            .pushConstant(0x202)
            .pushConstant(code)
            .pushConstant(0x11_0000);
        m.code(64, a.iret());
        m.memory.write(
            0x11_0000,
            new byte[] {
              0x31, (byte) 0xc0, 0x48, 0x0f, 0x0b
            }); // xor eax, eax; REX.W or dec eax; ud2
        m.run();
        assertEquals(6, m.vector());
        assertEquals(code, m.stack(8, 1));
        assertEquals(USER_STACK, m.stack(8, 3));
        assertEquals(code == USER_CODE64 ? 0 : 0xffff_ffffL, m.gpr(RAX));
        assertEquals(code == USER_CODE64 ? 0x11_0002 : 0x11_0003, m.stack(8, 0));
      }
    }
  }

  @Test
  void iretToUserCodeTakesTheKernelsSelectorsButNotTheirBases() {
    try (var m = newMachine()) {
      CpuState s = m.long64(0);
      s.setSegment(CpuState.GS, FLAT, 0x12_3400, -1, 0xc093);
      s.setSegment(CpuState.FS, USER_FLAT, 0x56_7800, -1, 0xc0f3);
      var a = m.assembler(64);
      a.pushConstant(USER_FLAT)
          .pushConstant((int) USER_STACK)
          .pushConstant(0x202)
          .pushConstant(USER_CODE64)
          .pushConstant(0x11_0000);
      m.code(64, a.iret());
      m.memory.write(0x11_0000, new byte[] {0x0f, 0x0b});
      m.run();
      assertEquals(6, m.vector());
      assertEquals(0, m.selector(CpuState.GS));
      assertEquals(0x12_3400, m.state().get(CpuState.segment(CpuState.GS, CpuState.SEGMENT_BASE)));
      assertEquals(USER_FLAT, m.selector(CpuState.FS));
      assertEquals(0x56_7800, m.state().get(CpuState.segment(CpuState.FS, CpuState.SEGMENT_BASE)));
    }
  }

  @Test
  void iretInLongModeMayLoadANullStackSegmentAtAnInnerLevel() {
    try (var m = newMachine()) {
      m.long64(0);
      var a = m.assembler(64);
      a.pushConstant(0)
          .pushConstant(0x12_3400)
          .pushConstant(2)
          .pushConstant(CODE64)
          .pushConstant(0x11_0000)
          .iret();
      m.code(64, a);
      m.memory.writeByte(0x11_0000, 0xf4);
      m.run();
      assertEquals(0x11_0001, m.rip());
      assertEquals(0, m.selector(CpuState.SS));
      assertEquals(0x12_3400, m.rsp());
    }
  }

  @Test
  void iretRefusesNestedTasksAndNonCanonicalTargets() {
    try (var m = newMachine()) {
      m.long64(0).set(CpuState.RFLAGS, 0x4002);
      m.code(64, m.assembler(64).iret());
      m.run();
      assertEquals(13, m.vector());
      m.long64(0);
      var a = m.assembler(64);
      a.pushConstant(USER_FLAT)
          .pushConstant((int) USER_STACK)
          .pushConstant(2)
          .pushConstant(USER_CODE64);
      a.mov(RAX, NON_CANONICAL).push(RAX);
      long at = a.here();
      m.code(64, a.iret());
      m.run();
      assertEquals(13, m.vector());
      assertEquals(at, m.stack(8, 1), "the fault is at IRET, in the kernel");
      assertEquals(CODE64, m.stack(8, 2));
    }
  }

  @Test
  void syscallAndSysretRoundTrip() {
    try (var m = newMachine()) {
      CpuState s = m.long64(3);
      s.set(CpuState.LSTAR, 0x11_0000);
      s.set(CpuState.SFMASK, 0x600);
      s.set(CpuState.RFLAGS, 0x647);
      m.code(64, m.assembler(64).syscall().movRegister(RDI, RCX).hex("0f 0b"));
      var k =
          new Assembler(64, 0x11_0000)
              .hex("8c cb 8c d5")
              .pushf()
              .pop(RSI)
              .movRegister(RDX, 11)
              .sysret(true);
      m.memory.write(0x11_0000, k.toBytes());
      m.run();
      assertEquals(6, m.vector());
      assertEquals(CODE64, m.gpr(RBX));
      assertEquals(FLAT, m.gpr(RBP));
      assertEquals(0x47, m.gpr(RSI));
      assertEquals(0x647, m.gpr(RDX));
      assertEquals(CODE + 2, m.gpr(RDI));
      assertEquals(USER_CODE64, m.stack(8, 1));
      assertEquals(0x1_0647, m.stack(8, 2));
      assertEquals(USER_FLAT, m.stack(8, 4));
      assertEquals(USER_STACK, m.stack(8, 3));
    }
  }

  @Test
  void syscallFromCompatibilityModeUsesItsOwnTargetAndReturnsThere() {
    try (var m = newMachine()) {
      CpuState s = m.compatibility(3);
      s.set(CpuState.CSTAR, 0x11_0000);
      s.set(CpuState.LSTAR, 0x15_0000);
      m.code(32, m.assembler(32).syscall().hex("48 0f 0b"));
      m.memory.write(0x11_0000, new Assembler(64, 0x11_0000).mov(RAX, 0).sysret(false).toBytes());
      m.run();
      assertEquals(6, m.vector());
      assertEquals(USER_CODE32, m.stack(8, 1));
      assertEquals(0xffff_ffffL, m.gpr(RAX));
      assertEquals(CODE + 3, m.stack(8, 0));
    }
  }

  @Test
  void sysretToANonCanonicalAddressFaultsInUserMode() {
    try (var m = newMachine()) {
      CpuState s = m.long64(0);
      s.setGpr(RCX, NON_CANONICAL);
      s.setGpr(11, 2);
      m.code(64, m.assembler(64).sysret(true));
      m.run();
      assertEquals(13, m.vector());
      assertEquals(NON_CANONICAL, m.stack(8, 1));
      assertEquals(USER_CODE64, m.stack(8, 2));
    }
  }

  @Test
  void miscellaneousEnablesAreStored() {
    try (var m = newMachine()) {
      m.long64(0);
      var a = m.assembler(64).mov(RCX, 0x1a0).rdmsr().movRegister(RBX, RAX);
      m.code(64, a.wrmsr(0x1a0, 0x4_0000_1881L).mov(RAX, 0).mov(RDX, 0).rdmsr().hlt());
      m.run();
      assertEquals(1, m.gpr(RBX));
      assertEquals(0x1881, m.gpr(RAX));
      assertEquals(4, m.gpr(RDX));
    }
  }

  @Test
  void syscallNeedsItsEnableBitAndSysretTheKernel() {
    try (var m = newMachine()) {
      m.long64(3).set(CpuState.EFER, 0xd00);
      m.code(64, m.assembler(64).syscall());
      m.run();
      assertEquals(6, m.vector());
      m.long64(3);
      m.code(64, m.assembler(64).sysret(true));
      m.run();
      assertEquals(13, m.vector());
      assertEquals(0, m.stack(8, 0));
    }
  }

  @Test
  void sysenterDoesNotExistInLongMode() {
    try (var m = newMachine()) {
      m.long64(0).set(CpuState.SYSENTER_CS, CODE64);
      m.code(64, m.assembler(64).sysenter());
      m.run();
      assertEquals(6, m.vector());
      m.compatibility(0);
      m.code(32, m.assembler(32).sysexit());
      m.run();
      assertEquals(6, m.vector());
    }
  }

  @Test
  void swapgsExchangesBases() {
    try (var m = newMachine()) {
      CpuState s = m.long64(0);
      s.set(CpuState.KERNEL_GS_BASE, DATA);
      s.set(CpuState.segment(CpuState.GS, CpuState.SEGMENT_BASE), 0x1234);
      m.memory.writeLong(DATA + 16, 0x77);
      m.code(64, m.assembler(64).swapgs().hex("65 48 8b 04 25 10 00 00 00").hlt());
      m.run();
      assertEquals(0x77, m.gpr(RAX));
      assertEquals(0x1234, m.state().get(CpuState.KERNEL_GS_BASE));
      m.long64(3);
      m.code(64, m.assembler(64).swapgs());
      m.run();
      assertEquals(13, m.vector());
    }
  }

  @Test
  void nonCanonicalAddressesFaultBySegment() {
    String[][] cases = {
      {"48 8b 03", "13"}, // mov rax, [rbx]
      {"48 8b 45 00", "12"}, // mov rax, [rbp]
      {"48 8b 04 24", "12"}, // mov rax, [rsp]
      {"50", "12"}, // push rax
      {"58", "12"}, // pop rax
      {"c3", "12"},
      {"e8 00 00 00 00", "12"},
      {"c9", "12"}, // leave
      {"3e 48 8b 45 00", "12"}, // a DS prefix means nothing in 64-bit mode
      {"64 48 8b 45 00", "13"}, // fs:[rbp]
      {"48 ff 03", "13"}, // inc qword [rbx]
      {"48 a5", "13"} // movsq
    };
    for (String[] c : cases) {
      try (var m = newMachine()) {
        CpuState s = m.long64(3);
        s.setGpr(RBX, NON_CANONICAL);
        s.setGpr(RBP, NON_CANONICAL);
        s.setGpr(RSP, NON_CANONICAL + 0x100);
        s.setGpr(RSI, NON_CANONICAL);
        m.code(64, m.assembler(64).nop().hex(c[0]));
        m.run();
        assertEquals(Integer.parseInt(c[1]), m.vector(), c[0]);
        assertEquals(0, m.stack(8, 0), c[0]);
        assertEquals(CODE + 1, m.stack(8, 1), c[0]);
      }
    }
  }

  @Test
  void accessAcrossTheCanonicalBoundaryFaults() {
    try (var m = newMachine()) {
      m.memory.writeLong(PML4 + 8 * 255, PDPT | 7);
      m.memory.writeLong(PDPT + 8 * 511, PD | 7);
      m.memory.writeLong(PD + 8 * 511, 0x40_0000 | 7 | LARGE);
      m.long64(0).setGpr(RBX, NON_CANONICAL - 4);
      m.code(64, m.assembler(64).hex("8b 03 48 8b 03"));
      m.run();
      assertEquals(13, m.vector());
      assertEquals(CODE + 2, m.stack(8, 1));
    }
  }

  @Test
  void pushOfAnOperandAcrossTheCanonicalBoundaryIsNoStackFault() {
    // push [rbx], call [rbx]; pop [rbx], whose operand is behind the stack.
    for (String code : new String[] {"ff 33", "ff 13", "8f 03"}) {
      try (var m = newMachine()) {
        m.memory.writeLong(PML4 + 8 * 255, PDPT | 7);
        m.memory.writeLong(PDPT + 8 * 511, PD | 7);
        m.memory.writeLong(PD + 8 * 511, 0x40_0000 | 7 | LARGE);
        m.long64(0).setGpr(RBX, NON_CANONICAL - 4);
        m.code(64, m.assembler(64).hex(code));
        m.run();
        assertEquals(13, m.vector(), code);
      }
    }
  }

  @Test
  void jumpToANonCanonicalAddressFaultsBeforeItJumps() {
    try (var m = newMachine()) {
      m.long64(0).setGpr(RBX, NON_CANONICAL);
      m.code(64, m.assembler(64).hex("ff e3"));
      m.run();
      assertEquals(13, m.vector());
      assertEquals(CODE, m.stack(8, 1));
      m.long64(0).setGpr(RBX, NON_CANONICAL);
      m.code(64, m.assembler(64).hex("ff d3"));
      m.run();
      assertEquals(13, m.vector());
      assertEquals(KERNEL_STACK, m.stack(8, 4), "nothing was pushed");
    }
  }

  @Test
  void farPointersInMemoryHaveThirtyTwoBitOffsets() {
    try (var m = newMachine()) {
      m.long64(0);
      m.memory.writeInt(DATA, 0x12_0000);
      m.memory.writeShort(DATA + 4, CODE32);
      m.code(64, m.assembler(64).hex("ff 2c 25 00 00 20 00")); // jmp far [DATA]
      m.memory.write(0x12_0000, new byte[] {0x31, (byte) 0xc0, 0x48, (byte) 0xf4});
      m.run();
      assertEquals(0xffff_ffffL, m.gpr(RAX), "32-bit code ran");
      assertEquals(CODE32, m.selector(CpuState.CS));
    }
  }

  @Test
  void callGateInLongModePushesQuadwords() {
    try (var m = newMachine()) {
      m.long64(3);
      m.callGate(FREE, CODE64, 0x11_0000, 12, 3, 0);
      m.memory.writeLong(GDT + FREE + 8, 0);
      m.memory.writeByte(0x11_0000, 0xf4);
      m.memory.writeInt(DATA, 0);
      m.memory.writeShort(DATA + 4, FREE | 3);
      m.code(64, m.assembler(64).hex("ff 1c 25 00 00 20 00"));
      m.run();
      assertEquals(KERNEL_STACK - 32, m.rsp());
      assertEquals(CODE + 7, m.stack(8, 0));
      assertEquals(USER_CODE64, m.stack(8, 1));
      assertEquals(USER_STACK, m.stack(8, 2));
      assertEquals(USER_FLAT, m.stack(8, 3));
      assertEquals(0, m.selector(CpuState.SS));
    }
  }

  @Test
  void codeSegmentWithLongAndDefaultIsRefused() {
    try (var m = newMachine()) {
      m.compatibility(0);
      m.descriptor(FREE, 0, 0xfffff, 0xe09b);
      m.code(32, m.assembler(32).jmpFar(FREE, 0));
      m.run();
      assertEquals(13, m.vector());
      assertEquals(FREE, m.stack(8, 0));
    }
  }

  @Test
  void taskRegisterDescriptorHasSixteenBytes() {
    try (var m = newMachine()) {
      m.long64(0);
      m.descriptor(FREE, 0x5678_9000L, 0x67, 0x89);
      m.memory.writeLong(GDT + FREE + 8, 0xffff_8000L);
      m.code(64, m.assembler(64).mov(RAX, FREE).ltr(RAX).hlt());
      m.run();
      assertEquals(
          0xffff_8000_5678_9000L,
          m.state().get(CpuState.segment(CpuState.TR, CpuState.SEGMENT_BASE)));
      m.long64(0).setInt32(CpuState.GDTR_LIMIT, FREE + 14);
      m.descriptor(FREE, TSS, 0x67, 0x89);
      m.run();
      assertEquals(13, m.vector());
      assertEquals(FREE, m.stack(8, 0));
    }
  }

  @Test
  void taskPriorityHoldsInterruptsBack() {
    try (var m = newMachine()) {
      m.long64(0).set(CpuState.RFLAGS, 0x202);
      m.apic.setTaskPriority(5);
      m.apic.request(0x51);
      m.code(
          64,
          m.assembler(64)
              .movFromControl(RBX, 8)
              .nop()
              .nop()
              .mov(RAX, 4)
              .movToControl(8, RAX)
              .nop()
              .hlt());
      m.run();
      assertEquals(5, m.gpr(RBX));
      assertEquals(0x51, m.vector());
      assertTrue(m.stack(8, 0) >= CODE + 15);
    }
  }

  @Test
  void fsAndGsBaseInstructionsNeedTheirControlBit() {
    try (var m = newMachine()) {
      m.long64(3);
      m.code(64, m.assembler(64).hex("f3 48 0f ae d0")); // wrfsbase rax
      m.run();
      assertEquals(6, m.vector());
      CpuState s = m.long64(3);
      s.set(CpuState.CR4, CR4_LONG | 1 << 16);
      s.setGpr(RAX, NON_CANONICAL);
      m.run();
      assertEquals(13, m.vector());
      s = m.long64(3);
      s.set(CpuState.CR4, CR4_LONG | 1 << 16);
      s.setGpr(RAX, 0x7000_1234_5678L);
      m.code(64, m.assembler(64).hex("f3 48 0f ae d0 f3 48 0f ae c3 0f 0b"));
      m.run();
      assertEquals(0x7000_1234_5678L, m.gpr(RBX));
    }
  }

  @Test
  void compatibilityModeChecksSegmentsAndPushesDoublewords() {
    try (var m = newMachine()) {
      m.compatibility(3).setSegment(CpuState.DS, USER_FLAT, 0, 0xfff, 0x40f3);
      m.code(32, m.assembler(32).push(RAX).hex("a1 fd 0f 00 00"));
      m.run();
      assertEquals(13, m.vector());
      assertEquals(USER_STACK - 4, m.stack(8, 4));
      assertEquals(USER_CODE32, m.stack(8, 2));
      assertEquals(CODE64, m.selector(CpuState.CS));
    }
  }

  @Test
  void misalignmentOfSixteenBytesComesBeforeStackFaults() {
    for (String code : new String[] {"66 0f ef 45 00", "0f 29 45 00", "f0 48 0f c7 4d 00"}) {
      try (var m = newMachine()) {
        for (int low : new int[] {0, 1}) {
          m.long64(3).setGpr(RBP, NON_CANONICAL + low);
          m.code(64, m.assembler(64).hex(code)); // pxor, movaps, cmpxchg16b of [rbp]
          m.run();
          assertEquals(low == 0 ? 12 : 13, m.vector(), code);
        }
      }
    }
  }

  @Test
  void stackOfAnInstructionWithAMemoryOperandFaultsAsStack() {
    Object[][] cases = {
      // Code, RBX, RSP, vector
      {"ff 13", DATA, NON_CANONICAL + 0x100, 12}, // call [rbx]
      {"ff 33", DATA, NON_CANONICAL + 0x100, 12}, // push [rbx]
      {"8f 03", DATA, NON_CANONICAL + 0x100, 12}, // pop [rbx]
      {"ff 13", NON_CANONICAL, USER_STACK, 13},
      {"ff 33", NON_CANONICAL, USER_STACK, 13},
      {"8f 03", NON_CANONICAL, USER_STACK, 13},
      {"ff 33", NON_CANONICAL, NON_CANONICAL + 0x100, 13},
      {"8f 03", NON_CANONICAL, NON_CANONICAL + 0x100, 12}
    };
    for (Object[] c : cases) {
      try (var m = newMachine()) {
        CpuState s = m.long64(3);
        s.setGpr(RBX, (long) c[1]);
        s.setGpr(RSP, (long) c[2]);
        m.memory.writeLong(DATA, CODE);
        m.code(64, m.assembler(64).hex((String) c[0]));
        m.run();
        assertEquals(c[3], m.vector(), c[0] + " " + c[1]);
      }
    }
  }
}
