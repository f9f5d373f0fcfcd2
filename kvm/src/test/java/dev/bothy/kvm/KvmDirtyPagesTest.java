package dev.bothy.kvm;

import static dev.bothy.assemble.Assembler.NONE;
import static dev.bothy.assemble.Assembler.RAX;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.bothy.assemble.Assembler;
import dev.bothy.core.DirtyLog;
import dev.bothy.core.Exit;
import dev.bothy.core.PageSet;
import dev.bothy.core.Vcpu;
import dev.bothy.core.WrittenPages;
import dev.bothy.core.cpu.CpuState;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@Timeout(300)
class KvmDirtyPagesTest {
  private static final int FIRST = 0x10_0000;
  private static final int SECOND = 0x18_0000;
  private static final int LAST = TinyMachine.MEMORY - 8;

  @BeforeAll
  static void require() {
    TinyMachine.require();
  }

  private static List<Long> list(PageSet pages) {
    List<Long> list = new ArrayList<>();
    pages.forEach(list::add);
    return list;
  }

  private static List<Long> pages(int... addresses) {
    List<Long> list = new ArrayList<>();
    for (int address : addresses) {
      list.add((long) address / PageSet.PAGE);
    }
    return list;
  }

  /** Code that stores to these addresses, then halts; 64-bit mode, its tables touched before. */
  private static void storeTo(TinyMachine machine, int... addresses) {
    Assembler code = new Assembler();
    code.start(TinyMachine.CODE);
    for (int address : addresses) {
      code.store(8, NONE, address, RAX);
    }
    code.int8(0xf4);
    machine.memory.write(TinyMachine.CODE, code.bytes());
    machine.cpu.state().set(CpuState.RIP, TinyMachine.CODE);
    machine.cpu.state().setInt32(CpuState.ACTIVITY, CpuState.ACTIVITY_RUNNING);
    assertInstanceOf(Exit.Halted.class, machine.cpu.run(Vcpu.UNLIMITED));
  }

  private static TinyMachine warm() {
    TinyMachine machine = new TinyMachine();
    machine.longMode();
    // Accessed and dirty bits of the tables and descriptors are set by now.
    storeTo(machine, FIRST, SECOND, LAST);
    return machine;
  }

  @Test
  void storesOfTheGuestAreToldOnce() {
    try (TinyMachine machine = warm()) {
      DirtyLog log = machine.engine.dirtyLog().orElseThrow();
      PageSet before = new PageSet(TinyMachine.MEMORY / PageSet.PAGE);
      log.begin();
      storeTo(machine, FIRST, LAST);
      log.collect(before);
      assertTrue(list(before).containsAll(pages(FIRST, LAST)), before.toString());
      assertTrue(!before.contains(SECOND / PageSet.PAGE), before.toString());
      PageSet after = new PageSet(before.limit());
      storeTo(machine, SECOND);
      log.collect(after);
      assertTrue(after.contains(SECOND / PageSet.PAGE), after.toString());
      assertTrue(!after.contains(FIRST / PageSet.PAGE), after.toString());
      log.end();
    }
  }

  @Test
  void nothingIsToldWhenNothingRuns() {
    try (TinyMachine machine = warm()) {
      DirtyLog log = machine.engine.dirtyLog().orElseThrow();
      log.begin();
      PageSet pages = new PageSet(TinyMachine.MEMORY / PageSet.PAGE);
      log.collect(pages);
      assertEquals(List.of(), list(pages));
      storeTo(machine, FIRST);
      // It begins anew.
      log.begin();
      log.collect(pages);
      assertEquals(List.of(), list(pages));
      log.end();
    }
  }

  @Test
  void storesOfDevicesAreAmongThoseOfTheMachine() {
    try (TinyMachine machine = warm();
        WrittenPages written =
            new WrittenPages(machine.memory, machine.engine.dirtyLog().orElseThrow())) {
      machine.memory.write(SECOND - 1, new byte[2]);
      PageSet pages = written.take();
      assertEquals(pages(SECOND - 1, SECOND), list(pages));
      assertEquals(List.of(), list(written.take()));
      storeTo(machine, FIRST);
      PageSet both = written.take();
      assertTrue(list(both).containsAll(pages(TinyMachine.CODE, FIRST)), both.toString());
      assertTrue(!both.contains(LAST / PageSet.PAGE), both.toString());
    }
  }
}
