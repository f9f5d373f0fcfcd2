package dev.bothy.x86.oracle;

import static dev.bothy.x86.oracle.Layout.*;

/**
 * The generated code of the host side: {@code enter} loads a state and jumps to an instruction, the
 * exits save the state and return, the signal handler leads faults of the instruction to an exit.
 *
 * <p>Nothing here may need a register to find the records, so all addresses are absolute, below 2
 * GiB.
 */
final class Trampoline {
  /** Exits: behind the instruction, at a slot's two branch targets, after a signal. */
  static final int EXIT_NEXT = 0;

  static final int EXIT_BACK = 1;
  static final int EXIT_FORWARD = 2;
  static final int EXIT_SIGNAL = 3;
  static final int EXITS = 4;

  // Control words of the two.
  private static final long HOST_RSP = CONTROL;
  private static final long HOST_MXCSR = CONTROL + 0x08;
  private static final long ACTIVE = CONTROL + 0x10;
  static final long HOST_FS = CONTROL + 0x18;
  private static final long HOST_GS = CONTROL + 0x20;

  /** Which exit was taken, 8 bytes. */
  static final long LANDING = CONTROL + 0x28;

  /** Where 32-bit code starts: offset 4 bytes, selector 2. */
  static final long FAR_POINTER = CONTROL + 0x30;

  private static final long PREVIOUS_HANDLERS = CONTROL + 0x80;

  // Offsets in Linux's ucontext of x86-64: general registers from 0x28.
  private static final int UC_RIP = 0xa8;
  private static final int UC_FLAGS = 0xb0;
  private static final int UC_SEGMENTS = 0xb8;
  private static final int UC_ERROR = 0xc0;
  private static final int UC_TRAP = 0xc8;
  private static final int UC_CR2 = 0xd8;

  /** mov [absolute], register and mov register, [absolute], by register number. */
  private static final String[] STORE = {
    "48890425", "48890c25", "48891425", "48891c25", "48892425", "48892c25", "48893425", "48893c25",
    "4c890425", "4c890c25", "4c891425", "4c891c25", "4c892425", "4c892c25", "4c893425", "4c893c25"
  };

  private static final String[] LOAD = {
    "488b0425", "488b0c25", "488b1425", "488b1c25", "488b2425", "488b2c25", "488b3425", "488b3c25",
    "4c8b0425", "4c8b0c25", "4c8b1425", "4c8b1c25", "4c8b2425", "4c8b2c25", "4c8b3425", "4c8b3c25"
  };

  private final CodeBuffer out = new CodeBuffer(STUBS);
  private final long enter;
  private final long enter32;
  private final long handler;
  private final long[] exits = new long[EXITS];

  /** YMM registers whose upper halves there are. */
  private final int upperHalves;

  /**
   * @param avx the host has YMM registers
   */
  Trampoline(boolean avx) {
    upperHalves = avx ? 16 : 0;
    long common = exitCode();
    for (int i = 0; i < EXITS; i++) {
      exits[i] = out.here();
      out.at("48c70425", LANDING).int32(i); // mov qword [LANDING], i
      out.jump("e9", common);
    }
    out.align(16);
    enter = out.here();
    enterCode(false);
    out.align(16);
    enter32 = out.here();
    enterCode(true);
    out.align(16);
    handler = out.here();
    handlerCode();
  }

  /** {@code narrow}: to 32-bit code, with flat segments. */
  private void enterCode(boolean narrow) {
    out.hex("53 55 4154 4155 4156 4157"); // push rbx, rbp, r12 to r15
    out.at(STORE[4], HOST_RSP);
    out.at("0fae1c25", HOST_MXCSR); // stmxcsr
    out.hex("f3480faec0").at(STORE[0], HOST_FS); // rdfsbase rax
    out.hex("f3480faec8").at(STORE[0], HOST_GS); // rdgsbase rax
    out.at(LOAD[0], INPUT + GS_BASE).hex("f3480faed8"); // wrgsbase rax
    out.at("480fae0c25", INPUT + FX); // fxrstor64
    for (int i = 0; i < upperHalves; i++) {
      out.at(vex(0x18, i, i), INPUT + YMM_UPPER + 16 * i).hex("01"); // vinsertf128
    }
    if (narrow) {
      out.hex("b8").int32(USER_DATA).hex("8ed8 8ec0"); // mov eax, selector; mov ds, es from it
    }
    out.at("48c70425", ACTIVE).int32(1);
    out.hex("48c7c4").int32(INPUT + RFLAGS).hex("9d"); // mov rsp, &rflags; popfq
    for (int i = 0; i < 16; i++) {
      out.at(LOAD[i], INPUT + GPR + 8 * i);
    }
    if (narrow) {
      out.at("ff2c25", FAR_POINTER); // jmp far [pointer]
    } else {
      out.at("ff2425", INPUT + RIP); // jmp [rip]
    }
  }

