package dev.bothy.bench;

import java.io.IOException;
import java.io.InputStream;
import java.nio.file.FileSystem;
import java.nio.file.FileSystems;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.StringJoiner;
import java.util.stream.Stream;
import org.jacoco.core.analysis.Analyzer;
import org.jacoco.core.analysis.CoverageBuilder;
import org.jacoco.core.analysis.ICounter;
import org.jacoco.core.analysis.ISourceFileCoverage;
import org.jacoco.core.data.ExecutionDataStore;
import org.jacoco.core.data.SessionInfoStore;
import org.jacoco.core.instr.Instrumenter;
import org.jacoco.core.runtime.IRuntime;
import org.jacoco.core.runtime.LoggerRuntime;
import org.jacoco.core.runtime.RuntimeData;

/** Which lines of some classes are reached: counted by JaCoCo, as they are loaded. */
final class FuzzCoverage {
  private final IRuntime runtime = new LoggerRuntime();
  private final RuntimeData data = new RuntimeData();
  private final Map<String, byte[]> measured = new HashMap<>();
  private final Loader loader = new Loader();

  /**
   * Measures classes of a jar on the class path.
   *
   * @param prefixes their names start so
   */
  FuzzCoverage(String jar, List<String> prefixes) throws Exception {
    runtime.startup(data);
    try (FileSystem files = FileSystems.newFileSystem(find(jar));
        Stream<Path> all = Files.walk(files.getPath("/dev"))) {
      for (Path file : all.filter(f -> f.toString().endsWith(".class")).toList()) {
        String name = file.toString().substring(1);
        if (prefixes.stream().anyMatch(name::startsWith)) {
          measured.put(name, Files.readAllBytes(file));
        }
      }
    }
  }

  private static Path find(String jar) throws IOException {
    for (String entry : System.getProperty("java.class.path").split(":")) {
      if (Path.of(entry).getFileName().toString().startsWith(jar)) {
        return Path.of(entry);
      }
    }
    throw new IOException("no " + jar + " on the class path");
  }

  /** Loads Bothy's classes anew, with counters in those that are measured. */
  ClassLoader loader() {
    return loader;
  }

  private final class Loader extends ClassLoader {
    Loader() {
      super(FuzzCoverage.class.getClassLoader());
    }

    @Override
    protected Class<?> loadClass(String name, boolean resolve) throws ClassNotFoundException {
      if (!name.startsWith("dev.bothy.") || name.startsWith("dev.bothy.bench.")) {
        return super.loadClass(name, resolve);
      }
      synchronized (getClassLoadingLock(name)) {
        Class<?> already = findLoadedClass(name);
        return already != null ? already : define(name);
      }
    }

    private Class<?> define(String name) throws ClassNotFoundException {
      String file = name.replace('.', '/') + ".class";
      try {
        byte[] plain = measured.get(file);
        if (plain != null) {
          byte[] counted = new Instrumenter(runtime).instrument(plain, name);
          return defineClass(name, counted, 0, counted.length);
        }
        try (InputStream in = getParent().getResourceAsStream(file)) {
          if (in == null) {
            throw new ClassNotFoundException(name);
          }
          byte[] bytes = in.readAllBytes();
          return defineClass(name, bytes, 0, bytes.length);
        }
      } catch (IOException e) {
        throw new ClassNotFoundException(name, e);
      }
    }
  }

  /** Prints what was reached, a line a source file; returns how many percent of all lines. */
  double print() throws IOException {
    ExecutionDataStore store = new ExecutionDataStore();
    data.collect(store, new SessionInfoStore(), false);
    CoverageBuilder builder = new CoverageBuilder();
    Analyzer analyzer = new Analyzer(store, builder);
    for (Map.Entry<String, byte[]> type : measured.entrySet()) {
      analyzer.analyzeClass(type.getValue(), type.getKey());
    }
    List<ISourceFileCoverage> sources = new ArrayList<>(builder.getSourceFiles());
    sources.sort((a, b) -> a.getName().compareTo(b.getName()));
    System.out.println("| source | lines reached | of | not reached |\n|---|---:|---:|---|");
    int reached = 0;
    int all = 0;
    for (ISourceFileCoverage source : sources) {
      ICounter lines = source.getLineCounter();
      reached += lines.getCoveredCount();
      all += lines.getTotalCount();
      System.out.printf(
          "| %s | %d | %d | %s |%n",
          source.getName(), lines.getCoveredCount(), lines.getTotalCount(), missed(source));
    }
    double percent = 100.0 * reached / all;
    System.out.printf("| all: %.1f %% | %d | %d | |%n", percent, reached, all);
    return percent;
  }

  private static String missed(ISourceFileCoverage source) {
    StringJoiner text = new StringJoiner(", ");
    for (int line = source.getFirstLine(); line <= source.getLastLine(); line++) {
      int first = line;
      while (source.getLine(line).getStatus() == ICounter.NOT_COVERED) {
        line++;
      }
      if (line > first) {
        text.add(line - 1 > first ? first + "–" + (line - 1) : "" + first);
      }
    }
    return text.toString();
  }
}
