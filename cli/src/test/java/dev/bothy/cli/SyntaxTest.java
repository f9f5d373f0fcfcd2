package dev.bothy.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.List;
import java.util.Optional;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class SyntaxTest {
  private final Syntax syntax = new Syntax("Does what it does, and says so.");
  private final Option size = syntax.option("--size", "SIZE", "How large.");
  private final Option fast = syntax.flag("--fast", "In a hurry.");
  private final Option disks = syntax.options("--disk", "FILE", "A disk.");
  private final Option map = syntax.flagOrOption("--map", "FILE", "Writes a map.");

  private List<String> parse(String... words) {
    return syntax.parse(List.of(words));
  }

  @Test
  void valuesFollowAsAWordOrBehindAnEqualsSign() {
    parse("--size", "3", "--disk=a=b", "--fast", "--disk", "");
    assertEquals(Optional.of("3"), size.value());
    assertEquals(List.of("a=b", ""), disks.values());
    assertTrue(fast.given());
    assertFalse(map.given());
  }

  @Test
  void valuesMayLookLikeOptionsThatThereAreNot() {
    parse("--size", "-1", "--disk", "--odd");
    assertEquals(Optional.of("-1"), size.value());
    assertEquals(List.of("--odd"), disks.values());
  }

  @Test
  void optionalValuesMayBeLeftOut() {
    parse("--map");
    assertEquals(Optional.of(""), map.value());
    parse("--map=x");
    assertEquals(Optional.of("x"), map.value());
  }

  @Test
  void operandsMayStandAnywhereAndLookLikeOptionsBehindTwoDashes() {
    syntax.operands("FROM TO", 2, 3);
    assertEquals(List.of("a", "-", "--fast"), parse("a", "--size", "1", "-", "--", "--fast"));
    assertFalse(fast.given());
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "--size|--size wants a value",
        "--size --fast|--size wants a value",
        "--size 1 --size 2|--size is given twice",
        "--map --map|--map is given twice",
        "--fast=yes|--fast",
        "--unknown|--unknown",
        "-x|-x",
        "a b c|\"c\" is one word too many",
        "a|not enough words: FROM TO",
      })
  void whatIsWrongIsSaid(String words, String mentions) {
    syntax.operands("FROM TO", 2, 2);
    WrongUsage wrong = assertThrows(WrongUsage.class, () -> parse(words.split(" ")));
    assertTrue(wrong.getMessage().contains(mentions), wrong.getMessage());
  }

  @Test
  void helpIsGivenWhateverElseIsMissingOrFollows() {
    syntax.operands("FROM TO", 2, 2);
    parse("-h", "--nonsense");
    assertTrue(syntax.wantsHelp());
    assertFalse(syntax.wantsVersion());
  }

  @Test
  void helpHasOptionsInTheirOrderInLinesThatFit() {
    Option last = syntax.option("--a-name-without-room-beside-it", "VALUE", "long ".repeat(40));
    syntax.text("\nMore:\n  as it is\n");
    String help = syntax.help("bothy test");
    assertTrue(help.startsWith("Usage: bothy test [OPTION]...\nDoes what it does"), help);
    int at = 0;
    for (String part :
        List.of(
            "      --size=SIZE            How large.\n",
            "      --fast                 In a hurry.\n",
            "      --disk=FILE",
            "      --map[=FILE]",
            "      " + last.form() + "\n" + " ".repeat(29) + "long",
            "  -h, --help",
            "\nMore:\n  as it is\n")) {
      int found = help.indexOf(part, at);
      assertTrue(found >= 0, part + " in " + help);
      at = found + part.length();
    }
    assertTrue(help.lines().allMatch(line -> line.length() <= 80), help);
  }
}
