package dev.bothy.x86.directed;

import static dev.bothy.x86.directed.TestMachine.*;
import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.bothy.core.cpu.CpuState;
import dev.bothy.x86.assemble.Assembler;
import org.junit.jupiter.api.Test;

/** Virtual-8086 mode; what is expected is in AMD64 APM volume 2, section 8.10. */
class Virtual8086Test extends EngineTest {
  private static final int VM = 1 << 17;
  private static final int VIF = 1 << 19;
  private static final int VIP = 1 << 20;
  private static final int IOPL = 3 << 12;
  private static final long VME = 1;
  private static final long PVI = 2;

  private static final int GP = 13;

  /** The program's code, stack and data. */
  private static final int CS = 0xc00;

  private static final int SS = 0xd00;
  private static final int SP = 0x800;
  private static final int DS = 0xe00;

  /** The handler of the program's own interrupt 0x21: a HLT, which its monitor hears of. */
  private static final int OWN_HANDLER = 0x200;

  /**
   * Enters virtual-8086 mode from a monitor by IRET, with all interrupts the program's but 0x22 if
   * CR4.VME is set.
   */
  private static void program(TestMachine m, long cr4, int flags, String code) {
    m.protected32(0);
    m.state().set(CpuState.CR4, m.state().get(CpuState.CR4) | cr4);
    m.state().setSegment(CpuState.TR, TASK, TSS, 0x2087, 0x8b);
    m.memory.writeShort(TSS + 0x66, 0x88);
    for (int i = 0; i < 32; i++) {
      m.memory.writeByte(TSS + 0x68 + i, 0);
    }
    m.memory.writeByte(TSS + 0x68 + 0x22 / 8, 1 << 0x22 % 8);
    m.memory.writeInt(4 * 0x21, CS << 16 | OWN_HANDLER);
    Assembler a = m.assembler(32);
    for (int word : new int[] {0x111, 0x222, DS, 0x333, SS, SP, flags | VM | 2, CS, 0x10}) {
      a.pushConstant(word);
    }
    m.code(32, a.iret());
    m.memory.write((CS << 4) + 0x10, new Assembler(16, 0x10).hex(code).hlt().toBytes());
    m.memory.writeByte((CS << 4) + OWN_HANDLER, 0xf4);
    m.run();
  }

  /** The program was left for the monitor's handler of {@code vector} at {@code ip}. */
  private static void left(TestMachine m, int vector, int ip) {
    assertEquals(vector, m.vector(), "vector");
    assertEquals(CS, frame(m, 1), "CS");
    assertEquals(ip, frame(m, 0), "IP");
  }

  /** Word {@code n} of the frame: IP, CS, FLAGS, SP, SS, ES, DS, FS, GS. */
  private static int frame(TestMachine m, int n) {
    return (int) m.stack(4, m.vector() == GP ? n + 1 : n);
  }

  private static int programFlags(TestMachine m) {
    return frame(m, 2);
  }

  private static int pushed(TestMachine m, int n) {
    return m.memory.readShort((SS << 4) + frame(m, 3) + 2 * n) & 0xffff;
  }

  @Test
  void addressesAreThoseOfRealModeAndFaultsPushSegments() {
    try (var m = newMachine()) {
      m.memory.writeShort((DS << 4) + 0x20, 0x1234);
      // mov ax, [0x20]; mov cx, 0x444; mov es, cx; mov [es:0], ax
      program(m, 0, 0, "a1 20 00 b9 44 04 8e c1 26 a3 00 00");
      left(m, GP, 0x1c);
      assertEquals(0, m.stack(4, 0), "error code");
      assertEquals(VM | 2, programFlags(m) & ~(1 << 16 | 0x8d5));
      assertEquals(SP, frame(m, 3));
      assertEquals(SS, frame(m, 4));
      assertEquals(0x444, frame(m, 5));
      assertEquals(DS, frame(m, 6));
      assertEquals(0x222, frame(m, 7));
      assertEquals(0x111, frame(m, 8));
      assertEquals(0x1234, m.memory.readShort(0x4440));
      assertEquals(0, m.selector(CpuState.DS));
      assertEquals(0, m.selector(CpuState.GS));
      assertEquals(0, m.state().get(CpuState.RFLAGS) & VM);
    }
  }

  @Test
  void segmentsEndAt64KiB() {
    try (var m = newMachine()) {
      program(m, 0, 0, "a1 ff ff");
      left(m, GP, 0x10);
    }
  }

  @Test
  void withoutTheExtensionsIoplGuardsTheInterruptFlag() {
    for (String code : new String[] {"fa", "fb", "9c", "9d", "cf", "cd 21"}) {
      try (var m = newMachine()) {
        program(m, 0, 2 << 12, code);
        left(m, GP, 0x10);
      }
    }
  }

  @Test
  void withIoplOf3TheInterruptFlagIsTheProgramsOwn() {
    try (var m = newMachine()) {
      // sti; pushf; cli; pushf; push 0; popf: IOPL stays
      program(m, 0, IOPL, "fb 9c fa 9c 68 00 00 9d");
      left(m, GP, 0x18);
      assertEquals(IOPL, programFlags(m) & (IOPL | IF));
      assertEquals(IOPL, pushed(m, 0) & (IOPL | IF));
      assertEquals(IOPL | IF, pushed(m, 1) & (IOPL | IF));
    }
  }

