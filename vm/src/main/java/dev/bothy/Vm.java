package dev.bothy;

import dev.bothy.core.cpu.CpuModel;
import dev.bothy.debug.GdbServer;
import dev.bothy.debug.monitor.Monitor;
import dev.bothy.device.virtio.ConsolePort;
import dev.bothy.device.virtio.VirtioBalloon;
import dev.bothy.guest.DefaultGuest;
import dev.bothy.guest.GuestException;
import dev.bothy.guest.Progress;
import dev.bothy.machine.EngineFactory;
import dev.bothy.machine.Machine;
import dev.bothy.machine.MachineExit;
import dev.bothy.machine.MachineOptions;
import dev.bothy.machine.MachineStatistics;
import dev.bothy.machine.MemoryMap;
import dev.bothy.machine.boot.BootException;
import dev.bothy.machine.boot.KernelBoot;
import dev.bothy.x86.translate.TranslatorEngine;
import java.io.IOException;
import java.io.OutputStream;
import java.io.UncheckedIOException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.atomic.AtomicReference;
import java.util.function.Consumer;

/**
 * A virtual x86-64 PC. Made by a {@link #builder}, {@link #start started} once, ended by its guest,
 * by {@link #stop} or by its time limit, and {@link #close closed}. Machines share nothing; a
 * process may have as many as it has memory for. Any thread.
 */
public final class Vm implements AutoCloseable {
  /** Folder of translated code in {@link DefaultGuest#cacheFolder}. */
  public static final String TRANSLATIONS = "translations";

  /** Folder of unpacked kernels there. */
  public static final String KERNELS = "kernels";

  private final Machine machine;
  private final ConsoleOutput output;
  private final Console console;
  private final Duration timeout;
  private final Cards cards;
  private final VirtioBalloon balloon;
  private final EngineSwitch engines;
  private final Monitor monitor;
  private final GdbServer gdb;

  /** Ends with the machine: notices its end, and its time limit. */
  private Thread watcher;

  private Vm(
      Machine machine,
      ConsoleOutput output,
      Duration timeout,
      Cards cards,
      VirtioBalloon balloon,
      EngineSwitch engines,
      Monitor monitor,
      GdbServer gdb) {
    this.engines = engines;
    this.monitor = monitor;
    this.gdb = gdb;
    this.cards = cards;
    this.balloon = balloon;
    this.machine = machine;
    this.output = output;
    this.console = new Console(output, machine.serial());
    this.timeout = timeout;
  }

  /** A machine of one processor and 1 GiB that boots the default guest, unless told otherwise. */
  public static Builder builder() {
    return new Builder();
  }

  /**
   * Switches the machine on. A console stream starts to get what the guest sends.
   *
   * @throws VmException if the kernel or initrd cannot be booted
   * @throws IllegalStateException if it was started before
   */
  public synchronized void start() throws VmException {
    try {
      machine.start();
    } catch (BootException e) {
      throw new VmException(e.getMessage(), e);
    }
    String name = machine.options().name();
    output.start(
        name + "-console",
        e ->
            machine.stop(
                new MachineExit.HostError(
                    "the console's output goes nowhere (" + e.getMessage() + ")", e)));
    watcher = Thread.ofPlatform().daemon().name(name + "-watcher").start(this::watch);
    if (gdb != null) {
      gdb.start();
    }
  }

  private void watch() {
    try {
      if (timeout != null && machine.awaitExit(timeout).isEmpty()) {
        machine.stop(new MachineExit.TimedOut());
        // A vCPU may wait for a console stream that takes nothing.
        if (machine.awaitExit(Duration.ofSeconds(1)).isEmpty()) {
          output.abandon();
        }
      }
      machine.awaitExit();
    } catch (InterruptedException e) {
      // Closed.
    }
    console.end();
  }

  /**
   * Waits for the machine to end.
   *
   * @throws IllegalStateException if it was never started
   */
  public MachineExit awaitExit() throws InterruptedException {
    return machine.awaitExit();
  }

  /** Waits at most {@code limit} for the machine to end; empty if it goes on. */
  public Optional<MachineExit> awaitExit(Duration limit) throws InterruptedException {
    return machine.awaitExit(limit);
  }

  /**
   * Waits until the console stream has everything; false if that takes longer than {@code limit}.
   */
  public boolean drainConsole(Duration limit) throws InterruptedException {
    return output.drain(limit);
  }

  /**
   * Pulls the plug: the machine ends as {@link MachineExit.Stopped}, unless it has ended. Returns
   * at once.
   */
  public void stop() {
    output.abandon();
    machine.stop();
  }

  /** True from the start to the end. */
  public boolean running() {
    return machine.running();
  }

  /** As the builder was told; its threads' names start with it. */
  public String name() {
    return machine.options().name();
  }

