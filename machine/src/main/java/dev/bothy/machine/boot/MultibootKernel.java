package dev.bothy.machine.boot;

import dev.bothy.core.GuestMemory;
import dev.bothy.machine.MemoryMap;
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

  /** Where an image may begin: behind the GDT; and the end of what is not extended memory. */
  private static final long LOW_START = 0x1000;

  private static final long LOW_END = MemoryMap.FIRMWARE_END;

  /** From the information to the list of modules, the loader's name and the memory map. */
  private static final long MODULES_OFFSET = LowMemory.MODULES - LowMemory.INFORMATION;

  /** The same to the command line where base memory is the image's. */
  private static final long COMMAND_LINE_OFFSET = 2 * MODULES_OFFSET;

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
    boolean low = false;
    if ((flags & HAS_ADDRESSES) != 0) {
      if (header + 32 > head.limit()) {
        throw damaged("its Multiboot header ends early");
      }
      end = loadByAddresses(memory);
      low = field(16) < LOW_END;
      entry = field(28);
    } else {
      ElfImage image = ElfImage.parse(file.name(), file);
      for (ElfImage.Segment segment : image.loads()) {
        requireRoom(segment.physical(), segment.physical() + segment.memorySize());
        low |= segment.physical() < LOW_END;
      }
      image.load(file.name(), file, memory);
      end = image.physicalEnd();
      entry = image.physicalOf(image.entry());
    }
    if (entry < 0 || entry > 0xffff_ffffL) {
      throw damaged("its entry is above 4 GiB");
    }
    // An image in base memory has all of that: what else is handed over follows the image's end.
    long information = low ? Math.max(end + 0xfff & ~0xfffL, LOW_END) : LowMemory.INFORMATION;
    long commandLine = low ? information + COMMAND_LINE_OFFSET : LowMemory.COMMAND_LINE;
    if (low) {
      end = commandLine + LowMemory.COMMAND_LINE_LIMIT;
      if (!memory.contains(information, end - information)) {
        throw ElfImage.noRoom(file.name(), end, memory);
      }
    }
    InitialRamDisk module = InitialRamDisk.load(boot.initrd(), memory, end, GuestMemory.LOW_LIMIT);
    // The kernel's file stands first, as Multiboot kernels take it for the program's name.
    String line = (boot.kernel() + " " + boot.commandLine()).strip();
    KernelBoot.writeCommandLine(line, LowMemory.COMMAND_LINE_LIMIT - 1, environment, commandLine);
    writeInformation(environment, information, module, commandLine);
    return BootState.protectedMode(entry, LOADER_MAGIC, information);
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
    requireRoom(loadAddress, end);
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

  /** Below 1 MiB an image may use what the memory map calls RAM, but for the page with the GDT. */
  private void requireRoom(long start, long end) throws BootException {
    if (start < LOW_START || start < LOW_END && end > MemoryMap.BASE_MEMORY_END) {
      throw new BootException(
          file.name()
              + " wants to be loaded at 0x"
              + Long.toHexString(start)
              + " to 0x"
              + Long.toHexString(end - 1)
              + ", where the boot loader's and the firmware's tables are: link it higher");
    }
  }

  private BootException damaged(String what) {
    return new BootException(
        file.name() + " is damaged (" + what + "): get the file anew or name another kernel");
  }

  private static void writeInformation(
      BootEnvironment environment, long information, InitialRamDisk module, long commandLine) {
    GuestMemory memory = environment.memory();
    byte[] loader = "Bothy\0".getBytes(StandardCharsets.ISO_8859_1);
    List<MemoryRange> map = environment.memoryMap();
    int entries = Math.min(map.size(), MAX_MEMORY_ENTRIES);
    long modules = information + MODULES_OFFSET;
    long loaderAddress = modules + MODULE_SIZE;
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
    info.putInt(24, hasModule ? (int) modules : 0);
    info.putInt(44, entries * 24);
    info.putInt(48, (int) mapAddress);
    info.putInt(64, (int) loaderAddress);
    memory.write(information, bytes);

    memory.writeInt(modules, (int) module.address());
    memory.writeInt(modules + 4, (int) (module.address() + module.size()));
    memory.writeInt(modules + 8, 0);
    memory.writeInt(modules + 12, 0);
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
