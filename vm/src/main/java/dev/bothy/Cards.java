package dev.bothy;

import dev.bothy.core.Trace;
import dev.bothy.device.pci.EduDevice;
import dev.bothy.device.pci.PciTestDevice;
import dev.bothy.device.virtio.ConsolePort;
import dev.bothy.device.virtio.VirtioBalloon;
import dev.bothy.device.virtio.VirtioBlock;
import dev.bothy.device.virtio.VirtioConsole;
import dev.bothy.device.virtio.VirtioFs;
import dev.bothy.device.virtio.VirtioNet;
import dev.bothy.device.virtio.VirtioPci;
import dev.bothy.device.virtio.VirtioVsock;
import dev.bothy.device.virtio.VsockListener;
import dev.bothy.image.BlockDevice;
import dev.bothy.image.ImageException;
import dev.bothy.image.Images;
import dev.bothy.machine.MachineOptions;
import dev.bothy.machine.PciCard;
import dev.bothy.net.MacAddress;
import dev.bothy.net.Network;
import dev.bothy.net.PortForward;
import dev.bothy.share.FuseServer;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.function.Consumer;

/**
 * The cards of a machine and what they hold on the host: opened before the machine is made, closed
 * after it. Not thread-safe.
 */
final class Cards implements AutoCloseable {
  /** More queues than that are of no use to anybody. */
  private static final int MAX_QUEUES = 8;

  /** Of a disk, under way at once; a multiple of the number of queues. */
  private static final int DISK_REQUESTS = 64;

  private static final int MAX_SHARE_QUEUES = 4;

  /** Requests of a queue that may wait for the host's file system at once. */
  private static final int SHARE_REQUESTS = 16;

  private final List<PciCard> cards = new ArrayList<>();
  private final List<BlockDevice> disks = new ArrayList<>();
  private final List<String> diskLines = new ArrayList<>();
  private final List<Network> networks = new ArrayList<>();
  private final List<String> networkLines = new ArrayList<>();
  private final List<VsockListener> listeners = new ArrayList<>();
  private final List<ConsoleSocket> sockets = new ArrayList<>();
  private final List<FuseServer> shares = new ArrayList<>();

  /** What is traced, and the lines of it. */
  private record Traced(TraceOption option, TraceLines lines) {}

  private Optional<Traced> traced = Optional.empty();

  List<PciCard> cards() {
    return List.copyOf(cards);
  }

  /** The PCI functions that conformance guests look for. */
  void addTestDevices() {
    cards.add(host -> new PciTestDevice());
    cards.add(host -> new EduDevice(host.memory()));
  }

  /** The disks, a line for people each. */
  List<String> disks() {
    return List.copyOf(diskLines);
  }

  /** The network cards, a line for people each. */
  List<String> networks() {
    return List.copyOf(networkLines);
  }

  /**
   * Opens a disk's image.
   *
   * @param troubles told in one line why the machine is going to pause
   * @throws ImageException in one line, if it cannot be used
   */
  void add(Disk disk, Consumer<String> troubles) throws IOException {
    Images.How how = disk.readOnly() ? Images.How.READING : Images.How.WRITING;
    BlockDevice image = Images.open(disk.file(), how.as(disk.format()));
    disks.add(image);
    diskLines.add(
        "%s: %s%d bytes%s, cache %s"
            .formatted(
                disk.file(),
                disk.format().map(format -> format + ", ").orElse(""),
                image.size(),
                disk.readOnly() ? ", read-only" : "",
                disk.cache().name().toLowerCase(Locale.ROOT)));
    cards.add(
        host -> {
          int queues = Math.min(host.cpus(), MAX_QUEUES);
          return new VirtioPci(
              new VirtioBlock(
                  host.memory(),
                  host.io(),
                  image,
                  disk.serial(),
                  disk.cache(),
                  disk.writeErrors(),
                  queues,
                  host.reproducible() ? 1 : DISK_REQUESTS / queues,
                  trouble -> {
                    host.pause().run();
                    troubles.accept(
                        "a disk cannot be written, and the machine pauses: "
                            + Images.named(disk.file(), trouble).getMessage());
                  }));
        });
  }

  /**
   * Opens a network, if there is to be one.
   *
   * @param troubles told in one line what of it stops working later
   * @throws IOException in one line, if that is not possible
   */
  void add(NetworkOption option, Consumer<String> troubles) throws IOException {
    Optional<Network> opened = option.open(troubles);
    if (opened.isEmpty()) {
      return;
    }
    Network network = opened.get();
    networks.add(network);
    MacAddress address = option.mac().orElse(MacAddress.ofCard(networks.size() - 1));
    networkLines.add(address + ": " + describe(option));
    cards.add(
        host -> {
          int pairs = Math.min(host.cpus(), MAX_QUEUES);
          VirtioNet card = new VirtioNet(host.memory(), host.io(), network, address, pairs);
          card.plugIn();
          return new VirtioPci(card);
        });
  }