  /** The serial console. */
  public Console console() {
    return console;
  }

  /** What the machine has done so far; not after {@link #close}. */
  public MachineStatistics statistics() {
    return machine.statistics();
  }

  /** The name of the engine that runs the machine now, one of {@link Engines#names}. */
  public String engine() {
    return machine.engine();
  }

  /**
   * Lets another engine run the machine from now on, be it running, paused or off; returns when it
   * does. The guest notices nothing but the speed.
   *
   * @param name {@link Engines#KVM}, {@link Engines#TRANSLATOR} or {@link Engines#INTERPRETER}
   * @param regardless true: also if the guest has been shown something of its processors that they
   *     will lack, or this host's KVM is not complete
   * @return a warning, if there is one to give: a line
   * @throws VmException if that engine cannot take over; the machine goes on with the one it has,
   *     and the message says in a line why
   */
  public Optional<String> changeEngine(String name, boolean regardless) throws VmException {
    return engines.to(name, regardless);
  }

  /** By which people see into it and handle it, from the start to {@link #close}. */
  public Monitor monitor() {
    return monitor;
  }

  /** What gdb's {@code target remote} takes, if it may connect. */
  public Optional<String> gdbTarget() {
    return Optional.ofNullable(gdb).map(GdbServer::target);
  }

  /** By which the guest gives memory back, and says how it uses it, if it has one. */
  public Optional<VirtioBalloon> balloon() {
    return Optional.ofNullable(balloon);
  }

  /**
   * Stops guest time, the processors and the devices; returns when they stand. Harmless if they do,
   * or if the machine has ended.
   */
  public void pause() {
    machine.pause();
  }

  /**
   * Lets a paused machine go on, whoever paused it.
   *
   * @throws IllegalStateException if it was never started
   */
  public void resume() {
    machine.resume();
  }

  /**
   * Stops the machine if it runs, closes its disks and networks and gives back its memory. Harmless
   * when repeated.
   *
   * @throws UncheckedIOException in one line, if a disk cannot be flushed; everything is closed
   *     nevertheless
   */
  @Override
  public synchronized void close() {
    output.abandon();
    if (gdb != null) {
      gdb.close();
    }
    machine.close();
    if (watcher != null) {
      watcher.interrupt();
    }
    console.end();
    output.close();
    try {
      cards.close();
    } catch (IOException e) {
      throw new UncheckedIOException(e.getMessage(), e);
    }
  }

  /** What a machine is to be like. Not thread-safe. */
  public static final class Builder {
    private String name = "bothy";
    private final BootChoice boot = new BootChoice();
    private final Peripherals peripherals = new Peripherals();
    private long memory = 1L << 30;
    private int cpus = 1;
    private CpuModel model = Engines.usualModel();
    private boolean modelNamed;
    private String engine = Engines.AUTO;
    private TranslatorEngine.Observation observation = TranslatorEngine.Observation.NONE;
    private boolean cache;
    private boolean reboot = true;
    private boolean debugExit;
    private Duration timeout;
    private OutputStream consoleStream;
    private GdbOption gdb;
    private Optional<TraceOption> trace = Optional.empty();
    private Consumer<String> traceLines = line -> {};
    private boolean balloon = true;
    private Consumer<String> troubles = trouble -> {};

    private Builder() {}

    /** For threads and messages. */
    public Builder name(String value) {
      name = value;
      return this;
    }

    /** A Linux bzImage, an ELF kernel with a PVH note, or a Multiboot kernel. */
    public Builder kernel(Path file) {
      boot.kernel = file;
      return this;
    }

    /** An initial RAM disk for the kernel. */
    public Builder initrd(Path file) {
      boot.initrd = file;
      return this;
    }

    /** The kernel's command line; for the default guest, more of it. */
    public Builder append(String text) {
      boot.append = text;
      return this;
    }

    /**
     * RAM.
     *
     * @param bytes a multiple of 4096, at least 1 MiB
     * @throws IllegalArgumentException if it is none
     */
    public Builder memory(long bytes) {
      if (bytes < 1 << 20) {
        throw new IllegalArgumentException(
            MemorySize.format(bytes) + " of memory is too little: give at least 1M");
      }
      if (bytes % 4096 != 0) {
        throw new IllegalArgumentException(
            MemorySize.format(bytes)
                + " of memory is no whole number of pages: give a multiple of 4K");
      }
      if (bytes > MemoryMap.MEMORY_LIMIT) {
        throw new IllegalArgumentException(
            MemorySize.format(bytes)
                + " of memory is more than a machine can have: give at most "
                + (MemoryMap.MEMORY_LIMIT >> 30)
                + "G");
      }
      memory = bytes;
      return this;
    }

    /** RAM, as in {@link MemorySize#parse}: "512M". */
    public Builder memory(String size) {
      return memory(MemorySize.parse(size));
    }

