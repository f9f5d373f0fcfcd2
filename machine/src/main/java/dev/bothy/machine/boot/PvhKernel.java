package dev.bothy.machine.boot;

import dev.bothy.core.GuestMemory;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.List;

/**
 * An ELF kernel with a PVH note, entered in 32-bit protected mode. Follows "x86/HVM direct boot
 * ABI" and the header "start_info" of the Xen project.
 */
final class PvhKernel {
  private static final int XEN_ELFNOTE_PHYS32_ENTRY = 18;
  private static final int MAX_NOTES = 1 << 16;

  private static final int MAGIC = 0x336ec578;
  private static final int START_INFO_SIZE = 56;
  private static final int MODULE_ENTRY_SIZE = 32;
  private static final int MEMORY_ENTRY_SIZE = 24;
  private static final int MAX_MEMORY_ENTRIES = 128;

  private final KernelFile file;

  PvhKernel(KernelFile file) {
    this.file = file;
  }

  BootState load(KernelBoot boot, BootEnvironment environment) throws IOException, BootException {
    ElfImage image = ElfImage.parse(file.name(), file);
    long entry = findEntry(image);
    if (entry < 0) {
      throw new BootException(
          file.name()
              + " is an ELF program without a PVH note or Multiboot header: give a Linux bzImage or"
              + " a kernel that has one of them");
    }
    GuestMemory memory = environment.memory();
    for (ElfImage.Segment segment : image.loads()) {
      if (segment.physical() < 1 << 20) {
        throw new BootException(
            file.name()
                + " wants to be loaded below 1 MiB (0x"
                + Long.toHexString(segment.physical())
                + "), where the boot information is: link it higher");
      }
    }
    image.load(file.name(), file, memory);
    InitialRamDisk initrd =
        InitialRamDisk.load(boot.initrd(), memory, image.physicalEnd(), GuestMemory.LOW_LIMIT);
    long commandLine =
        KernelBoot.writeCommandLine(boot.commandLine(), Integer.MAX_VALUE, environment);
    writeStartInfo(environment, initrd, commandLine);
    return BootState.protectedMode(entry, 0, LowMemory.INFORMATION);
  }

  private long findEntry(ElfImage image) throws IOException {
    for (ElfImage.Segment note : image.notes()) {
      int length = (int) Math.min(note.fileSize(), MAX_NOTES);
      byte[] bytes = new byte[length];
      file.read(note.offset(), bytes, length);
      long entry = findEntry(ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN));
      if (entry >= 0) {
        return entry;
      }
    }
    return -1;
  }

  private static long findEntry(ByteBuffer notes) {
    byte[] owner = "Xen\0".getBytes(StandardCharsets.ISO_8859_1);
    long at = 0;
    while (at + 12 <= notes.limit()) {
      long nameSize = notes.getInt((int) at) & 0xffff_ffffL;
      long valueSize = notes.getInt((int) at + 4) & 0xffff_ffffL;
      int type = notes.getInt((int) at + 8);
      long name = at + 12;
      long value = name + (nameSize + 3 & -4L);
      long next = value + (valueSize + 3 & -4L);
      if (value + valueSize > notes.limit()) {
        return -1;
      }
      if (type == XEN_ELFNOTE_PHYS32_ENTRY && nameSize == owner.length && valueSize >= 4) {
        byte[] found = new byte[owner.length];
        notes.get((int) name, found);
        if (java.util.Arrays.equals(found, owner)) {
          return notes.getInt((int) value) & 0xffff_ffffL;
        }
      }
      at = next;
    }
    return -1;
  }

  private static void writeStartInfo(
      BootEnvironment environment, InitialRamDisk initrd, long commandLine) {
    GuestMemory memory = environment.memory();
    List<MemoryRange> map = environment.memoryMap();
    int entries = Math.min(map.size(), MAX_MEMORY_ENTRIES);
    boolean module = initrd.size() > 0;
    long mapAddress = LowMemory.MODULES + MODULE_ENTRY_SIZE;
    byte[] bytes = new byte[START_INFO_SIZE];
    ByteBuffer info = ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN);
    info.putInt(MAGIC)
        .putInt(1)
        .putInt(0)
        .putInt(module ? 1 : 0)
        .putLong(module ? LowMemory.MODULES : 0)
        .putLong(commandLine)
        .putLong(environment.rsdp())
        .putLong(mapAddress)
        .putInt(entries);
    memory.write(LowMemory.INFORMATION, bytes);
    memory.writeLong(LowMemory.MODULES, initrd.address());
    memory.writeLong(LowMemory.MODULES + 8, initrd.size());
    memory.writeLong(LowMemory.MODULES + 16, 0);
    memory.writeLong(LowMemory.MODULES + 24, 0);
    for (int i = 0; i < entries; i++) {
      long at = mapAddress + (long) i * MEMORY_ENTRY_SIZE;
      memory.writeLong(at, map.get(i).start());
      memory.writeLong(at + 8, map.get(i).length());
      memory.writeInt(at + 16, map.get(i).kind().code());
      memory.writeInt(at + 20, 0);
    }
  }
}
