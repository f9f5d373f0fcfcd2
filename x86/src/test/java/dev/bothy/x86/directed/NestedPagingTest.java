package dev.bothy.x86.directed;

import static dev.bothy.x86.directed.TestMachine.*;
import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.bothy.core.cpu.CpuState;
import dev.bothy.x86.assemble.Assembler;
import java.util.function.Consumer;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** A guest's physical addresses through its host's tables. */
class NestedPagingTest extends EngineTest {
  private static final long FINAL = 1L << 32;
  private static final long TABLE = 1L << 33;
  private static final long PAGE = DATA + 0x5000;
  private static final long OTHER = DATA + 0x6000;
  private static final long ALL = P | W | U;

  private void withGuest(Consumer<NestedGuest> test) {
    try (var m = newMachine()) {
      NestedGuest g = new NestedGuest(m);
      g.nest();
      test.accept(g);
    }
  }

  private static Assembler load(NestedGuest g) {
    return g.assembler().absolute(new int[] {0x8b}, RDX, PAGE).hex(NestedGuest.CALL);
  }

  @Test
  void pagesAreWhereTheSecondTablesSay() {
    withGuest(
        g -> {
          g.machine.memory.writeInt(OTHER, 0x1234);
          g.machine.memory.writeLong(NestedGuest.nestedEntry(PAGE), OTHER | ALL);
          g.code(load(g));
          assertEquals(NestedGuest.VMMCALL, g.run());
          assertEquals(0x1234, g.machine.gpr(RDX));
          long entry = g.machine.memory.readLong(NestedGuest.nestedEntry(PAGE));
          assertEquals(A, entry & (A | D));
        });
  }

  @ParameterizedTest
  @CsvSource({
    // nested entry's bits, instruction, error
    "6, load, 4",
    "3, load, 5",
    "5, store, 7",
    "ffffff0000000007, load, d",
  })
  void accessesThatTheyRefuseAreTheHosts(String bits, String access, String error) {
    withGuest(
        g -> {
          long entry = Long.parseUnsignedLong(bits, 16);
          g.machine.memory.writeLong(NestedGuest.nestedEntry(PAGE), OTHER | entry);
          int opcode = access.equals("load") ? 0x8b : 0x89;
          g.code(g.assembler().absolute(new int[] {opcode}, RDX, PAGE + 8).hex(NestedGuest.CALL));
          assertEquals(NestedGuest.PAGE_FAULT, g.run());
          assertEquals(FINAL | Long.parseLong(error, 16), g.get(NestedGuest.INFORMATION));
          assertEquals(PAGE + 8, g.get(NestedGuest.INFORMATION_2));
          assertEquals(NestedGuest.CODE_AT, g.get(NestedGuest.RIP));
          assertEquals(15, g.machine.memory.readByte(NestedGuest.BLOCK + NestedGuest.BYTES));
          // The host mends it, and the guest goes on.
          g.machine.memory.writeLong(NestedGuest.nestedEntry(PAGE), OTHER | ALL);
          assertEquals(NestedGuest.VMMCALL, g.run());
        });
  }

  @Test
  void codeMayBeForbidden() {
    withGuest(
        g -> {
          g.machine.memory.writeByte(OTHER, 0xf4);
          g.machine.memory.writeLong(NestedGuest.nestedEntry(PAGE), OTHER | ALL | NX);
          g.code(g.assembler().mov(RBX, PAGE).hex("ff e3"));
          assertEquals(NestedGuest.PAGE_FAULT, g.run());
          assertEquals(FINAL | 0x15, g.get(NestedGuest.INFORMATION));
          assertEquals(PAGE, g.get(NestedGuest.RIP));
          assertEquals(0, g.machine.memory.readByte(NestedGuest.BLOCK + NestedGuest.BYTES));
        });
  }

