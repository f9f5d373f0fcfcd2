package dev.bothy.debug;

import dev.bothy.core.StopCause;
import dev.bothy.core.StopPoints;
import dev.bothy.core.cpu.CpuState;
import dev.bothy.core.cpu.SvmState;
import dev.bothy.debug.monitor.Monitor;
import dev.bothy.debug.monitor.MonitorException;
import dev.bothy.machine.Machine;
import dev.bothy.machine.MachineDebugger;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.HexFormat;
import java.util.List;
import java.util.Queue;
import java.util.Set;

/**
 * One debugger's visit: gdb's remote protocol as appendix E of its manual has it, in all-stop mode;
 * vCPU n is thread n + 1. One lock guards a session; it is not held while packets are waited for.
 *
 * <p>The debugger is believed nothing. What makes no sense is answered by E01, memory that is not
 * there by E14, what a register cannot be by E22, too many breakpoints by E28 (errno's numbers, in
 * hexadecimal on the wire).
 */
final class GdbSession {
  private static final String OK = "OK";
  private static final String MEANINGLESS = "E01";
  private static final String NO_MEMORY = "E0e";
  private static final String NOT_THAT = "E16";
  private static final String TOO_MANY = "E1c";

  /** To a command that is not known. */
  private static final String UNKNOWN = "";

  private static final String SIGINT = "02";
  private static final String SIGTRAP = "05";

  /** In a guest's word of virtual interrupts: it has a task priority of its own. */
  private static final int VIRTUAL_PRIORITY = 1 << 24;

  /** Bytes of memory in an answer at most. */
  private static final int MOST_MEMORY = PacketStream.LONGEST / 2 - 16;

  private static final int MOST_BREAKPOINTS = 1024;
  private static final int MOST_WATCHPOINTS = 32;
  private static final int LONGEST_WATCHPOINT = 4096;

  private static final HexFormat HEX = HexFormat.of();

  private final Machine machine;
  private final MachineDebugger debugger;
  private final Monitor monitor;
  private final PacketStream packets;
  private final int cpus;
  private final Registers registers;
  private final String description;

  private final Set<Long> software = new HashSet<>();
  private final Set<Long> hardware = new HashSet<>();
  private final List<StopPoints.Watchpoint> watchpoints = new ArrayList<>();

  /** The machine knows of the present breakpoints. */
  private boolean pointsKnown;

  private boolean running;

  /** Addresses of memory are physical. */
  private boolean physical;

  /** The thread that has stopped, or that gdb has chosen, from 1. */
  private int thread = 1;

  /** What the last stop was, to be told again. */
  private String stop;

  /** How the machine has ended, or null. */
  private String end;

  private boolean tellsSoftware;
  private boolean tellsHardware;

  /** A vCPU met a watchpoint while another one was reported. */
  private record Missed(int index, StopCause.Watched cause) {}

  private final Queue<Missed> missed = new ArrayDeque<>();

  /**
   * @param debugger holds the machine, whose vCPUs all stand
   */
  GdbSession(
      Machine machine,
      MachineDebugger debugger,
      Monitor monitor,
      RegisterLayout layout,
      PacketStream packets) {
    this.machine = machine;
    this.debugger = debugger;
    this.monitor = monitor;
    this.packets = packets;
    cpus = machine.options().cpus();
    registers =
        new Registers(layout, machine.memory(), machine.options().model(), new LocalTaskPriority());
    description = TargetDescription.of(registers);
    stop = "T" + SIGTRAP + "thread:1;";
  }

  /** Serves until the debugger has gone, or has said that it goes; what it leaves behind stays. */
  void serve() throws IOException {
    for (PacketStream.Event event = packets.next(); event != null; event = packets.next()) {
      synchronized (this) {
        switch (event) {
          case PacketStream.Interrupt _ -> interrupt();
          case PacketStream.Garbage _ -> packets.send(MEANINGLESS);
          case PacketStream.Command command -> {
            if (!obeyUndisturbed(command)) {
              return;
            }
          }
        }
      }
    }
  }

