package dev.bothy.x86.directed;

import static dev.bothy.x86.directed.TestMachine.*;
import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.bothy.core.cpu.CpuState;
import dev.bothy.x86.assemble.Assembler;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Code that has run hundreds of times and then changes, or whose pages do. */
class HotCodeTest extends EngineTest {
  private static final int ROUNDS = 300;
  private static final long PAGE = DATA + 0x8000;
  private static final long OTHER = DATA + 0x9000;
  private static final long ALL = P | W | U;

  /** mov eax, value; ret. */
  private static byte[] routine(int value) {
    return new Assembler(64, 0).mov32(RAX, value).ret().toBytes();
  }

  @Test
  void lateStoreChangesTheNextInstructionOfItsBlock() {
    likeTheInterpreter(
        "next instruction",
        m -> {
          m.long64(0);
          var a = m.assembler(64).mov(15, ROUNDS).mov(RBX, DATA).mov(RDX, 9).label("loop");
          // Stores to data for long, then to the constant of the instruction behind it.
          a.store8(RBX, 0, RDX);
          long constant = a.here() + 3;
          a.mov(RCX, 1).addRegister(RSI, RCX).dec(15).jnz("loop");
          a.cmp(RBX, (int) constant).jz("end");
          m.code(64, a.mov(RBX, constant).mov(15, 2).jmp("loop").label("end").hlt());
          m.run();
        },
        m -> assertEquals(ROUNDS + 18, m.gpr(RSI)));
  }

  @Test
  void lateStoreTurnsTheNextInstructionIntoAnother() {
    likeTheInterpreter(
        "another instruction",
        m -> {
          m.long64(0);
          var a = m.assembler(64).mov(15, ROUNDS).mov(RBX, DATA).mov(RDX, 0xf4).label("loop");
          a.store8(RBX, 0, RDX);
          long next = a.here();
          a.inc(RSI).dec(15).jnz("loop");
          m.code(64, a.mov(RBX, next).mov(15, 2).jmp("loop"));
          m.run();
          assertEquals(next + 1, m.rip());
        },
        m -> assertEquals(ROUNDS, m.gpr(RSI)));
  }

  @Test
  void pushCallAndStringStoresChangeTheirOwnBlock() {
    // Each writes HLTs over what follows it, once its pointer leads there.
    for (String code :
        new String[] {"50", "48 ab", "f3 48 ab", "0f 11 07", "f0 48 01 07", "dd 1f"}) {
      likeTheInterpreter(
          code,
          m -> {
            CpuState s = m.long64(0);
            s.setGpr(RAX, 0xf4f4_f4f4_f4f4_f4f4L);
            m.memory.writeLong(DATA, 0xf4f4_f4f4_f4f4_f4f4L);
            var a = m.assembler(64).mov(15, ROUNDS).mov(14, DATA + 0x800).mov(RSI, DATA);
            a.label("loop").movRegister(RDI, 14).mov(RCX, 1);
            if (code.startsWith("f0")) {
              a.hex("48 c7 07 00 00 00 00"); // mov qword [rdi], 0
            } else if (code.startsWith("50")) {
              a.hex("48 8d 67 08"); // lea rsp, [rdi+8]
            } else if (code.startsWith("dd")) {
              a.hex("dd 06"); // fld qword [rsi]
            } else {
              a.hex("0f 10 06"); // movups xmm0, [rsi]
            }
            a.hex(code);
            long next = a.here();
            a.hex("48 ff c3 48 ff c3 48 ff c3 48 ff c3 48 ff c3 48 ff c3 48 ff c3"); // inc rbx
            m.code(64, a.dec(15).jnz("loop").mov(14, next).mov(15, 2).jmp("loop"));
            m.run();
            if (!code.startsWith("f0")) {
              assertEquals(next + 1, m.rip(), code);
            }
          },
          m -> {
            if (!code.startsWith("f0")) {
              assertEquals(7 * ROUNDS, m.gpr(RBX), code);
            }
          });
    }
  }

