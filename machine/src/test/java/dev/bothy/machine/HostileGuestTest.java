package dev.bothy.machine;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.bothy.core.BusDevice;
import dev.bothy.machine.boot.BootSource;
import dev.bothy.machine.boot.BootState;
import dev.bothy.x86.interpret.InterpreterEngine;
import java.time.Duration;
import java.util.Optional;
import java.util.Random;
import java.util.concurrent.atomic.AtomicLong;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * Whatever a guest does, its machine carries on or stops as the architecture says. {@link
 * HostileRun} fails a test when anything comes out as an error of the host or of the engine, or
 * does not stop when told to. {@code bothy.hostile.seeds} says how many random guests of a kind
 * there are, {@code bothy.hostile.first} which is the first.
 */
@Timeout(900)
class HostileGuestTest {
  private static final long DATA = 0x20_0000;
  private static final int SEEDS = Integer.getInteger("bothy.hostile.seeds", 12);
  private static final long FIRST = Long.getLong("bothy.hostile.first", 1);

  /**
   * For each port from [DATA] on: IN and OUT of 1, 2 and 4 bytes with random values, and INS and
   * OUTS of each width with repetition across the end of a page, forwards and backwards.
   */
  private static final String PORTS =
      """
      8b0d00002000890d0000200089caec66eded0fc7f0ee0fc7f066ef0fc7f0efec66eded89cdbffd0f3000b903000000f3
      6cb90300000066f36db903000000f36dbefd0f3000b903000000f36eb90300000066f36ffdb903000000f36ffc89e941
      81f900000100729e890d00002000f4ebfd
      """;

  /**
   * From [DATA] in steps of [DATA+8] up to [DATA+16]: loads and stores of 1, 2, 4, 8, 10 and 16
   * bytes, LOCK XADD, XCHG, BTC, CMPXCHG8B, CMPXCHG16B, FXSAVE, and MOVS, STOS and CMPS into, out
   * of and within the device.
   */
  private static final String MMIO =
      """
      0f20e00d000600000f22e0488b1c2500002000dbe348891c25000020008a03668b038b03488b030f1003480fc7f08803
      480fc7f0668903480fc7f08903480fc7f04889030f110bf00fc103488703f00fba3b030fc70bf6c30f7508f0480fc70b
      0fae03db2bdb3b4889debffd0f3000b905000000f3a4b903000000f3a54889dfbefd0f3000b905000000f3a4b9030000
      00f348a54889dfb902000000f348ab4889de4889dfb903000000f3a648031c2508002000483b1c25100020000f8253ff
      ffff48891c2500002000f4ebfd
      """;

  /**
   * Starts the second processor at 0x8000, then random IPIs to all and a byte to the serial port,
   * for ever.
   */
  private static final String FLOOD =
      """
      bb0000e0fec783f0000000ff010000c7831003000000000001c7830003000000450000c783000300000846000066baf8
      03b041ee0fc7f025fffa0c0089c181e10007000081f90002000074170fc7f281e2000000038993100300008983000300
      00ebca0fc7f181e1ff00000075bfc7831003000000000001c7830003000000450000c7830003000008460000eb9f
      """;

  /** In real mode: switches to x2APIC, then random IPIs, serial bytes and split locks. */
  private static final String FLOOD_REAL =
      """
      31c08ed866b91b0000000f3280cc0c0f3066b90f08000066b8ff0100006631d20f30baf803b042ee66f0ff06fd7f660f
      c7f06625fff80c00660fc7f26683e20166b9300800000f3066f0ff060190ebd2
      """;

  /**
   * Starts the second processor at 0x8000; rewrites the routine at 0x300000 and calls it, with
   * split locks between.
   */
  private static final String CROSS =
      """
      bb0000e0fec783f0000000ff010000c7831003000000000001c7830003000000450000c78300030000084600000fc7f0
      a201003000e8c6ff1f00f0ff05fd0f3000f00fc10503013000e8b2ff1f00ebdd
      """;

  /** Enters protected mode, then does as the first. */
  private static final String CROSS_SECOND =
      """
      fa31c08ed80f011600810f20c00c010f22c066ea40800000100000000000000000000000000000000000000000000000
      00000000000000000000000000000000b8180000008ed88ed0bc000009000fc7f0a202003000e8a57f2f00f0ff05fd0f
      3000f00fc10503013000e8917f2f00ebdd00000000000000000000000000000000000000000000000000000000000000
      000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000
      000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000
      000000000000000000000000000000002f0000050000
      """;

  /**
   * Moves the local APIC's page over RAM at random, its own code included, and writes to it there.
   */
  private static final String APIC_BASE =
      """
      b91b0000000fc7f02500f07f000fc7f283e20775050d0000e0fe0d0009000031d20f3089c381e300f0ffff0fc7f08983
      800000008983f00000008983200300008983800300008b43208b03f0ff83800200008983fe3f0000eba6
      """;

