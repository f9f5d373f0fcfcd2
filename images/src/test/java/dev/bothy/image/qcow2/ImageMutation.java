package dev.bothy.image.qcow2;

import dev.bothy.image.qcow2.ImageCorpus.Part;
import dev.bothy.image.qcow2.ImageCorpus.Sample;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.random.RandomGenerator;

/** Changes an image where its format says something, and anywhere; the magic stays. */
final class ImageMutation {
  private static final long[] INTERESTING = {
    0,
    1,
    2,
    3,
    7,
    8,
    9,
    16,
    20,
    21,
    22,
    40,
    72,
    104,
    112,
    0x1ff,
    0x200,
    0x201,
    0x400,
    0x1000,
    0xffff,
    0x10000,
    1L << 21,
    1L << 31,
    1L << 32,
    1L << 40,
    1L << 55,
    1L << 56,
    1L << 61,
    1L << 62,
    1L << 63,
    -1,
    Long.MAX_VALUE,
    0x7fff_ffff,
    0x00ff_ffff_ffff_fe00L,
    1L << 63 | 0x400,
    1L << 62 | 0x400
  };

  /** Offsets of the fields of a snapshot. */
  private static final int[] SNAPSHOT_FIELDS = {
    0, 4, 8, 12, 14, 16, 20, 24, 32, 36, 40, 44, 48, 52
  };

  private static final int[] EXTENSIONS = {
    0,
    Header.EXTENSION_BACKING_FORMAT,
    Header.EXTENSION_FEATURE_NAMES,
    0x23852875,
    0x0537be77,
    0x44415441,
    0x1234
  };

  /** None of them leads to what is not this folder's. */
  private static final List<String> NAMES =
      List.of(
          ImageCorpus.RAW_BASE,
          ImageCorpus.QCOW2_BASE,
          "file:" + ImageCorpus.RAW_BASE,
          "./image",
          "image",
          "missing",
          ".",
          "json:{}",
          "nbd://127.0.0.1:1",
          "a\u0000b",
          "a\n\u00ff");

  private static final List<String> FORMATS = List.of("raw", "qcow2", "vmdk", "", "\u0001");

  private final Sample sample;
  private final ForkedStorage file;
  private final RandomGenerator random;

  ImageMutation(Sample sample, ForkedStorage file, RandomGenerator random) {
    this.sample = sample;
    this.file = file;
    this.random = random;
  }

  static String anyName(RandomGenerator random) {
    return NAMES.get(random.nextInt(NAMES.size()));
  }

  /** One to five changes, and now and then an end that comes early or late. */
  void apply() {
    for (int n = 1 + Math.min(random.nextInt(5), random.nextInt(5)); n > 0; n--) {
      change();
    }
    if (random.nextInt(24) == 0) {
      file.resize(
          random.nextBoolean()
              ? 8 + random.nextLong(file.size())
              : file.size() + random.nextInt(1 << random.nextInt(8, 22)));
    }
    file.poke(0, (byte) 'Q', (byte) 'F', (byte) 'I', (byte) 0xfb);
  }

  private void change() {
    int what = random.nextInt(20);
    switch (what) {
      case 0, 1, 2 -> number(any(Part.HEADER), random.nextBoolean() ? 4 : 8);
      case 3 -> features();
      case 4 -> extension();
      case 5 -> backing();
      case 6, 7 -> entry(any(Part.L1), Part.L1);
      case 8, 9, 10, 11 -> entry(any(Part.L2), Part.L2);
      case 12 -> entry(any(Part.REFTABLE), Part.REFTABLE);
      case 13, 14 -> counts(any(Part.REFCOUNTS));
      case 15 -> snapshot();
      case 16 -> entry(any(Part.SNAPSHOT_L1), Part.SNAPSHOT_L1);
      case 17 -> packed();
      default -> bytes(4 + random.nextLong(file.size() - 4), 1);
    }
  }

  private long any(Part part) {
    List<Long> places = sample.places(part);
    return places.isEmpty() ? 0 : places.get(random.nextInt(places.size()));
  }

  private void number(long at, int size) {
    long before = file.getLong(at) >>> (size == 4 ? 32 : 0);
    long value =
        switch (random.nextInt(6)) {
          case 0 -> before + random.nextInt(-3, 4);
          case 1 -> before ^ 1L << random.nextInt(8 * size);
          case 2 -> random.nextBoolean() ? before << 1 : before >>> 1;
          case 3 -> cluster();
          default -> INTERESTING[random.nextInt(INTERESTING.length)];
        };
    byte[] bytes = new byte[8];
    BigEndian.putLong(bytes, 0, value);
    file.poke(at, java.util.Arrays.copyOfRange(bytes, 8 - size, 8));
  }

