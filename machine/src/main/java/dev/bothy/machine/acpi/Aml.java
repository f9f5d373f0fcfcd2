package dev.bothy.machine.acpi;

import java.io.ByteArrayOutputStream;
import java.nio.charset.StandardCharsets;

/**
 * ACPI machine language, as far as a description of fixed hardware and a few small methods need it.
 * Each method returns the bytes of one term. Follows "ACPI Specification 6.5", chapter 20.2;
 * resource descriptors chapter 6.4.
 */
final class Aml {
  private static final int NAME_OP = 0x08;
  private static final int BYTE_PREFIX = 0x0a;
  private static final int WORD_PREFIX = 0x0b;
  private static final int DWORD_PREFIX = 0x0c;
  private static final int STRING_PREFIX = 0x0d;
  private static final int QWORD_PREFIX = 0x0e;
  private static final int SCOPE_OP = 0x10;
  private static final int BUFFER_OP = 0x11;
  private static final int PACKAGE_OP = 0x12;
  private static final int METHOD_OP = 0x14;
  private static final int EXTENDED_PREFIX = 0x5b;
  private static final int LOCAL_0 = 0x60;
  private static final int ARG_0 = 0x68;
  private static final int STORE_OP = 0x70;
  private static final int AND_OP = 0x7b;
  private static final int OR_OP = 0x7d;
  private static final int DEVICE_OP = 0x82;
  private static final int CREATE_DWORD_FIELD_OP = 0x8a;
  private static final int LNOT_OP = 0x92;
  private static final int LEQUAL_OP = 0x93;
  private static final int IF_OP = 0xa0;
  private static final int ELSE_OP = 0xa1;
  private static final int RETURN_OP = 0xa4;
  private static final int SERIALIZED = 8;

  private Aml() {}

  static byte[] join(byte[]... parts) {
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    for (byte[] part : parts) {
      out.writeBytes(part);
    }
    return out.toByteArray();
  }

  /** A constant in its shortest form. */
  static byte[] integer(long value) {
    if (value == 0 || value == 1) {
      return new byte[] {(byte) value};
    }
    if (value >>> 8 == 0) {
      return join(bytes(BYTE_PREFIX), little(value, 1));
    }
    if (value >>> 16 == 0) {
      return join(bytes(WORD_PREFIX), little(value, 2));
    }
    if (value >>> 32 == 0) {
      return join(bytes(DWORD_PREFIX), little(value, 4));
    }
    return join(bytes(QWORD_PREFIX), little(value, 8));
  }

  static byte[] string(String text) {
    return join(bytes(STRING_PREFIX), text.getBytes(StandardCharsets.US_ASCII), bytes(0));
  }

  /** A compressed EISA identifier such as "PNP0501". */
  static byte[] eisaId(String id) {
    int maker = (id.charAt(0) - 0x40) << 10 | (id.charAt(1) - 0x40) << 5 | id.charAt(2) - 0x40;
    int product = Integer.parseInt(id.substring(3), 16);
    return join(bytes(DWORD_PREFIX, maker >>> 8, maker & 0xff, product >>> 8, product & 0xff));
  }

  /** Gives {@code value} the four-character {@code name}. */
  static byte[] name(String name, byte[] value) {
    return join(bytes(NAME_OP), segment(name), value);
  }

  static byte[] scope(String path, byte[]... terms) {
    return sized(bytes(SCOPE_OP), join(path(path), join(terms)));
  }

  static byte[] device(String name, byte[]... terms) {
    return sized(bytes(EXTENDED_PREFIX, DEVICE_OP), join(segment(name), join(terms)));
  }

  static byte[] packageOf(byte[]... elements) {
    return sized(bytes(PACKAGE_OP), join(bytes(elements.length), join(elements)));
  }

  static byte[] buffer(byte... content) {
    return sized(bytes(BUFFER_OP), join(integer(content.length), content));
  }

  // Methods.

  /** A method that one thread runs at a time. @param arguments 0 to 7 */
  static byte[] method(String name, int arguments, byte[]... terms) {
    return sized(bytes(METHOD_OP), join(segment(name), bytes(arguments | SERIALIZED), join(terms)));
  }

  static byte[] argument(int index) {
    return bytes(ARG_0 + index);
  }

  static byte[] local(int index) {
    return bytes(LOCAL_0 + index);
  }

  /** The object of that name. */
  static byte[] named(String path) {
    return path(path);
  }

  static byte[] store(byte[] value, byte[] target) {
    return join(bytes(STORE_OP), value, target);
  }

