package dev.bothy.cli;

import dev.bothy.image.qcow2.Qcow2Layout;
import java.util.stream.Stream;

/** Options of commands that make qcow2 images. */
final class Qcow2Options {
  private final Option clusterSize;
  private final Option version;
  private final Option refcountBits;
  private final Option lazyRefcounts;
  private final Option extendedL2;
  private final Option compression;

  Qcow2Options(Syntax syntax) {
    clusterSize =
        syntax.option("--cluster-size", "SIZE", "Unit of allocation, 512 to 2M (default: 64K).");
    version = syntax.option("--qcow2-version", "N", "2 or 3 (default: 3).");
    refcountBits =
        syntax.option("--refcount-bits", "N", "Width of reference counts, 1 to 64 (default: 16).");
    lazyRefcounts =
        syntax.flag(
            "--lazy-refcounts",
            "Write reference counts when the image is closed; after a crash they are counted"
                + " anew.");
    extendedL2 =
        syntax.flag("--extended-l2", "Allocate in 32 parts of a cluster; with large clusters.");
    compression =
        syntax.option(
            "--compression", "TYPE", "zlib or zstd, for compressed clusters (default: zlib).");
  }

  boolean given() {
    return Stream.of(clusterSize, version, refcountBits, lazyRefcounts, extendedL2, compression)
        .anyMatch(Option::given);
  }

  Qcow2Layout layout() {
    boolean zstd =
        switch (compression.value().orElse("zlib")) {
          case "zlib" -> false;
          case "zstd" -> true;
          default -> throw new WrongUsage(compression.name() + ": give zlib or zstd");
        };
    Qcow2Layout preset = Qcow2Layout.DEFAULT;
    return new Qcow2Layout(
        DiskAction.number(version, preset.version()),
        DiskAction.number(clusterSize, preset.clusterSize()),
        DiskAction.number(refcountBits, preset.refcountBits()),
        lazyRefcounts.given(),
        extendedL2.given(),
        zstd,
        "",
        "");
  }
}