  @Test
  void dataOnTheCodesOwnPageMayBeWrittenAllTheTime() {
    likeTheInterpreter(
        "data beside code",
        m -> {
          m.long64(0);
          var a = m.assembler(64).mov(15, 3000).mov(RBX, CODE + 0x800).label("loop");
          a.load(RAX, RBX, 0).inc(RAX).store(RBX, 0, RAX).call("sub").dec(15).jnz("loop").hlt();
          m.code(64, a.label("sub").memory(true, new int[] {0xff}, 0, RBX, 8).ret());
          m.run();
        },
        m -> {
          assertEquals(3000, m.memory.readLong(CODE + 0x800));
          assertEquals(3000, m.memory.readLong(CODE + 0x808));
        });
  }

  @Test
  void routineIsRewrittenEveryFewHundredCalls() {
    likeTheInterpreter(
        "rewritten",
        m -> {
          m.long64(0).setGpr(RBX, PAGE);
          m.memory.write(PAGE, routine(0));
          var a = m.assembler(64).mov(14, 20).label("outer").mov(15, ROUNDS).label("loop");
          a.hex("ff d3").addRegister(RSI, RAX).dec(15).jnz("loop");
          a.memory(false, new int[] {0x89}, 14, RBX, 1).dec(14).jnz("outer").hlt();
          m.code(64, a);
          m.run();
        },
        m -> assertEquals(ROUNDS * (20 * 21 / 2 - 1), m.gpr(RSI)));
  }

  @Test
  void jumpIntoTheMiddleOfHotInstructions() {
    likeTheInterpreter(
        "middle",
        m -> {
          m.long64(0);
          // mov eax, 0x90c3c0ff: from its second byte on it is inc eax; ret; nop.
          m.memory.write(PAGE, new Assembler(64, 0).hex("b8 ff c0 c3 90 ff c0 c3").toBytes());
          var a = m.assembler(64).mov(15, ROUNDS).mov(RBX, PAGE).mov(RCX, PAGE + 1);
          a.label("loop").hex("ff d3").addRegister(RSI, RAX).mov(RAX, 5).hex("ff d1");
          m.code(64, a.addRegister(RDI, RAX).dec(15).jnz("loop").hlt());
          m.run();
        },
        m -> {
          assertEquals(0x90c3_c100L * ROUNDS, m.gpr(RSI));
          assertEquals(6 * ROUNDS, m.gpr(RDI));
        });
  }

  @Test
  void bytesReachedTwoWaysChangeForBoth() {
    likeTheInterpreter(
        "two ways",
        m -> {
          m.long64(0);
          m.memory.write(PAGE, new Assembler(64, 0).hex("b8 ff c0 c3 90 ff c0 c3").toBytes());
          var a = m.assembler(64).mov(14, 2).mov(RBX, PAGE).mov(RCX, PAGE + 1).mov(RDX, 0xc8);
          a.label("again").mov(15, ROUNDS).label("loop").hex("ff d3").addRegister(RSI, RAX);
          a.mov(RAX, 5).hex("ff d1").addRegister(RDI, RAX).dec(15).jnz("loop");
          a.store8(RBX, 2, RDX); // inc eax becomes dec eax, 0x90c3c0ff becomes 0x90c3c8ff
          m.code(64, a.dec(14).jnz("again").hlt());
          m.run();
        },
        m -> {
          assertEquals((0x90c3_c100L + 0x90c3_c900L) * ROUNDS, m.gpr(RSI));
          assertEquals(10 * ROUNDS, m.gpr(RDI));
        });
  }

