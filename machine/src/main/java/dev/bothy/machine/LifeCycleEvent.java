package dev.bothy.machine;

import jdk.jfr.Category;
import jdk.jfr.Description;
import jdk.jfr.Event;
import jdk.jfr.Label;
import jdk.jfr.Name;
import jdk.jfr.StackTrace;

/** What becomes of a machine. */
@Name("dev.bothy.MachineLifeCycle")
@Label("Machine Life Cycle")
@Category("Bothy")
@Description("A machine starts, pauses, resumes, is reset, wakes from sleep, or ends")
@StackTrace(false)
final class LifeCycleEvent extends Event {
  @Label("Machine")
  String machine;

  @Label("Change")
  @Description("start, pause, resume, reset, wake or stop")
  String change;

  @Label("Reason")
  @Description("Of a stop")
  String reason;

  LifeCycleEvent(String machine, String change, String reason) {
    this.machine = machine;
    this.change = change;
    this.reason = reason;
  }
}
