package dev.bothy.bench;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.List;
import org.junit.jupiter.api.Test;

class ChangeTest {
  /** One program takes twice as long from round to round, the other half: the mean knows. */
  private static final List<Change.Pair> PAIRS =
      List.of(
          new Change.Pair("a", new Measured(1, 1, 1), new Measured(2, 2, 3)),
          new Change.Pair("b", new Measured(4, 4, 2), new Measured(2, 8, 6)));

  @Test
  void ratiosAreOfTheSameRound() {
    assertArrayEquals(new double[] {2, 2, 3}, PAIRS.get(0).ratios().rounds());
    assertArrayEquals(new double[] {0.5, 2, 3}, PAIRS.get(1).ratios().rounds());
  }

  @Test
  void aRoundsMeanIsThatOfAllPrograms() {
    assertArrayEquals(new double[] {1, 2, 3}, Change.means(PAIRS).rounds(), 1e-9);
  }

  @Test
  void theTableTellsMediansAndIntervals() {
    String table = Change.table(PAIRS);
    assertTrue(table.contains("| a | 1.00 | 2.00 | 2.000 | 2.000 to 3.000 |\n"), table);
    assertTrue(table.contains("| b | 4.00 | 6.00 | 2.000 | 0.500 to 3.000 |\n"), table);
    assertTrue(table.contains("| **geometric mean** | | | **2.000** | 1.000 to 3.000 |\n"), table);
  }
}
