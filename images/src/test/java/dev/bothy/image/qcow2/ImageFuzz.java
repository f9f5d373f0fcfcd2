package dev.bothy.image.qcow2;

import dev.bothy.image.CheckReport;
import dev.bothy.image.DiskImage;
import dev.bothy.image.ImageException;
import dev.bothy.image.ImageFormat;
import dev.bothy.image.Images;
import dev.bothy.image.Progress;
import dev.bothy.image.RawImage;
import dev.bothy.image.Snapshot;
import dev.bothy.image.qcow2.ImageCorpus.Sample;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.foreign.MemorySegment;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.SplittableRandom;
import java.util.function.LongConsumer;
import java.util.random.RandomGenerator;

/**
 * One case a number: a valid image with bytes changed, opened, looked at and worked on. It is
 * refused by an {@link ImageException} or works; what was sound, or lost clusters only, is not
 * corrupt afterwards, and what was written last is there, also where the host fails meanwhile.
 * {@code bench/fuzz} runs millions of them. One thread an instance.
 */
public final class ImageFuzz implements LongConsumer {
  private static final int WINDOW = 2 * ImageCorpus.SIZE;
  private static final int DEEPEST = 3;
  private static final int MOST_OFTEN = 700_000;
  private static final List<String> MAGICS =
      List.of(
          "KDMV",
          "COWD",
          "# Disk DescriptorFile",
          "x".repeat(0x40) + "\u007f\u0010\u00da\u00be",
          "vhdxfile",
          "conectix",
          "QED\0",
          "WithoutFreeSpace",
          "WithouFreSpacExt",
          "LUKS\u00ba\u00be",
          "raw");
  private static final boolean TRACE = Boolean.getBoolean("bothy.fuzz.trace");
  private static final boolean FOREIGN = Boolean.getBoolean("bothy.fuzz.foreign");
  private static ImageCorpus corpus;

  /** What was refused and why, without the numbers. */
  final Map<String, Integer> refusals = new HashMap<>();

  private final byte[] buffer = new byte[20_000];
  private final Map<String, ForkedStorage> backing = new HashMap<>();
  private Path folder;
  private RandomGenerator random;
  private Sample sample;
  private ForkedStorage file;

  /** The last write that stands, if it is known to. */
  private long writtenAt;

  private byte[] written;

