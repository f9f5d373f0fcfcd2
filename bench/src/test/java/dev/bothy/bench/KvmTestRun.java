package dev.bothy.bench;

import static org.junit.platform.engine.discovery.DiscoverySelectors.selectClass;
import static org.junit.platform.engine.discovery.DiscoverySelectors.selectPackage;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import java.util.regex.Pattern;
import org.junit.platform.engine.FilterResult;
import org.junit.platform.engine.TestDescriptor;
import org.junit.platform.engine.TestExecutionResult;
import org.junit.platform.engine.support.descriptor.MethodSource;
import org.junit.platform.launcher.LauncherDiscoveryRequest;
import org.junit.platform.launcher.PostDiscoveryFilter;
import org.junit.platform.launcher.TestExecutionListener;
import org.junit.platform.launcher.TestIdentifier;
import org.junit.platform.launcher.TestPlan;
import org.junit.platform.launcher.core.LauncherDiscoveryRequestBuilder;
import org.junit.platform.launcher.core.LauncherFactory;

/**
 * The tests of the KVM engine without Maven, for {@code scripts/nested-kvm --tests}, which runs
 * them where KVM is complete: a line for each, then how many passed, were skipped and failed.
 * Status 1 if one failed or there are none. An argument is a regular expression: tests whose
 * "Class.method" it finds.
 */
final class KvmTestRun implements TestExecutionListener {
  /** Tests by "Class.method" that are not run there, and why. */
  private static final Map<String, String> LEFT_OUT = Map.of();

  private static final List<String> CLASSES =
      List.of("dev.bothy.KvmVmTest", "dev.bothy.KvmTimerTest", "dev.bothy.debug.KvmGdbTest");

  private final Map<String, Long> starts = new TreeMap<>();
  private final List<String> failures = new ArrayList<>();
  private TestPlan plan;
  private long found;
  private long passed;
  private long skipped;

  private KvmTestRun() {}

  public static void main(String[] arguments) {
    Pattern wanted = Pattern.compile(arguments.length == 0 ? "" : arguments[0]);
    LauncherDiscoveryRequest request =
        LauncherDiscoveryRequestBuilder.discoveryRequest()
            .selectors(selectPackage("dev.bothy.kvm"))
            .selectors(CLASSES.stream().map(name -> selectClass(name)).toList())
            .filters((PostDiscoveryFilter) test -> FilterResult.includedIf(runs(test, wanted)))
            .build();
    KvmTestRun tests = new KvmTestRun();
    LauncherFactory.create().execute(request, tests);
    System.exit(tests.summarize() ? 0 : 1);
  }

  private static boolean runs(TestDescriptor test, Pattern wanted) {
    Optional<String> name =
        test.getSource()
            .filter(MethodSource.class::isInstance)
            .map(source -> name((MethodSource) source));
    // Classes without tests go by themselves.
    return name.isEmpty() || wanted.matcher(name.get()).find() && !isLeftOut(name.get());
  }

  private static boolean isLeftOut(String name) {
    String reason = LEFT_OUT.get(name);
    if (reason != null) {
      say("left out  " + name + ": " + reason);
    }
    return reason != null;
  }

  private static String name(MethodSource source) {
    String type = source.getClassName();
    return type.substring(type.lastIndexOf('.') + 1) + "." + source.getMethodName();
  }

  private static String name(TestIdentifier test) {
    return test.getSource()
        .filter(MethodSource.class::isInstance)
        .map(source -> name((MethodSource) source))
        .map(name -> name.endsWith(test.getDisplayName()) ? name : name + " " + shown(test))
        .orElseGet(test::getDisplayName);
  }

  private static String shown(TestIdentifier test) {
    String shown = test.getDisplayName();
    return shown.endsWith("()") ? "" : shown;
  }

  private static void say(String line) {
    System.out.println("nested: " + line.strip());
  }

  @Override
  public void testPlanExecutionStarted(TestPlan started) {
    plan = started;
  }

  @Override
  public void executionStarted(TestIdentifier test) {
    starts.put(test.getUniqueId(), System.nanoTime());
  }

  @Override
  public void executionSkipped(TestIdentifier test, String reason) {
    skip(test, reason);
  }

  private void skip(TestIdentifier test, String reason) {
    long tests =
        test.isTest()
            ? 1
            : plan.getDescendants(test).stream().filter(TestIdentifier::isTest).count();
    found += tests;
    skipped += tests;
    say("skipped   " + name(test) + ": " + reason);
  }

  @Override
  public void executionFinished(TestIdentifier test, TestExecutionResult result) {
    String seconds = (System.nanoTime() - starts.get(test.getUniqueId())) / 1_000_000_000 + " s";
    Optional<Throwable> cause = result.getThrowable();
    switch (result.getStatus()) {
      case SUCCESSFUL -> {
        if (test.isTest()) {
          found++;
          passed++;
          say("passed    " + name(test) + ", " + seconds);
        }
      }
      case ABORTED -> skip(test, cause.map(Throwable::getMessage).orElse("no reason"));
      default -> {
        found++;
        failures.add(name(test));
        say("FAILED    " + name(test) + ", " + seconds);
        cause.ifPresent(problem -> problem.printStackTrace(System.out));
      }
    }
  }

  /** True if all is well. */
  private boolean summarize() {
    failures.forEach(name -> say("failed: " + name));
    say(
        "%d tests: %d passed, %d skipped, %d failed, %d left out"
            .formatted(found, passed, skipped, failures.size(), LEFT_OUT.size()));
    return passed != 0 && failures.isEmpty();
  }
}
