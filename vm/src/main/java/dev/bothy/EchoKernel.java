package dev.bothy;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;

/**
 * A Multiboot kernel of a hundred bytes that says "&gt;" on the serial port, sends back what it
 * receives, and does as some bytes say: for finding out quickly whether an engine works here, and
 * for tests of what is around a machine.
 */
public final class EchoKernel {
  /** What it says first: ready. */
  public static final String PROMPT = ">";

  /** Powers off. */
  public static final char POWER_OFF = 4;

  /** Writes {@link #EXIT_CODE} to the debug-exit port. */
  public static final char DEBUG_EXIT = 5;

  /** Shuts the processor down by a triple fault. */
  public static final char TRIPLE_FAULT = 6;

  /** Halts with interrupts off. */
  public static final char HALT = 7;

  /** Resets the machine. */
  public static final char RESET = 8;

  /** Sends without end. */
  public static final char FLOOD = 11;

  /** What {@link #DEBUG_EXIT} writes. */
  public static final int EXIT_CODE = 0x10;

  private static final int LOAD_ADDRESS = 0x10_0000;
  private static final int HEADER_LENGTH = 32;
  private static final int MAGIC = 0x1bad_b002;
  private static final int HAS_ADDRESSES = 1 << 16;

  private EchoKernel() {}

  /** The kernel's file. */
  public static byte[] image() {
    return image(new int[0]);
  }

  /**
   * The file of a kernel that needs nobody to send it something: once it is ready it does as if it
   * had received {@code first}.
   */
  public static byte[] image(char first) {
    return image(new int[] {0xb0, first, 0xeb, 14}); // mov al, first; jmp received
  }

  private static byte[] image(int[] ready) {
    ByteBuffer image = ByteBuffer.allocate(256).order(ByteOrder.LITTLE_ENDIAN);
    image.position(HEADER_LENGTH);
    in(image, 0x66, 0xba, 0xfc, 0x03); // mov dx, 3FCh: modem control
    in(image, 0xb0, 0x03, 0xee); // mov al, DTR | RTS; out dx, al
    in(image, 0x66, 0xba, 0xf8, 0x03); // mov dx, 3F8h: data
    in(image, 0xb0, '>', 0xee); // mov al, '>'; out dx, al
    in(image, ready);
    final int next = image.position();
    in(image, 0x66, 0xba, 0xfd, 0x03); // mov dx, 3FDh: line status
    in(image, 0xec, 0xa8, 0x01); // in al, dx; test al, data ready
    in(image, 0x74, 0xf7); // jz next
    in(image, 0x66, 0xba, 0xf8, 0x03); // mov dx, 3F8h
    in(image, 0xec); // in al, dx; received:
    in(image, 0x3c, POWER_OFF, 0x75, 10); // cmp al; jne over
    in(image, 0x66, 0xb8, 0x00, 0x34); // mov ax, S5 | SLP_EN
    in(image, 0x66, 0xba, 0x04, 0x06); // mov dx, 604h: PM1a control
    in(image, 0x66, 0xef); // out dx, ax
    in(image, 0x3c, DEBUG_EXIT, 0x75, 4); // cmp al; jne over
    in(image, 0xb0, EXIT_CODE, 0xe6, 0xf4); // mov al, code; out F4h, al
    in(image, 0x3c, TRIPLE_FAULT, 0x75, 9); // cmp al; jne over
    in(image, 0x0f, 0x01, 0x1d).putInt(LOAD_ADDRESS + 250); // lidt [six zero bytes]
    in(image, 0x0f, 0x0b); // ud2
    in(image, 0x3c, HALT, 0x75, 4); // cmp al; jne over
    in(image, 0xfa, 0xf4, 0xeb, 0xfc); // cli; again: hlt; jmp again-1
    in(image, 0x3c, RESET, 0x75, 7); // cmp al; jne over
    in(image, 0x66, 0xba, 0xf9, 0x0c); // mov dx, CF9h: reset control
    in(image, 0xb0, 0x06, 0xee); // mov al, full reset; out dx, al
    in(image, 0x3c, FLOOD, 0x75, 3); // cmp al; jne over
    in(image, 0xee, 0xeb, 0xfd); // again: out dx, al; jmp again
    in(image, 0xee); // out dx, al
    in(image, 0xeb, next - (image.position() + 2)); // jmp next
    image.position(0);
    image.putInt(MAGIC).putInt(HAS_ADDRESSES).putInt(-(MAGIC + HAS_ADDRESSES));
    image.putInt(LOAD_ADDRESS).putInt(LOAD_ADDRESS).putInt(LOAD_ADDRESS + image.capacity());
    image.putInt(0).putInt(LOAD_ADDRESS + HEADER_LENGTH);
    return image.array();
  }

  private static ByteBuffer in(ByteBuffer image, int... bytes) {
    for (int b : bytes) {
      image.put((byte) b);
    }
    return image;
  }

  /**
   * Runs it on an engine, to see whether that works here; takes milliseconds.
   *
   * @throws VmException if it does not; the message says why
   */
  public static void check(String engine) throws VmException, InterruptedException {
    Path file = null;
    try {
      file = Files.write(Files.createTempFile("bothy-check-", ".bin"), image());
      try (Vm vm =
          Vm.builder().engine(engine).memory(2 << 20).kernel(file).debugExit(true).start()) {
        Duration limit = Duration.ofSeconds(10);
        vm.console().expect(PROMPT, limit);
        vm.console().send("bothy");
        vm.console().expect("bothy", limit);
        vm.console().send(String.valueOf(DEBUG_EXIT));
        if (vm.awaitExit(limit).isEmpty()) {
          throw new VmException("a guest could not end its machine", null);
        }
      }
    } catch (IOException e) {
      throw new VmException(e.getMessage(), e);
    } finally {
      delete(file);
    }
  }

  private static void delete(Path file) {
    try {
      if (file != null) {
        Files.deleteIfExists(file);
      }
    } catch (IOException e) {
      // A few bytes in the folder for temporary files.
    }
  }
}
