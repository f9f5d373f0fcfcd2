package dev.bothy.machine.boot;

import dev.bothy.core.GuestMemory;
import java.io.EOFException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;

/**
 * The headers of an ELF executable for x86, and how its segments get into RAM. Follows "System V
 * Application Binary Interface", chapter 5 (program loading). Immutable.
 *
 * @param wide true for ELF64
 * @param machine EM_386 or EM_X86_64
 * @param entry e_entry, as the program's own addressing has it
 * @param loads PT_LOAD segments in the order of the file
 * @param notes PT_NOTE segments
 */
record ElfImage(boolean wide, int machine, long entry, List<Segment> loads, List<Segment> notes) {
  static final int EM_386 = 3;
  static final int EM_X86_64 = 62;

  private static final int PT_LOAD = 1;
  private static final int PT_NOTE = 4;
  private static final int HEADER_SIZE_32 = 52;
  private static final int HEADER_SIZE_64 = 64;
  private static final int MAX_SEGMENTS = 256;
  private static final int CHUNK = 1 << 16;

  /** A program header, fields widened to 64 bits; none is negative. */
  record Segment(long offset, long virtual, long physical, long fileSize, long memorySize) {}

  /** Bytes of an ELF file by offset. */
  interface Bytes {
    /**
     * Fills {@code target[0..length)} from {@code offset}.
     *
     * @throws EOFException if the file ends before
     * @throws IOException if it cannot be read, or only forwards and {@code offset} has been passed
     */
    void read(long offset, byte[] target, int length) throws IOException;
  }

  static boolean isElf(byte[] head) {
    return head.length >= 4
        && head[0] == 0x7f
        && head[1] == 'E'
        && head[2] == 'L'
        && head[3] == 'F';
  }

  /**
   * Reads the headers.
   *
   * @param name of the file, for messages
   * @throws BootException if this is no ELF executable for x86, or a damaged one
   */
  static ElfImage parse(String name, Bytes bytes) throws IOException, BootException {
    byte[] start = new byte[HEADER_SIZE_64];
    bytes.read(0, start, HEADER_SIZE_32);
    if (!isElf(start)) {
      throw new BootException(name + " holds no ELF executable");
    }
    boolean wide = start[4] == 2;
    if (start[4] != 1 && start[4] != 2 || start[5] != 1) {
      throw wrongMachine(name, "it is not a little-endian ELF file");
    }
    if (wide) {
      bytes.read(0, start, HEADER_SIZE_64);
    }
    ByteBuffer header = ByteBuffer.wrap(start).order(ByteOrder.LITTLE_ENDIAN);
    int type = header.getShort(16) & 0xffff;
    int machine = header.getShort(18) & 0xffff;
    if (machine != EM_386 && machine != EM_X86_64) {
      throw wrongMachine(name, "ELF machine type " + machine);
    }
    if (type != 2) {
      throw new BootException(
          name
              + " is not a bootable ELF executable (ELF type "
              + type
              + "): give a Linux bzImage, an ELF kernel with a PVH note, or a Multiboot kernel");
    }
    long entry = wide ? header.getLong(24) : header.getInt(24) & 0xffff_ffffL;
    long tableOffset = wide ? header.getLong(32) : header.getInt(28) & 0xffff_ffffL;
    int entrySize = header.getShort(wide ? 54 : 42) & 0xffff;
    int count = header.getShort(wide ? 56 : 44) & 0xffff;
    if (count == 0 || count > MAX_SEGMENTS || entrySize != (wide ? 56 : 32)) {
      throw damaged(name, count + " program headers of " + entrySize + " bytes");
    }
    if (tableOffset < (wide ? HEADER_SIZE_64 : HEADER_SIZE_32) || tableOffset > 1 << 20) {
      throw damaged(name, "program headers at offset " + Long.toUnsignedString(tableOffset));
    }
    byte[] table = new byte[count * entrySize];
    bytes.read(tableOffset, table, table.length);
    List<Segment> loads = new ArrayList<>();
    List<Segment> notes = new ArrayList<>();
    ByteBuffer headers = ByteBuffer.wrap(table).order(ByteOrder.LITTLE_ENDIAN);
    for (int i = 0; i < count; i++) {
      int at = i * entrySize;
      int segmentType = headers.getInt(at);
      if (segmentType != PT_LOAD && segmentType != PT_NOTE) {
        continue;
      }
      Segment segment = wide ? segment64(headers, at) : segment32(headers, at);
      if (segment.offset < 0
          || segment.fileSize < 0
          || segment.memorySize < 0
          || segment.offset + segment.fileSize < 0
          || segmentType == PT_LOAD && segment.memorySize < segment.fileSize) {
        throw damaged(name, "program header " + i + " has impossible sizes");
      }
      if (segmentType == PT_NOTE) {
        notes.add(segment);
      } else if (segment.memorySize > 0) {
        loads.add(segment);
      }
    }
    if (loads.isEmpty()) {
      throw damaged(name, "nothing in it is to be loaded");
    }
    loads.sort(Comparator.comparingLong(Segment::offset));
    return new ElfImage(wide, machine, entry, List.copyOf(loads), List.copyOf(notes));
  }