  @Test
  void codePageIsExchangedUnderHotCode() {
    likeTheInterpreter(
        "exchanged page",
        m -> {
          m.long64(0).setGpr(RBX, PAGE);
          m.memory.write(PAGE, routine(1));
          m.memory.write(OTHER, routine(1000));
          var a = m.assembler(64).mov(15, ROUNDS).mov(14, 2).mov(RDI, entryOf(PAGE));
          a.mov(RDX, OTHER | ALL).label("loop").hex("ff d3").addRegister(RSI, RAX).dec(15);
          a.jnz("loop").store(RDI, 0, RDX).invlpg(RBX).mov(15, ROUNDS).dec(14).jnz("loop").hlt();
          m.code(64, a);
          m.run();
        },
        m -> assertEquals(1001 * ROUNDS, m.gpr(RSI)));
  }

  @ParameterizedTest
  @ValueSource(strings = {"invlpg", "cr3", "cr4", "invpcid"})
  void codePageThatGoesAwayIsNotRunAgain(String how) {
    for (long bits : new long[] {0, ALL | NX, P | W}) {
      likeTheInterpreter(
          how + " " + bits,
          m -> {
            m.long64(3);
            m.gate64(0x41, CODE64, 0x11_0000, 0xee, 0);
            // The handler takes the page away and makes sure that it is gone.
            var h = new Assembler(64, 0x11_0000).mov(RDI, entryOf(PAGE)).mov(RDX, PAGE * P | bits);
            h.store(RDI, 0, RDX).mov(RDI, PAGE);
            switch (how) {
              case "invlpg" -> h.invlpg(RDI);
              case "cr3" -> h.movFromControl(RAX, 3).movToControl(3, RAX);
              case "cr4" -> {
                h.movFromControl(RAX, 4).hex("48 35 80 00 00 00").movToControl(4, RAX); // PGE
                h.hex("48 35 80 00 00 00").movToControl(4, RAX);
              }
              default -> h.mov(RCX, DATA).mov(RAX, 2).invpcid(RAX, RCX);
            }
            m.memory.write(0x11_0000, h.iret().toBytes());
            m.memory.write(PAGE, routine(1));
            var a = m.assembler(64).mov(15, ROUNDS).mov(RBX, PAGE);
            a.label("loop").hex("ff d3").addRegister(RSI, RAX).dec(15).jnz("loop");
            m.code(64, a.interrupt(0x41).mov(15, 2).jmp("loop"));
            m.run();
          },
          m -> {
            assertEquals(14, m.vector());
            assertEquals(bits == 0 ? 0x14 : 0x15, m.stack(8, 0));
            assertEquals(PAGE, m.stack(8, 1));
            assertEquals(PAGE, m.state().get(CpuState.CR2));
            assertEquals(ROUNDS, m.gpr(RSI));
          });
    }
  }

  @Test
  void hotLoopFallsOffItsPageOntoOneThatChanges() {
    likeTheInterpreter(
        "straddling loop",
        m -> {
          m.long64(0);
          // Four bytes on the first page, the rest on the second: inc rsi spans both.
          long start = OTHER - 1;
          byte[] loop = new Assembler(64, 0).hex("48 ff c6 41 ff cf 75 f8 c3").toBytes();
          m.memory.write(start, loop);
          // The other second page counts down instead.
          byte[] down = loop.clone();
          down[2] = (byte) 0xce;
          m.memory.write(DATA + 0xb000, java.util.Arrays.copyOfRange(down, 1, down.length));
          var a = m.assembler(64).mov(RBX, start).mov(RDI, entryOf(OTHER)).mov(RCX, OTHER);
          a.mov(15, ROUNDS).hex("ff d3").mov(RDX, DATA + 0xb000 | ALL).store(RDI, 0, RDX);
          m.code(64, a.invlpg(RCX).mov(15, 100).hex("ff d3").hlt());
          m.run();
        },
        m -> assertEquals(ROUNDS - 100, m.gpr(RSI)));
  }

