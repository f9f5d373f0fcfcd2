package dev.bothy.kvm;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.lang.reflect.Field;
import java.lang.reflect.Modifier;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.TreeMap;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The constants of {@link KvmHeader} against what a C compiler makes of the host's header. */
class KvmHeaderTest {
  @TempDir Path folder;

  /** C expressions and what we think they are. */
  private static Map<String, Long> expected() throws IllegalAccessException {
    Map<String, Long> values = new TreeMap<>();
    for (Field field : KvmHeader.class.getDeclaredFields()) {
      if (field.getName().startsWith("KVM_")) {
        values.put(field.getName(), number(field));
      }
    }
    for (Class<?> struct : KvmHeader.class.getDeclaredClasses()) {
      String name = "struct " + snake(struct.getSimpleName());
      for (Field field : struct.getDeclaredFields()) {
        String member = field.getName().toLowerCase(Locale.ROOT);
        values.put(
            member.equals("size")
                ? "sizeof(" + name + ")"
                : "offsetof(" + name + ", " + member + ")",
            number(field));
      }
      addInner(values, "offsetof(" + name + ", ", struct);
    }
    return values;
  }

  /** Members of structures in a structure, and in those. */
  private static void addInner(Map<String, Long> values, String before, Class<?> struct)
      throws IllegalAccessException {
    for (Class<?> inner : struct.getDeclaredClasses()) {
      String path = before + snake(inner.getSimpleName()) + ".";
      for (Field field : inner.getDeclaredFields()) {
        values.put(path + field.getName().toLowerCase(Locale.ROOT) + ")", number(field));
      }
      addInner(values, path, inner);
    }
  }

  private static long number(Field field) throws IllegalAccessException {
    assertTrue(Modifier.isStatic(field.getModifiers()));
    field.setAccessible(true);
    return ((Number) field.get(null)).longValue();
  }

  private static String snake(String camel) {
    return camel.replaceAll("(?<!^)(?=[A-Z])", "_").toLowerCase(Locale.ROOT);
  }

  @Test
  void constantsAreWhatACompilerSees() throws Exception {
    assumeTrue(compile("#include <linux/kvm.h>\nint main() {}\n"), "no gcc with linux/kvm.h here");
    Map<String, Long> expected = expected();
    assertTrue(expected.size() > 200, expected.size() + " constants");
    StringBuilder program = new StringBuilder("#include <stddef.h>\n#include <stdio.h>\n");
    program.append("#include <linux/kvm.h>\nint main() {\n");
    List<String> known = new ArrayList<>();
    for (String expression : expected.keySet()) {
      boolean constant = expression.startsWith("KVM_");
      // An older header may lack what a newer kernel has.
      if (constant && !expression.startsWith("KVM_GET") && !expression.startsWith("KVM_SET")) {
        program.append("#ifdef ").append(expression).append('\n');
      }
      program.append(
          String.format("printf(\"%s=%%lld\\n\", (long long) (%s));%n", expression, expression));
      if (constant && !expression.startsWith("KVM_GET") && !expression.startsWith("KVM_SET")) {
        program.append("#endif\n");
      }
      known.add(expression);
    }
    assertTrue(compile(program + "}\n"), "what we name, the header has");
    Process run = new ProcessBuilder(folder.resolve("test").toString()).start();
    Map<String, Long> seen = new TreeMap<>();
    for (String line : new String(run.getInputStream().readAllBytes()).lines().toList()) {
      int equals = line.lastIndexOf('=');
      seen.put(line.substring(0, equals), Long.parseLong(line.substring(equals + 1)));
    }
    assertEquals(0, run.waitFor());
    assertTrue(seen.size() > known.size() - 8, "only " + seen.size() + " are in the header");
    expected.keySet().retainAll(seen.keySet());
    assertEquals(seen, expected);
  }

  private boolean compile(String program) throws IOException, InterruptedException {
    Path source = Files.writeString(folder.resolve("test.c"), program);
    try {
      Process gcc =
          new ProcessBuilder("gcc", "-o", folder.resolve("test").toString(), source.toString())
              .redirectErrorStream(true)
              .redirectOutput(folder.resolve("gcc.log").toFile())
              .start();
      return gcc.waitFor() == 0;
    } catch (IOException e) {
      return false;
    }
  }
}
