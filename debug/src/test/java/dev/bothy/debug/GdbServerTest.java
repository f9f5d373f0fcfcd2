package dev.bothy.debug;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.bothy.debug.monitor.Monitor;
import dev.bothy.machine.Machine;
import dev.bothy.machine.MachineExit;
import dev.bothy.machine.MachineOptions;
import dev.bothy.machine.boot.BootState;
import dev.bothy.x86.interpret.InterpreterEngine;
import java.io.DataInputStream;
import java.io.EOFException;
import java.io.IOException;
import java.net.InetAddress;
import java.net.Socket;
import java.net.SocketException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.Optional;
import java.util.Random;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.TimeUnit;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** The server at the end of a wire that anything may come from. */
@Timeout(600)
class GdbServerTest {
  private static final long ENTRY = 0x10_0000;

  /** inc dword [0x9000]; jmp to it: 32-bit code. */
  private static final byte[] COUNTING = HexFormat.of().parseHex("ff0500900000ebf8");

  private static final long COUNTER = 0x9000;

  /** What has ended a thread of anybody's, the server's among them. */
  private final List<Throwable> thrown = new CopyOnWriteArrayList<>();

  private Machine machine;
  private GdbServer server;

  @BeforeEach
  void listenForMistakes() {
    Thread.setDefaultUncaughtExceptionHandler((_, e) -> thrown.add(e));
  }

  @AfterEach
  void nobodyHasMadeOne() {
    Thread.setDefaultUncaughtExceptionHandler(null);
    assertEquals(List.of(), thrown);
  }

  @BeforeEach
  void startMachine() throws Exception {
    machine =
        new Machine(
            MachineOptions.of(
                4 << 20,
                InterpreterEngine::new,
                environment -> {
                  environment.memory().write(ENTRY, COUNTING);
                  BootState state =
                      new BootState(BootState.Mode.PROTECTED, ENTRY, 0, 0, 0, 0x8_0000);
                  state.writeTables(environment.memory());
                  return state;
                },
                value -> {}));
    server =
        GdbServer.atPort(
            machine,
            new Monitor(machine, List::of, List::of, new TestEngines(machine)),
            0,
            Optional.empty());
    machine.start();
    server.start();
    awaitCounting();
  }

  @AfterEach
  void close() {
    server.close();
    machine.close();
  }

  private void awaitCounting() throws InterruptedException {
    int before = machine.memory().readInt(COUNTER);
    while (machine.memory().readInt(COUNTER) == before) {
      Thread.sleep(1);
    }
  }

  /** A debugger by hand. */
  private final class Client implements AutoCloseable {
    final Socket socket;
    final DataInputStream in;

    Client() throws IOException {
      int port = Integer.parseInt(server.target().split(":")[1]);
      socket = new Socket(InetAddress.getByAddress(new byte[] {127, 0, 0, 1}), port);
      socket.setSoTimeout(1000 * SmallGuest.PATIENCE);
      socket.setTcpNoDelay(true);
      in = new DataInputStream(socket.getInputStream());
    }

    void raw(String bytes) throws IOException {
      socket.getOutputStream().write(bytes.getBytes(StandardCharsets.ISO_8859_1));
    }

    void send(String packet) throws IOException {
      int sum = 0;
      for (char c : packet.toCharArray()) {
        sum += c;
      }
      raw("$" + packet + "#" + HexFormat.of().toHexDigits((byte) sum));
    }

    /** The next packet, acknowledged. */
    String receive() throws IOException {
      int b;
      do {
        b = in.readUnsignedByte();
      } while (b != '$');
      StringBuilder text = new StringBuilder();
      while ((b = in.readUnsignedByte()) != '#') {
        text.append((char) (b == '}' ? in.readUnsignedByte() ^ 0x20 : b));
      }
      in.readUnsignedByte();
      in.readUnsignedByte();
      raw("+");
      return text.toString();
    }

    String ask(String packet) throws IOException {
      send(packet);
      return receive();
    }

