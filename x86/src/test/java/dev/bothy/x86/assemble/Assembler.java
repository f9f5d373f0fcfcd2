package dev.bothy.x86.assemble;

import java.io.ByteArrayOutputStream;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;

/**
 * A small assembler for tests: what they need of 16-, 32- and 64-bit code, the rest as bytes.
 * General registers are numbered as in the encoding: 0 rAX, 1 rCX, 2 rDX, 3 rBX, 4 rSP, 5 rBP, 6
 * rSI, 7 rDI, 8 to 15.
 */
public final class Assembler {
  private final int bits;
  private final long origin;
  private byte[] code = new byte[256];
  private int size;
  private final Map<String, Long> labels = new HashMap<>();
  private final List<Reference> references = new ArrayList<>();

  private record Reference(int at, int length, String label, boolean relative) {}

  /**
   * @param bits 16, 32 or 64
   * @param origin where the code will run: its offset in CS
   */
  public Assembler(int bits, long origin) {
    this.bits = bits;
    this.origin = origin;
  }

  /** Address of what comes next. */
  public long here() {
    return origin + size;
  }

  public Assembler label(String name) {
    labels.put(name, here());
    return this;
  }

  /** Address of a label that has been placed. */
  public long address(String label) {
    Long at = labels.get(label);
    if (at == null) {
      throw new IllegalArgumentException("no label " + label);
    }
    return at;
  }

  public Assembler emit(int... bytes) {
    for (int b : bytes) {
      if (size == code.length) {
        code = java.util.Arrays.copyOf(code, size * 2);
      }
      code[size++] = (byte) b;
    }
    return this;
  }

  /** Bytes in hexadecimal, blanks between them. */
  public Assembler hex(String text) {
    for (byte b : HexFormat.of().parseHex(text.replace(" ", ""))) {
      emit(b);
    }
    return this;
  }

  public Assembler value(int length, long value) {
    for (int i = 0; i < length; i++) {
      emit((int) (value >>> (8 * i)));
    }
    return this;
  }

  /** NOPs up to {@code address}. */
  public Assembler padTo(long address) {
    while (here() < address) {
      emit(0x90);
    }
    return this;
  }

  /** The bytes, labels filled in. */
  public byte[] toBytes() {
    for (Reference r : references) {
      long value = address(r.label) - (r.relative ? origin + r.at + r.length : 0);
      for (int i = 0; i < r.length; i++) {
        code[r.at + i] = (byte) (value >>> (8 * i));
      }
    }
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    out.write(code, 0, size);
    return out.toByteArray();
  }

  private Assembler reference(int length, String label, boolean relative) {
    references.add(new Reference(size, length, label, relative));
    return value(length, 0);
  }

  private int wordSize() {
    return bits == 16 ? 2 : 4;
  }

  private Assembler rex(boolean wide, int register, int base) {
    int rex = (wide ? 8 : 0) | (register > 7 ? 4 : 0) | (base > 7 ? 1 : 0);
    return rex != 0 ? emit(0x40 | rex) : this;
  }

  // Moves.

  /** MOV register, constant: 64 bits in 64-bit code, else the mode's operand size. */
  public Assembler mov(int register, long constant) {
    if (bits != 64) {
      return emit(0xb8 + register).value(wordSize(), constant);
    }
    if ((int) constant == constant) {
      return rex(true, 0, register).emit(0xc7, 0xc0 | register & 7).value(4, constant);
    }
    return rex(true, 0, register).emit(0xb8 + (register & 7)).value(8, constant);
  }

  /** MOV register, 32-bit constant, in any mode. */
  public Assembler mov32(int register, long constant) {
    if (bits == 16) {
      emit(0x66);
    }
    return rex(false, 0, register).emit(0xb8 + (register & 7)).value(4, constant);
  }

  /** MOV register, address of a label; not for 64-bit addresses. */
  public Assembler movLabel(int register, String label) {
    return rex(false, 0, register).emit(0xb8 + (register & 7)).reference(wordSize(), label, false);
  }

