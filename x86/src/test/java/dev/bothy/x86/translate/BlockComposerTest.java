package dev.bothy.x86.translate;

import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotSame;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.bothy.assemble.Assembler;
import dev.bothy.core.cpu.CpuModel;
import dev.bothy.host.ExecutableMemory;
import java.io.IOException;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

class BlockComposerTest {
  private static final long PAGE = 0x7000;
  private static final long SECOND = 0x9000;

  private BlockComposer composer;

  @BeforeEach
  void make() {
    assumeTrue(
        ExecutableMemory.refusal().isEmpty(), () -> ExecutableMemory.refusal().orElseThrow());
    Assembler assembler = new Assembler();
    assembler.start(0x10000);
    composer =
        new BlockComposer(
            CpuModel.V2,
            new Translator.Options(64, false, 4 << 20, true),
            new Stubs(assembler, CpuModel.V2, 0x10000),
            false,
            0x10000);
  }

  @Test
  void aStoreToAPageThatIsReadMakesTheBlockWorthless() {
    for (long page : new long[] {PAGE, SECOND}) {
      composer.begin(PAGE, SECOND);
      composer.overwritten(page);
      assertFalse(composer.end());
    }
  }

  @Test
  void soDoesForgettingEverything() {
    composer.begin(PAGE, -1);
    composer.overwritten();
    assertFalse(composer.end());
  }

  @Test
  void storesElsewhereOrBeforeDoNot() {
    composer.overwritten(PAGE);
    composer.begin(PAGE, -1);
    composer.overwritten(SECOND);
    assertTrue(composer.end());
    composer.overwritten(PAGE);
    composer.begin(PAGE, -1);
    assertTrue(composer.end());
  }

  @Test
  void aPageIsReadOnlyInBetween() {
    assertFalse(composer.reads(PAGE));
    composer.begin(PAGE, SECOND);
    assertTrue(composer.reads(PAGE) && composer.reads(SECOND));
    composer.end();
    assertFalse(composer.reads(PAGE) || composer.reads(SECOND));
  }

  /** {@code NOP; RET}, overwritten, is translated again, as the other code that it is now. */
  @Test
  void codeThatWasOverwrittenIsTranslatedAnew() throws IOException {
    try (TranslatedPage page = new TranslatedPage()) {
      TranslatedBlock before = page.translate(0x1000, Mode.LONG, "90 c3");
      page.overwrite(0x1000, "c3");
      assertFalse(before.valid());
      TranslatedBlock after = page.translate(0x1000, Mode.LONG, "c3");
      assertNotSame(before, after);
      assertTrue(after.valid());
      assertTrue(before.count() == 2 && after.count() == 1);
    }
  }
}
