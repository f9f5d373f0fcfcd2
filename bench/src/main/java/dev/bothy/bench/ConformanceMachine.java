package dev.bothy.bench;

import dev.bothy.core.cpu.CpuModel;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/**
 * What a conformance test asks of its machine in QEMU's words, in Bothy's.
 *
 * @param cpu for {@code --cpu}
 * @param memory for {@code --memory}
 * @param lacking why there is no such machine; empty if there is
 */
record ConformanceMachine(String cpu, String memory, String lacking) {
  private static final String DEFAULT_CPU = "v2";
  private static final String DEFAULT_MEMORY = "128M";

  private static final String MAX = "max,+pku,+pks,+rtm,+shstk,+ibt";

  /** QEMU's processors, and which of ours is like them. */
  private static final Map<String, String> MODELS =
      Map.of(
          "max",
          MAX,
          "host",
          MAX,
          "qemu64",
          "v1,+sse3,+cx16,+lahf_lm",
          "Opteron_G1",
          "v1,+sse3",
          "IvyBridge",
          "v2",
          "Skylake-Server",
          MAX);

  /**
   * Words behind QEMU's {@code -cpu} that ask for nothing that could be missing: guests learn the
   * vendor and the width of addresses from CPUID.
   */
  private static final List<String> HARMLESS =
      List.of("host-phys-bits", "host-phys-bits=off", "migratable=no");

  /** Devices that come with --test-device, where the processor has what they try. */
  private static final List<String> TEST_DEVICES = List.of("hyperv-testdev", "intel-iommu", "edu");

  /** The machine for {@code options}. */
  static ConformanceMachine of(List<String> options) {
    String cpu = DEFAULT_CPU;
    String memory = DEFAULT_MEMORY;
    boolean backdoor = false;
    List<String> lacking = new ArrayList<>();
    for (int i = 0; i < options.size(); i++) {
      String value = i + 1 < options.size() ? options.get(i + 1) : "";
      switch (options.get(i)) {
        case "-cpu" -> cpu = cpu(value, lacking);
        case "-m" -> memory = value.matches("[0-9]+") ? value + "M" : value.toUpperCase();
        case "-machine" -> {
          backdoor |= value.contains("vmport=on");
        }
        case "-device" -> {
          String device = value.replaceAll(",.*", "");
          if (!TEST_DEVICES.contains(device)) {
            lacking.add("device " + device);
          }
        }
        default -> {
          // The others choose how KVM does something, or are values.
        }
      }
    }
    if (backdoor) {
      cpu += ",+vmware";
    }
    return new ConformanceMachine(cpu, memory, String.join(", ", lacking));
  }

  private static String cpu(String text, List<String> lacking) {
    String[] words = text.split(",");
    String model = MODELS.get(words[0]);
    if (model == null) {
      lacking.add("processor " + words[0]);
      return DEFAULT_CPU;
    }
    for (int i = 1; i < words.length; i++) {
      String word = words[i];
      if (HARMLESS.contains(word) || word.startsWith("vendor=")) {
        continue;
      }
      String with = model + "," + (word.equals("hv_passthrough") ? "+hyperv" : word);
      try {
        CpuModel.parse(with);
        model = with;
      } catch (IllegalArgumentException e) {
        if (!word.startsWith("-")) {
          lacking.add(word.startsWith("+") ? word.substring(1) : word);
        }
      }
    }
    return model;
  }
}