  /**
   * Changes immediates and opcodes just before they are executed, and takes the result to the test:
   * UD2 if it is wrong.
   */
  private static final String SELF_MODIFYING =
      """
      31c031c94189ca83e27f88151200100083c01129d0751f8d3d2b001000b090aa31c00fc7f288152d00100090b00038d0
      750431c0ebce0f0b
      """;

  /**
   * Rewrites the page tables of the window at 512 GiB, from below and through the window, with and
   * without INVLPG.
   */
  private static final String OWN_TABLES =
      """
      0fc7f389da81e3f8ff00000fc7f089c12500f00000c1e91081e17f0f000009c80d0700400048898300004000480fc7f7
      41b8f8ffff3f4c21c749b800000000800000004c01c7f7c20000002074030f013ff7c20000001074060f20d90f22d948
      8b0f488907f048870feb95
      """;

  static BootSource code(BootState.Mode mode, String hex, long... data) {
    return environment -> {
      BootState state = new MachineCode(mode, hex).load(environment);
      for (int i = 0; i < data.length; i++) {
        environment.memory().writeLong(DATA + 8L * i, data[i]);
      }
      return state;
    };
  }

  @ParameterizedTest
  @EnumSource(BootState.Mode.class)
  void survivesRandomCode(BootState.Mode mode) throws Exception {
    for (long seed = FIRST; seed < FIRST + SEEDS; seed++) {
      HostileRun.runSeed(seed, mode, 20_000, _ -> {});
    }
  }

  @ParameterizedTest
  @EnumSource(BootState.Mode.class)
  void survivesRandomCodeOnTwoProcessors(BootState.Mode mode) throws Exception {
    for (long seed = FIRST; seed < FIRST + 3; seed++) {
      MachineOptions options = HostileRun.options(HostileGuest.of(seed, mode)).withCpus(2);
      HostileRun.runFreely("seed " + seed, options, Duration.ofMillis(200), _ -> {});
    }
  }

  @ParameterizedTest
  @EnumSource(BootState.Mode.class)
  void survivesBytesThatAreNoCode(BootState.Mode mode) throws Exception {
    Random random = new Random(FIRST);
    for (int round = 0; round < 2 * SEEDS; round++) {
      byte[] bytes = new byte[(int) HostileGuest.MEMORY / 8];
      random.nextBytes(bytes);
      long entry = random.nextInt(mode == BootState.Mode.REAL ? 0x10_0000 : 0x80_0000);
      BootSource boot =
          environment -> {
            for (int i = 0; i < 8; i++) {
              environment.memory().write(0x10_0000L * i, bytes);
            }
            BootState state = new BootState(mode, entry, 1, 2, 3, 0x8_0000);
            if (entry % 2 == 0) {
              state.writeTables(environment.memory());
            }
            return state;
          };
      HostileRun.run("round " + round + " in " + mode, HostileRun.options(boot), 20_000, _ -> {});
    }
  }

  @Test
  void survivesJumpsIntoNothing() throws Exception {
    long[] places = {
      HostileGuest.MEMORY - 1,
      HostileGuest.MEMORY,
      0xa_0000,
      0xf_fff0,
      0xbfff_ffffL,
      0xc000_0000L,
      0xfec0_0000L,
      0xfec0_0010L,
      0xfed0_0000L,
      0xfee0_0000L,
      0xfee0_0fffL,
      0xffff_0000L,
      0xffff_ffffL
    };
    for (BootState.Mode mode :
        new BootState.Mode[] {BootState.Mode.PROTECTED, BootState.Mode.LONG}) {
      for (long place : places) {
        BootSource boot =
            environment -> {
              BootState state = new BootState(mode, place, 0, 0, 0, 0x8_0000);
              state.writeTables(environment.memory());
              return state;
            };
        HostileRun.run(
            Long.toHexString(place) + " in " + mode, HostileRun.options(boot), 2_000, _ -> {});
      }
    }
  }

  @Test
  void survivesEveryPortWithEveryWidth() throws Exception {
    AtomicLong next = new AtomicLong();
    for (int machines = 0; next.get() < 0x1_0000; machines++) {
      assertTrue(machines < 100, () -> "no way past port " + next);
      long first = next.get();
      HostileRun.run(
          "ports from " + first,
          HostileRun.options(code(BootState.Mode.PROTECTED, PORTS, first)),
          100_000_000,
          outcome -> next.set(Math.max(outcome.machine().memory().readInt(DATA), first) + 1L));
    }
  }

  /** The interrupt controllers, the ROM, the display and the end of RAM. */
  @ParameterizedTest
  @ValueSource(longs = {0xfee0_0000L, 0xfec0_0000L, 0xffff_0000L, 0xa_0000L, 0x7f_f000L})
  void survivesEveryOffsetOfAPageWithEveryWidth(long page) throws Exception {
    long length = page == 0xffff_0000L ? 0x300 : 0x1010;
    sweep(page - 16, page == 0xfee0_0000L ? 1 : 3, page + length);
  }

  @Test
  void survivesThePhysicalAddressesAboveRamWithEveryWidth() throws Exception {
    sweep(HostileGuest.MEMORY, 0x1_0000 - 0x10, 0xffff_ff00L);
  }