  public Assembler movRegister(int to, int from) {
    return rex(bits == 64, from, to).emit(0x89, 0xc0 | (from & 7) << 3 | to & 7);
  }

  /** Opcode with a register and the memory at a register plus displacement; 32- and 64-bit code. */
  public Assembler memory(boolean wide, int[] opcode, int register, int base, int displacement) {
    rex(wide, register, base).emit(opcode);
    emit(0x80 | (register & 7) << 3 | base & 7);
    if ((base & 7) == 4) {
      emit(0x24);
    }
    return value(4, displacement);
  }

  /** Opcode with a register and the memory at an absolute address. */
  public Assembler absolute(int[] opcode, int register, long address) {
    emit(opcode);
    return switch (bits) {
      case 16 -> emit(register << 3 | 6).value(2, address);
      case 32 -> emit(register << 3 | 5).value(4, address);
      default -> emit(register << 3 | 4, 0x25).value(4, address);
    };
  }

  /** Loads 64 bits in 64-bit code, else 32. */
  public Assembler load(int register, int base, int displacement) {
    return memory(bits == 64, new int[] {0x8b}, register, base, displacement);
  }

  public Assembler store(int base, int displacement, int register) {
    return memory(bits == 64, new int[] {0x89}, register, base, displacement);
  }

  public Assembler store8(int base, int displacement, int register) {
    return memory(false, new int[] {0x88}, register, base, displacement);
  }

  /** Stores the accumulator of the mode's operand size at an absolute address. */
  public Assembler storeAccumulator(long address) {
    return bits == 64 ? emit(0x48, 0xa3).value(8, address) : emit(0xa3).value(wordSize(), address);
  }

  public Assembler movToSegment(int segment, int register) {
    return emit(0x8e, 0xc0 | segment << 3 | register);
  }

  // Arithmetic.

  /** ADD 0, OR 1, ADC 2, SBB 3, AND 4, SUB 5, XOR 6, CMP 7 with a constant. */
  public Assembler arithmetic(int operation, int register, int constant) {
    return rex(bits == 64, 0, register)
        .emit(0x81, 0xc0 | operation << 3 | register & 7)
        .value(wordSize(), constant);
  }

  public Assembler add(int register, int constant) {
    return arithmetic(0, register, constant);
  }

  public Assembler cmp(int register, int constant) {
    return arithmetic(7, register, constant);
  }

  public Assembler addRegister(int to, int from) {
    return rex(bits == 64, from, to).emit(0x01, 0xc0 | (from & 7) << 3 | to & 7);
  }

  public Assembler xorRegister(int to, int from) {
    return rex(bits == 64, from, to).emit(0x31, 0xc0 | (from & 7) << 3 | to & 7);
  }

  public Assembler inc(int register) {
    return rex(bits == 64, 0, register).emit(0xff, 0xc0 | register & 7);
  }

  public Assembler dec(int register) {
    return rex(bits == 64, 0, register).emit(0xff, 0xc8 | register & 7);
  }

  // Stack and branches.

  public Assembler push(int register) {
    return rex(false, 0, register).emit(0x50 | register & 7);
  }

  public Assembler pop(int register) {
    return rex(false, 0, register).emit(0x58 | register & 7);
  }

  /** PUSH constant, sign-extended to the stack's word. */
  public Assembler pushConstant(int constant) {
    return emit(0x68).value(wordSize(), constant);
  }

  public Assembler jmp(String label) {
    return emit(0xe9).reference(wordSize(), label, true);
  }

  public Assembler call(String label) {
    return emit(0xe8).reference(wordSize(), label, true);
  }

  /** Jump on condition 0 to 15. */
  public Assembler jcc(int condition, String label) {
    return emit(0x0f, 0x80 | condition).reference(wordSize(), label, true);
  }

  public Assembler jz(String label) {
    return jcc(4, label);
  }

  public Assembler jnz(String label) {
    return jcc(5, label);
  }