  private long cluster() {
    long clusters = Math.max(1, file.size() >>> sample.clusterBits());
    return random.nextLong(clusters + 2) << sample.clusterBits();
  }

  private void features() {
    int field = random.nextInt(3) * 8 + Header.INCOMPATIBLE;
    long bit = 1L << (random.nextInt(4) == 0 ? random.nextInt(64) : random.nextInt(5));
    file.pokeLong(field, file.getLong(field) ^ bit);
    if (random.nextInt(3) == 0) {
      file.poke(Header.COMPRESSION, (byte) random.nextInt(3));
    }
  }

  private void extension() {
    byte[] content = new byte[random.nextInt(1 << random.nextInt(1, 9))];
    for (int i = 0; i < content.length; i++) {
      content[i] = (byte) (random.nextInt(3) == 0 ? random.nextInt() : random.nextInt(64));
    }
    if (random.nextBoolean()) {
      byte[] text = FORMATS.get(random.nextInt(FORMATS.size())).getBytes(StandardCharsets.UTF_8);
      content = random.nextBoolean() ? text : content;
    }
    long at = any(Part.EXTENSIONS);
    int type = EXTENSIONS[random.nextInt(EXTENSIONS.length)];
    long end = ImageCorpus.extension(file, at, type, content);
    if (random.nextInt(3) > 0) {
      file.pokeLong(end, 0);
    }
    if (random.nextInt(6) == 0) {
      number(at + 4, 4);
    }
  }

  private void backing() {
    byte[] name = anyName(random).getBytes(StandardCharsets.UTF_8);
    long at = 400 + random.nextInt(150);
    file.poke(at, name);
    file.pokeLong(Header.BACKING_OFFSET, at);
    number(Header.BACKING_LENGTH, 4);
    if (random.nextInt(8) > 0) {
      byte[] length = new byte[4];
      BigEndian.putInt(length, 0, name.length);
      file.poke(Header.BACKING_LENGTH, length);
    }
  }

  private void entry(long at, Part part) {
    if (at == 0) {
      return;
    }
    // Behind the last one in use, too.
    long place = random.nextInt(8) == 0 ? at + 8L * random.nextInt(1, 9) : at;
    long before = file.getLong(place);
    long value =
        switch (random.nextInt(9)) {
          case 0 -> before ^ 1L << random.nextInt(64);
          case 1 -> INTERESTING[random.nextInt(INTERESTING.length)];
          case 2 -> 0;
          case 3 -> cluster() | (long) random.nextInt(4) << 62;
          case 4 -> file.getLong(any(part));
          case 5 -> before ^ ClusterMap.COPIED;
          case 6 -> before ^ (random.nextBoolean() ? ClusterMap.ZERO : ClusterMap.COMPRESSED);
          case 7 -> before + ((long) random.nextInt(-2, 3) << sample.clusterBits());
          default -> random.nextLong();
        };
    file.pokeLong(place, value);
  }

  private void counts(long at) {
    if (at != 0) {
      bytes(at + random.nextInt(8), 1 + random.nextInt(3));
    }
  }

  private void snapshot() {
    long at = any(Part.SNAPSHOTS);
    if (at != 0) {
      int field = SNAPSHOT_FIELDS[random.nextInt(SNAPSHOT_FIELDS.length)];
      number(at + field, field == 12 || field == 14 ? 2 : random.nextBoolean() ? 4 : 8);
    }
  }

  private void packed() {
    long at = any(Part.COMPRESSED);
    if (at != 0) {
      bytes(at + (random.nextBoolean() ? random.nextInt(16) : random.nextInt(600)), 1);
    }
  }

  private void bytes(long at, int count) {
    byte[] bytes = file.bytes(at, count);
    for (int i = 0; i < count; i++) {
      bytes[i] =
          switch (random.nextInt(4)) {
            case 0 -> (byte) (bytes[i] ^ 1 << random.nextInt(8));
            case 1 -> (byte) (bytes[i] + random.nextInt(-2, 3));
            case 2 -> 0;
            default -> (byte) random.nextInt();
          };
    }
    file.poke(at, bytes);
  }
}
