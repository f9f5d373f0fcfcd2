package dev.bothy.machine;

import dev.bothy.machine.boot.BootEnvironment;
import dev.bothy.machine.boot.BootSource;
import dev.bothy.machine.boot.BootState;
import java.util.HexFormat;

/**
 * A guest of a few instructions at {@link #ENTRY}, with its stack at 512 KiB.
 *
 * @param hex its bytes; white space between them does not count
 */
record MachineCode(BootState.Mode mode, String hex) implements BootSource {
  static final long ENTRY = 0x10_0000;

  /** 32-bit code. */
  static MachineCode of(String hex) {
    return new MachineCode(BootState.Mode.PROTECTED, hex);
  }

  static byte[] bytes(String hex) {
    return HexFormat.of().parseHex(hex.replaceAll("\\s", ""));
  }

  @Override
  public BootState load(BootEnvironment environment) {
    BootState state = new BootState(mode, ENTRY, 0, 0, 0, 0x8_0000);
    state.writeTables(environment.memory());
    environment.memory().write(ENTRY, bytes(hex));
    return state;
  }
}