  /** A guest's own tables are written to, as far as its host can know. */
  @Test
  void tablesOfTheGuestNeedToBeWritable() {
    withGuest(
        g -> {
          byte[] tables = new byte[0x4000];
          g.machine.memory.read(PML4, tables, 0, tables.length);
          long at = DATA + 0x10_0000;
          g.machine.memory.write(at, tables);
          g.set(NestedGuest.CR3, at);
          g.machine.memory.writeLong(NestedGuest.nestedEntry(at), at | P | U);
          g.code(load(g));
          assertEquals(NestedGuest.PAGE_FAULT, g.run());
          assertEquals(TABLE | 7, g.get(NestedGuest.INFORMATION));
          assertEquals(at, g.get(NestedGuest.INFORMATION_2));
        });
  }

  @Test
  void theGuestsOwnFaultsStayItsOwn() {
    withGuest(
        g -> {
          g.machine.page(PAGE, 0, 0);
          g.intercept(0x78);
          g.code(load(g));
          assertEquals(0x78, g.run());
          assertEquals(HANDLERS + 16 * 14, g.get(NestedGuest.RIP));
          assertEquals(PAGE, g.get(NestedGuest.CR2));
        });
  }

  @Test
  void translationsLastUntilAFlushIsAskedFor() {
    withGuest(
        g -> {
          g.machine.memory.writeInt(PAGE, 1);
          g.machine.memory.writeInt(OTHER, 2);
          g.code(load(g));
          g.run();
          assertEquals(1, g.machine.gpr(RDX));
          g.machine.memory.writeLong(NestedGuest.nestedEntry(PAGE), OTHER | ALL);
          g.machine.memory.writeByte(NestedGuest.BLOCK + NestedGuest.TLB, 1);
          g.set(NestedGuest.RIP, NestedGuest.CODE_AT);
          g.run();
          assertEquals(2, g.machine.gpr(RDX));
          g.machine.memory.writeLong(NestedGuest.nestedEntry(PAGE), PAGE | ALL);
          g.machine.memory.writeByte(NestedGuest.BLOCK + NestedGuest.TLB, 0);
          g.machine.memory.writeInt(NestedGuest.BLOCK + NestedGuest.ASID, 2);
          g.set(NestedGuest.RIP, NestedGuest.CODE_AT);
          g.run();
          assertEquals(1, g.machine.gpr(RDX), "another identifier");
        });
  }

  @Test
  void globalPagesOutliveTheGuestsOwnSwitches() {
    withGuest(
        g -> {
          TestMachine m = g.machine;
          g.set(NestedGuest.CR4, g.get(NestedGuest.CR4) | 1 << 7);
          long third = DATA + 0x7000;
          m.memory.writeInt(PAGE, 1);
          m.memory.writeInt(OTHER, 2);
          m.memory.writeInt(third, 3);
          m.page(PAGE, PAGE, P | W | G);
          m.page(OTHER, OTHER, P | W);
          CpuState s = m.state();
          s.setGpr(RSI, entryOf(PAGE));
          s.setGpr(RDI, third | P | W);
          s.setGpr(15, PAGE);
          g.code(
              g.assembler()
                  .absolute(new int[] {0x8b}, RDX, PAGE)
                  .absolute(new int[] {0x8b}, RCX, OTHER)
                  .store(RSI, 0, RDI)
                  .store(RSI, 8, RDI)
                  .movFromControl(RBX, 3)
                  .movToControl(3, RBX)
                  .absolute(new int[] {0x8b}, RBX, PAGE)
                  .absolute(new int[] {0x8b}, RBP, OTHER)
                  .hex("41 0f 01 3f") // invlpg [r15]
                  .absolute(new int[] {0x8b}, RDI, PAGE)
                  .hex(NestedGuest.CALL));
          assertEquals(NestedGuest.VMMCALL, g.run());
          assertEquals(1, m.gpr(RDX));
          assertEquals(2, m.gpr(RCX));
          assertEquals(1, m.gpr(RBX), "a global page");
          assertEquals(3, m.gpr(RBP), "another page");
          assertEquals(3, m.gpr(RDI), "after INVLPG");
        });
  }