    boolean isGone() throws IOException {
      try {
        return in.read() < 0;
      } catch (SocketException e) {
        return true;
      }
    }

    @Override
    public void close() throws IOException {
      socket.close();
    }
  }

  /**
   * A debugger that has been let in. Those before it may take longer to go than the server waits
   * for them: it comes again then.
   */
  private Client letIn() throws Exception {
    long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(SmallGuest.PATIENCE);
    while (true) {
      Client client = new Client();
      try {
        client.ask("qC");
        return client;
      } catch (EOFException | SocketException e) {
        client.close();
        assertTrue(System.nanoTime() < deadline, "the server lets nobody in");
      }
    }
  }

  @Test
  void stopsTheMachineWhileADebuggerIsThere() throws Exception {
    try (Client client = new Client()) {
      assertEquals("T05thread:1;", client.ask("?"));
      int counted = machine.memory().readInt(COUNTER);
      assertEquals("T05thread:1;", client.ask("?"));
      assertEquals(counted, machine.memory().readInt(COUNTER));
      assertEquals("OK", client.ask("D"));
      assertTrue(client.isGone());
    }
    awaitCounting();
  }

  @Test
  void turnsASecondDebuggerAway() throws Exception {
    try (Client first = new Client()) {
      first.ask("?");
      try (Client second = new Client()) {
        second.send("?");
        assertTrue(second.isGone());
      }
      assertEquals("QC1", first.ask("qC"));
    }
    awaitCounting();
    try (Client third = letIn()) {
      assertEquals("QC1", third.ask("qC"));
    }
  }

  @Test
  void browsersAndSilenceDoNotStopTheMachine() throws Exception {
    try (Client silent = new Client();
        Client browser = new Client()) {
      browser.raw("POST / HTTP/1.1\r\n\r\n$k#6b");
      assertTrue(browser.isGone());
      awaitCounting();
      assertTrue(machine.running());
      assertTrue(silent.socket.isConnected());
    }
  }

  @Test
  void whoSaysNothingStaysNoLongerThanTheServer() throws Exception {
    List<Client> silent = new ArrayList<>();
    for (int i = 0; i < GdbServer.MOST_CALLERS; i++) {
      silent.add(new Client());
    }
    try (Client tooMany = new Client()) {
      assertTrue(tooMany.isGone());
    }
    server.close();
    for (Client client : silent) {
      assertTrue(client.isGone());
      client.close();
    }
  }

  @Test
  void describesA32BitProcessorAsOne() throws Exception {
    try (Client client = new Client()) {
      assertTrue(client.ask("qSupported:swbreak+").contains("qXfer:features:read+"));
      String description = client.ask("qXfer:features:read:target.xml:0,fff");
      assertTrue(description.contains("<architecture>i386</architecture>"), description);
      String rest = client.ask("qXfer:features:read:target.xml:fff,3000");
      assertTrue(rest.endsWith("</target>\n"), rest);
      Matcher pc = Pattern.compile("name=\"eip\".*?regnum=\"(\\d+)\"").matcher(description);
      assertTrue(pc.find());
      String number = Integer.toHexString(Integer.parseInt(pc.group(1)));
      assertEquals("OK", client.ask("Z0,100000,1"));
      client.send("vCont;c");
      assertEquals("T05swbreak:;thread:1;", client.receive());
      assertEquals("00001000", client.ask("p" + number));
      assertEquals("ff0500900000ebf8", client.ask("m100000,8"));
      assertEquals("T05thread:1;", client.ask("vCont;s:1"));
      assertEquals("06001000", client.ask("p" + number));
      assertEquals("OK", client.ask("P" + number + "=00001000"));
      assertEquals("00001000", client.ask("p" + number));
      String all = client.ask("g");
      assertEquals("OK", client.ask("G" + all));
      assertEquals(all, client.ask("g"));
    }
    awaitCounting();
  }