  private static Segment segment64(ByteBuffer b, int at) {
    return new Segment(
        b.getLong(at + 8),
        b.getLong(at + 16),
        b.getLong(at + 24),
        b.getLong(at + 32),
        b.getLong(at + 40));
  }

  private static Segment segment32(ByteBuffer b, int at) {
    return new Segment(
        b.getInt(at + 4) & 0xffff_ffffL,
        b.getInt(at + 8) & 0xffff_ffffL,
        b.getInt(at + 12) & 0xffff_ffffL,
        b.getInt(at + 16) & 0xffff_ffffL,
        b.getInt(at + 20) & 0xffff_ffffL);
  }

  private static BootException wrongMachine(String name, String what) {
    return new BootException(
        name + " is not a kernel for x86-64 (" + what + "): give a kernel built for x86-64");
  }

  private static BootException damaged(String name, String what) {
    return new BootException(
        name + " is damaged: " + what + "; get the file anew or name another kernel");
  }

  /** First physical address behind everything that is loaded. */
  long physicalEnd() {
    long end = 0;
    for (Segment segment : loads) {
      end = Math.max(end, segment.physical + segment.memorySize);
    }
    return end;
  }

  /**
   * Physical address of virtual address {@code address}, or {@code address} itself if no segment
   * holds it.
   */
  long physicalOf(long address) {
    for (Segment segment : loads) {
      if (Long.compareUnsigned(address - segment.virtual, segment.memorySize) < 0) {
        return address - segment.virtual + segment.physical;
      }
    }
    return address;
  }

  /**
   * Copies the segments to their physical addresses and clears what the file does not hold.
   *
   * @throws BootException if a segment does not fit into RAM
   */
  void load(String name, Bytes bytes, GuestMemory memory) throws IOException, BootException {
    byte[] chunk = new byte[CHUNK];
    for (Segment segment : loads) {
      if (!memory.contains(segment.physical, segment.memorySize)) {
        throw noRoom(name, segment.physical + segment.memorySize, memory);
      }
      for (long done = 0; done < segment.fileSize; ) {
        int count = (int) Math.min(chunk.length, segment.fileSize - done);
        bytes.read(segment.offset + done, chunk, count);
        memory.write(segment.physical + done, chunk, 0, count);
        done += count;
      }
      clear(memory, segment.physical + segment.fileSize, segment.memorySize - segment.fileSize);
    }
  }

  /** Zeros without touching pages that are zero already: the host need not provide them. */
  private static void clear(GuestMemory memory, long start, long length) {
    byte[] zeros = new byte[4096];
    byte[] present = new byte[4096];
    for (long at = start; at < start + length; ) {
      int count = (int) Math.min(4096 - (at & 0xfff), start + length - at);
      memory.read(at, present, 0, count);
      if (!java.util.Arrays.equals(present, 0, count, zeros, 0, count)) {
        memory.write(at, zeros, 0, count);
      }
      at += count;
    }
  }

  static BootException noRoom(String name, long needed, GuestMemory memory) {
    String megabytes =
        needed <= 0 || needed > 1L << 40
            ? "more"
            : "at least " + ((needed + 0xf_ffff) >> 20) + " MiB of";
    return new BootException(
        name
            + " needs "
            + megabytes
            + " memory, the machine has "
            + (memory.size() >> 20)
            + " MiB: give it more");
  }
}