  /** Goes on behind the address at which a machine ended. */
  private static void sweep(long from, long step, long to) throws Exception {
    AtomicLong next = new AtomicLong(from);
    for (int machines = 0; next.get() < to; machines++) {
      assertTrue(machines < 60, () -> "no way past " + Long.toHexString(next.get()));
      long first = next.get();
      HostileRun.run(
          "addresses from " + Long.toHexString(first),
          HostileRun.options(code(BootState.Mode.LONG, MMIO, first, step, to)),
          100_000_000,
          outcome -> next.set(Math.max(outcome.machine().memory().readLong(DATA), first) + step));
    }
  }

  private static BootSource twoProcessors(BootSource first, String second) {
    return environment -> {
      environment.memory().write(0x8000, MachineCode.bytes(second));
      // mov eax, imm32; ret
      environment.memory().write(0x30_0000, MachineCode.bytes("b800000000c3"));
      return first.load(environment);
    };
  }

  @Test
  void survivesFloodsOfInterruptsAndSerialBytesOnTwoProcessors() throws Exception {
    BootSource both = twoProcessors(code(BootState.Mode.PROTECTED, FLOOD), FLOOD_REAL);
    for (int round = 0; round < 3; round++) {
      // Reserved bits of the command register send the second processor through an empty vector
      // table into whatever lies in
      // low memory: how that ends is the guest's business, as long as it is an architectural end.
      // The run itself checks that.
      HostileRun.runFreely(
          "round " + round,
          HostileRun.options(both).withCpus(2),
          Duration.ofMillis(500),
          outcome -> {
            HostileRun.awaitWork(outcome.machine(), 0);
            assertTrue(outcome.machine().vcpu(0).instructions() > 100);
          });
    }
  }

  @Test
  void survivesProcessorsThatChangeEachOthersCode() throws Exception {
    BootSource both = twoProcessors(code(BootState.Mode.PROTECTED, CROSS), CROSS_SECOND);
    HostileRun.runFreely(
        "two processors",
        HostileRun.options(both).withCpus(2),
        Duration.ofSeconds(2),
        outcome -> {
          HostileRun.awaitWork(outcome.machine(), 0);
          HostileRun.awaitWork(outcome.machine(), 1);
          assertEquals(Optional.empty(), outcome.exit());
          assertTrue(outcome.machine().vcpu(0).instructions() > 100);
          assertTrue(outcome.machine().vcpu(1).instructions() > 100);
        });
  }

  @Test
  void reportsAMistakeOfADeviceWithTheRegisters() throws Exception {
    BootSource boot = code(BootState.Mode.PROTECTED, "b92a00000066ba0005ecf4");
    BusDevice broken =
        new BusDevice() {
          @Override
          public long read(long offset, int size) {
            throw new IllegalStateException("broken device");
          }

          @Override
          public void write(long offset, int size, long value) {}
        };
    MachineOptions options =
        MachineOptions.of(
            HostileGuest.MEMORY,
            environment -> {
              environment.ports().map("broken", 0x500, 1, broken);
              return new InterpreterEngine(environment);
            },
            boot,
            value -> {});
    try (Machine machine = new Machine(options)) {
      machine.start();
      String report =
          assertInstanceOf(MachineExit.EngineFailed.class, machine.awaitExit()).report();
      assertTrue(report.contains("broken device"), report);
      assertTrue(report.contains("RCX=000000000000002a"), report);
      assertTrue(report.contains("RIP=0000000000100009"), report);
    }
  }

  @Test
  void survivesALocalApicOnTopOfRam() throws Exception {
    for (int round = 0; round < SEEDS; round++) {
      HostileRun.run(
          "round " + round,
          HostileRun.options(code(BootState.Mode.PROTECTED, "90".repeat(round) + APIC_BASE)),
          20_000,
          _ -> {});
    }
  }

  @Test
  void executesCodeThatHasJustBeenWritten() throws Exception {
    HostileRun.run(
        "self-modifying code",
        HostileRun.options(code(BootState.Mode.PROTECTED, SELF_MODIFYING)),
        100_000,
        HostileRun.HANGS,
        outcome -> assertEquals(Optional.empty(), outcome.exit()));
  }

  @Test
  void survivesPageTablesThatAreRewrittenInUse() throws Exception {
    BootSource tables = code(BootState.Mode.LONG, OWN_TABLES);
    BootSource boot =
        environment -> {
          for (long i = 0; i < 16 * 512; i++) {
            environment.memory().writeLong(0x40_0000 + 8 * i, 0x40_0007 | (i * 37 & 15) << 12);
          }
          BootState state = tables.load(environment);
          // The entry of the second 512 GiB in the table that the machine starts with.
          environment.memory().writeLong(0x9008, 0x40_0007);
          return state;
        };
    HostileRun.run(
        "page tables",
        HostileRun.options(boot),
        200_000,
        HostileRun.HANGS,
        outcome -> assertEquals(Optional.empty(), outcome.exit()));
  }
}
