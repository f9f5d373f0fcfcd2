package dev.bothy.x86.directed;

import static dev.bothy.x86.directed.TestMachine.*;
import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.bothy.core.cpu.CpuState;
import java.util.HexFormat;
import java.util.function.Consumer;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Guests' task switches that their host wants to see: AMD64 APM volume 2, section 15.14.1. */
class SvmTaskSwitchTest extends EngineTest {
  private static final int INTERCEPT = 0x7d;
  private static final int GP_EXIT = 0x4d;
  private static final int NT = 1 << 14;

  /** The other task's. */
  private static final long OTHER_TSS = DATA;

  private static final long OTHER_CODE = DATA + 0x3000;

  /** Of the guest. */
  private static final long GATES = DATA + 0x6000;

  /** A guest in protected mode without paging, and another task in it that ends by VMMCALL. */
  private void withTasks(Consumer<NestedGuest> test) {
    try (var m = newMachine()) {
      NestedGuest g = new NestedGuest(m);
      g.set(NestedGuest.EFER, NestedGuest.SVME);
      g.set(NestedGuest.CR0, 0x31);
      g.set(NestedGuest.CR4, 0x600);
      m.memory.writeShort(NestedGuest.BLOCK + NestedGuest.CS, (short) CODE32);
      m.memory.writeShort(NestedGuest.BLOCK + NestedGuest.CS + 2, (short) 0xc9b);
      g.set(NestedGuest.IDTR + 8, GATES);
      m.descriptor(FREE, OTHER_TSS, 0x67, 0x89);
      m.memory.writeInt(OTHER_TSS + 0x20, (int) OTHER_CODE);
      m.memory.writeInt(OTHER_TSS + 0x24, 2);
      for (int i = 0; i < 6; i++) {
        m.memory.writeInt(OTHER_TSS + 0x48 + 4 * i, i == 1 ? CODE32 : FLAT);
      }
      m.memory.write(OTHER_CODE, HexFormat.ofDelimiter(" ").parseHex(NestedGuest.CALL));
      test.accept(g);
    }
  }

  private static int type(NestedGuest g) {
    return g.machine.memory.readByte(GDT + FREE + 5) & 0xff;
  }

  @ParameterizedTest
  @CsvSource({
    // bytes, the vector with a task gate, EXITINFO2, EXITINTINFO, where the exit is
    "ea 00 00 00 00 68 00, 0, 4000000000, 0, 0",
    "9a 00 00 00 00 68 00, 0, 0, 0, 0",
    "cd 30, 30, 0, 80000430, 0",
    "cc, 3, 0, 80000303, 0",
    "f1, 1, 0, 80000301, 0",
    "90 0f 0b, 6, 1000000000000, 80000306, 1",
    "b8 34 12 00 00 8e d8, d, 1100000001234, 123480000b0d, 5"
  })
  void nothingIsSwitchedWhenTheHostWantsToSeeIt(
      String bytes, String vector, String information, String event, int at) {
    withTasks(
        g -> {
          int gate = Integer.parseInt(vector, 16);
          g.machine.memory.writeLong(GATES + 8 * gate, (long) FREE << 16 | 0x85L << 40);
          g.intercept(INTERCEPT);
          g.code(g.assembler().hex(bytes));
          assertEquals(INTERCEPT, g.run());
          assertEquals(FREE, g.get(NestedGuest.INFORMATION));
          assertEquals(Long.parseLong(information, 16), g.get(NestedGuest.INFORMATION_2));
          assertEquals(Long.parseLong(event, 16), g.get(NestedGuest.EXIT_EVENT));
          assertEquals(NestedGuest.CODE_AT + at, g.get(NestedGuest.RIP));
          assertEquals(0, g.get(NestedGuest.NEXT_RIP));
          assertEquals(0x89, type(g));
          assertEquals(0x31, g.get(NestedGuest.CR0));
          assertEquals(TASK, g.machine.selector(CpuState.TR));

          g.release(INTERCEPT);
          assertEquals(NestedGuest.VMMCALL, g.run());
          assertEquals(OTHER_CODE, g.get(NestedGuest.RIP));
          assertEquals(0x8b, type(g));
          assertEquals(0x39, g.get(NestedGuest.CR0));
        });
  }

  @Test
  void aReturnFromATaskIsTold() {
    withTasks(
        g -> {
          g.machine.memory.writeShort(TSS, (short) FREE);
          g.machine.descriptor(FREE, OTHER_TSS, 0x67, 0x8b);
          g.set(NestedGuest.RFLAGS, NT | 2);
          g.intercept(INTERCEPT);
          g.code(g.assembler().hex("cf"));
          assertEquals(INTERCEPT, g.run());
          assertEquals(FREE, g.get(NestedGuest.INFORMATION));
          assertEquals(1L << 36, g.get(NestedGuest.INFORMATION_2));
          assertEquals(NestedGuest.CODE_AT, g.get(NestedGuest.RIP));
          assertEquals(NT | 2, g.get(NestedGuest.RFLAGS));
        });
  }

  @Test
  void whatIsWrongWithATaskComesFirst() {
    withTasks(
        g -> {
          g.machine.descriptor(FREE, OTHER_TSS, 0x67, 0x8b);
          g.intercept(INTERCEPT);
          g.intercept(GP_EXIT);
          g.code(g.assembler().hex("ea 00 00 00 00 68 00"));
          assertEquals(GP_EXIT, g.run());
          assertEquals(FREE, g.get(NestedGuest.INFORMATION));
        });
  }
}