    /** Processors, from 1. */
    public Builder cpus(int number) {
      if (number < 1 || number > MachineOptions.MAX_CPUS) {
        throw new IllegalArgumentException(
            "a machine has 1 to " + MachineOptions.MAX_CPUS + " processors, not " + number);
      }
      cpus = number;
      return this;
    }

    /**
     * The processors' model as {@link CpuModel#parse} reads it: "v2", "v3,-x2apic". Without this it
     * is v3 where the host's own processor has what that needs, else v2.
     */
    public Builder cpu(String text) {
      model = CpuModel.parse(text);
      modelNamed = true;
      return this;
    }

    /**
     * What runs guest code, by one of the names in {@link Engines}.
     *
     * @throws IllegalArgumentException if there is none of that name
     */
    public Builder engine(String engineName) {
      Engines.requireKnown(engineName);
      engine = engineName;
      return this;
    }

    /** What is to be learned about the translator's code; for that engine only. */
    public Builder observe(TranslatorEngine.Observation value) {
      observation = value;
      return this;
    }

    /**
     * True: what makes the next machine start faster is kept in the user's cache folder, see {@link
     * DefaultGuest#cacheFolder}, and used: translated code, unpacked kernels. Of no effect on what
     * the guest does; never fails.
     */
    public Builder cache(boolean value) {
      cache = value;
      return this;
    }

    /** False: a reset by the guest ends the machine. */
    public Builder reboot(boolean value) {
      reboot = value;
      return this;
    }

    /** True: a write to port 0xF4 ends the machine. */
    public Builder debugExit(boolean value) {
      debugExit = value;
      return this;
    }

    /**
     * True: the devices that conformance guests want: registers, interrupt lines and memory to try
     * the machine out with, a PCI function for the same, and the firmware configuration device.
     */
    public Builder testDevice(boolean value) {
      peripherals.testDevice = value;
      return this;
    }

    /** Ends the machine when it has run that long on the host's clock. */
    public Builder timeout(Duration value) {
      if (value.isNegative() || value.isZero()) {
        throw new IllegalArgumentException("a time limit must be above 0");
      }
      timeout = value;
      return this;
    }

    /**
     * Gets every byte that the guest sends to its serial console. A guest that sends faster than it
     * takes waits.
     */
    public Builder consoleStream(OutputStream stream) {
      consoleStream = stream;
      return this;
    }

    /** One more disk; Linux calls them vda, vdb and so on. */
    public Builder disk(Disk value) {
      peripherals.disks.add(value);
      return this;
    }

    /**
     * One more network card. Without any, and without {@link NetworkOption.None}, the machine has
     * one in a user-mode network, unless the engine is {@link Engines#VERIFY}.
     */
    public Builder network(NetworkOption value) {
      peripherals.networks.add(value);
      return this;
    }

    /**
     * One more folder of the host. The default guest mounts it at {@code /mnt/TAG}.
     *
     * @throws IllegalArgumentException if there is one with that tag
     */
    public Builder share(Share value) {
      peripherals.add(value);
      return this;
    }

    /** A socket device; a guest has use for one. */
    public Builder vsock(Vsock value) {
      peripherals.vsock = value;
      return this;
    }

    /** gdb may connect. */
    public Builder gdb(GdbOption value) {
      gdb = value;
      return this;
    }

    /** What else is to be seen; {@code taker} gets the lines that go to no file, on any thread. */
    public Builder trace(TraceOption value, Consumer<String> taker) {
      trace = trace.map(before -> before.and(value)).or(() -> Optional.of(value));
      traceLines = taker;
      return this;
    }

    /**
     * One more port of a console device: /dev/hvc0 and so on, where the default guest has a shell,
     * or /dev/virtio-ports/NAME.
     */
    public Builder consolePort(ConsolePort value) {
      peripherals.ports.add(value);
      return this;
    }

    /** One more port of a console device, behind a Unix socket. */
    public Builder consoleSocket(ConsoleSocket.Place value) {
      peripherals.consoleSockets.add(value);
      return this;
    }

    /**
     * False: no memory balloon, by which a guest gives back to the host what it does not use.
     * Machines have one otherwise, unless the engine is {@link Engines#VERIFY}.
     */
    public Builder balloon(boolean value) {
      balloon = value;
      return this;
    }

    /**
     * Hears of what goes wrong on the host's side while the machine runs, in one line each: why it
     * is paused, for example. Called on any thread; must not wait for the machine.
     */
    public Builder troubles(Consumer<String> listener) {
      troubles = listener;
      return this;
    }

    /** Hears of the preparation of the default guest. */
    public Builder progress(Progress value) {
      boot.progress = value;
      return this;
    }

