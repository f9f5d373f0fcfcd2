package dev.bothy.x86.translate;

import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.bothy.core.cpu.CpuModel;
import dev.bothy.host.ExecutableMemory;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.HexFormat;
import java.util.List;

/** A translator with a single page of guest code, whose blocks never run. */
final class TranslatedPage implements AutoCloseable {
  static final long PHYSICAL = 0x20_0000;

  private static final Translator.CodePages PAGES =
      new Translator.CodePages() {
        @Override
        public boolean markTranslated(long physical) {
          return true;
        }

        @Override
        public void unmarkTranslated(long physical) {}
      };

  private final Arena arena = Arena.ofConfined();
  private final MemorySegment page = arena.allocate(4096, 4096);
  private final Translator translator;

  /** Skips the test where no code can be generated. */
  TranslatedPage(BlockListener... listeners) throws IOException {
    assumeTrue(
        ExecutableMemory.refusal().isEmpty(), () -> ExecutableMemory.refusal().orElseThrow());
    translator =
        new Translator(
            CpuModel.MAX,
            new Translator.Options(64, false, 4 << 20, true),
            false,
            List.of(listeners),
            java.util.Optional.empty());
  }

  /** Translates {@code code} as if it lay at {@code linear}. */
  TranslatedBlock translate(long linear, int mode, String code) {
    byte[] bytes = HexFormat.of().parseHex(code.replace(" ", ""));
    int offset = (int) linear & 0xfff;
    MemorySegment.copy(bytes, 0, page, ValueLayout.JAVA_BYTE, offset, bytes.length);
    return translator.translate(PHYSICAL + offset, linear, page.address(), -1, 0, mode, PAGES);
  }

  /** Writes {@code code} to {@code linear}, as a guest would. */
  void overwrite(long linear, String code) {
    byte[] bytes = HexFormat.of().parseHex(code.replace(" ", ""));
    int offset = (int) linear & 0xfff;
    MemorySegment.copy(bytes, 0, page, ValueLayout.JAVA_BYTE, offset, bytes.length);
    translator.drop(PHYSICAL + offset, bytes.length, PAGES);
  }

  void clear() {
    translator.clear(PAGES);
  }

  @Override
  public void close() {
    translator.close();
    arena.close();
  }
}
