package dev.bothy.x86.translate;

import dev.bothy.assemble.Assembler;
import dev.bothy.core.cpu.CpuModel;
import dev.bothy.core.cpu.CpuState;
import dev.bothy.host.HostMemory;
import java.io.IOException;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.StringJoiner;
import java.util.TreeSet;
import java.util.stream.Stream;
import java.util.zip.CRC32;
import java.util.zip.CRC32C;

/**
 * What a translation depends on besides the guest's code and mode: this build of Bothy, the host's
 * processor, the processor model, the options, and where the stubs lie.
 */
final class TranslationKey {
  /** Raised when the form of files changes. */
  private static final int FORMAT = 1;

  private final byte[] bytes;

  private TranslationKey(String text) {
    bytes = text.getBytes(StandardCharsets.UTF_8);
  }

  /**
   * The key of a translator; empty if the build of Bothy cannot be told.
   *
   * @param stubs the code that blocks refer to, by its place
   */
  static Optional<TranslationKey> of(
      CpuModel model, Translator.Options options, boolean counts, List<Long> stubs) {
    return Build.IDENTITY.map(build -> of(build, model, options, counts, stubs));
  }

  /** The same for a build of that name. */
  static TranslationKey of(
      String build, CpuModel model, Translator.Options options, boolean counts, List<Long> stubs) {
    StringJoiner text = new StringJoiner("\n");
    text.add("translations " + FORMAT);
    text.add("build " + build);
    text.add("host " + HostFeatures.description());
    text.add("model " + model.name() + " " + new TreeSet<>(model.features()));
    text.add("longest block " + options.longestBlock());
    text.add("counting " + options.counting() + " " + counts);
    text.add("approximating " + options.approximating());
    text.add("stubs " + stubs);
    return new TranslationKey(text.toString());
  }

  byte[] bytes() {
    return bytes;
  }

  /** The file that translations with this key are kept in. */
  String fileName() {
    CRC32 first = new CRC32();
    first.update(bytes);
    CRC32C second = new CRC32C();
    second.update(bytes);
    return "%08x%08x".formatted(first.getValue(), second.getValue()) + StoreFile.SUFFIX;
  }

  /** Looked at once, when it is needed. */
  private static final class Build {
    /** The classes that have a part in what a translation is. */
    private static final List<Class<?>> ROOMS =
        List.of(Translator.class, Assembler.class, CpuState.class, HostMemory.class);

    static final Optional<String> IDENTITY = identity();

    private static Optional<String> identity() {
      CRC32 first = new CRC32();
      CRC32C second = new CRC32C();
      try {
        for (Class<?> room : ROOMS) {
          var source = room.getProtectionDomain().getCodeSource();
          if (source == null || source.getLocation() == null) {
            return Optional.empty();
          }
          URI location = URI.create(source.getLocation().toString());
          if (!"file".equals(location.getScheme())) {
            return Optional.empty();
          }
          for (Path file : files(Path.of(location))) {
            byte[] content = Files.readAllBytes(file);
            first.update(content);
            second.update(content);
          }
        }
      } catch (IOException | RuntimeException e) {
        return Optional.empty();
      }
      return Optional.of("%08x%08x".formatted(first.getValue(), second.getValue()));
    }

    /** The jar, or all files of a folder. */
    private static List<Path> files(Path location) throws IOException {
      if (!Files.isDirectory(location)) {
        return List.of(location);
      }
      try (Stream<Path> all = Files.walk(location)) {
        return all.filter(Files::isRegularFile).sorted().toList();
      }
    }
  }
}
