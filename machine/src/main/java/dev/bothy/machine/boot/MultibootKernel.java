package dev.bothy.machine.boot;

import dev.bothy.core.GuestMemory;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.List;

/** A Multiboot kernel. Follows "Multiboot Specification version 0.6.96", sections 3.1 to 3.3. */
final class MultibootKernel {
  /** The header lies within the file's first bytes. */
  static final int SEARCH_LIMIT = 8192;

  private static final int HEADER_MAGIC = 0x1badb002;
  private static final int LOADER_MAGIC = 0x2badb002;

  // Flags of the header. The lower half must be understood, the upper half need not.
  private static final int WANTS_ALIGNED_MODULES = 1;
  private static final int WANTS_MEMORY = 1 << 1;
  private static final int WANTS_VIDEO = 1 << 2;
  private static final int HAS_ADDRESSES = 1 << 16;

  // Flags of the information.
  private static final int HAS_MEMORY = 1;
  private static final int HAS_COMMAND_LINE = 1 << 2;
  private static final int HAS_MODULES = 1 << 3;
  private static final int HAS_MEMORY_MAP = 1 << 6;
  private static final int HAS_LOADER_NAME = 1 << 9;

  private static final int INFORMATION_SIZE = 116;
  private static final int MODULE_SIZE = 16;
  private static final int MAX_MEMORY_ENTRIES = 100;

  private final KernelFile file;
  private final ByteBuffer head;
  private final int header;

  MultibootKernel(KernelFile file, byte[] head) {
    this.file = file;
    this.head = ByteBuffer.wrap(head).order(ByteOrder.LITTLE_ENDIAN);
    this.header = findHeader(this.head);
  }

  static boolean isMultiboot(byte[] head) {
    return findHeader(ByteBuffer.wrap(head).order(ByteOrder.LITTLE_ENDIAN)) >= 0;
  }

  private static int findHeader(ByteBuffer b) {
    for (int at = 0; at + 12 <= Math.min(b.limit(), SEARCH_LIMIT); at += 4) {
      if (b.getInt(at) == HEADER_MAGIC && HEADER_MAGIC + b.getInt(at + 4) + b.getInt(at + 8) == 0) {
        return at;
      }
    }
    return -1;
  }

  BootState load(KernelBoot boot, BootEnvironment environment) throws IOException, BootException {
    int flags = head.getInt(header + 4);
    int unknown = flags & 0xffff & ~(WANTS_ALIGNED_MODULES | WANTS_MEMORY | WANTS_VIDEO);
    if (unknown != 0) {
      throw new BootException(
          file.name()
              + " asks for Multiboot features 0x"
              + Integer.toHexString(unknown)
              + ", which do not exist: give another kernel");
    }
    GuestMemory memory = environment.memory();
    long entry;
    long end;
    if ((flags & HAS_ADDRESSES) != 0) {
      if (header + 32 > head.limit()) {
        throw damaged("its Multiboot header ends early");
      }
      end = loadByAddresses(memory);
      entry = field(28);
    } else {
      ElfImage image = ElfImage.parse(file.name(), file);
      for (ElfImage.Segment segment : image.loads()) {
        requireAboveLowMemory(segment.physical());
      }
      image.load(file.name(), file, memory);
      end = image.physicalEnd();
      entry = image.physicalOf(image.entry());
    }
    if (entry < 0 || entry > 0xffff_ffffL) {
      throw damaged("its entry is above 4 GiB");
    }
    InitialRamDisk module =
        InitialRamDisk.load(boot.initrd(), memory, end, GuestMemory.LOW_LIMIT);
    // The kernel's file stands first, as Multiboot kernels take it for the program's name.
    String line = (boot.kernel() + " " + boot.commandLine()).strip();
    long commandLine =
        KernelBoot.writeCommandLine(line, LowMemory.COMMAND_LINE_LIMIT - 1, environment);
    writeInformation(environment, module, commandLine);
    return BootState.protectedMode(entry, LOADER_MAGIC, LowMemory.INFORMATION);
  }

  private long field(int offset) {
    return head.getInt(header + offset) & 0xffff_ffffL;
  }

