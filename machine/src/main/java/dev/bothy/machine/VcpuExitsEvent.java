package dev.bothy.machine;

import jdk.jfr.Category;
import jdk.jfr.Description;
import jdk.jfr.Event;
import jdk.jfr.Label;
import jdk.jfr.Name;
import jdk.jfr.Period;
import jdk.jfr.StackTrace;

/** How often a vCPU has left guest code, and what for, since the last such event. */
@Name("dev.bothy.VcpuExits")
@Label("vCPU Exits")
@Category("Bothy")
@Description("What a vCPU did outside guest code, or counted, in a period; nothing if it did not")
@Period("1 s")
@StackTrace(false)
final class VcpuExitsEvent extends Event {
  @Label("Machine")
  String machine;

  @Label("vCPU")
  int vcpu;

  @Label("Kind")
  @Description("One of the counters in the machine's statistics")
  String kind;

  @Label("Count")
  long count;

  VcpuExitsEvent(String machine, int vcpu, String kind, long count) {
    this.machine = machine;
    this.vcpu = vcpu;
    this.kind = kind;
    this.count = count;
  }
}
