package dev.bothy.guest;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.TreeMap;
import java.util.zip.GZIPOutputStream;
import org.apache.commons.compress.archivers.ar.ArArchiveEntry;
import org.apache.commons.compress.archivers.ar.ArArchiveOutputStream;
import org.apache.commons.compress.archivers.tar.TarArchiveEntry;
import org.apache.commons.compress.archivers.tar.TarArchiveOutputStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.tukaani.xz.LZMA2Options;
import org.tukaani.xz.XZOutputStream;

class DebianPackageTest {
  @TempDir Path folder;

  @Test
  void readsFilesOfPlainGzipAndXzPackages() throws IOException {
    byte[] tar = tar(Map.of("./bin/busybox", bytes("program"), "./usr/x", new byte[0]));
    for (String ending : List.of("", ".gz", ".xz")) {
      Map<String, String> seen = new TreeMap<>();
      DebianPackage.visit(
          deb("data.tar" + ending, compress(ending, tar)),
          (name, size, contents) ->
              seen.put(name, new String(contents.read(), StandardCharsets.UTF_8)));
      assertEquals(Map.of("bin/busybox", "program", "usr/x", ""), seen);
    }
  }

  @Test
  void namesThatClimbAreOnlyNames() throws IOException {
    byte[] tar = tar(Map.of("../../etc/passwd", bytes("x")));
    DebianPackage.visit(
        deb("data.tar", tar), (name, size, contents) -> assertEquals("../../etc/passwd", name));
  }

  @Test
  void packageWithoutDataIsRefused() {
    assertThrows(
        IOException.class, () -> DebianPackage.visit(deb("control.tar", new byte[512]), NOTHING));
  }

  @Test
  void truncatedPackagesAreRefused() throws IOException {
    byte[] whole =
        Files.readAllBytes(deb("data.tar.xz", compress(".xz", tar(Map.of("a", new byte[50_000])))));
    for (int length = 0; length < whole.length - 1; length += 7) {
      Path cut = Files.write(folder.resolve("cut.deb"), Arrays.copyOf(whole, length));
      assertThrows(IOException.class, () -> DebianPackage.visit(cut, READ_ALL));
    }
  }

  @Test
  void fileTooLargeForSenseIsRefused() throws IOException {
    TarArchiveEntry entry = new TarArchiveEntry("boot/vmlinuz-huge");
    entry.setSize(DebianPackage.MAX_FILE + 1L);
    byte[] tar = new byte[10 * 512];
    entry.writeEntryHeader(tar);
    Path file = deb("data.tar", tar);
    IOException refused =
        assertThrows(IOException.class, () -> DebianPackage.visit(file, READ_ALL));
    assertTrue(refused.getMessage().contains("too large"), refused.getMessage());
  }

  @Test
  void damagedBytesGiveAnIoExceptionOrAResult() throws IOException {
    byte[] whole =
        Files.readAllBytes(deb("data.tar.gz", compress(".gz", tar(Map.of("a", new byte[5000])))));
    Random random = new Random(1);
    for (int round = 0; round < 300; round++) {
      byte[] damaged = whole.clone();
      for (int i = 0; i < 4; i++) {
        damaged[random.nextInt(damaged.length)] = (byte) random.nextInt();
      }
      Path file = Files.write(folder.resolve("damaged.deb"), damaged);
      try {
        DebianPackage.visit(file, READ_ALL);
      } catch (IOException e) {
        assertTrue(e.getMessage().contains("damaged.deb"));
      }
    }
  }

  @Test
  void takesModulesWithWhatTheyNeed() throws IOException {
    Path kernel =
        deb(
            "data.tar",
            tar(
                Map.of(
                    "./lib/modules/6.1/kernel/net.ko", module("fail-over,ring"),
                    "./lib/modules/6.1/kernel/ring.ko", module(""),
                    "./lib/modules/6.1/kernel/fail_over.ko.xz", compress(".xz", module("ring")),
                    "./lib/modules/6.1/kernel/other.ko", module("ring"))));
    var modules = KernelModules.take(kernel, List.of("net", "no_such"));
    assertEquals(
        List.of("kernel/fail_over.ko", "kernel/net.ko", "kernel/ring.ko"),
        List.copyOf(modules.keySet()));
    assertArrayEquals(module("ring"), modules.get("kernel/fail_over.ko"));
    assertEquals(
        """
        kernel/fail_over.ko: kernel/ring.ko
        kernel/net.ko: kernel/fail_over.ko kernel/ring.ko
        kernel/ring.ko:
        """,
        KernelModules.dependencyFile(modules));
  }

  @Test
  void modulesThatNeedEachOtherAreTakenOnce() throws IOException {
    Path kernel =
        deb(
            "data.tar",
            tar(Map.of("lib/modules/6.1/a.ko", module("b"), "lib/modules/6.1/b.ko", module("a"))));
    var modules = KernelModules.take(kernel, List.of("a"));
    assertEquals(2, modules.size());
    assertEquals("a.ko: b.ko\nb.ko: a.ko\n", KernelModules.dependencyFile(modules));
  }

  private static final DebianPackage.Visitor NOTHING = (name, size, contents) -> {};
  private static final DebianPackage.Visitor READ_ALL = (name, size, contents) -> contents.read();

  static byte[] module(String needs) {
    return bytes("\177ELF\0license=GPL\0depends=" + needs + "\0name=x\0");
  }

  static byte[] bytes(String text) {
    return text.getBytes(StandardCharsets.ISO_8859_1);
  }

  private static byte[] compress(String ending, byte[] bytes) throws IOException {
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    try (OutputStream packed =
        switch (ending) {
          case ".gz" -> new GZIPOutputStream(out);
          case ".xz" -> new XZOutputStream(out, new LZMA2Options(1));
          default -> out;
        }) {
      packed.write(bytes);
    }
    return out.toByteArray();
  }

  static byte[] tar(Map<String, byte[]> files) throws IOException {
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    try (TarArchiveOutputStream tar = new TarArchiveOutputStream(out)) {
      for (var file : new TreeMap<>(files).entrySet()) {
        TarArchiveEntry entry = new TarArchiveEntry(file.getKey(), true);
        entry.setSize(file.getValue().length);
        tar.putArchiveEntry(entry);
        tar.write(file.getValue());
        tar.closeArchiveEntry();
      }
    }
    return out.toByteArray();
  }

  private Path deb(String member, byte[] contents) throws IOException {
    return deb(folder.resolve("made.deb"), member, contents);
  }

  static Path deb(Path file, String member, byte[] contents) throws IOException {
    try (ArArchiveOutputStream ar = new ArArchiveOutputStream(Files.newOutputStream(file))) {
      for (var entry :
          List.of(Map.entry("debian-binary", bytes("2.0\n")), Map.entry(member, contents))) {
        ar.putArchiveEntry(new ArArchiveEntry(entry.getKey(), entry.getValue().length));
        ar.write(entry.getValue());
        ar.closeArchiveEntry();
      }
    }
    return file;
  }
}
