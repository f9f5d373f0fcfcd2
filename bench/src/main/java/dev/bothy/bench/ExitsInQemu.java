package dev.bothy.bench;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.TimeUnit;

/**
 * The loops of {@link Exits} in QEMU on KVM: a guest whose firmware they are. What a turn takes is
 * the difference of a long and a short run.
 */
final class ExitsInQemu {
  private static final int ROM = 1 << 16;
  private static final long ROM_BASE = 0xffff_0000L;
  private static final int RESET = 0xfff0;
  private static final int PROTECTED = 0x40;
  private static final int GDT = 0x100;
  private static final int GDTR = 0x140;
  private static final long CODE_32 = 0x00cf_9b00_0000_ffffL;
  private static final long DATA = 0x00cf_9300_0000_ffffL;

  /** Of isa-debug-exit, for a 0. */
  private static final int ENDED = 1;

  private static final int LONG_RUN = 5;

  /** mov al, 0; out F4h, al; hlt; and again. */
  private static final byte[] END = {(byte) 0xb0, 0, (byte) 0xe6, (byte) 0xf4, (byte) 0xf4};

  private ExitsInQemu() {}

  /**
   * Nanoseconds for each turn; empty where QEMU is not there, or cannot run this on the host's KVM.
   *
   * @param loop ends with HLT, and leaves out the first instruction, which loads ECX
   */
  static Optional<Double> measure(Path folder, int turns, int... loop) throws Exception {
    Optional<Double> shortRun = run(folder, turns, loop);
    Optional<Double> longRun = run(folder, LONG_RUN * turns, loop);
    return shortRun.isPresent() && longRun.isPresent()
        ? Optional.of((longRun.get() - shortRun.get()) / ((LONG_RUN - 1.0) * turns))
        : Optional.empty();
  }

  private static Optional<Double> run(Path folder, int turns, int... loop)
      throws IOException, InterruptedException {
    Path rom = Files.write(folder.resolve("exits.rom"), rom(turns, loop));
    List<String> command =
        new ArrayList<>(
            List.of(
                "qemu-system-x86_64 -accel kvm -m 64 -nodefaults -display none -no-reboot -bios %s"
                    .formatted(rom)
                    .split(" ")));
    command.addAll(List.of("-device", "isa-debug-exit,iobase=0xf4,iosize=1"));
    ProcessBuilder builder = new ProcessBuilder(command);
    builder.redirectErrorStream(true).redirectOutput(ProcessBuilder.Redirect.DISCARD);
    long start = System.nanoTime();
    Process qemu;
    try {
      qemu = builder.start();
    } catch (IOException e) {
      return Optional.empty();
    }
    try {
      boolean ended = qemu.waitFor(30, TimeUnit.SECONDS) && qemu.exitValue() == ENDED;
      return ended ? Optional.of((double) (System.nanoTime() - start)) : Optional.empty();
    } finally {
      qemu.destroyForcibly();
    }
  }

  private static byte[] rom(int turns, int... loop) {
    ByteBuffer rom = ByteBuffer.allocate(ROM).order(ByteOrder.LITTLE_ENDIAN);
    // cli; lgdt cs:[GDTR]; mov eax, cr0; or al, 1; mov cr0, eax; jmp 8:PROTECTED
    rom.put(new byte[] {(byte) 0xfa, 0x66, 0x2e, 0x0f, 0x01, 0x16}).putShort((short) GDTR);
    rom.put(new byte[] {0x0f, 0x20, (byte) 0xc0, 0x0c, 1, 0x0f, 0x22, (byte) 0xc0});
    rom.put(new byte[] {0x66, (byte) 0xea}).putInt((int) ROM_BASE + PROTECTED).putShort((short) 8);
    // mov eax, 16; mov ds, eax; mov ecx, TURNS
    rom.position(PROTECTED).put((byte) 0xb8).putInt(16).put(new byte[] {(byte) 0x8e, (byte) 0xd8});
    rom.put((byte) 0xb9).putInt(turns);
    for (int i = 0; i < loop.length - 1; i++) {
      rom.put((byte) loop[i]);
    }
    rom.put(END);
    rom.putLong(GDT + 8, CODE_32).putLong(GDT + 16, DATA);
    rom.putShort(GDTR, (short) 23).putInt(GDTR + 2, (int) ROM_BASE + GDT);
    // jmp to the beginning.
    rom.put(RESET, (byte) 0xe9).putShort(RESET + 1, (short) -(RESET + 3));
    return rom.array();
  }
}
