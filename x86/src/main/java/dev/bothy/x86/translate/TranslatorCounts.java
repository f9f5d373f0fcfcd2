package dev.bothy.x86.translate;

import java.util.LinkedHashMap;
import java.util.Map;

/** What a translator has done so far. */
final class TranslatorCounts {
  long translated;
  long loadedBlocks;
  long guestInstructions;
  long guestBytes;
  long hostBytes;
  long nanos;

  /** As many blocks are made while the JVM still interprets most of the translator. */
  private static final int COLD = 1_000;

  /** After as many it is compiled. */
  private static final int WARM = 10_000;

  long coldNanos;
  long coldInstructions;
  long warmNanos;
  long warmInstructions;
  long dropped;
  long cleared;
  long chained;

  void measure(TranslatedBlock block, long taken) {
    nanos += taken;
    int instructions = block == null ? 0 : block.count();
    if (translated <= COLD) {
      coldNanos += taken;
      coldInstructions += instructions;
    } else if (translated > WARM) {
      warmNanos += taken;
      warmInstructions += instructions;
    }
  }

  /** Named counters. */
  Map<String, Long> byName() {
    Map<String, Long> counters = new LinkedHashMap<>();
    counters.put("blocksTranslated", translated);
    counters.put("blocksFromEarlierMachines", loadedBlocks);
    counters.put("instructionsTranslated", guestInstructions);
    counters.put("guestBytesTranslated", guestBytes);
    counters.put("hostBytesWritten", hostBytes);
    counters.put("translationNanos", nanos);
    counters.put("coldTranslationNanos", coldNanos);
    counters.put("coldInstructionsTranslated", coldInstructions);
    counters.put("warmTranslationNanos", warmNanos);
    counters.put("warmInstructionsTranslated", warmInstructions);
    counters.put("translationsDropped", dropped);
    counters.put("codeCacheClears", cleared);
    counters.put("chains", chained);
    return counters;
  }
}
