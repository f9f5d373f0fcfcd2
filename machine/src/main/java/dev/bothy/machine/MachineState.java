package dev.bothy.machine;

import dev.bothy.core.GuestMemory;
import dev.bothy.core.state.StateException;
import dev.bothy.core.state.StateReader;
import dev.bothy.core.state.StateWriter;
import dev.bothy.core.state.Stateful;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.EOFException;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.io.UncheckedIOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.charset.StandardCharsets;
import java.security.DigestOutputStream;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.Arrays;
import java.util.HashSet;
import java.util.HexFormat;
import java.util.List;
import java.util.Set;
import java.util.zip.CRC32;

/**
 * The saved state of a whole machine: a magic number, then sections. A section is its name (length
 * in two bytes, UTF-8), its version and its length (four bytes each, big-endian like the rest of
 * the frame), the bytes, and their CRC-32. First comes "machine" with what the machine is made of,
 * then RAM as "ram" sections of at most one MiB that leave out pages of zeros, then the clock, the
 * devices and the processors, then "end".
 */
final class MachineState {
  private static final long MAGIC = 0x424f_5448_5953_5431L; // "BOTHYST1"
  private static final int VERSION = 1;
  private static final int PAGE = 4096;
  private static final int BLOCK_PAGES = 256;
  private static final int SECTION_LIMIT = 16 << 20;
  private static final String MACHINE = "machine";
  private static final String RAM = "ram";
  private static final String END = "end";
  private static final MemorySegment ZERO_PAGE = MemorySegment.ofArray(new byte[PAGE]);

  private final MachineOptions options;
  private final GuestMemory memory;
  private final List<Stateful> parts;

  MachineState(MachineOptions options, GuestMemory memory, List<Stateful> parts) {
    this.options = options;
    this.memory = memory;
    this.parts = parts;
  }

  void save(OutputStream target) throws IOException {
    DataOutputStream out = new DataOutputStream(target);
    out.writeLong(MAGIC);
    section(out, MACHINE, VERSION, description().toByteArray());
    for (long start = 0; start < memory.size(); start += (long) BLOCK_PAGES * PAGE) {
      byte[] block = block(start);
      if (block.length > 0) {
        section(out, RAM, VERSION, block);
      }
    }
    for (Stateful part : parts) {
      StateWriter writer = new StateWriter();
      part.save(writer);
      section(out, part.stateName(), part.stateVersion(), writer.toByteArray());
    }
    section(out, END, VERSION, new byte[0]);
    out.flush();
  }

  String hash() {
    try {
      MessageDigest digest = MessageDigest.getInstance("SHA-256");
      save(new DigestOutputStream(OutputStream.nullOutputStream(), digest));
      return HexFormat.of().formatHex(digest.digest());
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    } catch (NoSuchAlgorithmException e) {
      throw new IllegalStateException("every Java platform has SHA-256", e);
    }
  }

  private StateWriter description() {
    return new StateWriter()
        .putLong(memory.size())
        .putInt(options.cpus())
        .putString(options.model().name());
  }

  private static void section(DataOutputStream out, String name, int version, byte[] bytes)
      throws IOException {
    byte[] encoded = name.getBytes(StandardCharsets.UTF_8);
    out.writeShort(encoded.length);
    out.write(encoded);
    out.writeInt(version);
    out.writeInt(bytes.length);
    out.write(bytes);
    CRC32 crc = new CRC32();
    crc.update(bytes);
    out.writeInt((int) crc.getValue());
  }

  /**
   * Address (as an offset into RAM), a bit a page that is not zero, those pages; empty if all are
   * zero.
   */
  private byte[] block(long start) {
    MemorySegment ram = memory.all();
    int pages = (int) Math.min(BLOCK_PAGES, (memory.size() - start) / PAGE);
    byte[] present = new byte[BLOCK_PAGES / 8];
    byte[] content = new byte[0];
    int used = 0;
    for (int i = 0; i < pages; i++) {
      long at = start + (long) i * PAGE;
      if (ram.asSlice(at, PAGE).mismatch(ZERO_PAGE) < 0) {
        continue;
      }
      if (content.length == 0) {
        content = new byte[pages * PAGE];
      }
      present[i / 8] |= (byte) (1 << i % 8);
      MemorySegment.copy(ram, ValueLayout.JAVA_BYTE, at, content, used, PAGE);
      used += PAGE;
    }
    if (used == 0) {
      return content;
    }
    return new StateWriter()
        .putLong(start)
        .putBytes(present)
        .putBytes(Arrays.copyOf(content, used))
        .toByteArray();
  }