  /** Waits until the host has taken what the debugger was told, or {@code most} is over. */
  void awaitSent(Duration most) {
    packets.awaitSent(most);
  }

  // Stops.

  private void interrupt() throws IOException {
    if (running) {
      debugger.stop();
      running = false;
      tell("T" + SIGINT + "thread:" + Integer.toHexString(thread) + ";");
    }
  }

  /** vCPU {@code index} has stopped; all stand. */
  synchronized void stopped(int index, StopCause cause) {
    if (running) {
      running = false;
      thread = index + 1;
      try {
        tell(report(index, cause));
      } catch (IOException e) {
        // Its reader notices.
      }
    } else if (cause instanceof StopCause.Watched watched) {
      // The access is done: it will not be met again, as a breakpoint will.
      missed.add(new Missed(index, watched));
    }
  }

  /** The machine has ended, with an exit status that says how. */
  synchronized void ended(int status) throws IOException {
    end = "W" + HEX.toHexDigits((byte) status);
    if (running) {
      ended(end);
    }
  }

  private void ended(String how) throws IOException {
    running = false;
    tell(how);
  }

  private void tell(String reply) throws IOException {
    stop = reply;
    packets.send(reply);
  }

  private String report(int index, StopCause cause) {
    String reason =
        switch (cause) {
          case StopCause.Breakpoint(long address) when software.contains(address) ->
              tellsSoftware ? "swbreak:;" : "";
          case StopCause.Breakpoint _ -> tellsHardware ? "hwbreak:;" : "";
          case StopCause.Watched(StopPoints.Watchpoint point, long address) ->
              (point.reads() ? point.writes() ? "awatch" : "rwatch" : "watch")
                  + ":"
                  + Long.toHexString(address)
                  + ";";
          case StopCause.Stepped _ -> "";
        };
    return "T" + SIGTRAP + reason + "thread:" + Integer.toHexString(index + 1) + ";";
  }

  // Commands.

  /** The processors stay the same ones meanwhile, unless gdb itself wants others. */
  private boolean obeyUndisturbed(PacketStream.Command command) throws IOException {
    machine.engineLock().lock();
    try {
      return obey(command);
    } finally {
      machine.engineLock().unlock();
    }
  }

  /** Does what gdb says; false if this was the last. */
  private boolean obey(PacketStream.Command command) throws IOException {
    String text = command.text();
    if (text.equals("D") || text.startsWith("D;")) {
      packets.send(OK);
      return false;
    }
    if (text.equals("k") || text.startsWith("vKill")) {
      machine.stop();
      if (text.startsWith("v")) {
        packets.send(OK);
      }
      return false;
    }
    if (!running && !debugger.stands() && text.matches("(?s)[cCsS].*|vCont;.*")) {
      // The machine is ending: that is the answer.
      running = true;
      if (end != null) {
        ended(end);
      }
      return true;
    }
    String reply;
    try {
      // The processors must stand for all that follows. They do not when the machine has just
      // ended.
      reply = running || !debugger.stands() ? MEANINGLESS : reply(text, command.bytes());
    } catch (IllegalArgumentException | IndexOutOfBoundsException e) {
      reply = MEANINGLESS;
    }
    if (reply != null) {
      packets.send(reply);
      if (text.equals("QStartNoAckMode")) {
        packets.stopAcknowledging();
      }
    }
    return true;
  }

  /** The answer to a command; null if there is none yet. */
  private String reply(String text, byte[] bytes) throws IOException {
    String rest = text.isEmpty() ? "" : text.substring(1);
    return switch (text.isEmpty() ? ' ' : text.charAt(0)) {
      case '?' -> stop;
      case 'g' -> readAll();
      case 'G' -> writeAll(rest);
      case 'p' -> readRegister(rest);
      case 'P' -> writeRegister(rest);
      case 'm' -> readMemory(rest);
      case 'M' -> writeMemory(rest);
      case 'X' -> writeBinary(text, bytes);
      case 'Z' -> point(rest, true);
      case 'z' -> point(rest, false);
      case 'H' -> choose(rest);
      case 'T' -> isThread(rest) ? OK : MEANINGLESS;
      case 'c' -> resume(ResumeRequest.all(cpus), rest);
      case 'C' -> resume(ResumeRequest.all(cpus), behindSignal(rest));
      case 's' -> resume(ResumeRequest.stepping(thread, cpus), rest);
      case 'S' -> resume(ResumeRequest.stepping(thread, cpus), behindSignal(rest));
      case 'v' -> resumeEach(rest);
      case 'q', 'Q' -> query(text);
      default -> UNKNOWN;
    };
  }

