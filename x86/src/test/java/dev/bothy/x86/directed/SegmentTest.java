package dev.bothy.x86.directed;

import static dev.bothy.x86.directed.ProtectedModeTest.expectFault;
import static dev.bothy.x86.directed.TestMachine.*;
import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.bothy.core.cpu.CpuState;
import dev.bothy.x86.assemble.Assembler;
import java.util.function.Consumer;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Segments of protected mode: their limits and types, loading their registers, asking for them. */
class SegmentTest extends EngineTest {
  private static Consumer<Assembler> loadSegment(int segment, int selector) {
    return a -> {
      // One instruction: the selector comes from memory.
      a.absolute(new int[] {0x8e}, segment, DATA + 2 * segment);
    };
  }

  private static void expectLoadFault(
      TestMachine m, int cpl, int segment, int selector, int vector, int code) {
    m.memory.writeShort(DATA + 2 * segment, selector);
    expectFault(m, cpl, loadSegment(segment, selector), vector, code);
  }

  @Test
  void dataSegmentLimitIsChecked() {
    try (var m = newMachine()) {
      m.protected32(0);
      m.state().setSegment(CpuState.FS, FREE, DATA, 0xfff, 0x4093);
      m.code(
          32,
          m.assembler(32)
              .hex("64 a1 fc 0f 00 00 64 a1 fd 0f 00 00")
              .hlt()); // mov eax, fs:[0xffc], [0xffd]
      m.run();
      assertEquals(13, m.vector());
      assertEquals(CODE + 6, m.stack(4, 1));
      assertEquals(0, m.stack(4, 0));
    }
  }

  @Test
  void expandDownSegmentAllowsOnlyWhatIsAboveItsLimit() {
    try (var m = newMachine()) {
      m.protected32(0);
      m.memory.writeInt(DATA + 0x1000, 0x1234);
      m.state().setSegment(CpuState.FS, FREE, DATA, 0xfff, 0x4097);
      m.code(32, m.assembler(32).hex("64 a1 00 10 00 00 64 a0 ff 0f 00 00").hlt());
      m.run();
      assertEquals(13, m.vector());
      assertEquals(0x1234, m.gpr(RAX));
      assertEquals(CODE + 6, m.stack(4, 1));
    }
  }

  @Test
  void smallExpandDownSegmentEndsAtSixtyFourKibibytes() {
    try (var m = newMachine()) {
      m.protected32(0);
      m.state().setSegment(CpuState.FS, FREE, DATA, 0xfff, 0x0097);
      m.code(32, m.assembler(32).hex("64 a1 fc ff 00 00 64 a1 fd ff 00 00").hlt());
      m.run();
      assertEquals(13, m.vector());
      assertEquals(CODE + 6, m.stack(4, 1));
    }
  }

  @Test
  void nullSegmentMayBeLoadedButNotUsed() {
    try (var m = newMachine()) {
      m.protected32(0);
      m.code(
          32, m.assembler(32).mov(RAX, 3).movToSegment(CpuState.ES, RAX).hex("26 a0 00 00 20 00"));
      m.run();
      assertEquals(13, m.vector());
      assertEquals(0, m.stack(4, 0));
      assertEquals(3, m.selector(CpuState.ES));
    }
  }

  @Test
  void stackSegmentFaultsAreVectorTwelve() {
    try (var m = newMachine()) {
      m.protected32(0);
      m.state().setSegment(CpuState.SS, FREE, 0, 0x8_ffff, 0x4093);
      m.state().setGpr(RBP, 0x9_0000);
      m.code(32, m.assembler(32).hex("8b 45 00")); // mov eax, [ebp]
      m.run();
      assertEquals(12, m.vector());
      assertEquals(0, m.stack(4, 0));
    }
  }

  @Test
  void codeSegmentsAreNotWritableAndExecuteOnlyOnesNotReadable() {
    try (var m = newMachine()) {
      expectFault(m, 0, a -> a.hex("2e a2 00 00 20 00"), 13, 0);
    }
    try (var m = newMachine()) {
      m.protected32(0);
      m.state().setSegment(CpuState.CS, FREE, 0, -1, 0xc099);
      m.code(32, m.assembler(32).hex("2e a0 00 00 20 00"));
      m.run();
      assertEquals(13, m.vector());
    }
  }

  @Test
  void segmentLoadsCheckTypePresenceAndPrivilege() {
    try (var m = newMachine()) {
      m.descriptor(FREE, 0, 0xfffff, 0xc013); // not present
      expectLoadFault(m, 0, CpuState.DS, FREE, 11, FREE);
      expectLoadFault(m, 0, CpuState.SS, FREE, 12, FREE);
      expectLoadFault(m, 0, CpuState.SS, 0, 13, 0);
      expectLoadFault(m, 0, CpuState.SS, CODE32, 13, CODE32);
      expectLoadFault(m, 0, CpuState.SS, USER_FLAT, 13, USER_FLAT & ~3);
      expectLoadFault(m, 3, CpuState.DS, FLAT | 3, 13, FLAT);
      expectLoadFault(m, 0, CpuState.DS, TASK, 13, TASK);
      expectLoadFault(m, 0, CpuState.DS, 0xfff8, 13, 0xfff8);
      expectLoadFault(m, 0, CpuState.DS, 0xfffc, 13, 0xfffc);
      m.descriptor(FREE, 0, 0xfffff, 0xc099); // execute-only
      expectLoadFault(m, 0, CpuState.DS, FREE, 13, FREE);
    }
  }