  private static synchronized ImageCorpus corpus() {
    try {
      if (corpus == null) {
        corpus = new ImageCorpus(FOREIGN);
      }
      return corpus;
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  @Override
  public void accept(long number) {
    random = new SplittableRandom(number);
    List<Sample> samples = corpus().samples();
    sample = samples.get(random.nextInt(samples.size()));
    while (sample.content().size() > MOST_OFTEN && random.nextInt(16) > 0) {
      // Large ones take long.
      sample = samples.get(random.nextInt(samples.size()));
    }
    file = new ForkedStorage(sample.content()).holes(random.nextBoolean());
    if (random.nextInt(8) > 0) {
      new ImageMutation(sample, file, random).apply();
    }
    backing.clear();
    written = null;
    try {
      if (random.nextInt(64) == 0 && file.size() < 1 << 20) {
        throughFiles();
      } else {
        inMemory();
      }
    } catch (ImageException e) {
      refused(e);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private void refused(ImageException e) {
    String message = e.getMessage();
    if (message == null || message.isBlank() || message.lines().count() > 1) {
      throw new AssertionError("an error that is not one line", e);
    }
    if (TRACE) {
      e.printStackTrace(System.out);
    }
    if (refusals.size() < 1000) {
      refusals.merge(message.replaceAll("0x[0-9a-f]+|[0-9]+", "N"), 1, Integer::sum);
    }
  }

  // --- In memory ---

  private void inMemory() throws IOException {
    boolean sound = false;
    int depth = random.nextInt(4) == 0 ? DEEPEST : 0;
    try (Qcow2Image disk = Qcow2Image.open(file.readOnly(true), opener(depth), false)) {
      look(disk);
      CheckReport report = disk.check(false, Progress.NONE);
      if (TRACE) {
        System.out.println(report);
      }
      sound = report.corruptions() == 0 && disk.info().details().get("dirty").equals(false);
      disk.setBarriers(random.nextBoolean());
    } catch (ImageException e) {
      refused(e);
    }
    boolean evenCorrupt = random.nextInt(4) > 0;
    boolean faults = random.nextInt(8) == 0;
    if (faults) {
      file.failAfter(random.nextInt(40), random.nextBoolean());
    }
    file.readOnly(false);
    backing.values().forEach(base -> base.readOnly(false));
    try (Qcow2Image disk = Qcow2Image.open(file, opener(depth), evenCorrupt)) {
      for (int n = 1 + random.nextInt(8); n > 0; n--) {
        work(disk);
      }
    } catch (ImageException e) {
      written = file.failed() ? null : written;
      refused(e);
    }
    file.heal();
    if (sound) {
      checkSound(depth);
    }
  }

  /** What was sound loses clusters at worst, and has what was written. */
  private void checkSound(int depth) throws IOException {
    try (Qcow2Image disk = Qcow2Image.open(file.readOnly(true), opener(depth), true)) {
      CheckReport report = disk.check(false, Progress.NONE);
      boolean dirty = disk.info().details().get("dirty").equals(true);
      if (report.corruptions() > 0 && !dirty) {
        throw new AssertionError(sample.name() + " was sound: " + report.findings());
      }
      if (written != null) {
        compare(disk);
      }
    }
  }

  private void compare(DiskImage disk) throws IOException {
    byte[] now = new byte[written.length];
    disk.read(writtenAt, MemorySegment.ofArray(now));
    int differs = Arrays.mismatch(now, written);
    if (differs >= 0) {
      throw new AssertionError(
          "%s: byte %d of %d written at %d is another"
              .formatted(sample.name(), differs, written.length, writtenAt));
    }
  }

  /** Opens backing files in memory: one of two, whatever the name, to some depth. */
  private Qcow2Image.BackingOpener opener(int depth) {
    return depth == 0
        ? null
        : (name, format) -> {
          boolean raw = format.equals("raw") || depth == 1;
          String key = raw ? "raw" : "qcow2-" + depth;
          ForkedStorage base =
              backing.computeIfAbsent(
                  key,
                  _ ->
                      new ForkedStorage(
                          raw
                              ? ForkedStorage.Content.of(corpus().rawBase())
                              : corpus().named(ImageCorpus.QCOW2_BASE).content()));
          return new Backing(
              readOnly ->
                  raw
                      ? RawImage.of(base.readOnly(readOnly))
                      : Qcow2Image.open(base.readOnly(readOnly), opener(depth - 1), false));
        };
  }

  // --- In the host's files ---

  private void throughFiles() throws IOException {
    if (folder == null) {
      Path memory = Path.of("/dev/shm");
      folder =
          Files.isWritable(memory)
              ? Files.createTempDirectory(memory, "bothy-fuzz")
              : Files.createTempDirectory("bothy-fuzz");
      folder.toFile().deleteOnExit();
      for (String name : List.of("image", "made", ImageCorpus.RAW_BASE, ImageCorpus.QCOW2_BASE)) {
        folder.resolve(name).toFile().deleteOnExit();
      }
    }
    Path image = folder.resolve("image");
    byte[] bytes = ImageCorpus.bytes(file);
    if (random.nextInt(8) == 0) {
      byte[] magic =
          MAGICS.get(random.nextInt(MAGICS.size())).getBytes(StandardCharsets.ISO_8859_1);
      System.arraycopy(magic, 0, bytes, 0, Math.min(magic.length, bytes.length));
    }
    Files.write(image, bytes);
    Files.write(folder.resolve(ImageCorpus.RAW_BASE), corpus().rawBase());
    Sample base = corpus().named(ImageCorpus.QCOW2_BASE);
    Files.write(
        folder.resolve(ImageCorpus.QCOW2_BASE),
        ImageCorpus.bytes(new ForkedStorage(base.content())));
    if (random.nextInt(4) == 0) {
      make(folder.resolve("made"));
    }
    Optional<ImageFormat> format =
        switch (random.nextInt(8)) {
          case 0 -> Optional.of(ImageFormat.RAW);
          case 1, 2 -> Optional.of(ImageFormat.QCOW2);
          default -> Optional.empty();
        };
    boolean chain = random.nextInt(4) > 0;
    Images.How reading = new Images.How(format, true, chain, false);
    try (DiskImage disk = Images.open(image, reading)) {
      look(disk);
      refuseSecond(image, reading);
    } catch (ImageException e) {
      refused(e);
    }
    String other = ImageMutation.anyName(random);
    boolean possible = other.indexOf('\0') < 0 && random.nextInt(16) == 0;
    Path opened = possible ? folder.resolve(other) : image;
    try (DiskImage disk =
        Images.open(opened, new Images.How(format, false, chain, random.nextBoolean()))) {
      for (int n = 1 + random.nextInt(4); n > 0; n--) {
        work(disk);
      }
    }
  }

  /** Who reads an image shares it with readers alone. */
  private static void refuseSecond(Path image, Images.How reading) throws IOException {
    Images.open(image, reading).close();
    try {
      Images.open(image, Images.How.WRITING).close();
      throw new AssertionError("opened for writing while somebody reads it");
    } catch (ImageException e) {
      // As it should be.
    }
  }

  /** A new image, of a kind that there may not be. */
  private void make(Path path) throws IOException {
    Files.deleteIfExists(path);
    Qcow2Layout layout =
        new Qcow2Layout(
            random.nextInt(1, 5),
            random.nextInt(8) == 0 ? random.nextInt() : 1 << random.nextInt(8, 23),
            1 << random.nextInt(8),
            random.nextBoolean(),
            random.nextInt(4) == 0,
            random.nextInt(4) == 0,
            random.nextBoolean() ? "" : ImageMutation.anyName(random),
            random.nextBoolean() ? "" : "raw");
    long size = random.nextInt(4) == 0 ? random.nextLong() : random.nextInt(1 << 26);
    ImageFormat format = random.nextInt(4) == 0 ? ImageFormat.RAW : ImageFormat.QCOW2;
    try (DiskImage disk = Images.create(path, format, size, layout)) {
      work(disk);
    } catch (ImageException e) {
      refused(e);
    }
  }

  // --- What is done to an image ---

  private void look(DiskImage disk) throws IOException {
    disk.info();
    for (long at = 0; at < Math.min(disk.size(), WINDOW); at += buffer.length) {
      read(disk, at);
    }
    for (int i = 0; i < 4 && disk.size() > WINDOW; i++) {
      read(disk, random.nextLong(disk.size()));
    }
    if (disk.size() > 0) {
      try {
        disk.zeroes(0, Math.min(disk.size(), WINDOW));
        disk.write(0, MemorySegment.ofArray(buffer).asSlice(0, 1));
        throw new AssertionError("written though it is read-only");
      } catch (ImageException e) {
        refused(e);
      }
    }
  }

  private void read(DiskImage disk, long at) throws IOException {
    int length = (int) Math.min(buffer.length, disk.size() - at);
    int cut = random.nextInt(length + 1);
    MemorySegment all = MemorySegment.ofArray(buffer).asSlice(0, length);
    try {
      disk.read(at, List.of(all.asSlice(0, cut), all.asSlice(cut)));
    } catch (ImageException e) {
      // The next range may be readable.
      refused(e);
    }
  }

  private void work(DiskImage disk) throws IOException {
    try {
      change(disk, random.nextInt(24));
    } catch (ImageException e) {
      // The image stays usable, or says again that it is not.
      written = null;
      refused(e);
    }
  }

  private void change(DiskImage disk, int what) throws IOException {
    long size = disk.size();
    long at =
        size == 0 ? 0 : random.nextLong(random.nextInt(8) == 0 ? size : Math.min(size, WINDOW));
    long length = Math.min(size - at, random.nextInt(1 << random.nextInt(1, 17)));
    if (TRACE) {
      System.out.printf("change %d at %d of %d, %d bytes%n", what, at, size, length);
    }
    switch (what) {
      case 0 -> check(disk, random.nextBoolean());
      case 1 -> {
        disk.createSnapshot(random.nextInt(4) == 0 ? "at 10" : "more " + random.nextInt(3));
      }
      case 2 -> {
        written = null;
        disk.applySnapshot(anyOf(disk.snapshots()));
      }
      case 3 -> disk.deleteSnapshot(anyOf(disk.snapshots()));
      case 4, 5 -> {
        written = null;
        disk.discard(at, length);
      }
      case 6, 7 -> {
        written = null;
        disk.writeZeroes(at, length, random.nextBoolean());
      }
      case 8 -> {
        written = null;
        disk.resize(newSize(size));
      }
      case 9 -> disk.flush();
      case 10 -> {
        written = null;
        if (size < 1L << 40) {
          disk.commit(Progress.NONE);
        }
      }
      case 11 -> {
        written = null;
        if (disk instanceof Qcow2Image qcow2 && size > 0) {
          writeCompressed(qcow2, at & -qcow2.optimalSize());
        }
      }
      case 12 -> read(disk, Math.max(0, Math.min(at, size - 1)));
      default -> write(disk, at, (int) Math.min(length, buffer.length));
    }
  }

  private void write(DiskImage disk, long at, int length) throws IOException {
    byte[] bytes = new byte[length];
    if (random.nextInt(8) > 0) {
      Arrays.fill(bytes, (byte) random.nextInt());
    }
    int cut = random.nextInt(length + 1);
    MemorySegment whole = MemorySegment.ofArray(bytes);
    disk.write(at, List.of(whole.asSlice(0, cut), whole.asSlice(cut)));
    written = bytes;
    writtenAt = at;
  }

  private void writeCompressed(Qcow2Image disk, long at) throws IOException {
    byte[] cluster = new byte[disk.optimalSize()];
    Arrays.fill(cluster, cluster.length / 2, cluster.length, (byte) random.nextInt());
    try (ClusterCompressor compressor = disk.compressor()) {
      Optional<byte[]> packed = compressor.compress(cluster);
      if (packed.isPresent()) {
        disk.writeCompressed(at, packed.get());
      }
    }
  }

  /** What a check has mended is sound. */
  private void check(DiskImage disk, boolean repair) throws IOException {
    if (disk.check(repair, Progress.NONE).sound() && repair) {
      CheckReport again = disk.check(false, Progress.NONE);
      if (!again.findings().isEmpty()) {
        throw new AssertionError(sample.name() + " was mended: " + again.findings());
      }
    }
  }

  private String anyOf(List<Snapshot> snapshots) {
    if (snapshots.isEmpty() || random.nextInt(8) == 0) {
      return "1";
    }
    return snapshots.get(random.nextInt(snapshots.size())).name();
  }

  private long newSize(long size) {
    return switch (random.nextInt(8)) {
      case 0 -> random.nextLong();
      case 1 -> 0;
      case 2 -> size + random.nextInt(1 << 22);
      case 3 -> random.nextInt(1 << 24);
      default -> Math.min(size, ImageCorpus.SIZE) + random.nextInt(-100_000, 100_000);
    };
  }
}
