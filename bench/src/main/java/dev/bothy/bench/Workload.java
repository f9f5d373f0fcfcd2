package dev.bothy.bench;

import java.util.List;

/**
 * A program of {@code bench/debian/guest/workloads}.
 *
 * @param name its file
 * @param what it does, for people
 */
record Workload(String name, Kind kind, String what) {
  /** What a workload spends its time on. */
  enum Kind {
    /** User code. */
    COMPUTE,
    /** Processes, page tables, system calls, new code. */
    SYSTEM,
    /** Two threads or processes with the same work on any number of processors. */
    PARALLEL
  }

  static final List<Workload> ALL =
      List.of(
          system("shell-loop", "bash: arithmetic, strings, functions"),
          system("fork-exec", "fork and exec of a small program"),
          compute("python-loop", "Python: integers, lists, dictionaries"),
          compute("python-nbody", "Python: n-body"),
          compute("sqlite", "SQLite: insert, index, query"),
          compute("sha256sum", "sha256sum"),
          compute("gzip", "gzip and back"),
          compute("openssl-aes-ctr", "OpenSSL: AES-128-CTR and back"),
          compute("sysbench-prime", "sysbench: prime numbers"),
          compute("sysbench-memory", "sysbench: memory"),
          compute("stress-matrixprod", "stress-ng: matrix product"),
          compute("stress-fft", "stress-ng: FFT"),
          system("stress-pipe", "stress-ng: pipe"),
          system("stress-switch", "stress-ng: context switch"),
          system("gcc", "gcc -O2 of a small program"),
          new Workload("parallel-threads", Kind.PARALLEL, "sysbench: primes in two threads"),
          new Workload("parallel-processes", Kind.PARALLEL, "Python in two processes"));

  private static Workload compute(String name, String what) {
    return new Workload(name, Kind.COMPUTE, what);
  }

  private static Workload system(String name, String what) {
    return new Workload(name, Kind.SYSTEM, what);
  }
}
