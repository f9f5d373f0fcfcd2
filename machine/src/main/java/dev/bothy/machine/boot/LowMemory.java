package dev.bothy.machine.boot;

/**
 * Where the boot loaders put what they hand over, all below 640 KiB. The guest is told that this is
 * RAM: it copies what it needs before it uses the memory for something else, as after any boot
 * loader.
 */
final class LowMemory {
  static final long GDT = 0x500;

  /** Linux boot_params, or the Multiboot and PVH information. */
  static final long INFORMATION = 0x7000;

  static final long MODULES = 0x8000;

  /** One PML4, one PDPT, then four page directories: the first 4 GiB mapped one to one. */
  static final long PAGE_TABLES = 0x9000;

  static final long STACK_TOP = 0x1_8000;
  static final long COMMAND_LINE = 0x2_0000;

  /** Room for the command line with its final zero. */
  static final int COMMAND_LINE_LIMIT = 0x1_0000;

  private LowMemory() {}
}