  /** JMP selector:offset; 16- and 32-bit code. */
  public Assembler jmpFar(int selector, long offset) {
    return emit(0xea).value(wordSize(), offset).value(2, selector);
  }

  public Assembler callFar(int selector, long offset) {
    return emit(0x9a).value(wordSize(), offset).value(2, selector);
  }

  /** RETF of the mode's width; 64 bits wide in 64-bit code. */
  public Assembler retFar() {
    return bits == 64 ? emit(0x48, 0xcb) : emit(0xcb);
  }

  public Assembler ret() {
    return emit(0xc3);
  }

  public Assembler iret() {
    return bits == 64 ? emit(0x48, 0xcf) : emit(0xcf);
  }

  public Assembler interrupt(int vector) {
    return emit(0xcd, vector);
  }

  // System.

  public Assembler nop() {
    return emit(0x90);
  }

  public Assembler hlt() {
    return emit(0xf4);
  }

  public Assembler cli() {
    return emit(0xfa);
  }

  public Assembler sti() {
    return emit(0xfb);
  }

  public Assembler pushf() {
    return emit(0x9c);
  }

  public Assembler popf() {
    return emit(0x9d);
  }

  public Assembler movToControl(int control, int register) {
    return control > 7
        ? emit(0x44, 0x0f, 0x22, 0xc0 | (control & 7) << 3 | register)
        : emit(0x0f, 0x22, 0xc0 | control << 3 | register);
  }

  public Assembler movFromControl(int register, int control) {
    return control > 7
        ? emit(0x44, 0x0f, 0x20, 0xc0 | (control & 7) << 3 | register)
        : emit(0x0f, 0x20, 0xc0 | control << 3 | register);
  }

  public Assembler movToDebug(int number, int register) {
    return emit(0x0f, 0x23, 0xc0 | number << 3 | register);
  }

  public Assembler movFromDebug(int register, int number) {
    return emit(0x0f, 0x21, 0xc0 | number << 3 | register);
  }

  public Assembler wrmsr() {
    return emit(0x0f, 0x30);
  }

  public Assembler rdmsr() {
    return emit(0x0f, 0x32);
  }

  /** WRMSR of a constant; clobbers rAX, rCX, rDX. */
  public Assembler wrmsr(int index, long value) {
    return mov32(1, index).mov32(0, value).mov32(2, value >>> 32).wrmsr();
  }

  /** LGDT 2, LIDT 3, SGDT 0, SIDT 1 of the bytes at an absolute address. */
  public Assembler table(int operation, long address) {
    return absolute(new int[] {0x0f, 0x01}, operation, address);
  }

  public Assembler lldt(int register) {
    return emit(0x0f, 0x00, 0xd0 | register);
  }

  public Assembler ltr(int register) {
    return emit(0x0f, 0x00, 0xd8 | register);
  }

  public Assembler invlpg(int base) {
    return memory(false, new int[] {0x0f, 0x01}, 7, base, 0);
  }

  /** INVPCID: type in a register, descriptor at another. */
  public Assembler invpcid(int type, int base) {
    return emit(0x66).memory(false, new int[] {0x0f, 0x38, 0x82}, type, base, 0);
  }

  public Assembler syscall() {
    return emit(0x0f, 0x05);
  }

  /** SYSRET to 64-bit code ({@code wide}) or 32-bit code. */
  public Assembler sysret(boolean wide) {
    return wide ? emit(0x48, 0x0f, 0x07) : emit(0x0f, 0x07);
  }

  public Assembler sysenter() {
    return emit(0x0f, 0x34);
  }

  public Assembler sysexit() {
    return emit(0x0f, 0x35);
  }

  public Assembler swapgs() {
    return emit(0x0f, 0x01, 0xf8);
  }

  public Assembler stac() {
    return emit(0x0f, 0x01, 0xcb);
  }

  public Assembler clac() {
    return emit(0x0f, 0x01, 0xca);
  }
}