  @Test
  void breakpointsHoldWhenGdbChangesTheEngine() throws Exception {
    try (Client client = new Client()) {
      assertEquals("OK", client.ask("Z0,100006,1"));
      for (String engine : List.of("translator", "interpreter")) {
        assertEquals("OK", client.ask("qRcmd," + hex("engine " + engine)));
        assertEquals(engine, machine.engine());
        client.send("vCont;c");
        assertEquals("T05thread:1;", client.receive());
        assertEquals("ebf8", client.ask("m100006,2"));
      }
    }
    awaitCounting();
  }

  private static String hex(String text) {
    return HexFormat.of().formatHex(text.getBytes(StandardCharsets.US_ASCII));
  }

  @Test
  void answersNonsenseWithErrors() throws Exception {
    try (Client client = new Client()) {
      assertEquals("E01", client.ask("m"));
      assertEquals("E01", client.ask("mxyz,1"));
      assertEquals("E0e", client.ask("mffffffffffffffff,8"));
      assertEquals("E0e", client.ask("m400000,1"));
      assertEquals("E0e", client.ask("M3ffffe,4:01020304"));
      assertEquals("E01", client.ask("M100000,4:0102"));
      assertEquals("E01", client.ask("M100000,1:0"));
      assertEquals("E01", client.ask("X100000"));
      assertEquals("E01", client.ask("pffffffff"));
      assertEquals("E01", client.ask("p-1"));
      assertEquals("E01", client.ask("P0"));
      assertEquals("E16", client.ask("P0=00"));
      assertEquals("E01", client.ask("G0"));
      assertEquals("E01", client.ask("vCont;"));
      assertEquals("E01", client.ask("vCont;x"));
      assertEquals("E01", client.ask("vCont;c:2"));
      assertEquals("E01", client.ask("Hg"));
      assertEquals("E01", client.ask("Hg41"));
      assertEquals("E01", client.ask("T7fffffff"));
      assertEquals("E01", client.ask("Z0"));
      assertEquals("E16", client.ask("Z2,0,0"));
      assertEquals("E16", client.ask("Z2,0,ffffffffffffffff"));
      assertEquals("E01", client.ask("qXfer:features:read"));
      assertEquals("E01", client.ask("qXfer:features:read:target.xml:ffffffff,1"));
      assertEquals("E00", client.ask("qXfer:features:read:../etc/passwd:0,10"));
      assertEquals("", client.ask("vMustReplyEmpty"));
      assertEquals("", client.ask("\u0000\u00ff"));
      assertEquals("", client.ask(""));
      assertEquals("E01", client.ask("m".repeat(PacketStream.LONGEST + 1)));
      // Memory up to where it ends, and no more in a packet than there is room for.
      assertEquals(8, client.ask("m3ffffc,10").length());
      assertFalse(client.ask("m100000,ffffffff").length() > PacketStream.LONGEST);
    }
    awaitCounting();
  }

  @Test
  void takesAsManyBreakpointsAsItSaysAndNoMore() throws Exception {
    try (Client client = new Client()) {
      for (int i = 0; i < 1024; i++) {
        assertEquals("OK", client.ask("Z0," + Integer.toHexString(0x20_0000 + i) + ",1"));
      }
      assertEquals("E1c", client.ask("Z0,100000,1"));
      for (int i = 0; i < 32; i++) {
        assertEquals("OK", client.ask("Z2," + Integer.toHexString(0x20_0000 + i) + ",1"));
      }
      assertEquals("E1c", client.ask("Z2,100000,1"));
      assertEquals("OK", client.ask("z0,200000,1"));
      assertEquals("OK", client.ask("Z0,100000,1"));
      client.send("c");
      assertEquals("T05thread:1;", client.receive());
    }
    awaitCounting();
  }

  @Test
  void refusesWhatADebuggerMayOnlyAskWhileTheMachineStands() throws Exception {
    try (Client client = new Client()) {
      client.ask("?");
      client.send("c");
      assertEquals("E01", client.ask("g"));
      assertEquals("E01", client.ask("vCont;c"));
      client.raw("\u0003");
      assertEquals("T02thread:1;", client.receive());
    }
    awaitCounting();
  }

