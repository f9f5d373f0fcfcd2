package dev.bothy.bench;

import java.util.List;

/** What a vCPU's thread spends time on, as its stack tells. */
enum Share {
  /** Machine code made from guest code, the way in and out included. */
  GENERATED("generated code"),
  /** Instructions one by one. */
  INTERPRETER("interpreter"),
  /** Finding and decoding what the interpreter runs. */
  DECODING("decoding"),
  TRANSLATING("translating"),
  /** What generated code was left for: misses of the TLB and of the jump cache. */
  SERVING("misses"),
  /** Emulation of devices, by whichever instruction. */
  DEVICES("devices"),
  /** Interrupts and exceptions, the machine around the vCPU. */
  OTHER("other Java");

  private static final String LOOP = "dev.bothy.x86.interpret.Processor.runBlocks";
  private static final String EXECUTION = "dev.bothy.x86.interpret.TranslatedExecution.";
  private static final String DECODER = "dev.bothy.x86.interpret.CodeCache.";
  private static final List<String> BETWEEN =
      List.of(
          "dev.bothy.x86.interpret.Processor.attend",
          "dev.bothy.x86.interpret.Processor.takeFault");

  final String label;

  Share(String label) {
    this.label = label;
  }

  /**
   * Where a stack belongs.
   *
   * @param frames "package.Class.method", the innermost first
   */
  static Share of(List<String> frames) {
    int own = 0;
    while (own < frames.size() && !frames.get(own).startsWith("dev.bothy.")) {
      own++;
    }
    int loop = frames.indexOf(LOOP);
    if (loop < 0) {
      return OTHER;
    }
    if (frames.get(own).startsWith(EXECUTION)
        && (frames.get(0).endsWith(".enter") || frames.get(0).contains("LambdaForm"))) {
      return GENERATED;
    }
    List<String> inside = frames.subList(own, loop);
    if (inside.stream()
        .anyMatch(f -> f.startsWith("dev.bothy.x86.translate.Translator.translate"))) {
      return TRANSLATING;
    }
    if (inside.stream()
        .anyMatch(
            f ->
                f.startsWith("dev.bothy.device.")
                    || f.startsWith("dev.bothy.core.AddressSpace."))) {
      return DEVICES;
    }
    if (!inside.isEmpty() && inside.getLast().startsWith(EXECUTION)) {
      return SERVING;
    }
    if (inside.stream().anyMatch(frame -> frame.startsWith(DECODER))) {
      return DECODING;
    }
    return inside.isEmpty() || !BETWEEN.contains(inside.getLast()) ? INTERPRETER : OTHER;
  }
}
