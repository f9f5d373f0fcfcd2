package dev.bothy.x86.decode;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.bothy.core.cpu.CpuFeature;
import java.util.HexFormat;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

final class DecoderTest {
  private final Instruction in = new Instruction();

  private int decode(int mode, String hex) {
    byte[] code = HexFormat.of().parseHex(hex.replace(" ", ""));
    return Decoder.decode(code, 0, code.length, mode, in);
  }

  private Instruction ok(int mode, String hex) {
    assertEquals(Decoder.OK, decode(mode, hex), hex);
    assertEquals(hex.replace(" ", "").length() / 2, in.length, hex);
    return in;
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "64 | 48 8b 04 25 10 00 00 00 | mov rax,qword ptr ds:0x10",
        "64 | 8b 05 10 00 00 00 | mov eax,dword ptr [rip+0x10]",
        "32 | 8b 05 10 00 00 00 | mov eax,dword ptr ds:0x10",
        "16 | 8b 47 20 | mov ax,word ptr [bx+0x20]",
        "16 | 67 66 8b 44 24 08 | mov eax,dword ptr [esp+0x8]",
        "64 | f0 48 0f c7 0f | lock cmpxchg16b xmmword ptr [rdi]",
        "64 | f3 48 a5 | rep movs qword ptr es:[rdi],qword ptr ds:[rsi]",
        "64 | f2 ae | repne scas al,byte ptr es:[rdi]",
        "64 | 40 8a e0 | mov spl,al",
        "64 | 8a e0 | mov ah,al",
        "64 | 48 b8 01 02 03 04 05 06 07 08 | mov rax,0x807060504030201",
        "64 | 66 83 c8 80 | or ax,0xff80",
        "64 | f3 0f b8 c1 | popcnt eax,ecx",
        "64 | f3 66 0f b8 c1 | popcnt ax,cx",
        "64 | c4 e2 f0 f2 c2 | andn rax,rcx,rdx",
        "32 | c4 08 | les ecx,fword ptr [eax]",
        "64 | 41 90 | xchg r8d,eax",
        "64 | f3 90 | pause",
        "64 | f2 0f 10 c1 | movsd xmm0,xmm1",
        "64 | 66 0f 6e c0 | movd xmm0,eax",
        "64 | 66 48 0f 6e c0 | movq xmm0,rax",
        "64 | d9 c1 | fld st(1)",
        "64 | c8 10 00 01 | enter 0x10,0x1",
        "32 | ea 78 56 34 12 08 00 | jmp far 0x8:0x12345678",
        "64 | 0f 20 c0 | mov rax,cr0",
        "64 | f0 0f 20 c0 | mov rax,cr8",
        "64 | 66 e8 34 12 | call 0x1238",
        "64 | 64 2e 8b 03 | mov eax,dword ptr fs:[rbx]",
        "64 | 48 0f b5 03 | lgs eax,fword ptr [rbx]",
        "64 | c5 fd 6f 07 | vmovdqa ymm0,ymmword ptr [rdi]",
        "64 | c4 e2 7d 90 04 88 | vpgatherdd ymm0,dword ptr [rax+ymm1*4],ymm0",
      })
  void decodes(int mode, String hex, String text) {
    assertEquals(text, Disassembler.format(ok(mode, hex), 0));
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "06",
        "82 c0 00",
        "d6",
        "0f 04",
        "0f 0d c0",
        "0f ff",
        "8c f8",
        "8e c8",
        "0f 20 c8",
        "66 0f 50 03",
        "66 0f 77",
        "f0 90",
        "f0 01 c0",
        "f0 8b 00",
        "f0 39 00",
        "66 c5 f8 28 c1",
        "48 c5 f8 28 c1",
        "c5 f0 28 c1",
        "0f 01 fd",
        "f3 0f c7 f0",
        "66 0f c3 03",
        "66 0f 01 d0",
        "0f b8 c1",
        "62 f1 7c 48 28 c1",
        "8f e8 78 c2 ec 0e",
        "0f 0f c0 94"
      })
  void answersInvalidWhereTheProcessorRaisesUd(String hex) {
    int result = decode(64, hex);
    // 0F FF has a ModRM byte that is not there.
    assertEquals(hex.equals("0f ff") ? Decoder.TRUNCATED : Decoder.INVALID, result);
  }

  @Test
  void knowsLengthsOfAvx512() {
    assertEquals(Decoder.INVALID, decode(64, "62 f1 7c 48 10 44 24 01"));
    assertEquals(8, in.length);
    assertEquals(Decoder.INVALID, decode(64, "62 f3 6d 20 25 d2 ff"));
    assertEquals(7, in.length);
    assertNull(in.entry);
  }

  @Test
  void ignoresRexThatIsNotLast() {
    ok(64, "48 66 89 c0");
    assertEquals(2, in.operandSize);
    assertEquals(0, in.rex);
    ok(64, "41 48 89 c0");
    assertEquals(8, in.operandSize);
    assertEquals(0, in.register[0]);
  }

  @Test
  void takesTheStackSegmentForStackBases() {
    assertEquals(2, ok(32, "8b 45 00").segment);
    assertEquals(2, ok(32, "8b 04 24").segment);
    assertEquals(3, ok(32, "8b 04 2d 00 00 00 00").segment);
    assertEquals(3, ok(32, "8b 03").segment);
    assertEquals(4, ok(32, "64 8b 45 00").segment);
    assertTrue(in.segmentOverride);
    ok(64, "36 8b 03");
    assertEquals(3, in.segment);
    assertFalse(in.segmentOverride);
  }

  @Test
  void endsWithTruncatedAtEveryShorterLimit() {
    byte[] code = HexFormat.of().parseHex("f04881842478563412aabbccdd");
    assertEquals(Decoder.OK, Decoder.decode(code, 0, code.length, 64, in));
    assertEquals(code.length, in.length);
    for (int limit = 0; limit < code.length; limit++) {
      assertEquals(Decoder.TRUNCATED, Decoder.decode(code, 0, limit, 64, in));
      assertEquals(limit, in.length);
    }
  }

  @Test
  void refusesMoreThanFifteenBytes() {
    assertEquals(Decoder.TOO_LONG, decode(64, "66".repeat(15) + "90"));
    assertEquals(Decoder.OK, decode(64, "66".repeat(14) + "90"));
    assertEquals(15, in.length);
    assertEquals(Decoder.TOO_LONG, decode(64, "66".repeat(12) + "81c000000000"));
    assertEquals(Decoder.TRUNCATED, decode(64, "66".repeat(14)));
  }

  @Test
  void offersWhatOldProcessorsMakeOfLzcnt() {
    ok(64, "f3 0f bd c1");
    assertEquals(Op.LZCNT, in.op);
    assertSame(CpuFeature.LZCNT, in.entry.feature());
    assertEquals(Op.BSR, in.entry.fallback().op());
    ok(64, "f3 0f bc c1");
    assertEquals(Op.BSF, in.entry.fallback().op());
  }

  @Test
  void survivesAnyBytesInEveryMode() {
    Random random = new Random(1);
    byte[] code = new byte[64];
    for (int n = 0; n < 150_000; n++) {
      random.nextBytes(code);
      if ((n & 3) == 0) {
        code[0] = 0x0f;
      } else if ((n & 3) == 1) {
        code[0] = (byte) (0xc4 + (n >> 2 & 1));
      }
      int limit = random.nextInt(1, 24);
      for (int mode = 16; mode <= 64; mode *= 2) {
        int result = Decoder.decode(code, 0, limit, mode, in);
        assertTrue(in.length >= 1 && in.length <= Math.min(15, limit), () -> in.length + " bytes");
        switch (result) {
          case Decoder.OK -> {
            assertSame(in.op, in.entry.op());
            assertFalse(in.toString().isEmpty());
          }
          case Decoder.TRUNCATED -> assertEquals(limit, in.length);
          case Decoder.TOO_LONG -> assertEquals(15, in.length);
          default -> assertEquals(Decoder.INVALID, result);
        }
      }
    }
  }

  @Test
  void copiesAreIndependent() {
    Instruction copy = ok(64, "48 8b 44 88 10").copy();
    ok(64, "90");
    assertEquals("mov rax,qword ptr [rax+rcx*4+0x10]", copy.toString());
  }
}
