package dev.bothy.x86.directed;

import static dev.bothy.x86.directed.TestMachine.*;
import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.bothy.core.BusDevice;
import dev.bothy.core.cpu.CpuState;
import dev.bothy.x86.assemble.Assembler;
import java.util.function.Consumer;
import org.junit.jupiter.api.Test;

/** What kernels do all the time, one instruction after the other in a block. */
class SystemInstructionTest extends EngineTest {
  private static final int ARITHMETIC = 0x8d5;

  @Test
  void flagsGoToTheStackAndComeBack() {
    for (int cpl : new int[] {0, 3}) {
      for (int flags : new int[] {0, ARITHMETIC, 1, 4, 0x10, 0x40, 0x80, 0x400, 0x800, 0x20_0000}) {
        try (var m = newMachine()) {
          m.long64(cpl);
          var a = m.assembler(64).pushConstant(flags).popf();
          // Loses the host's flags, keeps the guest's.
          a.load(RBX, RSP, -8).pushf().pop(RCX).pushConstant(0).popf().pushf().pop(RDX);
          a.interrupt(0x80);
          m.code(64, a);
          m.run();
          assertEquals(flags, m.gpr(RBX));
          assertEquals(flags | 2, m.gpr(RCX));
          assertEquals(2, m.gpr(RDX));
        }
      }
    }
  }

  @Test
  void popfTakesWhatThePrivilegeAllows() {
    try (var m = newMachine()) {
      m.long64(3);
      m.code(64, m.assembler(64).pushConstant(0x3a02).popf().pushf().pop(RBX).interrupt(0x80));
      m.run();
      assertEquals(0x802, m.gpr(RBX), "neither IF nor IOPL");
    }
    try (var m = newMachine()) {
      var s = m.long64(3);
      s.set(CpuState.RFLAGS, 0x3002);
      m.code(64, m.assembler(64).pushConstant(0x202).popf().pushf().pop(RBX).interrupt(0x80));
      m.run();
      assertEquals(0x3202, m.gpr(RBX), "IF, by IOPL");
    }
    try (var m = newMachine()) {
      m.long64(0);
      m.code(64, m.assembler(64).pushConstant(0x3202).popf().pushf().pop(RBX).hlt());
      m.run();
      assertEquals(0x3202, m.gpr(RBX), "everything");
    }
    try (var m = newMachine()) {
      m.long64(0);
      m.code(64, m.assembler(64).pushConstant(0x102).popf().nop().nop().hlt());
      m.run();
      assertEquals(1, m.vector(), "TF");
      assertEquals(CODE + 7, m.stack(8, 0), "after one more instruction");
    }
  }

  @Test
  void popfThatFaultsChangesNothing() {
    try (var m = newMachine()) {
      var s = m.long64(0);
      s.set(CpuState.RFLAGS, 0x202 | 0x8c1);
      s.setGpr(RSP, DATA + 0x2000);
      m.page(DATA + 0x2000, 0, 0);
      m.memory.writeLong(TSS + 0x24, IST_STACK);
      m.gate64(14, CODE64, HANDLERS + 16 * 14, 0x8e, 1);
      m.code(64, m.assembler(64).popf().hlt());
      m.run();
      assertEquals(14, m.vector());
      assertEquals(0x1_0202 | 0x8c1, m.stack(8, 3));
      assertEquals(DATA + 0x2000, m.stack(8, 4));
      assertEquals(DATA + 0x2000, s.get(CpuState.CR2));
    }
  }

  @Test
  void popfThatSetsTheInterruptFlagLetsTheInterruptIn() {
    try (var m = newMachine()) {
      m.long64(0);
      m.apic.request(0x55);
      m.code(64, m.assembler(64).nop().pushConstant(0x202).popf().inc(RAX).hlt());
      m.run();
      assertEquals(0x55, m.vector());
      assertEquals(0, m.gpr(RAX), "POPF shadows nothing");
    }
  }