  /** An instruction of 256 bits in map 0F3A on register {@code i} and [absolute]. */
  private static String vex(int opcode, int i, int third) {
    int registers = i < 8 ? 0xe3 : 0x63;
    return "c4%02x%02x%02x%02x25"
        .formatted(registers, (~third & 15) << 3 | 5, opcode, (i & 7) << 3 | 4);
  }

  /** Saves everything and returns to the caller of enter. */
  private long exitCode() {
    long start = out.here();
    for (int i = 0; i < 16; i++) {
      out.at(STORE[i], NATIVE + GPR + 8 * i);
    }
    out.hex("48c7c4").int32(NATIVE + RFLAGS + 8).hex("9c"); // mov rsp, &rflags + 8; pushfq
    out.at(LOAD[4], HOST_RSP);
    out.hex("6a029d"); // push 2; popfq
    out.at("480fae0425", NATIVE + FX); // fxsave64
    for (int i = 0; i < upperHalves; i++) {
      out.at(vex(0x19, i, 0), NATIVE + YMM_UPPER + 16 * i).hex("01"); // vextractf128
    }
    if (upperHalves > 0) {
      out.hex("c5f877"); // vzeroupper
    }
    String[] selectors = {"8c0c25", "8c1425", "8c1c25", "8c0425", "8c2425", "8c2c25"};
    for (int i = 0; i < selectors.length; i++) {
      out.at(selectors[i], NATIVE + SELECTORS + 2 * i); // mov [absolute], sreg
    }
    out.hex("f3480faec8").at(STORE[0], NATIVE + GS_BASE); // rdgsbase rax
    out.hex("31c0 8ed8 8ec0 8ee0 8ee8"); // xor eax, eax; mov ds, es, fs, gs from it
    out.at(LOAD[0], HOST_FS).hex("f3480faed0"); // wrfsbase rax
    out.at(LOAD[0], HOST_GS).hex("f3480faed8"); // wrgsbase rax
    out.hex("dbe3"); // fninit
    out.at("0fae1425", HOST_MXCSR); // ldmxcsr
    out.at("48c70425", ACTIVE).int32(0);
    out.hex("415f 415e 415d 415c 5d 5b c3"); // pop r15 to r12, rbp, rbx; ret
    return start;
  }

  /**
   * handler(signal, siginfo, ucontext) on the signal stack. A fault of the instruction under test
   * is one that comes on our signal stack while a test is active; everything else is the virtual
   * machine's own.
   */
  private void handlerCode() {
    out.hex("4889e0 482d").int32(SIGNAL_STACK); // mov rax, rsp; sub rax, stack
    out.hex("483d").int32(SIGNAL_STACK_SIZE); // cmp rax, size
    out.hex("7305"); // jae chain
    long skip = out.here();
    out.jump("e9", skip + 5 + 15); // jmp ours
    // chain: jmp [previous + 8 * signal]
    out.hex("89f8 ff24c5").int32(PREVIOUS_HANDLERS); // mov eax, edi; jmp [rax*8 + previous]
    while (out.here() < skip + 5 + 15) {
      out.hex("cc");
    }
    // ours:
    out.at("48833c25", ACTIVE).hex("00"); // cmp qword [ACTIVE], 0
    out.jump("0f84", skip + 5); // je chain
    copy(UC_TRAP, NATIVE + VECTOR);
    copy(UC_ERROR, NATIVE + ERROR_CODE);
    copy(UC_CR2, NATIVE + CR2);
    copy(UC_RIP, NATIVE + RIP);
    out.hex("0fb782").int32(UC_SEGMENTS).hex("66890425").int32(NATIVE + SELECTORS); // CS
    out.hex("48c782").int32(UC_RIP).int32(exits[EXIT_SIGNAL]); // mov qword [rdx+rip], exit
    out.hex("66c782").int32(UC_SEGMENTS).hex("3300"); // mov word [rdx+cs], 0x33
    out.hex("c3");
  }

  private void copy(int from, long to) {
    out.hex("488b82").int32(from); // mov rax, [rdx+from]
    out.at(STORE[0], to);
  }

  byte[] code() {
    return out.bytes();
  }

  long enter() {
    return enter;
  }

  long enter32() {
    return enter32;
  }

  long handler() {
    return handler;
  }

  long exit(int landing) {
    return exits[landing];
  }

  /** Where the handler that a signal had before is kept. */
  static long previousHandler(int signal) {
    return PREVIOUS_HANDLERS + 8L * signal;
  }
}
