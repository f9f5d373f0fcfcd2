package dev.bothy.image.qcow2;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;

/** Valid images of every kind, and where in them is what; those of qemu-img if that is here. */
final class ImageCorpus {
  static final String RAW_BASE = "base.raw";
  static final String QCOW2_BASE = "base.qcow2";
  static final int SIZE = 150_000;
  private static final int MOST_PLACES = 600;

  /** What lies at a place. */
  enum Part {
    HEADER,
    EXTENSIONS,
    L1,
    L2,
    REFTABLE,
    REFCOUNTS,
    SNAPSHOTS,
    SNAPSHOT_L1,
    COMPRESSED,
  }

  /**
   * An image.
   *
   * @param places of each {@link Part} the offsets of its entries, those in use
   */
  record Sample(
      String name, ForkedStorage.Content content, int clusterBits, List<List<Long>> places) {
    List<Long> places(Part part) {
      return places.get(part.ordinal());
    }
  }

  private final List<Sample> samples = new ArrayList<>();
  private final byte[] rawBase = new byte[100_000];

  /**
   * @param foreign with images by qemu-img
   */
  ImageCorpus(boolean foreign) throws IOException {
    new Random(1).nextBytes(rawBase);
    Arrays.fill(rawBase, 20_000, 60_000, (byte) 0);
    own();
    if (foreign) {
      Path folder = Files.createTempDirectory("bothy-corpus");
      try {
        byQemuImg(folder);
      } finally {
        try (var files = Files.list(folder)) {
          for (Path file : files.toList()) {
            Files.delete(file);
          }
        }
        Files.delete(folder);
      }
    }
  }

  List<Sample> samples() {
    return samples;
  }

  Sample named(String name) {
    return samples.stream().filter(s -> s.name.equals(name)).findFirst().orElseThrow();
  }

  byte[] rawBase() {
    return rawBase;
  }

  // --- By Bothy ---

  private void own() throws IOException {
    own("v3", new Qcow2Layout(3, 1024, 16, false, false, false, "", ""));
    own("v2", new Qcow2Layout(2, 2048, 16, false, false, false, "", ""));
    own("smallest", new Qcow2Layout(3, 512, 64, false, false, true, "", ""));
    own("lazy", new Qcow2Layout(3, 2048, 8, true, false, true, "", ""));
    own("extended", new Qcow2Layout(3, 1 << 14, 64, false, true, true, "", ""));
    own("extended-backed", new Qcow2Layout(3, 1 << 14, 16, false, true, false, RAW_BASE, "raw"));
    own(QCOW2_BASE, new Qcow2Layout(3, 4096, 32, false, false, true, RAW_BASE, "raw"));
    own("backed", new Qcow2Layout(3, 4096, 16, false, false, false, QCOW2_BASE, "qcow2"));
    own("backed-v2", new Qcow2Layout(2, 512, 16, false, false, false, QCOW2_BASE, ""));
    own("cyclic", new Qcow2Layout(3, 1024, 16, false, false, false, "image", "qcow2"));
    own("default", Qcow2Layout.DEFAULT);
    own("largest", new Qcow2Layout(3, 2 << 20, 16, false, false, false, "", ""));
    for (int bits = 1; bits <= 4; bits *= 2) {
      own("refcount" + bits, new Qcow2Layout(3, 1024, bits, false, false, false, "", ""));
    }
    nearlyFull();
    Sample plain = named("v3");
    changed(plain, "extensions", file -> extensions(file));
    changed(plain, "encrypted", file -> file.poke(Header.ENCRYPTION, new byte[] {0, 0, 0, 1}));
    changed(plain, "external", file -> file.poke(Header.INCOMPATIBLE + 7, (byte) 4));
    changed(plain, "corrupt", file -> file.poke(Header.INCOMPATIBLE + 7, (byte) 2));
    changed(named("lazy"), "dirty", file -> file.poke(Header.INCOMPATIBLE + 7, (byte) 9));
  }

  /** One whose refcount table has hardly a place left. */
  private void nearlyFull() throws IOException {
    SparseStorage file = new SparseStorage();
    new Qcow2Layout(3, 512, 64, false, false, false, "", "").write(file, 4 << 20);
    try (Qcow2Image disk = Qcow2Image.open(file, null, false)) {
      disk.write(0, MemorySegment.ofArray(new byte[1_955_000]));
    }
    add("nearly-full", file.bytes());
  }

  private interface Change {
    void make(ForkedStorage file);
  }

  private void changed(Sample from, String name, Change change) throws IOException {
    ForkedStorage file = new ForkedStorage(from.content);
    change.make(file);
    add(name, file.bytes(0, Math.toIntExact(file.size())));
  }

