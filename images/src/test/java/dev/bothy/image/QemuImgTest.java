package dev.bothy.image;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.bothy.image.ImageException.Trouble;
import dev.bothy.image.qcow2.Qcow2Layout;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.Writer;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.Random;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Images that Bothy writes for qemu-img, and the other way round. */
class QemuImgTest {
  private static final int SIZE = 5 << 20;

  @TempDir Path folder;

  @BeforeAll
  static void qemuImgIsThere() {
    boolean there =
        Stream.of(System.getenv().getOrDefault("PATH", "").split(":"))
            .anyMatch(f -> Files.isExecutable(Path.of(f, "qemu-img")));
    assumeTrue(there, "there is no qemu-img here (Debian: apt install qemu-utils)");
  }

  private record Said(int status, String text) {}

  private Said qemuImg(Object... words) throws Exception {
    List<String> command = new ArrayList<>(List.of("qemu-img"));
    for (Object word : words) {
      command.add(word.toString());
    }
    Process process =
        new ProcessBuilder(command).directory(folder.toFile()).redirectErrorStream(true).start();
    String text = new String(process.getInputStream().readAllBytes());
    return new Said(process.waitFor(), text);
  }

  private void succeed(Object... words) throws Exception {
    Said said = qemuImg(words);
    assertEquals(0, said.status(), said.text());
  }

  private static byte[] content(int seed) {
    byte[] content = new byte[SIZE];
    Random random = new Random(seed);
    for (int at = 0; at + 70_000 < SIZE; at += random.nextInt(300_000)) {
      for (int i = 0; i < 70_000; i++) {
        // Compresses to about a half.
        content[at + i] = (byte) (random.nextBoolean() ? 0 : random.nextInt());
      }
      at += 70_000;
    }
    return content;
  }

  private static byte[] read(Path image) throws IOException {
    try (DiskImage disk = Images.open(image, Images.How.READING)) {
      byte[] bytes = new byte[Math.toIntExact(disk.size())];
      disk.read(0, MemorySegment.ofArray(bytes));
      return bytes;
    }
  }

  static Stream<Qcow2Layout> layouts() {
    return Stream.of(
        Qcow2Layout.DEFAULT,
        new Qcow2Layout(2, 4096, 16, false, false, false, "", ""),
        new Qcow2Layout(3, 512, 1, false, false, false, "", ""),
        new Qcow2Layout(3, 2 << 20, 64, true, false, true, "", ""),
        new Qcow2Layout(3, 1 << 15, 16, false, true, false, "", ""));
  }

