package dev.bothy.machine.boot;

import dev.bothy.core.GuestMemory;
import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.List;
import java.util.Optional;

/**
 * A Linux bzImage, booted through the 64-bit boot protocol. Follows "The Linux/x86 Boot Protocol"
 * and "Zero Page" of the kernel's documentation; the constants are offsets into the file's first
 * sectors and, alike, into boot_params.
 *
 * <p>The packed kernel inside is unpacked here, which takes a fraction of the time that it takes
 * the guest, and entered at its own 64-bit entry. It then runs at the address it was linked for:
 * nothing is to be relocated, and there is no random placement of the kernel. Where the format of
 * the packed kernel is not known, or if told so, the guest unpacks it.
 */
final class LinuxKernel {
  // The setup header.
  private static final int SETUP_SECTS = 0x1f1;
  private static final int VID_MODE = 0x1fa;
  private static final int BOOT_FLAG = 0x1fe;
  private static final int JUMP = 0x200;
  private static final int MAGIC = 0x202;
  private static final int VERSION = 0x206;
  private static final int TYPE_OF_LOADER = 0x210;
  private static final int LOADFLAGS = 0x211;
  private static final int CODE32_START = 0x214;
  private static final int RAMDISK_IMAGE = 0x218;
  private static final int RAMDISK_SIZE = 0x21c;
  private static final int CMD_LINE_PTR = 0x228;
  private static final int INITRD_ADDR_MAX = 0x22c;
  private static final int RELOCATABLE_KERNEL = 0x234;
  private static final int XLOADFLAGS = 0x236;
  private static final int CMDLINE_SIZE = 0x238;
  private static final int PAYLOAD_OFFSET = 0x248;
  private static final int PAYLOAD_LENGTH = 0x24c;
  private static final int PREF_ADDRESS = 0x258;
  private static final int INIT_SIZE = 0x260;

  // The rest of boot_params.
  private static final int BOOT_PARAMS_SIZE = 0x1000;
  private static final int ACPI_RSDP_ADDR = 0x070;
  private static final int E820_ENTRIES = 0x1e8;
  private static final int E820_TABLE = 0x2d0;
  private static final int E820_ENTRY_SIZE = 20;
  private static final int E820_MAX = 128;

  private static final int HDRS = 0x53726448;
  private static final int LOADED_HIGH = 1;
  private static final int CAN_USE_HEAP = 0x80;
  private static final int XLF_KERNEL_64 = 1;
  private static final int LOADER_UNDEFINED = 0xff;
  private static final int NORMAL_VIDEO_MODE = 0xffff;
  private static final int OLDEST_VERSION = 0x20c;
  private static final int HEADER_END = 0x268;
  private static final int SECTOR = 512;
  private static final int ENTRY_64 = 0x200;

  private final KernelFile file;
  private final byte[] head;
  private final ByteBuffer header;

  LinuxKernel(KernelFile file, byte[] head) {
    this.file = file;
    this.head = head;
    this.header = ByteBuffer.wrap(head).order(ByteOrder.LITTLE_ENDIAN);
  }

  /** True if the file starts like a Linux kernel for x86. */
  static boolean isLinux(byte[] head) {
    ByteBuffer b = ByteBuffer.wrap(head).order(ByteOrder.LITTLE_ENDIAN);
    return head.length >= VERSION + 2
        && (b.getShort(BOOT_FLAG) & 0xffff) == 0xaa55
        && b.getInt(MAGIC) == HDRS;
  }

  BootState load(KernelBoot boot, BootEnvironment environment) throws IOException, BootException {
    check();
    GuestMemory memory = environment.memory();
    long start = header.getLong(PREF_ADDRESS);
    long size = header.getInt(INIT_SIZE) & 0xffff_ffffL;
    if (start < 1 << 20 || start > GuestMemory.LOW_LIMIT || (start & 0xfff) != 0) {
      throw damaged("it wants to be at address 0x" + Long.toHexString(start));
    }
    if (!memory.contains(start, Math.max(size, 1))) {
      throw ElfImage.noRoom(file.name(), start + size, memory);
    }
    Optional<KernelPayload.Format> format = payloadFormat();
    long entry;
    long end;
    if (boot.unpack() == KernelBoot.Unpack.HOST && format.isPresent()) {
      ElfImage image = loadUnpacked(boot.cache().map(UnpackedKernels::new), format.get(), memory);
      entry = image.physicalOf(image.entry());
      end = Math.max(image.physicalEnd(), start + size);
    } else {
      entry = loadPacked(start, memory);
      end = start + Math.max(size, file.size());
    }
    InitialRamDisk initrd =
        InitialRamDisk.load(
            boot.initrd(), memory, end, 1 + (header.getInt(INITRD_ADDR_MAX) & 0xffff_ffffL));
    long commandLine =
        KernelBoot.writeCommandLine(
            boot.commandLine(), header.getInt(CMDLINE_SIZE) & 0xffff_ffffL, environment);
    memory.write(LowMemory.INFORMATION, bootParams(environment, commandLine, initrd));
    return BootState.longMode(entry, LowMemory.INFORMATION);
  }

  private void check() throws BootException {
    if (head.length < HEADER_END) {
      throw damaged("it has only " + head.length + " bytes");
    }
    int version = header.getShort(VERSION) & 0xffff;
    if (version < OLDEST_VERSION) {
      throw new BootException(
          file.name()
              + " is too old (boot protocol "
              + (version >> 8)
              + "."
              + (version & 0xff)
              + "): give Linux 3.8 or newer");
    }
    if ((header.getShort(XLOADFLAGS) & XLF_KERNEL_64) == 0) {
      throw new BootException(
          file.name() + " is a 32-bit kernel: give a Linux kernel built for x86-64");
    }
    if ((head[LOADFLAGS] & LOADED_HIGH) == 0) {
      throw damaged("it is a zImage");
    }
    if (systemOffset() >= file.size()) {
      throw damaged("it ends within its setup code");
    }
  }