  @Test
  void anInterruptReturnStaysInTheProgram() {
    try (var m = newMachine()) {
      m.memory.writeByte((CS << 4) + 0x40, 0xf4);
      // push 0x202; push cs; push 0x40; iret
      program(m, 0, IOPL, "68 02 02 0e 6a 40 cf");
      left(m, GP, 0x40);
      assertEquals(VM | IOPL | IF, programFlags(m) & (VM | IOPL | IF));
    }
  }

  @Test
  void instructionsOfProtectedModeAreUnknown() {
    for (String code : new String[] {"0f 00 d0", "0f 00 c8", "0f 02 c0", "63 c0"}) {
      try (var m = newMachine()) {
        program(m, 0, IOPL, code);
        left(m, 6, 0x10);
      }
    }
  }

  @Test
  void portsGoByThePermissionMapWhateverIoplIs() {
    try (var m = newMachine()) {
      program(m, 0, IOPL, "e4 60");
      left(m, GP, 0x10);
    }
  }

  @Test
  void breakpointsGoToTheMonitorWhateverIoplIs() {
    try (var m = newMachine()) {
      program(m, 0, 0, "cc");
      left(m, 3, 0x11);
    }
    try (var m = newMachine()) {
      program(m, VME, 0, "cc");
      left(m, 3, 0x11);
    }
  }

  @Test
  void softwareInterruptsGoThroughTheGateWithIoplOf3() {
    try (var m = newMachine()) {
      program(m, 0, IOPL, "cd 21");
      left(m, 0x21, 0x12);
    }
  }

  @Test
  void theBitmapGivesInterruptsToTheProgram() {
    try (var m = newMachine()) {
      program(m, VME, VIF, "cd 21");
      left(m, GP, OWN_HANDLER);
      assertEquals(0x12, pushed(m, 0));
      assertEquals(CS, pushed(m, 1));
      assertEquals(IF | IOPL, pushed(m, 2) & (IF | IOPL), "IF is VIF, IOPL 3");
      assertEquals(0, programFlags(m) & (VIF | IF));
    }
    try (var m = newMachine()) {
      program(m, VME, IOPL | IF, "cd 21");
      left(m, GP, OWN_HANDLER);
      assertEquals(IF | IOPL, pushed(m, 2) & (IF | IOPL));
      assertEquals(IOPL, programFlags(m) & (IF | IOPL));
    }
  }

  @Test
  void theBitmapKeepsInterruptsForTheMonitor() {
    try (var m = newMachine()) {
      program(m, VME, IOPL, "cd 22");
      left(m, 0x22, 0x12);
    }
    try (var m = newMachine()) {
      program(m, VME, 0, "cd 22");
      left(m, GP, 0x10);
    }
  }

  @Test
  void theExtensionsKeepAVirtualInterruptFlag() {
    try (var m = newMachine()) {
      // sti; pushf; cli; pushf; push 0x200; popf
      program(m, VME, 0, "fb 9c fa 9c 68 00 02 9d");
      left(m, GP, 0x18);
      assertEquals(VIF, programFlags(m) & (VIF | IF | IOPL));
      assertEquals(IOPL, pushed(m, 0) & (IOPL | IF));
      assertEquals(IOPL | IF, pushed(m, 1) & (IOPL | IF));
    }
    try (var m = newMachine()) {
      m.memory.writeByte((CS << 4) + 0x40, 0xf4);
      program(m, VME, 0, "68 02 02 0e 6a 40 cf");
      left(m, GP, 0x40);
      assertEquals(VIF, programFlags(m) & (VIF | IF | IOPL));
    }
  }

  @Test
  void theExtensionsAreOf16Bits() {
    for (String code : new String[] {"66 9c", "66 9d", "66 cf"}) {
      try (var m = newMachine()) {
        program(m, VME, 0, code);
        left(m, GP, 0x10);
      }
    }
  }

  @Test
  void aVirtualInterruptThatWaitsIsHeardOf() {
    for (String code : new String[] {"fb", "68 00 02 9d", "68 00 01 9d"}) {
      try (var m = newMachine()) {
        program(m, VME, VIP, code);
        left(m, GP, code.equals("fb") ? 0x10 : 0x13);
      }
    }
  }

  @Test
  void protectedModeHasVirtualInterruptsToo() {
    try (var m = newMachine()) {
      m.protected32(3);
      m.state().set(CpuState.CR4, m.state().get(CpuState.CR4) | PVI);
      m.code(32, m.assembler(32).sti().nop().hlt());
      m.run();
      assertEquals(GP, m.vector());
      assertEquals(CODE + 2, m.stack(4, 1));
      assertEquals(VIF, m.stack(4, 3) & (VIF | IF));
    }
    try (var m = newMachine()) {
      m.protected32(3);
      m.code(32, m.assembler(32).sti().hlt());
      m.run();
      assertEquals(CODE, m.stack(4, 1));
    }
  }
}