  @ParameterizedTest
  @MethodSource("layouts")
  void qemuFindsNothingWrongWithWhatBothyWrites(Qcow2Layout layout) throws Exception {
    Path image = folder.resolve("bothy.qcow2");
    Path raw = folder.resolve("raw");
    byte[] model = new byte[SIZE];
    Random random = new Random(7);
    try (DiskImage disk = Images.create(image, ImageFormat.QCOW2, SIZE, layout)) {
      for (int i = 0; i < 200; i++) {
        int length = 1 + random.nextInt(100_000);
        int at = random.nextInt(SIZE - length);
        byte[] data = new byte[length];
        random.nextBytes(data);
        if (i % 5 == 4) {
          Arrays.fill(data, (byte) 0);
          disk.writeZeroes(at, length, i % 2 == 0);
        } else {
          disk.write(at, MemorySegment.ofArray(data));
        }
        System.arraycopy(data, 0, model, at, length);
        if (i == 100 && layout.refcountBits() > 1) {
          disk.createSnapshot("middle");
        }
      }
      if (layout.refcountBits() > 1) {
        disk.createSnapshot("end");
        disk.applySnapshot("middle");
        disk.deleteSnapshot("middle");
        disk.applySnapshot("end");
      }
    }
    Files.write(raw, model);
    succeed("check", image);
    succeed("compare", image, raw);
    if (layout.refcountBits() > 1) {
      succeed("snapshot", "-a", "end", image);
      succeed("snapshot", "-d", "end", image);
      succeed("check", image);
      succeed("compare", image, raw);
    }
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "compat=0.10",
        "compat=1.1",
        "cluster_size=512",
        "cluster_size=2M,refcount_bits=1",
        "extended_l2=on",
        "extended_l2=on,cluster_size=16k,compression_type=zstd",
        "compression_type=zstd",
        "lazy_refcounts=on,preallocation=metadata",
      })
  void bothyReadsWhatQemuWrites(String options) throws Exception {
    Path raw = folder.resolve("raw");
    byte[] content = content(options.hashCode());
    Files.write(raw, content);
    List<String> ways =
        options.contains("prealloc") ? List.of("plain") : List.of("plain", "compressed");
    for (String way : ways) {
      Path image = folder.resolve(way);
      List<Object> command =
          new ArrayList<>(List.of("convert", "-f", "raw", "-O", "qcow2", "-o", options));
      if (way.equals("compressed")) {
        command.add("-c");
      }
      command.addAll(List.of(raw, image));
      succeed(command.toArray());
      assertArrayEquals(content, read(image));
      try (DiskImage disk = Images.open(image, Images.How.WRITING)) {
        assertTrue(disk.check(false, Progress.NONE).sound());
        byte[] more = new byte[100_000];
        Arrays.fill(more, (byte) 5);
        disk.write(123_456, MemorySegment.ofArray(more));
        disk.discard(1 << 20, 1 << 20);
      }
      succeed("check", image);
      byte[] now = read(image);
      Path nowRaw = folder.resolve("now");
      Files.write(nowRaw, now);
      succeed("compare", image, nowRaw);
      assertArrayEquals(
          Arrays.copyOfRange(content, 2 << 20, SIZE), Arrays.copyOfRange(now, 2 << 20, SIZE));
    }
  }

  @ParameterizedTest
  @ValueSource(booleans = {false, true})
  void qemuReadsWhatBothyCompresses(boolean zstd) throws Exception {
    Path raw = folder.resolve("raw");
    byte[] content = content(3);
    Files.write(raw, content);
    Path image = folder.resolve("image");
    Qcow2Layout layout = new Qcow2Layout(3, 1 << 16, 16, false, false, zstd, "", "");
    try (DiskImage source = Images.open(raw, Images.How.READING);
        DiskImage target = Images.create(image, ImageFormat.QCOW2, SIZE, layout)) {
      Conversion.compressed(source, target, Progress.NONE);
    }
    succeed("check", image);
    succeed("compare", image, raw);
    assertArrayEquals(content, read(image));
    assertTrue(Files.size(image) < SIZE * 3 / 4, "compressed to " + Files.size(image));
  }

  @Test
  void snapshotsOfQemuAreBothys() throws Exception {
    Path raw = folder.resolve("raw");
    Path image = folder.resolve("image");
    byte[] content = content(1);
    Files.write(raw, content);
    succeed("convert", "-O", "qcow2", raw, image);
    succeed("snapshot", "-c", "first", image);
    try (DiskImage disk = Images.open(image, Images.How.WRITING)) {
      disk.write(0, MemorySegment.ofArray(content(2)));
      disk.createSnapshot("second");
      assertEquals(
          List.of("first", "second"), disk.snapshots().stream().map(Snapshot::name).toList());
      disk.applySnapshot("1");
    }
    assertArrayEquals(content, read(image));
    succeed("check", image);
    succeed("snapshot", "-a", "second", image);
    assertArrayEquals(content(2), read(image));
    try (DiskImage disk = Images.open(image, Images.How.WRITING)) {
      disk.deleteSnapshot("first");
      disk.deleteSnapshot("second");
    }
    succeed("check", image);
    assertArrayEquals(content(2), read(image));
  }

  @Test
  void overlaysOfBothAreTheSame() throws Exception {
    Path base = folder.resolve("base");
    Path middle = folder.resolve("middle");
    Path top = folder.resolve("top");
    byte[] content = content(9);
    Files.write(base, content);
    succeed("create", "-f", "qcow2", "-b", "base", "-F", "raw", middle, "7M");
    try (DiskImage disk =
        Images.create(
            top, ImageFormat.QCOW2, 7 << 20, Qcow2Layout.DEFAULT.withBacking("middle", "qcow2"))) {
      disk.write(1000, MemorySegment.ofArray(new byte[] {1, 2, 3}));
      disk.writeZeroes(1 << 20, 100_000, true);
      disk.write((7 << 20) - 3, MemorySegment.ofArray(new byte[] {1, 2, 3}));
    }
    byte[] model = Arrays.copyOf(content, 7 << 20);
    System.arraycopy(new byte[] {1, 2, 3}, 0, model, 1000, 3);
    Arrays.fill(model, 1 << 20, (1 << 20) + 100_000, (byte) 0);
    System.arraycopy(new byte[] {1, 2, 3}, 0, model, model.length - 3, 3);
    assertArrayEquals(model, read(top));
    succeed("check", top);
    Path flat = folder.resolve("flat");
    succeed("convert", "-O", "raw", top, flat);
    assertArrayEquals(model, Files.readAllBytes(flat));
    try (DiskImage disk = Images.open(top, Images.How.WRITING)) {
      disk.commit(Progress.NONE);
    }
    succeed("check", top);
    succeed("check", middle);
    succeed("compare", middle, flat);
    succeed("compare", top, flat);
    assertArrayEquals(content, Files.readAllBytes(base));
  }

  @Test
  void resizedImagesAreSoundForBoth() throws Exception {
    Path image = folder.resolve("image");
    Qcow2Layout layout = new Qcow2Layout(3, 512, 16, false, false, false, "", "");
    byte[] content = content(4);
    try (DiskImage disk = Images.create(image, ImageFormat.QCOW2, SIZE, layout)) {
      disk.write(0, MemorySegment.ofArray(content));
      disk.resize(1_000_001);
      disk.resize(3L << 30);
      assertEquals(3L << 30, disk.size());
      disk.write((3L << 30) - 10, MemorySegment.ofArray(new byte[10]));
    }
    succeed("check", image);
    try (DiskImage disk = Images.open(image, Images.How.WRITING)) {
      disk.resize(SIZE);
    }
    succeed("check", image);
    Arrays.fill(content, 1_000_001, SIZE, (byte) 0);
    assertArrayEquals(content, read(image));
  }

  @Test
  void neitherOpensWhatTheOtherWrites() throws Exception {
    Path image = folder.resolve("image");
    try (DiskImage _ = Images.create(image, ImageFormat.QCOW2, SIZE, Qcow2Layout.DEFAULT)) {
      Said said = qemuImg("info", image);
      assertNotEquals(0, said.status(), said.text());
      assertTrue(said.text().contains("lock"), said.text());
    }
    try (DiskImage _ = Images.open(image, Images.How.READING)) {
      succeed("info", image);
      assertNotEquals(0, qemuImg("resize", image, "9M").status());
    }
    Process writer =
        new ProcessBuilder("qemu-io", "-f", "qcow2", image.toString())
            .redirectErrorStream(true)
            .start();
    try (BufferedReader said = writer.inputReader();
        Writer orders = writer.outputWriter()) {
      orders.write("write 0 512\n");
      orders.flush();
      String line = said.readLine();
      assertTrue(line.contains("wrote 512"), line);
      assertRefused(image, Trouble.IN_USE, "in use");
      assertThrows(ImageException.class, () -> Images.open(image, Images.How.WRITING));
    } finally {
      writer.waitFor();
    }
    Images.open(image, Images.How.READING).close();
  }

  @Test
  void whatBothyDoesNotKnowIsRefusedInOneLine() throws Exception {
    Path image = folder.resolve("image");
    succeed("create", "-f", "qcow2", "-o", "data_file=data,data_file_raw=on", image, "1M");
    assertRefused(image, Trouble.UNSUPPORTED, "external data file");
    for (String format : List.of("vmdk", "vdi", "vhdx", "qed", "parallels")) {
      succeed("create", "-f", format, image, "16M");
      assertRefused(image, Trouble.UNSUPPORTED, format);
      Images.open(image, Images.How.READING.as(Optional.of(ImageFormat.RAW))).close();
    }
    succeed(
        "create",
        "--object",
        "secret,id=s,data=abc",
        "-f",
        "qcow2",
        "-o",
        // Not LUKS: that times how long its key takes, and fails on a busy host.
        "encrypt.format=aes,encrypt.key-secret=s",
        image,
        "1M");
    assertRefused(image, Trouble.UNSUPPORTED, "encryption");
  }

  private static void assertRefused(Path image, Trouble trouble, String mentions) {
    ImageException e =
        assertThrows(ImageException.class, () -> Images.open(image, Images.How.READING));
    assertEquals(trouble, e.trouble(), e.getMessage());
    assertTrue(e.getMessage().contains(mentions), e.getMessage());
    assertTrue(e.getMessage().contains(image.toString()), e.getMessage());
    assertEquals(1, e.getMessage().lines().count());
  }
}
