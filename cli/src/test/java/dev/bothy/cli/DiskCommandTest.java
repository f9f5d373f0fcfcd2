package dev.bothy.cli;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonToken;
import dev.bothy.image.DiskImage;
import dev.bothy.image.Images;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.PrintStream;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.HashMap;
import java.util.Map;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class DiskCommandTest {
  @TempDir Path folder;

  private String file(String name) {
    return folder.resolve(name).toString();
  }

  private static Typed disk(String... words) {
    String[] all = new String[words.length + 1];
    all[0] = "disk";
    System.arraycopy(words, 0, all, 1, words.length);
    return Typed.execute(all);
  }

  private static String succeed(String... words) {
    Typed typed = disk(words);
    assertEquals("", typed.err());
    assertEquals(0, typed.status());
    return typed.out();
  }

  private static void refuse(int status, String mentions, String... words) {
    Typed typed = disk(words);
    assertEquals(status, typed.status(), typed.err());
    assertEquals(1, typed.err().lines().count(), typed.err());
    assertTrue(typed.err().startsWith("bothy: "), typed.err());
    assertTrue(typed.err().contains(mentions), typed.err());
    assertFalse(typed.err().contains("Exception"), typed.err());
  }

  /** The fields of the outer object. */
  private static Map<String, String> fields(String json) throws IOException {
    Map<String, String> fields = new HashMap<>();
    try (JsonParser parser = new JsonFactory().createParser(json)) {
      assertEquals(JsonToken.START_OBJECT, parser.nextToken());
      for (String name = parser.nextFieldName(); name != null; name = parser.nextFieldName()) {
        parser.nextToken();
        fields.put(name, parser.getText());
        parser.skipChildren();
      }
    }
    return fields;
  }

  private static void write(Path image, long at, byte[] bytes) throws IOException {
    try (DiskImage disk = Images.open(image, Images.How.WRITING)) {
      disk.write(at, MemorySegment.ofArray(bytes));
    }
  }

  private static byte[] random(int length) {
    byte[] bytes = new byte[length];
    new Random(length).nextBytes(bytes);
    return bytes;
  }

  @Test
  void imagesAreMadeAndSayWhatTheyAre() throws IOException {
    succeed("create", file("a.qcow2"), "1T", "--cluster-size", "2M", "--compression", "zstd");
    Map<String, String> info = fields(succeed("info", "--json", file("a.qcow2")));
    assertEquals("qcow2", info.get("format"));
    assertEquals(Long.toString(1L << 40), info.get("size"));
    assertEquals(Integer.toString(2 << 20), info.get("clusterSize"));
    assertEquals("zstd", info.get("compression"));
    assertEquals("false", info.get("dirty"));
    succeed("create", file("b.img"), "3M");
    assertEquals("raw", fields(succeed("info", "--json", file("b.img"))).get("format"));
    assertEquals(3 << 20, Files.size(folder.resolve("b.img")));
    String text = succeed("info", file("a.qcow2"));
    assertTrue(text.contains("1 TiB"), text);
  }

  @Test
  void convertedDisksAreTheSame() throws IOException {
    byte[] content = new byte[5_000_000];
    System.arraycopy(random(2_000_000), 0, content, 1_234_567, 2_000_000);
    Files.write(folder.resolve("a.raw"), content);
    succeed("convert", file("a.raw"), file("b.qcow2"));
    succeed("convert", "--compress", "--compression=zstd", file("b.qcow2"), file("c.qcow2"));
    succeed("convert", file("c.qcow2"), file("d.raw"));
    assertArrayEquals(content, Files.readAllBytes(folder.resolve("d.raw")));
    Map<String, String> check = fields(succeed("check", "--json", file("b.qcow2")));
    assertEquals("0", check.get("corruptions"));
    assertEquals("0", check.get("leaks"));
    refuse(1, "exists already", "convert", file("a.raw"), file("b.qcow2"));
    refuse(1, "no file", "convert", file("none"), file("e.qcow2"));
    refuse(1, "e.qcow2 cannot be made: there is no", "convert", file("a.raw"), file("no/e.qcow2"));
    assertFalse(Files.exists(folder.resolve("e.qcow2")));
  }

  @Test
  void whatCannotBeReadLeavesNoCopy() throws IOException {
    succeed("create", file("a.qcow2"), "1M");
    write(folder.resolve("a.qcow2"), 0, random(1 << 20));
    byte[] bytes = Files.readAllBytes(folder.resolve("a.qcow2"));
    int l1 = 3 << 16;
    bytes[l1 + 7] = 1;
    Files.write(folder.resolve("a.qcow2"), bytes);
    // Its L2 table's offset has a reserved bit, which is ignored; now it is not aligned.
    bytes[l1 + 6] = 2;
    Files.write(folder.resolve("a.qcow2"), bytes);
    refuse(1, "a.qcow2: an L2 table", "convert", file("a.qcow2"), file("b.qcow2"));
    assertFalse(Files.exists(folder.resolve("b.qcow2")));
    assertEquals(3, disk("check", file("a.qcow2")).status());
  }

  @Test
  void overlaysAreMadeAndCommitted() throws IOException {
    Path base = folder.resolve("base.raw");
    byte[] content = random(1 << 20);
    Files.write(base, content);
    succeed("create", "--backing", base.toString(), file("top.qcow2"));
    write(folder.resolve("top.qcow2"), 77, new byte[300]);
    Arrays.fill(content, 77, 377, (byte) 0);
    assertEquals(
        base.toString(), fields(succeed("info", "--json", file("top.qcow2"))).get("backing"));
    succeed("commit", file("top.qcow2"));
    assertArrayEquals(content, Files.readAllBytes(base));
    refuse(1, "no backing file", "commit", file("base.raw"));
    Files.delete(base);
    refuse(1, "its backing file", "convert", file("top.qcow2"), file("x.raw"));
    succeed("info", file("top.qcow2"));
  }

  @Test
  void snapshotsAndSizesChange() throws IOException {
    Path image = folder.resolve("a.qcow2");
    succeed("create", image.toString(), "1M");
    byte[] before = random(70_000);
    write(image, 5, before);
    succeed("snapshot", image.toString(), "create", "before");
    write(image, 5, new byte[70_000]);
    succeed("resize", image.toString(), "+3M");
    refuse(2, "--shrink", "resize", image.toString(), "2M");
    succeed("resize", "--shrink", image.toString(), "2M");
    String list = succeed("snapshot", image.toString());
    assertTrue(list.contains("before"), list);
    succeed("snapshot", image.toString(), "apply", "before");
    assertEquals(
        Integer.toString(1 << 20), fields(succeed("info", "--json", image.toString())).get("size"));
    succeed("convert", image.toString(), file("b.raw"));
    byte[] after = Files.readAllBytes(folder.resolve("b.raw"));
    assertArrayEquals(before, Arrays.copyOfRange(after, 5, 70_005));
    succeed("snapshot", image.toString(), "delete", "1");
    refuse(1, "no snapshot", "snapshot", image.toString(), "delete", "1");
    assertEquals("", succeed("snapshot", image.toString(), "list"));
    assertTrue(succeed("check", image.toString()).contains("nothing wrong"));
  }

  @Test
  void imageInUseIsRefused() throws IOException {
    succeed("create", file("a.qcow2"), "1M");
    try (DiskImage _ = Images.open(folder.resolve("a.qcow2"), Images.How.WRITING)) {
      refuse(1, "in use", "resize", file("a.qcow2"), "2M");
      refuse(1, "in use", "info", file("a.qcow2"));
    }
  }

  @Test
  void wrongUsageIsOneLine() {
    refuse(2, "which command", new String[0]);
    refuse(2, "no command", "frobnicate");
    refuse(2, "how large", "create", file("a"));
    refuse(2, "no size", "create", file("a"), "big");
    refuse(2, "no format", "create", file("a"), "1M", "--format", "vmdk");
    refuse(2, "qcow2's", "create", file("a.raw"), "1M", "--cluster-size", "4K");
    refuse(1, "cluster", "create", file("a"), "1M", "--cluster-size", "5000");
    refuse(1, "at most", "create", file("a"), "100000T", "--cluster-size", "512");
    refuse(2, "not enough words", "info");
    refuse(2, "wants a name", "snapshot", file("a"), "create");
    refuse(2, "none of list", "snapshot", file("a"), "frob");
    assertFalse(Files.exists(folder.resolve("a")));
  }

  @Test
  void longWorkShowsHowFarItIs() {
    ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    try (DiskProgress progress =
        new DiskProgress(new PrintStream(bytes, true), false, "converting")) {
      progress.show(1, 100);
      progress.show(2, 100);
      progress.show(60, 100);
    }
    assertEquals("bothy: converting: 0 %\nbothy: converting: 50 %\n", bytes.toString());
  }
}