  private String resumeEach(String rest) throws IOException {
    if (rest.equals("Cont?")) {
      return "vCont;c;C;s;S";
    }
    return rest.startsWith("Cont;")
        ? resume(ResumeRequest.parse(rest.substring("Cont".length()), cpus), "")
        : UNKNOWN;
  }

  /** What follows a signal's number: {@code ;ADDRESS} or nothing. */
  private static String behindSignal(String rest) {
    int semicolon = rest.indexOf(';');
    return semicolon < 0 ? "" : rest.substring(semicolon + 1);
  }

  /**
   * @param address where the chosen thread is to go on, if not where it is
   */
  private String resume(ResumeRequest request, String address) throws IOException {
    if (!address.isEmpty() && !setPc(number(address))) {
      return NOT_THAT;
    }
    if (end != null) {
      tell(end);
      return null;
    }
    missed.removeIf(hit -> !watchpoints.contains(hit.cause.point()));
    Missed hit = missed.poll();
    if (hit != null) {
      thread = hit.index + 1;
      tell(report(hit.index, hit.cause));
      return null;
    }
    if (!pointsKnown) {
      debugger.stopAt(points());
      pointsKnown = true;
    }
    running = true;
    debugger.run(request.running(), request.steps());
    return null;
  }

  private StopPoints points() {
    Set<Long> breakpoints = new HashSet<>(software);
    breakpoints.addAll(hardware);
    return new StopPoints(breakpoints, watchpoints);
  }

  private boolean setPc(long address) {
    int bytes = registers.layout().is64() ? Long.BYTES : Integer.BYTES;
    ByteBuffer value = buffer(Long.BYTES).putLong(address).flip();
    return registers.all().stream()
        .filter(register -> register.type().equals("code_ptr"))
        .allMatch(register -> register.write(cpu(), value.limit(bytes)));
  }

  /** CR8: a guest's own, if it runs and has one; else its local APIC's. */
  private final class LocalTaskPriority implements Registers.TaskPriority {
    private boolean isGuests() {
      int word = cpu().getInt32(SvmState.VIRTUAL_INTERRUPT);
      return cpu().getInt32(SvmState.GUEST) != 0 && (word & VIRTUAL_PRIORITY) != 0;
    }

    @Override
    public int get() {
      return isGuests()
          ? cpu().getInt32(SvmState.VIRTUAL_INTERRUPT) & 15
          : machine.localApic(thread - 1).taskPriority();
    }

    @Override
    public void set(int priority) {
      if (isGuests()) {
        int others = cpu().getInt32(SvmState.VIRTUAL_INTERRUPT) & ~0xff;
        cpu().setInt32(SvmState.VIRTUAL_INTERRUPT, others | priority);
      } else {
        machine.localApic(thread - 1).setTaskPriority(priority);
      }
    }
  }

  private CpuState cpu() {
    return machine.vcpu(thread - 1).state();
  }

  private boolean isThread(String text) {
    int number = ResumeRequest.thread(text);
    return number >= 1 && number <= cpus;
  }

  /**
   * Hg and Hc; the latter matters to {@code s} and {@code c} alone, which nobody sends any more.
   */
  private String choose(String rest) {
    int number = ResumeRequest.thread(rest.substring(1));
    if (number == ResumeRequest.ALL || number == 0) {
      return OK;
    }
    if (number < 1 || number > cpus) {
      return MEANINGLESS;
    }
    thread = number;
    return OK;
  }

  // Registers.

