package dev.bothy.guest;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.apache.commons.compress.archivers.cpio.CpioArchiveEntry;
import org.apache.commons.compress.archivers.cpio.CpioArchiveInputStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class InitialRootTest {
  @TempDir Path folder;

  @Test
  void anIndependentReaderUnderstandsTheArchive() throws IOException {
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    try (CpioWriter cpio = new CpioWriter(out)) {
      cpio.file("a/b/file", 0640, bytes("seven b"));
      cpio.link("a/link", "b/file");
      cpio.characterDevice("dev/console", 5, 1);
      cpio.folder("a");
    }
    assertEquals(0, out.size() % 4);
    Map<String, CpioArchiveEntry> entries = new TreeMap<>();
    Map<String, String> contents = new TreeMap<>();
    try (var in = new CpioArchiveInputStream(new ByteArrayInputStream(out.toByteArray()))) {
      for (CpioArchiveEntry e = in.getNextEntry(); e != null; e = in.getNextEntry()) {
        entries.put(e.getName(), e);
        contents.put(e.getName(), new String(in.readAllBytes(), StandardCharsets.UTF_8));
      }
    }
    assertEquals(
        List.of("a", "a/b", "a/b/file", "a/link", "dev", "dev/console"),
        List.copyOf(entries.keySet()));
    assertTrue(entries.get("a").isDirectory());
    assertEquals("seven b", contents.get("a/b/file"));
    assertEquals(0100640, entries.get("a/b/file").getMode());
    assertTrue(entries.get("a/link").isSymbolicLink());
    assertEquals("b/file", contents.get("a/link"));
    assertTrue(entries.get("dev/console").isCharacterDevice());
    assertEquals(5, entries.get("dev/console").getRemoteDeviceMaj());
    assertEquals(1, entries.get("dev/console").getRemoteDeviceMin());
  }

  @Test
  void findsTheNamesOfBusybox() {
    byte[] program = bytes("\177ELF..../x\0[\0[[\0ash\0mount\0sh\0zcat\0\0other\0");
    assertEquals(List.of("[", "[[", "ash", "mount", "sh", "zcat"), InitialRoot.applets(program));
  }

  @Test
  void busyboxWithoutATableOfNamesGetsWhatTheFirstScriptNeeds() {
    assertTrue(InitialRoot.applets(bytes("\177ELF")).containsAll(List.of("sh", "mount", "init")));
    assertTrue(InitialRoot.applets(bytes("[\0[[")).contains("sh"));
  }

  @Test
  void equalInputGivesEqualBytes() throws IOException {
    var modules = new TreeMap<>(Map.of("kernel/a.ko", bytes("\0depends=\0")));
    InitialRoot.write(folder.resolve("1"), bytes("busybox"), "6.1", modules);
    InitialRoot.write(folder.resolve("2"), bytes("busybox"), "6.1", modules);
    assertArrayEquals(
        Files.readAllBytes(folder.resolve("1")), Files.readAllBytes(folder.resolve("2")));
  }

  private static byte[] bytes(String text) {
    return text.getBytes(StandardCharsets.ISO_8859_1);
  }
}
