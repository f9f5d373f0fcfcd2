package dev.bothy.bench;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class KernelLogTest {
  @ParameterizedTest
  @ValueSource(
      strings = {
        "[    1.234567] BUG: unable to handle page fault for address: ffffffffdeadbeef",
        "[    1.234567] Oops: 0002 [#1] PREEMPT SMP NOPTI",
        "[    1.234567] WARNING: CPU: 0 PID: 1 at kernel/smp.c:912 smp_call_function_many_cond",
        "[    1.234567] Call Trace:",
        "[    1.234567] kernel BUG at mm/slub.c:435!",
        "[    1.234567] Kernel panic - not syncing: Attempted to kill init! exitcode=0x0000000b",
        "[   21.234567] rcu: INFO: rcu_preempt detected stalls on CPUs/tasks:",
        "[   21.234567] rcu: INFO: rcu_preempt self-detected stall on CPU",
        "[   28.234567] watchdog: BUG: soft lockup - CPU#1 stuck for 22s! [swapper/1:0]",
        "[   28.234567] watchdog: Watchdog detected hard LOCKUP on cpu 1",
        "[  242.234567] INFO: task init:1 blocked for more than 120 seconds.",
        "[    3.234567] clocksource: timekeeping watchdog on CPU1: Marking clocksource 'tsc' as"
            + " unstable because the skew is too large:",
        "[    3.234567] tsc: Marking TSC unstable due to clocksource watchdog",
        "[    1.234567] traps: modprobe[71] general protection fault ip:7f1 sp:7ff error:0",
        "[    1.234567] sh[90]: segfault at 0 ip 000055d0 sp 00007ffe error 4 in busybox[400000]",
        "[    1.234567] invalid opcode: 0000 [#1] PREEMPT SMP NOPTI",
        "[    1.234567] traps: sh[90] trap invalid opcode ip:4012 sp:7ffd error:0 in busybox",
        "[    1.234567] irq 4: nobody cared (try booting with the \"irqpoll\" option)",
        "[    1.234567] smpboot: do_boot_cpu failed(-1) to wakeup CPU#1",
        "[\u001b[0;1;31mFAILED\u001b[0m] Failed to start Journal Service.",
        "[FAILED] Failed to start Journal Service.",
        "Illegal instruction (core dumped)"
      })
  void tellsTrouble(String line) {
    assertEquals(
        List.of(line), KernelLog.troubles("[    1.000000] before\n" + line + "\r\n/root # \n"));
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "[    0.028512] rcu: Preemptible hierarchical RCU implementation.",
        "[    0.028512] rcu: RCU calculated value of scheduler-enlistment delay is 25 jiffies.",
        "[    0.000000] kvm-clock: using sched offset of 195397013 cycles",
        "[    0.005166] clocksource: kvm-clock: mask: 0xffffffffffffffff max_cycles: 0x1cd42e4dffb",
        "[    0.405166] clocksource: Switched to clocksource tsc",
        "[    0.028512] random: crng init done",
        "[    0.214221] NMI watchdog: Perf NMI watchdog permanently disabled",
        "[    0.000000] BIOS-e820: [mem 0x0000000000100000-0x000000007fffffff] usable",
        "[    0.914221] printk: console [ttyS0] enabled",
        "[    0.914221] i8042: Warning: Keylock active",
        "[\u001b[0;32m  OK  \u001b[0m] Started Journal Service.",
        "[    9.914221] reboot: Power down"
      })
  void tellsNothingOfWhatIsUsual(String line) {
    assertEquals(List.of(), KernelLog.troubles(line + "\n"));
  }

  @Test
  void tellsOnlyTheFirstOfMany() {
    assertEquals(5, KernelLog.troubles("BUG: again\n".repeat(1000)).size());
  }
}