  private static String describe(NetworkOption option) {
    return switch (option) {
      case NetworkOption.None _ -> "none";
      case NetworkOption.Tap tap -> "tap, interface " + tap.interfaceName();
      case NetworkOption.User user -> {
        StringBuilder out = new StringBuilder(user.restricted() ? "user, restricted" : "user");
        for (PortForward forward : user.forwards()) {
          out.append(
              ", %s %s:%d to guest's %s:%d"
                  .formatted(
                      forward.protocol().name().toLowerCase(Locale.ROOT),
                      forward.hostAddress(),
                      forward.hostPort(),
                      forward.guestAddress(),
                      forward.guestPort()));
        }
        yield out.toString();
      }
    };
  }

  /**
   * Listens at the socket of a socket device.
   *
   * @throws IOException in one line, if that is not possible
   */
  void add(Vsock vsock) throws IOException {
    VsockListener listener = new VsockListener(vsock.path());
    listeners.add(listener);
    cards.add(
        host -> new VirtioPci(new VirtioVsock(host.memory(), host.io(), vsock.cid(), listener)));
  }

  /**
   * Opens a folder.
   *
   * @throws IOException in one line, if it cannot be shared
   */
  void add(Share share) throws IOException {
    FuseServer folder = FuseServer.open(share.folder(), share.readOnly());
    shares.add(folder);
    cards.add(
        host ->
            new VirtioPci(
                new VirtioFs(
                    host.memory(),
                    host.io(),
                    folder,
                    share.tag(),
                    Math.min(host.cpus(), MAX_SHARE_QUEUES),
                    host.reproducible() ? 1 : SHARE_REQUESTS)));
  }

  /**
   * Opens the sockets of a console device, and adds that with {@code ports} and theirs.
   *
   * @throws IOException in one line, if that is not possible
   */
  void add(List<ConsolePort> ports, List<ConsoleSocket.Place> places) throws IOException {
    int count = ports.size() + places.size();
    if (count > VirtioConsole.MAX_PORTS) {
      throw new IOException(
          "a machine has at most " + VirtioConsole.MAX_PORTS + " more consoles, not " + count);
    }
    List<ConsolePort> all = new ArrayList<>(ports);
    for (ConsoleSocket.Place place : places) {
      ConsoleSocket socket = new ConsoleSocket(place);
      sockets.add(socket);
      all.add(socket.port());
    }
    if (!all.isEmpty()) {
      cards.add(
          host -> {
            VirtioConsole console = new VirtioConsole(host.memory(), all);
            console.plugIn();
            return new VirtioPci(console);
          });
    }
  }

  /**
   * Opens what a trace is written to, if there is to be one.
   *
   * @param taker of lines that go to no file
   * @param troubles told in one line that the file cannot be written any more
   * @throws IOException in one line, if it cannot be opened
   */
  void add(Optional<TraceOption> option, Consumer<String> taker, Consumer<String> troubles)
      throws IOException {
    if (option.isPresent()) {
      traced = Optional.of(new Traced(option.get(), new TraceLines(option.get(), taker, troubles)));
    }
  }

  /** {@code options} with all cards, and with what is traced. */
  MachineOptions in(MachineOptions options) {
    MachineOptions all = options;
    for (PciCard card : cards) {
      all = all.withCard(card);
    }
    return traced.isPresent()
        ? all.withTrace(new Trace(traced.get().option.wanted(), traced.get().lines))
        : all;
  }

  /** Adds a balloon, which is there when the machine is made. */
  void addBalloon(Consumer<VirtioBalloon> made) {
    cards.add(
        host -> {
          VirtioBalloon balloon = new VirtioBalloon(host.memory());
          made.accept(balloon);
          return new VirtioPci(balloon);
        });
  }

  /**
   * Flushes and closes everything.
   *
   * @throws IOException the first of what went wrong; everything is closed nevertheless
   */
  @Override
  public void close() throws IOException {
    IOException first = null;
    for (BlockDevice disk : disks) {
      try {
        disk.close();
      } catch (IOException e) {
        first = first == null ? e : first;
      }
    }
    disks.clear();
    sockets.forEach(ConsoleSocket::close);
    sockets.clear();
    networks.forEach(Network::close);
    networks.clear();
    listeners.forEach(VsockListener::close);
    listeners.clear();
    shares.forEach(FuseServer::close);
    shares.clear();
    traced.ifPresent(trace -> trace.lines.close());
    traced = Optional.empty();
    if (first != null) {
      throw first;
    }
  }
}
