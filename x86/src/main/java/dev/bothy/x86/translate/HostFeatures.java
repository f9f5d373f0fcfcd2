package dev.bothy.x86.translate;

import dev.bothy.core.cpu.CpuFeature;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.EnumSet;
import java.util.HashSet;
import java.util.Set;
import java.util.TreeSet;

/**
 * What the host's processor has of the instructions that generated code takes over from the
 * guest's. A model may offer more: the interpreter has them all.
 */
final class HostFeatures {
  private static final Set<CpuFeature> LACKING;

  /** AMD's behaviour where vendors differ; Hygon's processors are of the same design. */
  static final boolean AMD;

  static {
    String text;
    try {
      text = Files.readString(Path.of("/proc/cpuinfo"));
    } catch (IOException e) {
      // As good as a processor with nothing but the baseline.
      text = "";
    }
    LACKING = lacking(text);
    AMD = text.contains("AuthenticAMD") || text.contains("HygonGenuine");
  }

  private HostFeatures() {}

  /** True if the host can run an instruction that needs {@code feature}, which may be null. */
  static boolean has(CpuFeature feature) {
    return feature == null || !LACKING.contains(feature);
  }

  /** All that code depends on, in words. */
  static String description() {
    return (AMD ? "AMD " : "") + "without " + new TreeSet<>(LACKING);
  }

  /** The features that gate instructions of user code and are not in {@code text}. */
  static Set<CpuFeature> lacking(String text) {
    Set<String> flags = Set.of();
    for (String line : text.lines().toList()) {
      int colon = line.indexOf(':');
      if (colon > 0 && line.substring(0, colon).strip().equals("flags")) {
        flags = new HashSet<>(Arrays.asList(line.substring(colon + 1).strip().split(" +")));
        break;
      }
    }
    EnumSet<CpuFeature> lacking = EnumSet.noneOf(CpuFeature.class);
    for (CpuFeature feature : CpuFeature.values()) {
      String flag = flag(feature);
      if (flag != null && !flags.contains(flag)) {
        lacking.add(feature);
      }
    }
    return lacking;
  }

  /**
   * Linux's name of a feature; null if every x86-64 processor has it or no copied code needs it.
   */
  private static String flag(CpuFeature feature) {
    return switch (feature) {
      case SSE3 -> "pni";
      case PCLMULQDQ -> "pclmulqdq";
      case SSSE3 -> "ssse3";
      case FMA -> "fma";
      case CX16 -> "cx16";
      case SSE4_1 -> "sse4_1";
      case SSE4_2 -> "sse4_2";
      case MOVBE -> "movbe";
      case POPCNT -> "popcnt";
      case AES -> "aes";
      case AVX -> "avx";
      case F16C -> "f16c";
      case RDRAND -> "rdrand";
      case BMI1 -> "bmi1";
      case AVX2 -> "avx2";
      case BMI2 -> "bmi2";
      case RDSEED -> "rdseed";
      case ADX -> "adx";
      case CLFLUSHOPT -> "clflushopt";
      case CLWB -> "clwb";
      case SHA -> "sha_ni";
      case RDPID -> "rdpid";
      case RDTSCP -> "rdtscp";
      case LZCNT -> "abm";
      case SSE4A -> "sse4a";
      case MISALIGNSSE -> "misalignsse";
      default -> null;
    };
  }
}
