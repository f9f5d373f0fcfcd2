package dev.bothy.guest;

import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.SortedMap;
import java.util.TreeMap;

/** Takes loadable modules, with what they depend on, out of a kernel package. */
final class KernelModules {
  private KernelModules() {}

  /**
   * The modules with these names and everything they need.
   *
   * @param names as modprobe takes them, '-' and '_' alike; names that the kernel does not have as
   *     modules are left out
   * @return contents, never compressed, by path below the folder of the kernel's modules:
   *     "kernel/drivers/…/virtio.ko"
   */
  static SortedMap<String, byte[]> take(Path kernelPackage, Collection<String> names)
      throws IOException {
    Map<String, String> paths = new HashMap<>();
    Map<String, List<String>> needs = new HashMap<>();
    DebianPackage.visit(
        kernelPackage,
        (name, size, contents) -> {
          if (isModule(name)) {
            String module = moduleName(name);
            paths.put(module, name);
            needs.put(module, dependencies(plain(name, contents.read())));
          }
        });
    Set<String> wanted = new LinkedHashSet<>();
    for (String name : names) {
      addWithNeeds(canonical(name), needs, new HashSet<>(), wanted);
    }
    Map<String, String> wantedPaths = new HashMap<>();
    for (String module : wanted) {
      wantedPaths.put(paths.get(module), module);
    }
    SortedMap<String, byte[]> taken = new TreeMap<>();
    DebianPackage.visit(
        kernelPackage,
        (name, size, contents) -> {
          if (wantedPaths.containsKey(name)) {
            taken.put(relativePath(name), plain(name, contents.read()));
          }
        });
    return taken;
  }

  /** Adds {@code module} after everything that it needs; a circle is cut anywhere. */
  private static void addWithNeeds(
      String module, Map<String, List<String>> needs, Set<String> visited, Set<String> order) {
    List<String> own = needs.get(module);
    if (own != null && visited.add(module)) {
      own.forEach(needed -> addWithNeeds(needed, needs, visited, order));
      order.add(module);
    }
  }

  /** The file modules.dep for these modules: modprobe loads a line's modules from right to left. */
  static String dependencyFile(SortedMap<String, byte[]> modules) {
    Map<String, String> paths = new LinkedHashMap<>();
    Map<String, List<String>> needs = new HashMap<>();
    modules.forEach(
        (path, contents) -> {
          paths.put(moduleName(path), path);
          needs.put(moduleName(path), dependencies(contents));
        });
    StringBuilder file = new StringBuilder();
    paths.forEach(
        (module, path) -> {
          LinkedHashSet<String> order = new LinkedHashSet<>();
          addWithNeeds(module, needs, new HashSet<>(), order);
          order.remove(module);
          file.append(path).append(':');
          order.reversed().forEach(needed -> file.append(' ').append(paths.get(needed)));
          file.append('\n');
        });
    return file.toString();
  }

  /** What the "depends=" field of a module's .modinfo section lists. */
  static List<String> dependencies(byte[] module) {
    byte[] field = "\0depends=".getBytes(StandardCharsets.US_ASCII);
    int at = indexOf(module, field, 0);
    if (at < 0) {
      return List.of();
    }
    int start = at + field.length;
    int end = start;
    while (end < module.length && module[end] != 0) {
      end++;
    }
    List<String> names = new ArrayList<>();
    for (String name :
        new String(module, start, end - start, StandardCharsets.US_ASCII).split(",")) {
      if (!name.isEmpty()) {
        names.add(canonical(name));
      }
    }
    return names;
  }

  /** Where {@code what} is first found at or after {@code from}, or -1. */
  static int indexOf(byte[] in, byte[] what, int from) {
    outer:
    for (int i = from; i <= in.length - what.length; i++) {
      for (int j = 0; j < what.length; j++) {
        if (in[i + j] != what[j]) {
          continue outer;
        }
      }
      return i;
    }
    return -1;
  }

  private static boolean isModule(String path) {
    return path.contains("lib/modules/")
        && (path.endsWith(".ko") || path.endsWith(".ko.xz") || path.endsWith(".ko.zst"));
  }

  private static String moduleName(String path) {
    String file = path.substring(path.lastIndexOf('/') + 1);
    return canonical(file.substring(0, file.indexOf(".ko")));
  }

  private static String canonical(String name) {
    return name.replace('-', '_');
  }

  /** "kernel/…/x.ko" of "usr/lib/modules/6.1/kernel/…/x.ko.xz". */
  private static String relativePath(String path) {
    String below = path.substring(path.indexOf("lib/modules/") + "lib/modules/".length());
    String relative = below.substring(below.indexOf('/') + 1);
    return relative.substring(0, relative.lastIndexOf(".ko") + 3);
  }

  private static byte[] plain(String name, byte[] contents) throws IOException {
    try (InputStream in = DebianPackage.decompress(name, new ByteArrayInputStream(contents))) {
      byte[] bytes = in.readNBytes(DebianPackage.MAX_FILE + 1);
      if (bytes.length > DebianPackage.MAX_FILE) {
        throw new IOException(name + " is too large");
      }
      return bytes;
    }
  }
}