  @Test
  void sahfLeavesTheOverflowFlag() {
    for (int overflow : new int[] {0, 0x800}) {
      try (var m = newMachine()) {
        var s = m.long64(3);
        s.set(CpuState.RFLAGS, 2 | overflow);
        // Once with the flags in memory, once right behind an instruction that sets them.
        var a = m.assembler(64).mov(RAX, 0xd500).emit(0x9e).pushf().pop(RBX);
        a.mov(RCX, overflow == 0 ? 1 : 0x7fff_ffff).emit(0x83, 0xc1, 1).mov(RAX, 0x100);
        a.emit(0x9e).pushf().pop(RDX);
        m.code(64, a.interrupt(0x80));
        m.run();
        assertEquals(0xd7 | overflow, m.gpr(RBX));
        assertEquals(3 | overflow, m.gpr(RDX));
      }
    }
  }

  @Test
  void supervisorReachesUserPagesBetweenStacAndClacOnly() {
    for (boolean smap : new boolean[] {true, false}) {
      try (var m = newMachine()) {
        var s = m.long64(0);
        s.set(CpuState.CR4, CR4_LONG | (smap ? 1 << 21 : 0));
        m.memory.writeLong(PML4, PDPT | P | W | U);
        // Everything but one page becomes the supervisor's.
        m.memory.writeLong(PD, P | W | LARGE);
        for (int i = 0; i < 512; i++) {
          m.page(DATA + i * 4096L, DATA + i * 4096L, P | W);
        }
        m.page(DATA, DATA, P | W | U);
        m.memory.writeLong(DATA, 0x1234);
        var a = m.assembler(64).mov(RSI, DATA).mov(RBP, 3).label("again");
        a.stac().load(RBX, RSI, 0).pushf().pop(RDX).stac().clac().clac().pushf().pop(RDI);
        a.dec(RBP).jnz("again").load(RCX, RSI, 0).hlt();
        m.code(64, a);
        m.run();
        assertEquals(smap ? 14 : -1, m.vector());
        assertEquals(0x1234, m.gpr(RBX));
        assertEquals(smap ? 0 : 0x1234, m.gpr(RCX));
        assertEquals(AC, m.gpr(RDX) & AC);
        assertEquals(0, m.gpr(RDI) & AC);
      }
    }
  }

  @Test
  void interruptInstructionsOfUserCodeFollowTheirPrivilegeLevel() {
    for (boolean set : new boolean[] {true, false}) {
      for (int iopl : new int[] {0, 3}) {
        try (var m = newMachine()) {
          var s = m.long64(3);
          s.set(CpuState.RFLAGS, 2 | iopl << 12 | (set ? 0 : 0x200));
          var a = m.assembler(64).nop();
          m.code(64, (set ? a.sti() : a.cli()).nop().pushf().pop(RBX).interrupt(0x80));
          m.run();
          assertEquals(iopl == 0 ? 13 : 0x80, m.vector());
          if (iopl != 0) {
            assertEquals(set ? 0x3202 : 0x3002, m.gpr(RBX));
          }
        }
      }
    }
  }

