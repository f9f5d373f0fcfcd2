package dev.bothy.x86.translate;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.bothy.core.cpu.CpuFeature;
import dev.bothy.core.cpu.CpuModel;
import dev.bothy.host.ExecutableMemory;
import dev.bothy.host.RawMemory;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.EnumSet;
import java.util.List;
import java.util.Optional;
import java.util.Random;
import java.util.Set;
import java.util.TreeSet;
import java.util.zip.CRC32C;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class StoredTranslationsTest {
  private static final long PHYSICAL = 0x20_0000;
  private static final Translator.Options OPTIONS =
      new Translator.Options(64, false, 16 << 20, true);
  private static final int LONG = Mode.LONG;

  @TempDir Path home;

  /** The pages that are marked, by their number. */
  private static final class Pages implements Translator.CodePages {
    final Set<Long> marked = new TreeSet<>();

    @Override
    public boolean markTranslated(long physical) {
      marked.add(physical >> 12);
      return true;
    }

    @Override
    public void unmarkTranslated(long physical) {
      marked.remove(physical >> 12);
    }
  }

  /** A translator and a page of guest code. */
  private static final class Machine implements AutoCloseable {
    final Arena arena = Arena.ofConfined();
    final MemorySegment page = arena.allocate(4096, 4096);
    final Pages pages = new Pages();
    final Translator translator;

    Machine(Path folder) throws IOException {
      this(folder, CpuModel.V2, OPTIONS);
    }

    Machine(Path folder, CpuModel model, Translator.Options options) throws IOException {
      assumeTrue(ExecutableMemory.refusal().isEmpty());
      translator = new Translator(model, options, false, List.of(), Optional.ofNullable(folder));
    }

    void write(byte[] code) {
      MemorySegment.copy(code, 0, page, ValueLayout.JAVA_BYTE, 0, code.length);
    }

    TranslatedBlock known(int offset, int mode) {
      return translator.known(PHYSICAL + offset, page.address(), mode, pages);
    }

    TranslatedBlock translate(int offset, int mode) {
      return translator.translate(PHYSICAL + offset, offset, page.address(), -1, 0, mode, pages);
    }

    @Override
    public void close() {
      translator.close();
      arena.close();
    }
  }

  private Path folder() {
    return home.resolve("translations");
  }

  private Path file() throws IOException {
    try (var files = Files.list(folder())) {
      return files.filter(f -> f.toString().endsWith(StoreFile.SUFFIX)).findFirst().orElseThrow();
    }
  }

  /** Four pages' worth of real code: the start of this JVM's own library. */
  private static byte[] realCode() throws IOException {
    Path library = Path.of(System.getProperty("java.home"), "lib", "libjava.so");
    byte[] content = Files.readAllBytes(library);
    ByteBuffer elf = ByteBuffer.wrap(content).order(ByteOrder.LITTLE_ENDIAN);
    int headers = (int) elf.getLong(32);
    for (int i = 0; i < elf.getShort(56); i++) {
      int at = headers + i * elf.getShort(54);
      // The loaded segment that is executable.
      if (elf.getInt(at) == 1 && (elf.getInt(at + 4) & 1) != 0) {
        int start = (int) elf.getLong(at + 8);
        return java.util.Arrays.copyOfRange(content, start + 0x1000, start + 0x5000);
      }
    }
    throw new IOException(library + " has no code");
  }

  private static byte[] pageOf(byte[] code, int number) {
    return java.util.Arrays.copyOfRange(code, 4096 * number, 4096 * number + 4096);
  }

  private static byte[] code(TranslatedBlock block) {
    byte[] code = new byte[block.hostBytes];
    long start = Math.min(block.farEntry, block.entry) & -16L;
    MemorySegment.copy(
        RawMemory.segment(start, code.length), ValueLayout.JAVA_BYTE, 0, code, 0, code.length);
    return code;
  }

  private static void assertSame(
      TranslatedBlock expected, TranslatedBlock actual, Machine e, Machine a) {
    assertEquals(expected.number, actual.number);
    assertEquals(expected.physical, actual.physical);
    assertEquals(expected.secondPage, actual.secondPage);
    assertEquals(expected.mode, actual.mode);
    assertEquals(expected.from, actual.from);
    assertEquals(expected.to, actual.to);
    assertArrayEquals(expected.offsets, actual.offsets);
    assertArrayEquals(expected.retry, actual.retry);
    assertArrayEquals(expected.loaded, actual.loaded);
    assertEquals(expected.shadowed, actual.shadowed);
    assertEquals(expected.faultsAsFound, actual.faultsAsFound);
    assertEquals(expected.readsFirst, actual.readsFirst);
    assertArrayEquals(expected.lookedAhead, actual.lookedAhead);
    assertArrayEquals(expected.pointers, actual.pointers);
    assertArrayEquals(expected.chainSites, actual.chainSites);
    assertArrayEquals(expected.chainTargets, actual.chainTargets);
    assertArrayEquals(expected.chainCounts, actual.chainCounts);
    assertEquals(expected.hostBytes, actual.hostBytes);
    long from = e.translator.enter().address();
    long to = a.translator.enter().address();
    assertEquals(expected.entry - from, actual.entry - to);
    assertEquals(expected.farEntry - from, actual.farEntry - to);
    assertEquals(expected.stale - from, actual.stale - to);
    assertArrayEquals(code(expected), code(actual));
  }

  @Test
  void loadedBlocksAreWhatTranslatingThereWouldHaveMade() throws IOException {
    byte[] code = realCode();
    int modes[] = {
      LONG, LONG | Mode.USER, LONG | Mode.AC, LONG | Mode.NO_SSE | Mode.NO_X87, Mode.USER
    };
    try (Machine first = new Machine(folder())) {
      for (int number = 3; number >= 0; number--) {
        first.write(pageOf(code, number));
        for (int offset = 0; offset < 4096; offset += 3) {
          first.translate(offset, modes[offset % modes.length]);
        }
        first.translator.clear(first.pages);
      }
    }
    int loaded = 0;
    try (Machine second = new Machine(folder());
        Machine fresh = new Machine(null)) {
      // In another order, so at other places and with other numbers.
      for (int number = 0; number < 4; number++) {
        second.write(pageOf(code, number));
        fresh.write(pageOf(code, number));
        for (int offset = 4095; offset >= 0; offset--) {
          int mode = modes[offset % modes.length];
          TranslatedBlock block = second.known(offset, mode);
          if (offset % 3 != 0) {
            assertNull(block, "offset " + offset);
            continue;
          }
          TranslatedBlock made = fresh.translate(offset, mode);
          assertEquals(made == null, block == null, "page " + number + " offset " + offset);
          if (block != null) {
            assertSame(made, block, fresh, second);
            loaded++;
          }
        }
        second.translator.clear(second.pages);
        fresh.translator.clear(fresh.pages);
      }
    }
    assertTrue(loaded > 2000, loaded + " blocks");
  }

  /** add rax,rbx; jmp over a byte; inc ecx; ret. */
  private static final byte[] CODE = {
    0x48, 0x01, (byte) 0xd8, (byte) 0xeb, 1, (byte) 0xcc, (byte) 0xff, (byte) 0xc1, (byte) 0xc3
  };

  private void keep() throws IOException {
    try (Machine machine = new Machine(folder())) {
      machine.write(CODE);
      assertNull(machine.known(0, LONG));
      assertNotNull(machine.translate(0, LONG));
      assertNotNull(machine.known(0, LONG), "known at once");
    }
  }

  @Test
  void everyByteOfTheGuestsCodeCounts() throws IOException {
    keep();
    for (int changed = 0; changed < CODE.length; changed++) {
      try (Machine machine = new Machine(folder())) {
        byte[] code = CODE.clone();
        code[changed] ^= 0x10;
        machine.write(code);
        // What is jumped over is no part of it.
        assertEquals(changed == 5, machine.known(0, LONG) != null, "byte " + changed);
        assertEquals(changed == 5 ? Set.of(PHYSICAL >> 12) : Set.of(), machine.pages.marked);
      }
    }
  }

  @Test
  void placeAndModeCount() throws IOException {
    keep();
    try (Machine machine = new Machine(folder())) {
      machine.write(CODE);
      assertNull(machine.known(0, LONG | Mode.USER));
      assertNull(machine.known(3, LONG));
      MemorySegment.copy(CODE, 0, machine.page, ValueLayout.JAVA_BYTE, 0x100, CODE.length);
      assertNull(machine.known(0x100, LONG));
      assertNotNull(machine.known(0, LONG));
    }
  }

  @Test
  void codeAtThePagesEndIsFound() throws IOException {
    byte[] page = new byte[4096];
    page[4095] = (byte) 0xc3;
    page[4093] = (byte) 0x90;
    page[4094] = (byte) 0x90;
    try (Machine machine = new Machine(folder())) {
      machine.write(page);
      assertNotNull(machine.translate(4095, LONG));
      assertNotNull(machine.translate(4093, LONG));
    }
    try (Machine machine = new Machine(folder())) {
      machine.write(page);
      assertNotNull(machine.known(4093, LONG));
      assertNotNull(machine.known(4095, LONG));
      assertNull(machine.known(4094, LONG));
    }
  }

  @Test
  void anotherProcessorOrOtherOptionsFindNothing() throws IOException {
    keep();
    EnumSet<CpuFeature> features = EnumSet.copyOf(CpuModel.V2.features());
    features.remove(CpuFeature.SSE4_2);
    var shorter = new Translator.Options(8, false, 16 << 20, true);
    var counting = new Translator.Options(64, true, 16 << 20, true);
    var exact = new Translator.Options(64, false, 16 << 20, false);
    try (Machine less = new Machine(folder(), new CpuModel("v2", features), OPTIONS);
        Machine a = new Machine(folder(), CpuModel.V2, shorter);
        Machine b = new Machine(folder(), CpuModel.V2, counting);
        Machine c = new Machine(folder(), CpuModel.V2, exact)) {
      for (Machine machine : List.of(less, a, b, c)) {
        machine.write(CODE);
        assertNull(machine.known(0, LONG));
      }
    }
  }

  @Test
  void keysDifferByHostBuildAndStubs() {
    var key = TranslationKey.of("build", CpuModel.V2, OPTIONS, false, List.of(16L));
    for (var other :
        List.of(
            TranslationKey.of("another", CpuModel.V2, OPTIONS, false, List.of(16L)),
            TranslationKey.of("build", CpuModel.V2, OPTIONS, true, List.of(16L)),
            TranslationKey.of("build", CpuModel.V2, OPTIONS, false, List.of(32L)))) {
      assertTrue(!java.util.Arrays.equals(key.bytes(), other.bytes()));
      assertTrue(!key.fileName().equals(other.fileName()));
    }
    assertTrue(new String(key.bytes()).contains(HostFeatures.description()));
  }

  @Test
  void blocksThatWereDroppedAreLoadedAgainOnlyWhenTheCodeIsBack() throws IOException {
    keep();
    try (Machine machine = new Machine(folder())) {
      machine.write(CODE);
      TranslatedBlock first = machine.known(0, LONG);
      machine.page.set(ValueLayout.JAVA_BYTE, 7, (byte) 0xc2); // inc edx
      machine.translator.drop(PHYSICAL + 7, 1, machine.pages);
      assertTrue(!first.valid());
      assertEquals(Set.of(), machine.pages.marked);
      assertNull(machine.known(0, LONG));
      TranslatedBlock changed = machine.translate(0, LONG);
      assertTrue(changed != first);
      machine.write(CODE);
      machine.translator.drop(PHYSICAL, 16, machine.pages);
      TranslatedBlock again = machine.known(0, LONG);
      assertTrue(again != first && again != changed && again.valid());
    }
    // Both are kept.
    try (Machine machine = new Machine(folder())) {
      machine.write(CODE);
      machine.page.set(ValueLayout.JAVA_BYTE, 7, (byte) 0xc2);
      assertNotNull(machine.known(0, LONG));
    }
  }

  @Test
  void machinesSideBySideAddToWhatTheOtherHasKept() throws IOException {
    byte[] code = new byte[64];
    code[0] = code[16] = code[32] = (byte) 0xc3;
    keep();
    try (Machine a = new Machine(folder())) {
      a.write(code);
      try (Machine b = new Machine(folder())) {
        b.write(code);
        assertNotNull(b.translate(16, LONG));
      }
      assertNotNull(a.translate(32, LONG));
      assertNull(a.known(16, LONG), "it looks at the file once");
    }
    try (Machine machine = new Machine(folder())) {
      machine.write(CODE);
      machine.page.set(ValueLayout.JAVA_BYTE, 16, (byte) 0xc3);
      machine.page.set(ValueLayout.JAVA_BYTE, 32, (byte) 0xc3);
      for (int offset = 0; offset < 48; offset += 16) {
        assertNotNull(machine.known(offset, LONG), "offset " + offset);
      }
    }
  }

  @Test
  void filesAreTheUsersAlone() throws IOException {
    keep();
    assertEquals(
        "rwx------", PosixFilePermissions.toString(Files.getPosixFilePermissions(folder())));
    assertEquals("rw-------", PosixFilePermissions.toString(Files.getPosixFilePermissions(file())));
    Files.setPosixFilePermissions(file(), PosixFilePermissions.fromString("rw--w----"));
    try (Machine machine = new Machine(folder())) {
      machine.write(CODE);
      assertNull(machine.known(0, LONG), "others may have written it");
    }
  }

  @Test
  void folderThatCannotBeUsedIsNoTrouble() throws IOException {
    Files.writeString(folder(), "no folder");
    keep();
    assertEquals("no folder", Files.readString(folder()));
  }

  @Test
  void damagedFilesAreIgnoredAndReplaced() throws IOException {
    keep();
    byte[] good = Files.readAllBytes(file());
    Path file = file();
    Random random = new Random(1);
    byte[] garbage = new byte[5000];
    random.nextBytes(garbage);
    for (byte[] bad :
        List.of(
            new byte[0],
            garbage,
            java.util.Arrays.copyOf(good, 20),
            java.util.Arrays.copyOf(good, good.length - 1),
            java.util.Arrays.copyOf(good, good.length + 4096))) {
      Files.write(file, bad);
      try (Machine machine = new Machine(folder())) {
        machine.write(CODE);
        assertNull(machine.known(0, LONG));
        assertNotNull(machine.translate(0, LONG));
      }
      try (Machine machine = new Machine(folder())) {
        machine.write(CODE);
        assertNotNull(machine.known(0, LONG), "kept anew");
      }
    }
  }

  @Test
  void changedBitsAreNoticed() throws IOException {
    keep();
    byte[] good = Files.readAllBytes(file());
    Path file = file();
    Random random = new Random(2);
    TranslatedBlock made;
    try (Machine fresh = new Machine(null)) {
      fresh.write(CODE);
      made = fresh.translate(0, LONG);
      for (int round = 0; round < 2000; round++) {
        byte[] bad = good.clone();
        for (int i = random.nextInt(3); i >= 0; i--) {
          bad[random.nextInt(bad.length)] ^= (byte) (1 << random.nextInt(8));
        }
        Files.write(file, bad);
        try (Machine machine = new Machine(folder())) {
          machine.write(CODE);
          TranslatedBlock known = machine.known(0, LONG);
          if (known != null) {
            assertSame(made, known, fresh, machine);
          }
        }
      }
    }
  }

  @Test
  void recordsWithRightChecksumsAndWrongContentsDoNoHarmToTheLoader() throws IOException {
    StoredBlock record = new StoredBlock();
    byte[] good;
    try (Machine machine = new Machine(folder())) {
      machine.write(realCode().length > 0 ? pageOf(realCode(), 0) : CODE);
      for (int offset = 0; offset < 256; offset++) {
        machine.translate(offset, LONG);
      }
    }
    byte[] content = Files.readAllBytes(file());
    ByteBuffer words = ByteBuffer.wrap(content).order(ByteOrder.LITTLE_ENDIAN);
    int key = words.getInt(40);
    int at = 48 + key + 15 & ~15;
    good = java.util.Arrays.copyOfRange(content, at, at + words.getInt(at + 4));
    Random random = new Random(3);
    int accepted = 0;
    for (int round = 0; round < 200_000; round++) {
      byte[] bad = good.clone();
      int changes = 1 + random.nextInt(4);
      for (int i = 0; i < changes; i++) {
        // Often in the head and in the tables behind the code.
        int place =
            random.nextInt(3) == 0
                ? 8 + random.nextInt(24)
                : bad.length - 1 - random.nextInt(bad.length - 8);
        bad[place] = (byte) random.nextInt();
      }
      CRC32C sum = new CRC32C();
      sum.update(bad, 4, bad.length - 4);
      ByteBuffer.wrap(bad).order(ByteOrder.LITTLE_ENDIAN).putInt(0, (int) sum.getValue());
      System.arraycopy(bad, 0, record.room(bad.length), 0, bad.length);
      if (record.read(bad.length)) {
        record.matches(new byte[4096]);
        assertTrue(record.low() >= 0 && record.high() <= 4096);
        TranslatedBlock block = record.block(1, PHYSICAL + record.first(), 0x1000);
        if (block != null) {
          record.relocate(1, 0x1000);
          accepted++;
        }
      }
    }
    assertTrue(accepted > 1000, "only " + accepted + " got that far");
  }

  @Test
  void oldestRecordsGoWhenThereIsNoRoom() throws IOException {
    Path path = folder();
    var key = TranslationKey.of("build", CpuModel.V2, OPTIONS, false, List.of());
    var folder = new dev.bothy.host.PrivateFolder(path);
    folder.create();
    try (Arena arena = Arena.ofConfined()) {
      var writer = new StoreFile.Writer(10 * 160);
      for (int i = 0; i < 20; i++) {
        byte[] bytes = new byte[160];
        ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN).putInt(0, i).putInt(4, 160);
        MemorySegment segment = arena.allocateFrom(ValueLayout.JAVA_BYTE, bytes);
        // One in two is as old as can be; the first is there twice.
        writer.add(i, i, segment.address(), 160, i % 2 * StoreFile.Writer.OLDEST);
        if (i == 0) {
          writer.add(i, i, segment.address(), 160, 3);
        }
      }
      folder.write(key.fileName(), channel -> writer.write(key, channel));
      StoreFile file = StoreFile.open(folder, key, arena);
      assertEquals(10, file.records());
      for (int i = 0; i < 20; i++) {
        assertEquals(i % 2 == 0, file.first(i) >= 0, "record " + i);
      }
    }
  }
}
