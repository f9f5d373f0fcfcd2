package dev.bothy.bench;

import java.util.ArrayList;
import java.util.List;

/**
 * Something that {@code bench/io} has its guest do: its name is what the guest's program is asked
 * for.
 *
 * @param name {@code DISK:PATTERN:SIZE:DEPTH} for fio, {@code net:up|down:STREAMS} for iperf3
 * @param what for people
 * @param unit bytes of one operation; 0 for a stream, which has none
 */
record IoJob(String name, String what, int unit) {
  static final List<IoJob> ALL = all();

  /** What the guest calls the disks, in the order in which they are given to the machine. */
  static final List<String> FORMATS = List.of("raw", "qcow2");

  private static List<IoJob> all() {
    List<IoJob> jobs = new ArrayList<>();
    for (String format : List.of("raw", "qcow2")) {
      for (String pattern : List.of("randread", "randwrite")) {
        for (int depth : new int[] {1, 16}) {
          jobs.add(disk(format, pattern, "4k", depth));
        }
      }
      jobs.add(disk(format, "read", "1m", 4));
      jobs.add(disk(format, "write", "1m", 4));
    }
    for (String way : List.of("up", "down")) {
      for (int streams : new int[] {1, 4}) {
        jobs.add(
            new IoJob(
                "net:" + way + ":" + streams,
                (way.equals("up") ? "guest to host, " : "host to guest, ")
                    + (streams == 1 ? "one stream" : streams + " streams"),
                0));
      }
    }
    return List.copyOf(jobs);
  }

  private static IoJob disk(String format, String pattern, String size, int depth) {
    boolean random = pattern.startsWith("rand");
    String device = format.equals("raw") ? "vda" : "vdb";
    return new IoJob(
        String.join(":", device, pattern, size, Integer.toString(depth)),
        format
            + (random ? ", 4 KiB random " : ", 1 MiB sequential ")
            + (pattern.endsWith("read") ? "reads" : "writes")
            + ", depth "
            + depth,
        random ? 4096 : 1 << 20);
  }

  boolean network() {
    return unit == 0;
  }

  /** What is counted: operations, or bits in units of 10^9. */
  double amount(long bytes) {
    return network() ? bytes * 8e-9 : (double) bytes / unit;
  }
}