  @Test
  void survivesDamageOnTheWire() throws Exception {
    try (Client client = new Client()) {
      client.ask("?");
      client.raw("$g#00");
      int b;
      do {
        b = client.in.readUnsignedByte();
      } while (b == '+');
      assertEquals('-', b);
      client.raw("$m1000$qC#b4");
      assertEquals("QC1", client.receive());
      client.raw("-");
      assertEquals("QC1", client.receive());
    }
    awaitCounting();
  }

  @Test
  void survivesNoiseAndSuddenEnds() throws Exception {
    Random random = new Random(7);
    String alphabet = "$#+-\u0003}?gGpPmMXZzHTcCsSvqQD0123456789abcdef,;:=";
    for (int visit = 0; visit < 60; visit++) {
      try (Client client = new Client()) {
        client.raw("+");
        for (int i = 0; i < 30; i++) {
          StringBuilder noise = new StringBuilder();
          for (int n = random.nextInt(40); n > 0; n--) {
            noise.append(
                random.nextInt(8) == 0
                    ? (char) random.nextInt(256)
                    : alphabet.charAt(random.nextInt(alphabet.length())));
          }
          // Not the command that ends the machine.
          String text = noise.toString().replace('k', 'x').replace("vK", "v");
          if (random.nextBoolean()) {
            client.send(text.replace("#", "").replace("$", "").replace("}", ""));
          } else {
            client.raw(text);
          }
        }
      } catch (EOFException | SocketException e) {
        // It had said goodbye by chance.
      }
      // Registers are what the noise has made of them: the guest may have ended, nobody else.
      Optional<MachineExit> exit = machine.awaitExit(Duration.ZERO);
      if (exit.isPresent()) {
        assertInstanceOf(MachineExit.TripleFault.class, exit.get(), "visit " + visit);
        close();
        startMachine();
      }
    }
    // Those who were quick may still be waiting for each other.
    try (Client client = letIn()) {
      // If they have ended the machine, its threads may be about to.
      while (!machine.debugger().orElseThrow().stands()) {
        Thread.onSpinWait();
      }
      assertTrue(client.ask("qSupported").startsWith("PacketSize="));
    }
  }

  @Test
  void whoAsksAndDoesNotReadLosesItsConnection() throws Exception {
    try (Client client = new Client()) {
      client.ask("QStartNoAckMode");
      try {
        // More than hosts keep for a socket.
        for (int i = 0; i < 10_000; i++) {
          client.send("m" + Long.toHexString(ENTRY) + ",1f00");
        }
      } catch (SocketException e) {
        // It has been lost already.
      }
      try (Client next = letIn()) {
        assertTrue(next.ask("qSupported").startsWith("PacketSize="));
      }
    }
    machine.stop();
    server.close();
    machine.close();
  }

  @Test
  void tellsOfTheMachinesEnd() throws Exception {
    try (Client client = new Client()) {
      client.ask("?");
      client.send("c");
      machine.stop();
      assertEquals("W01", client.receive());
    }
  }

  @Test
  void killEndsTheMachine() throws Exception {
    try (Client client = new Client()) {
      client.send("k");
      assertEquals(
          Optional.of(new MachineExit.Stopped()),
          machine.awaitExit(Duration.ofSeconds(SmallGuest.PATIENCE)));
      assertTrue(client.isGone() || client.isGone());
    }
  }

  @Test
  void closesWhileADebuggerIsThere() throws Exception {
    try (Client client = new Client()) {
      client.ask("?");
      server.close();
      machine.close();
      assertTrue(client.isGone() || client.isGone());
    }
  }

  @Test
  void listensAtAUnixSocketToo(@TempDir Path folder) throws Exception {
    Path path = folder.resolve("gdb");
    try (GdbServer other =
        GdbServer.atSocket(
            machine,
            new Monitor(machine, List::of, List::of, new TestEngines(machine)),
            path,
            Optional.empty())) {
      assertEquals(path.toString(), other.target());
      assertTrue(path.toFile().exists());
    }
    assertFalse(path.toFile().exists());
  }
}