  /** User code calls the kernel again and again; {@code last} comes before the third return. */
  private static TestMachine returnsThreeTimes(TestMachine m, Consumer<Assembler> last) {
    var s = m.long64(0);
    s.setGpr(RSP, KERNEL_STACK - 40);
    long[] frame = {CODE + 0x1000, USER_CODE64, 0x8d7, USER_STACK, USER_FLAT};
    for (int i = 0; i < frame.length; i++) {
      m.memory.writeLong(KERNEL_STACK - 40 + 8 * i, frame[i]);
    }
    // What user code may not keep.
    for (int segment : new int[] {CpuState.ES, CpuState.DS, CpuState.FS, CpuState.GS}) {
      s.setSegment(segment, 0, 0, 0, 0);
    }
    m.gate64(0x80, CODE64, CODE + 0x800, 0xee, 0);
    m.code(64, m.assembler(64).iret());
    var kernel = new Assembler(64, CODE + 0x800).inc(RBP).cmp(RBP, 3).jz("third").iret();
    kernel.label("third");
    last.accept(kernel);
    m.memory.write(CODE + 0x800, kernel.iret().toBytes());
    var user = new Assembler(64, CODE + 0x1000).pushf().pop(RBX).label("again").interrupt(0x80);
    user.cmp(RBP, 3).jnz("again").hex("8c d8").movRegister(RCX, RAX); // mov eax, ds
    m.memory.write(CODE + 0x1000, user.emit(0xf4).toBytes());
    m.run();
    return m;
  }

  @Test
  void interruptReturnGoesByTheDescriptorsOfTheMoment() {
    try (var m = returnsThreeTimes(newMachine(), a -> {})) {
      assertEquals(13, m.vector(), "HLT in user code");
      assertEquals(3, m.gpr(RBP));
      assertEquals(0x8d7, m.gpr(RBX));
      assertEquals(0, m.gpr(RCX));
      assertEquals(USER_CODE64, m.stack(8, 2));
      assertEquals(USER_STACK, m.stack(8, 4));
      assertEquals(USER_FLAT, m.stack(8, 5));
    }
    long code = GDT + (USER_CODE64 & ~7);
    long stack = GDT + (USER_FLAT & ~7);
    try (var m =
        returnsThreeTimes(
            newMachine(), a -> a.mov(RAX, 0x7b).mov(RSI, code + 5).store8(RSI, 0, RAX))) {
      assertEquals(11, m.vector(), "a code segment that is not present");
      assertEquals(USER_CODE64 & ~3, m.stack(8, 0));
    }
    try (var m =
        returnsThreeTimes(
            newMachine(), a -> a.mov(RAX, 0x73).mov(RSI, stack + 5).store8(RSI, 0, RAX))) {
      assertEquals(12, m.vector(), "a stack segment that is not present");
      assertEquals(USER_FLAT & ~3, m.stack(8, 0));
    }
    try (var m =
        returnsThreeTimes(
            newMachine(),
            a -> {
              pseudoDescriptor(a, 0x2_7000, USER_CODE64 & ~7 | 6, GDT);
              a.table(2, 0x2_7000);
            })) {
      assertEquals(13, m.vector(), "a table too short for the descriptor");
      assertEquals(USER_CODE64 & ~3, m.stack(8, 0));
    }
  }

  /** Code that writes a pseudo-descriptor. */
  private static void pseudoDescriptor(Assembler a, long at, int limit, long base) {
    a.mov(RSI, at).mov(RAX, limit).store(RSI, 0, RAX).mov(RAX, base).store(RSI, 2, RAX);
  }

  @Test
  void interruptReturnTakesFlagsAndSegmentsAsTheyAre() {
    try (var m =
        returnsThreeTimes(
            newMachine(), a -> a.load(RAX, RSP, 16).hex("80 cc 01").store(RSP, 16, RAX))) {
      assertEquals(1, m.vector(), "TF in the frame");
      assertEquals(CODE + 0x1000 + 11, m.stack(8, 0), "after one instruction");
    }
    try (var m = returnsThreeTimes(newMachine(), a -> a.pushConstant(0x4002).popf())) {
      assertEquals(13, m.vector(), "NT");
      assertEquals(CODE64, m.stack(8, 2));
    }
    try (var m =
        returnsThreeTimes(newMachine(), a -> a.mov(RAX, 0x8000_0000_0000L).store(RSP, 0, RAX))) {
      assertEquals(13, m.vector(), "not canonical");
      assertEquals(CODE64, m.stack(8, 2));
    }
    try (var m = returnsThreeTimes(newMachine(), a -> a.mov(RAX, FLAT).movToSegment(3, RAX))) {
      assertEquals(13, m.vector());
      assertEquals(CODE + 0x1000, m.stack(8, 1) & ~0xfff);
      assertEquals(0, m.gpr(RCX), "DS was the kernel's");
    }
    try (var m = returnsThreeTimes(newMachine(), a -> a.mov(RAX, USER_FLAT).movToSegment(3, RAX))) {
      assertEquals(13, m.vector());
      assertEquals(USER_FLAT, m.gpr(RCX), "DS may stay");
    }
  }