  /**
   * Replaces the machine's state.
   *
   * @throws StateException if anything is missing, unknown, damaged, or of a machine of another
   *     make
   */
  void load(InputStream source) throws IOException, StateException {
    DataInputStream in = new DataInputStream(source);
    try {
      if (in.readLong() != MAGIC) {
        throw new StateException("this is not the saved state of a machine");
      }
      loadSections(in);
    } catch (EOFException e) {
      throw new StateException("the saved state ends early");
    }
  }

  private void loadSections(DataInputStream in) throws IOException, StateException {
    Set<String> missing = new HashSet<>();
    parts.forEach(part -> missing.add(part.stateName()));
    boolean described = false;
    long lastBlock = -1;
    while (true) {
      String name = name(in);
      int version = in.readInt();
      StateReader reader = new StateReader(name, content(in, name));
      if (name.equals(MACHINE) && !described) {
        requireVersion(name, VERSION, version);
        checkDescription(reader);
        described = true;
        memory.clear();
      } else if (!described) {
        throw new StateException("the saved state does not say what machine it is of");
      } else if (name.equals(RAM)) {
        requireVersion(name, VERSION, version);
        lastBlock = loadBlock(reader, lastBlock);
      } else if (name.equals(END)) {
        reader.end();
        if (!missing.isEmpty()) {
          throw new StateException("the saved state lacks " + missing.stream().sorted().toList());
        }
        return;
      } else if (missing.remove(name)) {
        Stateful part =
            parts.stream().filter(p -> p.stateName().equals(name)).findFirst().orElseThrow();
        requireVersion(name, part.stateVersion(), version);
        try {
          part.load(reader);
        } catch (RuntimeException e) {
          throw new StateException("saved state of " + name + " is damaged: " + e.getMessage());
        }
        reader.end();
      } else {
        throw new StateException(
            "the saved state holds \"" + name + "\", which this machine has not");
      }
    }
  }

  private static String name(DataInputStream in) throws IOException, StateException {
    int length = in.readUnsignedShort();
    if (length > 64) {
      throw new StateException(
          "the saved state is damaged: a section's name of " + length + " bytes");
    }
    byte[] bytes = new byte[length];
    in.readFully(bytes);
    return new String(bytes, StandardCharsets.UTF_8);
  }

  private static byte[] content(DataInputStream in, String name)
      throws IOException, StateException {
    int length = in.readInt();
    if (length < 0 || length > SECTION_LIMIT) {
      throw new StateException("saved state of " + name + " is damaged: " + length + " bytes");
    }
    byte[] bytes = in.readNBytes(length);
    if (bytes.length < length) {
      throw new EOFException();
    }
    CRC32 crc = new CRC32();
    crc.update(bytes);
    if (in.readInt() != (int) crc.getValue()) {
      throw new StateException("saved state of " + name + " is damaged: wrong checksum");
    }
    return bytes;
  }

  private static void requireVersion(String name, int expected, int found) throws StateException {
    if (expected != found) {
      throw new StateException(
          "saved state of " + name + " has version " + found + ", this Bothy reads " + expected);
    }
  }

  private void checkDescription(StateReader in) throws StateException {
    long size = in.getLong();
    int cpus = in.getInt();
    String model = in.getString(64);
    in.end();
    if (size != memory.size() || cpus != options.cpus() || !model.equals(options.model().name())) {
      throw new StateException(
          "the saved state is of a machine with "
              + cpus
              + " processors of model "
              + model
              + " and "
              + size
              + " bytes of memory, this one has "
              + options.cpus()
              + " of model "
              + options.model().name()
              + " and "
              + memory.size());
    }
  }

  /** Blocks come in order, none twice; returns the address of this one. */
  private long loadBlock(StateReader in, long last) throws StateException {
    long start = in.getLong();
    if (start <= last || start >= memory.size() || start % ((long) BLOCK_PAGES * PAGE) != 0) {
      throw in.damaged("a block at " + start);
    }
    byte[] present = in.getBytes(BLOCK_PAGES / 8);
    byte[] content = in.getBytes(BLOCK_PAGES * PAGE);
    in.end();
    int used = 0;
    for (int i = 0; i < present.length * 8; i++) {
      if ((present[i / 8] >> i % 8 & 1) == 0) {
        continue;
      }
      long at = start + (long) i * PAGE;
      if (at >= memory.size() || used + PAGE > content.length) {
        throw in.damaged("page " + i + " of the block at " + start);
      }
      MemorySegment.copy(content, used, memory.all(), ValueLayout.JAVA_BYTE, at, PAGE);
      used += PAGE;
    }
    if (used != content.length || present.length != BLOCK_PAGES / 8) {
      throw in.damaged("the block at " + start);
    }
    return start;
  }
}