  private long loadByAddresses(GuestMemory memory) throws IOException, BootException {
    long headerAddress = field(12);
    long loadAddress = field(16);
    long loadEnd = field(20);
    long bssEnd = field(24);
    long fileOffset = header - (headerAddress - loadAddress);
    if (headerAddress < loadAddress || fileOffset < 0 || fileOffset >= file.size()) {
      throw damaged("its load address does not fit its header's");
    }
    long length = loadEnd == 0 ? file.size() - fileOffset : loadEnd - loadAddress;
    if (length <= 0 || fileOffset + length > file.size()) {
      throw damaged("it ends before its load_end_addr");
    }
    long end = Math.max(bssEnd, loadAddress + length);
    requireAboveLowMemory(loadAddress);
    if (!memory.contains(loadAddress, end - loadAddress)) {
      throw ElfImage.noRoom(file.name(), end, memory);
    }
    new ElfImage(
            false,
            ElfImage.EM_386,
            0,
            List.of(
                new ElfImage.Segment(
                    fileOffset, loadAddress, loadAddress, length, end - loadAddress)),
            List.of())
        .load(file.name(), file, memory);
    return end;
  }

  private void requireAboveLowMemory(long address) throws BootException {
    if (address < 1 << 20) {
      throw new BootException(
          file.name()
              + " wants to be loaded below 1 MiB (0x"
              + Long.toHexString(address)
              + "), where the boot information is: link it higher");
    }
  }

  private BootException damaged(String what) {
    return new BootException(
        file.name() + " is damaged (" + what + "): get the file anew or name another kernel");
  }

  private static void writeInformation(
      BootEnvironment environment, InitialRamDisk module, long commandLine) {
    GuestMemory memory = environment.memory();
    byte[] loader = "Bothy\0".getBytes(StandardCharsets.ISO_8859_1);
    List<MemoryRange> map = environment.memoryMap();
    int entries = Math.min(map.size(), MAX_MEMORY_ENTRIES);
    long loaderAddress = LowMemory.MODULES + MODULE_SIZE;
    long mapAddress = loaderAddress + 8;
    boolean hasModule = module.size() > 0;

    byte[] bytes = new byte[INFORMATION_SIZE];
    ByteBuffer info = ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN);
    info.putInt(
        0,
        HAS_MEMORY
            | HAS_COMMAND_LINE
            | HAS_MEMORY_MAP
            | HAS_LOADER_NAME
            | (hasModule ? HAS_MODULES : 0));
    info.putInt(4, lowerKib(map));
    info.putInt(8, upperKib(map));
    info.putInt(16, (int) commandLine);
    info.putInt(20, hasModule ? 1 : 0);
    info.putInt(24, hasModule ? (int) LowMemory.MODULES : 0);
    info.putInt(44, entries * 24);
    info.putInt(48, (int) mapAddress);
    info.putInt(64, (int) loaderAddress);
    memory.write(LowMemory.INFORMATION, bytes);

    memory.writeInt(LowMemory.MODULES, (int) module.address());
    memory.writeInt(LowMemory.MODULES + 4, (int) (module.address() + module.size()));
    memory.writeInt(LowMemory.MODULES + 8, 0);
    memory.writeInt(LowMemory.MODULES + 12, 0);
    memory.write(loaderAddress, loader);
    for (int i = 0; i < entries; i++) {
      long at = mapAddress + 24L * i;
      memory.writeInt(at, 20);
      memory.writeLong(at + 4, map.get(i).start());
      memory.writeLong(at + 12, map.get(i).length());
      memory.writeInt(at + 20, map.get(i).kind().code());
    }
  }

  private static int lowerKib(List<MemoryRange> map) {
    return (int) (ramFrom(map, 0) >> 10);
  }

  private static int upperKib(List<MemoryRange> map) {
    return (int) (ramFrom(map, 1 << 20) >> 10);
  }

  private static long ramFrom(List<MemoryRange> map, long start) {
    for (MemoryRange range : map) {
      if (range.kind() == MemoryRange.Kind.RAM && range.start() == start) {
        return range.length();
      }
    }
    return 0;
  }
}