  private static ByteBuffer buffer(int bytes) {
    return ByteBuffer.allocate(bytes).order(ByteOrder.LITTLE_ENDIAN);
  }

  private String readAll() {
    ByteBuffer out = buffer(registers.bytes());
    registers.all().forEach(register -> register.get().get(cpu(), out));
    return HEX.formatHex(out.array());
  }

  private String writeAll(String hex) {
    ByteBuffer in = ByteBuffer.wrap(HEX.parseHex(hex)).order(ByteOrder.LITTLE_ENDIAN);
    boolean all = true;
    for (Register register : registers.all()) {
      if (in.remaining() < register.bytes()) {
        break;
      }
      all &= register.write(cpu(), in);
    }
    return all ? OK : NOT_THAT;
  }

  private Register register(String number) {
    return registers.all().get(Integer.parseUnsignedInt(number, 16));
  }

  private String readRegister(String rest) {
    Register register = register(rest);
    ByteBuffer out = buffer(register.bytes());
    register.get().get(cpu(), out);
    return HEX.formatHex(out.array());
  }

  private String writeRegister(String rest) {
    String[] parts = rest.split("=", 2);
    Register register = register(parts[0]);
    ByteBuffer in = ByteBuffer.wrap(HEX.parseHex(parts[1])).order(ByteOrder.LITTLE_ENDIAN);
    return in.remaining() == register.bytes() && register.write(cpu(), in) ? OK : NOT_THAT;
  }

  // Memory.

  private static long number(String hex) {
    return Long.parseUnsignedLong(hex, 16);
  }

  private MemoryView memory() {
    return new MemoryView(machine.memory(), cpu(), physical);
  }

  private String readMemory(String rest) {
    String[] parts = rest.split(",", 2);
    long length = number(parts[1]);
    int most = Long.compareUnsigned(length, MOST_MEMORY) < 0 ? (int) length : MOST_MEMORY;
    byte[] bytes = memory().read(number(parts[0]), most);
    return bytes.length == 0 && length != 0 ? NO_MEMORY : HEX.formatHex(bytes);
  }

  private String writeMemory(String rest) {
    String[] parts = rest.split("[,:]", 3);
    byte[] bytes = HEX.parseHex(parts[2]);
    return bytes.length == number(parts[1]) ? store(number(parts[0]), bytes) : MEANINGLESS;
  }

  private String writeBinary(String text, byte[] packet) {
    int colon = text.indexOf(':');
    String[] parts = text.substring(1, colon).split(",", 2);
    byte[] bytes = Arrays.copyOfRange(packet, colon + 1, packet.length);
    return bytes.length == number(parts[1]) ? store(number(parts[0]), bytes) : MEANINGLESS;
  }

  private String store(long address, byte[] bytes) {
    return memory().write(address, bytes) ? OK : NO_MEMORY;
  }

  // Breakpoints and watchpoints.

  private String point(String rest, boolean set) {
    String[] parts = rest.split("[,;]");
    long address = number(parts[1]);
    long length = number(parts[2]);
    return switch (parts[0]) {
      case "0" -> breakpoint(software, address, set);
      case "1" -> breakpoint(hardware, address, set);
      case "2" -> watchpoint(address, length, false, true, set);
      case "3" -> watchpoint(address, length, true, false, set);
      case "4" -> watchpoint(address, length, true, true, set);
      default -> UNKNOWN;
    };
  }

  private String breakpoint(Set<Long> points, long address, boolean set) {
    if (set && points.size() >= MOST_BREAKPOINTS && !points.contains(address)) {
      return TOO_MANY;
    }
    boolean changes = set ? points.add(address) : points.remove(address);
    if (set && changes && !debugger.takes(points())) {
      points.remove(address);
      return TOO_MANY;
    }
    pointsKnown &= !changes;
    return OK;
  }