  @ParameterizedTest
  @CsvSource({
    "48 8b 03",
    "48 03 03",
    "ff 33 58",
    "f3 0f 7e 03 66 48 0f 7e c0",
    "48 8b 03 48 8b 4b 08"
  })
  void dataPageIsExchangedUnderAHotLoop(String code) {
    likeTheInterpreter(
        code,
        m -> {
          m.long64(0);
          m.memory.writeLong(PAGE, 1);
          m.memory.writeLong(OTHER, 1000);
          var a = m.assembler(64).mov(14, 4).mov(RDI, entryOf(PAGE)).mov(RBX, PAGE);
          a.mov(RDX, OTHER | ALL).label("outer").mov(15, ROUNDS).label("loop").mov(RAX, 0);
          a.hex(code).addRegister(RSI, RAX).dec(15).jnz("loop");
          // The entry is exchanged with the other one.
          a.hex("48 87 17").invlpg(RBX).hex("48 81 e2 9f ff ff ff").dec(14).jnz("outer").hlt();
          m.code(64, a);
          m.run();
        },
        m -> assertEquals(2002 * ROUNDS, m.gpr(RSI)));
  }

  @Test
  void stackPageIsExchangedUnderAHotLoop() {
    likeTheInterpreter(
        "stack",
        m -> {
          m.long64(0);
          var a = m.assembler(64).mov(14, 4).mov(RDI, entryOf(PAGE)).mov(RBX, PAGE);
          a.mov(RDX, OTHER | ALL).mov(RSP, PAGE + 0x800).label("outer").mov(15, ROUNDS);
          a.label("loop").push(15).pop(RAX).addRegister(RSI, RAX).call("sub").dec(15).jnz("loop");
          a.push(14).hex("48 87 17").invlpg(RBX).hex("48 81 e2 9f ff ff ff");
          m.code(64, a.dec(14).jnz("outer").hlt().label("sub").ret());
          m.run();
        },
        m -> {
          assertEquals(4L * ROUNDS * (ROUNDS + 1) / 2, m.gpr(RSI));
          // The stack goes down by one word a time, on one page and the other.
          assertEquals(4, m.memory.readLong(PAGE + 0x7f8));
          assertEquals(3, m.memory.readLong(OTHER + 0x7f0));
          assertEquals(2, m.memory.readLong(PAGE + 0x7e8));
          assertEquals(1, m.memory.readLong(OTHER + 0x7e0));
        });
  }

  @Test
  void accessedAndDirtyBitsComeBackAfterTheyWereCleared() {
    likeTheInterpreter(
        "accessed and dirty",
        m -> {
          m.long64(0);
          var a = m.assembler(64).mov(14, 4).mov(RDI, entryOf(PAGE)).mov(RBX, PAGE);
          a.label("outer").mov(15, ROUNDS).label("loop").load(RAX, RBX, 0).dec(15).jnz("loop");
          a.load(RCX, RDI, 0).hex("48 83 e1 60").addRegister(RSI, RCX); // rsi += A and D
          a.hex("48 83 27 9f").invlpg(RBX).mov(15, ROUNDS); // and qword [rdi], ~0x60
          a.label("stores").store(RBX, 8, RAX).dec(15).jnz("stores");
          a.load(RCX, RDI, 0).hex("48 83 e1 60").addRegister(RBP, RCX);
          m.code(64, a.hex("48 83 27 9f").invlpg(RBX).dec(14).jnz("outer").hlt());
          m.run();
        },
        m -> {
          assertEquals(4 * 0x20, m.gpr(RSI));
          assertEquals(4 * 0x60, m.gpr(RBP));
        });
  }

  @Test
  void pageTableThatIsHotCodeToo() {
    likeTheInterpreter(
        "code and table",
        m -> {
          m.long64(0).setGpr(RDX, 0);
          // The page-table page is run as code between changes of its entries.
          long table = 0x6_0000;
          m.memory.writeLong(PD + 8 * 5, table | ALL);
          m.memory.writeLong(table, 0x00c3_d003L); // add edx, eax; ret: a present entry
          m.memory.writeLong(table + 8, PAGE | ALL);
          m.memory.writeLong(PAGE, 7);
          m.memory.writeLong(OTHER, 9);
          var a = m.assembler(64).mov(14, 20).mov(RBX, table).mov(RBP, 0xa0_1000).mov(RAX, 1);
          a.mov(RCX, OTHER | ALL).label("outer").mov(15, ROUNDS).label("loop").hex("ff d3");
          a.hex("48 03 75 00").dec(15).jnz("loop"); // add rsi, [rbp]
          a.hex("48 87 4b 08").invlpg(RBP).dec(14).jnz("outer").hlt(); // xchg [rbx+8], rcx
          m.code(64, a);
          m.run();
        },
        m -> {
          assertEquals(20L * ROUNDS, m.gpr(RDX));
          assertEquals(20L * ROUNDS * 8, m.gpr(RSI));
        });
  }

