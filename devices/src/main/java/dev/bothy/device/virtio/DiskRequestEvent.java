package dev.bothy.device.virtio;

import jdk.jfr.Category;
import jdk.jfr.DataAmount;
import jdk.jfr.Description;
import jdk.jfr.Event;
import jdk.jfr.Label;
import jdk.jfr.Name;
import jdk.jfr.StackTrace;
import jdk.jfr.Threshold;

/** A request of a guest's to a disk, from when it was taken to when it was answered. */
@Name("dev.bothy.DiskRequest")
@Label("Disk Request")
@Category("Bothy")
@Description("A guest's request to a disk")
@Threshold("10 ms")
@StackTrace(false)
final class DiskRequestEvent extends Event {
  @Label("Disk")
  @Description("Serial number")
  String disk;

  @Label("Operation")
  String operation;

  @Label("Offset")
  @Description("Of the first byte on the disk; 0 where there is none")
  long offset;

  @Label("Size")
  @DataAmount
  long size;

  @Label("Succeeded")
  boolean succeeded;
}
