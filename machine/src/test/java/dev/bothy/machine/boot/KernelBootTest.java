package dev.bothy.machine.boot;

import static dev.bothy.machine.boot.MadeUpKernel.ADDRESS;
import static dev.bothy.machine.boot.MadeUpKernel.CODE;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.bothy.core.GuestMemory;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.Random;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class KernelBootTest {
  private static final long RSDP = 0xe_0000;

  @TempDir Path folder;

  private final GuestMemory memory = new GuestMemory(64 << 20);

  @AfterEach
  void free() {
    memory.close();
  }

  private BootEnvironment environment() {
    return new BootEnvironment(
        memory,
        List.of(
            new MemoryRange(0, 0x9_fc00, MemoryRange.Kind.RAM),
            new MemoryRange(0xe_0000, 0x2_0000, MemoryRange.Kind.RESERVED),
            new MemoryRange(0x10_0000, (64 << 20) - 0x10_0000, MemoryRange.Kind.RAM)),
        RSDP);
  }

  private Path file(String name, byte[] content) throws IOException {
    return Files.write(folder.resolve(name), content);
  }

  private BootState boot(byte[] kernel) throws IOException, BootException {
    return new KernelBoot(file("kernel", kernel), Optional.empty(), "quiet").load(environment());
  }

  private String refusal(byte[] kernel) throws IOException {
    Path path = file("kernel", kernel);
    KernelBoot boot = new KernelBoot(path, Optional.empty(), "quiet");
    String message = assertThrows(BootException.class, () -> boot.load(environment())).getMessage();
    assertTrue(message.contains(path.toString()), message);
    assertTrue(message.indexOf('\n') < 0, message);
    return message;
  }

  private byte[] ram(long address, int length) {
    byte[] bytes = new byte[length];
    memory.read(address, bytes, 0, length);
    return bytes;
  }

  private String text(long address) {
    int length = 0;
    while (memory.readByte(address + length) != 0) {
      length++;
    }
    return new String(ram(address, length), StandardCharsets.UTF_8);
  }

  @Test
  void unpacksLinuxAndEntersItIn64BitMode() throws Exception {
    byte[] elf = MadeUpKernel.elf64();
    for (byte[] payload :
        List.of(
            MadeUpKernel.gzip(elf),
            MadeUpKernel.xz(elf),
            MadeUpKernel.lz4(elf),
            MadeUpKernel.zstd(elf))) {
      memory.write(ADDRESS, new byte[] {1, 2, 3});
      memory.writeByte(ADDRESS + CODE.length, 77);
      BootState state = boot(MadeUpKernel.bzImage(payload));
      assertEquals(BootState.Mode.LONG, state.mode());
      assertEquals(ADDRESS + 4, state.entry());
      assertArrayEquals(CODE, ram(ADDRESS, CODE.length));
      assertEquals(0, memory.readByte(ADDRESS + CODE.length), "memory beyond the file is cleared");
      long params = state.rsi();
      assertEquals(0x53726448, memory.readInt(params + 0x202));
      assertEquals(0xff, memory.readByte(params + 0x210));
      assertEquals(RSDP, memory.readLong(params + 0x70));
      assertEquals("quiet", text(memory.readInt(params + 0x228)));
      assertEquals(0, memory.readInt(params + 0x21c));
      assertEquals(3, memory.readByte(params + 0x1e8));
      assertEquals(0x9_fc00, memory.readLong(params + 0x2d8));
      assertEquals(2, memory.readInt(params + 0x2d0 + 20 + 16));
    }
  }

  @Test
  void mapsTheFirst4GiBOneToOne() throws Exception {
    boot(MadeUpKernel.bzImage(MadeUpKernel.gzip(MadeUpKernel.elf64())));
    for (long address : new long[] {0, 0x20_0000, 0x4000_0000, 0xffe0_0000L}) {
      long pdpt = memory.readLong(LowMemory.PAGE_TABLES) & -4096L;
      long directory = memory.readLong(pdpt + 8 * (address >>> 30)) & -4096L;
      long entry = memory.readLong(directory + 8 * (address >>> 21 & 511));
      assertEquals(address | 0x83, entry);
    }
  }

  @Test
  void letsTheGuestUnpackWhatItDoesNotKnow() throws Exception {
    byte[] kernel = MadeUpKernel.bzImage("an unknown format".getBytes(StandardCharsets.US_ASCII));
    BootState state = boot(kernel);
    assertEquals(ADDRESS + 0x200, state.entry());
    int system = MadeUpKernel.SYSTEM_OFFSET;
    assertArrayEquals(
        Arrays.copyOfRange(kernel, system, kernel.length), ram(ADDRESS, kernel.length - system));
  }

  @Test
  void letsTheGuestUnpackWhenToldTo() throws Exception {
    byte[] kernel = MadeUpKernel.bzImage(MadeUpKernel.gzip(MadeUpKernel.elf64()));
    BootState state =
        new KernelBoot(file("kernel", kernel), Optional.empty(), "", KernelBoot.Unpack.GUEST)
            .load(environment());
    assertEquals(ADDRESS + 0x200, state.entry());
  }

  @Test
  void putsTheInitrdAtTheTopOfMemoryOnAPage() throws Exception {
    byte[] initrd = new byte[5000];
    new Random(1).nextBytes(initrd);
    byte[] kernel = MadeUpKernel.bzImage(MadeUpKernel.gzip(MadeUpKernel.elf64()));
    BootState state =
        new KernelBoot(file("kernel", kernel), Optional.of(file("initrd", initrd)), "")
            .load(environment());
    long address = memory.readInt(state.rsi() + 0x218);
    assertEquals((64 << 20) - 8192, address);
    assertEquals(5000, memory.readInt(state.rsi() + 0x21c));
    assertArrayEquals(initrd, ram(address, initrd.length));
  }

  @Test
  void keepsTheInitrdBelowTheKernelsLimit() throws Exception {
    byte[] kernel = MadeUpKernel.bzImage(MadeUpKernel.gzip(MadeUpKernel.elf64()));
    MadeUpKernel.little(kernel).putInt(0x22c, 0x1ff_ffff);
    BootState state =
        new KernelBoot(file("kernel", kernel), Optional.of(file("initrd", new byte[4096])), "")
            .load(environment());
    assertEquals(0x1ff_f000, memory.readInt(state.rsi() + 0x218));
  }

  @Test
  void refusesAnInitrdLargerThanMemory() throws Exception {
    byte[] kernel = MadeUpKernel.bzImage(MadeUpKernel.gzip(MadeUpKernel.elf64()));
    Path initrd = folder.resolve("initrd");
    try (var file = new java.io.RandomAccessFile(initrd.toFile(), "rw")) {
      file.setLength(1L << 40);
    }
    KernelBoot boot = new KernelBoot(file("kernel", kernel), Optional.of(initrd), "");
    String message = assertThrows(BootException.class, () -> boot.load(environment())).getMessage();
    assertTrue(message.contains("give the machine more memory"), message);
  }

  @Test
  void refusesAnInitrdThatIsNotThere() throws Exception {
    byte[] kernel = MadeUpKernel.bzImage(MadeUpKernel.gzip(MadeUpKernel.elf64()));
    KernelBoot boot =
        new KernelBoot(file("kernel", kernel), Optional.of(folder.resolve("none")), "");
    String message = assertThrows(BootException.class, () -> boot.load(environment())).getMessage();
    assertTrue(message.contains("does not exist"), message);
  }

  @Test
  void refusesALineLongerThanTheKernelTakes() throws Exception {
    Path kernel = file("kernel", MadeUpKernel.bzImage(MadeUpKernel.gzip(MadeUpKernel.elf64())));
    KernelBoot fits = new KernelBoot(kernel, Optional.empty(), "x".repeat(2047));
    fits.load(environment());
    KernelBoot boot = new KernelBoot(kernel, Optional.empty(), "x".repeat(2048));
    String message = assertThrows(BootException.class, () -> boot.load(environment())).getMessage();
    assertTrue(message.contains("at most 2047"), message);
  }

  @Test
  void entersAPvhKernelInProtectedMode() throws Exception {
    BootState state = boot(MadeUpKernel.elf64());
    assertEquals(BootState.Mode.PROTECTED, state.mode());
    assertEquals(ADDRESS + 8, state.entry());
    assertArrayEquals(CODE, ram(ADDRESS, CODE.length));
    long info = state.rbx();
    assertEquals(0x336ec578, memory.readInt(info));
    assertEquals("quiet", text(memory.readLong(info + 24)));
    assertEquals(RSDP, memory.readLong(info + 32));
    assertEquals(3, memory.readInt(info + 48));
    assertEquals(0x9_fc00, memory.readLong(memory.readLong(info + 40) + 8));
  }

  @Test
  void handsAPvhKernelItsInitrdAsAModule() throws Exception {
    BootState state =
        new KernelBoot(
                file("kernel", MadeUpKernel.elf64()),
                Optional.of(file("initrd", new byte[] {1, 2, 3})),
                "")
            .load(environment());
    assertEquals(1, memory.readInt(state.rbx() + 12));
    long module = memory.readLong(state.rbx() + 16);
    assertEquals(3, memory.readLong(module + 8));
    assertArrayEquals(new byte[] {1, 2, 3}, ram(memory.readLong(module), 3));
  }

  @Test
  void bootsMultibootByElfHeaders() throws Exception {
    BootState state = boot(MadeUpKernel.multiboot(3));
    assertEquals(BootState.Mode.PROTECTED, state.mode());
    assertEquals(0x2badb002, state.rax());
    assertEquals(ADDRESS + 4, state.entry());
    assertArrayEquals(CODE, ram(ADDRESS, CODE.length));
    long info = state.rbx();
    assertEquals(639, memory.readInt(info + 4));
    assertEquals(63 << 10, memory.readInt(info + 8));
    assertTrue(text(memory.readInt(info + 16)).endsWith("kernel quiet"));
    assertEquals(72, memory.readInt(info + 44));
    assertEquals(20, memory.readInt(memory.readInt(info + 48)));
  }

  @Test
  void bootsMultibootByAddresses() throws Exception {
    BootState state = boot(MadeUpKernel.multiboot(1 << 16));
    assertEquals(ADDRESS + 16, state.entry());
    assertArrayEquals(CODE, ram(ADDRESS + MadeUpKernel.CODE_OFFSET, CODE.length));
  }

  @Test
  void bootsMultibootInBaseMemoryAndHandsOverTheRestAboveIt() throws Exception {
    byte[] kernel = MadeUpKernel.multiboot(3);
    MadeUpKernel.little(kernel).putInt(24, 0x8004).putInt(60, 0x8000).putInt(64, 0x8000);
    MadeUpKernel.little(kernel).putInt(72, 0x4_0000);
    BootState state = boot(kernel);
    assertEquals(0x8004, state.entry());
    assertArrayEquals(CODE, ram(0x8000, CODE.length));
    assertArrayEquals(
        new byte[0x4_0000 - CODE.length], ram(0x8000 + CODE.length, 0x4_0000 - CODE.length));
    long info = state.rbx();
    assertTrue(info >= 1 << 20);
    assertEquals(639, memory.readInt(info + 4));
    assertTrue(text(memory.readInt(info + 16)).endsWith("kernel quiet"));
    assertEquals(20, memory.readInt(memory.readInt(info + 48)));
  }

  @Test
  void refusesMultibootWhereTheTablesAre() throws Exception {
    for (int address : new int[] {0, 0x800, 0x9_f000, 0xe_0000}) {
      byte[] kernel = MadeUpKernel.multiboot(3);
      MadeUpKernel.little(kernel).putInt(24, address).putInt(60, address).putInt(64, address);
      assertTrue(refusal(kernel).contains("link it higher"));
    }
  }

  @Test
  void refusesMultibootFeaturesThatDoNotExist() throws Exception {
    assertTrue(refusal(MadeUpKernel.multiboot(1 << 5)).contains("features 0x20"));
  }

  @Test
  void saysWhatIsWrongWithAFileThatIsNoKernel() throws Exception {
    assertTrue(refusal(new byte[0]).contains("is empty"));
    assertTrue(refusal(new byte[] {1}).contains("only 1 bytes"));
    assertTrue(refusal(new byte[100_000]).contains("format is not known"));
    byte[] arm = new byte[100_000];
    System.arraycopy("ARM\u0064".getBytes(StandardCharsets.US_ASCII), 0, arm, 0x38, 4);
    assertTrue(refusal(arm).contains("for ARM"));
    byte[] elf = MadeUpKernel.elf64();
    elf[18] = (byte) 183;
    assertTrue(refusal(elf).contains("not a kernel for x86-64"));
    byte[] narrow = MadeUpKernel.bzImage(MadeUpKernel.gzip(MadeUpKernel.elf64()));
    narrow[0x236] = 0;
    assertTrue(refusal(narrow).contains("32-bit kernel"));
    byte[] program = MadeUpKernel.elf64();
    program[0x208] = 1;
    assertTrue(refusal(program).contains("without a PVH note"));
    KernelBoot missing = new KernelBoot(folder.resolve("none"), Optional.empty(), "");
    assertTrue(
        assertThrows(BootException.class, () -> missing.load(environment()))
            .getMessage()
            .contains("does not exist"));
    KernelBoot directory = new KernelBoot(folder, Optional.empty(), "");
    assertTrue(
        assertThrows(BootException.class, () -> directory.load(environment()))
            .getMessage()
            .contains("is a folder"));
  }

  @Test
  void saysHowMuchMemoryAKernelNeeds() throws Exception {
    byte[] kernel = MadeUpKernel.bzImage(MadeUpKernel.gzip(MadeUpKernel.elf64()));
    MadeUpKernel.little(kernel).putInt(0x260, 0x800_0000);
    assertTrue(refusal(kernel).contains("at least 144 MiB of memory, the machine has 64 MiB"));
  }

  @Test
  void refusesEveryTruncation() throws Exception {
    byte[] elf = MadeUpKernel.elf64();
    for (byte[] kernel :
        List.of(
            MadeUpKernel.bzImage(MadeUpKernel.xz(elf)),
            MadeUpKernel.bzImage(MadeUpKernel.lz4(elf)),
            MadeUpKernel.bzImage(MadeUpKernel.zstd(elf)),
            elf,
            MadeUpKernel.multiboot(0))) {
      // The made-up bzImage has 64 bytes behind its payload.
      for (int length = 0; length < kernel.length - 64; length += 1 + length / 16) {
        refusal(Arrays.copyOf(kernel, length));
      }
    }
  }

  @Test
  void survivesDamagedFiles() throws Exception {
    byte[] elf = MadeUpKernel.elf64();
    List<byte[]> kernels =
        List.of(
            MadeUpKernel.bzImage(MadeUpKernel.gzip(elf)),
            MadeUpKernel.bzImage(MadeUpKernel.xz(elf)),
            MadeUpKernel.bzImage(MadeUpKernel.lz4(elf)),
            MadeUpKernel.bzImage(MadeUpKernel.zstd(elf)),
            elf,
            MadeUpKernel.multiboot(0),
            MadeUpKernel.multiboot(1 << 16));
    Random random = new Random(42);
    int[] interesting = {0, 1, 0x7f, 0x80, 0xff};
    for (int round = 0; round < 1200; round++) {
      byte[] kernel = kernels.get(round % kernels.size()).clone();
      int spread = random.nextBoolean() ? 0x300 : kernel.length;
      for (int i = random.nextInt(1, 6); i > 0; i--) {
        int at = random.nextInt(spread);
        int run = random.nextBoolean() ? 1 : random.nextInt(1, 9);
        int value = interesting[random.nextInt(interesting.length)];
        for (int k = at; k < Math.min(kernel.length, at + run); k++) {
          kernel[k] = (byte) value;
        }
      }
      try {
        boot(kernel);
      } catch (BootException e) {
        assertTrue(e.getMessage().indexOf('\n') < 0, e.getMessage());
      }
    }
  }
}