  @Test
  void placesOfTheGuestsTablesLastUntilAFlushIsAskedFor() {
    withGuest(
        g -> {
          TestMachine m = g.machine;
          long copy = DATA + 0x10_0000;
          byte[] table = new byte[4096];
          m.memory.read(DATA_PT, table, 0, table.length);
          m.memory.write(copy, table);
          m.memory.writeLong(copy + 8 * (PAGE - DATA >> 12), OTHER | ALL);
          m.memory.writeLong(PD + 8, copy | ALL);
          m.memory.writeInt(PAGE, 1);
          m.memory.writeInt(OTHER, 2);
          g.code(load(g));
          g.run();
          assertEquals(2, m.gpr(RDX));
          // The guest's table is another page to the host from now on.
          long moved = DATA + 0x11_0000;
          m.memory.write(moved, table);
          m.memory.writeLong(NestedGuest.nestedEntry(copy), moved | ALL);
          m.memory.writeByte(NestedGuest.BLOCK + NestedGuest.TLB, 1);
          g.set(NestedGuest.RIP, NestedGuest.CODE_AT);
          g.run();
          assertEquals(1, m.gpr(RDX));
        });
  }

  /** Real mode: no tables but the host's. */
  @Test
  void guestsWithoutPagingAreMappedToo() {
    withGuest(
        g -> {
          g.set(NestedGuest.CR0, 0x10);
          g.set(NestedGuest.CR4, 0);
          g.set(NestedGuest.EFER, NestedGuest.SVME);
          for (int segment = 0x400; segment <= 0x430; segment += 16) {
            g.set(segment, 0xffffL << 32 | (segment == 0x410 ? 0x9b : 0x93) << 16);
            g.set(segment + 8, segment == 0x410 ? PAGE : 0);
          }
          g.set(NestedGuest.RIP, 0x10);
          g.machine.memory.writeLong(NestedGuest.nestedEntry(PAGE), OTHER | ALL);
          // inc bx; vmmcall
          g.machine.memory.write(
              OTHER + 0x10, new Assembler(16, 0).hex("43").hex(NestedGuest.CALL).toBytes());
          g.machine.state().setGpr(RBX, 6);
          assertEquals(NestedGuest.VMMCALL, g.run());
          assertEquals(7, g.machine.gpr(RBX));
          assertEquals(0x11, g.get(NestedGuest.RIP));
        });
  }

  /** Address spaces of host and guest do not mix, whatever either does to its own. */
  @Test
  void hostAndGuestSeeTheirOwnPages() {
    likeTheInterpreter(
        "pages",
        m -> {
          NestedGuest g = new NestedGuest(m);
          g.nest();
          m.memory.writeLong(NestedGuest.nestedEntry(PAGE), OTHER | ALL);
          g.code(
              g.assembler()
                  .mov(RSI, PAGE)
                  .label("again")
                  .hex("48 ff 06") // inc qword [rsi]
                  .movFromControl(RAX, 3)
                  .movToControl(3, RAX)
                  .hex("48 ff 06")
                  .invlpg(RSI)
                  .hex("48 ff 06")
                  .hex(NestedGuest.CALL)
                  .jmp("again"));
          CpuState s = m.state();
          s.setGpr(RBP, 200);
          s.setGpr(RDI, PAGE);
          m.code(
              64,
              m.assembler(64)
                  .label("host")
                  .hex("48 83 07 05") // add qword [rdi], 5
                  .hex(NestedGuest.RUN)
                  .hex("48 83 07 05")
                  .load(RCX, RAX, NestedGuest.NEXT_RIP)
                  .store(RAX, NestedGuest.RIP, RCX)
                  .dec(RBP)
                  .jnz("host")
                  .hlt());
          m.run();
        },
        m -> {
          assertEquals(2000, m.memory.readLong(PAGE));
          assertEquals(600, m.memory.readLong(OTHER));
        });
  }
}
