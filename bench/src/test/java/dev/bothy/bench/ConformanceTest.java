package dev.bothy.bench;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.bothy.bench.ConformanceResult.Verdict;
import dev.bothy.bench.ConsoleRun.End;
import java.util.List;
import java.util.OptionalInt;
import org.junit.jupiter.api.Test;

class ConformanceTest {
  private static final List<String> LIST =
      """
      # a comment
      [plain]
      file = plain.flat

      #[off]
      #file = off.flat
      [rich]
      file = rich.flat
      smp = 3
      test_args = "-one two*" $((6*7))
      qemu_params = -cpu qemu64,+x2apic,-pcid,vendor=GenuineIntel -m 2g
      arch = x86_64
      groups = some nodefault
      timeout = 30
      """
          .lines()
          .toList();

  @Test
  void sectionsAreReadWithTheirDefaults() throws Exception {
    List<ConformanceCase> cases = ConformanceCase.parse(LIST);
    assertEquals(2, cases.size());
    ConformanceCase plain = cases.getFirst();
    assertEquals(new ConformanceCase("plain", "plain.flat", 1, "", "", "", List.of(), 90), plain);
    assertEquals("", plain.commandLine());
    ConformanceCase rich = cases.getLast();
    assertEquals(3, rich.cpus());
    assertEquals(30, rich.seconds());
    assertTrue(rich.manual());
    assertEquals("-one two* 42", rich.commandLine());
    assertEquals(
        List.of("-cpu", "qemu64,+x2apic,-pcid,vendor=GenuineIntel", "-m", "2g"), rich.options());
  }

  @Test
  void machinesAreToldInOurWords() {
    assertEquals(new ConformanceMachine("v2", "128M", ""), ConformanceMachine.of(List.of()));
    assertEquals(
        new ConformanceMachine("v1,+sse3,+cx16,+lahf_lm,+x2apic", "2G", ""),
        ConformanceMachine.of(
            List.of("-cpu", "qemu64,+x2apic,-nothing,vendor=GenuineIntel", "-m", "2g")));
    assertEquals(
        "v2,+vmware",
        ConformanceMachine.of(List.of("-machine", "vmport=on", "-machine", "pit=off")).cpu());
    assertEquals(
        "",
        ConformanceMachine.of(List.of("-cpu", "max,hv_passthrough", "-device", "hyperv-testdev"))
            .lacking());
    assertEquals(
        "carpet, levitation",
        ConformanceMachine.of(List.of("-device", "carpet,x=y", "-cpu", "max,+levitation"))
            .lacking()
            .replace("device ", ""));
  }

  private static End end(boolean hung, int status, String console) {
    return new End(hung, OptionalInt.of(status), 1.5, 0, 0, console);
  }

  @Test
  void aVerdictIsTheGuestsStatusAndItsReasonWhatItSaid() {
    String console = "FAIL: one\nPASS: two\nFAIL: three\nSUMMARY: 3 tests, 2 unexpected failures\n";
    assertEquals(
        new ConformanceResult(
            Verdict.FAIL, 1.5, "one and 1 more of 3 tests, 2 unexpected failures"),
        ConformanceResult.of(end(false, 3, console), true, 90));
    assertEquals(
        new ConformanceResult(Verdict.PASS, 1.5, "3 tests"),
        ConformanceResult.of(end(false, 1, "SUMMARY: 3 tests\n"), true, 90));
    assertEquals(
        new ConformanceResult(Verdict.SKIP, 1.5, "no PKU"),
        ConformanceResult.of(end(false, 77, "SKIP: no PKU\nSUMMARY: 1 tests"), true, 90));
    assertEquals(
        Verdict.FAIL,
        ConformanceResult.of(end(false, 1, "SUMMARY: 3 tests\n"), false, 90).verdict(),
        "the command's own failure");
    assertEquals(
        "time-out after 90 s", ConformanceResult.of(end(true, 143, ""), false, 90).reason());
    assertEquals("triple fault", ConformanceResult.of(end(false, 3, "hello"), false, 90).reason());
  }

  @Test
  void theOtherRunnersLinesAreUnderstood() {
    assertEquals(
        new ConformanceResult(Verdict.PASS, 2, "7 tests, 1 skipped"),
        ConformanceResult.ofRunner("\u001b[32mPASS\u001b[0m memory (7 tests, 1 skipped)\n", 2));
    assertEquals(
        new ConformanceResult(Verdict.FAIL, 2, "timeout; duration=90s"),
        ConformanceResult.ofRunner("noise\nFAIL s3 (timeout; duration=90s)\n", 2));
    assertEquals(
        new ConformanceResult(Verdict.PASS, 2, ""), ConformanceResult.ofRunner("PASS sieve \n", 2));
    assertEquals(Verdict.FAIL, ConformanceResult.ofRunner("", 2).verdict());
  }
}