  @Test
  void sameCodeInTwoAddressSpacesAndAtTwoPrivileges() {
    likeTheInterpreter(
        "two modes",
        m -> {
          m.long64(0);
          // One physical page at two addresses: position must not stick to it.
          m.page(OTHER, PAGE, ALL);
          // call next; next: pop rax; ret
          m.memory.write(PAGE + 0x100, new Assembler(64, 0).hex("e8 00 00 00 00 58 c3").toBytes());
          var a = m.assembler(64).mov(15, ROUNDS).mov(RBX, PAGE + 0x100).mov(RCX, OTHER + 0x100);
          a.label("loop").hex("ff d3").addRegister(RSI, RAX).hex("ff d1").addRegister(RDI, RAX);
          m.code(64, a.dec(15).jnz("loop").hlt());
          m.run();
        },
        m -> {
          assertEquals((PAGE + 0x105) * ROUNDS, m.gpr(RSI));
          assertEquals((OTHER + 0x105) * ROUNDS, m.gpr(RDI));
        });
  }

  @Test
  void sameBytesAsSixtyFourAndThirtyTwoBitCode() {
    likeTheInterpreter(
        "two widths",
        m -> {
          CpuState s = m.long64(0);
          s.setGpr(RAX, 0);
          s.setGpr(RCX, 0);
          // 48 ff c0 is inc rax, or dec eax and inc eax; then inc ecx, retf.
          m.memory.write(PAGE, new Assembler(64, 0).hex("48 ff c0 ff c1 cb").toBytes());
          m.memory.writeInt(DATA, (int) PAGE);
          m.memory.writeInt(DATA + 4, CODE64);
          m.memory.writeInt(DATA + 8, (int) PAGE);
          m.memory.writeInt(DATA + 12, CODE32);
          var a = m.assembler(64).mov(15, ROUNDS).mov(RBX, DATA).label("loop");
          a.hex("ff 1b ff 5b 08").dec(15).jnz("loop").hlt(); // call far [rbx]; call far [rbx+8]
          m.code(64, a);
          m.run();
        },
        m -> {
          assertEquals(ROUNDS, m.gpr(RAX));
          assertEquals(2 * ROUNDS, m.gpr(RCX));
        });
  }

  @ParameterizedTest
  @CsvSource({
    "inc: CF, f9 48 ff 02 75 02 31 c0", // stc; inc qword [rdx]; jnz over xor eax,eax
    "bts: ZF, 31 c0 48 0f ba 2a 05 73 02 31 c0", // xor eax,eax; bts qword [rdx],5; jnc over it
    "rol: ZF, 31 c0 48 c1 02 01 73 02 31 c0", // xor eax,eax; rol qword [rdx],1; jnc over it
  })
  void flagsThatAnInstructionLeavesAloneOutliveTheTakenJumpBehindIt(String name, String code) {
    likeTheInterpreter(
        name,
        m -> {
          m.long64(0);
          var a = m.assembler(64).mov(15, ROUNDS).mov(RDX, DATA).label("loop");
          // What is jumped over does not want them.
          a.mov(RCX, 1).store(RDX, 0, RCX).hex(code).pushf().pop(RBX).addRegister(RSI, RBX);
          m.code(64, a.dec(15).jnz("loop").hlt());
          m.run();
        },
        m -> assertEquals(ROUNDS * m.gpr(RBX), m.gpr(RSI)));
  }
}