  private static void extensions(ForkedStorage file) {
    long at = Header.LENGTH_WITH_COMPRESSION;
    at = extension(file, at, 0x12345678, new byte[13]);
    byte[] names = new byte[96];
    names[1] = 60;
    System.arraycopy("six\ty".getBytes(StandardCharsets.US_ASCII), 0, names, 2, 5);
    at = extension(file, at, Header.EXTENSION_FEATURE_NAMES, names);
    at = extension(file, at, Header.EXTENSION_BACKING_FORMAT, new byte[] {'r', 'a', 'w'});
    extension(file, at, 0, new byte[0]);
  }

  /** Puts an extension of the header there; returns where it ends. */
  static long extension(ForkedStorage file, long at, int type, byte[] content) {
    byte[] start = new byte[8];
    BigEndian.putInt(start, 0, type);
    BigEndian.putInt(start, 4, content.length);
    file.poke(at, start);
    file.poke(at + 8, content);
    return at + 8 + (content.length + 7 & -8);
  }

  private void own(String name, Qcow2Layout layout) throws IOException {
    SparseStorage file = new SparseStorage();
    boolean large = layout.clusterSize() > 1 << 14;
    int size = large ? 3 * layout.clusterSize() / 2 : SIZE;
    layout.write(file, size);
    Workload work = new Workload(name.hashCode(), new byte[size]);
    try (Qcow2Image disk = Qcow2Image.open(file, null, false)) {
      for (int i = 0; i < (large ? 3 : 25); i++) {
        work.change(disk);
        if (layout.refcountBits() > 1 && (large ? i == 1 : i == 10 || i == 20)) {
          disk.createSnapshot("at " + i);
        }
      }
      byte[] half = new byte[layout.clusterSize()];
      work.random().nextBytes(half);
      Arrays.fill(half, half.length / 4, half.length, (byte) 3);
      try (ClusterCompressor compressor = disk.compressor()) {
        byte[] packed = compressor.compress(half).orElse(half);
        for (int i = 0; i < (layout.refcountBits() > 1 ? 3 : 1); i++) {
          disk.writeCompressed((2L * i % (large ? 2 : 8)) * layout.clusterSize(), packed);
        }
      }
    }
    add(name, file.bytes());
  }

  // --- By qemu-img ---

  private void byQemuImg(Path folder) throws IOException {
    Files.write(folder.resolve(RAW_BASE), rawBase);
    String[][] kinds = {
      {"q-v3", "convert", "-O", "qcow2", "-o", "cluster_size=4k"},
      {"q-v2", "convert", "-O", "qcow2", "-o", "compat=0.10,cluster_size=1k"},
      {"q-zlib", "convert", "-c", "-O", "qcow2", "-o", "cluster_size=8k"},
      {"q-zstd", "convert", "-c", "-O", "qcow2", "-o", "cluster_size=8k,compression_type=zstd"},
      {"q-lazy", "convert", "-O", "qcow2", "-o", "cluster_size=512,lazy_refcounts=on"},
      {"q-extended", "convert", "-O", "qcow2", "-o", "cluster_size=16k,extended_l2=on"},
      {"q-narrow", "convert", "-O", "qcow2", "-o", "cluster_size=2k,refcount_bits=1"},
      {"q-wide", "convert", "-O", "qcow2", "-o", "cluster_size=2k,refcount_bits=64"},
      {"q-metadata", "convert", "-O", "qcow2", "-o", "preallocation=metadata,cluster_size=4k"},
    };
    for (String[] kind : kinds) {
      String[] arguments = Arrays.copyOfRange(kind, 1, kind.length);
      if (!qemuImg(folder, join(arguments, RAW_BASE, kind[0]))) {
        continue;
      }
      if (!kind[0].equals("q-narrow")) {
        qemuImg(folder, "snapshot", "-c", "at 10", kind[0]);
        qemuImg(folder, "snapshot", "-c", "at 20", kind[0]);
      }
      add(kind[0], Files.readAllBytes(folder.resolve(kind[0])));
    }
    if (qemuImg(folder, "create", "-q", "-f", "qcow2", "-b", RAW_BASE, "-F", "raw", "q-backed")) {
      add("q-backed", Files.readAllBytes(folder.resolve("q-backed")));
    }
    if (qemuImg(folder, "create", "-q", "-f", "qcow2", "-o", "data_file=q-data", "q-ext", "1M")) {
      add("q-external", Files.readAllBytes(folder.resolve("q-ext")));
    }
    if (qemuImg(folder, "create", "-q", "-f", "qcow2", "-o", "cluster_size=4k", "q-map", "1M")
        && qemuImg(folder, "bitmap", "--add", "q-map", "bits")) {
      add("q-bitmaps", Files.readAllBytes(folder.resolve("q-map")));
    }
  }