  static byte[] and(byte[] left, byte[] right, byte[] target) {
    return join(bytes(AND_OP), left, right, target);
  }

  static byte[] or(byte[] left, byte[] right, byte[] target) {
    return join(bytes(OR_OP), left, right, target);
  }

  static byte[] equal(byte[] left, byte[] right) {
    return join(bytes(LEQUAL_OP), left, right);
  }

  static byte[] not(byte[] condition) {
    return join(bytes(LNOT_OP), condition);
  }

  static byte[] when(byte[] condition, byte[]... terms) {
    return sized(bytes(IF_OP), join(condition, join(terms)));
  }

  /** What is done if the {@link #when} before it is not. */
  static byte[] otherwise(byte[]... terms) {
    return sized(bytes(ELSE_OP), join(terms));
  }

  static byte[] giveBack(byte[] value) {
    return join(bytes(RETURN_OP), value);
  }

  /** Calls the four bytes at {@code offset} of a buffer by a name. */
  static byte[] doubleWordField(byte[] buffer, int offset, String name) {
    return join(bytes(CREATE_DWORD_FIELD_OP), buffer, integer(offset), segment(name));
  }

  // Resources.

  /** A resource template: the descriptors, and the end tag with no checksum. */
  static byte[] resources(byte[]... descriptors) {
    return buffer(join(join(descriptors), bytes(0x79, 0)));
  }

  /** Fixed I/O ports, all 16 address bits decoded. */
  static byte[] ports(int base, int length) {
    return join(bytes(0x47, 1), little(base, 2), little(base, 2), bytes(1, length));
  }

  /** ISA interrupt, edge-triggered, active high, not shared. */
  static byte[] interrupt(int irq) {
    return join(bytes(0x22), little(1L << irq, 2));
  }

  /** Memory at a fixed place below 4 GiB, writable. */
  static byte[] memory(long base, int length) {
    return join(bytes(0x86, 9, 0, 1), little(base, 4), little(length, 4));
  }

  static byte[] busNumbers(int first, int last) {
    return wordSpace(2, 0, first, last);
  }

  /** A window of ports that a bridge passes on. */
  static byte[] portWindow(int first, int last) {
    return wordSpace(1, 3, first, last);
  }

  private static byte[] wordSpace(int type, int typeFlags, int first, int last) {
    return join(
        bytes(0x88, 0x0d, 0, type, 0x0c, typeFlags),
        little(0, 2),
        little(first, 2),
        little(last, 2),
        little(0, 2),
        little(last - first + 1, 2));
  }

  /** A window of memory below 4 GiB that a bridge passes on: writable, not cacheable. */
  static byte[] memoryWindow(long first, long last) {
    return join(
        bytes(0x87, 0x17, 0, 0, 0x0c, 1),
        little(0, 4),
        little(first, 4),
        little(last, 4),
        little(0, 4),
        little(last - first + 1, 4));
  }

  /** The same with 64-bit addresses. */
  static byte[] longMemoryWindow(long first, long last) {
    return join(
        bytes(0x8a, 0x2b, 0, 0, 0x0c, 1),
        little(0, 8),
        little(first, 8),
        little(last, 8),
        little(0, 8),
        little(last - first + 1, 8));
  }

  private static byte[] path(String path) {
    return path.startsWith("\\")
        ? join(bytes('\\'), path.length() == 1 ? bytes(0) : segment(path.substring(1)))
        : segment(path);
  }

  private static byte[] segment(String name) {
    if (name.length() > 4) {
      throw new IllegalArgumentException("an ACPI name has four characters: " + name);
    }
    return (name + "____").substring(0, 4).getBytes(StandardCharsets.US_ASCII);
  }

  /** {@code op}, the length of what follows (itself included), {@code body}. */
  private static byte[] sized(byte[] op, byte[] body) {
    int length = body.length + 1;
    byte[] prefix;
    if (length < 1 << 6) {
      prefix = bytes(length);
    } else if (length + 1 < 1 << 12) {
      length += 1;
      prefix = bytes(1 << 6 | length & 15, length >>> 4);
    } else {
      length += 2;
      prefix = bytes(2 << 6 | length & 15, length >>> 4 & 0xff, length >>> 12);
    }
    return join(op, prefix, body);
  }

  static byte[] bytes(int... values) {
    byte[] result = new byte[values.length];
    for (int i = 0; i < values.length; i++) {
      result[i] = (byte) values[i];
    }
    return result;
  }

  static byte[] little(long value, int size) {
    byte[] result = new byte[size];
    for (int i = 0; i < size; i++) {
      result[i] = (byte) (value >>> (8 * i));
    }
    return result;
  }
}