  @Test
  void interruptReturnLetsInWhatWaitsForTheFlag() {
    for (boolean nullStack : new boolean[] {false, true}) {
      for (int flags : new int[] {2, 0x202}) {
        try (var m = newMachine()) {
          m.long64(0);
          var a = m.assembler(64).mov(RBP, 3);
          if (nullStack) {
            a.mov(RAX, 0).movToSegment(2, RAX);
          }
          // Twice with nothing waiting.
          a.label("again").cmp(RBP, 1).jnz("quiet").mov(RDX, 0x300).hex("ee").label("quiet");
          a.movRegister(RBX, RSP).hex("8c d0").push(RAX).push(RBX); // mov eax, ss
          a.pushConstant(flags).hex("8c c8").push(RAX).movLabel(RAX, "back").push(RAX).iret();
          a.label("back").cli().dec(RBP).jnz("again").hlt();
          m.ports.map(
              "interrupter",
              0x300,
              1,
              new BusDevice() {
                @Override
                public long read(long offset, int size) {
                  return 0;
                }

                @Override
                public void write(long offset, int size, long value) {
                  m.apic.request(0x55);
                }
              });
          m.code(64, a);
          m.run();
          assertEquals(flags == 2 ? -1 : 0x55, m.vector());
          assertEquals(flags == 2 ? 0 : 1, m.gpr(RBP), "before the instruction returned to");
          assertEquals(nullStack ? 0 : FLAT, m.selector(CpuState.SS));
          assertEquals(KERNEL_STACK, m.gpr(RBX));
        }
      }
    }
  }

  @Test
  void systemCallsPassFlagsAndSelectors() {
    try (var m = newMachine()) {
      var s = m.long64(0);
      s.set(CpuState.LSTAR, CODE + 0x800);
      s.set(CpuState.SFMASK, 0x4_0601);
      s.set(CpuState.KERNEL_GS_BASE, DATA);
      s.setGpr(RCX, CODE + 0x1000);
      s.setGpr(11, 0x3_0ad7);
      m.code(64, m.assembler(64).sysret(true));
      // The kernel counts in its own data, and keeps the flags it was entered with.
      var kernel = new Assembler(64, CODE + 0x800).pushf().pop(RDX).swapgs();
      kernel.hex("65 48 ff 04 25 00 00 00 00").swapgs().hex("8c cf 8c d6"); // inc gs:[0]
      m.memory.write(CODE + 0x800, kernel.sysret(true).toBytes());
      var user = new Assembler(64, CODE + 0x1000).pushf().pop(RBX).mov(RBP, 4).label("again");
      user.syscall().dec(RBP).jnz("again").hex("8c c8").emit(0xf4);
      m.memory.write(CODE + 0x1000, user.toBytes());
      m.run();
      assertEquals(13, m.vector());
      assertEquals(0xad7, m.gpr(RBX), "without RF and VM");
      assertEquals(4, m.memory.readLong(DATA));
      assertEquals(0x10, m.gpr(RDI), "CS in the kernel");
      assertEquals(0x18, m.gpr(RSI), "SS");
      assertEquals(USER_CODE64, m.gpr(RAX));
      assertEquals(USER_FLAT, m.stack(8, 5));
      // CF and IF are masked.
      assertEquals(2, m.gpr(RDX) & ~0x8d4);
    }
  }
}