  private static String[] join(String[] first, String... more) {
    String[] all = Arrays.copyOf(first, first.length + more.length);
    System.arraycopy(more, 0, all, first.length, more.length);
    return all;
  }

  private static boolean qemuImg(Path folder, String... arguments) throws IOException {
    try {
      Process process =
          new ProcessBuilder(join(new String[] {"qemu-img"}, arguments))
              .directory(folder.toFile())
              .redirectErrorStream(true)
              .redirectOutput(ProcessBuilder.Redirect.DISCARD)
              .start();
      return process.waitFor() == 0;
    } catch (IOException e) {
      return false;
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new IOException(e);
    }
  }

  // --- Where what is ---

  private void add(String name, byte[] bytes) throws IOException {
    ForkedStorage.Content content = ForkedStorage.Content.of(bytes);
    List<List<Long>> places = new ArrayList<>();
    for (int i = 0; i < Part.values().length; i++) {
      places.add(new ArrayList<>());
    }
    new Places(content, places).find();
    samples.add(new Sample(name, content, bytes[Header.CLUSTER_BITS + 3], places));
  }

  /** Walks an image without asking the code that is to be tested more than where fields are. */
  private record Places(ForkedStorage file, List<List<Long>> places) {
    Places(ForkedStorage.Content content, List<List<Long>> places) {
      this(new ForkedStorage(content), places);
    }

    private void put(Part part, long at) {
      List<Long> list = places.get(part.ordinal());
      if (list.size() < MOST_PLACES) {
        list.add(at);
      }
    }

    private int getInt(long at) {
      return (int) (file.getLong(at) >>> 32);
    }

    void find() {
      int cluster = 1 << getInt(Header.CLUSTER_BITS);
      int version = getInt(Header.VERSION);
      int length = version == 2 ? Header.LENGTH_2 : getInt(Header.HEADER_LENGTH);
      for (int at = 4; at < length; at += 4) {
        put(Part.HEADER, at);
      }
      for (long at = length, type; (type = getInt(at)) != 0 && at < cluster; ) {
        put(Part.EXTENSIONS, at);
        at += 8 + (getInt(at + 4) + 7 & -8);
      }
      put(Part.EXTENSIONS, length);
      long reftable = file.getLong(Header.REFTABLE_OFFSET);
      for (long at = reftable; at < reftable + cluster; at += 8) {
        long block = file.getLong(at);
        if (block != 0) {
          put(Part.REFTABLE, at);
          nonZero(Part.REFCOUNTS, block, cluster);
        }
      }
      boolean extended = version > 2 && (file.getLong(Header.INCOMPATIBLE) & 16) != 0;
      tables(file.getLong(Header.L1_OFFSET), getInt(Header.L1_SIZE), Part.L1, cluster, extended);
      long snapshot = file.getLong(Header.SNAPSHOTS_OFFSET);
      for (int i = getInt(Header.SNAPSHOTS); i > 0; i--) {
        put(Part.SNAPSHOTS, snapshot);
        tables(file.getLong(snapshot), getInt(snapshot + 8), Part.SNAPSHOT_L1, cluster, extended);
        int names = getInt(snapshot + 12);
        long bytes = 40L + (names >>> 16) + (names & 0xffff) + getInt(snapshot + 36);
        snapshot += bytes + 7 & -8;
      }
    }

    private void nonZero(Part part, long from, int length) {
      for (long at = from; at < from + length; at += 8) {
        if (file.getLong(at) != 0) {
          put(part, at);
        }
      }
    }

    private void tables(long l1, int entries, Part part, int cluster, boolean extended) {
      for (long at = l1; at < l1 + 8L * entries; at += 8) {
        long l2 = file.getLong(at) & ClusterMap.OFFSET;
        if (l2 == 0) {
          continue;
        }
        put(part, at);
        nonZero(Part.L2, l2, cluster);
        for (long entry = l2; entry < l2 + cluster; entry += extended ? 16 : 8) {
          long value = file.getLong(entry);
          if ((value & ClusterMap.COMPRESSED) != 0) {
            int bits = 62 - (Integer.numberOfTrailingZeros(cluster) - 8);
            put(Part.COMPRESSED, value & (1L << bits) - 1);
          }
        }
      }
    }
  }

  /** All bytes of a sample. */
  static byte[] bytes(ForkedStorage file) throws IOException {
    byte[] bytes = new byte[Math.toIntExact(file.size())];
    file.read(0, MemorySegment.ofArray(bytes));
    return bytes;
  }
}