  private String watchpoint(long address, long length, boolean reads, boolean writes, boolean set) {
    if (length < 1 || length > LONGEST_WATCHPOINT) {
      return NOT_THAT;
    }
    var point = new StopPoints.Watchpoint(address, (int) length, reads, writes);
    if (set && watchpoints.size() >= MOST_WATCHPOINTS && !watchpoints.contains(point)) {
      return TOO_MANY;
    }
    if (set != watchpoints.contains(point)) {
      if (!set) {
        watchpoints.remove(point);
      } else {
        watchpoints.add(point);
        if (!debugger.takes(points())) {
          watchpoints.remove(point);
          return TOO_MANY;
        }
      }
      pointsKnown = false;
    }
    return OK;
  }

  // Queries.

  private String query(String text) throws IOException {
    String name = text.split("[:,;]", 2)[0];
    String rest = text.substring(Math.min(text.length(), name.length() + 1));
    return switch (name) {
      case "qSupported" -> supported(rest);
      case "QStartNoAckMode" -> OK;
      case "qAttached" -> "1";
      case "qC" -> "QC" + Integer.toHexString(thread);
      case "qfThreadInfo" -> threads();
      case "qsThreadInfo" -> "l";
      case "qThreadExtraInfo" -> extra(rest);
      case "qSymbol" -> OK;
      case "qXfer" -> transfer(rest);
      case "qRcmd" -> monitor(new String(HEX.parseHex(rest), StandardCharsets.UTF_8));
      // QEMU's name for it, which people know.
      case "qqemu.PhyMemMode" -> physical ? "1" : "0";
      case "Qqemu.PhyMemMode" -> {
        physical = rest.equals("1");
        yield OK;
      }
      default -> UNKNOWN;
    };
  }

  private String supported(String rest) {
    List<String> features = List.of(rest.split(";"));
    tellsSoftware = features.contains("swbreak+");
    tellsHardware = features.contains("hwbreak+");
    return "PacketSize="
        + Integer.toHexString(PacketStream.LONGEST)
        + ";QStartNoAckMode+;qXfer:features:read+;vContSupported+;swbreak+;hwbreak+";
  }

  private String threads() {
    StringBuilder out = new StringBuilder("m");
    for (int i = 1; i <= cpus; i++) {
      out.append(i == 1 ? "" : ",").append(Integer.toHexString(i));
    }
    return out.toString();
  }

  private String extra(String number) {
    if (!isThread(number)) {
      return MEANINGLESS;
    }
    int index = ResumeRequest.thread(number) - 1;
    String activity =
        switch (machine.vcpu(index).state().getInt32(CpuState.ACTIVITY)) {
          case CpuState.ACTIVITY_HALTED -> "halted";
          case CpuState.ACTIVITY_WAIT_STARTUP -> "waits for start-up";
          case CpuState.ACTIVITY_SHUTDOWN -> "shut down";
          default -> "runs";
        };
    return hex("vCPU " + index + ": " + activity);
  }

  private static String hex(String text) {
    return HEX.formatHex(text.getBytes(StandardCharsets.UTF_8));
  }

  /** {@code features:read:target.xml:OFFSET,LENGTH}. */
  private String transfer(String rest) {
    String[] parts = rest.split("[:,]");
    if (!parts[0].equals("features") || !parts[1].equals("read")) {
      return UNKNOWN;
    }
    if (!parts[2].equals("target.xml")) {
      return "E00";
    }
    long offset = number(parts[3]);
    long length = number(parts[4]);
    if (offset < 0 || offset > description.length() || length < 0) {
      return MEANINGLESS;
    }
    // Escapes may double it.
    int end = (int) Math.min(description.length(), offset + Math.min(length, MOST_MEMORY));
    return (end == description.length() ? "l" : "m") + description.substring((int) offset, end);
  }

  /** What gdb's user types behind {@code monitor}. */
  private String monitor(String line) throws IOException {
    String said;
    try {
      said = monitor.run(line);
    } catch (MonitorException e) {
      said = e.getMessage() + "\n";
    }
    int most = MOST_MEMORY / 4;
    for (int at = 0; at < said.length(); at += most) {
      packets.send("O" + hex(said.substring(at, Math.min(said.length(), at + most))));
    }
    return OK;
  }
}