  @Test
  void loadingASegmentSetsItsAccessedBit() {
    try (var m = newMachine()) {
      m.protected32(0);
      m.descriptor(FREE, 0x1234_5678, 0x12345, 0x4092);
      m.code(32, m.assembler(32).mov(RAX, FREE).movToSegment(CpuState.FS, RAX).hlt());
      m.run();
      assertEquals(0x93, m.memory.readByte(GDT + FREE + 5));
      CpuState s = m.state();
      assertEquals(0x1234_5678, s.get(CpuState.segment(CpuState.FS, CpuState.SEGMENT_BASE)));
      assertEquals(0x12345, s.getInt32(CpuState.segment(CpuState.FS, CpuState.SEGMENT_LIMIT)));
    }
  }

  @Test
  void localDescriptorsComeFromTheLdt() {
    try (var m = newMachine()) {
      m.protected32(0);
      m.descriptor(0xc, DATA, 0xfff, 0x4093);
      m.memory.writeInt(DATA + 8, 0x4711);
      m.code(
          32,
          m.assembler(32)
              .mov(RAX, LOCAL)
              .lldt(RAX)
              .mov(RAX, 0xc)
              .movToSegment(CpuState.GS, RAX)
              .hex("65 a1 08 00 00 00")
              .hlt());
      m.run();
      assertEquals(0x4711, m.gpr(RAX));
    }
  }

  @Test
  void ldtMustBePresentAndOfItsType() {
    try (var m = newMachine()) {
      m.descriptor(FREE, LDT, 0xfff, 0x02);
      m.memory.writeShort(DATA, FREE);
      expectFault(m, 0, a -> a.absolute(new int[] {0x0f, 0x00}, 2, DATA), 11, FREE);
      m.memory.writeShort(DATA, FLAT);
      expectFault(m, 0, a -> a.absolute(new int[] {0x0f, 0x00}, 2, DATA), 13, FLAT);
      m.memory.writeShort(DATA, 0xc);
      expectFault(m, 0, a -> a.absolute(new int[] {0x0f, 0x00}, 2, DATA), 13, 0xc);
      expectFault(m, 3, a -> a.absolute(new int[] {0x0f, 0x00}, 2, DATA), 13, 0);
    }
  }

  @Test
  void taskRegisterLoadMarksTheTaskBusyAndRefusesABusyOne() {
    try (var m = newMachine()) {
      m.protected32(0);
      m.descriptor(FREE, TSS, 0x67, 0x89);
      m.code(32, m.assembler(32).mov(RAX, FREE).ltr(RAX).ltr(RAX));
      m.run();
      assertEquals(13, m.vector());
      assertEquals(FREE, m.stack(4, 0));
      assertEquals(0x8b, m.memory.readByte(GDT + FREE + 5));
      assertEquals(FREE, m.selector(CpuState.TR));
    }
  }

  @ParameterizedTest
  @CsvSource({
    // selector, LAR's value or -1, LSL's value or -1; at CPL 3
    "0x20, 0xcffa00, 0xffffffff",
    "0x2b, 0xcff300, 0xffffffff",
    "0x18, -1, -1",
    "0x48, -1, -1",
    "0, -1, -1",
    "0xffff, -1, -1"
  })
  void segmentQueriesAnswerOnlyWhatIsVisible(String selector, String rights, String limit) {
    try (var m = newMachine()) {
      int which = Integer.decode(selector);
      m.protected32(3);
      m.descriptor(0x20, 0, 0xf_ffff, 0xc0fa);
      m.code(
          32,
          m.assembler(32)
              .mov(RBX, which)
              .mov(RAX, -1)
              .mov(RCX, -1)
              .hex("0f 02 c3 0f 94 c2 0f 03 cb 0f 94 c6 0f 0b")); // lar eax, ebx; setz dl; lsl ecx,
      // ebx; setz dh
      m.run();
      assertEquals(6, m.vector());
      long lar = Long.decode(rights);
      long lsl = Long.decode(limit);
      if (lar == -1) {
        assertEquals(0xffff_ffffL, m.gpr(RAX));
      } else {
        assertEquals(lar, m.gpr(RAX));
      }
      assertEquals(lsl == -1 ? 0xffff_ffffL : lsl, m.gpr(RCX));
      assertEquals((lar == -1 ? 0 : 1) | (lsl == -1 ? 0 : 0x100), m.gpr(RDX) & 0xffff);
    }
  }

  @Test
  void verificationOfReadingAndWriting() {
    try (var m = newMachine()) {
      m.protected32(3);
      int[] selectors = {USER_FLAT, FLAT, USER_CODE32, CODE32, 0, TASK};
      int expected = 0b000001_000101; // VERW of the first; VERR of the first and third
      var a = m.assembler(32).xorRegister(RAX, RAX);
      for (int n = 0; n < selectors.length; n++) {
        a.mov(RBX, selectors[n]);
        a.hex("0f 00 e3 0f 94 c1 0f b6 c9")
            .hex("c1 e1")
            .emit(n)
            .hex("09 c8"); // verr bx; setz cl; shl; or
        a.hex("0f 00 eb 0f 94 c1 0f b6 c9").hex("c1 e1").emit(n + 6).hex("09 c8");
      }
      m.code(32, a.hex("0f 0b"));
      m.run();
      assertEquals(expected, m.gpr(RAX));
    }
  }

  @Test
  void arplRaisesTheRequestedLevel() {
    try (var m = newMachine()) {
      m.protected32(3);
      m.code(
          32,
          m.assembler(32)
              .mov(RAX, 0x10)
              .mov(RBX, 3)
              .hex("63 d8 0f 94 c1 63 d8 0f 94 c2 0f 0b")); // arpl ax, bx twice
      m.run();
      assertEquals(0x13, m.gpr(RAX));
      assertEquals(1, m.gpr(RCX) & 0xff);
      assertEquals(0, m.gpr(RDX) & 0xff);
    }
  }
}
