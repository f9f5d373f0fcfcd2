package dev.bothy.kvm;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.bothy.core.cpu.CpuidLeaf;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.List;
import java.util.Optional;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class KeptTrialsTest {
  private static final String TRIAL = "trial";
  private static final List<CpuidLeaf> CPUID =
      List.of(new CpuidLeaf(0, 0, false, 1, 2, 3, 4), new CpuidLeaf(7, 0, true, 5, 6, 7, 8));

  @TempDir Path temporary;
  private Path folder;
  private KeptTrials trials;

  @BeforeEach
  void begin() {
    folder = temporary.resolve("kvm");
    trials = KeptTrials.in(folder, Optional.of("host"));
  }

  private Path file() throws IOException {
    try (Stream<Path> files = Files.list(folder)) {
      List<Path> all = files.toList();
      assertEquals(1, all.size(), all.toString());
      return all.getFirst();
    }
  }

  @Test
  void whatWentWellIsKnownLater() throws IOException {
    assertFalse(trials.wentWell(TRIAL, CPUID));
    trials.keep(TRIAL, CPUID);
    assertTrue(KeptTrials.in(folder, Optional.of("host")).wentWell(TRIAL, List.copyOf(CPUID)));
    trials.keep(TRIAL, CPUID);
    file();
  }

  @Test
  void anotherTrialProcessorOrHostIsTriedAnew() {
    trials.keep(TRIAL, CPUID);
    assertFalse(trials.wentWell("other", CPUID));
    for (int changed = 0; changed < 5; changed++) {
      CpuidLeaf other =
          new CpuidLeaf(
              7,
              changed == 4 ? 1 : 0,
              true,
              changed == 0 ? 0 : 5,
              changed == 1 ? 0 : 6,
              changed == 2 ? 0 : 7,
              changed == 3 ? 0 : 8);
      assertFalse(trials.wentWell(TRIAL, List.of(CPUID.getFirst(), other)));
    }
    assertFalse(trials.wentWell(TRIAL, CPUID.subList(0, 1)));
    assertFalse(KeptTrials.in(folder, Optional.of("another")).wentWell(TRIAL, CPUID));
  }

  @Test
  void aHostThatCannotBeToldIsTriedEachTime() {
    KeptTrials nowhere = KeptTrials.in(folder, Optional.empty());
    nowhere.keep(TRIAL, CPUID);
    assertFalse(nowhere.wentWell(TRIAL, CPUID));
    assertFalse(Files.exists(folder));
  }

  @Test
  void aDamagedFileCostsTheTrialAndIsReplaced() throws IOException {
    trials.keep(TRIAL, CPUID);
    byte[] sound = Files.readAllBytes(file());
    for (int at = 0; at < sound.length; at++) {
      byte[] damaged = sound.clone();
      damaged[at] ^= 1;
      Files.write(file(), damaged);
      assertFalse(trials.wentWell(TRIAL, CPUID));
    }
    Files.write(file(), new byte[0]);
    assertFalse(trials.wentWell(TRIAL, CPUID));
    Files.write(file(), sound);
    Files.write(file(), new byte[1 << 20], StandardOpenOption.APPEND);
    assertFalse(trials.wentWell(TRIAL, CPUID));
    trials.keep(TRIAL, CPUID);
    assertTrue(trials.wentWell(TRIAL, CPUID));
  }

  @Test
  void whatOthersMayHaveWrittenIsNotBelieved() throws IOException {
    trials.keep(TRIAL, CPUID);
    Files.setPosixFilePermissions(file(), PosixFilePermissions.fromString("rw-rw-rw-"));
    assertFalse(trials.wentWell(TRIAL, CPUID));
  }

  @Test
  void aFolderThatCannotBeMadeCostsTheTrial() throws IOException {
    Files.createFile(folder);
    trials.keep(TRIAL, CPUID);
    assertFalse(trials.wentWell(TRIAL, CPUID));
  }
}
