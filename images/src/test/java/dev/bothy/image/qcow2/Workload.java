package dev.bothy.image.qcow2;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;

import dev.bothy.image.BlockDevice;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;

/** Random changes of a disk, and a model of what it must contain. */
final class Workload {
  private final Random random;
  private final Map<String, byte[]> snapshots = new HashMap<>();
  private final Map<String, byte[]> everMade = new HashMap<>();
  byte[] model;
  private int named;

  Workload(long seed, byte[] model) {
    this.random = new Random(seed);
    this.model = model;
  }

  Random random() {
    return random;
  }

  /** A write, discard or write-zeroes; the disk's content is known afterwards. */
  void change(BlockDevice disk) throws IOException {
    int most = random.nextInt(8) == 0 ? model.length / 3 : 3 * disk.optimalSize();
    int length = 1 + random.nextInt(Math.min(most, model.length));
    int offset = random.nextInt(model.length - length + 1);
    if (random.nextBoolean()) {
      offset &= -512;
      length = Math.min(Math.max(512, length & -512), model.length - offset);
    }
    switch (random.nextInt(10)) {
      case 0 -> {
        disk.discard(offset, length);
        byte[] now = new byte[length];
        disk.read(offset, MemorySegment.ofArray(now));
        for (int i = 0; i < length; i++) {
          if (now[i] != 0) {
            org.junit.jupiter.api.Assertions.assertEquals(model[offset + i], now[i]);
          }
        }
        System.arraycopy(now, 0, model, offset, length);
      }
      case 1, 2 -> {
        disk.writeZeroes(offset, length, random.nextBoolean());
        Arrays.fill(model, offset, offset + length, (byte) 0);
      }
      default -> {
        byte[] data = new byte[length];
        random.nextBytes(data);
        int cut = random.nextInt(length + 1);
        MemorySegment whole = MemorySegment.ofArray(data);
        disk.write(offset, List.of(whole.asSlice(0, cut), whole.asSlice(cut)));
        System.arraycopy(data, 0, model, offset, length);
      }
    }
  }

  /** What the disk contained when the snapshot of that name was made. */
  byte[] contentOf(String snapshot) {
    return everMade.get(snapshot);
  }

  /**
   * A change of the snapshots, or what {@link #change} does.
   *
   * @return true if all is durable now
   */
  boolean changeWithSnapshots(Qcow2Image disk) throws IOException {
    int what = random.nextInt(40);
    if (what == 0 && snapshots.size() < 3) {
      String name = "snapshot-" + named++;
      everMade.put(name, model.clone());
      disk.createSnapshot(name);
      snapshots.put(name, model.clone());
    } else if (what == 1 && !snapshots.isEmpty()) {
      String name = any();
      disk.deleteSnapshot(name);
      snapshots.remove(name);
    } else if (what == 2 && !snapshots.isEmpty()) {
      String name = any();
      disk.applySnapshot(name);
      model = snapshots.get(name).clone();
    } else {
      change(disk);
      return false;
    }
    return true;
  }

  private String any() {
    List<String> names = snapshots.keySet().stream().sorted().toList();
    return names.get(random.nextInt(names.size()));
  }

  void compare(BlockDevice disk) throws IOException {
    byte[] now = new byte[model.length];
    disk.read(0, MemorySegment.ofArray(now));
    assertArrayEquals(model, now);
  }
}