  private BootException damaged(String what) {
    return new BootException(
        file.name()
            + " is truncated or damaged ("
            + what
            + "): get the file anew or name another kernel");
  }

  /** Where the protected-mode part starts in the file. */
  private int systemOffset() {
    int sectors = head[SETUP_SECTS] & 0xff;
    return ((sectors == 0 ? 4 : sectors) + 1) * SECTOR;
  }

  private long payloadOffset() {
    return systemOffset() + (header.getInt(PAYLOAD_OFFSET) & 0xffff_ffffL);
  }

  private long payloadLength() {
    return header.getInt(PAYLOAD_LENGTH) & 0xffff_ffffL;
  }

  private Optional<KernelPayload.Format> payloadFormat() throws IOException, BootException {
    if (payloadLength() == 0) {
      return Optional.empty();
    }
    if (payloadOffset() + payloadLength() > file.size()) {
      throw damaged(
          "it has "
              + file.size()
              + " bytes where its header promises "
              + (payloadOffset() + payloadLength()));
    }
    byte[] magic = new byte[6];
    file.read(payloadOffset(), magic, (int) Math.min(magic.length, payloadLength()));
    return KernelPayload.Format.of(magic);
  }

  private ElfImage loadUnpacked(
      Optional<UnpackedKernels> cache, KernelPayload.Format format, GuestMemory memory)
      throws IOException, BootException {
    if (cache.isPresent()) {
      try (UnpackedKernels.Kept kept = cache.get().find(file)) {
        if (kept != null) {
          return load(kept, memory);
        }
      }
    }
    long length = Math.max(0, payloadLength() - format.trailer());
    byte[] trailer = new byte[4];
    if (length > 0) {
      file.read(payloadOffset() + payloadLength() - 4, trailer, 4);
    }
    long plainLength =
        ByteBuffer.wrap(trailer).order(ByteOrder.LITTLE_ENDIAN).getInt() & 0xffff_ffffL;
    InputStream packed = file.slice(payloadOffset(), length);
    try (UnpackedKernels.Keeper keeper = cache.map(c -> c.keep(file)).orElse(null);
        KernelPayload payload = KernelPayload.open(format, packed, plainLength, keeper)) {
      ElfImage image = load(payload, memory);
      payload.verify();
      if (keeper != null) {
        keeper.finish();
      }
      return image;
    }
  }

  private ElfImage load(ElfImage.Bytes bytes, GuestMemory memory)
      throws IOException, BootException {
    ElfImage image = ElfImage.parse(file.name(), bytes);
    if (!image.wide() || image.machine() != ElfImage.EM_X86_64) {
      throw new BootException(
          file.name() + " is a 32-bit kernel: give a Linux kernel built for x86-64");
    }
    for (ElfImage.Segment segment : image.loads()) {
      if (segment.physical() < 1 << 20) {
        throw damaged("a segment at 0x" + Long.toHexString(segment.physical()));
      }
    }
    image.load(file.name(), bytes, memory);
    return image;
  }

  /** Loads the protected-mode part, which unpacks itself; returns its 64-bit entry. */
  private long loadPacked(long preferred, GuestMemory memory) throws IOException, BootException {
    long start =
        head[RELOCATABLE_KERNEL] != 0 ? preferred : header.getInt(CODE32_START) & 0xffff_ffffL;
    long length = file.size() - systemOffset();
    if (start < 1 << 20 || !memory.contains(start, length)) {
      throw ElfImage.noRoom(file.name(), start + length, memory);
    }
    byte[] chunk = new byte[1 << 16];
    for (long done = 0; done < length; ) {
      int count = (int) Math.min(chunk.length, length - done);
      file.read(systemOffset() + done, chunk, count);
      memory.write(start + done, chunk, 0, count);
      done += count;
    }
    header.putInt(CODE32_START, (int) start);
    return start + ENTRY_64;
  }

  private byte[] bootParams(BootEnvironment environment, long commandLine, InitialRamDisk initrd) {
    byte[] page = new byte[BOOT_PARAMS_SIZE];
    // The header's own length is the target of the jump at its start.
    int end = Math.min(MAGIC + (head[JUMP + 1] & 0xff), E820_TABLE);
    System.arraycopy(
        head, SETUP_SECTS, page, SETUP_SECTS, Math.min(end, head.length) - SETUP_SECTS);
    ByteBuffer params = ByteBuffer.wrap(page).order(ByteOrder.LITTLE_ENDIAN);
    params.putLong(ACPI_RSDP_ADDR, environment.rsdp());
    params.putShort(VID_MODE, (short) NORMAL_VIDEO_MODE);
    params.put(TYPE_OF_LOADER, (byte) LOADER_UNDEFINED);
    params.put(LOADFLAGS, (byte) (page[LOADFLAGS] & ~CAN_USE_HEAP));
    params.putInt(RAMDISK_IMAGE, (int) initrd.address());
    params.putInt(RAMDISK_SIZE, (int) initrd.size());
    params.putInt(CMD_LINE_PTR, (int) commandLine);
    List<MemoryRange> map = environment.memoryMap();
    int entries = Math.min(map.size(), E820_MAX);
    params.put(E820_ENTRIES, (byte) entries);
    for (int i = 0; i < entries; i++) {
      MemoryRange range = map.get(i);
      int at = E820_TABLE + i * E820_ENTRY_SIZE;
      params.putLong(at, range.start());
      params.putLong(at + 8, range.length());
      params.putInt(at + 16, range.kind().code());
    }
    return page;
  }
}
