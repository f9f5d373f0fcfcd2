package dev.bothy.x86.decode;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;

/**
 * Lengths, mnemonics and operands of real programs, against binutils' objdump. Lines that cannot be
 * compared are those of {@link ObjdumpNames#notComparable}. Instructions that no model has
 * (AVX-512) are compared by length.
 */
final class DecoderAgainstObjdumpTest {
  private static final List<Path> FOLDERS =
      List.of(
          Path.of("/lib/x86_64-linux-gnu"),
          Path.of("/usr/lib/x86_64-linux-gnu"),
          Path.of("/lib64"),
          Path.of("/usr/lib64"),
          Path.of("/usr/lib"));

  @Test
  void agreesOverLibc() throws IOException {
    assertSame(library("libc.so.6"), 100_000);
  }

  @Test
  void agreesOverLibm() throws IOException {
    assertSame(library("libm.so.6"), 50_000);
  }

  @Test
  void agreesOverLibcrypto() throws IOException {
    Path three = library("libcrypto.so.3");
    assertSame(three == null ? library("libcrypto.so.1.1") : three, 300_000);
  }

  /** System property {@code bothy.vmlinux}: an uncompressed x86-64 kernel. */
  @Test
  void agreesOverTheKernel() throws IOException {
    String vmlinux = System.getProperty("bothy.vmlinux");
    assumeTrue(vmlinux != null, "no -Dbothy.vmlinux=FILE (an uncompressed kernel)");
    assertSame(Path.of(vmlinux), 1_000_000);
  }

  private static void assertSame(Path file, long atLeast) throws IOException {
    assumeTrue(Objdump.installed(), "objdump (package binutils) is not installed");
    assumeTrue(file != null && Files.exists(file), "no such library on this host");
    Objdump.Result result = Objdump.compare(file);
    assertEquals(Map.of(), result.differences());
    assertTrue(result.instructions() > atLeast, result.instructions() + " instructions only");
  }

  private static Path library(String name) {
    for (Path folder : FOLDERS) {
      Path file = folder.resolve(name);
      if (Files.exists(file)) {
        return file;
      }
    }
    return null;
  }
}
