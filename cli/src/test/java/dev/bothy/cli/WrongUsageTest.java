package dev.bothy.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class WrongUsageTest {
  @TempDir Path folder;

  private String out;
  private String err;

  private int execute(String... args) {
    Typed typed = Typed.execute(args);
    out = typed.out();
    err = typed.err();
    return typed.status();
  }

  private void assertOneLine(String mentions) {
    assertEquals("", out);
    assertEquals(1, err.lines().count(), err);
    assertTrue(err.startsWith("bothy: "), err);
    assertTrue(err.contains(mentions), err);
    assertFalse(err.contains("Exception"), err);
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "--memory|0|at least 1M",
        "--memory|1|at least 1M",
        "--memory|-1|not a size",
        "--memory|1.5G|not a size",
        "--memory|lots|not a size",
        "--memory|''|not a size",
        "--memory|1048577|multiple of 4K",
        "--memory|100000G|at most",
        "--memory|99999999999999999999|not a size",
        "--memory|999999999999999999G|more memory than",
        "--cpus|0|1 to 64",
        "--cpus|65|1 to 64",
        "--cpus|two|no number",
        "--cpu|pentium|v2, v3, max",
        "--engine|warp|give auto, kvm, translator, interpreter",
        "--timeout|0|above 0",
        "--timeout|-3|above 0",
        "--timeout|NaN|above 0",
        "--timeout|soon|above 0",
        "--disk|''|wants a file",
        "--disk|a,format=vmdk|raw or qcow2",
        "--disk|a,cache=none|writeback",
        "--disk|a,serail=1|serail",
        "--console|/run/tty|socket=PATH",
        "--console|socket=a,nmae=b|nmae",
        "--share|''|wants a folder",
        "--share|a:b:c|twice",
        "--share|a:|tag",
        "--share|a,rw|rw",
        "--share|a:b c|no tag",
        "--share|a:1234567890123456789012345678901234567|too long",
        "--vsock|2,uds=a|3 to 4294967294",
        "--vsock|3|CID,uds=PATH",
        "--net|wifi|wifi",
        "--net|user,hostfwd=x|x",
      })
  void valueThatIsNoneIsOneLineAndStatus2(String option, String value, String mentions) {
    assertEquals(2, execute("run", option, value));
    assertOneLine(mentions);
    assertTrue(err.contains(option), err);
    assertTrue(err.contains("--help"), err);
  }

  @Test
  void unknownOptionsAndCommandsAreOneLineAndStatus2() {
    assertEquals(2, execute("run", "--frobnicate"));
    assertOneLine("--frobnicate");
    assertEquals(2, execute("run", "kernel"));
    assertOneLine("kernel");
    assertEquals(2, execute("frobnicate"));
    assertOneLine("frobnicate");
    assertEquals(2, execute());
    assertOneLine("bothy run");
    assertEquals(2, execute("run", "--memory"));
    assertOneLine("--memory");
    assertEquals(2, execute("run", "@/no/such/file"));
    assertOneLine("@/no/such/file");
  }

  @Test
  void statisticsFileThatCannotBeWrittenIsNoticedBeforeTheStart() throws IOException {
    Path missing = folder.resolve("no/such/folder/run.json");
    assertEquals(1, execute("run", "--kernel", "/no/such/kernel", "--stats", missing.toString()));
    assertOneLine("run.json");
    assertEquals(1, execute("run", "--kernel", "/no/such/kernel", "--stats", folder.toString()));
    assertOneLine("folder");
  }

  @Test
  void kernelsThatAreNoneAreOneLineAndStatus1() throws IOException {
    assertEquals(1, execute("run", "--memory", "64M", "--kernel", "/no/such/kernel"));
    assertOneLine("/no/such/kernel");
    Path empty = Files.createFile(folder.resolve("empty"));
    assertEquals(1, execute("run", "--memory", "64M", "--kernel", empty.toString()));
    assertOneLine("empty");
    Path text = Files.writeString(folder.resolve("text"), "no kernel\n".repeat(10_000));
    assertEquals(1, execute("run", "--memory", "64M", "--kernel", text.toString()));
    assertOneLine("not a kernel");
    assertEquals(1, execute("run", "--memory", "64M", "--kernel", folder.toString()));
    assertOneLine(folder.toString());
  }

  @Test
  void foldersThatCannotBeSharedAreOneLineAndStatus1() throws IOException {
    Path file = Files.createFile(folder.resolve("file"));
    assertEquals(1, execute("run", "--share", folder.resolve("missing") + ":tag"));
    assertOneLine("missing");
    assertEquals(1, execute("run", "--share", file + ",readonly"));
    assertOneLine("file");
  }

  @Test
  void tagsOfSharesAreUnique() {
    assertEquals(2, execute("run", "--share", folder + ":one", "--share", "/:one"));
    assertOneLine("\"one\" is given twice");
    assertTrue(err.contains("--share"), err);
  }

  @Test
  void waysToLookAtTheCodeAreCheckedBeforeTheStart() throws IOException {
    String[] start = {"run", "--engine", "translator", "--kernel", "/no/such/kernel"};
    assertEquals(2, execute(with(start, "--dump-block", "no_such_function")));
    assertOneLine("--dump-block");
    Path empty = Files.createFile(folder.resolve("System.map"));
    assertEquals(1, execute(with(start, "--perf-map=x", "--symbols", empty.toString())));
    assertOneLine("System.map");
    Path missing = folder.resolve("no/such/folder/perf.map");
    assertEquals(1, execute(with(start, "--perf-map=" + missing)));
    assertOneLine(missing.toString());
    start[2] = "interpreter";
    assertEquals(1, execute(with(start, "--dump-block", "0x1000")));
    assertOneLine("translator");
  }

  private static String[] with(String[] start, String... more) {
    return Stream.of(start, more).flatMap(Stream::of).toArray(String[]::new);
  }

  @Test
  void failedStartLeavesNoStatistics() {
    Path stats = folder.resolve("run.json");
    assertEquals(
        1,
        execute(
            "run", "--memory", "64M", "--kernel", "/no/such/kernel", "--stats", stats.toString()));
    assertTrue(Files.notExists(stats));
  }

  @Test
  void moreMemoryThanTheHostHasIsOneLineAndStatus1() {
    assertEquals(1, execute("run", "--memory", "256G", "--kernel", "/no/such/kernel"));
    assertEquals(1, err.lines().count(), err);
  }

  @Test
  void helpAndVersionGoToStandardOutput() {
    assertEquals(0, execute("--help"));
    assertTrue(out.contains("doctor"), out);
    assertEquals(0, execute("run", "--help"));
    assertTrue(out.contains("Examples:"), out);
    for (String option :
        ("engine cpu cpus memory kernel initrd append share no-reboot debug-exit timeout stats"
                + " summary perf-map dump-block symbols count-events")
            .split(" ")) {
      assertTrue(out.contains("--" + option), option);
    }
    assertEquals(0, execute("--version"));
    assertTrue(out.startsWith("bothy "), out);
    assertFalse(out.contains("${"), out);
    assertEquals(0, execute("doctor"));
    assertTrue(out.contains("interpreter"), out);
    assertEquals("", err);
  }
}