    /**
     * Makes the machine, switched off. Without a kernel, prepares the default guest, which the
     * first time takes a while and the host's apt.
     *
     * @throws VmException if the host cannot run the engine or has no room for the memory, or there
     *     is no default guest here
     */
    public Vm build() throws VmException {
      Cards cards = new Cards();
      try {
        return build(cards);
      } catch (VmException | RuntimeException | Error e) {
        try {
          cards.close();
        } catch (IOException suppressed) {
          e.addSuppressed(suppressed);
        }
        throw e;
      }
    }

    private Vm build(Cards cards) throws VmException {
      ConsoleOutput output = new ConsoleOutput(consoleStream);
      try {
        peripherals.plugInto(cards, usualNetworks(), troubles);
        cards.add(trace, traceLines, troubles);
      } catch (IOException e) {
        throw new VmException(e.getMessage(), e);
      }
      AtomicReference<VirtioBalloon> made = new AtomicReference<>();
      if (balloon && !engine.equals(Engines.VERIFY)) {
        cards.addBalloon(made::set);
      }
      try {
        EngineFactory factory = Engines.factory(engineToBe(), model, observation, cacheFolder());
        MachineOptions options =
            MachineOptions.of(memory, factory, boot(), output)
                .withName(name)
                .withCpus(cpus)
                .withModel(model)
                .withReboot(reboot)
                .withDebugExit(debugExit)
                .withTestDevice(peripherals.testDevice);
        if (engine.equals(Engines.VERIFY) && cpus == 1) {
          // However slow it is, the guest's timeouts hold; and what is found once is found again.
          options = options.withCountedClock(Engines.VERIFY_NANOS);
        }
        if (cards.cards().size() > MachineOptions.MAX_CARDS) {
          throw new VmException(
              "a machine has at most " + MachineOptions.MAX_CARDS + " disks, networks and the like",
              null);
        }
        options = cards.in(options);
        Machine machine = new Machine(options);
        EngineSwitch engines = new EngineSwitch(machine, observation, cacheFolder());
        Monitor monitor = new Monitor(machine, cards::disks, cards::networks, engines);
        GdbServer server = gdbServer(machine, monitor);
        if (modelNamed && machine.engine().equals(Engines.KVM)) {
          Engines.kvmWithout(model)
              .ifPresent(lost -> troubles.accept("KVM gives the guest no " + lost + " here"));
        }
        return new Vm(machine, output, timeout, cards, made.get(), engines, monitor, server);
      } catch (GuestException e) {
        throw new VmException(e.getMessage(), e);
      } catch (UncheckedIOException e) {
        throw new VmException(e.getMessage() + ": give the machine less memory", e);
      } catch (UnsupportedOperationException e) {
        Optional<String> refusal = Engines.refusal(engine);
        throw refusal.isPresent()
            ? Engines.refused(engine, refusal.get(), e)
            : new VmException("engine " + engine + " cannot run here: " + e.getMessage(), e);
      } catch (IOException e) {
        throw new VmException("cannot prepare the guest: " + e.getMessage(), e);
      }
    }

    /**
     * The automatic choice is not KVM where somebody wants to look inside: it has four breakpoints,
     * and generates no code to look at.
     */
    private String engineToBe() {
      boolean inside =
          gdb != null
              || !observation.isNone()
              || trace.filter(TraceOption::wantsSoftware).isPresent();
      return inside && engine.equals(Engines.AUTO) ? Engines.inSoftware() : engine;
    }

    private GdbServer gdbServer(Machine machine, Monitor monitor) throws VmException {
      if (gdb == null) {
        return null;
      }
      try {
        if (machine.debugger().isEmpty()) {
          throw new IOException("engine " + engine + " cannot be debugged: give translator");
        }
        return gdb.open(machine, monitor);
      } catch (IOException e) {
        machine.close();
        throw new VmException(e.getMessage(), e);
      }
    }

    private List<NetworkOption> usualNetworks() {
      return engine.equals(Engines.VERIFY)
          ? List.of()
          : List.of(NetworkOption.parse(boot.isDefaultGuest() ? "user,hostname=bothy" : "user"));
    }

    private Optional<Path> cacheFolder() {
      return cache ? Optional.of(DefaultGuest.cacheFolder()) : Optional.empty();
    }

    private KernelBoot boot() throws IOException {
      return boot.boot(peripherals.guestWords())
          .withCache(cacheFolder().map(folder -> folder.resolve(KERNELS)));
    }

    /** Makes the machine and switches it on. */
    public Vm start() throws VmException {
      Vm vm = build();
      try {
        vm.start();
        return vm;
      } catch (VmException | RuntimeException | Error e) {
        try {
          vm.close();
        } catch (UncheckedIOException suppressed) {
          e.addSuppressed(suppressed);
        }
        throw e;
      }
    }
  }
}
