package dev.bothy.device.virtio;

import jdk.jfr.Category;
import jdk.jfr.DataAmount;
import jdk.jfr.Description;
import jdk.jfr.Event;
import jdk.jfr.Label;
import jdk.jfr.Name;
import jdk.jfr.Period;
import jdk.jfr.StackTrace;

/** What went through a network card since the last such event. */
@Name("dev.bothy.NetworkFrames")
@Label("Network Frames")
@Category("Bothy")
@Description("Frames through a network card in a period; nothing where there were none")
@Period("1 s")
@StackTrace(false)
final class NetworkFramesEvent extends Event {
  @Label("Card")
  @Description("Ethernet address")
  String card;

  @Label("Sent Frames")
  @Description("By the guest; large ones that the host cuts up count once")
  long sentFrames;

  @Label("Sent Bytes")
  @DataAmount
  long sentBytes;

  @Label("Received Frames")
  long receivedFrames;

  @Label("Received Bytes")
  @DataAmount
  long receivedBytes;
}
