package dev.bothy.debug;

import dev.bothy.debug.Register.Feature;
import java.util.List;
import java.util.stream.Collectors;

/** What gdb reads to know the registers: "Target Descriptions" in its manual. */
final class TargetDescription {
  private static final List<String> EFLAGS =
      List.of(
          "CF:0", ":1", "PF:2", "AF:4", "ZF:6", "SF:7", "TF:8", "IF:9", "DF:10", "OF:11", "NT:14",
          "RF:16", "VM:17", "AC:18", "VIF:19", "VIP:20", "ID:21");

  private static final List<String> MXCSR =
      List.of(
          "IE:0", "DE:1", "ZE:2", "OE:3", "UE:4", "PE:5", "DAZ:6", "IM:7", "DM:8", "ZM:9", "OM:10",
          "UM:11", "PM:12", "FZ:15");

  private static final List<String> CR0 =
      List.of(
          "PE:0", "MP:1", "EM:2", "TS:3", "ET:4", "NE:5", "WP:16", "AM:18", "NW:29", "CD:30",
          "PG:31");

  private static final List<String> CR4 =
      List.of(
          "VME:0",
          "PVI:1",
          "TSD:2",
          "DE:3",
          "PSE:4",
          "PAE:5",
          "MCE:6",
          "PGE:7",
          "PCE:8",
          "OSFXSR:9",
          "OSXMMEXCPT:10",
          "UMIP:11",
          "LA57:12",
          "FSGSBASE:16",
          "PCIDE:17",
          "OSXSAVE:18",
          "SMEP:20",
          "SMAP:21",
          "PKE:22",
          "CET:23",
          "PKS:24");

  private static final List<String> EFER =
      List.of("SCE:0", "LME:8", "LMA:10", "NXE:11", "SVME:12", "FFXSR:14");

  private static final List<String> CET =
      List.of(
          "SH_STK_EN:0",
          "WR_SHSTK_EN:1",
          "ENDBR_EN:2",
          "LEG_IW_EN:3",
          "NO_TRACK_EN:4",
          "SUPPRESS_DIS:5",
          "SUPPRESS:10",
          "WAITING:11");

  private static final String VECTOR =
      """
      <vector id="v4f" type="ieee_single" count="4"/>
      <vector id="v2d" type="ieee_double" count="2"/>
      <vector id="v16i8" type="int8" count="16"/>
      <vector id="v8i16" type="int16" count="8"/>
      <vector id="v4i32" type="int32" count="4"/>
      <vector id="v2i64" type="int64" count="2"/>
      <union id="vec128">
      <field name="v4_float" type="v4f"/>
      <field name="v2_double" type="v2d"/>
      <field name="v16_int8" type="v16i8"/>
      <field name="v8_int16" type="v8i16"/>
      <field name="v4_int32" type="v4i32"/>
      <field name="v2_int64" type="v2i64"/>
      <field name="uint128" type="uint128"/>
      </union>
      """;

  private TargetDescription() {}

  /** The XML text. */
  static String of(Registers registers) {
    RegisterLayout layout = registers.layout();
    int bytes = layout.is64() ? 8 : 4;
    StringBuilder out = new StringBuilder("<?xml version=\"1.0\"?>\n");
    out.append("<!DOCTYPE target SYSTEM \"gdb-target.dtd\">\n<target>\n");
    out.append("<architecture>").append(layout.architecture()).append("</architecture>\n");
    if (layout.is64()) {
      // An ELF file for 32 bits may hold a kernel for 64.
      out.append("<compatible>i386</compatible>\n");
    }
    for (Feature feature : Feature.values()) {
      List<Register> all =
          registers.all().stream().filter(register -> register.feature() == feature).toList();
      if (all.isEmpty()) {
        continue;
      }
      out.append("<feature name=\"").append(feature.id).append("\">\n");
      switch (feature) {
        case CORE -> out.append(flags("eflags", 4, EFLAGS));
        case SSE -> out.append(VECTOR).append(flags("mxcsr", 4, MXCSR));
        case SYSTEM ->
            out.append(flags("cr0", bytes, CR0))
                .append(flags("cr4", bytes, CR4))
                .append(flags("efer", bytes, EFER))
                .append(flags("cet", bytes, CET));
        default -> {}
      }
      for (Register register : all) {
        out.append(
            "<reg name=\"%s\" bitsize=\"%d\" type=\"%s\" regnum=\"%d\"/>\n"
                .formatted(
                    register.name(),
                    register.bits(),
                    register.type(),
                    registers.all().indexOf(register)));
      }
      out.append("</feature>\n");
    }
    return out.append("</target>\n").toString();
  }

  /** A type with names for bits, each {@code NAME:BIT}. */
  private static String flags(String id, int bytes, List<String> bits) {
    return bits.stream()
        .map(bit -> bit.split(":"))
        .map(bit -> "<field name=\"%s\" start=\"%s\" end=\"%2$s\"/>\n".formatted(bit[0], bit[1]))
        .collect(
            Collectors.joining(
                "", "<flags id=\"%s\" size=\"%d\">\n".formatted(id, bytes), "</flags>\n"));
  }
}
