package dev.bothy.x86.translate;

import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.bothy.x86.decode.InstructionTable;
import dev.bothy.x86.decode.TableEntry;
import java.io.IOException;
import java.util.Set;
import java.util.TreeSet;
import org.junit.jupiter.api.Test;

/** Which instructions of user code are left to the interpreter, each time they run. */
class TranslatedRowsTest {
  /** Rare, or with so much to do that the way out hardly counts. */
  private static final Set<String> LEFT =
      Set.of(
          "BSWAP Zv mem, 16 bits",
          "CLFLUSH Mb mem",
          "CLFLUSHOPT Mb mem",
          "CLWB Mb mem",
          "ENTER Iw,I2b mem",
          "FLDENV Menv mem",
          "FRSTOR Mfpu mem",
          "POP Ev mem, 16 bits",
          "POP Ev reg, 16 bits",
          "POP Zv mem, 16 bits",
          "PUSH Ev mem, 16 bits",
          "PUSH Ev reg, 16 bits",
          "PUSH Zv mem, 16 bits",
          "XLAT Bb mem");

  @Test
  void userCodeIsTranslatedButForWhatIsListed() throws IOException {
    Set<String> left = new TreeSet<>();
    try (TranslatedPage page = new TranslatedPage()) {
      for (TableEntry entry : InstructionTable.entries()) {
        if (!entry.test().equals("user") || !HostFeatures.has(entry.feature())) {
          continue;
        }
        for (String form : new String[] {"mem", "reg"}) {
          String code = code(entry, form);
          if (code == null) {
            continue;
          }
          String name = entry.op() + " " + String.join(",", entry.operands()) + " " + form;
          if (!isTranslated(page, code)) {
            left.add(name);
          } else if (isOfAnySize(entry) && !isTranslated(page, "66" + code)) {
            left.add(name + ", 16 bits");
          }
        }
      }
    }
    assertEquals(LEFT, left);
  }

  private static boolean isTranslated(TranslatedPage page, String code) {
    page.overwrite(0x1000, code);
    return page.translate(0x1000, Mode.LONG | Mode.USER, code) != null;
  }

  private static boolean isOfAnySize(TableEntry entry) {
    return entry.operands().stream().anyMatch(operand -> operand.matches("[EGMZ]v"))
        && !entry.encoding().matches(".*\\b(66|F2|F3)\\b.*");
  }

  /** The row's instruction of RBX or memory at RBX; null if it has no such form. */
  private static String code(TableEntry entry, String form) {
    String encoding = entry.encoding();
    boolean memory = entry.operands().stream().anyMatch(operand -> operand.matches("M.+"));
    boolean registers = entry.operands().stream().anyMatch(operand -> operand.matches("[URN].*"));
    if (form.equals("reg") ? memory : registers) {
      return null;
    }
    StringBuilder code = new StringBuilder();
    String modrm = null;
    boolean wide = false;
    for (String token : encoding.strip().split(" +")) {
      switch (token) {
        case "NP", "NF", "W0", "noB" -> {}
        case "W1" -> wide = true;
        case "mem", "reg" -> {
          if (!token.equals(form)) {
            return null;
          }
        }
        default -> {
          if (token.startsWith("/")) {
            int reg = token.equals("/r") ? 1 : Integer.parseInt(token.substring(1));
            modrm = "%02x".formatted((form.equals("reg") ? 0xc0 : 0) | reg << 3 | 3);
            if (entry.has(TableEntry.VSIB)) {
              modrm = "141b"; // register 2, [rbx + xmm3]
            }
          } else if (token.startsWith("VEX")) {
            code.append(vex(token, entry));
          } else {
            code.append(token, 0, 2);
          }
        }
      }
    }
    if (modrm == null && form.equals("reg")) {
      return null;
    }
    if (wide) {
      int at = code.length() > 2 && code.substring(0, 2).matches("66|f2|f3|F2|F3") ? 2 : 0;
      code.insert(at, "48");
    }
    return code + (modrm == null ? "" : modrm) + "0101010101010101";
  }

  private static String vex(String token, TableEntry entry) {
    int map = token.contains("0F3A") ? 3 : token.contains("0F38") ? 2 : 1;
    int prefix =
        token.contains(".66") ? 1 : token.contains(".F3") ? 2 : token.contains(".F2") ? 3 : 0;
    boolean named = entry.operands().stream().anyMatch(operand -> operand.matches("[BH].*"));
    // The third register: RCX or XMM1, or none.
    int third = named ? ~1 & 15 : 15;
    int length = token.contains(".L1") ? 4 : 0;
    int wide = token.contains(".W1") ? 0x80 : 0;
    return "c4%02x%02x".formatted(0xe0 | map, wide | third << 3 | length | prefix);
  }
}
